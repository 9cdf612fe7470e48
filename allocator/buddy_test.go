package allocator_test

import (
	"math"
	"math/bits"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"dmasim/allocator"
	"dmasim/mem"
)

// TestBuddyGolden repeats a recording of the functions of Linux's page
// allocator (mm/page_alloc.c, 6.1.192: __rmqueue_smallest, expand,
// __free_one_page) on a zone of 64 pages. The kernel takes the head of a free
// list and not the lowest block; here both are the same.
func TestBuddyGolden(t *testing.T) {
	const page = 4096
	s := newScript(t, "buddy", allocator.Config{Arena: mem.NewRangeSet(mem.Range{Lo: 0, Hi: 64 * page}), Granule: page})
	alloc := func(name string, order int, pfn uint64) {
		t.Helper()
		s.alloc(name, allocator.Request{Size: page << order}, pfn*page)
	}
	alloc("0", 0, 0)
	alloc("1", 0, 1)
	alloc("2", 1, 2)
	alloc("8", 3, 8)
	alloc("4", 2, 4)
	// Free: one block of order 4 and one of order 5.
	alloc("16", 4, 16)
	alloc("32", 5, 32)
	s.refuse(allocator.Request{Size: 1})
	s.free("16", "32")

	s.free("0")
	alloc("0", 0, 0)
	s.free("2", "1", "0")
	alloc("0", 2, 0)
	s.free("0", "4", "8")
	alloc("all", 6, 0)
}

// TestBuddyCutsRanges: addresses count from 0, wherever the arena starts, so
// that [3,21) granules is 3, 4-7, 8-15, 16-19, 20.
func TestBuddyCutsRanges(t *testing.T) {
	const granule = 48
	cfg := allocator.Config{Arena: mem.NewRangeSet(mem.Range{Lo: 3*granule - 5, Hi: 21*granule + 5}), Granule: granule}
	size := func(granules uint64) allocator.Request { return allocator.Request{Size: granules * granule} }

	s := newScript(t, "buddy", cfg)
	s.refuse(size(9))
	s.alloc("8", size(5), 8*granule)
	s.alloc("4", size(4), 4*granule)
	s.alloc("3", size(1), 3*granule)
	s.alloc("20", size(1), 20*granule)
	s.alloc("16", size(1), 16*granule)
	s.free("3", "4", "8", "16", "20")
	s.refuse(size(9))
	s.alloc("high", allocator.Request{Size: granule, Dir: allocator.High}, 20*granule)
	s.alloc("next", allocator.Request{Size: granule, Dir: allocator.High}, 3*granule)
}

// TestBuddyConstrainsThePayload: window and boundary are about the bytes that
// were asked for, and the rounded block may leave the window.
func TestBuddyConstrainsThePayload(t *testing.T) {
	const page = 4096
	s := newScript(t, "buddy", allocator.Config{Arena: mem.NewRangeSet(mem.Range{Lo: 0, Hi: 64 * page}), Granule: page})
	s.alloc("5 of 8", allocator.Request{Size: 5 * page, Lo: page, Hi: 13 * page}, 8*page)
	s.refuse(allocator.Request{Size: 5 * page, Lo: page, Hi: 12 * page})
	s.alloc("aligned", allocator.Request{Size: page, Align: 3 * page, Lo: page}, 3*page)
	s.refuse(allocator.Request{Size: 5 * page, Boundary: 4 * page})
	s.alloc("bounded", allocator.Request{Size: 3 * page, Boundary: 3 * page}, 24*page)
}

// TestBuddyInternalFragmentation compares the waste of rounding to powers of
// two with its exact values: for sizes that are uniform on 1..2^k, and for
// sizes that are log-uniform, where the ratio of the means is 2 ln 2 and the
// mean of the ratios 1/ln 2.
func TestBuddyInternalFragmentation(t *testing.T) {
	s, err := allocator.New("buddy", allocator.Config{Arena: mem.NewRangeSet(mem.Range{Lo: 0, Hi: 1 << 40})})
	if err != nil {
		t.Fatal(err)
	}
	held := func(size uint64) float64 {
		block, ok := s.Alloc(allocator.Request{Size: size})
		if !ok {
			t.Fatalf("size %d is refused", size)
		}
		if err := s.Free(block); err != nil {
			t.Fatal(err)
		}
		return float64(block.Size)
	}
	for _, test := range []struct {
		k     int
		ratio float64
	}{{4, 1.257353}, {6, 1.312981}, {8, 1.328155}, {10, 1.332033}, {12, 1.333008}} {
		var requested, reserved float64
		for size := uint64(1); size <= 1<<test.k; size++ {
			requested += float64(size)
			reserved += held(size)
		}
		if ratio := reserved / requested; math.Abs(ratio-test.ratio) > 1e-6 {
			t.Errorf("sizes 1..2^%d: held/requested %.6f, want %.6f", test.k, ratio, test.ratio)
		}
	}

	// Ten octaves of large sizes, so that their being whole numbers is no matter.
	const n = 10_000
	var requested, reserved, ratios float64
	for i := range n {
		size := uint64(math.Exp2(25 + 10*(float64(i)+0.5)/n))
		block := held(size)
		requested += float64(size)
		reserved += block
		ratios += block / float64(size)
	}
	if ratio := reserved / requested; math.Abs(ratio-2*math.Ln2) > 1e-4 {
		t.Errorf("log-uniform sizes: held/requested %.6f, want %.6f", ratio, 2*math.Ln2)
	}
	if mean := ratios / n; math.Abs(mean-1/math.Ln2) > 1e-4 {
		t.Errorf("log-uniform sizes: mean ratio %.6f, want %.6f", mean, 1/math.Ln2)
	}
}

// naiveBuddy is what buddy documents, with lists that are searched.
type naiveBuddy struct{ free []naiveBlock }

type naiveBlock struct {
	start uint64 // in granules
	order int
}

func newNaiveBuddy(arena mem.RangeSet, granule uint64) *naiveBuddy {
	var b naiveBuddy
	for _, r := range arena {
		for start := r.Lo / granule; start < r.Hi/granule; start++ {
			b.give(naiveBlock{start, 0})
		}
	}
	return &b
}

// give adds a free block and merges it as far as possible.
func (b *naiveBuddy) give(block naiveBlock) {
	buddy := naiveBlock{block.start ^ 1<<block.order, block.order}
	if i := slices.Index(b.free, buddy); i >= 0 {
		b.free = slices.Delete(b.free, i, i+1)
		b.give(naiveBlock{block.start &^ (1 << block.order), block.order + 1})
		return
	}
	b.free = append(b.free, block)
}

func (b *naiveBuddy) take(req allocator.Request, granule uint64) (naiveBlock, bool) {
	order := bits.Len64((req.Size - 1) / granule)
	high := req.Dir == allocator.High
	slices.SortFunc(b.free, func(x, y naiveBlock) int {
		switch {
		case x.order != y.order:
			return x.order - y.order
		case (x.start < y.start) != high:
			return -1
		}
		return 1
	})
	for i, block := range b.free {
		for k := uint64(0); k < 1<<block.order && block.order >= order; k += 1 << order {
			start := block.start + k
			if high {
				start = block.start + 1<<block.order - 1<<order - k
			}
			lo, end := start*granule, start*granule+req.Size
			if (req.Align > 0 && lo%req.Align != 0) || lo < req.Lo || (req.Hi != 0 && end > req.Hi) ||
				(req.Boundary > 0 && lo/req.Boundary != (end-1)/req.Boundary) {
				continue
			}
			b.free = slices.Delete(b.free, i, i+1)
			for at := block.start; at < block.start+1<<block.order; at += 1 << order {
				if at != start {
					b.give(naiveBlock{at, order})
				}
			}
			return naiveBlock{start, order}, true
		}
	}
	return naiveBlock{}, false
}

// TestBuddyChoosesAsDocumented compares every address with the naive buddy.
func TestBuddyChoosesAsDocumented(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		granule := rapid.SampledFrom([]uint64{1, 3, 4096}).Draw(t, "granule")
		lo := rapid.Uint64Range(0, 100).Draw(t, "lo")
		middle := lo + rapid.Uint64Range(1, 100).Draw(t, "length")
		hi := middle + rapid.Uint64Range(2, 100).Draw(t, "second length")
		arena := mem.NewRangeSet(mem.Range{Lo: lo * granule, Hi: middle * granule}, mem.Range{Lo: (middle + 1) * granule, Hi: hi * granule})
		s, err := allocator.New("buddy", allocator.Config{Arena: arena, Granule: granule})
		if err != nil {
			t.Fatal(err)
		}
		naive := newNaiveBuddy(arena, granule)
		var live []allocator.Block
		for range rapid.IntRange(1, 60).Draw(t, "operations") {
			if len(live) > 0 && rapid.IntRange(0, 2).Draw(t, "free") == 0 {
				i := rapid.IntRange(0, len(live)-1).Draw(t, "block")
				if err := s.Free(live[i]); err != nil {
					t.Fatal(err)
				}
				naive.give(naiveBlock{live[i].Addr / granule, bits.Len64(live[i].Size/granule) - 1})
				live = slices.Delete(live, i, i+1)
				continue
			}
			req := allocator.Request{
				Size: rapid.Uint64Range(1, 12*granule).Draw(t, "size"),
				Dir:  rapid.SampledFrom([]allocator.Dir{allocator.Natural, allocator.High}).Draw(t, "direction"),
			}
			if rapid.Bool().Draw(t, "constrained") {
				req.Align = rapid.SampledFrom([]uint64{0, 2, 3, 4, 16, 20, 32}).Draw(t, "align") * granule
				req.Boundary = rapid.SampledFrom([]uint64{0, 5, 8, 12, 64}).Draw(t, "boundary") * granule
				req.Lo = rapid.Uint64Range(0, hi*granule).Draw(t, "window lo")
				req.Hi = rapid.SampledFrom([]uint64{0, req.Lo + 40*granule}).Draw(t, "window hi")
			}
			want, served := naive.take(req, granule)
			block, ok := s.Alloc(req)
			if ok != served || (ok && (block.Addr != want.start*granule || block.Size != granule<<want.order)) {
				t.Fatalf("%+v: got %+v (%t), want start %#x, order %d (%t)", req, block, ok, want.start*granule, want.order, served)
			}
			if ok {
				live = append(live, block)
			}
		}
	})
}
