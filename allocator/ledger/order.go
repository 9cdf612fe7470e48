package ledger

import (
	"iter"
	"math/bits"
	"slices"
)

// entry is a live block as walks by address meet it, so that they need not look
// it up.
type entry struct {
	lo, hi uint64
	handle Handle
	owner  int32
}

// byAddress returns the live blocks by rising address. What came since the last
// call is sorted and merged into what has stayed.
func (l *Ledger) byAddress() []entry {
	if l.current {
		return l.order
	}
	l.current = true
	l.fresh = l.fresh[:0]
	for h, is := range l.states {
		if is&(live|ordered) == live {
			b := &l.blocks[h]
			l.fresh = append(l.fresh, entry{b.lo, b.end(), Handle(h), b.owner})
		}
	}
	l.fresh, l.spill = sortByAddress(l.fresh, l.spill)
	came, merged := l.fresh, l.merged[:0]
	for _, e := range l.order {
		if l.states[e.handle]&ordered == 0 {
			continue
		}
		for len(came) > 0 && came[0].lo <= e.lo {
			merged = append(merged, came[0])
			came = came[1:]
		}
		merged = append(merged, e)
	}
	for _, e := range l.fresh {
		l.states[e.handle] |= ordered
	}
	l.order, l.merged = append(merged, came...), l.order
	return l.order
}

// digit is the number of address bits by which a pass of sortByAddress sorts.
const digit = 11

// sortByAddress sorts list with a radix sort from the lowest bits in which its
// addresses differ: addresses are multiples of a granule in an arena, for which
// two or three passes do. It returns the sorted list and the memory that it no
// longer needs, one of which is that of spare.
func sortByAddress(list, spare []entry) (sorted, rest []entry) {
	if len(list) == 0 {
		return list, spare
	}
	var differ uint64
	for i := range list {
		differ |= list[i].lo ^ list[0].lo
	}
	spare = slices.Grow(spare[:0], len(list))[:len(list)]
	if differ == 0 {
		return list, spare
	}
	for shift := bits.TrailingZeros64(differ); shift < bits.Len64(differ); shift += digit {
		var starts [1 << digit]uint32
		for i := range list {
			starts[list[i].lo>>shift%(1<<digit)]++
		}
		var start uint32
		for i, n := range starts {
			starts[i] = start
			start += n
		}
		for i := range list {
			to := &starts[list[i].lo>>shift%(1<<digit)]
			spare[*to] = list[i]
			*to++
		}
		list, spare = spare, list
	}
	return list, spare
}

// Entry describes a live block.
type Entry struct {
	Addr, Size uint64
	Owner      int
}

// Live returns the live blocks by rising address. The ledger must not change
// while they are iterated.
func (l *Ledger) Live() iter.Seq2[Handle, Entry] {
	return func(yield func(Handle, Entry) bool) {
		for _, e := range l.byAddress() {
			if !yield(e.handle, Entry{e.lo, e.hi - e.lo, int(e.owner)}) {
				return
			}
		}
	}
}
