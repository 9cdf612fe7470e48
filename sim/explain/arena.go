package explain

import (
	"cmp"
	"fmt"
	"slices"
	"sort"
	"strings"

	"dmasim/allocator"
	"dmasim/allocator/ledger"
	"dmasim/mem"
	"dmasim/sim/heap"
)

func sizeOf(bytes uint64) mem.Size { return mem.Size(bytes) }

// explainArena explains a request to a heap that has an arena. d is the diagnosis
// of the failure, or says that there was none.
func (w *watcher) explainArena(e *Explanation, r *heap.Request, d *ledger.Diagnosis) {
	number := w.heapNumber(e)
	h := w.sim.Heaps()[number]
	a := &arena{watcher: w, number: number, heap: h, request: r}
	ask, padding := h.Asked, h.Padding(r.Plan)
	if d.Cause == allocator.Unreachable {
		ask, padding = h.Demand, r.Plan.Padding
	}
	need, possible := ask(r)
	a.need = need
	e.Reserve, e.Padding = sizeOf(need.Size), sizeOf(padding)
	a.places = reachOf(&need, h.Arena)
	if d.Cause == allocator.Unreachable && e.Place == nil {
		a.judgePlace(e)
	}
	if a.told() {
		e.Notes = append(e.Notes, "the heap is not told of devices; the figures are of places that these could use, as if it were (aware: true)")
	}
	a.funnel(e)
	a.holders(e)
	a.blame(e)
	a.picture(e)
	if d.Cause == allocator.None {
		return
	}
	if !possible {
		e.Notes = append(e.Notes, "no address is aligned as the request, its devices and the heap's granule demand together")
		return
	}
	a.changes(e)
}

// arena is a heap at the moment of a failure.
type arena struct {
	*watcher
	number  int
	heap    *heap.Heap
	request *heap.Request
	need    allocator.Request // what is explained
	places  mem.RangeSet      // where its block may lie in the arena
	way     ledger.Blame
	wayOK   bool

	strangers   ledger.Blame
	strangersOK bool
}

// reachOf returns the places of a request in an arena.
func reachOf(req *allocator.Request, arena mem.RangeSet) mem.RangeSet {
	window := mem.Range{Lo: req.Lo, Hi: req.Hi}
	if req.Hi == 0 {
		window.Hi = mem.Everywhere.Hi
	}
	set := mem.RangeSet{window}
	if req.Rule != nil {
		var reach []mem.Range
		for _, w := range req.Rule.Windows {
			hi := w.Reach.Hi + min(req.Slack, mem.Everywhere.Hi-w.Reach.Hi)
			reach = append(reach, mem.Range{Lo: w.Reach.Lo, Hi: hi})
		}
		set = set.Intersect(mem.NewRangeSet(reach...))
	}
	return set.Intersect(arena)
}

// judgePlace says where the strategy put the buffer, and why that was of no use.
func (a *arena) judgePlace(e *Explanation) {
	asked, possible := a.heap.Asked(a.request)
	if !possible {
		return
	}
	block, ok := a.heap.Try(asked)
	if !ok {
		return
	}
	e.Place = newRange(block.Addr, block.Size)
	if v := a.request.Plan.Judge(block.Addr, a.request.Payload); !v.Usable() {
		e.Verdict = v.String()
	}
}

// largest returns the most bytes for which a request has a legal place, and that
// place.
func (a *arena) largest(req allocator.Request, atMost uint64) (uint64, *Range) {
	l := a.heap.Ledger
	req.Slack = 0
	var where *Range
	n := sort.Search(int(min(atMost, 1<<62)), func(i int) bool {
		req.Size = uint64(i) + 1
		d := l.Diagnose(req)
		if d.Cause == allocator.Policy {
			where = newRange(d.At, req.Size)
			return false
		}
		return true
	})
	return uint64(n), where
}

// funnel adds the steps from all that is free to what the request can use.
func (a *arena) funnel(e *Explanation) {
	l := a.heap.Ledger
	d := l.Diagnose(a.need)
	needed := sizeOf(a.need.Size)
	stage := func(name string, bytes uint64, where *Range, note string) {
		e.Funnel = append(e.Funnel, Stage{Name: name, Bytes: sizeOf(bytes), Needed: needed, Where: where, Note: note})
	}
	stage("free in all", d.Free, nil, fmt.Sprintf("of %s, in %s", sizeOf(l.Capacity()).Short(), plural(l.HoleCount(), "hole")))
	stage("free in reach", d.FreeInReach, nil, fmt.Sprintf("of %s in %s", sizeOf(a.places.Size()).Short(), brief(a.places)))
	run := a.longestRun()
	stage("largest run in reach", d.Largest, newRange(run.Lo, run.Size()), "")
	aligned := a.need
	aligned.Boundary = 0
	align := a.need.Align
	bounds := []string{}
	if a.need.Boundary != 0 {
		bounds = append(bounds, sizeOf(a.need.Boundary).String())
	}
	if a.need.Rule != nil {
		aligned.Rule = &allocator.Rule{}
		for i, w := range a.need.Rule.Windows {
			align = max(align, w.Align)
			for _, b := range w.Bounds {
				if i == 0 && b.Boundary != 0 {
					bounds = append(bounds, sizeOf(b.Boundary).String())
				}
			}
			w.Bounds = nil
			aligned.Rule.Windows = append(aligned.Rule.Windows, w)
		}
	}
	e.Align = sizeOf(align)
	bytes, where := a.largest(aligned, d.Largest)
	note := "any address will do"
	if align > 1 {
		note = "starts are multiples of " + sizeOf(align).String()
	}
	stage("after alignment", bytes, where, note)
	bytes, where = a.largest(a.need, bytes)
	note = "no boundary"
	if len(bounds) > 0 {
		note = "no crossing of multiples of " + strings.Join(bounds, ", ")
	}
	stage("after boundary", bytes, where, note)
	payload := a.largestPayload(bytes + a.need.Slack)
	note = "no padding"
	if extra := a.need.Size - a.request.Payload; extra > 0 && a.need.Size > a.request.Payload {
		note = fmt.Sprintf("%s of padding and rounding go with the payload", sizeOf(extra).Short())
	}
	e.Funnel = append(e.Funnel, Stage{Name: "after padding", Bytes: sizeOf(payload), Needed: e.Payload, Note: note})
}

// largestPayload returns the largest payload that has a legal place.
func (a *arena) largestPayload(atMost uint64) uint64 {
	r := *a.request
	return uint64(sort.Search(int(min(atMost, 1<<62)), func(i int) bool {
		r.Payload = uint64(i) + 1
		req, ok := a.demand(&r)
		return !ok || a.heap.Ledger.Diagnose(req).Cause != allocator.Policy
	}))
}

// demand returns what is explained, for another request to the heap.
func (a *arena) demand(r *heap.Request) (allocator.Request, bool) {
	ask := a.heap.Asked
	if a.told() {
		ask = a.heap.Demand
	}
	return ask(r)
}

// told says that the explanation is about what the devices demand, although the
// heap is not told of them.
func (a *arena) told() bool {
	asked, _ := a.heap.Asked(a.request)
	return asked.Rule != a.need.Rule || asked.Lo != a.need.Lo || asked.Hi != a.need.Hi || asked.Size != a.need.Size ||
		asked.Align != a.need.Align || asked.Boundary != a.need.Boundary
}

// longestRun returns the longest free run in reach, the lowest of several.
func (a *arena) longestRun() mem.Range {
	var longest mem.Range
	for _, hole := range a.heap.Ledger.Holes() {
		for _, r := range a.places {
			if run := hole.Intersect(r); !run.Empty() && run.Size() > longest.Size() {
				longest = run
			}
		}
	}
	return longest
}

// brief prints a set of ranges, cut if there are many.
func brief(set mem.RangeSet) string {
	if len(set) == 1 && set[0] == mem.Everywhere {
		return "all addresses"
	}
	if len(set) <= 3 {
		return set.String()
	}
	return fmt.Sprintf("%d ranges within %s", len(set), set.Hull())
}

// holders adds who holds the heap.
func (a *arena) holders(e *Explanation) {
	sums := make([]Holder, len(a.cfg.Clients))
	for _, b := range a.heap.Ledger.Live() {
		held := mem.RangeSet{{Lo: b.Lo, Hi: b.Hi}}
		s := &sums[b.Owner]
		s.Blocks++
		s.Bytes += sizeOf(b.Hi - b.Lo)
		s.InReach += sizeOf(a.places.Intersect(held).Size())
	}
	for client, s := range sums {
		if s.Blocks > 0 {
			s.Name, s.What, s.Needed = a.cfg.Clients[client].Name, "buffers", a.cfg.Needs(client, a.number, a.places)
			e.Holders = append(e.Holders, s)
		}
	}
	slices.SortStableFunc(e.Holders, func(x, y Holder) int { return cmp.Compare(y.InReach, x.InReach) })
}

// blame finds the smallest set of buffers in the way. Of sets with as many buffers,
// one of strangers, which did not need the window, is preferred.
func (a *arena) blame(e *Explanation) {
	a.way, a.wayOK = a.heap.Ledger.Blame(a.need, nil)
	a.strangers, a.strangersOK = a.heap.Ledger.Blame(a.need, func(owner int) bool { return !a.cfg.Needs(owner, a.number, a.places) })
	if a.strangersOK && len(a.strangers.Blocks) == len(a.way.Blocks) {
		a.way = a.strangers
	}
	if a.wayOK {
		e.InTheWay = a.buffers(a.way.Blocks)
	}
}

// buffers describes live blocks.
func (a *arena) buffers(blocks []ledger.Entry) []Buffer {
	list := []Buffer{}
	for _, b := range blocks {
		client := &a.cfg.Clients[b.Owner]
		known := a.live[place{a.number, b.Lo}]
		list = append(list, Buffer{
			Owner: client.Name, What: "buffer", Addr: mem.Addr(b.Lo), Bytes: sizeOf(b.Hi - b.Lo),
			Since: known.since, Op: known.op, Devices: a.deviceNames(client.Devices),
			Needed: a.cfg.Needs(int(b.Owner), a.number, a.places),
		})
	}
	return list
}

// picture keeps the state for drawing.
func (a *arena) picture(e *Explanation) {
	p := &Picture{Arena: a.heap.Arena, Reach: a.places, Asked: a.need.Size, Run: a.longestRun()}
	for i := range a.cfg.Clients {
		p.Owners = append(p.Owners, a.cfg.Clients[i].Name)
	}
	for _, b := range a.heap.Ledger.Live() {
		p.Blocks = append(p.Blocks, Block{
			Range: mem.Range{Lo: b.Lo, Hi: b.Hi}, Owner: int(b.Owner),
			InTheWay: slices.Contains(a.way.Blocks, b),
		})
	}
	if a.wayOK {
		p.Spot = mem.Range{Lo: a.way.At, Hi: a.way.At + a.need.Size}
	}
	e.Picture = p
}
