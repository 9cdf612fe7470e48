package alloctest

import (
	"math"
	"math/rand/v2"
	"testing"

	"dmasim/allocator"
	"dmasim/mem"
)

// square is an arena of 64 pages that is aligned to its size.
var square = allocator.Config{
	Arena:   mem.NewRangeSet(mem.Range{Lo: 64 * page, Hi: 128 * page}),
	Granule: page,
}

const page = 4096

// random returns a stream of numbers that is the same in every run.
func random() *rand.Rand { return rand.New(rand.NewPCG(1, 2)) }

// testExhaustion fills the arena, frees all in three orders, and allocates the
// largest block again.
func (s *suite) testExhaustion(t *testing.T) {
	w := s.watch(t, square)
	largest := uint64(64 * page)
	for ; largest >= page; largest /= 2 {
		if _, ok := w.alloc(t, allocator.Request{Size: largest}); ok {
			w.free(t, 0)
			break
		}
	}
	if largest < page {
		t.Fatalf("an empty arena of %s serves no block\nan empty arena serves a block of one granule", w.arena)
	}
	for _, order := range []struct {
		name string
		next func(n int) int
	}{
		{"upwards", func(int) int { return 0 }},
		{"downwards", func(n int) int { return n - 1 }},
		{"at random", random().IntN},
	} {
		served := 0
		for ; served <= 64; served++ {
			if _, ok := w.alloc(t, allocator.Request{Size: page}); !ok {
				break
			}
		}
		if served == 0 {
			t.Fatalf("an empty arena of %s serves no block of %d bytes\nan empty arena serves a block of one granule", w.arena, page)
		}
		for len(w.live) > 0 {
			w.free(t, order.next(len(w.live)))
		}
		if _, ok := w.alloc(t, allocator.Request{Size: largest}); !ok {
			t.Fatalf("after %d blocks were allocated and freed %s, %d bytes are refused that were served before\nan arena that is empty again serves what it did when it was new",
				served, order.name, largest)
		}
		w.free(t, 0)
	}
}

func (s *suite) testDoubleFree(t *testing.T) {
	w := s.watch(t, square)
	for range 3 {
		w.alloc(t, allocator.Request{Size: page})
	}
	for len(w.live) > 0 {
		block := w.live[len(w.live)/2].block
		w.free(t, len(w.live)/2)
		w.misfree(t, block, allocator.ErrDoubleFree)
		w.misfree(t, block, allocator.ErrDoubleFree)
	}
	w.alloc(t, allocator.Request{Size: 64 * page})
}

func (s *suite) testForeignFree(t *testing.T) {
	w := s.watch(t, square)
	foreign := []allocator.Block{
		{},
		{Addr: 64 * page, Size: page},
		{Addr: 64 * page, Size: page, Ref: 1},
		{Addr: math.MaxUint64, Size: math.MaxUint64, Ref: math.MaxUint64},
		{Addr: 0, Size: page, Ref: math.MaxUint32},
		{Addr: 0, Size: 0, Ref: 1 << 32},
	}
	for _, block := range foreign {
		w.misfree(t, block, allocator.ErrForeign)
	}
	block, ok := w.alloc(t, allocator.Request{Size: 2 * page})
	if !ok {
		t.Skip("the strategy does not serve two pages")
	}
	for _, block := range append(foreign,
		allocator.Block{Addr: block.Addr, Size: block.Size - page, Ref: block.Ref},
		allocator.Block{Addr: block.Addr + page, Size: block.Size, Ref: block.Ref},
		allocator.Block{Addr: block.Addr + page, Size: block.Size - page, Ref: block.Ref},
	) {
		if !w.isLive(block) {
			w.misfree(t, block, allocator.ErrForeign)
		}
	}
	w.free(t, 0)

	// A block of another strategy, whose arena is elsewhere.
	other := s.watch(t, allocator.Config{Arena: mem.NewRangeSet(mem.Range{Lo: 256 * page, Hi: 320 * page}), Granule: page})
	if block, ok := other.alloc(t, allocator.Request{Size: page}); ok {
		w.alloc(t, allocator.Request{Size: page})
		w.misfree(t, block, nil)
	}
}

// testDeterminism runs a long list of operations on a strategy and its twin.
func (s *suite) testDeterminism(t *testing.T) {
	r := random()
	w := s.watch(t, square)
	for range 2000 {
		if len(w.live) > 0 && r.IntN(2) == 0 {
			w.free(t, r.IntN(len(w.live)))
			continue
		}
		w.alloc(t, allocator.Request{Size: 1 + r.Uint64N(6*page), Align: page << r.IntN(4)})
	}
}

// testGaps has two ranges that are one granule apart.
func (s *suite) testGaps(t *testing.T) {
	w := s.watch(t, allocator.Config{
		Arena:   mem.NewRangeSet(mem.Range{Lo: 64 * page, Hi: 80 * page}, mem.Range{Lo: 81 * page, Hi: 97 * page}),
		Granule: page,
	})
	for range 2 {
		for pages := uint64(17); pages <= 33; pages++ {
			if block, ok := w.alloc(t, allocator.Request{Size: pages * page}); ok {
				t.Fatalf("%d bytes in an arena of %s got %s\nno block spans a gap of the arena", pages*page, w.arena, show(block))
			}
		}
		for {
			if _, ok := w.alloc(t, allocator.Request{Size: page}); !ok {
				break
			}
		}
		for len(w.live) > 0 {
			w.free(t, len(w.live)/2)
		}
	}
}

// testGranule asks for every size around multiples of odd and even granules.
func (s *suite) testGranule(t *testing.T) {
	for _, granule := range []uint64{1, 3, 16, 48, page} {
		w := s.watch(t, allocator.Config{
			Arena:   mem.NewRangeSet(mem.Range{Lo: 7*granule - 1, Hi: 72*granule + 1}),
			Granule: granule,
		})
		for n := uint64(1); n <= 5; n++ {
			for _, size := range []uint64{n*granule - 1, n * granule, n*granule + 1} {
				for _, align := range []uint64{0, 1, 2, 5, 32, granule} {
					if size == 0 {
						continue
					}
					w.alloc(t, allocator.Request{Size: size, Align: align})
				}
			}
			for len(w.live) > 3 {
				w.free(t, 1)
			}
		}
	}
}

// testExtremes asks for what is at or beyond the limits of 64 bits, in small
// and in very large arenas.
func (s *suite) testExtremes(t *testing.T) {
	const top = math.MaxUint64
	extreme := []uint64{0, 1, page - 1, page, 64 * page, 64*page + 1, 1 << 32, 1 << 63, 1<<63 + 1, top - page, top - 1, top}
	for _, cfg := range []allocator.Config{
		square,
		{Arena: mem.NewRangeSet(mem.Range{Lo: 0, Hi: page}), Granule: page},
		{Arena: mem.NewRangeSet(mem.Everywhere), Granule: 1},
		{Arena: mem.NewRangeSet(mem.Everywhere), Granule: page},
		{Arena: mem.NewRangeSet(mem.Everywhere), Granule: 3 << 40},
		{Arena: mem.NewRangeSet(mem.Range{Lo: 1, Hi: 1<<63 + 5}, mem.Range{Lo: top - 9*page, Hi: top}), Granule: 1},
	} {
		w := s.watch(t, cfg)
		var requests []allocator.Request
		for _, size := range extreme {
			requests = append(requests, allocator.Request{Size: size}, allocator.Request{Size: size, Dir: allocator.High})
		}
		for _, n := range extreme {
			for _, size := range []uint64{1, page, 1 << 62} {
				requests = append(requests,
					allocator.Request{Size: size, Align: n},
					allocator.Request{Size: size, Align: n, Boundary: n, Dir: allocator.High},
					allocator.Request{Size: size, Boundary: n},
					allocator.Request{Size: size, Lo: n},
					allocator.Request{Size: size, Hi: n},
					allocator.Request{Size: size, Lo: n, Hi: n},
					allocator.Request{Size: size, Lo: n, Hi: 1},
				)
			}
		}
		for i, req := range requests {
			w.alloc(t, req)
			if i%3 != 0 && len(w.live) > 0 {
				w.free(t, i%len(w.live))
			}
		}
		for len(w.live) > 0 {
			w.free(t, 0)
		}
		if _, ok := w.alloc(t, allocator.Request{Size: 1}); !ok {
			t.Fatalf("after all was freed, an arena of %s refuses 1 byte\nan empty arena serves a block of one granule", w.arena)
		}
	}
}

// testDirection holds an empty arena against the direction of a request.
func (s *suite) testDirection(t *testing.T) {
	if s.honours&allocator.HonoursDirection == 0 {
		t.Skip("the strategy does not honour direction")
	}
	for _, test := range []struct {
		dir  allocator.Dir
		addr uint64
	}{{allocator.Low, 64 * page}, {allocator.High, 124 * page}} {
		w := s.watch(t, square)
		if block, ok := w.alloc(t, allocator.Request{Size: 4 * page, Dir: test.dir}); ok && block.Addr != test.addr {
			t.Errorf("in the empty arena %s, direction %s: %s\na strategy that honours direction serves from that end", w.arena, test.dir, show(block))
		}
	}
}

// testNoAllocation repeats a list of operations from an empty arena to an
// empty arena; from the second time on it must need no memory.
func (s *suite) testNoAllocation(t *testing.T) {
	const arena, most = 1 << 16 * page, 1000
	strategy := s.new(t, allocator.Config{Arena: mem.NewRangeSet(mem.Range{Lo: 0, Hi: arena}), Granule: page})
	live := make([]allocator.Block, 0, most)
	cycle := func() {
		r := rand.NewPCG(3, 4)
		for i := 0; i < 4000 || len(live) > 0; i++ {
			n := r.Uint64()
			if i < 4000 && (len(live) == 0 || (n&1 == 0 && len(live) < most)) {
				req := allocator.Request{Size: 1 + n>>8%(64*page), Align: page << (n >> 4 & 3)}
				switch n >> 2 & 3 {
				case 1:
					req.Hi = arena / 2
				case 2:
					req.Boundary, req.Dir = 1<<20, allocator.High
				}
				if block, ok := strategy.Alloc(req); ok {
					live = append(live, block)
				}
				continue
			}
			last, victim := len(live)-1, int(n>>8%uint64(len(live)))
			if err := strategy.Free(live[victim]); err != nil {
				t.Fatalf("free of live %s: %v\na live block can be freed", show(live[victim]), err)
			}
			live[victim] = live[last]
			live = live[:last]
		}
	}
	cycle()
	if n := testing.AllocsPerRun(10, cycle); n > 0 {
		t.Errorf("%v allocations in 4000 operations that were done before\nan operation allocates no memory once as many blocks have been live", n)
	}
}
