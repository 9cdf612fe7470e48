package cma_test

import (
	"errors"
	"math/bits"

	"dmasim/allocator/kernel/cma"
	"dmasim/mem"
)

// bitmap is the kernel's own way: a bitmap that is searched word by word, from
// the start each time.
type bitmap struct {
	base  uint64
	order uint
	bits  uint64
	words []uint64
}

func newBitmap(base, count uint64, order uint) *bitmap {
	n := count >> order
	return &bitmap{base: base, order: order, bits: n, words: make([]uint64, (n+63)/64)}
}

func (b *bitmap) alloc(count uint64, alignOrder uint, migrate cma.Migrate) (uint64, error) {
	n := (count + 1<<b.order - 1) >> b.order
	if n == 0 || n > b.bits {
		return 0, cma.ErrSize
	}
	mask := uint64(0)
	if alignOrder > b.order {
		mask = 1<<(alignOrder-b.order) - 1
	}
	offset := b.base & (1<<alignOrder - 1) >> b.order
	outcome := cma.ErrNoMemory
	for start := uint64(0); ; {
		bit, ok := b.zeroArea(start, n, mask, offset)
		if !ok {
			return 0, outcome
		}
		pfn := b.base + bit<<b.order
		err := error(nil)
		if migrate != nil {
			err = migrate(mem.Range{Lo: pfn, Hi: pfn + count})
		}
		switch {
		case err == nil:
			b.flip(bit, n)
			return pfn, nil
		case !errors.Is(err, cma.ErrBusy):
			return 0, err
		}
		outcome = cma.ErrBusy
		start = bit + mask + 1
	}
}

func (b *bitmap) release(pfn, count uint64) {
	b.flip((pfn-b.base)>>b.order, (count+1<<b.order-1)>>b.order)
}

func (b *bitmap) zeroArea(start, n, mask, offset uint64) (uint64, bool) {
	for {
		bit := (b.next(start, b.bits, false)+offset+mask)&^mask - offset
		end := bit + n
		if end > b.bits {
			return 0, false
		}
		used := b.next(bit, end, true)
		if used == end {
			return bit, true
		}
		start = used + 1
	}
}

// next returns the first bit in [from, end) that is set, or clear, and end if
// there is none.
func (b *bitmap) next(from, end uint64, set bool) uint64 {
	for from < end {
		word := b.words[from/64]
		if !set {
			word = ^word
		}
		if word >>= from % 64; word != 0 {
			return min(from+uint64(bits.TrailingZeros64(word)), end)
		}
		from = (from/64 + 1) * 64
	}
	return end
}

// flip changes n bits from bit on.
func (b *bitmap) flip(bit, n uint64) {
	for end := bit + n; bit < end; {
		width := min(64-bit%64, end-bit)
		b.words[bit/64] ^= (^uint64(0) >> (64 - width)) << (bit % 64)
		bit += width
	}
}
