package allocator_test

import (
	"math"
	"math/bits"
	"os"
	"slices"
	"testing"

	"dmasim/allocator"
	"dmasim/internal/shareddata"
	"dmasim/mem"
	"dmasim/workloads"
	"dmasim/workloads/trace"
)

// player drives one strategy with unit granule and keeps what is live.
type player struct {
	t         testing.TB
	strategy  allocator.Strategy
	live      []allocator.Block
	highWater uint64
	failed    bool
	refused   uint64 // the size that an adversary was refused
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

// play lets an adversary ask for blocks until it ends or one is refused, and
// returns the most bytes that were live at once.
func (s *player) play(config workloads.AdversaryConfig, alloc func(size uint64) allocator.Block) (peak uint64, a *workloads.Adversary) {
	s.t.Helper()
	config.Unit, config.Every = 1, 1
	a, err := workloads.NewAdversary(config)
	if err != nil {
		s.t.Fatal(err)
	}
	blocks := map[uint64]allocator.Block{}
	var last *workloads.Outcome
	for {
		op, more := a.Next(last)
		if !more {
			return peak, a
		}
		last = &workloads.Outcome{Op: op}
		if op.Kind == workloads.Free {
			b, ok := blocks[op.Buffer]
			if !ok {
				s.t.Fatalf("%s frees block %d, which is not live", config.Kind, op.Buffer)
			}
			delete(blocks, op.Buffer)
			s.free(b)
			continue
		}
		b := alloc(op.Size)
		if s.failed {
			s.refused = op.Size
			last.Cause = allocator.Exhausted
			continue
		}
		blocks[op.Buffer], last.Addr = b, b.Addr
		peak = max(peak, s.liveBytes())
	}
}

// robson plays Robson's adversary, and returns the size that was refused, if any.
func (s *player) robson(m, n uint64, alloc func(size uint64) allocator.Block) (refused uint64) {
	s.t.Helper()
	s.play(workloads.AdversaryConfig{Kind: workloads.Robson, Live: m, Largest: n}, alloc)
	return s.refused
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
		s.play(workloads.AdversaryConfig{Kind: workloads.NextFitKiller, Largest: test.m, Rounds: test.capacity / test.m}, s.allocSize)
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

// TestFirstFitKiller holds what first fit needs between what Robson's adversary costs
// it and what it never needs more than (Knuth, section 2.5, exercise 43).
func TestFirstFitKiller(t *testing.T) {
	for _, c := range []struct{ m, n, highWater uint64 }{
		{16, 4, 30}, {64, 16, 186}, {256, 16, 864}, {256, 64, 1054}, {1024, 64, 4880}, {4096, 16, 14320},
	} {
		harmonic := 0.0
		for i := range c.n {
			harmonic += 1 / float64(i+1)
		}
		most := uint64(float64(c.m) * harmonic / math.Ln2)
		config := workloads.AdversaryConfig{Kind: workloads.FirstFitKiller, Live: c.m, Largest: c.n}
		for _, name := range []string{"first-fit", "best-fit"} {
			s := newPlayer(t, name, 1<<20)
			peak, a := s.play(config, s.allocSize)
			if peak > c.m || s.highWater != c.highWater || a.Bound() != c.highWater || a.Reached() != c.highWater {
				t.Errorf("%s, %d live bytes, blocks up to %d: %d live needed %d, bound %d, want %d", name, c.m, c.n, peak, s.highWater, a.Bound(), c.highWater)
			}
			if s.highWater <= robsonBound(c.m, c.n) || s.highWater > most {
				t.Errorf("%s, %d live bytes, blocks up to %d: needed %d, want more than Robson's %d and at most %d", name, c.m, c.n, s.highWater, robsonBound(c.m, c.n), most)
			}
			tight := newPlayer(t, name, c.highWater-1)
			if tight.play(config, tight.allocSize); !tight.failed {
				t.Errorf("%s, %d live bytes, blocks up to %d: served in %d", name, c.m, c.n, c.highWater-1)
			}
		}
	}
}

func TestBestFitKiller(t *testing.T) {
	for _, c := range []struct {
		m               uint64
		rounds          uint64
		peak, highWater uint64
	}{
		{6, 5, 22, 28}, {6, 20, 37, 88}, {6, 60, 77, 248},
		{8, 5, 32, 42}, {8, 20, 47, 132}, {8, 60, 87, 372},
		{10, 5, 42, 56}, {10, 20, 57, 176}, {10, 60, 97, 496},
		{16, 5, 72, 98}, {16, 20, 87, 308}, {16, 60, 127, 868},
	} {
		s := newPlayer(t, "best-fit", 1<<20)
		config := workloads.AdversaryConfig{Kind: workloads.BestFitKiller, Largest: c.m, Rounds: c.rounds}
		peak, a := s.play(config, s.allocSize)
		if peak != c.peak || s.highWater != c.highWater || a.Bound() != c.highWater || a.Reached() != c.highWater {
			t.Errorf("m %d, %d rounds: %d live bytes needed %d, want %d and %d", c.m, c.rounds, peak, s.highWater, c.peak, c.highWater)
		}
		immune := newPlayer(t, "first-fit", 1<<20)
		if immune.play(config, immune.allocSize); immune.highWater >= 2*c.peak {
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
