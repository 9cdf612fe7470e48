package sim_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"pgregory.net/rapid"

	"dmasim/allocator"
	"dmasim/devices"
	"dmasim/mem"
	"dmasim/sim"
	"dmasim/workloads"
)

// script is a source that plays a list.
type script struct {
	ops      []workloads.Op
	err      error
	outcomes []workloads.Outcome
}

func (s *script) Next(last *workloads.Outcome) (workloads.Op, bool) {
	if last != nil {
		s.outcomes = append(s.outcomes, *last)
	}
	if len(s.ops) == 0 {
		return workloads.Op{}, false
	}
	op := s.ops[0]
	s.ops = s.ops[1:]
	return op, true
}

func (s *script) Err() error { return s.err }

func alloc(at time.Duration, name, size uint64) workloads.Op {
	return workloads.Op{At: at, Kind: workloads.Alloc, Buffer: name, Size: size}
}

func timed(at, lifetime time.Duration, size uint64) workloads.Op {
	return workloads.Op{At: at, Kind: workloads.Alloc, Size: size, Lifetime: lifetime}
}

func free(at time.Duration, name uint64) workloads.Op {
	return workloads.Op{At: at, Kind: workloads.Free, Buffer: name}
}

// system is one heap of 100 bytes with one client without demands.
func system(t rapid.TB, source workloads.Source) sim.Config {
	t.Helper()
	plan, err := devices.Merge()
	if err != nil {
		t.Fatal(err)
	}
	return sim.Config{
		CheckEvery: 1,
		Heaps:      []sim.Heap{{Name: "main", Arena: mem.NewRangeSet(mem.Range{Lo: 0, Hi: 100}), Granule: 1, Allocator: "first-fit", Aware: true}},
		Clients:    []sim.Client{{Name: "client", Plan: plan}},
		Inputs:     []sim.Input{{Name: "script", Source: source, Clients: []int{0}}},
	}
}

// recorder keeps what happened as text.
type recorder struct{ lines []string }

func (r *recorder) Advance(now time.Duration) { r.lines = append(r.lines, fmt.Sprintf("-> %d", now)) }

// times returns the times that passed.
func (r *recorder) times() (all []time.Duration) {
	for _, line := range r.lines {
		var at time.Duration
		if _, err := fmt.Sscanf(line, "-> %d", &at); err == nil {
			all = append(all, at)
		}
	}
	return all
}

func (r *recorder) Event(e *sim.Event) {
	kind := "alloc"
	if e.Kind == sim.Free {
		kind = "free"
	}
	if e.Diagnosis.Cause != allocator.None {
		r.lines = append(r.lines, fmt.Sprintf("%d %s %d: %v", e.Number, kind, e.Size, e.Diagnosis.Cause))
		return
	}
	r.lines = append(r.lines, fmt.Sprintf("%d %s %d at %d", e.Number, kind, e.Size, e.Buffer.Block.Addr))
}

func TestOrderOfEvents(t *testing.T) {
	tests := map[string]struct {
		ops      []workloads.Op
		duration time.Duration
		want     []string
	}{
		"lifetimes are half-open": {
			ops:  []workloads.Op{timed(0, 5, 100), timed(5, 5, 100)},
			want: []string{"1 alloc 100 at 0", "-> 5", "2 free 100 at 0", "3 alloc 100 at 0", "-> 10", "4 free 100 at 0"},
		},
		"a failed buffer's free does nothing": {
			ops:  []workloads.Op{alloc(0, 1, 60), alloc(1, 2, 60), free(2, 2), free(3, 1)},
			want: []string{"1 alloc 60 at 0", "-> 1", "2 alloc 60: exhausted", "-> 2", "-> 3", "3 free 60 at 0"},
		},
		"a name may be used again": {
			ops:  []workloads.Op{alloc(0, 1, 60), free(1, 1), alloc(1, 1, 10)},
			want: []string{"1 alloc 60 at 0", "-> 1", "2 free 60 at 0", "3 alloc 10 at 0"},
		},
		"the duration cuts": {
			ops:      []workloads.Op{timed(0, 7, 100), timed(6, 5, 100)},
			duration: 6,
			want:     []string{"1 alloc 100 at 0", "-> 6"},
		},
		"large names": {
			ops:  []workloads.Op{alloc(0, 1<<60, 1), free(1, 1<<60), alloc(1, 1<<60, 2)},
			want: []string{"1 alloc 1 at 0", "-> 1", "2 free 1 at 0", "3 alloc 2 at 0"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			cfg := system(t, &script{ops: test.ops})
			cfg.Duration = test.duration
			r := &recorder{}
			s, err := sim.New(cfg, r)
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Run(context.Background()); err != nil {
				t.Fatal(err)
			}
			if got, want := fmt.Sprint(r.lines), fmt.Sprint(test.want); got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		})
	}
}

func TestMisuse(t *testing.T) {
	torn := errors.New("line 7 is torn")
	tests := map[string]struct {
		source *script
		want   error
	}{
		"name in use":                {&script{ops: []workloads.Op{alloc(0, 1, 1), alloc(1, 1, 1)}}, sim.ErrNameInUse},
		"unknown name":               {&script{ops: []workloads.Op{free(0, 1)}}, sim.ErrUnknownName},
		"freed twice":                {&script{ops: []workloads.Op{alloc(0, 1, 1), free(1, 1), free(2, 1)}}, sim.ErrUnknownName},
		"freed after failure, twice": {&script{ops: []workloads.Op{alloc(0, 1, 101), free(1, 1), free(2, 1)}}, sim.ErrUnknownName},
		"time goes back":             {&script{ops: []workloads.Op{alloc(2, 1, 1), alloc(1, 2, 1)}}, sim.ErrOrder},
		"negative time":              {&script{ops: []workloads.Op{alloc(-1, 1, 1)}}, sim.ErrOrder},
		"no size":                    {&script{ops: []workloads.Op{alloc(0, 1, 0)}}, sim.ErrSize},
		"the source breaks":          {&script{ops: []workloads.Op{alloc(0, 1, 1)}, err: torn}, torn},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s, err := sim.New(system(t, test.source))
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Run(context.Background()); !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
		})
	}
}

// batches is a script that looks at no outcomes.
type batches struct{ *script }

func (b batches) Fill(ops []workloads.Op) int {
	n := copy(ops, b.ops)
	b.ops = b.ops[n:]
	return n
}

// TestBatches draws work for two sources, together with buffers that end by
// themselves and work that is wrong: whether a source gives its operations one by
// one or in batches, the same happens.
func TestBatches(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var work [2][]workloads.Op
		for i := range work {
			at, live := time.Duration(0), map[uint64]bool{}
			for range rapid.IntRange(0, 300).Draw(t, "operations") {
				at += time.Duration(rapid.IntRange(0, 2).Draw(t, "gap"))
				op := alloc(at, rapid.Uint64Range(0, 60).Draw(t, "name"), rapid.Uint64Range(1, 5).Draw(t, "size"))
				switch wrong := rapid.IntRange(0, 500).Draw(t, "wrong") == 0; {
				case live[op.Buffer] != wrong:
					op = free(at, op.Buffer)
					delete(live, op.Buffer)
				case rapid.Bool().Draw(t, "timed"):
					op.Lifetime = 5
				default:
					live[op.Buffer] = true
				}
				work[i] = append(work[i], op)
			}
		}
		duration := time.Duration(rapid.IntRange(0, 200).Draw(t, "duration"))
		var want string
		for kind := range 4 {
			cfg := system(t, nil)
			cfg.Duration = duration
			cfg.Inputs = nil
			for i, ops := range work {
				var source workloads.Source = &script{ops: ops}
				if kind>>i&1 != 0 {
					source = batches{&script{ops: ops}}
				}
				cfg.Inputs = append(cfg.Inputs, sim.Input{Name: "script", Source: source, Clients: []int{0}})
			}
			r := &recorder{}
			s, err := sim.New(cfg, r)
			if err != nil {
				t.Fatal(err)
			}
			got := fmt.Sprint(s.Run(context.Background()), r.lines)
			if kind == 0 {
				want = got
			}
			if got != want {
				t.Fatalf("got  %s\nwant %s", got, want)
			}
		}
	})
}

func TestOutcomesReachTheSource(t *testing.T) {
	source := &script{ops: []workloads.Op{alloc(0, 1, 100), alloc(0, 2, 1), free(1, 1)}}
	s, err := sim.New(system(t, source))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Run(context.Background()); err != nil {
		t.Fatal(err)
	}
	want := []allocator.Cause{allocator.None, allocator.Exhausted, allocator.None}
	if len(source.outcomes) != len(want) {
		t.Fatalf("got %d outcomes, want %d", len(source.outcomes), len(want))
	}
	for i, o := range source.outcomes {
		if o.Cause != want[i] {
			t.Errorf("outcome %d: got %v, want %v", i, o.Cause, want[i])
		}
	}
}

func TestCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	s, err := sim.New(system(t, &script{}))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Run(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// clock notes the times that it is told, of which it needs every seventh.
type clock struct{ told []time.Duration }

func (c *clock) Advance(now time.Duration) { c.told = append(c.told, now) }

func (c *clock) Due() time.Duration { return time.Duration(len(c.told)+1) * 7 }

func (*clock) Event(*sim.Event) {}

// TestSamplers lets time pass unobserved, unless another observer needs all of it.
func TestSamplers(t *testing.T) {
	var ops []workloads.Op
	for at := range time.Duration(30) {
		ops = append(ops, timed(at, 100, 1))
	}
	for _, others := range [][]sim.Observer{nil, {&recorder{}}} {
		cfg := system(t, &script{ops: ops})
		cfg.Duration = 30
		c := &clock{}
		s, err := sim.New(cfg, others...)
		if err != nil {
			t.Fatal(err)
		}
		s.Observe(c)
		if err := s.Run(context.Background()); err != nil {
			t.Fatal(err)
		}
		want := "[7ns 14ns 21ns 28ns]"
		if len(others) > 0 {
			want = fmt.Sprint(others[0].(*recorder).times())
		}
		if got := fmt.Sprint(c.told); got != want || s.Now() != 30 {
			t.Errorf("with %d others: told %s until %v, want %s", len(others), got, s.Now(), want)
		}
	}
}

// TestManyTimedBuffers holds the queue of departures against the definition:
// whatever the lifetimes, every buffer is freed at its time.
func TestManyTimedBuffers(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var ops []workloads.Op
	due := map[time.Duration]int{}
	for i := range 2000 {
		lifetime := time.Duration(1 + rng.IntN(500))
		ops = append(ops, timed(time.Duration(i), lifetime, 1))
		due[time.Duration(i)+lifetime]++
	}
	cfg := system(t, &script{ops: ops})
	cfg.CheckEvery = 0
	cfg.Heaps[0].Arena = mem.NewRangeSet(mem.Range{Lo: 0, Hi: 1 << 20})
	counter := frees{due}
	s, err := sim.New(cfg, counter)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Run(context.Background()); err != nil {
		t.Fatal(err)
	}
	for at, n := range due {
		if n != 0 {
			t.Errorf("at %d: %d frees are missing", at, n)
		}
	}
}

type frees struct{ due map[time.Duration]int }

func (f frees) Advance(time.Duration) {}

func (f frees) Event(e *sim.Event) {
	if e.Kind == sim.Free {
		f.due[e.At]--
	}
}
