package explain

import (
	"dmasim/allocator"
	"dmasim/mem"
	"dmasim/sim/heap"
	"dmasim/sim/physmem"
)

// explainPages explains a request to a heap that takes pages.
func (w *watcher) explainPages(e *Explanation, r *heap.Request) {
	h := w.paged(w.heapNumber(e))
	page := w.sim.Memory().PageSize()
	e.Reserve = (e.Payload + sizeOf(page) - 1) / sizeOf(page) * sizeOf(page)
	switch {
	case e.Cause >= allocator.Unreachable || e.Cause == allocator.Segments:
		e.Notes = append(e.Notes, "the heap, which is told a size alone, had the memory; its devices cannot use what it gave, and it was given back")
		if pieces, ok := w.askAgain(h, r); ok {
			e.Place = newRange(pieces[0].Lo, pieces[0].Size())
			w.explainPieces(e, r, pieces)
		}
	case h.IsCMA():
		w.explainCMA(e, h, r)
	default:
		w.explainMachine(e)
	}
}

// askAgain asks a heap for a buffer and gives it back. It returns its pieces.
func (w *watcher) askAgain(h *heap.Pages, r *heap.Request) ([]mem.Range, bool) {
	owner, err := w.sim.Memory().AddOwner(physmem.OwnerConfig{Name: "explain", Unkillable: true})
	if err != nil {
		return nil, false
	}
	b, failure, err := h.Alloc(r.Owner, owner, r.Payload)
	if err != nil || failure.Cause != allocator.None {
		return nil, false
	}
	pieces := h.Extents(nil, b)
	return pieces, h.Free(b, w.now) == nil && len(pieces) > 0
}

// askPages asks what nobody asked.
func (w *watcher) askPages(e *Explanation, r *heap.Request) {
	h := w.paged(w.heapNumber(e))
	page := sizeOf(w.sim.Memory().PageSize())
	e.Reserve = (e.Payload + page - 1) / page * page
	if h.IsCMA() {
		w.explainCMA(e, h, r)
	} else {
		w.explainMachine(e) // before asking changes it
	}
	owner, err := w.sim.Memory().AddOwner(physmem.OwnerConfig{Name: "explain", Unkillable: true})
	if err != nil {
		return
	}
	kills := w.sim.Memory().Counters().Kills
	b, failure, err := h.Alloc(r.Owner, owner, r.Payload)
	e.Cause = failure.Cause
	switch {
	case w.sim.Memory().Counters().Kills > kills:
		e.Notes = append(e.Notes, "the kernel would kill a process for want of memory")
		if failure.Cause == allocator.None {
			e.Cause = allocator.Exhausted
		}
	case err == nil && failure.Cause == allocator.None:
		pieces := h.Extents(nil, b)
		e.Place = newRange(pieces[0].Lo, pieces[0].Size())
		e.Cause = r.Plan.JudgePieces(pieces, r.Payload)
		if h.Free(b, w.now) == nil && e.Cause != allocator.None {
			e.Funnel = []Stage{}
			w.explainPieces(e, r, pieces)
		}
	case h.IsCMA():
		e.Funnel, e.Holders = []Stage{}, []Holder{}
		w.explainCMA(e, h, r)
	}
}
