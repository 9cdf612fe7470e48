package buddy

// fallbacks lists for each type of request the types of pageblocks that it may
// use when its own have nothing, the best first.
var fallbacks = [CMA][2]Type{
	Unmovable:   {Reclaimable, Movable},
	Movable:     {Reclaimable, Unmovable},
	Reclaimable: {Unmovable, Movable},
}

// fallback returns the first type in the fallback order of t that has a free
// block of exactly an order (find_suitable_fallback).
func (z *Zone) fallback(t Type, order uint) (Type, bool) {
	for _, other := range fallbacks[t] {
		if z.orders[other]>>order&1 != 0 {
			return other, true
		}
	}
	return 0, false
}

// claim changes a pageblock of another type to the type of the request and
// serves it from there (__rmqueue_claim). It looks at one free block of each
// order, the largest first, because that leaves the fewest mixed pageblocks.
func (z *Zone) claim(r Request) (uint32, bool) {
	lowest := r.Order
	if r.NoFragment {
		lowest = max(lowest, z.pageblock)
	}
	if r.Type == Movable {
		// Movable pages in a foreign pageblock do little harm: they can leave.
		lowest = max(lowest, z.pageblock/2)
	}
	for order := uint(MaxOrder + 1); order > lowest; {
		order--
		other, ok := z.fallback(r.Type, order)
		if !ok {
			continue
		}
		i := z.lists[other][order].head
		if order >= z.pageblock {
			z.delist(other, order, i)
			z.retype(i, order, r.Type)
			z.expand(i, order, r.Order, r.Type)
			return i, true
		}
		if z.claimPageblock(i>>z.pageblock, r.Type) {
			return z.smallest(r.Order, r.Type)
		}
	}
	return 0, false
}

// claimPageblock moves the free blocks of a pageblock to the lists of type t,
// and the pageblock with them, if at least half of its pages are free or
// probably of that type (try_to_steal_block). Of the pages in use only those
// that can be moved are known to be movable.
func (z *Zone) claimPageblock(b uint32, t Type) bool {
	size := uint32(1) << z.pageblock
	first := b << z.pageblock
	if first < z.lo || first+size > z.hi {
		return false
	}
	was := z.blockType[b]
	alike := uint32(0)
	switch {
	case t == Movable:
		alike = uint32(z.blockLRU[b])
	case was == Movable:
		alike = size - uint32(z.blockFree[b]) - uint32(z.blockLRU[b])
	}
	if uint32(z.blockFree[b])+alike < size/2 {
		return false
	}
	for i := first; i < first+size; {
		state := z.page[i]
		order := uint(state & orderMask)
		if state&headFree != 0 {
			z.delist(was, order, i)
			z.enlist(t, order, i, true)
		}
		i += 1 << order
	}
	z.blockType[b] = t
	return true
}

// steal takes a single block of another type (__rmqueue_steal): the smallest,
// because it cannot keep the types apart anyway. What it splits off stays with
// that type.
func (z *Zone) steal(r Request) (uint32, bool) {
	for order := r.Order; order <= MaxOrder; order++ {
		if other, ok := z.fallback(r.Type, order); ok {
			i := z.lists[other][order].head
			z.delist(other, order, i)
			z.expand(i, order, r.Order, other)
			return i, true
		}
	}
	return 0, false
}

// retype changes the type of the pageblocks of a block that is at least a
// pageblock long.
func (z *Zone) retype(i uint32, order uint, t Type) {
	for b := i >> z.pageblock; b < (i+1<<order)>>z.pageblock; b++ {
		z.blockType[b] = t
	}
}
