package explain

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sort"
	"time"

	"dmasim/mem"
	"dmasim/sim"
	"dmasim/sim/heap"
)

// shortage is what held when memory ran out.
type shortage struct {
	at      time.Duration
	op      uint64 // of the kill; 0: it never did
	before  uint64 // the last event before
	holders []Holder
	funnel  []Stage
	buffers []tracked // of heaps that take pages, the largest first
}

// noteShortage keeps what holds when a process is killed. Of several kills for one
// request the first counts.
func (w *watcher) noteShortage(e *sim.Event) {
	if w.short.op > 0 && w.short.at == e.At {
		return
	}
	w.short = shortage{at: e.At, op: e.Number, before: w.lastCalm, holders: w.machineHolders(), funnel: w.machineFunnel()}
	w.short.buffers = w.liveIn(func(p place, _ *tracked) bool { return w.paged(p.heap) != nil })
	slices.SortStableFunc(w.short.buffers, func(a, b tracked) int { return cmp.Compare(b.Block.Size, a.Block.Size) })
}

// machineHolders returns what the machine's memory is used for.
func (w *watcher) machineHolders() []Holder {
	m := w.sim.Memory()
	c := m.Counters()
	page := m.PageSize()
	var list []Holder
	add := func(name, what string, blocks int, bytes uint64) {
		if bytes > 0 {
			list = append(list, Holder{Name: name, What: what, Blocks: blocks, Bytes: sizeOf(bytes), InReach: sizeOf(bytes), Needed: true})
		}
	}
	for number := range w.cfg.Heaps {
		h := w.paged(number)
		if h == nil {
			continue
		}
		for client := range w.cfg.Clients {
			u := h.ClientUsage(client)
			add(w.cfg.Clients[client].Name, "buffers of heap "+h.Name, u.Blocks, u.Reserved)
		}
		add("heap "+h.Name, "pages kept for reuse, or of a buffer in the making", 0, h.Kept())
	}
	add("programs", "anonymous memory", 0, c.Anonymous*page)
	add("files", "page cache", 0, c.PageCache*page)
	add("the kernel", "its own memory", 0, c.Kernel*page)
	slices.SortStableFunc(list, func(a, b Holder) int { return cmp.Compare(b.Bytes, a.Bytes) })
	return list
}

// explainMachine explains a request for which the whole machine had too little.
func (w *watcher) explainMachine(e *Explanation) {
	if w.short.op > 0 && w.short.at == e.At && e.Op > 0 {
		e.Holders, e.Funnel = w.short.holders, w.short.funnel
		e.Notes = append(e.Notes, "figures are those when memory ran out, before the kernel killed a process for it")
	} else {
		e.Holders, e.Funnel = append(e.Holders, w.machineHolders()...), w.machineFunnel()
	}
	for i := range e.Funnel {
		e.Funnel[i].Needed = e.Reserve
	}
}

// machineFunnel returns what there is of memory, and what of it a dma-buf could get.
func (w *watcher) machineFunnel() []Stage {
	m := w.sim.Memory()
	c := m.Counters()
	bytes := func(pages uint64) mem.Size { return sizeOf(pages * m.PageSize()) }
	above := w.aboveReserves()
	swap := min(c.Anonymous, c.Swap-c.SwapUsed)
	return []Stage{
		{Name: "memory of the machine", Bytes: bytes(c.Managed)},
		{Name: "not pinned", Bytes: bytes(c.Managed - c.Kernel - c.DMABuf), Note: fmt.Sprintf("dma-bufs pin %s, the kernel has %s", bytes(c.DMABuf).Short(), bytes(c.Kernel).Short())},
		{Name: "to be had", Bytes: bytes(above + c.PageCache + swap), Note: fmt.Sprintf("%s free above the reserves and outside of CMA, %s of files to drop, %s to swap", bytes(above).Short(), bytes(c.PageCache).Short(), bytes(swap).Short())},
	}
}

// aboveReserves returns the free pages that a dma-buf may get: not those of CMA
// areas, nor what a zone keeps (zone_watermark_ok; min_free_kbytes, lowmem_reserve).
func (w *watcher) aboveReserves() uint64 {
	m := w.sim.Memory()
	var pages uint64
	for i := range m.NumZones() {
		z := m.Zone(i)
		kept := z.Min
		if n := len(z.Reserve); n > 0 {
			kept += z.Reserve[n-1]
		}
		if usable := z.Free - min(z.FreeCMA, z.Free); usable > kept {
			pages += usable - kept
		}
	}
	return pages
}

// maxTrials is how many buffers are freed at most in trials.
const maxTrials = 1 << 16

// tryFreeing finds how many of the largest buffers had to be freed before the
// request for it to be served with nobody killed. Each number is tried in a
// simulation of its own, up to the last event before memory ran out.
func (e *Explanation) tryFreeing(ctx context.Context, build Build, short *shortage) error {
	var failed error
	try := func(n int) bool {
		ok := false
		err := run(ctx, build, func(w *watcher) {
			w.onEvent = func(event *sim.Event) {
				if event.Number == short.before {
					ok = w.freeLargest(e, short, n)
					w.sim.Stop()
				}
			}
		})
		if err != nil {
			failed = err
		}
		return ok && err == nil
	}
	n := min(len(short.buffers), maxTrials)
	switch {
	case short.before == 0 || try(0):
		e.Notes = append(e.Notes, "how many buffers less would have been enough was not tried: the request, made a moment before, would have been served")
		return failed
	case !try(n):
		e.Notes = append(e.Notes, fmt.Sprintf("the request would not have been served without any of the %s of before", plural(len(short.buffers), "buffer")))
		return failed
	}
	n = 1 + sort.Search(n-1, func(i int) bool { return try(i + 1) })
	c := Change{Kind: FreeBuffers, Verified: true}
	served := true
	c.Served = &served
	for i := range short.buffers[:n] {
		b := &short.buffers[i]
		c.Bytes += sizeOf(b.Block.Size)
		c.Buffers = append(c.Buffers, Buffer{
			Owner: b.client, What: "buffer", Addr: mem.Addr(b.Block.Addr), Bytes: sizeOf(b.Block.Size),
			Since: b.since, Op: b.op, Devices: []string{}, Needed: true,
		})
	}
	c.Text = fmt.Sprintf("without the %s (%s)", plural(n, "largest buffer"), c.Bytes.Short())
	e.InTheWay = c.Buffers
	e.Changes = append(e.Changes, c)
	return failed
}

// freeLargest frees buffers and asks for the request's.
func (w *watcher) freeLargest(e *Explanation, short *shortage, n int) bool {
	for _, known := range short.buffers[:n] {
		b, ok := w.live[place{known.from, known.Block.Addr}]
		if !ok || w.paged(b.from).Free(b.Buffer, w.now) != nil {
			return false
		}
	}
	kills := w.sim.Memory().Counters().Kills
	_, ok := w.askAgain(w.paged(w.heapNumber(e)), &heap.Request{Payload: uint64(e.Payload)})
	return ok && w.sim.Memory().Counters().Kills == kills
}
