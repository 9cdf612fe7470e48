package workloads

import (
	"cmp"
	"math"
	"slices"
)

// chooseSpread keeps the least that leaves no hole for the next step's size between
// the ends of what was ever used.
func (a *Adversary) chooseSpread() int {
	slices.SortFunc(a.live, func(x, y placedBlock) int { return cmp.Compare(x.addr, y.addr) })
	return keepSpread(a.live, a.lo-a.config.Base, a.hi-a.config.Base, a.step*a.config.Unit)
}

// keepSpread moves to the front those of blocks, sorted by address, that sum to the
// least while less than size is free between any two of them, and between them and lo
// and hi, as far as that can be. It returns how many they are, still sorted.
func keepSpread(blocks []placedBlock, lo, hi, size uint64) int {
	// least[i] is the sum of the best choice up to block i that has block i, before[i]
	// the block before it there. window has the blocks that may be before block i, the
	// best of them first.
	least, before := make([]uint64, len(blocks)), make([]int, len(blocks))
	var window []int
	last, sum := 0, uint64(math.MaxUint64)
	for i, b := range blocks {
		for len(window) > 1 && b.addr-blocks[window[0]].end() >= size {
			window = window[1:]
		}
		switch {
		case i == 0 || b.addr-lo < size:
			least[i], before[i] = b.size, -1
		case b.addr-blocks[window[0]].end() < size:
			least[i], before[i] = least[window[0]]+b.size, window[0]
		default: // the strategy left a hole there itself
			least[i], before[i] = least[i-1]+b.size, i-1
		}
		for len(window) > 0 && least[window[len(window)-1]] >= least[i] {
			window = window[:len(window)-1]
		}
		window = append(window, i)
		if (i == len(blocks)-1 || hi-b.end() < size) && least[i] <= sum {
			last, sum = i, least[i]
		}
	}
	chosen := make([]bool, len(blocks))
	for i := last; i >= 0; i = before[i] {
		chosen[i] = true
	}
	kept := 0
	for i, b := range blocks {
		if chosen[i] {
			blocks[i], blocks[kept] = blocks[kept], b
			kept++
		}
	}
	return kept
}

// firstFitNeeds plays FirstFitKiller against a strategy that places what fits nowhere
// behind the last block, and returns what that needs, in units.
func firstFitNeeds(m, n uint64) uint64 {
	blocks := make([]placedBlock, m)
	for i := range blocks {
		blocks[i] = placedBlock{addr: uint64(i), size: 1}
	}
	most := m
	for size := uint64(2); size <= n; size++ {
		blocks = blocks[:keepSpread(blocks, 0, most, size)]
		room := m
		for _, b := range blocks {
			room -= b.size
		}
		end := blocks[len(blocks)-1].end()
		for ; room >= size; room -= size {
			blocks = append(blocks, placedBlock{addr: end, size: size})
			end += size
		}
		most = max(most, end)
	}
	return most
}
