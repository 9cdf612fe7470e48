package alloctest

import (
	"dmasim/allocator"
	"dmasim/allocator/ledger"
	"dmasim/mem"
)

// checkCause holds the diagnosis of a refused request against the oracle: the
// cause is Policy if and only if a legal place exists, by everything that the
// request demands and not only by what the strategy honours; Exhausted,
// WindowFull and Fragmented follow from the free bytes that the oracle counts.
func (w *watched) checkCause(t tb, req allocator.Request) {
	t.Helper()
	if req.Size == 0 || w.arena.Size()/w.granule > maxStarts {
		return
	}
	rounded := (req.Size-1)/w.granule*w.granule + w.granule
	if rounded < req.Size || !req.AlignTo(w.granule) {
		return
	}
	everything := *w
	everything.suite = &suite{honours: allocator.HonoursAll, unit: func(_, granule uint64) uint64 { return granule }}
	_, possible := everything.somewhere(req)
	d := w.books().Diagnose(req)
	free := w.arena.Size()
	for _, p := range w.live {
		free -= p.block.Size
	}
	var want allocator.Cause
	switch {
	case possible:
		want = allocator.Policy
	case free < req.Size:
		want = allocator.Exhausted
	case req.Rule == nil && w.freeIn(req) < req.Size:
		want = allocator.WindowFull
	default:
		want = d.Cause
	}
	if d.Cause != want || d.Cause == allocator.None || d.Free != free || (d.Cause == allocator.Policy) != possible {
		t.Fatalf("%s is refused with cause %s and %d bytes free; a legal place exists: %t, %d bytes are free, the cause is %s\nlive: %s\nthe cause is policy if a legal place existed, and otherwise what the definitions say",
			describe(req), d.Cause, d.Free, possible, free, want, w)
	}
}

// books returns a ledger of the live blocks.
func (w *watched) books() *ledger.Ledger {
	l := ledger.New(w.arena, 1)
	for _, p := range w.live {
		l.Alloc(p.block, p.block.Size, 0)
	}
	return l
}

// freeIn counts the free bytes in the window of a request.
func (w *watched) freeIn(req allocator.Request) uint64 {
	window := mem.RangeSet{{Lo: req.Lo, Hi: req.Hi}}
	if req.Hi == 0 {
		window[0].Hi = mem.Everywhere.Hi
	}
	if window[0].Empty() {
		return 0
	}
	reach := w.arena.Intersect(window)
	free := reach.Size()
	for _, p := range w.live {
		free -= mem.RangeSet{{Lo: p.block.Addr, Hi: p.block.Addr + p.block.Size}}.Intersect(reach).Size()
	}
	return free
}
