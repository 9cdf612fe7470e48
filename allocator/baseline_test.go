package allocator_test

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/btree"

	"dmasim/allocator"
	"dmasim/mem"
)

// sliceFirstFit is first fit as textbooks have it: a sorted slice of the live
// blocks, searched from the start for a gap.
type sliceFirstFit struct {
	size uint64
	live []allocator.Block
}

func (f *sliceFirstFit) Alloc(r allocator.Request) (allocator.Block, bool) {
	end, align := uint64(0), max(r.Align, 1)
	for i := 0; i <= len(f.live); i++ {
		start := (end + align - 1) / align * align
		limit := f.size
		if i < len(f.live) {
			limit = f.live[i].Addr
			end = limit + f.live[i].Size
		}
		if start <= limit && r.Size <= limit-start {
			b := allocator.Block{Addr: start, Size: r.Size}
			f.live = slices.Insert(f.live, i, b)
			return b, true
		}
	}
	return allocator.Block{}, false
}

func (f *sliceFirstFit) Free(b allocator.Block) error {
	i, _ := slices.BinarySearchFunc(f.live, b.Addr, func(l allocator.Block, addr uint64) int { return cmp.Compare(l.Addr, addr) })
	f.live = slices.Delete(f.live, i, i+1)
	return nil
}

// treeBestFit is best fit as it is usually written: one tree map of the holes
// by size and one by address.
type treeBestFit struct{ bySize, byAddr *btree.BTreeG[mem.Range] }

func newTreeBestFit(size uint64) *treeBestFit {
	f := &treeBestFit{
		btree.NewG(32, func(a, b mem.Range) bool {
			return a.Size() < b.Size() || a.Size() == b.Size() && a.Lo < b.Lo
		}),
		btree.NewG(32, func(a, b mem.Range) bool { return a.Lo < b.Lo }),
	}
	f.insert(mem.Range{Lo: 0, Hi: size})
	return f
}

func (f *treeBestFit) insert(hole mem.Range) {
	if !hole.Empty() {
		f.bySize.ReplaceOrInsert(hole)
		f.byAddr.ReplaceOrInsert(hole)
	}
}

func (f *treeBestFit) remove(hole mem.Range) {
	f.bySize.Delete(hole)
	f.byAddr.Delete(hole)
}

func (f *treeBestFit) Alloc(r allocator.Request) (b allocator.Block, ok bool) {
	align := max(r.Align, 1)
	var from mem.Range
	f.bySize.AscendGreaterOrEqual(mem.Range{Hi: r.Size}, func(hole mem.Range) bool {
		start := (hole.Lo + align - 1) / align * align
		ok = start <= hole.Hi && r.Size <= hole.Hi-start
		from, b = hole, allocator.Block{Addr: start, Size: r.Size}
		return !ok
	})
	if ok {
		f.remove(from)
		f.insert(mem.Range{Lo: from.Lo, Hi: b.Addr})
		f.insert(mem.Range{Lo: b.Addr + b.Size, Hi: from.Hi})
	}
	return b, ok
}

func (f *treeBestFit) Free(b allocator.Block) error {
	hole := mem.Range{Lo: b.Addr, Hi: b.Addr + b.Size}
	f.byAddr.DescendLessOrEqual(hole, func(left mem.Range) bool {
		if left.Hi == hole.Lo {
			hole.Lo = left.Lo
		}
		return false
	})
	f.byAddr.AscendGreaterOrEqual(mem.Range{Lo: hole.Hi}, func(right mem.Range) bool {
		if right.Lo == hole.Hi {
			hole.Hi = right.Hi
		}
		return false
	})
	f.remove(mem.Range{Lo: hole.Lo, Hi: b.Addr})
	f.remove(mem.Range{Lo: b.Addr + b.Size, Hi: hole.Hi})
	f.insert(hole)
	return nil
}

// baselines are what a strategy has to be compared with.
var baselines = []struct {
	name string
	make func(size uint64) allocator.Strategy
}{
	{"baseline-slice-first-fit", func(size uint64) allocator.Strategy { return &sliceFirstFit{size: size} }},
	{"baseline-tree-best-fit", func(size uint64) allocator.Strategy { return newTreeBestFit(size) }},
}

// addressOrderedPolicies are the strategies that miss no place and pick it by
// the size or the address of its hole.
var addressOrderedPolicies = []string{"first-fit", "last-fit", "next-fit", "best-fit", "worst-fit"}

// TestBaselinesAgree holds the baselines to the same golden sums as the
// strategies, so that the comparison of their speed is fair.
func TestBaselinesAgree(t *testing.T) {
	p := randomPlacements(t)
	records := p.records[:100000]
	for i, name := range []string{"first-fit", "best-fit"} {
		s, err := allocator.New(name, allocator.Config{Arena: p.arena(95), Granule: p.Unit})
		if err != nil {
			t.Fatal(err)
		}
		failures, sum, err := replay(s, records, make([]allocator.Block, p.Slots))
		if err != nil {
			t.Fatal(err)
		}
		baseline := baselines[i].make(p.arena(95).Size())
		wantFailures, wantSum, _ := replay(baseline, records, make([]allocator.Block, p.Slots))
		if failures != wantFailures || sum != wantSum {
			t.Errorf("%s: %d failures, sum %#x; %s: %d, %#x", name, failures, sum, baselines[i].name, wantFailures, wantSum)
		}
	}
}

// BenchmarkRandomTrace replays the random placement trace, in an arena that is
// filled to 85 percent, on the address-ordered strategies and on textbook
// implementations of first fit and best fit. One operation is one allocation or
// one free; about 10,000 blocks are live.
func BenchmarkRandomTrace(b *testing.B) {
	p := randomPlacements(b)
	for _, name := range addressOrderedPolicies {
		b.Run(name, func(b *testing.B) {
			benchmarkReplay(b, p, func() allocator.Strategy {
				s, err := allocator.New(name, allocator.Config{Arena: p.arena(85), Granule: p.Unit})
				if err != nil {
					b.Fatal(err)
				}
				return s
			})
		})
	}
	for _, baseline := range baselines {
		b.Run(baseline.name, func(b *testing.B) {
			benchmarkReplay(b, p, func() allocator.Strategy { return baseline.make(p.arena(85).Size()) })
		})
	}
}

// benchmarkReplay runs b.N operations of the trace after the ramp of its first
// tenth, starting over at the end.
func benchmarkReplay(b *testing.B, p *placementTrace, newStrategy func() allocator.Strategy) {
	ramp := len(p.records) / 10
	b.ReportAllocs()
	for left := b.N; left > 0; {
		b.StopTimer()
		s, live := newStrategy(), make([]allocator.Block, p.Slots)
		if _, _, err := replay(s, p.records[:ramp], live); err != nil {
			b.Fatal(err)
		}
		records := p.records[ramp:min(ramp+left, len(p.records))]
		b.StartTimer()
		if _, _, err := replay(s, records, live); err != nil {
			b.Fatal(err)
		}
		left -= len(records)
	}
}

// memoryFloor places nothing. It only touches what any strategy has to: the node
// of a block, and of two others whose blocks lie anywhere, as neighbours and heads
// of lists do. What it costs with more blocks is what the machine's caches cost.
type memoryFloor struct {
	nodes  [][4]uint64
	spare  []uint64 // nodes without a block, in random order
	random uint64
}

func newMemoryFloor(blocks int) *memoryFloor {
	m := &memoryFloor{nodes: make([][4]uint64, 2*blocks), random: 1}
	for _, i := range rand.New(rand.NewPCG(3, 4)).Perm(len(m.nodes)) {
		m.spare = append(m.spare, uint64(i))
	}
	return m
}

func (m *memoryFloor) any() *[4]uint64 {
	m.random = m.random*6364136223846793005 + 1442695040888963407
	return &m.nodes[(m.random>>33)%uint64(len(m.nodes))]
}

func (m *memoryFloor) Alloc(r allocator.Request) (allocator.Block, bool) {
	last := len(m.spare) - 1
	i := m.spare[last]
	m.spare = m.spare[:last]
	m.nodes[i][0] = r.Size
	m.any()[1]++
	m.any()[2]++
	return allocator.Block{Size: r.Size, Ref: i}, true
}

func (m *memoryFloor) Free(b allocator.Block) error {
	if m.nodes[b.Ref][0] != b.Size {
		return allocator.ErrForeign
	}
	m.nodes[b.Ref][0] = 0
	m.any()[1]++
	m.any()[2]++
	m.spare = append(m.spare, b.Ref)
	return nil
}

// BenchmarkLiveBlocks measures one allocation or free with 10^3 to 10^6 live
// blocks of 1 to 64 granules, which fill their arena to about 80 percent and
// are freed in random order. Nodes of 10^3 blocks lie in the nearest cache, those
// of 10^6 in none: baseline-memory tells how much of the growth is that.
func BenchmarkLiveBlocks(b *testing.B) {
	const granule = 4096
	for _, name := range append([]string{"baseline-memory"}, churnPolicies()...) {
		for _, blocks := range []int{1e3, 1e4, 1e5, 1e6} {
			b.Run(fmt.Sprintf("%s/%d", name, blocks), func(b *testing.B) {
				var s allocator.Strategy = newMemoryFloor(blocks)
				if name != "baseline-memory" {
					arena := mem.Range{Hi: uint64(blocks) * 65 / 2 * granule * 5 / 4}
					var err error
					s, err = allocator.New(name, allocator.Config{Arena: mem.NewRangeSet(arena), Granule: granule})
					if err != nil {
						b.Fatal(err)
					}
				}
				rng := rand.New(rand.NewPCG(1, 2))
				live := make([]allocator.Block, 0, blocks)
				alloc := func() {
					if block, ok := s.Alloc(allocator.Request{Size: (1 + rng.Uint64N(64)) * granule}); ok {
						live = append(live, block)
					}
				}
				free := func() {
					i, last := rng.IntN(len(live)), len(live)-1
					if err := s.Free(live[i]); err != nil {
						b.Fatal(err)
					}
					live[i] = live[last]
					live = live[:last]
				}
				for range blocks {
					alloc()
				}
				for range 2 * blocks { // to the steady state
					free()
					alloc()
				}
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					if i%2 == 0 {
						free()
					} else {
						alloc()
					}
				}
			})
		}
	}
}
