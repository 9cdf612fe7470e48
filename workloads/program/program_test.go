package program_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"dmasim/workloads/program"
)

// run executes a thread until it exits or has done limit steps; failing names
// the steps, by their number from 0, that fail. It returns what was done when.
func run(t *program.Thread, limit int, failing ...int) string {
	var log []string
	var now time.Duration
	for n := 0; n < limit; {
		step, until := t.Next(now)
		if step == nil {
			now = until
			continue
		}
		log = append(log, fmt.Sprintf("%v@%v", step.Verb, now))
		if step.Verb == program.Exit {
			break
		}
		if step.Verb == program.Sleep {
			now += step.Time
		}
		t.Done(!slices.Contains(failing, n))
		n++
	}
	return strings.Join(log, " ")
}

func TestControlFlow(t *testing.T) {
	const ms = time.Millisecond
	alloc, closing := program.Step{Verb: program.Alloc}, program.Step{Verb: program.Close}
	sleep := func(d time.Duration) program.Step { return program.Step{Verb: program.Sleep, Time: d} }
	repeat := func(count uint64, every time.Duration, body ...program.Step) program.Step {
		return program.Step{Verb: program.Repeat, Count: count, Time: every, Body: body}
	}
	mayFail := alloc
	mayFail.MayFail = true
	tests := map[string]struct {
		steps   []program.Step
		failing []int
		want    string
	}{
		"nothing":                      {nil, nil, "exit@0s"},
		"in order":                     {[]program.Step{alloc, closing}, nil, "alloc@0s close@0s exit@0s"},
		"a failure ends the process":   {[]program.Step{alloc, closing}, []int{0}, "alloc@0s exit@0s"},
		"one that may fail does not":   {[]program.Step{mayFail, closing}, []int{0}, "alloc@0s close@0s exit@0s"},
		"a loop":                       {[]program.Step{repeat(2, 0, alloc), closing}, nil, "alloc@0s alloc@0s close@0s exit@0s"},
		"a loop of nothing":            {[]program.Step{repeat(2, ms), closing}, nil, "close@1ms exit@1ms"},
		"paced":                        {[]program.Step{repeat(3, 10*ms, alloc, sleep(4*ms))}, nil, "alloc@0s sleep@0s alloc@10ms sleep@10ms alloc@20ms sleep@20ms exit@24ms"},
		"a late round":                 {[]program.Step{repeat(2, 10*ms, sleep(25*ms))}, nil, "sleep@0s sleep@25ms exit@50ms"},
		"a failure ends the inner one": {[]program.Step{repeat(2, 0, repeat(0, 0, alloc), closing)}, []int{2, 4}, "alloc@0s alloc@0s alloc@0s close@0s alloc@0s close@0s exit@0s"},
		"exit in a loop":               {[]program.Step{repeat(0, 0, alloc, program.Step{Verb: program.Exit})}, nil, "alloc@0s exit@0s"},
		"the parent skips the child":   {[]program.Step{{Verb: program.Fork, Body: []program.Step{alloc}}, closing}, nil, "fork@0s close@0s exit@0s"},
		"a fork that fails":            {[]program.Step{{Verb: program.Fork, MayFail: true, Body: []program.Step{alloc}}, closing}, []int{0}, "fork@0s close@0s exit@0s"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := run(program.Compile(test.steps, 0).NewThread(), 100, test.failing...); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

func TestChild(t *testing.T) {
	steps := []program.Step{
		{Verb: program.Repeat, Count: 2, Body: []program.Step{
			{Verb: program.Alloc, As: 0},
			{Verb: program.Fork, Body: []program.Step{{Verb: program.Close, Of: 0}}},
			{Verb: program.Dup, Of: 0, As: 1},
		}},
	}
	parent := program.Compile(steps, 2).NewThread()
	parent.Next(0)
	parent.Set(0, program.Value{Kind: 1, Index: 7})
	parent.Done(true)
	if step, _ := parent.Next(0); step.Verb != program.Fork {
		t.Fatalf("got %v", step.Verb)
	}
	child := parent.Child()
	parent.Done(true)
	parent.Set(0, program.Value{})
	if got := child.Get(0); got.Index != 7 {
		t.Errorf("the child's variable is %v", got)
	}
	if got, want := run(child, 10), "close@0s exit@0s"; got != want {
		t.Errorf("child: got %s, want %s", got, want)
	}
	if got, want := run(parent, 10), "dup@0s alloc@0s fork@0s dup@0s exit@0s"; got != want {
		t.Errorf("parent: got %s, want %s", got, want)
	}
}

func TestVerbNames(t *testing.T) {
	seen := map[string]bool{}
	for v := program.Open; v <= program.Repeat; v++ {
		if name := v.String(); name == "" || seen[name] {
			t.Errorf("verb %d: name %q", v, name)
		} else {
			seen[name] = true
		}
	}
}

// A program that allocates until it gets no more, as the hog of every story
// about pinned memory does.
func ExampleCompile() {
	hog := program.Compile([]program.Step{
		{Verb: program.Repeat, Time: 10 * time.Millisecond, Body: []program.Step{
			{Verb: program.Alloc, Size: 1 << 20, As: program.NoVariable},
		}},
	}, 0).NewThread()
	granted := 3
	var now time.Duration
	for {
		step, until := hog.Next(now)
		if step == nil {
			now = until
			continue
		}
		if step.Verb == program.Exit {
			fmt.Println("exit at", now)
			return
		}
		fmt.Println(step.Verb, "at", now)
		hog.Done(granted > 0)
		granted--
	}
	// Output:
	// alloc at 0s
	// alloc at 10ms
	// alloc at 20ms
	// alloc at 30ms
	// exit at 30ms
}
