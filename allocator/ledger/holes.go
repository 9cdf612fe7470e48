package ledger

import (
	"iter"

	"dmasim/allocator/holes"
	"dmasim/mem"
)

// rebuildShare is the number of live blocks for each change above which the hole
// index is rebuilt. Measured with 10,000 live blocks, both ways then cost about
// the same.
const rebuildShare = 4

// Holes returns the free ranges by rising address; none touch. The ledger must
// not change while they are iterated.
func (l *Ledger) Holes() iter.Seq[mem.Range] { return l.holes().All() }

// HoleCount returns the number of free ranges.
func (l *Ledger) HoleCount() int { return l.holes().Len() }

// Largest returns the size of the largest hole in bytes.
func (l *Ledger) Largest() uint64 { return l.holes().Largest() }

// LargestIn returns the size of the longest free run inside reach, in bytes.
func (l *Ledger) LargestIn(reach mem.RangeSet) uint64 {
	x := l.holes()
	var largest uint64
	for _, r := range reach {
		largest = max(largest, x.LargestIn(r).Size())
	}
	return largest
}

// FreeIn returns the number of free bytes inside reach.
func (l *Ledger) FreeIn(reach mem.RangeSet) uint64 {
	x := l.holes()
	var free uint64
	for _, r := range reach {
		free += l.freeIn(x, r)
	}
	return free
}

// freeIn counts the free bytes in r, given the index up to date.
func (l *Ledger) freeIn(x *holes.Index, r mem.Range) uint64 {
	free, below, above := l.free.within(r)
	return free + x.FreeIn(below) + x.FreeIn(above)
}

// holes returns the hole index, up to date.
func (l *Ledger) holes() *holes.Index {
	changes := len(l.freed) + len(l.placed)
	if l.broken || changes > l.total.Blocks/rebuildShare+rebuildShare || !l.update() {
		l.rebuild()
	}
	return l.index
}

// update applies the changes to the hole index: first all that was freed, so
// that whatever was placed there since finds it free. It returns false if they
// cannot be, because blocks overlap or leave the arena.
func (l *Ledger) update() bool {
	for _, r := range l.freed {
		if !l.index.Give(r.Lo, r.Hi) {
			return false
		}
		l.free.give(r)
	}
	l.freed = l.freed[:0]
	for _, h := range l.placed {
		b := &l.blocks[h]
		b.state &^= noted
		if b.state&live == 0 {
			continue
		}
		if !l.index.Take(b.lo, b.end()) {
			return false
		}
		l.free.take(mem.Range{Lo: b.lo, Hi: b.end()})
		b.state |= indexed
	}
	l.placed = l.placed[:0]
	return true
}

// rebuild makes the hole index anew from the live blocks.
func (l *Ledger) rebuild() {
	for _, h := range l.placed {
		l.blocks[h].state &^= noted
	}
	l.placed, l.freed = l.placed[:0], l.freed[:0]
	l.gaps, l.broken = l.gaps[:0], false
	order, next, at := l.byAddress(), 0, uint64(0)
	for _, r := range l.arena {
		at = max(at, r.Lo)
		for ; next < len(order) && order[next].lo < r.Hi; next++ {
			b := &l.blocks[order[next].handle]
			b.state |= indexed
			if b.lo < at || b.end() > r.Hi {
				l.broken = true
			}
			if b.lo > at && b.size > 0 {
				l.gaps = append(l.gaps, mem.Range{Lo: at, Hi: b.lo})
			}
			at = max(at, b.end())
		}
		if at < r.Hi {
			l.gaps = append(l.gaps, mem.Range{Lo: at, Hi: r.Hi})
		}
	}
	if next < len(order) {
		l.broken = true
	}
	l.index.Reset(l.gaps)
	clear(l.free.free)
	for _, gap := range l.gaps {
		l.free.give(gap)
	}
}
