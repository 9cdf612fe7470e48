package validate_test

import (
	"context"
	"slices"
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
	buffers map[string]heap.Buffer
	blocks  map[string][]validate.PageBlock
	held    validate.Held
	calls   int // of Alloc and Close
	areas   []physmem.Area
	before  uint64 // pages that the zone spans before its memory
	perCPU  uint64 // free blocks of the area, of the largest order, whose pages CPUs keep
	lie     func(number int, a *validate.Allocation, c *validate.Closing)
}

// Of the machine: a zone of 128 MiB.
const (
	boardPages = 32768
	boardPage  = 4096
)

func newBoard(t *testing.T, areas ...physmem.Area) *board {
	b := &board{t: t, areas: areas, buffers: map[string]heap.Buffer{}, blocks: map[string][]validate.PageBlock{}}
	var err error
	b.memory, err = physmem.New(physmem.Config{Page: boardPage, Zones: []physmem.Zone{
		{Name: "Normal", Ranges: mem.NewRangeSet(mem.Range{Lo: 1 << 32, Hi: 1<<32 + boardPages*boardPage})},
	}, CMA: areas})
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
		Name: "Normal", Start: mem.PFN(1<<20 - b.before), Spanned: b.before + boardPages, Present: boardPages, Managed: z.Managed,
		Min: z.Min, Low: z.Low, High: z.High, Pages: machine.Pages{Free: z.Free, Kernel: z.Managed - z.Free},
	}
	for t, name := range []string{"Unmovable", "Movable", "Reclaimable", "CMA"} {
		blocks := b.memory.FreeBlocks(0, buddy.Type(t))
		if buddy.Type(t) == buddy.CMA {
			blocks[buddy.MaxOrder] -= b.perCPU
		}
		s.Types = append(s.Types, machine.MigrateType{Name: name, FreeBlocks: blocks[:]})
	}
	s.Pages.PerCPU = b.perCPU << buddy.MaxOrder
	s.Pages.Free -= s.Pages.PerCPU
	return &machine.State{PageSize: boardPage, PagesPerBlock: 512, Zones: []machine.ZoneState{s}}
}

func (b *board) Memory() (validate.Memory, error) {
	return validate.Memory{State: b.state(), Areas: b.areas}, nil
}

func (b *board) Alloc(id string, bytes uint64) (validate.Allocation, error) {
	a := validate.Allocation{Errno: validate.OK, Before: b.state()}
	if bytes == 0 {
		a.Errno = "EINVAL"
	} else {
		buffer, failure, err := b.heap.Alloc(0, b.owner, bytes)
		if err != nil || failure.Cause != allocator.None {
			b.t.Fatalf("%v, %v", err, failure)
		}
		b.buffers[id] = buffer
		for _, block := range b.heap.Blocks(buffer) {
			a.Blocks = append(a.Blocks, validate.PageBlock{PFN: block.PFN, Zone: "Normal", Order: block.Order})
			a.Takes = append(a.Takes, validate.Take{Order: block.Order})
			b.held.Bytes += boardPage << block.Order
		}
		b.blocks[id] = a.Blocks
		b.held.Buffers++
	}
	a.After = b.state()
	b.calls++
	if b.lie != nil {
		b.lie(b.calls, &a, nil)
	}
	return a, nil
}

func (b *board) Close(id string) (validate.Closing, error) {
	c := validate.Closing{Errno: "EBADF"}
	b.calls++
	if buffer, ok := b.buffers[id]; ok {
		c = validate.Closing{Errno: validate.OK, Blocks: slices.Clone(b.blocks[id])}
		delete(b.buffers, id)
		b.held.Buffers--
		for _, block := range c.Blocks {
			b.held.Bytes -= boardPage << block.Order
		}
		if err := b.heap.Free(buffer, 0); err != nil {
			return c, err
		}
	}
	if b.lie != nil {
		b.lie(b.calls, nil, &c)
	}
	return c, nil
}

func (b *board) Live() (validate.Held, error) { return b.held, nil }

// TestSystemSequence has sizes that the heap refuses, an ID used again, and one closed
// whose request failed; a CMA area is missing, and its operations are not done.
func TestSystemSequence(t *testing.T) {
	const text = `
		s a 1118576
		s b 0
		f b
		h c 4096
		f a
		s a 1
		d 5
		f c
		s d 65536
		f a
	`
	list, err := validate.ReadOperations("ops", strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	c, err := validate.CompareSequence(context.Background(), list, validate.Sides{System: newBoard(t)})
	if err != nil || c.SkippedArea != 3 || c.SkippedSystem != 0 || c.Disturbed != 0 {
		t.Errorf("%v: %+v", err, c)
	}
	want := map[string]int{"system result": 7, "system blocks": 3, "system free lists": 3, "system release": 2, "system pinned": 7}
	for _, a := range c.Aspects {
		if a.First != nil || a.Operations != want[a.Name] || a.Agreements != a.Operations {
			t.Errorf("%+v, want %d operations", a, want[a.Name])
		}
		delete(want, a.Name)
	}
	if len(want) > 0 {
		t.Errorf("not compared: %v", want)
	}
	// And the other way round: an area, but no system heap.
	c, err = validate.CompareSequence(context.Background(), list, validate.Sides{Model: newArea(t, config), Kernel: newArea(t, config)})
	if err != nil || c.SkippedArea != 0 || c.SkippedSystem != 7 {
		t.Errorf("%v: %+v", err, c)
	}
	// And both: the area is looked at after operations on the heap, too.
	c, err = validate.CompareSequence(context.Background(), list, validate.Sides{Model: newArea(t, config), Kernel: newArea(t, config), System: newBoard(t)})
	var r validate.Report
	r.Add(c.Aspects...)
	if err != nil || !r.Agree || c.SkippedArea+c.SkippedSystem != 0 {
		t.Errorf("%v: %+v", err, c)
	}
	for _, a := range c.Aspects {
		if a.Name == "cma placement" && a.Operations != len(list) {
			t.Errorf("%+v, want %d operations", a, len(list))
		}
	}
}

// TestSystemSequenceBesideArea has a CMA area at the end of a zone, which lacks pages
// elsewhere: before its memory, by as much as lies behind the area and more. CPUs may
// keep pages of the area on their lists, more than any program has.
func TestSystemSequenceBesideArea(t *testing.T) {
	const end = 1<<32 + boardPages*boardPage
	for _, c := range []struct {
		area   mem.Range
		perCPU uint64
	}{
		{mem.Range{Lo: end - 16<<20, Hi: end}, 0},
		{mem.Range{Lo: end - 24<<20, Hi: end - 4<<20}, 0},
		{mem.Range{Lo: end - 16<<20, Hi: end}, 3},
	} {
		b := newBoard(t, physmem.Area{Name: "reserved", Range: c.area})
		b.before, b.perCPU = 4096, c.perCPU
		mix := validate.SystemMix{Seed: 3, Requests: 30, PageSize: boardPage, Memory: 32 << 20}
		compared, err := validate.CompareSequence(context.Background(), mix.Random(), validate.Sides{System: b})
		var r validate.Report
		r.Add(compared.Aspects...)
		if err != nil || !r.Agree {
			t.Errorf("%+v: %v: %+v", c, err, compared)
		}
	}
}

func TestSystemSequenceFindsLies(t *testing.T) {
	mix := validate.SystemMix{Seed: 2, Requests: 40, PageSize: boardPage, Memory: 64 << 20}
	list := mix.Random()
	// An allocation and a close in the middle.
	alloc := 1 + slices.IndexFunc(list, func(op validate.Operation) bool { return op.ID == "b23" })
	last := alloc
	for list[last-1].Kind != validate.Close {
		last++
	}
	onAlloc := func(lie func(a *validate.Allocation)) func(*validate.Allocation, *validate.Closing) {
		return func(a *validate.Allocation, _ *validate.Closing) { lie(a) }
	}
	onClose := func(lie func(c *validate.Closing)) func(*validate.Allocation, *validate.Closing) {
		return func(_ *validate.Allocation, c *validate.Closing) { lie(c) }
	}
	for _, test := range []struct {
		diverge string // which aspect
		at      int
		lie     func(*validate.Allocation, *validate.Closing)
	}{
		{"", alloc, onAlloc(func(*validate.Allocation) {})},
		{"system blocks", alloc, onAlloc(func(a *validate.Allocation) { a.Blocks[0].Zone = "DMA32" })},
		{"system blocks", alloc, onAlloc(func(a *validate.Allocation) { a.Blocks[0].Type = buddy.Movable })},
		{"system result, system blocks", alloc, onAlloc(func(a *validate.Allocation) { a.Errno = "ENOMEM" })},
		{"system free lists", alloc, onAlloc(func(a *validate.Allocation) { a.After.Zones[0].Types[0].FreeBlocks[3]++ })},
		{"system free lists", alloc, onAlloc(func(a *validate.Allocation) { a.Takes = a.Takes[1:] })},
		{"", alloc, onAlloc(func(a *validate.Allocation) { a.Takes, a.Disturbed = nil, true })},
		{"system result", last, onClose(func(c *validate.Closing) { c.Errno = "EBADF" })},
		{"system release", last, onClose(func(c *validate.Closing) { c.Blocks[0].PFN++ })},
		{"system release", last, onClose(func(c *validate.Closing) { c.Blocks = nil })},
	} {
		b := newBoard(t)
		b.lie = func(number int, a *validate.Allocation, c *validate.Closing) {
			if number == test.at {
				test.lie(a, c)
			}
		}
		compared, err := validate.CompareSequence(context.Background(), list, validate.Sides{System: b})
		if err != nil {
			t.Fatal(err)
		}
		var diverge []string
		for _, a := range compared.Aspects {
			if a.First != nil {
				diverge = append(diverge, a.Name)
				if a.First.Number != test.at || a.Agreements > a.Operations-1 {
					t.Errorf("%+v, want operation %d", a, test.at)
				}
			}
		}
		if got := strings.Join(diverge, ", "); got != test.diverge {
			t.Errorf("diverge: %s; want %s", got, test.diverge)
		}
	}
}

// pinning is a heap that leaks a buffer.
type pinning struct{ *board }

func (p pinning) Live() (validate.Held, error) {
	held, err := p.board.Live()
	held.Bytes += boardPage
	return held, err
}

func TestSystemSequenceFindsLeaks(t *testing.T) {
	list := []validate.Operation{{Kind: validate.SystemAlloc, ID: "a", Size: 1}, {Kind: validate.Close, ID: "a"}}
	c, err := validate.CompareSequence(context.Background(), list, validate.Sides{System: pinning{newBoard(t)}})
	last := c.Aspects[len(c.Aspects)-1]
	if err != nil || last.Name != "system pinned" || last.Agreements != 0 || last.First.Kernel != "1 buffers of 8192 bytes" {
		t.Errorf("%v: %+v", err, last)
	}
}

func TestCompareWatermarks(t *testing.T) {
	b := newBoard(t)
	memory, _ := b.Memory()
	if a, err := validate.CompareWatermarks(memory); err != nil || a.Operations != 1 || a.First != nil {
		t.Errorf("%v: %+v", err, a)
	}
	memory.Zones[0].Low++
	if a, err := validate.CompareWatermarks(memory); err != nil || a.First == nil {
		t.Errorf("%v: %+v", err, a)
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
