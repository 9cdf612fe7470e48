package ledger

import (
	"cmp"
	"slices"

	"dmasim/allocator/holes"
	"dmasim/mem"
)

// rebuildShare is the number of live blocks for each change above which the hole
// index is rebuilt. Measured with 10,000 live blocks, both ways then cost about
// the same.
const rebuildShare = 4

// Holes returns the free ranges by rising address, for reading until the ledger
// changes; none touch. It takes time in proportion to the live blocks: whoever
// wants all holes needs no index.
func (l *Ledger) Holes() []mem.Range {
	l.findGaps()
	return l.gaps
}

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
	if l.outdated() || !l.update() {
		l.rebuild()
	}
	return l.index
}

// outdated reports whether the hole index is better made anew than updated.
func (l *Ledger) outdated() bool {
	changes := len(l.freed) + len(l.placed)
	return l.broken || changes > l.total.Blocks/rebuildShare+rebuildShare
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
		l.states[h] &^= noted
		if l.states[h]&live == 0 {
			continue
		}
		b := &l.blocks[h]
		if !l.index.Take(b.lo, b.end()) {
			return false
		}
		l.free.take(mem.Range{Lo: b.lo, Hi: b.end()})
		l.states[h] |= indexed
	}
	l.placed = l.placed[:0]
	return true
}

// rebuild makes the hole index anew from the live blocks.
func (l *Ledger) rebuild() {
	for _, h := range l.placed {
		l.states[h] &^= noted
	}
	l.placed, l.freed = l.placed[:0], l.freed[:0]
	l.findGaps()
	for i := range l.order {
		l.states[l.order[i].Handle] |= indexed
	}
	l.index.Reset(l.gaps)
	clear(l.free.free)
	free := uint64(0)
	for _, gap := range l.gaps {
		l.free.give(gap)
		free += gap.Size()
	}
	l.broken = free+l.total.Reserved != l.capacity
}

// findGaps finds what lies between the live blocks.
func (l *Ledger) findGaps() {
	order := l.Live()
	gaps := slices.Grow(l.gaps[:0], len(order)+len(l.arena))
	gaps = gaps[:cap(gaps)]
	at, found := uint64(0), 0
	for _, r := range l.arena {
		inside := startsBelow(order, r.Hi)
		n, end := gapsBefore(order[:inside], max(at, r.Lo), gaps[found:])
		order, at, found = order[inside:], end, found+n
		if at < r.Hi {
			gaps[found] = mem.Range{Lo: at, Hi: r.Hi}
			found++
		}
	}
	l.gaps = gaps[:found]
}

// startsBelow returns how many of the blocks, which are in order, start below an
// address.
func startsBelow(order []Entry, addr uint64) int {
	n, _ := slices.BinarySearchFunc(order, addr, func(e Entry, addr uint64) int { return cmp.Compare(e.Lo, addr) })
	return n
}

// gapsBefore writes to gaps what lies before each of the blocks, from an address on.
// It returns how many there are, and where the last block ends. Whether there is one
// is as good as random, so that a branch on it would be guessed wrong: it is written
// in any case, and kept if it is one.
//
//go:noinline
func gapsBefore(blocks []Entry, at uint64, gaps []mem.Range) (found int, end uint64) {
	for i := range blocks {
		lo, hi := blocks[i].Lo, blocks[i].Hi
		if lo == hi {
			continue
		}
		gap := &gaps[found]
		gap.Lo, gap.Hi = at, lo
		if lo > at {
			found++
		}
		at = max(at, hi)
	}
	return found, at
}
