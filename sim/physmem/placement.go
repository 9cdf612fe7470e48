package physmem

import (
	"math/bits"
	"slices"

	"dmasim/allocator/kernel/buddy"
	"dmasim/mem"
)

// dice are random numbers for one purpose.
type dice struct{ seed, purpose, rolls uint64 }

func (d *dice) below(n uint64) uint64 {
	d.rolls++
	return below(d.seed, d.purpose, d.rolls, n)
}

// pieces are aligned parts of memory that free blocks are drawn into, so that
// none of them merges with another.
//
// A whole piece may become free as a whole, because its buddy can't: there is
// no memory, or it is of another kind. Every other piece must keep a page that
// is in use. A block of order o takes half of an aligned part of 2^(o+1) pages,
// and the other half is a piece that must not become free. If blocks are placed
// from the largest down, all pieces left are at least as large as that part, so
// how many more fit does not depend on which are chosen: the draw is free, and
// fails only if there is no placement at all.
type pieces struct {
	whole, part [NumOrders][]uint64 // page frames by order
}

// addRuns adds all of some runs of page frames, in the largest aligned pieces.
func (p *pieces) addRuns(runs mem.RangeSet) {
	for _, r := range runs {
		for at := r.Lo; at < r.Hi; {
			order := uint(bits.Len64(r.Hi-at) - 1)
			if at != 0 {
				order = min(order, uint(bits.TrailingZeros64(at)))
			}
			order = min(order, buddy.MaxOrder)
			p.whole[order] = append(p.whole[order], at)
			at += 1 << order
		}
	}
}

// place draws a place for a block. Blocks must come in falling order.
func (p *pieces) place(order uint, d *dice) (uint64, bool) {
	if n := uint64(len(p.whole[order])); n > 0 {
		return remove(&p.whole[order], d.below(n)), true
	}
	total := uint64(0)
	for k := order + 1; k < NumOrders; k++ {
		total += uint64(len(p.whole[k])+len(p.part[k])) << k
	}
	if total == 0 {
		return 0, false
	}
	pick := d.below(total)
	for k := order + 1; ; k++ {
		for _, list := range []*[]uint64{&p.whole[k], &p.part[k]} {
			if size := uint64(len(*list)) << k; pick >= size {
				pick -= size
				continue
			}
			return p.split(remove(list, pick>>k), k, order, d), true
		}
	}
}

// split draws a block of an order from a larger piece, and keeps the rest.
func (p *pieces) split(at uint64, from, order uint, d *dice) uint64 {
	for from > order {
		from--
		other := at + 1<<from
		if d.below(2) == 1 {
			at, other = other, at
		}
		p.part[from] = append(p.part[from], other)
	}
	return at
}

func remove(list *[]uint64, i uint64) uint64 {
	l := *list
	taken := l[i]
	l[i] = l[len(l)-1]
	*list = l[:len(l)-1]
	return taken
}

// pageblocks takes out all pieces of at least a pageblock, as pageblocks by
// rising page frame.
func (p *pieces) pageblocks(order uint) []uint64 {
	var list []uint64
	for k := order; k < NumOrders; k++ {
		for _, from := range []*[]uint64{&p.whole[k], &p.part[k]} {
			for _, at := range *from {
				for end := at + 1<<k; at < end; at += 1 << order {
					list = append(list, at)
				}
			}
			*from = nil
		}
	}
	slices.Sort(list)
	return list
}

// give moves the pieces of a pageblock that has no piece of its own size to other
// pieces: the lowest one in which a block of an order fits. It returns a page frame
// in it, false if there is none.
func (p *pieces) give(to *pieces, order, pageblock uint) (at uint64, ok bool) {
	lowest := func(list []uint64) {
		for _, piece := range list {
			if !ok || piece < at {
				at, ok = piece, true
			}
		}
	}
	for k := order; k < pageblock; k++ {
		lowest(p.whole[k])
		if k > order {
			lowest(p.part[k])
		}
	}
	if !ok {
		return 0, false
	}
	move := func(from, into *[]uint64) {
		*from = slices.DeleteFunc(*from, func(piece uint64) bool {
			if piece>>pageblock != at>>pageblock {
				return false
			}
			*into = append(*into, piece)
			return true
		})
	}
	for k := range pageblock {
		move(&p.whole[k], &to.whole[k])
		move(&p.part[k], &to.part[k])
	}
	return at, true
}

// pageblocksFor returns the number of pageblocks that free blocks below their
// order need at least.
func pageblocksFor(counts [NumOrders]uint64, pageblock uint) uint64 {
	above, need := uint64(0), uint64(0)
	for order := int(pageblock) - 1; order >= 0; order-- {
		if n := counts[order]; n > 0 {
			need = max(need, above+n<<(order+1))
			above += n << order
		}
	}
	size := uint64(1) << pageblock
	return (need + size - 1) / size
}
