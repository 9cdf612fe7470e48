package allocator_test

import (
	"runtime"
	"testing"

	"dmasim/allocator"
	"dmasim/allocator/alloctest"
	"dmasim/mem"
)

// TestTLSFMissesNothingWithinItsCandidates: where the candidates never run out,
// tlsf is exact, whatever the lists.
func TestTLSFMissesNothingWithinItsCandidates(t *testing.T) {
	for _, name := range []string{
		"tlsf:second-level=2,candidates=1000000",
		"tlsf:second-level=32,candidates=1000000",
		"tlsf:second-level=64,candidates=1000000",
	} {
		t.Run(name, func(t *testing.T) {
			alloctest.Run(t, func(cfg allocator.Config) (allocator.Strategy, error) {
				return allocator.New(name, cfg)
			}, alloctest.Honours(allocator.HonoursAll), alloctest.Exact())
		})
	}
}

// script runs named allocations and frees on one strategy.
type script struct {
	*testing.T
	strategy allocator.Strategy
	live     map[string]allocator.Block
}

func newScript(t *testing.T, name string, cfg allocator.Config) *script {
	t.Helper()
	strategy, err := allocator.New(name, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return &script{t, strategy, map[string]allocator.Block{}}
}

// alloc allocates a block and expects it at an address.
func (s *script) alloc(name string, req allocator.Request, want uint64) {
	s.Helper()
	block, ok := s.strategy.Alloc(req)
	if !ok || block.Addr != want {
		s.Fatalf("%s: %+v at %#x (%t), want %#x", name, req, block.Addr, ok, want)
	}
	s.live[name] = block
}

func (s *script) refuse(req allocator.Request) {
	s.Helper()
	if block, ok := s.strategy.Alloc(req); ok {
		s.Fatalf("%+v at %#x, want none", req, block.Addr)
	}
}

func (s *script) free(names ...string) {
	s.Helper()
	for _, name := range names {
		if err := s.strategy.Free(s.live[name]); err != nil {
			s.Fatalf("%s: %v", name, err)
		}
		delete(s.live, name)
	}
}

// TestTLSFGolden repeats a recording of the implementation of Matthew Conte
// (github.com/mattconte/tlsf, revision deff9ab, 64-bit), which keeps a header
// of 8 bytes before each block in a pool of 64 KiB.
func TestTLSFGolden(t *testing.T) {
	s := newScript(t, "tlsf", allocator.Config{Arena: mem.NewRangeSet(mem.Range{Lo: 0, Hi: 64 << 10}), Granule: 8})
	const header = 8
	alloc := func(name string, size, want uint64) {
		t.Helper()
		s.alloc(name, allocator.Request{Size: size + header}, want-header)
	}
	alloc("100", 100, 8)
	alloc("200", 200, 120)
	alloc("1000", 1000, 328)
	alloc("50", 50, 1336)
	alloc("4096", 4096, 1400)
	alloc("300", 300, 5504)
	alloc("64", 64, 5816)
	s.free("200", "300", "50")
	alloc("200", 200, 120)
	alloc("184", 184, 5504)
	alloc("300", 300, 5888)
	alloc("40", 40, 1336)
	alloc("280", 280, 6200)
	alloc("210", 210, 6488)
}

// TestTLSFSteps shows each step of a search.
func TestTLSFSteps(t *testing.T) {
	const page = 4096
	pages := func(n uint64) allocator.Request { return allocator.Request{Size: n * page} }
	cfg := allocator.Config{Arena: mem.NewRangeSet(mem.Range{Lo: 0, Hi: 1024 * page}), Granule: page}

	t.Run("list of the size itself", func(t *testing.T) {
		// 67 and 66 pages share a list of 66 to 67, so 67 is looked for from 68 on.
		s := newScript(t, "tlsf", cfg)
		s.alloc("a", pages(67), 0)
		s.alloc("rest", pages(1024-67), 67*page)
		s.free("a")
		s.alloc("again", pages(67), 0)
	})
	t.Run("behind the candidates", func(t *testing.T) {
		for _, candidates := range []string{"tlsf:candidates=1", "tlsf:candidates=2"} {
			s := newScript(t, candidates, cfg)
			s.alloc("67", pages(67), 0)
			s.alloc("wall", pages(1), 67*page)
			s.alloc("66", pages(66), 68*page)
			s.alloc("rest", pages(1024-134), 134*page)
			s.free("67", "66") // 66 is the head of their list
			if candidates == "tlsf:candidates=1" {
				s.refuse(pages(67))
			} else {
				s.alloc("second", pages(67), 0)
			}
		}
	})
	t.Run("room for an alignment", func(t *testing.T) {
		// The only block with room for an aligned start is behind the candidate.
		s := newScript(t, "tlsf:candidates=1", cfg)
		s.alloc("low", pages(1), 0)
		s.alloc("hole", pages(20), page)
		s.alloc("wall", pages(2), 21*page)
		s.free("hole")
		s.alloc("aligned", allocator.Request{Size: 16 * page, Align: 16 * page}, 32*page)
		s.alloc("gap", pages(9), 23*page) // what the alignment left is free
	})
	t.Run("room for a boundary", func(t *testing.T) {
		s := newScript(t, "tlsf:candidates=1", cfg)
		s.alloc("low", pages(60), 0)
		s.alloc("hole", pages(9), 60*page)
		s.alloc("wall", pages(1), 69*page)
		s.free("hole")
		s.alloc("bounded", allocator.Request{Size: 8 * page, Boundary: 64 * page}, 70*page)
	})
	t.Run("last in, first out", func(t *testing.T) {
		s := newScript(t, "tlsf", cfg)
		for i, name := range []string{"a", "-", "b", "-", "c", "-"} {
			s.alloc(name, pages(4), uint64(i)*4*page)
		}
		s.free("b", "c", "a")
		s.alloc("first", pages(4), 0)
		s.alloc("second", pages(4), 16*page)
		s.alloc("third", pages(4), 8*page)
	})
	t.Run("direction", func(t *testing.T) {
		s := newScript(t, "tlsf", cfg)
		s.alloc("high", allocator.Request{Size: page, Dir: allocator.High}, 1023*page)
		s.alloc("low", allocator.Request{Size: page, Dir: allocator.Low}, 0)
	})
}

// TestTLSFTrace holds the random placement trace against the goals: no failure
// where 85 percent are live, fewer than VulkanMemoryAllocator's TLSF (5,060) at
// 95 percent, and at most 48 bytes per live block.
func TestTLSFTrace(t *testing.T) {
	p := randomPlacements(t)
	for _, test := range []struct {
		arena mem.Size
		most  int
	}{{6789 * mem.MiB, 0}, {6075 * mem.MiB, 5059}} {
		live := make([]allocator.Block, p.Slots)
		before := heapBytes()
		s, err := allocator.New("tlsf", allocator.Config{
			Arena: mem.NewRangeSet(mem.Range{Lo: 0, Hi: uint64(test.arena)}), Granule: p.Unit,
		})
		if err != nil {
			t.Fatal(err)
		}
		failures, _, err := replay(s, p.records, live)
		if err != nil || failures > test.most {
			t.Errorf("%s: %d failures, %v; want at most %d", test.arena, failures, err, test.most)
		}
		blocks := 0
		for _, block := range live {
			if block.Size != 0 {
				blocks++
			}
		}
		if each := float64(heapBytes()-before) / float64(blocks); each > 48 {
			t.Errorf("%s: %.1f bytes per live block, want at most 48", test.arena, each)
		}
		runtime.KeepAlive(s)
	}
}

// heapBytes returns the size of all reachable objects.
func heapBytes() uint64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}
