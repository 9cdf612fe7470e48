package explain

import (
	"fmt"
	"slices"

	"dmasim/allocator"
	"dmasim/allocator/ledger"
	"dmasim/mem"
)

// without returns a copy of the arena's state without some of its blocks, and
// with more memory at its ends.
func (a *arena) without(gone []ledger.Entry, more ledger.Growth) *ledger.Ledger {
	hull := a.heap.Arena.Hull()
	larger := a.heap.Arena.Union(mem.NewRangeSet(
		mem.Range{Lo: hull.Lo - more.Below, Hi: hull.Lo}, mem.Range{Lo: hull.Hi, Hi: hull.Hi + more.Above}))
	copied := ledger.New(larger, len(a.cfg.Clients))
	for _, b := range a.heap.Ledger.Live() {
		if !slices.Contains(gone, b) {
			copied.Alloc(allocator.Block{Addr: b.Lo, Size: b.Hi - b.Lo}, b.Hi-b.Lo, int(b.Owner))
		}
	}
	return copied
}

// add appends a change if the request has a legal place after it.
func (a *arena) add(e *Explanation, c Change, state *ledger.Ledger, req allocator.Request) *Change {
	d := state.Diagnose(req)
	if d.Cause != allocator.Policy {
		return nil
	}
	c.Verified, c.Place = true, newRange(d.At, req.Size)
	e.Changes = append(e.Changes, c)
	return &e.Changes[len(e.Changes)-1]
}

// served notes whether the strategy takes a place of its own accord, which it is
// asked on the heap itself.
func (a *arena) served(c *Change, req allocator.Request) {
	if c == nil || a.told() {
		return
	}
	_, ok := a.heap.Try(req)
	c.Served = &ok
}

// changes adds the smallest changes of every kind that let the request succeed.
func (a *arena) changes(e *Explanation) {
	l := a.heap.Ledger
	if d := l.Diagnose(a.need); d.Cause == allocator.Policy {
		a.legalPlace(e, d.At)
		return
	}
	a.windows(e)
	if g, ok := l.ArenaGrowth(a.need); ok {
		a.grow(e, g)
	}
	if align, less, ok := l.FittingAlign(a.need, a.heap.Granule); ok {
		c := Change{Kind: SmallerAlign, Bytes: sizeOf(align), Text: fmt.Sprintf("an alignment of %s instead of %s", sizeOf(align), e.Align)}
		a.served(a.add(e, c, l, less), less)
	}
	if free := unbounded(a.need); free != nil {
		c := Change{Kind: NoBoundary, Text: "no boundary that must not be crossed"}
		a.served(a.add(e, c, l, *free), *free)
	}
	if payload := a.largestPayload(a.request.Payload - 1); payload > 0 {
		smaller := *a.request
		smaller.Payload = payload
		if req, ok := a.demand(&smaller); ok {
			c := Change{Kind: SmallerBuffer, Bytes: sizeOf(payload), Text: fmt.Sprintf("a buffer of %s at most", sizeOf(payload).Short())}
			a.served(a.add(e, c, l, req), req)
		}
	}
	a.free(e) // the last: the strategy's memory is not the same afterwards
}

// legalPlace is for requests that had a place.
func (a *arena) legalPlace(e *Explanation, at uint64) {
	c := Change{Kind: OtherStrategy, Text: fmt.Sprintf("a strategy that looks everywhere: at %s a place was free and legal", mem.Addr(at))}
	switch {
	case e.atMap:
		c = Change{Kind: TellHeap, Text: fmt.Sprintf("a heap that knows, when it is asked, which device is going to map the buffer: at %s a place was free and legal", mem.Addr(at))}
	case a.told():
		c = Change{Kind: TellHeap, Text: fmt.Sprintf("a heap that is told what the devices reach (aware: true): at %s a place was free and legal", mem.Addr(at))}
	}
	a.add(e, c, a.heap.Ledger, a.need)
}

// windows adds by how much the window would have to be larger.
func (a *arena) windows(e *Explanation) {
	l := a.heap.Ledger
	g, ok := l.WindowGrowth(a.need)
	if !ok {
		return
	}
	for _, w := range []struct {
		bytes uint64
		down  bool
		where string
	}{{g.Above, false, "up"}, {g.Below, true, "down"}} {
		if w.bytes == 0 {
			continue
		}
		for _, wider := range grown(a.need, w.bytes, w.down) {
			reach := reachOf(&wider, a.heap.Arena)
			c := Change{Kind: WiderWindow, Bytes: sizeOf(w.bytes), Text: fmt.Sprintf("a window that reaches %s further %s: %s", sizeOf(w.bytes).Short(), w.where, brief(reach))}
			if made := a.add(e, c, l, wider); made != nil {
				a.served(made, wider)
				break
			}
		}
	}
}

// grown returns a request with each of its windows, in turn, reaching further.
func grown(req allocator.Request, bytes uint64, down bool) []allocator.Request {
	if req.Rule == nil {
		if down {
			req.Lo -= min(bytes, req.Lo)
		} else if req.Hi != 0 {
			req.Hi += min(bytes, mem.Everywhere.Hi-req.Hi)
		}
		return []allocator.Request{req}
	}
	var list []allocator.Request
	for i := range req.Rule.Windows {
		wider := req
		windows := slices.Clone(req.Rule.Windows)
		r := &windows[i].Reach
		if down {
			r.Lo -= min(bytes, r.Lo)
		} else {
			r.Hi += min(bytes, mem.Everywhere.Hi-r.Hi)
		}
		wider.Rule = &allocator.Rule{Windows: windows}
		list = append(list, wider)
	}
	return list
}

// grow adds by how much the heap would have to be larger.
func (a *arena) grow(e *Explanation, g ledger.Growth) {
	if g.Above > 0 {
		c := Change{Kind: LargerHeap, Bytes: sizeOf(g.Above), Text: fmt.Sprintf("a heap larger by %s at its end", sizeOf(g.Above).Short())}
		a.add(e, c, a.without(nil, ledger.Growth{Above: g.Above}), a.need)
	}
	if g.Below > 0 && g.Above == 0 {
		c := Change{Kind: LargerHeap, Bytes: sizeOf(g.Below), Text: fmt.Sprintf("a heap larger by %s at its start", sizeOf(g.Below).Short())}
		a.add(e, c, a.without(nil, ledger.Growth{Below: g.Below}), a.need)
	}
}

// unbounded returns the request without boundaries; nil if it has none.
func unbounded(req allocator.Request) *allocator.Request {
	bounded := req.Boundary != 0
	req.Boundary = 0
	if req.Rule != nil {
		rule := &allocator.Rule{}
		for _, w := range req.Rule.Windows {
			bounded = bounded || len(w.Bounds) > 0
			w.Bounds = nil
			rule.Windows = append(rule.Windows, w)
		}
		req.Rule = rule
	}
	if !bounded {
		return nil
	}
	return &req
}

// free adds the fewest buffers that would have to go, and, where these are more, the
// fewest of those that did not need the window.
func (a *arena) free(e *Explanation) {
	if !a.wayOK {
		e.Notes = append(e.Notes, "even an empty heap has no place for the request")
		return
	}
	strangers := &a.strangers
	if a.strangersOK && len(strangers.Blocks) > len(a.way.Blocks) {
		c := Change{Kind: FreeStrangers, Bytes: sizeOf(strangers.Bytes()), Buffers: a.buffers(strangers.Blocks)}
		c.Text = fmt.Sprintf("without %s that did not need the window (%s)", plural(len(strangers.Blocks), "buffer"), sizeOf(strangers.Bytes()).Short())
		a.add(e, c, a.without(strangers.Blocks, ledger.Growth{}), a.need)
	}
	if stranger := func(h Holder) bool { return !h.Needed && h.InReach > 0 }; !a.strangersOK && slices.ContainsFunc(e.Holders, stranger) {
		e.Notes = append(e.Notes, "even without every buffer that did not need the window there would be no place")
	}
	c := Change{Kind: FreeBuffers, Bytes: sizeOf(a.way.Bytes()), Buffers: a.buffers(a.way.Blocks)}
	c.Text = fmt.Sprintf("without %s (%s)", plural(len(a.way.Blocks), "buffer"), sizeOf(a.way.Bytes()).Short())
	if made := a.add(e, c, a.without(a.way.Blocks, ledger.Growth{}), a.need); made != nil && !a.told() {
		ok := a.freeAndAsk()
		made.Served = &ok
	}
}

// freeAndAsk frees the buffers in the way on the heap itself, and asks again.
func (a *arena) freeAndAsk() bool {
	for _, b := range a.way.Blocks {
		known, ok := a.live[place{a.number, b.Lo}]
		if !ok || a.heap.Free(&known.Buffer) != nil {
			return false
		}
	}
	_, ok := a.heap.Try(a.need)
	return ok
}

func plural(n int, what string) string {
	if n == 1 {
		return "one " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
