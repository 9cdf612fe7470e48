package explain

import (
	"fmt"
	"slices"
	"sort"

	"dmasim/allocator"
	"dmasim/allocator/kernel/cma"
	"dmasim/allocator/ledger"
	"dmasim/mem"
	"dmasim/sim/heap"
	"dmasim/sim/physmem"
)

// cmaAlignment is the largest order to which CMA heaps align (CONFIG_CMA_ALIGNMENT).
const cmaAlignment = 8

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
		if !slices.ContainsFunc(gone, func(e ledger.Entry) bool { return e.Lo == at }) {
			l.Alloc(allocator.Block{Addr: at, Size: size}, size, owner)
		}
	}
	for _, b := range c.inArea() {
		put(b.Block.Addr, b.Block.Size, int(b.Owner))
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
		if int(b.Owner) != c.ownerOfHeld() {
			for _, t := range c.inArea() {
				if t.Block.Addr == b.Lo {
					list = append(list, c.describe(&t))
				}
			}
			continue
		}
		for i := range c.held {
			if c.held[i].Lo*c.page == b.Lo {
				list = append(list, Buffer{Owner: c.pagesOf(&c.held[i]), What: "pages", Addr: mem.Addr(b.Lo), Bytes: sizeOf(b.Hi - b.Lo), Devices: []string{}})
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
		p.Blocks = append(p.Blocks, Block{Range: mem.Range{Lo: b.Lo, Hi: b.Hi}, Owner: int(b.Owner), InTheWay: slices.Contains(way.Blocks, b)})
	}
	for _, hole := range c.all.Holes() {
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
			larger.Alloc(allocator.Block{Addr: b.Lo, Size: b.Hi - b.Lo}, b.Hi-b.Lo, int(b.Owner))
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
		if int(b.Owner) == c.ownerOfHeld() {
			for pfn := b.Lo / c.page; pfn < b.Hi/c.page; pfn++ {
				if c.sim.Memory().Unpin(pfn) != nil {
					return false
				}
			}
			continue
		}
		for p, t := range c.live {
			if h := c.paged(p.heap); t.Block.Addr == b.Lo && h != nil && h.IsCMA() && h.Free(t.Buffer, c.now) != nil {
				return false
			}
		}
	}
	_, ok := c.askAgain(c.heap, r)
	return ok
}
