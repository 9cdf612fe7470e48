package allocator_test

import (
	"testing"

	"dmasim/allocator"
	"dmasim/mem"
)

// TestGoldenTrace replays the random placement trace. The sums of all placed
// addresses modulo 2^64 are those on which independent programs agree: for
// first fit a sorted vector, a bitmap searched like CMA's, Linux's drm_mm and
// VulkanMemoryAllocator; for best fit a C++ std::set.
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
