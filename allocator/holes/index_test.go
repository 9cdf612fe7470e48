package holes_test

import (
	"fmt"
	"math"
	"math/bits"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"dmasim/allocator/holes"
	"dmasim/mem"
)

// naive is the same index as a set that is rebuilt for every change.
type naive struct{ arena, free mem.RangeSet }

func (n *naive) take(lo, hi uint64) bool {
	r := mem.Range{Lo: lo, Hi: hi}
	if r.Empty() || !n.free.Contains(r) {
		return false
	}
	n.free = n.free.Subtract(mem.RangeSet{r})
	return true
}

func (n *naive) give(lo, hi uint64) bool {
	r := mem.Range{Lo: lo, Hi: hi}
	if r.Empty() || !n.arena.Contains(r) || n.free.Intersect(mem.RangeSet{r}).Size() > 0 {
		return false
	}
	n.free = n.free.Union(mem.RangeSet{r})
	return true
}

func (n *naive) firstAtLeast(from, size uint64) (mem.Range, bool) {
	for _, r := range n.free {
		if r.Hi > from && r.Size() >= size {
			return r, true
		}
	}
	return mem.Range{}, false
}

func (n *naive) lastAtLeast(to, size uint64) (mem.Range, bool) {
	for _, r := range slices.Backward(n.free) {
		if r.Lo < to && r.Size() >= size {
			return r, true
		}
	}
	return mem.Range{}, false
}

func (n *naive) largestIn(within mem.Range) mem.Range {
	var best mem.Range
	for _, r := range n.free {
		if clipped := r.Intersect(within); clipped.Size() > best.Size() {
			best = clipped
		}
	}
	return best
}

func (n *naive) largest() uint64 { return n.largestIn(mem.Everywhere).Size() }

// TestIndexIsTheNaiveIndex drives an index through phases that fill and empty
// it, so that nodes split, join and change their height many times.
func TestIndexIsTheNaiveIndex(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		space := rapid.SampledFrom([]uint64{60, 400, 3000}).Draw(t, "space")
		base := rapid.SampledFrom([]uint64{0, 1 << 40, math.MaxUint64 - 3000}).Draw(t, "base")
		cuts := rapid.SliceOfN(rapid.Uint64Range(0, space), 0, 6).Draw(t, "cuts")
		slices.Sort(cuts)
		arena := mem.RangeSet{{Lo: base, Hi: base + space}}
		for i := 0; i+1 < len(cuts); i += 2 {
			arena = arena.Subtract(mem.NewRangeSet(mem.Range{Lo: base + cuts[i], Hi: base + cuts[i+1]}))
		}
		x, n := holes.New(arena), &naive{arena, arena}
		if rapid.Bool().Draw(t, "tallies") {
			x.KeepTallies(1)
		}
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
		at := func() uint64 { return base + rng.Uint64N(space+1) }
		size := func() uint64 { return 1 + rng.Uint64N(12) }
		for step := range 2400 {
			switch lo := at(); {
			case rng.IntN(400) == 0:
				free := slices.Clone(n.free)
				if rng.IntN(2) == 0 {
					free = arena
				}
				if !x.Reset(free) {
					t.Fatalf("Reset(%v) = false", free)
				}
				n.free = free
			case rng.IntN(8) < 1+6*(step/600%2):
				hi := lo + size()
				if got, want := x.Take(lo, hi), n.take(lo, hi); got != want {
					t.Fatalf("Take(%#x, %#x) = %t, want %t", lo, hi, got, want)
				}
			default:
				hi := lo + size()
				if rng.IntN(3) == 0 {
					// All of the block behind a hole.
					if r, ok := n.firstAtLeast(lo, 1); ok {
						lo, hi = r.Hi, base+space
						if r, ok = n.firstAtLeast(lo, 1); ok {
							hi = r.Lo
						}
					}
				}
				hole, got := x.Merge(lo, hi)
				if want := n.give(lo, hi); got != want {
					t.Fatalf("Give(%#x, %#x) = %t, want %t", lo, hi, got, want)
				}
				if got && !slices.Contains(n.free, hole) {
					t.Fatalf("Merge(%#x, %#x) = %v, no hole of %v", lo, hi, hole, n.free)
				}
			}
			if step%16 == 0 {
				compare(t, x, n, at, size)
			}
		}
	})
}

func compare(t *rapid.T, x *holes.Index, n *naive, at, size func() uint64) {
	t.Helper()
	if err := x.Check(); err != nil {
		t.Fatal(err)
	}
	if got := slices.Collect(x.All()); !slices.Equal(got, n.free) {
		t.Fatalf("holes\n%v, want\n%v", got, n.free)
	}
	if x.Len() != len(n.free) || x.Bytes() != n.free.Size() || x.Largest() != n.largest() {
		t.Fatalf("Len, Bytes, Largest = %d, %d, %d, want %d, %d, %d",
			x.Len(), x.Bytes(), x.Largest(), len(n.free), n.free.Size(), n.largest())
	}
	from, least := at(), size()
	got, ok := x.FirstAtLeast(from, least)
	if want, wanted := n.firstAtLeast(from, least); got != want || ok != wanted {
		t.Fatalf("FirstAtLeast(%#x, %d) = %v, %t, want %v, %t", from, least, got, ok, want, wanted)
	}
	got, ok = x.LastAtLeast(from, least)
	if want, wanted := n.lastAtLeast(from, least); got != want || ok != wanted {
		t.Fatalf("LastAtLeast(%#x, %d) = %v, %t, want %v, %t", from, least, got, ok, want, wanted)
	}
	compareFits(t, x, n, from, least)
	within := mem.Range{Lo: from, Hi: at()}
	if got, want := x.LargestIn(within), n.largestIn(within); got != want {
		t.Fatalf("LargestIn(%v) = %v, want %v", within, got, want)
	}
	if got, want := x.FreeIn(within), n.free.Intersect(mem.RangeSet{within}).Size(); got != want && !within.Empty() {
		t.Fatalf("FreeIn(%v) = %d, want %d", within, got, want)
	}
}

// compareFits asks for the first holes that end above from and hold a block.
func compareFits(t *rapid.T, x *holes.Index, n *naive, from, size uint64) {
	t.Helper()
	for _, fit := range []holes.Fit{0, 1, 2, 5, 63, holes.Natural} {
		var want []mem.Range
		for _, r := range n.free {
			if r.Hi > from && holds(r, size, fit) && len(want) < 3 {
				want = append(want, r)
			}
		}
		var got []mem.Range
		var c holes.Cursor
		c.From(x, from)
		for r, ok := c.NextFit(size, fit); ok && len(got) < 3; r, ok = c.NextFit(size, fit) {
			got = append(got, r)
		}
		if !slices.Equal(got, want) {
			t.Fatalf("NextFit(%d, %d) from %#x = %v, want %v", size, fit, from, got, want)
		}
	}
}

// holds reports whether a block of size bytes can be in a hole.
func holds(hole mem.Range, size uint64, fit holes.Fit) bool {
	align := uint64(1)
	switch {
	case fit != holes.Natural:
		align <<= fit
	case size > 1:
		align <<= bits.Len64(size - 1)
	}
	for start := hole.Lo; start < hole.Hi && hole.Hi-start >= size; start++ {
		if start%align == 0 {
			return true
		}
	}
	return false
}

func TestCursor(t *testing.T) {
	x := holes.New(mem.RangeSet{{Lo: 0, Hi: 10000}})
	for lo := uint64(0); lo < 10000; lo += 10 {
		x.Take(lo, lo+1+lo/10%8)
	}
	for _, least := range []uint64{0, 1, 5, 9} {
		for _, from := range []uint64{0, 5, 10, 11, 4999, 9999, 10000, math.MaxUint64} {
			var up, down []mem.Range
			var c holes.Cursor
			c.From(x, from)
			for r, ok := c.Next(least); ok; r, ok = c.Next(least) {
				up = append(up, r)
			}
			c.To(x, from)
			for r, ok := c.Prev(least); ok; r, ok = c.Prev(least) {
				down = append(down, r)
			}
			slices.Reverse(down)
			var wantUp, wantDown []mem.Range
			for r := range x.All() {
				if r.Size() < least {
					continue
				}
				if r.Hi > from {
					wantUp = append(wantUp, r)
				}
				if r.Lo < from {
					wantDown = append(wantDown, r)
				}
			}
			if !slices.Equal(up, wantUp) || !slices.Equal(down, wantDown) {
				t.Errorf("from %d at least %d: up %v, down %v", from, least, up, down)
			}
		}
	}
}

func TestResetRefuses(t *testing.T) {
	arena := mem.RangeSet{{Lo: 10, Hi: 20}, {Lo: 30, Hi: 40}}
	for _, free := range []mem.RangeSet{
		{{Lo: 10, Hi: 10}},
		{{Lo: 10, Hi: 12}, {Lo: 12, Hi: 14}},
		{{Lo: 30, Hi: 31}, {Lo: 10, Hi: 11}},
		{{Lo: 9, Hi: 11}},
		{{Lo: 19, Hi: 31}},
		{{Lo: 39, Hi: 41}},
		{{Lo: 50, Hi: 51}},
	} {
		x := holes.New(arena)
		if x.Reset(free) || x.Bytes() != 20 || x.Len() != 2 {
			t.Errorf("Reset(%v) was not refused", free)
		}
	}
}

func TestOutside(t *testing.T) {
	x := holes.New(nil)
	if x.Give(0, 1) || x.Take(0, 1) || x.Largest() != 0 || x.Len() != 0 {
		t.Error("an empty arena has a byte")
	}
	x = holes.New(mem.RangeSet{{Lo: 0, Hi: 10}, {Lo: 20, Hi: 30}})
	for _, r := range []mem.Range{{Lo: 5, Hi: 25}, {Lo: 10, Hi: 20}, {Lo: 9, Hi: 11}, {Lo: 5, Hi: 5}, {Lo: 6, Hi: 5}, {Lo: 30, Hi: 31}} {
		if x.Take(r.Lo, r.Hi) {
			t.Errorf("Take(%v) = true", r)
		}
	}
	x.Take(0, 10)
	x.Take(20, 30)
	for _, r := range []mem.Range{{Lo: 5, Hi: 25}, {Lo: 10, Hi: 20}, {Lo: 9, Hi: 11}, {Lo: 5, Hi: 5}, {Lo: 6, Hi: 5}, {Lo: 30, Hi: 31}} {
		if x.Give(r.Lo, r.Hi) {
			t.Errorf("Give(%v) = true", r)
		}
	}
	if x.Bytes() != 0 {
		t.Errorf("Bytes() = %d, want 0", x.Bytes())
	}
}

func TestSteadyStateDoesNotAllocate(t *testing.T) {
	const size = 1 << 20
	x := holes.New(mem.RangeSet{{Lo: 0, Hi: size}})
	rng := rand.New(rand.NewPCG(1, 2))
	churn := func() {
		for range 20000 {
			lo := rng.Uint64N(size - 8)
			if hi := lo + 8; rng.IntN(2) == 0 {
				x.Take(lo, hi)
			} else {
				x.Give(lo, hi)
			}
		}
	}
	for range 20 {
		churn()
	}
	if got := testing.AllocsPerRun(5, churn); got > 1 {
		t.Errorf("%v allocations in 20,000 operations", got)
	}
}

// TestDeepIndex works on some ten thousand holes and compares with a map of all
// units.
func TestDeepIndex(t *testing.T) {
	const units = 1 << 16
	x := holes.New(mem.RangeSet{{Lo: 0, Hi: units}})
	x.KeepTallies(1)
	taken := make([]bool, units)
	rng := rand.New(rand.NewPCG(3, 4))
	for step := range 12 * units {
		lo := rng.Uint64N(units)
		hi := min(lo+1+rng.Uint64N(3), units)
		want := step/(3*units)%2 == 0 // first take, then give
		possible := !slices.Contains(taken[lo:hi], want)
		ok := want && x.Take(lo, hi) || !want && x.Give(lo, hi)
		if ok != possible {
			t.Fatalf("step %d: [%d, %d): %t, want %t", step, lo, hi, ok, possible)
		}
		for i := lo; ok && i < hi; i++ {
			taken[i] = want
		}
		if step%(units/4) == 0 {
			compareDeep(t, x, taken, rng)
		}
	}
	var free []mem.Range
	for r := range x.All() {
		free = append(free, r)
	}
	for _, r := range free {
		x.Take(r.Lo, r.Hi)
	}
	if x.Len() != 0 || x.Bytes() != 0 || x.Largest() != 0 {
		t.Errorf("%d holes are left of nothing", x.Len())
	}
	if !x.Reset(free) || !slices.Equal(slices.Collect(x.All()), free) {
		t.Error("Reset does not restore the holes")
	}
	compareDeep(t, x, taken, rng)
}

func compareDeep(t *testing.T, x *holes.Index, taken []bool, rng *rand.Rand) {
	t.Helper()
	if err := x.Check(); err != nil {
		t.Fatal(err)
	}
	n := &naive{}
	for i := 0; i < len(taken); i++ {
		lo := i
		for i < len(taken) && !taken[i] {
			i++
		}
		if i > lo {
			n.free = append(n.free, mem.Range{Lo: uint64(lo), Hi: uint64(i)})
		}
	}
	if !slices.Equal(slices.Collect(x.All()), n.free) || x.Bytes() != n.free.Size() {
		t.Fatal("other holes than expected")
	}
	for range 50 {
		from, least := rng.Uint64N(uint64(len(taken))), 1+rng.Uint64N(x.Largest()+1)
		up, ok := x.FirstAtLeast(from, least)
		if want, wanted := n.firstAtLeast(from, least); up != want || ok != wanted {
			t.Fatalf("FirstAtLeast(%d, %d) = %v, %t, want %v, %t", from, least, up, ok, want, wanted)
		}
		down, ok := x.LastAtLeast(from, least)
		if want, wanted := n.lastAtLeast(from, least); down != want || ok != wanted {
			t.Fatalf("LastAtLeast(%d, %d) = %v, %t, want %v, %t", from, least, down, ok, want, wanted)
		}
		within := mem.Range{Lo: from, Hi: from + rng.Uint64N(uint64(len(taken)))}
		if got, want := x.LargestIn(within), n.largestIn(within); got != want {
			t.Fatalf("LargestIn(%v) = %v, want %v", within, got, want)
		}
	}
}

func ExampleIndex() {
	x := holes.New(mem.NewRangeSet(mem.Range{Lo: 0, Hi: 0x8000}))
	x.Take(0x1000, 0x2000)
	x.Take(0x3000, 0x6000)
	for hole := range x.All() {
		fmt.Println(hole)
	}
	hole, ok := x.FirstAtLeast(0x1800, 0x2000)
	fmt.Println("at least 0x2000 above 0x1800:", hole, ok)
	fmt.Println("largest in the lower half:", x.LargestIn(mem.Range{Lo: 0, Hi: 0x4000}))
	// Output:
	// [0x0,0x1000)
	// [0x2000,0x3000)
	// [0x6000,0x8000)
	// at least 0x2000 above 0x1800: [0x6000,0x8000) true
	// largest in the lower half: [0x0,0x1000)
}

// TestHeightIsLogarithmic: a search looks at two nodes of each level at most, so
// that the levels of an index bound its work. Holes come and go at random.
func TestHeightIsLogarithmic(t *testing.T) {
	const sparse = 8 // entries of a node, at least
	for _, slots := range []uint64{1e3, 1e4, 1e5} {
		x := holes.New(mem.RangeSet{{Lo: 0, Hi: 4 * slots}})
		rng := rand.New(rand.NewPCG(1, 2))
		for range 6 * slots {
			lo := 4 * rng.Uint64N(slots)
			if size := 1 + rng.Uint64N(3); !x.Take(lo, lo+size) {
				x.Give(lo, lo+size)
			}
		}
		most := int(math.Log(float64(x.Len()))/math.Log(sparse)) + 1
		if x.Height() > most {
			t.Errorf("%d holes: %d levels above the leaves, want at most %d", x.Len(), x.Height(), most)
		}
	}
}
