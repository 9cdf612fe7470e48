package explain

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"dmasim/allocator"
	"dmasim/allocator/ledger"
	"dmasim/mem"
	"dmasim/sim"
	"dmasim/sim/heap"
)

// explainPermission is for processes that may not open the heap.
func (w *watcher) explainPermission(e *Explanation) {
	h := &w.cfg.Heaps[w.heapNumber(e)]
	e.Notes = append(e.Notes, fmt.Sprintf("the heap's device file belongs to user %d and group %d with mode %04o, which does not let %s open it", h.User, h.Group, h.Mode, e.Client))
	e.Changes = append(e.Changes, Change{Kind: Permit, Text: "a group of the process that may read and write the device file, or a mode that lets others"})
}

// explainLimit is for requests that would pass a limit.
func (w *watcher) explainLimit(e *Explanation, r *heap.Request) {
	number := w.heapNumber(e)
	h := &w.cfg.Heaps[number]
	var all, own ledger.Usage
	if p := w.paged(number); p != nil {
		all, own = p.Usage(), p.ClientUsage(r.Owner)
	} else {
		l := w.sim.Heaps()[number].Ledger
		all, own = l.Usage(), l.Owner(r.Owner)
	}
	for client := range w.cfg.Clients {
		w.addHolder(e, number, client)
	}
	for _, limit := range []struct {
		bytes, held uint64
		of          string
		ownOnly     bool
	}{{h.Limit, all.Reserved, "the heap", false}, {h.LimitPerClient, own.Reserved, "each client", true}} {
		if limit.bytes == 0 || limit.held <= limit.bytes && r.Payload <= limit.bytes-limit.held {
			continue
		}
		left := limit.bytes - min(limit.held, limit.bytes)
		e.Funnel = append(e.Funnel,
			Stage{Name: "limit of " + limit.of, Bytes: sizeOf(limit.bytes), Needed: e.Payload},
			Stage{Name: "left of it", Bytes: sizeOf(left), Needed: e.Payload, Note: sizeOf(limit.held).Short() + " are held"})
		e.Changes = append(e.Changes, Change{
			Kind: RaiseLimit, Bytes: sizeOf(r.Payload - left), Verified: true,
			Text: fmt.Sprintf("a limit higher by %s", sizeOf(r.Payload-left).Short()),
		})
		if r.Payload > limit.bytes {
			e.Notes = append(e.Notes, "the request is larger than the limit: it can never be served")
			return
		}
		w.freeUnderLimit(e, number, r, limit.bytes-r.Payload, limit.held, limit.ownOnly)
		return
	}
	e.Notes = append(e.Notes, "no limit of the heap was passed: the process had no descriptor left (EMFILE), or the kernel cannot make a buffer that large")
}

// freeUnderLimit finds the fewest buffers whose bytes bring what is held down to
// most: the largest.
func (w *watcher) freeUnderLimit(e *Explanation, number int, r *heap.Request, most, held uint64, ownOnly bool) {
	list := w.liveIn(func(p place, b *tracked) bool { return p.heap == number && (!ownOnly || int(b.Owner) == r.Owner) })
	slices.SortStableFunc(list, func(a, b tracked) int { return cmp.Compare(b.Block.Size, a.Block.Size) })
	c := Change{Kind: FreeBuffers, Verified: true}
	for _, b := range list {
		if held <= most {
			break
		}
		held -= b.Block.Size
		c.Bytes += sizeOf(b.Block.Size)
		c.Buffers = append(c.Buffers, w.describe(&b))
	}
	if held > most {
		return
	}
	c.Text = fmt.Sprintf("without %s (%s)", plural(len(c.Buffers), "buffer"), c.Bytes.Short())
	e.InTheWay = append(e.InTheWay, c.Buffers...)
	e.Changes = append(e.Changes, c)
}

// liveIn returns the live buffers that are wanted, in the order in which they were
// allocated.
func (w *watcher) liveIn(wanted func(place, *tracked) bool) []tracked {
	var list []tracked
	for p, b := range w.live {
		if wanted(p, &b) {
			list = append(list, b)
		}
	}
	slices.SortFunc(list, func(a, b tracked) int { return cmp.Compare(a.op, b.op) })
	return list
}

// describe tells of a live buffer, which is taken to be needed where it is.
func (w *watcher) describe(b *tracked) Buffer {
	client := &w.cfg.Clients[b.Owner]
	return Buffer{
		Owner: client.Name, What: "buffer", Addr: mem.Addr(b.Block.Addr), Bytes: sizeOf(b.Block.Size),
		Since: b.since, Op: b.op, Devices: w.deviceNames(client.Devices), Needed: true,
	}
}

// addHolder adds what a client has of a heap.
func (w *watcher) addHolder(e *Explanation, number, client int) {
	var u ledger.Usage
	if p := w.paged(number); p != nil {
		u = p.ClientUsage(client)
	} else {
		u = w.sim.Heaps()[number].Ledger.Owner(client)
	}
	if u.Blocks > 0 {
		e.Holders = append(e.Holders, Holder{
			Name: w.cfg.Clients[client].Name, What: "buffers", Blocks: u.Blocks,
			Bytes: sizeOf(u.Reserved), InReach: sizeOf(u.Reserved), Needed: true,
		})
	}
}

// explainMap is for buffers that a device cannot use where they lie.
func (w *watcher) explainMap(e *Explanation, r *heap.Request, event *sim.Event) {
	b := event.Buffer
	e.Reserve = sizeOf(b.Block.Size)
	e.Place = newRange(b.Block.Addr, b.Block.Size)
	e.atMap = true
	if e.Cause == allocator.IOVA || e.Cause == allocator.Bounce {
		w.explainTranslation(e, event)
		return
	}
	if p := w.paged(event.Heap); p != nil {
		w.explainPieces(e, r, p.Extents(nil, *b))
		return
	}
	if v := r.Plan.Judge(b.Block.Addr, r.Payload); !v.Usable() {
		e.Verdict = v.String()
	}
	w.explainArena(e, r, &ledger.Diagnosis{Cause: allocator.Unreachable})
}

// explainPieces says how a buffer of several pieces breaks the rules of its
// devices.
func (w *watcher) explainPieces(e *Explanation, r *heap.Request, pieces []mem.Range) {
	var inside uint64
	rest, outside := r.Payload, 0
	for _, piece := range pieces {
		payload := min(rest, piece.Size())
		rest -= payload
		reached := r.Plan.Reach.Intersect(mem.RangeSet{{Lo: piece.Lo, Hi: piece.Lo + payload}}).Size()
		inside += reached
		if reached < payload {
			outside++
		}
		if v := r.Plan.Judge(piece.Lo, payload); payload > 0 && !v.Usable() && e.Verdict == "" {
			e.Verdict = v.String()
		}
	}
	note := fmt.Sprintf("in %s", plural(len(pieces), "piece"))
	if outside > 0 {
		note += fmt.Sprintf(", %d of which leave the reach", outside)
	}
	e.Funnel = append(e.Funnel,
		Stage{Name: "the buffer", Bytes: e.Payload, Needed: e.Payload, Note: note},
		Stage{Name: "of it in reach", Bytes: sizeOf(inside), Needed: e.Payload, Note: brief(reachOf(&allocator.Request{}, r.Plan.Reach))})
	switch e.Cause {
	case allocator.Segments:
		limit := uint64(math.MaxUint64)
		if r.Plan.SegmentsMax > 0 {
			limit = r.Plan.SegmentsMax
		}
		if r.Plan.Contiguous {
			limit = 1
		}
		e.Notes = append(e.Notes, fmt.Sprintf("the devices take at most %s; a heap of contiguous memory (CMA, a carveout) or an IOMMU gives one", plural(int(min(limit, 1<<31)), "segment")))
	default:
		e.Notes = append(e.Notes, "the heap is told a size alone; a CMA area or carveout inside of the devices' reach gives memory that they can use")
	}
}

// explainTranslation is for buffers that lie where an IOMMU or bounce buffers would
// have had to help, and could not.
func (w *watcher) explainTranslation(e *Explanation, event *sim.Event) {
	d := event.Diagnosis
	needed := sizeOf(d.Size)
	if e.Cause == allocator.IOVA {
		e.Funnel = append(e.Funnel,
			Stage{Name: "free I/O addresses", Bytes: sizeOf(d.Free), Needed: needed, Note: "of the devices behind the IOMMU together"},
			Stage{Name: "longest run of them", Bytes: sizeOf(d.Largest), Needed: needed, Note: "one run takes the whole buffer"})
		if d.Waiting > 0 {
			e.Notes = append(e.Notes, fmt.Sprintf("%s of addresses were unmapped and waited for a flush; with strict unmapping (iommu.strict=1) they would have been free", sizeOf(d.Waiting).Short()))
		}
		e.Notes = append(e.Notes, "fewer or smaller mappings at once, or a larger aperture, leave longer runs; that was not tried")
		return
	}
	e.Funnel = append(e.Funnel,
		Stage{Name: "free bounce buffers", Bytes: sizeOf(d.Free), Needed: needed, Note: "a piece of the buffer was to be copied to them"},
		Stage{Name: "largest mapping", Bytes: sizeOf(d.Largest), Needed: needed, Note: "slots side by side, and at most 256KiB"})
	e.Notes = append(e.Notes, "memory that the device reaches needs no bouncing: a CMA area or carveout in its window, or an IOMMU; a larger pool (swiotlb=) helps only where pieces are small enough; neither was tried")
}
