package lesson

import (
	"fmt"
	"io"
	"slices"

	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"dmasim/allocator"
	"dmasim/allocator/ledger"
	"dmasim/mem"
)

// Heap is a little memory from address 0 on, to try strategies with. It remembers
// what was done to it, and Show draws that: a strip of memory for each step.
type Heap struct {
	strategy allocator.Strategy
	ledger   *ledger.Ledger
	granule  mem.Size
	live     []buffer // in the order of their allocation
	steps    []step
	named    int // buffers that ever were
}

type buffer struct {
	name   string
	asked  uint64
	block  allocator.Block
	handle ledger.Handle
	hue    int
}

// step is what was done, and what memory was like after it.
type step struct {
	did, outcome string
	live         []buffer
}

// NewHeap makes a heap of size bytes with a strategy such as "first-fit". Sizes are
// rounded up to multiples of granule, which is a multiple of nothing itself: 0 or 1
// byte rounds nothing.
func NewHeap(strategy string, size, granule mem.Size) *Heap {
	arena := mem.NewRangeSet(mem.Range{Lo: 0, Hi: uint64(size)})
	granule = max(granule, 1)
	return &Heap{
		strategy: Must(allocator.New(strategy, allocator.Config{Arena: arena, Granule: uint64(granule)})),
		ledger:   ledger.New(arena, 1),
		granule:  granule,
	}
}

// Alloc asks for a buffer and returns why it could not be had: allocator.None where
// it could.
func (h *Heap) Alloc(name string, size mem.Size) allocator.Cause {
	return h.AllocAligned(name, size, 1)
}

// AllocAligned asks for a buffer whose address is a multiple of align.
func (h *Heap) AllocAligned(name string, size, align mem.Size) allocator.Cause {
	if slices.ContainsFunc(h.live, func(b buffer) bool { return b.name == name }) {
		fail(fmt.Sprintf("the heap has a buffer %q already", name))
	}
	if size == 0 {
		fail(fmt.Sprintf("buffer %q has no bytes", name))
	}
	did := fmt.Sprintf("alloc %s, %v", name, size)
	if align > 1 {
		did += fmt.Sprintf(" at n × %v", align)
	}
	rounded := (size + h.granule - 1) / h.granule * h.granule
	request := allocator.Request{Size: uint64(rounded), Align: uint64(align)}
	block, ok := h.strategy.Alloc(request)
	if !ok {
		cause := h.ledger.Diagnose(request).Cause
		h.record(did, "failed: "+cause.String())
		return cause
	}
	h.live = append(h.live, buffer{name, uint64(size), block, h.ledger.Alloc(block, uint64(size), 0), h.named})
	h.named++
	h.record(did, fmt.Sprintf("at %v", mem.Size(block.Addr)))
	return allocator.None
}

// Free gives buffers back.
func (h *Heap) Free(names ...string) {
	did := "free"
	for _, name := range names {
		i := slices.IndexFunc(h.live, func(b buffer) bool { return b.name == name })
		if i < 0 {
			fail(fmt.Sprintf("the heap has no buffer %q", name))
		}
		if err := h.strategy.Free(h.live[i].block); err != nil {
			fail(err.Error())
		}
		if err := h.ledger.Free(h.live[i].handle); err != nil {
			fail(err.Error())
		}
		h.live = slices.Delete(h.live, i, i+1)
		did += " " + name
	}
	h.record(did, "")
}

func (h *Heap) record(did, outcome string) {
	h.steps = append(h.steps, step{did, outcome, slices.Clone(h.live)})
}

// Usage tells what is free, the longest run of it, and how much of what is in use
// nobody asked for.
func (h *Heap) Usage() (free, largest, waste mem.Size) {
	usage := h.ledger.Usage()
	return mem.Size(h.ledger.Capacity() - usage.Reserved), mem.Size(h.ledger.Largest()), mem.Size(usage.Reserved - usage.Requested)
}

// Show draws memory after each step. What is dark at the end of a buffer was
// reserved and not asked for.
func (h *Heap) Show() { show(h.writePNG) }

const (
	stripHeight = vg.Length(17)
	didWidth    = vg.Length(118)
	endWidth    = vg.Length(84)
)

func (h *Heap) writePNG(w io.Writer) error {
	return writePNG(w, stripHeight*vg.Length(len(h.steps)+1)+8, func(c draw.Canvas) {
		small := textStyle(7)
		for i, s := range h.steps {
			top := c.Max.Y - stripHeight*vg.Length(i)
			r := vg.Rectangle{
				Min: vg.Point{X: c.Min.X + didWidth, Y: top - stripHeight + 3},
				Max: vg.Point{X: c.Max.X - endWidth, Y: top},
			}
			middle := (r.Min.Y + r.Max.Y) / 2
			c.FillText(small, vg.Point{X: c.Min.X, Y: middle}, s.did)
			c.FillText(small, vg.Point{X: r.Max.X + 6, Y: middle}, s.outcome)
			h.drawStrip(c, r, s.live)
		}
		bottom := c.Max.Y - stripHeight*vg.Length(len(h.steps)) - 2
		end := textStyle(7)
		end.XAlign, end.YAlign = draw.XCenter, draw.YTop
		for _, at := range []vg.Length{0, 0.25, 0.5, 0.75, 1} {
			x := c.Min.X + didWidth + at*(c.Size().X-didWidth-endWidth)
			c.FillText(end, vg.Point{X: x, Y: bottom}, mem.Size(float64(at)*float64(h.ledger.Capacity())).String())
		}
	})
}

func (h *Heap) drawStrip(c draw.Canvas, r vg.Rectangle, live []buffer) {
	fill(c, r, lightGray)
	x := func(at uint64) vg.Length {
		return r.Min.X + r.Size().X*vg.Length(float64(at)/float64(h.ledger.Capacity()))
	}
	for _, b := range live {
		hue := series[b.hue%len(series)]
		box := vg.Rectangle{Min: vg.Point{X: x(b.block.Addr), Y: r.Min.Y}, Max: vg.Point{X: x(b.block.Addr + b.asked), Y: r.Max.Y}}
		fill(c, box, pale(hue))
		label(c, box, b.name)
		waste := vg.Rectangle{Min: vg.Point{X: box.Max.X, Y: r.Min.Y}, Max: vg.Point{X: x(b.block.Addr + b.block.Size), Y: r.Max.Y}}
		fill(c, waste, hue)
		whole := vg.Rectangle{Min: box.Min, Max: waste.Max}
		c.StrokeLines(draw.LineStyle{Color: white, Width: 0.8}, outline(whole))
	}
	c.StrokeLines(draw.LineStyle{Color: midGray, Width: 0.5}, outline(r))
}

// label writes text into a box that is wide enough for it.
func label(c draw.Canvas, r vg.Rectangle, text string) {
	style := textStyle(6.5)
	style.XAlign = draw.XCenter
	if style.Width(text) < r.Size().X-2 {
		c.FillText(style, vg.Point{X: (r.Min.X + r.Max.X) / 2, Y: (r.Min.Y + r.Max.Y) / 2}, text)
	}
}
