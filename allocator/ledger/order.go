package ledger

import (
	"math/bits"
	"slices"
)

// Entry is a live block as walks by address meet it: the bytes [Lo, Hi).
type Entry struct {
	Lo, Hi uint64
	Handle Handle
	Owner  int32
}

// Live returns the live blocks by rising address, for reading until the ledger
// changes. What came since the last call is sorted and merged into what has stayed.
func (l *Ledger) Live() []Entry {
	if l.current {
		return l.order
	}
	l.current = true
	l.fresh = l.fresh[:0]
	for h, is := range l.states {
		if is&(live|ordered) == live {
			b := &l.blocks[h]
			l.fresh = append(l.fresh, Entry{b.lo, b.end(), Handle(h), b.owner})
		}
	}
	l.fresh, l.spill = sortByAddress(l.fresh, l.spill)
	l.order = mergeByAddress(l.dropFreed(l.order), l.fresh)
	for i := range l.fresh {
		l.states[l.fresh[i].Handle] |= ordered
	}
	return l.order
}

// dropFreed removes from list what was freed since it was put there. Which are
// is as good as random, so that a branch on it would be guessed wrong.
func (l *Ledger) dropFreed(list []Entry) []Entry {
	kept := 0
	for i := range list {
		list[kept] = list[i]
		kept += int(l.states[list[i].Handle] & ordered / ordered)
	}
	return list[:kept]
}

// mergeByAddress adds to list what came, both sorted, from the highest address
// down. Of the same address, what came goes first.
func mergeByAddress(list, came []Entry) []Entry {
	from := len(list)
	list = slices.Grow(list, len(came))[:len(list)+len(came)]
	for i := len(came) - 1; i >= 0; i-- {
		lo := came[i].Lo
		for from > 0 && list[from-1].Lo >= lo {
			from--
			list[from+i+1] = list[from]
		}
		list[from+i] = came[i]
	}
	return list
}

// digit is the number of address bits by which a pass of sortByAddress sorts.
const digit = 11

// sortByAddress sorts list with a radix sort from the lowest bits in which its
// addresses differ: addresses are multiples of a granule in an arena, for which
// two or three passes do. It returns the sorted list and the memory that it no
// longer needs, one of which is that of spare.
func sortByAddress(list, spare []Entry) (sorted, rest []Entry) {
	if len(list) == 0 {
		return list, spare
	}
	var differ uint64
	for i := range list {
		differ |= list[i].Lo ^ list[0].Lo
	}
	spare = slices.Grow(spare[:0], len(list))[:len(list)]
	if differ == 0 {
		return list, spare
	}
	for shift := bits.TrailingZeros64(differ); shift < bits.Len64(differ); shift += digit {
		var starts [1 << digit]uint32
		for i := range list {
			starts[list[i].Lo>>shift%(1<<digit)]++
		}
		var start uint32
		for i, n := range starts {
			starts[i] = start
			start += n
		}
		for i := range list {
			to := &starts[list[i].Lo>>shift%(1<<digit)]
			spare[*to] = list[i]
			*to++
		}
		list, spare = spare, list
	}
	return list, spare
}
