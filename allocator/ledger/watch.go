package ledger

import (
	"slices"

	"dmasim/mem"
)

// watch is a window whose pollution is counted.
type watch struct {
	window   mem.RangeSet
	polluted uint64
	spoiler  []bool // by owner: does not need the window
}

// overlap returns how many bytes of the window the block holds.
func (w *watch) overlap(b *block) uint64 {
	held := mem.Range{Lo: b.lo, Hi: b.end()}
	var bytes uint64
	for _, r := range w.window {
		if r.Lo >= held.Hi {
			break
		}
		bytes += held.Intersect(r).Size()
	}
	return bytes
}

// Watch starts to count the pollution of a window: the bytes that blocks hold
// in it whose owner does not need the window. It returns the number by which
// [Ledger.Polluted] knows the watch; equal watches have one number. needs is
// asked once for each owner. From then on every event of an owner who does not
// need the window costs time in proportion to the ranges of the window, which
// ought to be few.
func (l *Ledger) Watch(window mem.RangeSet, needs func(owner int) bool) int {
	w := watch{
		window:  mem.NewRangeSet(window...).Intersect(l.arena),
		spoiler: make([]bool, len(l.owners)),
	}
	for owner := range w.spoiler {
		w.spoiler[owner] = !needs(owner)
	}
	same := func(o watch) bool { return slices.Equal(o.window, w.window) && slices.Equal(o.spoiler, w.spoiler) }
	if number := slices.IndexFunc(l.watches, same); number >= 0 {
		return number
	}
	number := len(l.watches)
	for owner, spoils := range w.spoiler {
		if spoils {
			l.owners[owner].spoils = append(l.owners[owner].spoils, int32(number))
		}
	}
	for h := range l.blocks {
		if b := &l.blocks[h]; l.states[h]&live != 0 && w.spoiler[b.owner] {
			w.polluted += w.overlap(b)
		}
	}
	l.watches = append(l.watches, w)
	return number
}

// Polluted returns the bytes of a watched window that are held by owners who do
// not need it.
func (l *Ledger) Polluted(watch int) uint64 { return l.watches[watch].polluted }
