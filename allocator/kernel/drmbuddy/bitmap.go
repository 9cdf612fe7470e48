package drmbuddy

import "math/bits"

// bitmap is a set of numbers below a limit, which is at least 1. Each level has a bit for each word
// of the level before that is not 0; the last level is one word.
type bitmap [][]uint64

func newBitmap(limit uint64) bitmap {
	var b bitmap
	for {
		limit = (limit + 63) / 64
		b = append(b, make([]uint64, limit))
		if limit <= 1 {
			return b
		}
	}
}

func (b bitmap) has(n uint64) bool {
	w := n / 64
	return w < uint64(len(b[0])) && b[0][w]>>(n%64)&1 != 0
}

func (b bitmap) add(n uint64) {
	for level := range b {
		word := &b[level][n/64]
		was := *word
		*word |= 1 << (n % 64)
		if was != 0 {
			return
		}
		n /= 64
	}
}

func (b bitmap) remove(n uint64) {
	for level := range b {
		word := &b[level][n/64]
		*word &^= 1 << (n % 64)
		if *word != 0 {
			return
		}
		n /= 64
	}
}

// next returns the lowest number at or above n.
func (b bitmap) next(n uint64) (uint64, bool) {
	for level := range b {
		w := n / 64
		if w >= uint64(len(b[level])) {
			return 0, false
		}
		if above := b[level][w] >> (n % 64); above != 0 {
			n += uint64(bits.TrailingZeros64(above))
			for ; level > 0; level-- {
				n = n*64 + uint64(bits.TrailingZeros64(b[level-1][n]))
			}
			return n, true
		}
		n = w + 1
	}
	return 0, false
}

// last returns the highest number at or below n.
func (b bitmap) last(n uint64) (uint64, bool) {
	n = min(n, uint64(len(b[0]))*64-1)
	for level := range b {
		w := n / 64
		if below := b[level][w] << (63 - n%64); below != 0 {
			n -= uint64(bits.LeadingZeros64(below))
			for ; level > 0; level-- {
				n = n*64 + uint64(bits.Len64(b[level-1][n])) - 1
			}
			return n, true
		}
		if w == 0 {
			break
		}
		n = w - 1
	}
	return 0, false
}

// before returns the highest number below n.
func (b bitmap) before(n uint64) (uint64, bool) {
	if n == 0 {
		return 0, false
	}
	return b.last(n - 1)
}
