package explain

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sort"
	"time"

	"dmasim/allocator"
	"dmasim/allocator/kernel/cma"
	"dmasim/allocator/ledger"
	"dmasim/mem"
	"dmasim/sim"
	"dmasim/sim/heap"
	"dmasim/sim/physmem"
)

// cmaAlignment is the largest order to which CMA heaps align (CONFIG_CMA_ALIGNMENT).
const cmaAlignment = 8

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

// contig is a CMA area at the moment of a failure, in bytes.
type contig struct {
	*watcher
	heap    *heap.Pages
	page    uint64
	area    physmem.AreaState
	span    mem.Range
	buffers *ledger.Ledger // only these are in it
	all     *ledger.Ledger // and pages that are held in place
	held    []stretch
	lent    uint64 // pages
}

// stretch is pages side by side that are held in the same way for the same owner.
type stretch struct {
	mem.Range // page frames
	hold      physmem.Hold
	owner     physmem.Owner
}

// explainCMA explains a request to a CMA area.
func (w *watcher) explainCMA(e *Explanation, h *heap.Pages, r *heap.Request) {
	c := w.contig(h)
	pages := uint64(e.Reserve) / c.page
	need := allocator.Request{Size: uint64(e.Reserve), Align: c.page << cma.AlignOrder(pages, cmaAlignment)}
	e.Align = sizeOf(need.Align)
	d := c.buffers.Diagnose(need)
	stage := func(name string, bytes uint64, note string) {
		e.Funnel = append(e.Funnel, Stage{Name: name, Bytes: sizeOf(bytes), Needed: e.Reserve, Note: note})
	}
	stage("free in all", d.Free, fmt.Sprintf("of %s; %s of it lent to programs and files", sizeOf(c.span.Size()).Short(), sizeOf(c.lent*c.page).Short()))
	stage("largest run", d.Largest, "")
	stage("after alignment", c.largest(c.buffers, d.Largest, need.Align), "starts are multiples of "+e.Align.String())
	stage("after pages that stay", c.largest(c.all, d.Largest, need.Align), c.heldNote())
	c.holders(e)
	way, ok := c.all.Blame(need, nil)
	if ok {
		e.InTheWay = c.describeAll(way.Blocks)
	}
	c.picture(e, need, way, ok)
	if e.Cause == allocator.None {
		return
	}
	c.changes(e, need, way, ok, r)
}

// contig looks at the CMA area of a heap.
func (w *watcher) contig(h *heap.Pages) *contig {
	m := w.sim.Memory()
	c := &contig{watcher: w, heap: h, page: m.PageSize(), area: m.Area(h.Area)}
	c.span = mem.Range{Lo: c.area.Pages.Lo * c.page, Hi: c.area.Pages.Hi * c.page}
	for pfn := c.area.Pages.Lo; pfn < c.area.Pages.Hi; pfn++ {
		kind, owner := m.At(pfn)
		if kind == physmem.Anonymous || kind == physmem.PageCache {
			c.lent++
		}
		hold, is := m.Held(pfn)
		if !is {
			continue
		}
		if last := len(c.held) - 1; last >= 0 && c.held[last].Hi == pfn && c.held[last].hold == hold && c.held[last].owner == owner {
			c.held[last].Hi++
		} else {
			c.held = append(c.held, stretch{mem.Range{Lo: pfn, Hi: pfn + 1}, hold, owner})
		}
	}
	c.buffers, c.all = c.ledger(nil, false), c.ledger(nil, true)
	return c
}

// ownerOfHeld is the ledger's number for pages that are held in place.
func (c *contig) ownerOfHeld() int { return len(c.cfg.Clients) }

// ledger makes a copy of the area, without some blocks.
func (c *contig) ledger(gone []ledger.Entry, held bool) *ledger.Ledger {
	l := ledger.New(mem.RangeSet{c.span}, len(c.cfg.Clients)+1)
	put := func(at, size uint64, owner int) {
		if e := (ledger.Entry{Addr: at, Size: size, Owner: owner}); !slices.Contains(gone, e) {
			l.Alloc(allocator.Block{Addr: at, Size: size}, size, owner)
		}
	}
	for _, b := range c.inArea() {
		put(b.Block.Addr, b.Block.Size, b.Owner)
	}
	if held {
		for _, s := range c.held {
			put(s.Lo*c.page, s.Size()*c.page, c.ownerOfHeld())
		}
	}
	return l
}

// inArea returns the live buffers of the area.
func (c *contig) inArea() []tracked {
	return c.liveIn(func(p place, b *tracked) bool {
		h := c.paged(p.heap)
		return h != nil && h.IsCMA() && h.Area == c.heap.Area
	})
}

// largest returns the most bytes of an aligned run.
func (c *contig) largest(l *ledger.Ledger, atMost, align uint64) uint64 {
	return c.page * uint64(sort.Search(int(atMost/c.page), func(i int) bool {
		return l.Diagnose(allocator.Request{Size: (uint64(i) + 1) * c.page, Align: align}).Cause != allocator.Policy
	}))
}

func (c *contig) heldNote() string {
	if len(c.held) == 0 {
		return "none is held in place"
	}
	var busy, pinned uint64
	for _, s := range c.held {
		if s.hold == physmem.HoldBusy {
			busy += s.Size()
		} else {
			pinned += s.Size()
		}
	}
	return fmt.Sprintf("%s busy, %s pinned", plural(int(busy), "page"), plural(int(pinned), "page"))
}

// holders adds who has memory of the area.
func (c *contig) holders(e *Explanation) {
	for client := range c.cfg.Clients {
		c.addHolder(e, c.heapNumber(e), client)
	}
	for _, s := range c.held {
		name := c.pagesOf(&s)
		i := slices.IndexFunc(e.Holders, func(h Holder) bool { return h.Name == name })
		if i < 0 {
			e.Holders = append(e.Holders, Holder{Name: name, What: "pages held in place", Needed: false})
			i = len(e.Holders) - 1
		}
		e.Holders[i].Blocks++
		e.Holders[i].Bytes += sizeOf(s.Size() * c.page)
		e.Holders[i].InReach = e.Holders[i].Bytes
	}
}

// pagesOf names pages that are held in place.
func (c *contig) pagesOf(s *stretch) string {
	how := "busy"
	if s.hold == physmem.HoldPinned {
		how = "pinned"
	}
	who := "files"
	if client := c.sim.ClientOf(s.owner); client >= 0 {
		who = c.cfg.Clients[client].Name
	}
	return fmt.Sprintf("%s pages of %s", how, who)
}

func (c *contig) describeAll(blocks []ledger.Entry) []Buffer {
	list := []Buffer{}
	for _, b := range blocks {
		if b.Owner != c.ownerOfHeld() {
			for _, t := range c.inArea() {
				if t.Block.Addr == b.Addr {
					list = append(list, c.describe(&t))
				}
			}
			continue
		}
		for i := range c.held {
			if c.held[i].Lo*c.page == b.Addr {
				list = append(list, Buffer{Owner: c.pagesOf(&c.held[i]), What: "pages", Addr: mem.Addr(b.Addr), Bytes: sizeOf(b.Size), Devices: []string{}})
			}
		}
	}
	return list
}

func (c *contig) picture(e *Explanation, need allocator.Request, way ledger.Blame, ok bool) {
	p := &Picture{Arena: mem.RangeSet{c.span}, Reach: mem.RangeSet{c.span}, Asked: need.Size}
	for i := range c.cfg.Clients {
		p.Owners = append(p.Owners, c.cfg.Clients[i].Name)
	}
	p.Owners = append(p.Owners, "held pages")
	for _, b := range c.all.Live() {
		p.Blocks = append(p.Blocks, Block{Range: mem.Range{Lo: b.Addr, Hi: b.Addr + b.Size}, Owner: b.Owner, InTheWay: slices.Contains(way.Blocks, b)})
	}
	for hole := range c.all.Holes() {
		if hole.Size() > p.Run.Size() {
			p.Run = hole
		}
	}
	if ok {
		p.Spot = mem.Range{Lo: way.At, Hi: way.At + need.Size}
	}
	e.Picture = p
}

// changes adds the smallest changes that let the request succeed.
func (c *contig) changes(e *Explanation, need allocator.Request, way ledger.Blame, ok bool, r *heap.Request) {
	verify := func(change Change, state *ledger.Ledger, req allocator.Request) *Change {
		d := state.Diagnose(req)
		if d.Cause != allocator.Policy {
			return nil
		}
		change.Verified, change.Place = true, newRange(d.At, req.Size)
		e.Changes = append(e.Changes, change)
		return &e.Changes[len(e.Changes)-1]
	}
	if c.all.Diagnose(need).Cause == allocator.Policy {
		e.Notes = append(e.Notes, "a place was free of buffers and of pages held in place, but there was no memory to move the lent pages to")
		return
	}
	if g, grows := c.all.ArenaGrowth(need); grows && g.Above > 0 {
		larger := ledger.New(mem.RangeSet{{Lo: c.span.Lo, Hi: c.span.Hi + g.Above}}, len(c.cfg.Clients)+1)
		for _, b := range c.all.Live() {
			larger.Alloc(allocator.Block{Addr: b.Addr, Size: b.Size}, b.Size, b.Owner)
		}
		verify(Change{Kind: LargerHeap, Bytes: sizeOf(g.Above), Text: fmt.Sprintf("a CMA area larger by %s", sizeOf(g.Above).Short())}, larger, need)
	}
	if align, less, fits := c.all.FittingAlign(need, c.page); fits {
		verify(Change{Kind: SmallerAlign, Bytes: sizeOf(align), Text: fmt.Sprintf("an alignment of %s (CONFIG_CMA_ALIGNMENT) instead of %s", sizeOf(align), e.Align)}, c.all, less)
	}
	smaller := c.page * uint64(sort.Search(int(need.Size/c.page), func(i int) bool {
		return c.all.Diagnose(c.request(uint64(i)+1)).Cause != allocator.Policy
	}))
	if smaller > 0 && smaller < need.Size {
		verify(Change{Kind: SmallerBuffer, Bytes: sizeOf(smaller), Text: fmt.Sprintf("a buffer of %s at most", sizeOf(smaller).Short())}, c.all, c.request(smaller/c.page))
	}
	if !ok {
		e.Notes = append(e.Notes, "even an empty area has no place for the request")
		return
	}
	text := fmt.Sprintf("without %s (%s)", plural(len(way.Blocks), "buffer"), sizeOf(way.Bytes()).Short())
	for _, b := range e.InTheWay {
		if b.What == "pages" {
			text = fmt.Sprintf("without %s or stretches of held pages (%s)", plural(len(way.Blocks), "buffer"), sizeOf(way.Bytes()).Short())
		}
	}
	made := verify(Change{Kind: FreeBuffers, Bytes: sizeOf(way.Bytes()), Text: text, Buffers: e.InTheWay}, c.ledger(way.Blocks, true), need)
	if made != nil {
		served := c.freeAndAsk(way.Blocks, r)
		made.Served = &served
	}
}

// request returns what the heap asks the area for.
func (c *contig) request(pages uint64) allocator.Request {
	return allocator.Request{Size: pages * c.page, Align: c.page << cma.AlignOrder(pages, cmaAlignment)}
}

// freeAndAsk frees what is in the way in the machine itself, and asks again.
func (c *contig) freeAndAsk(blocks []ledger.Entry, r *heap.Request) bool {
	for _, b := range blocks {
		if b.Owner == c.ownerOfHeld() {
			for pfn := b.Addr / c.page; pfn < (b.Addr+b.Size)/c.page; pfn++ {
				if c.sim.Memory().Unpin(pfn) != nil {
					return false
				}
			}
			continue
		}
		for p, t := range c.live {
			if h := c.paged(p.heap); t.Block.Addr == b.Addr && h != nil && h.IsCMA() && h.Free(t.Buffer, c.now) != nil {
				return false
			}
		}
	}
	_, ok := c.askAgain(c.heap, r)
	return ok
}

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
