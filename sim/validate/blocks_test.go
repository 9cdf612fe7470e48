package validate_test

import (
	"context"
	"strings"
	"testing"

	"dmasim/allocator"
	"dmasim/allocator/kernel/buddy"
	"dmasim/allocator/kernel/version"
	"dmasim/devices/machine"
	"dmasim/mem"
	"dmasim/sim/heap"
	"dmasim/sim/physmem"
	"dmasim/sim/validate"
)

// board is a system heap of a modelled machine, told of as a real one is.
type board struct {
	t       *testing.T
	memory  *physmem.Memory
	heap    *heap.Pages
	owner   physmem.Owner
	buffers []heap.Buffer
	alloc   int // of calls of Alloc
	lie     func(number int, a *validate.Allocation)
}

// Of the machine: a zone of 128 MiB.
const (
	boardPages = 32768
	boardPage  = 4096
)

func newBoard(t *testing.T) *board {
	b := &board{t: t}
	var err error
	b.memory, err = physmem.New(physmem.Config{Page: boardPage, Zones: []physmem.Zone{
		{Name: "Normal", Ranges: mem.NewRangeSet(mem.Range{Lo: 1 << 32, Hi: 1<<32 + boardPages*boardPage})},
	}})
	if err != nil {
		t.Fatal(err)
	}
	b.owner, err = b.memory.AddOwner(physmem.OwnerConfig{Name: "hog"})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := b.memory.Populate(0, physmem.Kernel, 5000); err != nil {
		t.Fatal(err)
	}
	b.heap = heap.NewPages(heap.PageConfig{Name: "system", Memory: b.memory, Kernel: version.Modelled, Clients: 1})
	return b
}

// state tells of the memory as /proc does.
func (b *board) state() *machine.State {
	z := b.memory.Zone(0)
	s := machine.ZoneState{
		Name: "Normal", Start: 1 << 20, Spanned: boardPages, Present: boardPages, Managed: z.Managed,
		Min: z.Min, Low: z.Low, High: z.High, Pages: machine.Pages{Free: z.Free, Kernel: z.Managed - z.Free},
	}
	for t, name := range []string{"Unmovable", "Movable", "Reclaimable", "CMA"} {
		blocks := b.memory.FreeBlocks(0, buddy.Type(t))
		s.Types = append(s.Types, machine.MigrateType{Name: name, FreeBlocks: blocks[:]})
	}
	return &machine.State{PageSize: boardPage, PagesPerBlock: 512, Zones: []machine.ZoneState{s}}
}

func (b *board) Memory() (validate.Memory, error) {
	return validate.Memory{State: b.state()}, nil
}

func (b *board) Alloc(bytes uint64) (validate.Allocation, error) {
	a := validate.Allocation{Errno: validate.OK, Before: b.state()}
	buffer, failure, err := b.heap.Alloc(0, b.owner, bytes)
	if err != nil || failure.Cause != allocator.None {
		b.t.Fatalf("%v, %v", err, failure)
	}
	b.buffers = append(b.buffers, buffer)
	for _, block := range b.heap.Blocks(buffer) {
		a.Blocks = append(a.Blocks, validate.PageBlock{Zone: "Normal", Order: block.Order})
		a.Takes = append(a.Takes, validate.Take{Order: block.Order})
	}
	a.After = b.state()
	b.alloc++
	if b.lie != nil {
		b.lie(b.alloc, &a)
	}
	return a, nil
}

func (b *board) Free(oldest bool) error {
	at := len(b.buffers) - 1
	if oldest {
		at = 0
	}
	buffer := b.buffers[at]
	b.buffers = append(b.buffers[:at], b.buffers[at+1:]...)
	return b.heap.Free(buffer, 0)
}

func TestCompareBlocksFindsLies(t *testing.T) {
	const at = 23
	for _, test := range []struct {
		diverge string // which aspect
		lie     func(a *validate.Allocation)
	}{
		{"", func(*validate.Allocation) {}},
		{"system blocks", func(a *validate.Allocation) { a.Blocks[0].Order++ }},
		{"system blocks", func(a *validate.Allocation) { a.Blocks[0].Zone = "DMA32" }},
		{"system blocks", func(a *validate.Allocation) { a.Blocks[0].Type = buddy.Movable }},
		{"system blocks", func(a *validate.Allocation) { a.Errno = "ENOMEM" }},
		{"system free lists", func(a *validate.Allocation) { a.After.Zones[0].Types[0].FreeBlocks[3]++ }},
		{"system free lists", func(a *validate.Allocation) { a.Takes = a.Takes[1:] }},
		{"", func(a *validate.Allocation) { a.Takes, a.Disturbed = nil, true }},
	} {
		b := newBoard(t)
		b.lie = func(number int, a *validate.Allocation) {
			if number == at {
				test.lie(a)
			}
		}
		mix := validate.BlockMix{Seed: 2, Requests: 40, PageSize: boardPage, Memory: 64 << 20}
		aspects, _, err := validate.CompareBlocks(context.Background(), mix, b)
		if err != nil {
			t.Fatal(err)
		}
		var diverge []string
		for _, a := range aspects {
			if a.First != nil {
				diverge = append(diverge, a.Name)
				if a.First.Number != at || a.Agreements != a.Operations-1 {
					t.Errorf("%+v, want request %d", a, at)
				}
			}
		}
		if got := strings.Join(diverge, ", "); got != test.diverge {
			t.Errorf("diverge: %s; want %s", got, test.diverge)
		}
	}
}

func TestCompareExhaustion(t *testing.T) {
	b := newBoard(t)
	run := validate.Exhaustion{
		Before: validate.Memory{State: b.state()}, Size: 1 << 20, Victim: "hog",
		Needs: []validate.Need{{What: "of slabs", Bytes: 2 << 20}}, Zones: []validate.ZoneAtKill{{Name: "Normal", Free: b.memory.Zone(0).Min}},
	}
	// 27768 pages are free; the min watermark keeps 362 of them.
	const most = (boardPages - 5000 - 362) * boardPage >> 20
	for _, test := range []struct {
		diverge string
		change  func(*validate.Exhaustion)
	}{
		{"", func(r *validate.Exhaustion) { r.Buffers = most }},
		{"", func(r *validate.Exhaustion) { r.Buffers = most - 4 }},
		{"exhaustion bytes", func(r *validate.Exhaustion) { r.Buffers = most + 1 }},
		{"exhaustion bytes", func(r *validate.Exhaustion) { r.Buffers = most - 5 }},
		{"exhaustion victim", func(r *validate.Exhaustion) { r.Buffers, r.Victim = most, "another" }},
		{"exhaustion zones", func(r *validate.Exhaustion) {
			r.Buffers, r.Zones = most, []validate.ZoneAtKill{{Name: "Normal", Free: 543}}
		}},
		{"", func(r *validate.Exhaustion) {
			r.Buffers, r.Zones = most-1, []validate.ZoneAtKill{{Name: "Normal", Free: 543, Boost: 1}}
		}},
		{"exhaustion release", func(r *validate.Exhaustion) { r.Buffers, r.Left = most, 1 }},
	} {
		changed := run
		test.change(&changed)
		aspects, notes, err := validate.CompareExhaustion(changed)
		if err != nil {
			t.Fatal(err)
		}
		var diverge []string
		for _, a := range aspects {
			if a.First != nil {
				diverge = append(diverge, a.Name)
			}
		}
		if got := strings.Join(diverge, ", "); got != test.diverge {
			t.Errorf("diverge: %s; want %s; %v", got, test.diverge, notes)
		}
	}
}
