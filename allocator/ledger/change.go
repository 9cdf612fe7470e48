package ledger

import (
	"math"

	"dmasim/allocator"
	"dmasim/mem"
)

// Growth says by how many bytes more memory would have to be, at its upper or at
// its lower end, for a request to have a legal place; 0 where no growth at that
// end helps.
type Growth struct{ Above, Below uint64 }

// WindowGrowth returns by how much a window of req would have to reach further
// into the arena, with the live blocks where they are. A Rule with several windows
// is served as soon as one of them grows; none grows into the next. False means
// that no growth helps.
func (l *Ledger) WindowGrowth(req allocator.Request) (Growth, bool) {
	var least Growth
	for i := range windows(&req) {
		at, ok := l.lowestIn(widened(&req, i, false))
		if window := windowOf(&req, i); ok && at.Hi > window.Hi {
			least.Above = smaller(least.Above, at.Hi-window.Hi)
		}
		at, ok = l.highestIn(widened(&req, i, true))
		if window := windowOf(&req, i); ok && at.Lo < window.Lo {
			least.Below = smaller(least.Below, window.Lo-at.Lo)
		}
	}
	return least, least != Growth{}
}

// windowOf returns the bytes that a request may touch in one of its windows.
func windowOf(req *allocator.Request, window int) mem.Range {
	if req.Rule != nil {
		return req.Rule.Windows[window].Reach
	}
	if req.Hi == 0 {
		return mem.Range{Lo: req.Lo, Hi: math.MaxUint64}
	}
	return mem.Range{Lo: req.Lo, Hi: req.Hi}
}

// widened returns the request in one of its windows, which reaches up to the next
// one, or down to the one before it.
func widened(req *allocator.Request, window int, down bool) allocator.Request {
	in := inWindow(req, window)
	if req.Rule == nil {
		if down {
			in.Lo = 0
		} else {
			in.Hi = 0
		}
		return in
	}
	all := req.Rule.Windows
	w := all[window]
	switch {
	case down && window == 0:
		w.Reach.Lo = 0
	case down:
		w.Reach.Lo = min(w.Reach.Lo, all[window-1].Reach.Hi)
	case window+1 == len(all):
		w.Reach.Hi = math.MaxUint64
	default:
		w.Reach.Hi = max(w.Reach.Hi, all[window+1].Reach.Lo)
	}
	in.Rule = &allocator.Rule{Windows: []allocator.Window{w}}
	return in
}

// ArenaGrowth returns by how much the arena would have to be larger, with the
// live blocks where they are and the windows of req as they are. False means that
// no growth helps: the windows end inside of the arena.
func (l *Ledger) ArenaGrowth(req allocator.Request) (Growth, bool) {
	var least Growth
	hull := l.arena.Hull()
	first, last := mem.Range{Lo: hull.Lo, Hi: hull.Lo}, mem.Range{Lo: hull.Hi, Hi: hull.Hi}
	for _, hole := range l.Holes() {
		if hole.Lo == hull.Lo {
			first = hole
		}
		if hole.Hi == hull.Hi {
			last = hole
		}
	}
	for i := range windows(&req) {
		in := inWindow(&req, i)
		if at, ok := in.Place(last.Lo, math.MaxUint64, false); ok && at+in.Size > hull.Hi {
			least.Above = smaller(least.Above, at+in.Size-hull.Hi)
		}
		if at, ok := in.Place(0, first.Hi, true); ok && at < hull.Lo {
			least.Below = smaller(least.Below, hull.Lo-at)
		}
	}
	return least, least != Growth{}
}

// FittingAlign returns the largest alignment by which req would have a legal
// place, of half of what it asks for, a quarter and so on, as long as these are
// multiples of unit, and unit in the end; false if there is none, or it asks for
// none. The alignments of a Rule are all divided by as much; what is returned is the
// largest of them, and the request with those. A unit of 0 means 1. What is asked
// for is a multiple of it.
func (l *Ledger) FittingAlign(req allocator.Request, unit uint64) (align uint64, less allocator.Request, ok bool) {
	unit = max(unit, 1)
	for halvings := uint(0); aligned(&req, halvings, unit) > unit; halvings++ {
		if less = loosened(&req, halvings+1, unit); l.Diagnose(less).Cause == allocator.Policy {
			return aligned(&less, 0, unit), less, true
		}
	}
	return 0, req, false
}

// aligned returns the largest alignment that a request asks for, after so many
// halvings; at least 1.
func aligned(req *allocator.Request, halvings uint, unit uint64) uint64 {
	largest := halve(req.Align, halvings, unit)
	for i := range windows(req) {
		if req.Rule != nil {
			largest = max(largest, halve(req.Rule.Windows[i].Align, halvings, unit))
		}
	}
	return max(largest, 1)
}

// halve divides an alignment by a power of two; what is no multiple of the unit
// then becomes the unit.
func halve(align uint64, halvings uint, unit uint64) uint64 {
	switch {
	case align <= unit:
		return align
	case align%(1<<halvings) != 0 || align>>halvings%unit != 0:
		return unit
	}
	return align >> halvings
}

// loosened returns a request whose alignments are halved so often.
func loosened(req *allocator.Request, halvings uint, unit uint64) allocator.Request {
	less := *req
	less.Align = halve(req.Align, halvings, unit)
	if req.Rule == nil {
		return less
	}
	less.Rule = &allocator.Rule{}
	for _, w := range req.Rule.Windows {
		w.Align = halve(w.Align, halvings, unit)
		w.Phase %= max(w.Align, 1)
		less.Rule.Windows = append(less.Rule.Windows, w)
	}
	return less
}

// lowestIn returns the lowest legal place of a request of one window, and the
// bytes there that are touched.
func (l *Ledger) lowestIn(req allocator.Request) (mem.Range, bool) {
	for _, hole := range l.Holes() {
		if at, ok := req.Place(hole.Lo, hole.Hi, false); ok {
			return touched(&req, at), true
		}
	}
	return mem.Range{}, false
}

// highestIn is lowestIn from the other end.
func (l *Ledger) highestIn(req allocator.Request) (highest mem.Range, found bool) {
	for _, hole := range l.Holes() {
		if at, ok := req.Place(hole.Lo, hole.Hi, true); ok {
			highest, found = touched(&req, at), true
		}
	}
	return highest, found
}

// touched returns the bytes of a block that have to be in the window.
func touched(req *allocator.Request, at uint64) mem.Range {
	end := at + req.Size
	if req.Rule != nil {
		end -= req.Slack
	}
	return mem.Range{Lo: at, Hi: end}
}

// smaller returns the smaller of two numbers of which 0 means none.
func smaller(a, b uint64) uint64 {
	if a == 0 || b > 0 && b < a {
		return b
	}
	return a
}
