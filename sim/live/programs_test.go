package live_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"dmasim/allocator"
	"dmasim/mem"
	"dmasim/sim"
	"dmasim/sim/dmabuf"
	"dmasim/sim/live"
	"dmasim/workloads"
	"dmasim/workloads/program"
)

// machine has processes of the model, which validate holds to the kernel.
type machine struct {
	*dmabuf.System
	running int
	peak    uint64 // bytes that buffers held at most
	breaks  int    // number of the call that fails, from 1
	calls   int
}

var errBroken = errors.New("the machine is broken")

func (m *machine) spawn(descriptors int) (live.Process, error) {
	if err := m.call(); err != nil {
		return nil, err
	}
	m.running++
	return &modelled{m, m.Spawn(descriptors), map[uint64]dmabuf.Mapping{}}, nil
}

// call counts a call.
func (m *machine) call() error {
	if m.calls++; m.calls == m.breaks {
		return errBroken
	}
	return nil
}

func (m *machine) held() (bytes uint64) {
	for _, b := range m.Live(nil) {
		bytes += m.Size(b)
	}
	return bytes
}

// modelled is a process of the machine.
type modelled struct {
	*machine
	pid       dmabuf.PID
	addresses map[uint64]dmabuf.Mapping
}

func errno(e dmabuf.Errno) syscall.Errno {
	switch e {
	case dmabuf.OK:
		return 0
	case dmabuf.EMFILE:
		return syscall.EMFILE
	}
	return syscall.EBADF
}

func (p *modelled) Open(heap int, cloExec bool) (int, syscall.Errno, error) {
	fd, e := p.OpenHeap(p.pid, heap, cloExec)
	return int(fd), errno(e), p.call()
}

func (p *modelled) Alloc(heap int, bytes uint64, cloExec bool) (int, syscall.Errno, error) {
	if _, e := p.HeapOf(p.pid, dmabuf.FD(heap)); e != dmabuf.OK {
		return 0, errno(e), p.call()
	}
	_, fd, e := p.Export(p.pid, (bytes+4095)&^4095, cloExec)
	p.peak = max(p.peak, p.held())
	return int(fd), errno(e), p.call()
}

func (p *modelled) Dup(fd int, cloExec bool) (int, syscall.Errno, error) {
	made, e := p.System.Dup(p.pid, dmabuf.FD(fd), cloExec)
	return int(made), errno(e), p.call()
}

func (p *modelled) Close(fd int) (syscall.Errno, error) {
	return errno(p.System.Close(p.pid, dmabuf.FD(fd))), p.call()
}

func (p *modelled) Mmap(fd int, bytes uint64) (uint64, syscall.Errno, error) {
	m, e := p.System.Mmap(p.pid, dmabuf.FD(fd), 0, bytes)
	address := uint64(m)<<32 | uint64(p.pid)
	p.addresses[address] = m
	return address, errno(e), p.call()
}

func (p *modelled) Munmap(address, _ uint64) (syscall.Errno, error) {
	e := p.System.Munmap(p.pid, p.addresses[address])
	delete(p.addresses, address)
	return errno(e), p.call()
}

func (p *modelled) Touch(address, _ uint64, _ bool) error {
	if _, there := p.addresses[address]; !there {
		return fmt.Errorf("nothing is mapped at %#x", address)
	}
	return p.call()
}

func (p *modelled) Sync(int, program.Access, bool) (syscall.Errno, error) { return 0, p.call() }

func (p *modelled) Fork() (live.Process, syscall.Errno, error) {
	if err := p.call(); err != nil {
		return nil, 0, err
	}
	pid, e := p.System.Fork(p.pid)
	child := &modelled{p.machine, pid, map[uint64]dmabuf.Mapping{}}
	of, to := p.MappingsOf(nil, p.pid), p.MappingsOf(nil, pid)
	for address, m := range p.addresses {
		child.addresses[address] = to[slices.Index(of, m)]
	}
	p.running++
	return child, errno(e), nil
}

func (p *modelled) Exec() (syscall.Errno, error) {
	p.addresses = map[uint64]dmabuf.Mapping{}
	return errno(p.System.Exec(p.pid)), p.call()
}

type inFlight struct {
	*machine
	dmabuf.Message
	taken bool
}

func (m *inFlight) Close() error {
	if !m.taken {
		m.Drop(m.Message)
	}
	return nil
}

func (p *modelled) Send(fd int) (live.Message, syscall.Errno, error) {
	if err := p.call(); err != nil { // there is no message, then
		return nil, 0, err
	}
	m, e := p.System.Send(p.pid, dmabuf.FD(fd))
	return &inFlight{machine: p.machine, Message: m}, errno(e), nil
}

func (p *modelled) Receive(m live.Message, cloExec bool) (int, syscall.Errno, error) {
	message := m.(*inFlight)
	fd, e := p.System.Receive(p.pid, message.Message, cloExec)
	message.taken = e == dmabuf.OK
	return int(fd), errno(e), p.call()
}

func (p *modelled) End() error {
	p.running--
	p.Exit(p.pid)
	return nil
}

const variables = 4

// steps draws the body of a program.
func steps(t *rapid.T, depth int) []program.Step {
	variable := rapid.Map(rapid.IntRange(0, variables-1), func(i int) program.Variable { return program.Variable(i) })
	names := rapid.SampledFrom([]string{"a", "b", "child", "other", "nobody"})
	var list []program.Step
	for range rapid.IntRange(1, 8).Draw(t, "steps") {
		s := program.Step{
			Verb: program.Verb(rapid.IntRange(int(program.Open), int(program.Repeat)).Draw(t, "verb")),
			Of:   variable.Draw(t, "of"), As: variable.Draw(t, "as"), With: program.NoVariable, Heap: 0,
			Process: names.Draw(t, "process"), Name: names.Draw(t, "name"), MayFail: rapid.IntRange(0, 3).Draw(t, "strict") > 0,
			Size: uint64(rapid.IntRange(1, 12000).Draw(t, "size")), Time: time.Duration(rapid.IntRange(1, 5).Draw(t, "time")),
			CloExec: rapid.Bool().Draw(t, "close-on-exec"), Count: uint64(rapid.IntRange(0, 4).Draw(t, "count")),
		}
		switch s.Verb {
		case program.Alloc:
			if rapid.Bool().Draw(t, "open heap") {
				s.Heap = -1
			}
		case program.Repeat, program.Fork:
			if depth == 2 {
				continue
			}
			s.Body = steps(t, depth+1)
		}
		list = append(list, s)
	}
	return list
}

func withPrograms(m *machine, programs map[string][]program.Step) live.Config {
	cfg := config(nil, &script{})
	cfg.Inputs, cfg.Spawn, cfg.Duration = nil, m.spawn, 40
	for _, name := range slices.Sorted(maps.Keys(programs)) {
		cfg.Processes = append(cfg.Processes, sim.Process{Name: name, Descriptors: 6, Program: program.Compile(programs[name], variables)})
	}
	return cfg
}

// TestProgramsKeepTheBudget runs random programs on processes of the model: what the
// buffers hold is what was counted and within the budget, and nothing is left, also
// where a call breaks the machine.
func TestProgramsKeepTheBudget(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := &machine{System: dmabuf.New(), breaks: rapid.IntRange(0, 200).Draw(t, "breaks")}
		cfg := withPrograms(m, map[string][]program.Step{"a": steps(t, 0), "b": steps(t, 0)})
		got, err := live.Run(context.Background(), cfg)
		if err != nil && !errors.Is(err, errBroken) {
			t.Fatal(err)
		}
		if m.peak > uint64(cfg.Budget) || err == nil && m.peak != uint64(got.Peak) {
			t.Errorf("the buffers held %d bytes, counted were %d of %d", m.peak, got.Peak, cfg.Budget)
		}
		if held := m.held(); held > 0 || m.running > 0 {
			t.Errorf("%d bytes and %d processes are left", held, m.running)
		}
		if err == nil && got.Released != got.Served {
			t.Errorf("%d of %d buffers were released", got.Released, got.Served)
		}
	})
}

func TestPrograms(t *testing.T) {
	const a, b, c = 0, 1, 2
	step := func(verb program.Verb, of, as program.Variable) program.Step {
		return program.Step{Verb: verb, Of: of, As: as, With: program.NoVariable}
	}
	alloc := func(size uint64, as program.Variable) program.Step {
		return program.Step{Verb: program.Alloc, Of: program.NoVariable, As: as, Size: size}
	}
	sleep := program.Step{Verb: program.Sleep, Time: 10}
	m := &machine{System: dmabuf.New()}
	dma := step(program.DMA, b, c)
	dma.Time = 5
	mayFail := alloc(12288, b)
	mayFail.MayFail = true
	programs := map[string][]program.Step{
		"camera": {
			alloc(5000, a),
			{Verb: program.Send, Of: a, Process: "display"},
			step(program.Close, a, program.NoVariable),
			mayFail, // the display still has the first one
			alloc(4096, a),
			step(program.Attach, a, b),
			dma,
			{Verb: program.Send, Of: c, Process: "display"}, // a fence
			step(program.Wait, c, program.NoVariable),
			step(program.Close, c, program.NoVariable),
			{Verb: program.Fork, Name: "child", Body: []program.Step{{Verb: program.Exec, Name: "helper"}, {Verb: program.Sleep, Time: 1000}}},
			step(program.Close, a, program.NoVariable),
			step(program.Close, a, program.NoVariable), // again
		},
		"display": {
			step(program.Receive, program.NoVariable, a),
			step(program.Mmap, a, b),
			step(program.Close, a, program.NoVariable),
			step(program.Receive, program.NoVariable, c),
			sleep,
			step(program.Read, b, program.NoVariable),
			step(program.Munmap, b, program.NoVariable),
			step(program.Receive, program.NoVariable, a), // for ever
		},
	}
	got, err := live.Run(context.Background(), withPrograms(m, programs))
	want := live.Summary{
		Requests: 3, Served: 2, OverBudget: 1, Refused: []live.Refusal{}, Peak: 12 * mem.KiB, PeakCount: 2, Released: 2,
		First: &live.Failure{At: 0, Client: "camera", Size: 12288, Cause: "limit"},
		Programs: &live.Programs{
			Processes: 3, MostAtOnce: 3, Steps: 17, Failed: 2,
			NotPlayed:   []live.Skipped{{"attach", 1}, {"close", 1}, {"dma", 1}, {"receive", 1}, {"send", 1}, {"wait", 1}},
			FirstMisuse: &live.Misuse{At: 5, Process: "camera", Step: "close", Errno: syscall.EBADF.Error()},
			Running:     2, Waiting: 1, Held: 1, HeldBytes: 4096,
		},
	}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
}

// TestProgramsBesideSources plays both within one budget, in the order of their times.
func TestProgramsBesideSources(t *testing.T) {
	m := &machine{System: dmabuf.New()}
	cfg := withPrograms(m, map[string][]program.Step{"a": {
		{Verb: program.Sleep, Time: 2},
		{Verb: program.Alloc, Of: program.NoVariable, As: 0, Size: 8192},
		{Verb: program.Sleep, Time: 2},
	}})
	s := &script{ops: []workloads.Op{alloc(1, 1, 8192, 0), alloc(3, 2, 4096, 0), alloc(5, 3, 4096, 0)}}
	h := &fake{}
	cfg.Heap = []live.Heap{h}
	cfg.Inputs = []sim.Input{{Name: "script", Source: s, Clients: []int{0}}}
	got, err := live.Run(context.Background(), cfg)
	if err != nil || got.Served != 3 || got.OverBudget != 1 || got.Peak != 16*mem.KiB || h.open != 0 {
		t.Errorf("%v, %+v, %d left open", err, got, h.open)
	}
	if diff := cmp.Diff([]allocator.Cause{allocator.None, allocator.Limit, allocator.None}, s.causes); diff != "" {
		t.Error(diff)
	}
}

func TestProgramsLetTimePass(t *testing.T) {
	m := &machine{System: dmabuf.New()}
	cfg := withPrograms(m, map[string][]program.Step{"a": {{Verb: program.Repeat, Body: []program.Step{
		{Verb: program.Attach, MayFail: true, Of: 0, As: program.NoVariable},
	}}}})
	if _, err := live.Run(context.Background(), cfg); !errors.Is(err, sim.ErrNoTime) || m.running > 0 {
		t.Errorf("%v, %d processes are left", err, m.running)
	}
}
