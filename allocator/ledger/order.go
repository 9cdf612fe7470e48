package ledger

import (
	"cmp"
	"iter"
	"slices"
)

// entry is a live block with what it is ordered by.
type entry struct {
	lo     uint64
	handle Handle
}

// byAddress returns the live blocks by rising address. What came since the last
// call is sorted and merged into what has stayed.
func (l *Ledger) byAddress() []entry {
	if l.current {
		return l.order
	}
	l.current = true
	l.order = slices.DeleteFunc(l.order, func(e entry) bool { return l.blocks[e.handle].state&ordered == 0 })
	l.fresh = l.fresh[:0]
	for h := range l.blocks {
		if b := &l.blocks[h]; b.state&(live|ordered) == live {
			b.state |= ordered
			l.fresh = append(l.fresh, entry{b.lo, Handle(h)})
		}
	}
	slices.SortFunc(l.fresh, func(a, b entry) int { return cmp.Compare(a.lo, b.lo) })
	stayed, came := len(l.order)-1, len(l.fresh)-1
	l.order = append(l.order, l.fresh...)
	for at := len(l.order) - 1; came >= 0; at-- {
		if stayed >= 0 && l.order[stayed].lo > l.fresh[came].lo {
			l.order[at] = l.order[stayed]
			stayed--
		} else {
			l.order[at] = l.fresh[came]
			came--
		}
	}
	return l.order
}

// Entry describes a live block.
type Entry struct {
	Addr, Size uint64
	Requested  uint64
	Owner      int
}

// Live returns the live blocks by rising address. The ledger must not change
// while they are iterated.
func (l *Ledger) Live() iter.Seq2[Handle, Entry] {
	return func(yield func(Handle, Entry) bool) {
		for _, e := range l.byAddress() {
			b := &l.blocks[e.handle]
			if !yield(e.handle, Entry{b.lo, b.size, b.requested, int(b.owner)}) {
				return
			}
		}
	}
}
