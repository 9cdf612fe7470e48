package allocator_test

import (
	"cmp"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"dmasim/allocator"
	"dmasim/mem"
)

// oracle places requests by looking at every start in every hole. Its holes are
// what the sorted live blocks leave of the arena.
type oracle struct {
	policy  string
	arena   mem.RangeSet
	granule uint64
	live    []allocator.Block
	up      uint64
	down    uint64
}

func (o *oracle) holes() mem.RangeSet {
	used := make([]mem.Range, len(o.live))
	for i, b := range o.live {
		used[i] = mem.Range{Lo: b.Addr, Hi: b.Addr + b.Size}
	}
	return o.arena.Subtract(mem.NewRangeSet(used...))
}

// starts returns all legal starts in a hole, by rising address.
func (o *oracle) starts(r allocator.Request, hole mem.Range) (starts []uint64) {
	size := (r.Size + o.granule - 1) / o.granule * o.granule
	for s := hole.Lo; size <= hole.Hi-s; s += o.granule {
		if legalAt(r, s) {
			starts = append(starts, s)
		}
	}
	return starts
}

func legalAt(r allocator.Request, s uint64) bool {
	if r.Align > 1 && s%r.Align != 0 || s < r.Lo || r.Hi != 0 && (s > r.Hi || r.Size > r.Hi-s) {
		return false
	}
	if r.Boundary != 0 && s/r.Boundary != (s+r.Size-1)/r.Boundary && (s%r.Boundary != 0 || r.Size > r.Boundary) {
		return false
	}
	return r.Rule.Check(s, r.Size, r.Slack).Part == allocator.Kept
}

func (o *oracle) alloc(r allocator.Request) (uint64, bool) {
	high := r.Dir == allocator.High || o.policy == "last-fit" && r.Dir == allocator.Natural
	pick := func(starts []uint64) (uint64, bool) {
		switch {
		case len(starts) == 0:
			return 0, false
		case high:
			return starts[len(starts)-1], true
		}
		return starts[0], true
	}
	holes := o.holes()
	switch o.policy {
	case "best-fit", "worst-fit":
		slices.SortFunc(holes, func(a, b mem.Range) int {
			size, lo := cmp.Compare(a.Size(), b.Size()), cmp.Compare(a.Lo, b.Lo)
			if o.policy == "worst-fit" {
				size = -size
			}
			if high {
				lo = -lo
			}
			return cmp.Or(size, lo)
		})
		for _, hole := range holes {
			if s, ok := pick(o.starts(r, hole)); ok {
				return s, true
			}
		}
		return 0, false
	}
	var all, ahead []uint64
	for _, hole := range holes {
		starts := o.starts(r, hole)
		all = append(all, starts...)
		if high && hole.Lo < o.down || !high && hole.Hi > o.up {
			ahead = append(ahead, starts...)
		}
	}
	if o.policy != "next-fit" {
		return pick(all)
	}
	s, ok := pick(ahead)
	if !ok {
		s, ok = pick(all)
	}
	if ok && high {
		o.down = s
	} else if ok {
		o.up = s + (r.Size+o.granule-1)/o.granule*o.granule
	}
	return s, ok
}

// TestPlacesLikeTheOracle compares every placement of the address-ordered
// strategies with the definition of the policy.
func TestPlacesLikeTheOracle(t *testing.T) {
	for _, policy := range []string{"first-fit", "last-fit", "next-fit", "best-fit", "worst-fit"} {
		t.Run(policy, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) { compareWithOracle(t, policy) })
		})
	}
}

func compareWithOracle(t *rapid.T, policy string) {
	granule := rapid.SampledFrom([]uint64{1, 4, 6}).Draw(t, "granule")
	base := rapid.SampledFrom([]uint64{0, 1 << 33, math.MaxUint64 - 900}).Draw(t, "base")
	ends := rapid.SliceOfN(rapid.Uint64Range(0, 800), 2, 6).Draw(t, "ends")
	var ranges []mem.Range
	for i := 0; i+1 < len(ends); i += 2 {
		ranges = append(ranges, mem.Range{Lo: base + ends[i], Hi: base + ends[i+1]})
	}
	cfg := allocator.Config{Arena: mem.NewRangeSet(append(ranges, mem.Range{Lo: base + 100, Hi: base + 300})...), Granule: granule}
	s, err := allocator.New(policy, cfg)
	if err != nil {
		t.Fatal(err)
	}
	o := &oracle{policy: policy, arena: cfg.Usable(), granule: granule, down: math.MaxUint64}
	rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
	alloc := func(r allocator.Request) bool {
		want, wanted := o.alloc(r)
		got, ok := s.Alloc(r)
		if ok != wanted || ok && got.Addr != want {
			t.Fatalf("Alloc(%+v) = %#x, %t, want %#x, %t\nholes %v", r, got.Addr, ok, want, wanted, o.holes())
		}
		if ok {
			if got.Size < r.Size || got.Size%granule != 0 || got.Size >= r.Size+granule {
				t.Fatalf("Alloc(%+v) has size %d", r, got.Size)
			}
			o.live = append(o.live, got)
		}
		return ok
	}
	free := func() {
		i := rng.IntN(len(o.live))
		if err := s.Free(o.live[i]); err != nil {
			t.Fatal(err)
		}
		o.live = slices.Delete(o.live, i, i+1)
	}
	if rapid.Bool().Draw(t, "crowded") {
		for alloc(allocator.Request{Size: 1 + rng.Uint64N(2*granule)}) {
		}
		for range len(o.live) / 2 {
			free()
		}
	}
	for range 150 {
		if len(o.live) > 0 && rng.IntN(5) < 2 {
			free()
		} else {
			alloc(randomRequest(rng, base))
		}
	}
}

func randomRequest(rng *rand.Rand, base uint64) allocator.Request {
	r := allocator.Request{Size: 1 + rng.Uint64N(12)}
	if rng.IntN(20) == 0 {
		r.Size = 1 + rng.Uint64N(200)
	}
	if rng.IntN(3) == 0 {
		r.Align = []uint64{2, 3, 4, 8, 10, 16, 48, 1 << 63, math.MaxUint64}[rng.IntN(9)]
	}
	if rng.IntN(3) == 0 {
		r.Lo = base + rng.Uint64N(800)
	}
	if rng.IntN(3) == 0 {
		r.Hi = base + rng.Uint64N(850)
	}
	if rng.IntN(8) == 0 {
		r.Lo = base + rng.Uint64N(800)
		r.Hi = r.Lo + r.Size + rng.Uint64N(20)
	}
	if rng.IntN(3) == 0 {
		r.Boundary = []uint64{4, 8, 12, 16, 20, 64}[rng.IntN(6)]
	}
	r.Dir = []allocator.Dir{allocator.Natural, allocator.Natural, allocator.Low, allocator.High}[rng.IntN(4)]
	if rng.IntN(4) == 0 {
		cut := rng.Uint64N(400)
		r.Slack = rng.Uint64N(r.Size)
		r.Rule = &allocator.Rule{Windows: []allocator.Window{
			{Reach: mem.Range{Lo: base + rng.Uint64N(200), Hi: base + 200 + cut}, Align: 1 + rng.Uint64N(4), Phase: rng.Uint64N(4)},
			{Reach: mem.Range{Lo: base + 300 + cut, Hi: base + 850}, Bounds: []allocator.Bound{{Boundary: 16 + rng.Uint64N(16), Extra: 2}}},
		}}
	}
	return r
}

// TestRefusesWithoutChange asks for what no arena can hold and frees what is
// not live, and then checks that the whole arena is still there.
func TestRefusesWithoutChange(t *testing.T) {
	const size = 1 << 20
	for _, policy := range []string{"first-fit", "last-fit", "next-fit", "best-fit", "worst-fit"} {
		s, err := allocator.New(policy, allocator.Config{Arena: mem.RangeSet{{Lo: size, Hi: 2 * size}}, Granule: 4096})
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range []allocator.Request{
			{},
			{Size: size + 1},
			{Size: math.MaxUint64},
			{Size: math.MaxUint64 - 4096},
			{Size: 1, Align: math.MaxUint64},
			{Size: 1, Align: 1<<63 + 1},
			{Size: 1, Lo: 2 * size},
			{Size: 1, Hi: size},
			{Size: 1, Lo: math.MaxUint64, Hi: 1},
			{Size: 2, Boundary: 1},
			{Size: 1, Slack: 2, Rule: &allocator.Rule{Windows: []allocator.Window{{Reach: mem.Everywhere}}}},
			{Size: 1, Rule: &allocator.Rule{}},
		} {
			if b, ok := s.Alloc(r); ok {
				t.Errorf("%s: Alloc(%+v) = %v", policy, r, b)
			}
		}
		a, _ := s.Alloc(allocator.Request{Size: 4096})
		b, _ := s.Alloc(allocator.Request{Size: 8192})
		if err := s.Free(a); err != nil {
			t.Fatal(err)
		}
		again, _ := s.Alloc(allocator.Request{Size: 4096})
		for _, test := range []struct {
			block allocator.Block
			want  error
		}{
			{a, allocator.ErrDoubleFree}, // although its row is used again
			{allocator.Block{Addr: b.Addr, Size: 4096, Ref: b.Ref}, allocator.ErrForeign},
			{allocator.Block{Addr: b.Addr + 4096, Size: 8192, Ref: b.Ref}, allocator.ErrForeign},
			{allocator.Block{Addr: b.Addr, Size: b.Size, Ref: b.Ref + 1000}, allocator.ErrForeign},
			{allocator.Block{Addr: b.Addr, Size: b.Size, Ref: b.Ref + 1<<32}, allocator.ErrForeign},
			{allocator.Block{Addr: b.Addr, Size: b.Size, Ref: b.Ref + 2<<32}, allocator.ErrForeign},
			{allocator.Block{}, allocator.ErrForeign},
			{allocator.Block{Ref: math.MaxUint64}, allocator.ErrForeign},
		} {
			var freeError *allocator.FreeError
			if err := s.Free(test.block); !errors.Is(err, test.want) || !errors.As(err, &freeError) || freeError.Block != test.block {
				t.Errorf("%s: Free(%+v) = %v, want %v", policy, test.block, err, test.want)
			}
		}
		for _, live := range []allocator.Block{again, b} {
			if err := s.Free(live); err != nil {
				t.Errorf("%s: %v", policy, err)
			}
			if err := s.Free(live); !errors.Is(err, allocator.ErrDoubleFree) {
				t.Errorf("%s: second Free(%+v) = %v", policy, live, err)
			}
		}
		if whole, ok := s.Alloc(allocator.Request{Size: size}); !ok || whole.Addr != size {
			t.Errorf("%s: the arena is not whole again", policy)
		}
	}
}
