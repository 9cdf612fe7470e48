package allocator_test

import (
	"runtime"
	"testing"

	"dmasim/allocator"
	"dmasim/mem"
)

// TestGoldenTrace replays the random placement trace. The sums of all placed
// addresses modulo 2^64 are those of independent programs: for first fit a
// sorted vector, a bitmap searched like CMA's, Linux's drm_mm and
// VulkanMemoryAllocator, which all agree; for best fit a C++ std::set.
func TestGoldenTrace(t *testing.T) {
	p := randomPlacements(t)
	for _, test := range []struct {
		name     string
		arena    mem.Size
		sum      uint64
		failures int
	}{
		{"first-fit", 6789 * mem.MiB, 0x390d63f125000, 0},
		{"first-fit", 6075 * mem.MiB, 0x3622d3b432000, 7815},
		{"best-fit", 6789 * mem.MiB, 0x5d134a6165000, 0},
		{"best-fit", 6075 * mem.MiB, 0x5c3447e87f000, 1575},
	} {
		s, err := allocator.New(test.name, allocator.Config{
			Arena: mem.NewRangeSet(mem.Range{Hi: uint64(test.arena)}), Granule: p.Unit,
		})
		if err != nil {
			t.Fatal(err)
		}
		failures, sum, err := replay(s, p.records, make([]allocator.Block, p.Slots))
		if failures != test.failures || sum != test.sum || err != nil {
			t.Errorf("%s in %s: %d failures, sum %#x, %v; want %d, %#x",
				test.name, test.arena, failures, sum, err, test.failures, test.sum)
		}
	}
}

// TestMemoryPerBlock holds every strategy to 48 bytes per live
// block on a quarter of the random placement trace, and to no allocation after
// that but for a rare growth of a table.
func TestMemoryPerBlock(t *testing.T) {
	p := randomPlacements(t)
	warm, steady := p.records[:len(p.records)/4], p.records[len(p.records)/4:len(p.records)*3/8]
	for _, name := range churnPolicies() {
		live := make([]allocator.Block, p.Slots)
		before := heapBytes()
		s, err := allocator.New(name, allocator.Config{Arena: p.arena(85), Granule: p.Unit})
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := replay(s, warm, live); err != nil {
			t.Fatal(err)
		}
		blocks := 0
		for _, b := range live {
			if b.Size != 0 {
				blocks++
			}
		}
		each := float64(heapBytes()-before) / float64(blocks)
		if each > 48 {
			t.Errorf("%s: %.1f bytes per live block, want at most 48", name, each)
		}
		allocs := mallocs()
		if _, _, err := replay(s, steady, live); err != nil {
			t.Fatal(err)
		}
		allocs = mallocs() - allocs
		if allocs > 20 {
			t.Errorf("%s: %d allocations in %d operations", name, allocs, len(steady))
		}
		t.Logf("%s: %.1f bytes for each of %d blocks, %d allocations in %d operations", name, each, blocks, allocs, len(steady))
		runtime.KeepAlive(s)
	}
}

// mallocs returns the number of objects allocated so far.
func mallocs() uint64 {
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.Mallocs
}
