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
// changes. What came since the last call is sorted and merged into what has stayed, or
// all is sorted anew where that is less work.
func (l *Ledger) Live() []Entry {
	if len(l.recent) == 0 && len(l.order) == l.total.Blocks {
		return l.order
	}
	if len(l.recent) > l.total.Blocks/resortShare {
		l.order, l.sorted = sortByAddress(l.gatherAll(), l.sorted)
		return l.order
	}
	l.gather()
	l.fresh, l.sorted = sortByAddress(l.fresh, l.sorted)
	l.merge()
	for i := range l.fresh {
		l.states[l.fresh[i].Handle] |= ordered
	}
	return l.order
}

// resortShare is the number of live blocks for each recent one below which all are
// sorted anew. Measured with 10,000 live blocks, both ways then cost about the same.
const resortShare = 3

// gatherAll returns all live blocks by handle, in place of the order that they are to
// become. Which are live is as good as random here, too.
func (l *Ledger) gatherAll() []Entry {
	order := slices.Grow(l.order[:0], len(l.blocks))[:len(l.blocks)]
	states := l.states[:len(l.blocks)]
	var n uint
	for h := range l.blocks {
		b, state := &l.blocks[h], states[h]
		order[n] = Entry{b.lo, b.end(), Handle(h), b.owner}
		is := state & live / live
		n += uint(is)
		states[h] = state&^(late|ordered) | is*ordered
	}
	l.recent = l.recent[:0]
	return order[:n]
}

// gather makes fresh the live blocks that are not in the order. Which are live is as
// good as random, so that a branch on it would be guessed wrong: all are written, and
// kept if they are.
func (l *Ledger) gather() {
	fresh := slices.Grow(l.fresh[:0], len(l.recent))[:len(l.recent)]
	var n uint
	for _, h := range l.recent {
		l.states[h] &^= late
		b := &l.blocks[h]
		fresh[n] = Entry{b.lo, b.end(), h, b.owner}
		n += uint(l.states[h] & live / live)
	}
	l.fresh, l.recent = fresh[:n], l.recent[:0]
}

// merge adds the sorted fresh blocks to the order and leaves out what was freed. Of
// the same address, fresh ones go first. What was freed is as good as random, so that a
// branch on it would be guessed wrong: all is written, and kept if it is live.
func (l *Ledger) merge() {
	from, fresh, states := l.order, l.fresh, l.states
	to := slices.Grow(l.former[:0], len(from)+len(fresh))[:len(from)+len(fresh)]
	var n, i uint
	for f := range fresh {
		lo := fresh[f].Lo
		for i < uint(len(from)) && from[i].Lo < lo {
			to[n] = from[i]
			n += uint(states[from[i].Handle] & ordered)
			i++
		}
		to[n] = fresh[f]
		n++
	}
	for ; i < uint(len(from)); i++ {
		to[n] = from[i]
		n += uint(states[from[i].Handle] & ordered)
	}
	l.order, l.former = to[:n], from
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
			starts[list[i].Lo>>(shift&63)%(1<<digit)]++
		}
		var start uint32
		for i, n := range starts {
			starts[i] = start
			start += n
		}
		for i := range list {
			to := &starts[list[i].Lo>>(shift&63)%(1<<digit)]
			spare[*to] = list[i]
			*to++
		}
		list, spare = spare, list
	}
	return list, spare
}
