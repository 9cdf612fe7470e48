package ledger_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"dmasim/allocator"
	"dmasim/allocator/ledger"
	"dmasim/mem"
)

// space is the number of bytes in the arenas of the property tests.
const space = 160

// sets draws sets of bytes below space.
var sets = rapid.Custom(func(t *rapid.T) mem.RangeSet {
	edges := rapid.SliceOfNDistinct(rapid.Uint64Range(0, space), 2, 8, rapid.ID[uint64]).Draw(t, "edges")
	slices.Sort(edges)
	var set mem.RangeSet
	for i := 0; i+1 < len(edges); i += 2 {
		set = append(set, mem.Range{Lo: edges[i], Hi: edges[i+1]})
	}
	return set
})

// placed is a live block with what was asked for.
type placed struct {
	ledger.Entry
	requested uint64
}

// model is an arena byte by byte.
type model struct {
	arena mem.RangeSet
	live  map[ledger.Handle]placed
}

// free tells for each byte whether it is free.
func (m *model) free() (free [space]bool) {
	for _, r := range m.arena {
		for at := r.Lo; at < r.Hi; at++ {
			free[at] = true
		}
	}
	for _, e := range m.live {
		for at := e.Lo; at < e.Hi; at++ {
			free[at] = false
		}
	}
	return free
}

// runs returns the maximal ranges of bytes that are free and in within.
func (m *model) runs(within mem.RangeSet) []mem.Range {
	free := m.free()
	var runs []mem.Range
	for at := range uint64(space) {
		if !free[at] || !within.Contains(mem.Range{Lo: at, Hi: at + 1}) {
			continue
		}
		if last := len(runs) - 1; last >= 0 && runs[last].Hi == at {
			runs[last].Hi++
		} else {
			runs = append(runs, mem.Range{Lo: at, Hi: at + 1})
		}
	}
	return runs
}

func longest(runs []mem.Range) uint64 {
	var n uint64
	for _, r := range runs {
		n = max(n, r.Size())
	}
	return n
}

// fill brings random blocks into a ledger and the model, asking now and then
// for the holes so that changes reach the hole index in all ways.
func (m *model) fill(t *rapid.T, l *ledger.Ledger, owners, steps int) {
	for range steps {
		switch action := rapid.IntRange(0, 9).Draw(t, "action"); {
		case action == 0:
			l.HoleCount()
		case action < 4 && len(m.live) > 0:
			handles := make([]ledger.Handle, 0, len(m.live))
			for h := range m.live {
				handles = append(handles, h)
			}
			slices.Sort(handles)
			h := rapid.SampledFrom(handles).Draw(t, "handle")
			if err := l.Free(h); err != nil {
				t.Fatal(err)
			}
			delete(m.live, h)
		default:
			runs := m.runs(m.arena)
			if len(runs) == 0 {
				continue
			}
			run := rapid.SampledFrom(runs).Draw(t, "run")
			lo := rapid.Uint64Range(run.Lo, run.Hi-1).Draw(t, "lo")
			size := rapid.Uint64Range(1, min(run.Hi-lo, 12)).Draw(t, "size")
			requested := rapid.Uint64Range(0, size).Draw(t, "requested")
			owner := rapid.IntRange(0, owners-1).Draw(t, "owner")
			h := l.Alloc(allocator.Block{Addr: lo, Size: size}, requested, owner)
			if _, taken := m.live[h]; taken {
				t.Fatalf("handle %d is live already", h)
			}
			m.live[h] = placed{ledger.Entry{Lo: lo, Hi: lo + size, Handle: h, Owner: int32(owner)}, requested}
		}
	}
}

// TestLedgerAgainstBytes compares every figure with a walk over the bytes.
func TestLedgerAgainstBytes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const owners = 3
		m := &model{arena: sets.Draw(t, "arena"), live: map[ledger.Handle]placed{}}
		l := ledger.New(m.arena, owners)
		var windows []mem.RangeSet
		var numbers []int
		needs := func(watch, owner int) bool { return (watch+owner)%owners == 0 }
		watch := func() {
			n := len(windows)
			windows = append(windows, sets.Draw(t, "window"))
			numbers = append(numbers, l.Watch(windows[n], func(owner int) bool { return needs(n, owner) }))
		}
		watch()
		var peakReserved, peakRequested, highWater uint64
		for range rapid.IntRange(1, 12).Draw(t, "rounds") {
			m.fill(t, l, owners, rapid.IntRange(1, 12).Draw(t, "steps"))
			if len(windows) < 2 {
				watch()
			}
			var want [owners]ledger.Usage
			var total ledger.Usage
			for _, e := range m.live {
				for _, u := range []*ledger.Usage{&want[e.Owner], &total} {
					u.Blocks++
					u.Reserved += e.Hi - e.Lo
					u.Requested += e.requested
				}
				highWater = max(highWater, e.Hi)
			}
			peakReserved, peakRequested = max(peakReserved, total.Reserved), max(peakRequested, total.Requested)
			for owner := range want {
				if got := l.Owner(owner); got != want[owner] {
					t.Fatalf("owner %d has %+v, want %+v", owner, got, want[owner])
				}
			}
			if got := (ledger.Usage{Blocks: l.Blocks(), Reserved: l.Reserved(), Requested: l.Requested()}); got != total {
				t.Fatalf("all have %+v, want %+v", got, total)
			}
			if l.Capacity() != m.arena.Size() || l.FreeBytes() != m.arena.Size()-total.Reserved {
				t.Fatalf("capacity %d, free %d", l.Capacity(), l.FreeBytes())
			}
			// Between the rounds there may have been more.
			if l.PeakReserved() < peakReserved || l.PeakRequested() < peakRequested || l.HighWater() < highWater {
				t.Fatalf("peaks %d, %d, %d, want at least %d, %d, %d", l.PeakReserved(), l.PeakRequested(), l.HighWater(),
					peakReserved, peakRequested, highWater)
			}
			for n, window := range windows {
				var polluted uint64
				for _, e := range m.live {
					for at := e.Lo; at < e.Hi; at++ {
						if !needs(n, int(e.Owner)) && window.Contains(mem.Range{Lo: at, Hi: at + 1}) {
							polluted++
						}
					}
				}
				if got := l.Polluted(numbers[n]); got != polluted {
					t.Fatalf("polluted %d, want %d", got, polluted)
				}
			}
			runs := m.runs(m.arena)
			if got := l.Holes(); !slices.Equal(got, runs) {
				t.Fatalf("holes %v, want %v", got, runs)
			}
			if l.HoleCount() != len(runs) || l.Largest() != longest(runs) {
				t.Fatalf("%d holes up to %d, want %d up to %d", l.HoleCount(), l.Largest(), len(runs), longest(runs))
			}
			reach := sets.Draw(t, "reach")
			runs = m.runs(reach)
			if got, want := l.FreeIn(reach), mem.RangeSet(runs).Size(); got != want {
				t.Fatalf("free in %v: %d, want %d", reach, got, want)
			}
			if got, want := l.LargestIn(reach), longest(runs); got != want {
				t.Fatalf("largest in %v: %d, want %d", reach, got, want)
			}
			seen, at := 0, uint64(0)
			for _, e := range l.Live() {
				if e != m.live[e.Handle].Entry || e.Lo < at {
					t.Fatalf("block %+v behind %d, want %+v", e, at, m.live[e.Handle])
				}
				seen, at = seen+1, e.Hi
			}
			if seen != len(m.live) {
				t.Fatalf("%d blocks, want %d", seen, len(m.live))
			}
			if err := l.Check(); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestEqualWatches(t *testing.T) {
	l := ledger.New(mem.RangeSet{{Lo: 100, Hi: 200}}, 2)
	first := func(owner int) bool { return owner == 0 }
	low := l.Watch(mem.RangeSet{{Lo: 0, Hi: 150}}, first)
	if again := l.Watch(mem.RangeSet{{Lo: 50, Hi: 150}}, first); again != low {
		t.Errorf("the same bytes of the arena are watch %d and %d", low, again)
	}
	if other := l.Watch(mem.RangeSet{{Lo: 0, Hi: 150}}, func(owner int) bool { return owner == 1 }); other == low {
		t.Error("watches for different owners are the same")
	}
	if other := l.Watch(mem.RangeSet{{Lo: 0, Hi: 151}}, first); other == low {
		t.Error("watches of different windows are the same")
	}
}

func TestPeaks(t *testing.T) {
	l := ledger.New(mem.RangeSet{{Lo: 100, Hi: 200}}, 1)
	a := l.Alloc(allocator.Block{Addr: 150, Size: 30}, 10, 0)
	if err := l.Free(a); err != nil {
		t.Fatal(err)
	}
	l.Alloc(allocator.Block{Addr: 100, Size: 20}, 20, 0)
	if l.PeakReserved() != 30 || l.PeakRequested() != 20 || l.HighWater() != 180 {
		t.Errorf("peaks %d and %d, high water %d, want 30, 20 and 180", l.PeakReserved(), l.PeakRequested(), l.HighWater())
	}
}

func TestFreeOfNoBlock(t *testing.T) {
	l := ledger.New(mem.RangeSet{{Lo: 0, Hi: 100}}, 1)
	h := l.Alloc(allocator.Block{Addr: 0, Size: 10}, 10, 0)
	if err := l.Free(h); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []ledger.Handle{h, h + 1, 1<<32 - 1} {
		var handleError *ledger.HandleError
		if err := l.Free(bad); !errors.As(err, &handleError) || handleError.Handle != bad {
			t.Errorf("Free(%d) = %v, want a HandleError for it", bad, err)
		}
	}
	if l.Blocks() != 0 || l.FreeBytes() != 100 || l.Largest() != 100 {
		t.Errorf("%d blocks, %d free, largest %d after refused frees", l.Blocks(), l.FreeBytes(), l.Largest())
	}
	if err := l.Check(); err != nil {
		t.Error(err)
	}
}

// TestCheckFindsBrokenPlacements has strategies that must not be trusted.
func TestCheckFindsBrokenPlacements(t *testing.T) {
	good := allocator.Block{Addr: 0x1100, Size: 0x100}
	for name, test := range map[string]struct {
		bad       allocator.Block
		requested uint64
		want      string
	}{
		"overlap":      {allocator.Block{Addr: 0x1180, Size: 0x100}, 1, "block 0x1180+256B of owner 1 overlaps block 0x1100+256B of owner 0"},
		"same place":   {good, 1, "overlaps"},
		"around":       {allocator.Block{Addr: 0x1000, Size: 0x1000}, 1, "overlaps block 0x1000+4KiB of owner 1"},
		"before arena": {allocator.Block{Addr: 0xfff, Size: 2}, 1, "block 0xfff+2B of owner 1 is not inside"},
		"past arena":   {allocator.Block{Addr: 0x1fff, Size: 2}, 1, "not inside"},
		"behind arena": {allocator.Block{Addr: 0x9000, Size: 2}, 1, "not inside"},
		"across gap":   {allocator.Block{Addr: 0x1800, Size: 0x1000}, 1, "not inside one range"},
		"empty":        {allocator.Block{Addr: 0x1800}, 0, "empty"},
		"wrap":         {allocator.Block{Addr: 0x1800, Size: 1<<64 - 1}, 1, "passes the end"},
		"too small":    {allocator.Block{Addr: 0x1800, Size: 8}, 9, "smaller than the 9B requested"},
	} {
		t.Run(name, func(t *testing.T) {
			l := ledger.New(mem.RangeSet{{Lo: 0x1000, Hi: 0x2000}, {Lo: 0x2800, Hi: 0x3000}}, 2)
			first := l.Alloc(good, 0x100, 0)
			l.HoleCount() // bring the index to a state without bad
			h := l.Alloc(test.bad, test.requested, 1)
			if err := l.Check(); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("Check() = %v, want %q", err, test.want)
			}
			l.HoleCount()
			if err := l.Free(h); err != nil {
				t.Fatal(err)
			}
			if err := l.Check(); err != nil {
				t.Errorf("after the block was freed: %v", err)
			}
			if err := l.Free(first); err != nil {
				t.Fatal(err)
			}
			if err := l.Check(); err != nil {
				t.Errorf("after all was freed: %v", err)
			}
		})
	}
}

// TestHolesOfOverlap shows the bytes that no live block holds, also while
// blocks overlap and one of them goes.
func TestHolesOfOverlap(t *testing.T) {
	l := ledger.New(mem.RangeSet{{Lo: 0, Hi: 100}}, 1)
	a := l.Alloc(allocator.Block{Addr: 10, Size: 20}, 1, 0)
	l.Alloc(allocator.Block{Addr: 20, Size: 20}, 1, 0)
	wantHoles(t, l, mem.Range{Lo: 0, Hi: 10}, mem.Range{Lo: 40, Hi: 100})
	if err := l.Free(a); err != nil {
		t.Fatal(err)
	}
	wantHoles(t, l, mem.Range{Lo: 0, Hi: 20}, mem.Range{Lo: 40, Hi: 100})
	if err := l.Check(); err != nil {
		t.Error(err)
	}
}

func wantHoles(t *testing.T, l *ledger.Ledger, want ...mem.Range) {
	t.Helper()
	if got := l.Holes(); !slices.Equal(got, want) {
		t.Errorf("holes %v, want %v", got, want)
	}
}

// TestManyBlocks has a hole index of several levels, and windows far larger
// than holes.
func TestManyBlocks(t *testing.T) {
	c := newChurn(0x4000_1000, 3000)
	for round := range 60 {
		for range 1 << (round % 12) {
			c.step()
		}
		if err := c.ledger.Check(); err != nil {
			t.Fatal(err)
		}
		for range 20 {
			end := c.ledger.HighWater() + 10_000
			window := mem.Range{Lo: c.random.Uint64N(end), Hi: c.random.Uint64N(end)}
			var free, largest uint64
			for _, hole := range c.ledger.Holes() {
				in := hole.Intersect(window).Size()
				free += in
				largest = max(largest, in)
			}
			reach := mem.NewRangeSet(window)
			if got := c.ledger.FreeIn(reach); got != free {
				t.Fatalf("free in %v: %d, want %d", window, got, free)
			}
			if got := c.ledger.LargestIn(reach); got != largest {
				t.Fatalf("largest in %v: %d, want %d", window, got, largest)
			}
		}
	}
}

// TestWholeSpace has an arena whose size needs all 64 bits.
func TestWholeSpace(t *testing.T) {
	const top = 1<<64 - 1
	l := ledger.New(mem.RangeSet{mem.Everywhere}, 1)
	l.Alloc(allocator.Block{Addr: top - 4096, Size: 4096}, 4096, 0)
	l.Alloc(allocator.Block{Addr: 1 << 63, Size: 1 << 62}, 1, 0)
	if err := l.Check(); err != nil {
		t.Fatal(err)
	}
	if got := l.FreeIn(mem.RangeSet{{Lo: 1 << 62, Hi: top}}); got != 1<<63-4097 {
		t.Errorf("free in the upper three quarters: %#x", got)
	}
	d := l.Diagnose(allocator.Request{Size: 1 << 63, Align: 1 << 63})
	want := ledger.Diagnosis{Cause: allocator.Policy, Size: 1 << 63, Free: 3<<62 - 4097, FreeInReach: 3<<62 - 4097, Largest: 1 << 63}
	if d != want {
		t.Errorf("got %+v\nwant %+v", d, want)
	}
}

func TestEmptyArena(t *testing.T) {
	l := ledger.New(nil, 0)
	if d := l.Diagnose(allocator.Request{Size: 1}); d != (ledger.Diagnosis{Cause: allocator.Exhausted, Size: 1}) {
		t.Errorf("got %+v", d)
	}
	if err := l.Check(); err != nil || l.FreeIn(mem.RangeSet{mem.Everywhere}) != 0 || l.HoleCount() != 0 {
		t.Errorf("Check() = %v, %d holes", err, l.HoleCount())
	}
}

// TestSteadyStateAllocatesNothing covers events, questions and diagnosis.
func TestSteadyStateAllocatesNothing(t *testing.T) {
	c := newChurn(0, 1000)
	rule := &allocator.Rule{Windows: []allocator.Window{
		{Reach: mem.Range{Lo: 0, Hi: 1 << 28}, Align: 1 << 16, Bounds: []allocator.Bound{{Boundary: 1 << 20}}},
		{Reach: mem.Range{Lo: 1 << 28, Hi: 1 << 29}, Align: 1 << 16, Phase: 4096},
	}}
	round := func() {
		for range 300 {
			c.step()
		}
		c.ledger.Largest()
		c.ledger.Live()
		c.step()
		c.ledger.Diagnose(allocator.Request{Size: 1 << 22, Align: 4096, Rule: rule})
		c.ledger.Diagnose(allocator.Request{Size: 8192, Align: 4096, Rule: rule})
	}
	for range 100 {
		round()
	}
	if n := testing.AllocsPerRun(50, round); n > 0 {
		t.Errorf("%v allocations in a round", n)
	}
}

func ExampleLedger() {
	l := ledger.New(mem.RangeSet{{Lo: 0, Hi: 64 << 20}}, 2)
	display := mem.RangeSet{{Lo: 0, Hi: 16 << 20}}
	watch := l.Watch(display, func(owner int) bool { return owner == 1 })
	l.Alloc(allocator.Block{Addr: 4 << 20, Size: 10 << 20}, 10<<20, 0)

	fmt.Println(mem.Size(l.Polluted(watch)), "of the display's window are held by others")
	for _, hole := range l.Holes() {
		fmt.Println(hole)
	}
	d := l.Diagnose(allocator.Request{Size: 8 << 20, Hi: 16 << 20})
	fmt.Println(d.Cause, mem.Size(d.FreeInReach), mem.Size(d.Largest))
	// Output:
	// 10MiB of the display's window are held by others
	// [0x0,0x400000)
	// [0xe00000,0x4000000)
	// window 6MiB 4MiB
}

// TestOrderOfManyBlocks holds the walk by address, which sorts what is new, to
// sets of blocks of all sizes, in arenas whose addresses differ in few bits or in
// all of them.
func TestOrderOfManyBlocks(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for _, shift := range []int{0, 12, 52} {
		for _, count := range []int{1, 2, 100, 4000} {
			l := ledger.New(mem.RangeSet{mem.Everywhere}, 1)
			free := random.Perm(4095)
			live := map[int]ledger.Handle{}
			for round := range 5 {
				for addr, h := range live {
					if random.IntN(round+1) == 0 {
						if err := l.Free(h); err != nil {
							t.Fatal(err)
						}
						delete(live, addr)
						free = append(free, addr)
					}
				}
				random.Shuffle(len(free), func(i, j int) { free[i], free[j] = free[j], free[i] })
				for len(live) < count {
					addr := free[len(free)-1]
					free = free[:len(free)-1]
					live[addr] = l.Alloc(allocator.Block{Addr: uint64(addr) << shift, Size: 1 << shift}, 1, 0)
				}
				var got []int
				for _, e := range l.Live() {
					if addr := int(e.Lo >> shift); live[addr] == e.Handle {
						got = append(got, addr)
					}
				}
				if len(got) != count || !slices.IsSorted(got) {
					t.Fatalf("%d blocks of 2^%d bytes: %d in order, sorted: %t", count, shift, len(got), slices.IsSorted(got))
				}
				if err := l.Check(); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
}
