package workloads

import (
	"math"
	"math/bits"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestKeepSpread compares with a search of all choices.
func TestKeepSpread(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var blocks []placedBlock
		at := rapid.Uint64Range(0, 3).Draw(t, "lo")
		lo := at
		for range rapid.IntRange(1, 9).Draw(t, "blocks") {
			at += rapid.Uint64Range(0, 3).Draw(t, "hole")
			size := rapid.Uint64Range(1, 4).Draw(t, "size")
			blocks = append(blocks, placedBlock{uint64(len(blocks)), at, size})
			at += size
		}
		hi := at + rapid.Uint64Range(0, 3).Draw(t, "end")
		size := rapid.Uint64Range(4, 9).Draw(t, "step") // no hole is as large yet
		best := uint64(math.MaxUint64)
		for choice := 1; choice < 1<<len(blocks); choice++ {
			var kept []placedBlock
			for i, b := range blocks {
				if choice>>i&1 == 1 {
					kept = append(kept, b)
				}
			}
			if sum, spread := judge(kept, lo, hi, size); spread && sum < best {
				best = sum
			}
		}
		before := slices.Clone(blocks)
		kept := blocks[:keepSpread(blocks, lo, hi, size)]
		if sum, spread := judge(kept, lo, hi, size); sum != best || !spread {
			t.Fatalf("of %v kept %v: %d, want %d", before, kept, sum, best)
		}
		seen := 0
		for _, b := range blocks {
			seen |= 1 << b.name
		}
		if bits.OnesCount(uint(seen)) != len(before) {
			t.Fatalf("of %v became %v", before, blocks)
		}
	})
}

// judge sums blocks up and says whether all holes are less than size.
func judge(blocks []placedBlock, lo, hi, size uint64) (sum uint64, spread bool) {
	spread = true
	for _, b := range blocks {
		sum += b.size
		spread = spread && b.addr-lo < size
		lo = b.end()
	}
	return sum, spread && hi-lo < size
}
