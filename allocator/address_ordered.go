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
	if !ok || reserved == 0 || reserved > a.holes.Largest() || r.windows() == 0 {
		return 0, false
	}
	return reserved, r.AlignTo(a.granule)
}

// allocLow places a prepared request at its lowest legal start in the holes
// that end above from. Its cost is logarithmic in the number of holes, once for
// each hole that is long enough and has no legal start.
func (a *addressOrdered) allocLow(r *Request, reserved, from uint64) (Block, bool) {
	for i := range r.windows() {
		window := r.window(i)
		var c holes.Cursor
		c.From(a.holes, max(window.Lo, from))
		for hole, ok := c.Next(reserved); ok && hole.Lo < window.Hi; hole, ok = c.Next(reserved) {
			if start, ok := r.Place(hole.Lo, hole.Hi, false); ok {
				c.Take(start, start+reserved)
				return a.live.add(start, reserved), true
			}
		}
	}
	return Block{}, false
}

// allocHigh places a prepared request at its highest legal start in the holes
// that start below to.
func (a *addressOrdered) allocHigh(r *Request, reserved, to uint64) (Block, bool) {
	for i := r.windows() - 1; i >= 0; i-- {
		window := r.window(i)
		var c holes.Cursor
		c.To(a.holes, min(window.Hi, to))
		for hole, ok := c.Prev(reserved); ok && hole.Hi > window.Lo; hole, ok = c.Prev(reserved) {
			if start, ok := r.Place(hole.Lo, hole.Hi, true); ok {
				c.Take(start, start+reserved)
				return a.live.add(start, reserved), true
			}
		}
	}
	return Block{}, false
}

// windows returns the number of windows in which the request may start: one, or
// as many as its rule has.
func (r *Request) windows() int {
	if r.Rule == nil {
		return 1
	}
	return len(r.Rule.Windows)
}

// window returns the window of that index, by rising address, as a range that
// holds all legal starts in it. It may be empty.
func (r *Request) window(i int) mem.Range {
	window := mem.Range{Lo: r.Lo, Hi: r.Hi}
	if r.Hi == 0 {
		window.Hi = math.MaxUint64
	}
	if r.Rule != nil {
		return window.Intersect(r.Rule.Windows[i].Reach)
	}
	return window
}
