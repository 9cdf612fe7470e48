package buddy

import (
	"errors"
	"fmt"

	"dmasim/mem"
)

// ErrIsolated is returned for a range that cannot be isolated: it is empty,
// leaves the zone, or another one is isolated already.
var ErrIsolated = errors.New("range cannot be isolated")

// span is a range of page numbers of a zone.
type span struct{ lo, hi uint32 }

func (s span) holds(i uint32) bool { return i-s.lo < s.hi-s.lo }

// span returns the page numbers of page frames, or false if some are outside
// the zone or there are none.
func (z *Zone) span(r mem.Range) (span, bool) {
	lo, ok := z.index(r.Lo)
	if r.Empty() || !ok {
		return span{}, false
	}
	last, ok := z.index(r.Hi - 1)
	return span{lo, last + 1}, ok
}

// Isolate takes the free blocks of all pageblocks that the page frames r touch
// off the lists, and keeps off them what is freed there, until [Zone.Restore]
// (start_isolate_page_range). Those pages do not count as free meanwhile. One
// range of a zone can be isolated at a time; the error is ErrIsolated.
func (z *Zone) Isolate(r mem.Range) error {
	s, ok := z.span(r)
	if !ok || z.isolated != (span{}) {
		return fmt.Errorf("isolate page frames %s: %w", r, ErrIsolated)
	}
	size := uint32(1) << z.pageblock
	s.lo &^= size - 1
	s.hi = (s.hi + size - 1) &^ (size - 1)
	z.isolated = s
	i, ok := z.cover(s.lo, headFree)
	if !ok {
		i = s.lo
	}
	for i < s.hi {
		order := uint(z.page[i] & orderMask)
		if z.page[i]&^orderMask == headFree {
			z.delist(z.blockType[i>>z.pageblock], order, i)
			z.account(i, order, false)
			z.release(i, order, false)
		}
		i += 1 << order
	}
	return nil
}

// cover returns the first page of the block in a state that a page lies in.
func (z *Zone) cover(i uint32, state uint8) (uint32, bool) {
	for order := uint(0); order <= MaxOrder; order++ {
		if head := i &^ (1<<order - 1); z.page[head] == state|uint8(order) {
			return head, true
		}
	}
	return 0, false
}

// TakeIsolated makes each of the page frames r a live block of order 0
// (isolate_freepages_range, split_free_pages). False means that not all of
// them are free and isolated; nothing changed then.
func (z *Zone) TakeIsolated(r mem.Range) bool {
	s, ok := z.span(r)
	if !ok || !z.isolated.holds(s.lo) || s.hi > z.isolated.hi {
		return false
	}
	first, ok := z.cover(s.lo, headIsolated)
	if !ok {
		return false
	}
	for i := first; i < s.hi; i += 1 << (z.page[i] & orderMask) {
		if z.page[i]&^orderMask != headIsolated {
			return false
		}
	}
	for i := first; i < s.hi; {
		end := i + 1<<(z.page[i]&orderMask)
		for ; i < end; i++ {
			z.page[i] = headIsolated
			if s.holds(i) {
				z.page[i] = headLive
			}
		}
	}
	return true
}

// Restore puts the isolated pages that are still free on the lists again
// (undo_isolate_page_range).
func (z *Zone) Restore() {
	s := z.isolated
	z.isolated = span{}
	for i := s.lo; i < s.hi; {
		state := z.page[i]
		order := uint(state & orderMask)
		if state&^orderMask == headIsolated {
			z.page[i] = 0
			z.merge(i, order, true)
		}
		i += 1 << order
	}
}

// FreeBlock returns the order of the free block that begins at a page frame.
// Blocks on per-CPU lists, or isolated, are not free.
func (z *Zone) FreeBlock(pfn uint64) (order uint, free bool) {
	i, ok := z.index(pfn)
	if !ok || z.page[i]&^orderMask != headFree {
		return 0, false
	}
	return uint(z.page[i] & orderMask), true
}

// TakeFree takes the free block that begins at a page frame off its list. Each
// of its pages is a live block of order 0 then (isolate_freepages_block,
// split_map_pages). False means that there is none.
func (z *Zone) TakeFree(pfn uint64) (order uint, ok bool) {
	order, ok = z.FreeBlock(pfn)
	if !ok {
		return 0, false
	}
	i, _ := z.index(pfn)
	z.delist(z.blockType[i>>z.pageblock], order, i)
	z.account(i, order, false)
	for end := i + 1<<order; i < end; i++ {
		z.page[i] = headLive
	}
	return order, true
}

// SetLRU says that the live block at a page frame holds user pages from now
// on; see [Request].
func (z *Zone) SetLRU(pfn uint64) {
	if order, live := z.Order(pfn); live {
		i, _ := z.index(pfn)
		if z.page[i]&onLRU == 0 {
			z.page[i] |= onLRU
			z.tally(z.blockLRU, i, order, true)
		}
	}
}

// Pageblock is the state of one pageblock.
type Pageblock struct {
	Type Type
	Free uint64 // pages on the zone's lists
	LRU  uint64 // pages of live blocks with LRU set
}

// Pageblock returns the state of the pageblock of a page frame, or the zero
// value outside the zone.
func (z *Zone) Pageblock(pfn uint64) Pageblock {
	i, ok := z.index(pfn)
	if !ok {
		return Pageblock{}
	}
	b := i >> z.pageblock
	return Pageblock{z.blockType[b], uint64(z.blockFree[b]), uint64(z.blockLRU[b])}
}

// AddCMA makes whole pageblocks that were a hole CMA, and frees them one by
// one, as the kernel does for each CMA area after it has freed all else
// (init_cma_reserved_pageblock).
func (z *Zone) AddCMA(r mem.Range) error {
	s, ok := z.span(r)
	size := uint32(1) << z.pageblock
	if !ok || (s.lo|s.hi)&(size-1) != 0 {
		return fmt.Errorf("CMA area of page frames %s: want whole pageblocks of %d pages inside the zone", r, size)
	}
	for i := s.lo; i < s.hi; i++ {
		if z.page[i] != 0 || z.blockFree[i>>z.pageblock] != 0 {
			return fmt.Errorf("CMA area of page frames %s: %#x is in use already", r, z.origin+uint64(i))
		}
	}
	for i := s.lo; i < s.hi; i += size {
		z.blockType[i>>z.pageblock] = CMA
		z.release(i, z.pageblock, false)
	}
	return nil
}

// TakeAll makes every free page of the zone a live block of order 0, so that
// [Zone.Retype] and frees can give it any state. Pages on per-CPU lists stay
// there.
func (z *Zone) TakeAll() {
	for t := range z.lists {
		for order := range z.lists[t] {
			for z.lists[t][order].n > 0 {
				z.TakeFree(z.origin + uint64(z.lists[t][order].head))
			}
		}
	}
}

// Retype changes the type of the pageblock of a page frame, of which no page is
// free (set_pageblock_migratetype).
func (z *Zone) Retype(pfn uint64, t Type) error {
	i, ok := z.index(pfn)
	if !ok || t >= types || z.blockFree[i>>z.pageblock] != 0 {
		return fmt.Errorf("pageblock of page frame %#x: want one of the zone without free pages", pfn)
	}
	z.blockType[i>>z.pageblock] = t
	return nil
}
