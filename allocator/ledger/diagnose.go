package ledger

import (
	"math"

	"dmasim/allocator"
	"dmasim/allocator/holes"
	"dmasim/mem"
)

// Diagnosis says why a request could not be served. All sizes are bytes.
type Diagnosis struct {
	Cause       allocator.Cause
	Size        uint64 // of the block that was asked for
	Free        uint64 // in the arena
	FreeInReach uint64
	Largest     uint64 // the longest free run in reach
	// At is the lowest legal start, where Cause is allocator.Policy.
	At uint64
	// Waiting is what was given back and is not free yet: addresses in the flush
	// queue of an IOMMU.
	Waiting uint64
}

// Diagnose explains why req failed in the present state.
//
// The places of a request are its windows, as addresses of whole blocks: one
// for each window of its Rule, [Reach.Lo, Reach.Hi+Slack), since the last Slack
// bytes of the block need not be in reach, cut to [Lo, Hi); without a Rule one,
// [Lo, Hi) itself. The reach is their union. A run in reach is a hole cut to
// one of the windows: a block cannot lie across two, even where they touch,
// because each may be translated by another offset.
//
// The cause is the first of these that holds:
//
//   - Exhausted: less than Size is free in the arena.
//   - WindowFull: less than Size is free in reach.
//   - Fragmented: no run in reach is as long as Size.
//   - Alignment: no run in reach holds Size bytes from a start that satisfies
//     Align and the Align and Phase of the run's window.
//   - Boundary: some do, but each of them crosses a multiple of Boundary or a
//     Bound of the window.
//   - Policy: a run holds a legal start, and At is the lowest. The strategy did
//     not look there, or its own structure rules the place out.
//
// That leaves nothing for allocator.RuleBroken: a Rule is made of windows,
// alignments and bounds.
//
// Exhausted, WindowFull and Fragmented cost a few searches of the hole index
// per window. Otherwise the holes that are long enough are tried by rising
// address until one has a legal start, so that Alignment and Boundary cost time
// in proportion to them.
func (l *Ledger) Diagnose(req allocator.Request) Diagnosis {
	x := l.holes()
	d := Diagnosis{Size: req.Size, Free: x.Bytes()}
	var counted uint64
	for i := range windows(&req) {
		places := l.places(&req, i)
		d.Largest = max(d.Largest, x.LargestIn(places).Size())
		// Windows less than Slack apart share places.
		d.FreeInReach += l.freeIn(x, mem.Range{Lo: max(places.Lo, counted), Hi: places.Hi})
		counted = max(counted, places.Hi)
	}
	switch {
	case d.Free < req.Size:
		d.Cause = allocator.Exhausted
	case d.FreeInReach < req.Size:
		d.Cause = allocator.WindowFull
	case d.Largest < req.Size:
		d.Cause = allocator.Fragmented
	default:
		d.Cause, d.At = l.tryRuns(x, &req)
	}
	return d
}

// windows returns how many windows a request has.
func windows(req *allocator.Request) int {
	if req.Rule == nil {
		return 1
	}
	return len(req.Rule.Windows)
}

// places returns the places of a request in one of its windows, as far as the
// hull of the arena goes.
func (l *Ledger) places(req *allocator.Request, window int) mem.Range {
	places := mem.Range{Lo: req.Lo, Hi: req.Hi}
	if req.Hi == 0 {
		places.Hi = math.MaxUint64
	}
	if req.Rule != nil {
		reach := req.Rule.Windows[window].Reach
		reach.Hi += min(req.Slack, math.MaxUint64-reach.Hi)
		places = places.Intersect(reach)
	}
	return places.Intersect(l.arena.Hull())
}

// tryRuns returns the cause of a failure that no want of free bytes explains.
func (l *Ledger) tryRuns(x *holes.Index, req *allocator.Request) (allocator.Cause, uint64) {
	bounded := req.Boundary != 0
	for i := range windows(req) {
		in := *req
		if req.Rule != nil {
			in.Rule = &allocator.Rule{Windows: req.Rule.Windows[i : i+1]}
			bounded = bounded || len(req.Rule.Windows[i].Bounds) > 0
		}
		if at, ok := lowest(x, &in, l.places(req, i)); ok {
			return allocator.Policy, at
		}
	}
	if !bounded {
		return allocator.Alignment, 0
	}
	for i := range windows(req) {
		in := *req
		in.Boundary = 0
		if req.Rule != nil {
			w := req.Rule.Windows[i]
			w.Bounds = nil
			in.Rule = &allocator.Rule{Windows: []allocator.Window{w}}
		}
		if _, ok := lowest(x, &in, l.places(req, i)); ok {
			return allocator.Boundary, 0
		}
	}
	return allocator.Alignment, 0
}

// lowest returns the lowest start at which a hole has room for req inside
// places.
func lowest(x *holes.Index, req *allocator.Request, places mem.Range) (uint64, bool) {
	if _, ok := req.Place(places.Lo, places.Hi, false); !ok {
		return 0, false // not even if all of it were free
	}
	var cursor holes.Cursor
	cursor.From(x, places.Lo)
	for {
		hole, ok := cursor.Next(req.Size)
		if !ok || hole.Lo >= places.Hi {
			return 0, false
		}
		run := hole.Intersect(places)
		if at, ok := req.Place(run.Lo, run.Hi, false); ok {
			return at, true
		}
	}
}
