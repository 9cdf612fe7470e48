package program

import "time"

// Program is a compiled list of steps. It is never changed by running it.
type Program struct {
	code      []instruction
	variables int
}

// instruction is a step with what follows it.
type instruction struct {
	Step
	// target is the instruction that control may jump to: behind the end of a
	// loop from its start, to the start from its end, behind a child's program
	// from its fork.
	target  int32
	loopEnd bool // of a Repeat: this is its end
}

// Compile makes a program of steps that use variables below variables.
func Compile(steps []Step, variables int) *Program {
	p := &Program{variables: variables}
	p.add(steps)
	p.code = append(p.code, instruction{Step: Step{Verb: Exit}})
	return p
}

func (p *Program) add(steps []Step) {
	for _, s := range steps {
		at := len(p.code)
		body := s.Body
		s.Body = nil
		p.code = append(p.code, instruction{Step: s})
		switch s.Verb {
		case Repeat:
			p.add(body)
			p.code = append(p.code, instruction{Step: s, target: int32(at), loopEnd: true})
		case Fork:
			p.add(body)
			p.code = append(p.code, instruction{Step: Step{Verb: Exit}})
		default:
			continue
		}
		p.code[at].target = int32(len(p.code))
	}
}

// Value is what a variable holds: a number whose meaning is up to whoever runs
// the program. The zero Value is unbound.
type Value struct {
	Kind  uint8 // 0: unbound
	Index int64
}

// Thread is a place in a program, with variables. One that has run to its end
// goes on returning Exit.
type Thread struct {
	program   *Program
	next      int32
	loops     []loop
	variables []Value
}

// loop is a Repeat that the thread is in.
type loop struct {
	start int32
	round uint64 // that runs, from 0
	begun time.Duration
}

// NewThread returns a thread at the start of the program.
func (p *Program) NewThread() *Thread {
	return &Thread{program: p, variables: make([]Value, p.variables)}
}

// Get returns the value of a variable.
func (t *Thread) Get(v Variable) Value {
	if v == NoVariable {
		return Value{}
	}
	return t.variables[v]
}

// Set binds a variable; NoVariable is ignored.
func (t *Thread) Set(v Variable, value Value) {
	if v != NoVariable {
		t.variables[v] = value
	}
}

// Variables returns the values of all variables, for whoever runs the program
// to change: an exec unbinds some.
func (t *Thread) Variables() []Value { return t.variables }

// Next returns the step to execute now, or the time until which the thread
// sleeps between two rounds of a loop; step is nil then. Whoever executed the
// step tells by [Thread.Done] how it went, and calls Next again.
func (t *Thread) Next(now time.Duration) (step *Step, until time.Duration) {
	for {
		in := &t.program.code[t.next]
		if in.Verb != Repeat {
			return &in.Step, 0
		}
		if !in.loopEnd {
			t.loops = append(t.loops, loop{start: t.next, begun: now})
			t.next++
			continue
		}
		l := &t.loops[len(t.loops)-1]
		if l.round+1 == in.Count {
			t.leave()
			continue
		}
		if due := l.begun + in.Time; in.Time > 0 && now < due {
			return nil, due
		}
		// A round that took too long makes the next ones late, it is not made up for.
		l.round++
		l.begun = max(l.begun+in.Time, now)
		t.next = in.target + 1
	}
}

// Done says how the step that Next returned went.
func (t *Thread) Done(ok bool) {
	in := &t.program.code[t.next]
	switch {
	case ok || in.MayFail:
		if in.Verb == Fork {
			t.next = in.target
		} else if in.Verb != Exit {
			t.next++
		}
	case len(t.loops) > 0:
		t.leave()
	default:
		t.next = int32(len(t.program.code)) - 1 // the final Exit
	}
}

// leave ends the innermost loop.
func (t *Thread) leave() {
	last := len(t.loops) - 1
	t.next = t.program.code[t.loops[last].start].target
	t.loops = t.loops[:last]
}

// Child returns the thread of the child that the Fork at hand makes. It has the
// values of the variables, and returns to no loop of its parent.
func (t *Thread) Child() *Thread {
	return &Thread{program: t.program, next: t.next + 1, variables: append([]Value(nil), t.variables...)}
}
