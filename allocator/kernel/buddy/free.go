package buddy

import (
	"fmt"
	"math/bits"

	"dmasim/mem"
)

// Free gives the live block that begins at a page frame back to the zone's
// lists (free_one_page). The error is ErrNotAllocated, and nothing changed, if
// there is none.
func (z *Zone) Free(pfn uint64) error {
	i, order, err := z.kill(pfn)
	if err != nil {
		return err
	}
	z.release(i, order, false)
	return nil
}

// kill ends the life of the block that begins at a page frame. It is on no list
// then.
func (z *Zone) kill(pfn uint64) (i uint32, order uint, err error) {
	order, live := z.Order(pfn)
	if !live {
		return 0, 0, fmt.Errorf("free page frame %#x: %w", pfn, ErrNotAllocated)
	}
	i, _ = z.index(pfn)
	if z.page[i]&onLRU != 0 {
		z.tally(z.blockLRU, i, order, false)
	}
	z.page[i] = 0
	return i, order, nil
}

// boot frees all pages of the zone that are in no hole.
func (z *Zone) boot(cfg Config) {
	all := mem.RangeSet{{Lo: cfg.Base, Hi: cfg.Base + cfg.Pages}}
	for _, run := range all.Subtract(cfg.Holes) {
		for i, hi := uint32(run.Lo-z.origin), uint32(run.Hi-z.origin); i < hi; {
			order := min(uint(bits.TrailingZeros32(i)), uint(bits.Len32(hi-i))-1, MaxOrder)
			z.release(i, order, true)
			i += 1 << order
		}
	}
}

// release puts a block on the lists, in pieces of one pageblock if it is larger,
// each by the type of its own pageblock (split_large_buddy). Pieces that are
// isolated stay off the lists.
func (z *Zone) release(i uint32, order uint, tail bool) {
	piece := min(order, z.pageblock)
	for end := i + 1<<order; i < end; i += 1 << piece {
		if z.isolated.holds(i) {
			z.page[i] = headIsolated | uint8(piece)
			continue
		}
		z.merge(i, piece, tail)
	}
}

// merge puts a block on the list, joined with its buddies (__free_one_page).
// The order is at most that of a pageblock.
func (z *Zone) merge(i uint32, order uint, tail bool) {
	z.account(i, order, true)
	t := z.blockType[i>>z.pageblock]
	for ; order < MaxOrder; order++ {
		buddy := i ^ 1<<order
		if z.page[buddy] != headFree|uint8(order) {
			break
		}
		other := z.blockType[buddy>>z.pageblock]
		if other != t && (other == CMA || t == CMA) {
			break
		}
		z.delist(other, order, buddy)
		if other != t {
			z.retype(buddy, order, t)
		}
		i &= buddy
	}
	z.enlist(t, order, i, tail || z.mayMergeNext(i, order))
}

// mayMergeNext reports whether the buddy of the next larger block around i is
// free, so that two merges would follow once the buddy of i is freed. Such a
// block is used last (buddy_merge_likely).
func (z *Zone) mayMergeNext(i uint32, order uint) bool {
	if order >= MaxOrder-1 {
		return false
	}
	above := i&^(1<<order) ^ 1<<(order+1)
	return z.page[above] == headFree|uint8(order+1)
}
