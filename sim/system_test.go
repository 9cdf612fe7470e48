package sim_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"dmasim/allocator"
	"dmasim/allocator/kernel/version"
	"dmasim/devices"
	"dmasim/devices/machine"
	"dmasim/mem"
	"dmasim/sim"
	"dmasim/workloads"
	"dmasim/workloads/program"
)

const ms = time.Millisecond

// machineWith is a machine of 64 MiB with 16 MiB of CMA, a system heap (0), a CMA
// heap (1), a carveout (2) and a pooled heap (3), and a camera (0) and a display
// (1).
func machineWith(t testing.TB, processes ...sim.Process) sim.Config {
	t.Helper()
	ram := mem.NewRangeSet(mem.Range{Lo: 0, Hi: uint64(64 * mem.MiB)})
	zones, err := machine.Zones(machine.Platform{Arch: machine.AMD64}, ram)
	if err != nil {
		t.Fatal(err)
	}
	cfg := sim.Config{
		CheckEvery: 1,
		Machine: &sim.Machine{
			Kernel: version.Modelled, Page: 4096, Zones: zones, PerCPULists: true, Swap: uint64(8 * mem.MiB),
			CMA:          []sim.CMAArea{{Name: "reserved", Range: mem.Range{Lo: uint64(32 * mem.MiB), Hi: uint64(48 * mem.MiB)}}},
			KernelMemory: uint64(4 * mem.MiB), PageCache: uint64(4 * mem.MiB), Seed: 1,
		},
		Heaps: []sim.Heap{
			{Name: "system", Kind: sim.SystemHeap, Granule: 4096, Mode: 0o600},
			{Name: "reserved", Kind: sim.CMAHeap, Granule: 4096, Mode: 0o660, Group: 44},
			{Name: "carveout", Arena: mem.NewRangeSet(mem.Range{Lo: uint64(1 * mem.GiB), Hi: uint64(1*mem.GiB + 4*mem.MiB)}), Granule: 4096, Allocator: "first-fit", Mode: 0o666},
			{Name: "pooled", Kind: sim.PooledHeap, Granule: 4096, Mode: 0o600, PoolSize: uint64(2 * mem.MiB), FreeDelay: 3 * ms},
		},
		Devices: []devices.Device{{Name: "camera"}, {Name: "display", Coherence: devices.Coherent}},
	}
	anywhere, err := devices.Merge()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range processes {
		for _, name := range append([]string{p.Name}, "child", "other") {
			if !slices.ContainsFunc(cfg.Clients, func(c sim.Client) bool { return c.Name == name }) {
				cfg.Clients = append(cfg.Clients, sim.Client{Name: name, Heap: -1, Plan: anywhere})
			}
		}
		if p.Descriptors == 0 {
			p.Descriptors = 1024
		}
		cfg.Processes = append(cfg.Processes, p)
	}
	return cfg
}

// story is an observer that keeps what went wrong or was refused, as text.
type story struct {
	cfg   sim.Config
	lines []string
	kinds map[sim.Kind]int
	live  uint64

	failedMaps int
}

func (s *story) Advance(time.Duration) {}

func (s *story) Event(e *sim.Event) {
	if s.kinds == nil {
		s.kinds = map[sim.Kind]int{}
	}
	s.kinds[e.Kind]++
	switch {
	case e.Kind == sim.Incident:
		text := fmt.Sprintf("%v %v", e.At, e.Incident.Kind)
		if e.Incident.Actor != "" {
			text += " " + e.Incident.Actor
		}
		if victim := e.Incident.Victim; victim != "" && (victim != e.Incident.Actor || e.Incident.Kind == sim.OutOfMemory) {
			text += " " + victim
		}
		s.lines = append(s.lines, text)
	case e.Diagnosis.Cause != allocator.None:
		if e.Kind == sim.Map {
			s.failedMaps++
		}
		s.lines = append(s.lines, fmt.Sprintf("%v %s: %v", e.At, s.cfg.Clients[e.Client].Name, e.Diagnosis.Cause))
	case e.Kind == sim.Alloc:
		s.live += e.Size
	case e.Kind == sim.Free:
		s.live -= e.Size
		s.lines = append(s.lines, fmt.Sprintf("%v free %s", e.At, mem.Size(e.Size)))
	}
}

// play runs a system and returns its story.
func play(t testing.TB, cfg sim.Config) (*story, *sim.Simulation) {
	t.Helper()
	seen := &story{cfg: cfg}
	s, err := sim.New(cfg, seen)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Run(context.Background()); err != nil {
		t.Fatal(err)
	}
	return seen, s
}

// Variables of the programs below.
const (
	a program.Variable = iota
	b
	c
	d
	variables
)

const none = program.NoVariable

func do(steps ...program.Step) *program.Program { return program.Compile(steps, int(variables)) }

func get(heap int32, size mem.Size, as program.Variable) program.Step {
	return program.Step{Verb: program.Alloc, Heap: heap, Size: uint64(size), Of: none, As: as}
}

func on(verb program.Verb, of program.Variable) program.Step {
	return program.Step{Verb: verb, Of: of, As: none}
}

func bind(verb program.Verb, of, as program.Variable) program.Step {
	return program.Step{Verb: verb, Of: of, As: as}
}

func attach(of program.Variable, device int32, as program.Variable) program.Step {
	return program.Step{Verb: program.Attach, Of: of, Device: device, As: as}
}

func transfer(of program.Variable, access program.Access, length time.Duration) program.Step {
	return program.Step{Verb: program.DMA, Of: of, Access: access, Time: length, As: none, With: none}
}

func unfenced(s program.Step) program.Step {
	s.Unfenced = true
	return s
}

// explicit makes a transfer wait for a fence and have one, beside those of the
// buffer, which its driver ignores.
func explicit(s program.Step, after, as program.Variable) program.Step {
	s.Unfenced, s.With, s.As = true, after, as
	return s
}

func wait(of program.Variable, access program.Access, most time.Duration) program.Step {
	return program.Step{Verb: program.Wait, Of: of, Access: access, Time: most, As: none}
}

func cpu(verb program.Verb, of program.Variable, access program.Access) program.Step {
	return program.Step{Verb: verb, Of: of, Access: access, As: none}
}

func sleep(length time.Duration) program.Step {
	return program.Step{Verb: program.Sleep, Time: length, Of: none, As: none}
}

func named(verb program.Verb, name string, body ...program.Step) program.Step {
	return program.Step{Verb: verb, Name: name, Process: name, Of: none, As: none, Body: body}
}

func sendTo(name string, of program.Variable) program.Step {
	return program.Step{Verb: program.Send, Process: name, Of: of, As: none}
}

func may(s program.Step) program.Step {
	s.MayFail = true
	return s
}

// TestProcesses tells what becomes of small programs.
func TestProcesses(t *testing.T) {
	const r, w = program.ReadOnly, program.WriteOnly
	tests := map[string]struct {
		processes []sim.Process
		change    func(*sim.Config)
		want      []string
	}{
		"the end of a process frees": {
			processes: []sim.Process{{Name: "p", Program: do(get(0, mem.MiB, a), sleep(ms))}},
			want:      []string{"1ms free 1MiB"},
		},
		"a duplicate keeps it": {
			processes: []sim.Process{{Name: "p", Program: do(get(0, mem.MiB, a), bind(program.Dup, a, b), on(program.Close, a), sleep(ms), on(program.Close, b), sleep(ms))}},
			want:      []string{"1ms free 1MiB"},
		},
		"a mapping keeps it": {
			processes: []sim.Process{{Name: "p", Program: do(get(0, mem.MiB, a), bind(program.Mmap, a, b), on(program.Close, a), sleep(ms), on(program.Write, b), on(program.Munmap, b), sleep(ms))}},
			want:      []string{"1ms free 1MiB"},
		},
		"a child keeps it": {
			processes: []sim.Process{{Name: "p", Program: do(get(0, mem.MiB, a), named(program.Fork, "child", sleep(5*ms)), on(program.Close, a), sleep(ms))}},
			want:      []string{"5ms free 1MiB"},
		},
		"exec closes what is marked": {
			processes: []sim.Process{{Name: "p", Program: do(
				program.Step{Verb: program.Alloc, Size: uint64(mem.MiB), Of: none, As: a, CloExec: true}, get(0, 2*mem.MiB, b), sleep(ms), named(program.Exec, "other"), sleep(ms))}},
			want: []string{"1ms free 1MiB", "2ms free 2MiB"},
		},
		"a message keeps it": {
			processes: []sim.Process{
				{Name: "p", Program: do(get(0, mem.MiB, a), sendTo("q", a), on(program.Close, a))},
				{Name: "q", Start: ms, Program: do(bind(program.Receive, none, a), sleep(ms), on(program.Close, a), sleep(ms))},
			},
			want: []string{"2ms free 1MiB"},
		},
		"a receiver waits": {
			processes: []sim.Process{
				{Name: "q", Program: do(bind(program.Receive, none, a), on(program.Close, a), sleep(ms))},
				{Name: "p", Start: 3 * ms, Program: do(get(0, mem.MiB, a), sendTo("q", a), sleep(5*ms), on(program.Close, a))},
			},
			want: []string{"8ms free 1MiB"},
		},
		"messages die with their receiver": {
			processes: []sim.Process{
				{Name: "q", Program: do(sleep(4 * ms))},
				{Name: "p", Program: do(get(0, mem.MiB, a), sendTo("q", a), on(program.Close, a), sleep(9*ms))},
			},
			want: []string{"4ms free 1MiB"},
		},
		"killed": {
			processes: []sim.Process{
				{Name: "q", Program: do(get(0, mem.MiB, a), sleep(time.Hour))},
				{Name: "p", Start: ms, Program: do(named(program.Kill, "q"), may(named(program.Kill, "q")))},
			},
			want: []string{"1ms free 1MiB", "1ms misuse p"},
		},
		"a step that fails ends the process": {
			processes: []sim.Process{{Name: "p", Program: do(get(0, mem.MiB, a), on(program.Close, b), sleep(ms))}},
			want:      []string{"0s misuse p", "0s free 1MiB"},
		},
		"descriptors run out after the memory is there": {
			processes: []sim.Process{{Name: "p", Descriptors: 1, Program: do(get(0, mem.MiB, a), may(get(0, mem.MiB, b)), sleep(ms))}},
			want:      []string{"0s p: limit", "1ms free 1MiB"},
		},
		"a limit of the heap": {
			processes: []sim.Process{{Name: "p", Program: do(get(0, mem.MiB, a), may(get(0, mem.MiB, b)), on(program.Close, a), get(0, mem.MiB, b))}},
			change:    func(cfg *sim.Config) { cfg.Heaps[0].Limit = uint64(3 * mem.MiB / 2) },
			want:      []string{"0s p: limit", "0s free 1MiB", "0s free 1MiB"},
		},
		"a limit of each client": {
			processes: []sim.Process{
				{Name: "p", Program: do(get(0, mem.MiB, a), may(get(0, mem.MiB, b)), sleep(ms))},
				{Name: "q", Program: do(get(0, mem.MiB, a), sleep(ms))},
			},
			change: func(cfg *sim.Config) { cfg.Heaps[0].LimitPerClient = uint64(mem.MiB) },
			want:   []string{"0s p: limit", "1ms free 1MiB", "1ms free 1MiB"},
		},
		"only root may open": {
			processes: []sim.Process{{Name: "p", User: 1000, Groups: []uint32{7, 44}, Program: do(may(get(0, mem.MiB, a)), get(1, mem.MiB, b), get(2, mem.MiB, c))}},
			want:      []string{"0s p: permission", "0s free 1MiB", "0s free 1MiB"},
		},
		"an open heap can be passed on": {
			processes: []sim.Process{
				{Name: "p", Program: do(program.Step{Verb: program.Open, Heap: 0, Of: none, As: a}, sendTo("q", a))},
				{Name: "q", User: 1000, Program: do(bind(program.Receive, none, a), program.Step{Verb: program.Alloc, Heap: -1, Of: a, As: b, Size: uint64(mem.MiB)})},
			},
			want: []string{"0s free 1MiB"},
		},
		"a driver keeps it while a transfer runs": {
			processes: []sim.Process{{Name: "p", Program: do(get(0, mem.MiB, a), attach(a, 0, b), on(program.MapDMA, b), transfer(b, w, 10*ms), on(program.Close, a))}},
			want:      []string{"10ms free 1MiB"},
		},
		"a driver without fences does not": {
			processes: []sim.Process{
				{Name: "p", Program: do(get(2, mem.MiB, a), attach(a, 0, b), on(program.MapDMA, b), unfenced(transfer(b, w, 10*ms)), sleep(ms))},
				{Name: "q", Start: 5 * ms, Program: do(get(2, mem.MiB, a), sleep(ms))},
			},
			want: []string{"1ms use-after-free camera p", "1ms free 1MiB", "5ms scribble camera q", "6ms free 1MiB"},
		},
		"frames that the kernel got are hit": {
			processes: []sim.Process{
				{Name: "p", Program: do(get(0, mem.MiB, a), attach(a, 0, b), on(program.MapDMA, b), unfenced(transfer(b, w, 10*ms)), sleep(ms))},
				{Name: "q", Start: 5 * ms, Program: do(program.Step{Verb: program.Grow, Memory: program.Kernel, Size: uint64(30 * mem.MiB), Of: none, As: none}, sleep(20*ms))},
			},
			want: []string{"1ms use-after-free camera p", "1ms free 1MiB", "10ms scribble camera the kernel"},
		},
		"a display waits for the camera": {
			processes: []sim.Process{{Name: "p", Program: do(get(0, mem.MiB, a), attach(a, 0, b), attach(a, 1, c), on(program.MapDMA, b), on(program.MapDMA, c),
				transfer(b, w, 10*ms), transfer(c, r, 5*ms), on(program.Close, a))}},
			want: []string{"15ms free 1MiB"},
		},
		"or does not, without fences": {
			processes: []sim.Process{{Name: "p", Program: do(get(0, mem.MiB, a), attach(a, 0, b), attach(a, 1, c), on(program.MapDMA, b), on(program.MapDMA, c),
				unfenced(transfer(b, w, 10*ms)), unfenced(transfer(c, r, 5*ms)), sleep(20*ms))}},
			want: []string{"0s race display p", "20ms free 1MiB"},
		},
		"readers don't wait for each other": {
			processes: []sim.Process{{Name: "p", Program: do(get(0, mem.MiB, a), attach(a, 0, b), attach(a, 1, c), on(program.MapDMA, b), on(program.MapDMA, c),
				transfer(b, r, 10*ms), transfer(c, r, 5*ms), on(program.Close, a))}},
			want: []string{"10ms free 1MiB"},
		},
		"a device does one at a time": {
			processes: []sim.Process{{Name: "p", Program: do(get(0, mem.MiB, a), attach(a, 0, b), on(program.MapDMA, b),
				transfer(b, r, 10*ms), transfer(b, r, 5*ms), on(program.Close, a))}},
			want: []string{"15ms free 1MiB"},
		},
		"waiting for a writer": {
			processes: []sim.Process{{Name: "p", Program: do(get(0, mem.MiB, a), attach(a, 0, b), on(program.MapDMA, b), transfer(b, w, 10*ms),
				on(program.Detach, b), wait(a, r, 0))}},
			want: []string{"10ms free 1MiB"},
		},
		"a reader doesn't wait for readers": {
			processes: []sim.Process{{Name: "p", Program: do(get(0, mem.MiB, a), attach(a, 0, b), on(program.MapDMA, b), transfer(b, r, 10*ms),
				wait(a, r, 0), get(0, 2*mem.MiB, c), on(program.Close, c), wait(a, w, 0))}},
			want: []string{"0s free 2MiB", "10ms free 1MiB"},
		},
		"a deadline": {
			processes: []sim.Process{{Name: "p", Program: do(get(0, mem.MiB, a), attach(a, 0, b), on(program.MapDMA, b), transfer(b, w, 10*ms), wait(a, r, 4*ms))}},
			want:      []string{"4ms deadline-missed p", "10ms free 1MiB"},
		},
		"a deadline that is kept": {
			processes: []sim.Process{{Name: "p", Program: do(get(0, mem.MiB, a), attach(a, 0, b), on(program.MapDMA, b), transfer(b, w, 10*ms), wait(a, r, 10*ms), sleep(ms))}},
			want:      []string{"11ms free 1MiB"},
		},
		"an explicit fence": {
			processes: []sim.Process{{Name: "p", Program: do(get(0, mem.MiB, a), attach(a, 0, b), on(program.MapDMA, b),
				program.Step{Verb: program.DMA, Of: b, Access: w, Time: 10 * ms, As: c, With: none}, wait(c, 0, 0), sleep(ms))}},
			want: []string{"11ms free 1MiB"},
		},
		"explicit fences": {
			processes: []sim.Process{{Name: "p", Program: do(get(0, mem.MiB, a), attach(a, 0, b), on(program.MapDMA, b), attach(a, 1, c), on(program.MapDMA, c),
				explicit(transfer(b, w, 10*ms), none, d), explicit(transfer(c, r, 5*ms), d, d), on(program.Close, a), wait(d, 0, 0), sleep(ms))}},
			want: []string{"16ms free 1MiB"},
		},
		"fences handed from buffer to buffer": {
			processes: []sim.Process{{Name: "p", Program: do(get(0, mem.MiB, a), attach(a, 0, b), on(program.MapDMA, b), transfer(b, w, 10*ms),
				program.Step{Verb: program.ExportFences, Of: a, Access: r, As: c, With: none}, get(0, 2*mem.MiB, d),
				program.Step{Verb: program.ImportFences, Of: d, Access: w, With: c, As: none}, wait(d, r, 0), on(program.Close, d), sleep(ms))}},
			want: []string{"10ms free 2MiB", "11ms free 1MiB"},
		},
		"a transfer needs a map": {
			processes: []sim.Process{{Name: "p", Program: do(get(0, mem.MiB, a), attach(a, 0, b), transfer(b, w, ms))}},
			want:      []string{"0s misuse p", "0s free 1MiB"},
		},
		"reading without a bracket": {
			processes: []sim.Process{{Name: "p", Program: do(get(0, mem.MiB, a), bind(program.Mmap, a, c), attach(a, 0, b), on(program.MapDMA, b), transfer(b, w, ms),
				wait(a, r, 0), on(program.Read, c), cpu(program.BeginCPUAccess, a, r), on(program.Read, c), cpu(program.EndCPUAccess, a, r))}},
			want: []string{"1ms stale-read p", "1ms free 1MiB"},
		},
		"a bracket waits": {
			processes: []sim.Process{{Name: "p", Program: do(get(0, mem.MiB, a), bind(program.Mmap, a, c), attach(a, 0, b), on(program.MapDMA, b), transfer(b, w, 5*ms),
				cpu(program.BeginCPUAccess, a, r), on(program.Read, c))}},
			want: []string{"5ms free 1MiB"},
		},
		"reading what is being written": {
			processes: []sim.Process{{Name: "p", Program: do(get(0, mem.MiB, a), bind(program.Mmap, a, c), attach(a, 1, b), on(program.MapDMA, b), transfer(b, w, 5*ms), on(program.Read, c))}},
			want:      []string{"0s race p", "5ms free 1MiB"},
		},
		"a device reads what is in a cache": {
			processes: []sim.Process{{Name: "p", Program: do(get(0, mem.MiB, a), bind(program.Mmap, a, c), attach(a, 0, b), on(program.MapDMA, b),
				on(program.Write, c), transfer(b, r, ms), wait(a, w, 0), cpu(program.EndCPUAccess, a, w), transfer(b, r, ms))}},
			want: []string{"0s stale-transfer camera p", "2ms free 1MiB"},
		},
		"out of reach": {
			processes: []sim.Process{{Name: "p", Program: do(get(2, mem.MiB, a), attach(a, 0, b), on(program.MapDMA, b), sleep(ms))}},
			change:    func(cfg *sim.Config) { cfg.Devices[0].AddressBits = 28 },
			want:      []string{"0s p: unreachable", "0s free 1MiB"},
		},
		"too many pieces": {
			processes: []sim.Process{{Name: "p", Program: do(get(0, mem.MiB+4*mem.KiB, a), attach(a, 0, b), on(program.MapDMA, b), sleep(ms))}},
			change:    func(cfg *sim.Config) { cfg.Devices[0].Contiguous = true },
			want:      []string{"0s p: segments", "0s free 1028KiB"},
		},
		"one piece": {
			processes: []sim.Process{{Name: "p", Program: do(get(1, mem.MiB+4*mem.KiB, a), attach(a, 0, b), on(program.MapDMA, b), sleep(ms))}},
			change:    func(cfg *sim.Config) { cfg.Devices[0].Contiguous = true },
			want:      []string{"1ms free 1028KiB"},
		},
		"truncated": {
			processes: []sim.Process{
				{Name: "p", Program: do(get(2, mem.MiB, a), attach(a, 0, b), on(program.MapDMA, b), transfer(b, w, ms))},
			},
			change: func(cfg *sim.Config) { cfg.Devices[0].AddressBits, cfg.Devices[0].Beyond = 28, devices.Truncate },
			want:   []string{"0s write-to-free camera", "1ms free 1MiB"},
		},
		"faults": {
			processes: []sim.Process{
				{Name: "p", Program: do(get(2, mem.MiB, a), attach(a, 0, b), on(program.MapDMA, b), transfer(b, w, ms))},
			},
			change: func(cfg *sim.Config) { cfg.Devices[0].AddressBits, cfg.Devices[0].Beyond = 28, devices.Faults },
			want:   []string{"0s fault camera p", "1ms free 1MiB"},
		},
		"overshoot hits the neighbour": {
			processes: []sim.Process{{Name: "p", Program: do(get(2, mem.MiB, a), get(2, mem.MiB, c), attach(a, 0, b), on(program.MapDMA, b), transfer(b, w, ms), wait(a, w, 0))}},
			change:    func(cfg *sim.Config) { cfg.Devices[0].Padding = 64 },
			want:      []string{"0s scribble camera p", "1ms free 1MiB", "1ms free 1MiB"},
		},
		"a guard takes it": {
			processes: []sim.Process{{Name: "p", Program: do(get(2, mem.MiB, a), get(2, mem.MiB, c), attach(a, 0, b), on(program.MapDMA, b), transfer(b, w, ms), wait(a, w, 0))}},
			change:    func(cfg *sim.Config) { cfg.Devices[0].Padding, cfg.Heaps[2].Guard = 64, 64 },
			want:      []string{"1ms free 1MiB", "1ms free 1MiB"},
		},
		"overshoot within the last page": {
			processes: []sim.Process{{Name: "p", Program: do(get(2, mem.MiB-64, a), get(2, mem.MiB, c), attach(a, 0, b), on(program.MapDMA, b), transfer(b, w, ms), wait(a, w, 0))}},
			change:    func(cfg *sim.Config) { cfg.Devices[0].Padding = 64 },
			want:      []string{"1ms free 1MiB", "1ms free 1048512B"},
		},
		"a guard in another piece does not": {
			processes: []sim.Process{{Name: "p", Program: do(get(0, mem.MiB, a), attach(a, 0, b), on(program.MapDMA, b), transfer(b, w, ms), wait(a, w, 0))}},
			change:    func(cfg *sim.Config) { cfg.Devices[0].Padding, cfg.Heaps[0].Guard = 64, 64 },
			want:      []string{"0s write-to-free camera", "1ms free 1MiB"},
		},
		"unless an IOMMU makes one of them": {
			processes: []sim.Process{{Name: "p", Program: do(get(0, mem.MiB, a), attach(a, 0, b), on(program.MapDMA, b), transfer(b, w, ms), wait(a, w, 0))}},
			change: func(cfg *sim.Config) {
				cfg.Devices[0].Padding, cfg.Heaps[0].Guard, cfg.Devices[0].IOMMU = 64, 64, devices.AlwaysIOMMU
			},
			want: []string{"1ms free 1MiB"},
		},
		"too large for the first system heap": {
			processes: []sim.Process{{Name: "p", Program: do(get(0, 3*mem.GiB, a))}},
			change:    func(cfg *sim.Config) { cfg.Machine.Kernel = version.Version{Major: 5, Minor: 7} },
			want:      []string{"0s p: limit"},
		},
		"or the machine": {
			processes: []sim.Process{{Name: "p", Program: do(get(0, 3*mem.GiB, a))}},
			want:      []string{"0s out-of-memory p p", "0s p: exhausted"},
		},
		"nobody left to kill": {
			processes: []sim.Process{{Name: "p", OOMScoreAdj: -1000, Program: do(get(0, 3*mem.GiB, a), sleep(time.Hour))}},
			want:      []string{"0s panic", "0s p: exhausted"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			cfg := machineWith(t, test.processes...)
			if test.change != nil {
				test.change(&cfg)
			}
			seen, _ := play(t, cfg)
			if got, want := strings.Join(seen.lines, "\n"), strings.Join(test.want, "\n"); got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

// TestNoTime: a program that goes on for ever at one instant is an error, not a
// hang.
func TestNoTime(t *testing.T) {
	cfg := machineWith(t, sim.Process{Name: "p", Program: do(program.Step{Verb: program.Repeat, Of: none, As: none, Body: []program.Step{
		may(on(program.Close, a)),
	}})})
	cfg.CheckEvery = 0
	s, err := sim.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Run(context.Background()); err == nil || !strings.Contains(err.Error(), sim.ErrNoTime.Error()) {
		t.Errorf("got %v", err)
	}
}

// TestRandomPrograms runs random programs of every verb on a small machine, with
// every invariant checked after every event. When all processes are gone all
// memory is back.
func TestRandomPrograms(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		variable := rapid.Map(rapid.IntRange(int(a), int(d)), func(v int) program.Variable { return program.Variable(v) })
		// use is a buffer with a device, as far as it goes: steps drawn one by one
		// seldom get there.
		use := func() (list []program.Step) {
			buffer, device := variable.Draw(rt, "buffer"), variable.Draw(rt, "attachment")
			dma := program.Step{
				Verb: program.DMA, Of: device, As: none, With: none, Access: program.Access(rapid.IntRange(1, 3).Draw(rt, "access")),
				Time: time.Duration(rapid.IntRange(1, 20).Draw(rt, "length")) * ms, Unfenced: rapid.Bool().Draw(rt, "careless"),
			}
			pause := program.Step{Verb: program.Sleep, Time: time.Duration(rapid.IntRange(1, 9).Draw(rt, "pause")) * ms}
			list = append(list, get(int32(rapid.IntRange(0, 3).Draw(rt, "from")), mem.Size(rapid.IntRange(1, 80).Draw(rt, "pages"))*4*mem.KiB, buffer),
				program.Step{Verb: program.Attach, Of: buffer, Device: int32(rapid.IntRange(0, 1).Draw(rt, "device")), As: device},
				on(program.MapDMA, device), dma)
			for _, end := range rapid.Permutation([]program.Step{pause, dma, on(program.UnmapDMA, device), on(program.Detach, device), on(program.Close, buffer)}).Draw(rt, "ends") {
				if rapid.IntRange(0, 3).Draw(rt, "left out") > 0 {
					list = append(list, end)
				}
			}
			for i := range list {
				list[i].MayFail = true
			}
			return list
		}
		var steps func(depth int) []program.Step
		steps = func(depth int) []program.Step {
			var list []program.Step
			for range rapid.IntRange(1, 12).Draw(rt, "steps") {
				if rapid.IntRange(0, 2).Draw(rt, "use") == 0 {
					list = append(list, use()...)
					continue
				}
				s := program.Step{
					Verb:    program.Verb(rapid.IntRange(int(program.Open), int(program.Repeat)).Draw(rt, "verb")),
					MayFail: rapid.IntRange(0, 4).Draw(rt, "may fail") > 0,
					Of:      variable.Draw(rt, "of"), As: variable.Draw(rt, "as"),
					Heap: int32(rapid.IntRange(0, 3).Draw(rt, "heap")), Device: int32(rapid.IntRange(0, 1).Draw(rt, "device")),
					Name: "child", Process: rapid.SampledFrom([]string{"p", "q", "child"}).Draw(rt, "process"),
					Size: rapid.Uint64Range(1, 300).Draw(rt, "size") * 4096, Time: time.Duration(rapid.IntRange(1, 5).Draw(rt, "time")) * ms,
					Access: program.Access(rapid.IntRange(1, 3).Draw(rt, "access")), Memory: program.Memory(rapid.IntRange(0, 1).Draw(rt, "memory")),
					CloExec: rapid.Bool().Draw(rt, "cloexec"), Unfenced: rapid.IntRange(0, 3).Draw(rt, "unfenced") == 0,
				}
				switch s.Verb {
				case program.DMA:
					s.Size = 0
					if s.Unfenced && rapid.Bool().Draw(rt, "careless") {
						s.As, s.With = none, none
					}
				case program.Repeat, program.Fork:
					if depth == 0 {
						continue
					}
					s.Count = 2
					s.Body = steps(depth - 1)
				case program.Kill, program.Exit:
					if rapid.IntRange(0, 3).Draw(rt, "really") > 0 {
						continue
					}
				}
				list = append(list, s)
			}
			return list
		}
		cfg := machineWith(t,
			sim.Process{Name: "p", Anonymous: uint64(mem.MiB), Program: do(steps(2)...)},
			sim.Process{Name: "q", Anonymous: uint64(mem.MiB), Program: do(steps(2)...)})
		cfg.Devices[0].Padding = 64
		cfg.Duration = 10 * time.Second
		if rapid.Bool().Draw(rt, "translated") {
			behindIOMMU(&cfg, 0, func(g *sim.IOMMUGroup) {
				g.Lazy = rapid.Bool().Draw(rt, "lazy")
				g.Aperture.Hi = rapid.SampledFrom([]uint64{uint64(4 * mem.MiB), uint64(mem.GiB)}).Draw(rt, "aperture")
				g.Page = rapid.SampledFrom([]uint64{4096, 16384}).Draw(rt, "page")
			})
			withBounce(&cfg, 1, mem.Size(rapid.IntRange(1, 64).Draw(rt, "pool"))*64*mem.KiB)
			cfg.Bounce[0].Force = rapid.Bool().Draw(rt, "force")
			cfg.Devices[1].Padding = 64
		}
		seen := &story{cfg: cfg}
		s, err := sim.New(cfg, seen)
		if err != nil {
			rt.Fatal(err)
		}
		if err := s.Run(context.Background()); err != nil {
			rt.Fatal(err)
		}
		counters := s.Memory().Counters()
		held := uint64(0)
		for _, h := range s.Pages() {
			if h != nil {
				held += h.Usage().Reserved + h.Kept()
			}
		}
		if counters.DMABuf*4096 != held {
			rt.Fatalf("%d pages of dma-bufs, heaps hold %d bytes", counters.DMABuf, held)
		}
		// A process that waits for a message that nobody sends is still there, and
		// what it holds with it.
		if seen.kinds[sim.ProcessStart]-seen.kinds[sim.ProcessEnd] == 0 && seen.live > 0 {
			rt.Fatalf("all processes have ended, and %d bytes are live", seen.live)
		}
		if seen.kinds[sim.Map]-seen.failedMaps == seen.kinds[sim.Unmap] {
			for _, space := range s.Spaces() {
				if u := space.Usage(); u.Used > 0 || u.Waiting > 0 || u.Mappings > 0 {
					rt.Fatalf("nothing is mapped, and %s is %+v", space.Name, u)
				}
			}
		}
	})
}

// TestTruncated: a device of five address bits that writes to 40 writes to 8,
// where somebody else's buffer is.
func TestTruncated(t *testing.T) {
	short := devices.Device{Name: "short", AddressBits: 5, Beyond: devices.Truncate}
	anywhere, err := devices.Merge()
	if err != nil {
		t.Fatal(err)
	}
	cfg := sim.Config{
		CheckEvery: 1,
		Heaps:      []sim.Heap{{Name: "main", Arena: mem.NewRangeSet(mem.Range{Lo: 0, Hi: 100}), Granule: 1, Allocator: "first-fit"}},
		Devices:    []devices.Device{short},
		Clients: []sim.Client{
			{Name: "low", Plan: anywhere},
			{Name: "high", Devices: []int{0}, Plan: anywhere, Transfers: []sim.Transfer{{Device: 0, Access: program.WriteOnly, Time: ms}}},
		},
		Inputs: []sim.Input{
			{Name: "low", Clients: []int{0}, Source: &script{ops: []workloads.Op{timed(0, 5*ms, 40)}}},
			{Name: "high", Clients: []int{1}, Source: &script{ops: []workloads.Op{timed(ms, 5*ms, 20)}}},
		},
	}
	var hit *sim.IncidentReport
	s, err := sim.New(cfg, watcher(func(e *sim.Event) {
		if e.Kind == sim.Incident {
			hit = e.Incident
		}
	}))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Run(context.Background()); err != nil {
		t.Fatal(err)
	}
	if hit == nil || hit.Kind != sim.Scribble || hit.Victim != "low" || hit.Range != (mem.Range{Lo: 8, Hi: 28}) {
		t.Errorf("got %+v", hit)
	}
}

// watcher is an observer of events.
type watcher func(*sim.Event)

func (watcher) Advance(time.Duration) {}

func (w watcher) Event(e *sim.Event) { w(e) }

// TestClientTransfers: the drivers of a client hold its buffer until the last
// transfer is over.
func TestClientTransfers(t *testing.T) {
	both, err := devices.Merge(devices.Device{Name: "camera"}, devices.Device{Name: "display"})
	if err != nil {
		t.Fatal(err)
	}
	cfg := sim.Config{
		CheckEvery: 1,
		Heaps:      []sim.Heap{{Name: "main", Arena: mem.NewRangeSet(mem.Range{Lo: 0, Hi: 100}), Granule: 1, Allocator: "first-fit"}},
		Devices:    []devices.Device{{Name: "camera"}, {Name: "display"}},
		Clients: []sim.Client{{Name: "pictures", Devices: []int{0, 1}, Plan: both, Transfers: []sim.Transfer{
			{Device: 0, Access: program.WriteOnly, Time: 20 * ms}, {Device: 1, Access: program.ReadOnly, Time: 10 * ms},
		}}},
		Inputs: []sim.Input{{Name: "script", Clients: []int{0}, Source: &script{ops: []workloads.Op{
			timed(0, 5*ms, 40), timed(ms, 100*ms, 40), timed(31*ms, 5*ms, 20),
		}}}},
	}
	for _, test := range []struct {
		unfenced bool
		want     []string
	}{
		{false, []string{"30ms free 40B", "70ms free 20B", "101ms free 40B"}},
		{true, []string{
			"0s race display pictures", "5ms use-after-free camera pictures", "5ms free 40B",
			"36ms use-after-free camera pictures", "36ms free 20B", "101ms free 40B",
		}},
	} {
		cfg.Clients[0].Unfenced = test.unfenced
		cfg.Inputs[0].Source = &script{ops: []workloads.Op{timed(0, 5*ms, 40), timed(ms, 100*ms, 40), timed(31*ms, 5*ms, 20)}}
		seen, _ := play(t, cfg)
		if got, want := strings.Join(seen.lines, "\n"), strings.Join(test.want, "\n"); got != want {
			t.Errorf("unfenced %v: got\n%s\nwant\n%s", test.unfenced, got, want)
		}
	}
}
