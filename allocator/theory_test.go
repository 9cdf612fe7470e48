package allocator_test

import (
	"math/bits"
	"os"
	"slices"
	"testing"

	"dmasim/allocator"
	"dmasim/internal/shareddata"
	"dmasim/mem"
	"dmasim/workloads/trace"
)

// player drives one strategy with unit granule and keeps what is live.
type player struct {
	t         testing.TB
	strategy  allocator.Strategy
	live      []allocator.Block
	highWater uint64
	failed    bool
}

func newPlayer(t testing.TB, policy string, capacity uint64) *player {
	t.Helper()
	s, err := allocator.New(policy, allocator.Config{Arena: mem.RangeSet{{Lo: 0, Hi: capacity}}})
	if err != nil {
		t.Fatal(err)
	}
	return &player{t: t, strategy: s}
}

func (s *player) alloc(r allocator.Request) allocator.Block {
	b, ok := s.strategy.Alloc(r)
	if !ok {
		s.failed = true
		return b
	}
	s.highWater = max(s.highWater, b.Addr+b.Size)
	s.live = append(s.live, b)
	return b
}

func (s *player) allocSize(size uint64) allocator.Block {
	return s.alloc(allocator.Request{Size: size})
}

// allocGrowing is allocSize in memory that grows upwards when it has to: holes
// between blocks come first, also for worst fit and next fit.
func (s *player) allocGrowing(size uint64) allocator.Block {
	var end uint64
	for _, b := range s.live {
		end = max(end, b.Addr+b.Size)
	}
	if end > 0 {
		if b, ok := s.strategy.Alloc(allocator.Request{Size: size, Hi: end}); ok {
			s.live = append(s.live, b)
			return b
		}
	}
	return s.alloc(allocator.Request{Size: size, Lo: end})
}

func (s *player) free(b allocator.Block) {
	s.t.Helper()
	if err := s.strategy.Free(b); err != nil {
		s.t.Fatal(err)
	}
	i := slices.Index(s.live, b)
	s.live = slices.Delete(s.live, i, i+1)
}

func (s *player) liveBytes() (n uint64) {
	for _, b := range s.live {
		n += b.Size
	}
	return n
}

// robson plays the adversary of Robson, "An estimate of the store size
// necessary for dynamic storage allocation" (Journal of the ACM 18(3), 1971),
// which needs blocks of 1 to n bytes, powers of two, and never more than m live
// bytes. It stops at the first failure and returns the size that failed.
func (s *player) robson(m, n uint64, alloc func(size uint64) allocator.Block) (failed uint64) {
	for range m {
		alloc(1)
	}
	residue := uint64(0)
	for step := uint64(2); step <= n; step *= 2 {
		occupies := func(b allocator.Block, residue uint64) bool { return (residue-b.Addr)%step < b.Size }
		spoilt := func(residue uint64) (n uint64) {
			for _, b := range s.live {
				if occupies(b, residue) {
					n += step - b.Size
				}
			}
			return n
		}
		if spoilt(residue+step/2) > spoilt(residue) {
			residue += step / 2
		}
		for _, b := range slices.Clone(s.live) {
			if !occupies(b, residue) {
				s.free(b)
			}
		}
		for range (m - s.liveBytes()) / step {
			if alloc(step); s.failed {
				return step
			}
		}
	}
	return 0
}

// robsonBound is what every allocator that does not move blocks needs against
// the adversary: m(log2(n)/2 + 1) - n + 1.
func robsonBound(m, n uint64) uint64 { return m*uint64(bits.Len64(n)-1)/2 + m - n + 1 }

func TestRobsonBound(t *testing.T) {
	for _, c := range []struct{ m, n uint64 }{
		{8, 4}, {16, 2}, {16, 4}, {16, 8}, {16, 16}, {64, 8}, {64, 16}, {64, 64}, {256, 16}, {256, 64}, {256, 256}, {1024, 64},
	} {
		bound := robsonBound(c.m, c.n)
		for _, policy := range []string{"first-fit", "best-fit", "worst-fit", "next-fit"} {
			s := newPlayer(t, policy, 8*bound)
			if s.robson(c.m, c.n, s.allocGrowing); s.highWater != bound {
				t.Errorf("%s, %d live bytes, blocks up to %d: needs %d, want %d", policy, c.m, c.n, s.highWater, bound)
			}
		}
		for _, policy := range []string{"first-fit", "best-fit", "worst-fit", "last-fit"} {
			s := newPlayer(t, policy, bound)
			if size := s.robson(c.m, c.n, s.allocSize); size != 0 {
				t.Errorf("%s, %d live bytes, %d of memory: no room for %d", policy, c.m, bound, size)
			}
		}
	}
}

// TestRobsonBoundIsTight takes one byte from what is needed: then only a
// quarter of the live bytes can be placed in the last step.
func TestRobsonBoundIsTight(t *testing.T) {
	for _, c := range []struct{ m, n, live uint64 }{{16, 4, 12}, {64, 16, 48}, {256, 64, 192}} {
		for _, policy := range []string{"first-fit", "best-fit", "worst-fit", "last-fit"} {
			s := newPlayer(t, policy, robsonBound(c.m, c.n)-1)
			if size := s.robson(c.m, c.n, s.allocSize); size != c.n || s.liveBytes() != c.live {
				t.Errorf("%s, %d live bytes: no room for %d with %d live, want no room for %d with %d live",
					policy, c.m, size, s.liveBytes(), c.n, c.live)
			}
		}
	}
}

// TestCombs leaves a block of one byte behind each block of m-1: next fit and
// worst fit go on to untouched memory each time, the others come back.
func TestCombs(t *testing.T) {
	for _, test := range []struct {
		policy      string
		capacity, m uint64
		largest     uint64
		free        uint64
	}{
		{"next-fit", 1024, 16, 15, 960},
		{"worst-fit", 1024, 16, 16, 960},
		{"first-fit", 1024, 16, 945, 960},
		{"best-fit", 1024, 16, 945, 960},
		{"last-fit", 1024, 16, 945, 960},
		{"next-fit", 256, 8, 7, 224},
		{"worst-fit", 256, 8, 8, 224},
		{"first-fit", 256, 8, 217, 224},
		{"best-fit", 256, 8, 217, 224},
	} {
		s := newPlayer(t, test.policy, test.capacity)
		for range test.capacity / test.m {
			a := s.allocSize(test.m - 1)
			s.allocSize(1)
			s.free(a)
		}
		var largest, end uint64
		slices.SortFunc(s.live, func(a, b allocator.Block) int { return int(a.Addr) - int(b.Addr) })
		for _, b := range append(slices.Clone(s.live), allocator.Block{Addr: test.capacity}) {
			largest = max(largest, b.Addr-end)
			end = b.Addr + b.Size
		}
		if free := test.capacity - s.liveBytes(); largest != test.largest || free != test.free || s.failed {
			t.Errorf("%s in %d: largest hole %d of %d free, want %d of %d", test.policy, test.capacity, largest, free, test.largest, test.free)
		}
		if s.allocSize(test.largest + 1); !s.failed {
			t.Errorf("%s in %d: placed more than the largest hole", test.policy, test.capacity)
		}
	}
}

// bestFitKiller plays the adversary of Robson, "Worst case fragmentation of
// first fit and best fit storage allocation strategies" (Computer Journal
// 20(3), 1977), section on best fit, with blocks of up to m bytes. Each round
// adds a hole of m-3 bytes that no later request fits, with a byte behind it.
func (s *player) bestFitKiller(m uint64, rounds int) (peak uint64) {
	alloc := func(size uint64) allocator.Block {
		b := s.allocSize(size)
		peak = max(peak, s.liveBytes())
		return b
	}
	front := alloc(m - 2)
	var ones []allocator.Block
	for range rounds {
		x, y := alloc(m-2), alloc(m-2)
		blocked := append([]allocator.Block{front}, ones...) // what to free to widen the hole before the last one
		s.free(blocked[len(blocked)-1])
		s.free(x)
		big, middle := alloc(m), alloc(m-5)
		next := []allocator.Block{alloc(1)}
		s.free(big)
		for _, before := range slices.Backward(blocked[:len(blocked)-1]) {
			filler, rest := alloc(m-2), alloc(2)
			s.free(before)
			s.free(filler)
			big, moved := alloc(m), alloc(m-5)
			next = append(next, alloc(1))
			s.free(big)
			s.free(rest)
			s.free(middle)
			middle = moved
		}
		s.free(middle)
		front = alloc(m - 2)
		s.free(y)
		slices.Reverse(next)
		ones = next
	}
	return peak
}

func TestBestFitKiller(t *testing.T) {
	for _, c := range []struct {
		m               uint64
		rounds          int
		peak, highWater uint64
	}{
		{6, 5, 22, 28}, {6, 20, 37, 88}, {6, 60, 77, 248},
		{8, 5, 32, 42}, {8, 20, 47, 132}, {8, 60, 87, 372},
		{10, 5, 42, 56}, {10, 20, 57, 176}, {10, 60, 97, 496},
		{16, 5, 72, 98}, {16, 20, 87, 308}, {16, 60, 127, 868},
	} {
		s := newPlayer(t, "best-fit", 1<<20)
		if peak := s.bestFitKiller(c.m, c.rounds); peak != c.peak || s.highWater != c.highWater {
			t.Errorf("m %d, %d rounds: %d live bytes needed %d, want %d and %d", c.m, c.rounds, peak, s.highWater, c.peak, c.highWater)
		}
		immune := newPlayer(t, "first-fit", 1<<20)
		if immune.bestFitKiller(c.m, c.rounds); immune.highWater >= 2*c.peak {
			t.Errorf("m %d, %d rounds: first fit needed %d", c.m, c.rounds, immune.highWater)
		}
	}
}

// TestMiniMallocOnline places the published MiniMalloc instances in the order
// in which their buffers begin, longer ones first, and compares the memory
// needed with that of another program.
func TestMiniMallocOnline(t *testing.T) {
	want := []struct {
		instance          string
		firstFit, bestFit uint64
	}{
		{"A", 1789952, 1751040}, {"B", 1681408, 1681408}, {"C", 1752064, 1752064}, {"D", 1395712, 1411072},
		{"E", 1925120, 1479680}, {"F", 1258496, 1177600}, {"G", 1226752, 1311744}, {"H", 1318912, 1321984},
		{"I", 1910784, 1910784}, {"J", 1821696, 1702912}, {"K", 2383872, 2044928},
	}
	for _, test := range want {
		path := shareddata.Path(t, "minimalloc", test.instance+".1048576.csv")
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		problem, err := trace.ReadMiniMalloc(f, path)
		if err != nil {
			t.Fatal(err)
		}
		for policy, height := range map[string]uint64{"first-fit": test.firstFit, "best-fit": test.bestFit} {
			s := newPlayer(t, policy, 1<<30)
			blocks := map[uint32]allocator.Block{}
			for p := range problem.Placements(trace.StartSizeOrder) {
				if p.Free {
					s.free(blocks[p.Slot])
				} else {
					blocks[p.Slot] = s.alloc(allocator.Request{Size: p.Size, Align: p.Align})
				}
			}
			if s.highWater != height || s.failed {
				t.Errorf("%s, %s: needs %d, want %d", test.instance, policy, s.highWater, height)
			}
		}
	}
}
