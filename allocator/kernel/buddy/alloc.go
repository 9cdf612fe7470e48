package buddy

import "math/bits"

// Request asks for one block of 2^Order pages.
type Request struct {
	Order uint // at most MaxOrder
	// Type is Unmovable, Movable or Reclaimable. Movable requests may be served
	// from CMA pageblocks (gfp_to_alloc_flags_cma).
	Type Type
	// NoFragment forbids what mixes types within a pageblock
	// (ALLOC_NOFRAGMENT): the kernel's first attempt in some zones.
	NoFragment bool
	// LRU says that the pages are user pages, which compaction can move. They
	// count as movable when a pageblock is claimed, until they are freed.
	LRU bool
}

func (r Request) valid() bool { return r.Order <= MaxOrder && r.Type < CMA }

// mode is what the blocks of a bulk allocation remember of the one before, so
// that they need not fail again where it failed (enum rmqueue_mode).
type mode uint8

const (
	modeNormal mode = iota
	modeCMA         // the type's own lists have nothing
	modeSteal       // and nothing can be claimed
)

// Alloc takes a block from the zone's lists (rmqueue_buddy). It returns its
// first page frame, a multiple of its length. False means that there is none.
func (z *Zone) Alloc(r Request) (pfn uint64, ok bool) {
	if !r.valid() {
		return 0, false
	}
	from := modeNormal
	i, ok := z.take(r, &from)
	if !ok {
		return 0, false
	}
	z.setLive(i, r)
	return z.origin + uint64(i), true
}

// AllocBulk takes up to count blocks as one refill of a per-CPU list does
// (rmqueue_bulk), and appends their first page frames to dst. The blocks may
// be other ones than those of as many single allocations.
func (z *Zone) AllocBulk(dst []uint64, r Request, count int) []uint64 {
	if !r.valid() {
		return dst
	}
	from := modeNormal
	for range count {
		i, ok := z.take(r, &from)
		if !ok {
			break
		}
		z.setLive(i, r)
		dst = append(dst, z.origin+uint64(i))
	}
	return dst
}

// setLive records that the block at i is handed out.
func (z *Zone) setLive(i uint32, r Request) {
	z.page[i] = headLive | uint8(r.Order)
	if r.LRU {
		z.page[i] |= onLRU
		z.tally(z.blockLRU, i, r.Order, true)
	}
}

// take takes a block off the free lists (__rmqueue).
func (z *Zone) take(r Request, from *mode) (uint32, bool) {
	i, ok := z.find(r, from)
	if ok {
		z.account(i, r.Order, false)
	}
	return i, ok
}

func (z *Zone) find(r Request, from *mode) (i uint32, ok bool) {
	useCMA := r.Type == Movable
	if useCMA && z.freeCMA > z.free/2 {
		if i, ok = z.smallest(r.Order, CMA); ok {
			return i, true
		}
	}
	if *from == modeNormal {
		if i, ok = z.smallest(r.Order, r.Type); ok {
			return i, true
		}
	}
	if *from <= modeCMA {
		if useCMA {
			if i, ok = z.smallest(r.Order, CMA); ok {
				*from = modeCMA
				return i, true
			}
		}
		if i, ok = z.claim(r); ok {
			*from = modeNormal
			return i, true
		}
	}
	if !r.NoFragment {
		if i, ok = z.steal(r); ok {
			*from = modeSteal
			return i, true
		}
	}
	return 0, false
}

// smallest takes the head of the list of the lowest sufficient order of a type
// (__rmqueue_smallest).
func (z *Zone) smallest(order uint, t Type) (uint32, bool) {
	orders := z.orders[t] >> order << order
	if orders == 0 {
		return 0, false
	}
	from := uint(bits.TrailingZeros16(orders))
	i := z.lists[t][from].head
	z.delist(t, from, i)
	z.expand(i, from, order, t)
	return i, true
}

// expand halves a block until it has an order. The lower half is kept, the
// upper halves go to the lists of a type.
func (z *Zone) expand(i uint32, from, order uint, t Type) {
	for from > order {
		from--
		z.enlist(t, from, i+1<<from, false)
	}
}

// account counts the pages of a block that becomes free, or is taken.
func (z *Zone) account(i uint32, order uint, freed bool) {
	pages := uint64(1) << order
	if !freed {
		pages = -pages
	}
	z.free += pages
	if z.blockType[i>>z.pageblock] == CMA {
		z.freeCMA += pages
	}
	z.tally(z.blockFree, i, order, freed)
}

// tally adds the pages of a block to the counts of its pageblocks, or subtracts
// them.
func (z *Zone) tally(counts []uint16, i uint32, order uint, add bool) {
	pages := uint16(1) << min(order, z.pageblock)
	if !add {
		pages = -pages
	}
	for b := i >> z.pageblock; b <= (i+1<<order-1)>>z.pageblock; b++ {
		counts[b] += pages
	}
}
