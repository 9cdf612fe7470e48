package validate_test

import (
	"context"
	"strings"
	"testing"

	"dmasim/sim/validate"
)

func programOf(number int) validate.Program { return validate.RandomProgram(7, number, 4096) }

func TestCompareLivesOfTwoModels(t *testing.T) {
	aspects, err := validate.CompareLives(context.Background(), 300, programOf, validate.NewModelLives(4096), validate.NewModelLives(4096))
	if err != nil {
		t.Fatal(err)
	}
	var r validate.Report
	r.Add(aspects...)
	if !r.Agree || len(aspects) != 4 || aspects[3].Operations != 300 || aspects[0].Operations < 3000 {
		t.Errorf("%+v", r)
	}
}

// lyingLives is a model that is wrong in one call.
type lyingLives struct {
	*validate.ModelLives
	at    int
	reply validate.Reply
	more  int // references of the first buffer
	hide  bool
}

func (l *lyingLives) Do(c validate.Call) (validate.Reply, error) {
	r, err := l.ModelLives.Do(c)
	if l.at--; l.at == 0 && l.reply.Errno != "" {
		r = l.reply
	}
	return r, err
}

func (l *lyingLives) Buffers() ([]validate.LiveBuffer, error) {
	list, err := l.ModelLives.Buffers()
	if l.at == 0 && len(list) > 0 {
		list[0].References += l.more
		if l.hide {
			list = list[1:]
		}
	}
	return list, err
}

func TestCompareLivesFindsLies(t *testing.T) {
	const at = 402 // the second call of a program, which allocates
	for _, test := range []struct {
		diverge string
		lie     lyingLives
	}{
		{"life result", lyingLives{reply: validate.Reply{Errno: "EIO"}}},
		{"life result", lyingLives{reply: validate.Reply{Errno: validate.OK, Value: 77}}},
		{"life references", lyingLives{more: 1}},
		{"life of buffers, life references", lyingLives{hide: true}},
	} {
		test.lie.ModelLives = validate.NewModelLives(4096)
		// The call at which to lie must find a buffer.
		calls, wrong := 0, 0
		for number := 0; wrong == 0; number++ {
			if calls >= at {
				wrong = calls + 2
			}
			calls += len(programOf(number).Calls)
		}
		test.lie.at = wrong
		aspects, err := validate.CompareLives(context.Background(), 60, programOf, validate.NewModelLives(4096), &test.lie)
		if err != nil {
			t.Fatal(err)
		}
		var diverge []string
		for _, a := range aspects[:3] {
			if a.First != nil {
				diverge = append(diverge, a.Name)
				if a.First.Number != wrong || !strings.Contains(a.First.Operation, "alloc 1 bytes") {
					t.Errorf("%s: %+v, want call %d", a.Name, a.First, wrong)
				}
			}
		}
		if got := strings.Join(diverge, ", "); got != test.diverge || aspects[3].Agreements != 59 {
			t.Errorf("diverge: %s; want %s; %+v", got, test.diverge, aspects[3])
		}
	}
}
