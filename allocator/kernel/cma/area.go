package cma

import (
	"errors"
	"fmt"
	"iter"
	"math"
	"math/bits"

	"dmasim/allocator/holes"
	"dmasim/mem"
)

// Why [Area.Alloc] failed. Errors of a [Migrate] other than ErrBusy are
// returned as they are.
var (
	// ErrSize means that the request was refused unseen: no page, or more than
	// the whole area.
	ErrSize = errors.New("no pages asked for, or more than the area has")
	// ErrNoMemory means that no place was found.
	ErrNoMemory = errors.New("no run of free pages is long enough")
	// ErrBusy means that a place was found, but pages in it could not be
	// migrated, and no other place was left.
	ErrBusy = errors.New("pages are busy")
)

// ErrNotAllocated is returned by [Area.Release] for pages that are free or do
// not belong to the area.
var ErrNotAllocated = errors.New("pages are not allocated")

// Migrate empties the pages [r.Lo, r.Hi), page frame numbers, of what the page
// allocator had lent them to (alloc_contig_range). ErrBusy, also wrapped, makes
// the allocation try the next place; any other error ends it.
type Migrate func(r mem.Range) error

// Area is one contiguous range of pages (struct cma).
type Area struct {
	base  uint64 // page frame number
	count uint64 // pages
	order uint   // log2 of the pages per bit
	bits  uint64
	first uint64       // number of the first bit, counted from page frame 0
	free  *holes.Index // of bits, counted from page frame 0
}

// New returns an empty area of count pages that begins at page frame base, with
// 2^orderPerBit pages per bit. Pages at the end that fill no bit are not used.
func New(base, count uint64, orderPerBit uint) (*Area, error) {
	if count > math.MaxUint64-base || orderPerBit >= 64 || count>>orderPerBit == 0 {
		return nil, fmt.Errorf("area of %d pages from %#x, %d to a bit: want at least one bit, below 2^64",
			count, base, uint64(1)<<(orderPerBit%64))
	}
	n, first := count>>orderPerBit, base>>orderPerBit
	return &Area{
		base: base, count: count, order: orderPerBit, bits: n, first: first,
		free: holes.New(mem.RangeSet{{Lo: first, Hi: first + n}}),
	}, nil
}

// Pages returns the page frame numbers that the area hands out.
func (a *Area) Pages() mem.Range { return mem.Range{Lo: a.base, Hi: a.base + a.bits<<a.order} }

// Alloc places count pages so that the first is a multiple of 2^alignOrder, and
// returns its page frame number. migrate nil stands for pages that are free or
// always movable. The error is ErrSize, ErrNoMemory, ErrBusy or what migrate
// returned; nothing is allocated then.
func (a *Area) Alloc(count uint64, alignOrder uint, migrate Migrate) (uint64, error) {
	n := a.bitsFor(count)
	if n == 0 || n > a.bits {
		return 0, ErrSize
	}
	order := alignOrder - min(alignOrder, a.order)
	mask := uint64(math.MaxUint64) >> (64 - min(order, 64-a.order))
	outcome := ErrNoMemory
	var cursor holes.Cursor
	for from := a.first; ; {
		bit, ok := a.find(&cursor, from, n, mask)
		if !ok {
			return 0, outcome
		}
		pfn := a.base + (bit-a.first)<<a.order
		if migrate != nil {
			err := migrate(mem.Range{Lo: pfn, Hi: pfn + count})
			if err != nil && !errors.Is(err, ErrBusy) {
				return 0, err
			}
			if err != nil {
				outcome = ErrBusy
				if from = bit + mask + 1; from <= bit {
					return 0, outcome
				}
				continue
			}
		}
		cursor.Take(bit, bit+n)
		return pfn, nil
	}
}

// find returns the lowest bit at or above from that is a multiple of mask+1 and
// begins n free ones (bitmap_find_next_zero_area_off: its offset makes multiples
// of page frames out of those of bits). The cursor is left at the run that holds
// it. Only the run that holds from may be visited in vain.
func (a *Area) find(cursor *holes.Cursor, from, n, mask uint64) (uint64, bool) {
	fit := holes.Fit(min(bits.Len64(mask), 63))
	if fit > 0 && fit == holes.Fit(bits.Len64(n-1)) {
		fit = holes.Natural
	}
	cursor.From(a.free, from)
	for run, ok := cursor.NextFit(n, fit); ok; run, ok = cursor.NextFit(n, fit) {
		low := max(run.Lo, from)
		bit := (low + mask) &^ mask
		if low+mask >= low && bit <= run.Hi && run.Hi-bit >= n {
			return bit, true
		}
	}
	return 0, false
}

// bitsFor returns the number of bits that hold count pages.
func (a *Area) bitsFor(count uint64) uint64 {
	n := count >> a.order
	if n<<a.order != count {
		n++
	}
	return n
}

// Release gives back count pages from page frame pfn on (cma_release). The
// error is ErrNotAllocated, and nothing changed, if one of them is free already
// or outside the area. As in the kernel, releasing a part frees the whole bits
// that it touches.
func (a *Area) Release(pfn, count uint64) error {
	if pages := (mem.Range{Lo: a.base, Hi: a.base + a.count}); count > 0 && pfn >= pages.Lo && pfn < pages.Hi && count <= pages.Hi-pfn {
		bit := a.first + (pfn-a.base)>>a.order
		if a.free.Give(bit, bit+a.bitsFor(count)) {
			return nil
		}
	}
	return fmt.Errorf("release %d pages at %#x: %w", count, pfn, ErrNotAllocated)
}

// Used returns the number of pages allocated, in whole bits (the file "used" in
// debugfs).
func (a *Area) Used() uint64 { return (a.bits - a.free.Bytes()) << a.order }

// LargestFree returns the length in pages of the longest free run (the file
// "maxchunk" in debugfs).
func (a *Area) LargestFree() uint64 { return a.free.Largest() << a.order }

// Free returns the free runs by rising page frame number.
func (a *Area) Free() iter.Seq[mem.Range] {
	return func(yield func(mem.Range) bool) {
		for run := range a.free.All() {
			first := a.base + (run.Lo-a.first)<<a.order
			if !yield(mem.Range{Lo: first, Hi: first + run.Size()<<a.order}) {
				return
			}
		}
	}
}

// AlignOrder returns the order that the CMA heap and dma_alloc_contiguous ask
// for: that of the size, at most limit (CONFIG_CMA_ALIGNMENT, by default 8).
func AlignOrder(count uint64, limit uint) uint {
	if count <= 1 {
		return 0
	}
	return min(uint(bits.Len64(count-1)), limit)
}
