package allocator

import (
	"math"

	"dmasim/allocator/holes"
	"dmasim/mem"
)

// addressOrdered is what the strategies on a hole index share: what is free,
// what is live, and the search for the lowest or the highest place.
type addressOrdered struct {
	holes   *holes.Index
	live    liveBlocks
	granule uint64
}

func newAddressOrdered(cfg Config) addressOrdered {
	return addressOrdered{holes: holes.New(cfg.Usable()), granule: max(cfg.Granule, 1)}
}

// Free gives back a block; it is one hole with its free neighbours at once.
func (a *addressOrdered) Free(b Block) error {
	if err := a.live.remove(b); err != nil {
		return &FreeError{b, err}
	}
	a.holes.Give(b.Addr, b.Addr+b.Size)
	return nil
}

// prepare puts the request on the granule and returns the bytes that its block
// takes, or false if it can be nowhere. Starts and holes being on the granule,
// a place in a hole for Size bytes is one for the whole block.
func (a *addressOrdered) prepare(r *Request) (reserved uint64, ok bool) {
	reserved, ok = alignUp(r.Size, a.granule)
	if !ok || reserved == 0 || reserved > a.holes.Largest() {
		return 0, false
	}
	switch {
	case r.Align == 0:
		r.Align = a.granule
	case r.Align%a.granule != 0:
		return reserved, r.onGranule(a.granule)
	}
	return reserved, true
}

// allocLow places a prepared request at its lowest legal start.
func (a *addressOrdered) allocLow(r *Request, reserved uint64) (Block, bool) {
	for i := range r.spans() {
		span := r.span(i)
		var c holes.Cursor
		c.From(a.holes, span.Lo)
		for hole, ok := c.Next(reserved); ok && hole.Lo < span.Hi; hole, ok = c.Next(reserved) {
			if start, ok := r.Place(hole.Lo, hole.Hi, false); ok {
				c.Take(start, start+reserved)
				return a.live.add(start, reserved), true
			}
		}
	}
	return Block{}, false
}

// allocHigh places a prepared request at its highest legal start.
func (a *addressOrdered) allocHigh(r *Request, reserved uint64) (Block, bool) {
	for i := r.spans() - 1; i >= 0; i-- {
		span := r.span(i)
		var c holes.Cursor
		c.To(a.holes, span.Hi)
		for hole, ok := c.Prev(reserved); ok && hole.Hi > span.Lo; hole, ok = c.Prev(reserved) {
			if start, ok := r.Place(hole.Lo, hole.Hi, true); ok {
				c.Take(start, start+reserved)
				return a.live.add(start, reserved), true
			}
		}
	}
	return Block{}, false
}

// spans returns the number of spans, outside of which the request has no start:
// one, or one for each window of a rule.
func (r *Request) spans() int {
	if r.Rule == nil {
		return 1
	}
	return len(r.Rule.Windows)
}

// span returns the span of that index; it may be empty.
func (r *Request) span(i int) mem.Range {
	span := mem.Range{Lo: r.Lo, Hi: r.Hi}
	if r.Hi == 0 {
		span.Hi = math.MaxUint64
	}
	if r.Rule != nil {
		return span.Intersect(r.Rule.Windows[i].Reach)
	}
	return span
}

// hull returns a range outside of which the request has no start.
func (r *Request) hull() mem.Range {
	n := r.spans()
	if n == 0 {
		return mem.Range{}
	}
	return mem.Range{Lo: r.span(0).Lo, Hi: r.span(n - 1).Hi}
}
