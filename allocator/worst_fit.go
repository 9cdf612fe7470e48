package allocator

import (
	"math"

	"dmasim/allocator/holes"
	"dmasim/mem"
)

func init() {
	Register(Spec{
		Name:    "worst-fit",
		Summary: "the largest hole with a legal place, the lowest of equals; logarithmic in the number of holes",
		Honours: HonoursAll,
		New:     func(cfg Config) (Strategy, error) { return &worstFit{newAddressOrdered(cfg)}, nil },
	})
}

// worstFit places a request in the largest hole that has a legal start for it,
// the lowest if several are equally large, and there at the lowest legal start.
// With Dir High these are the highest hole and the highest start. The size of a
// hole is that of the whole hole, as for bestFit.
//
// If the largest hole of all has no legal start, the holes in the request's
// windows are searched by address for ever larger ones.
type worstFit struct{ addressOrdered }

func (w *worstFit) Alloc(r Request) (Block, bool) {
	reserved, ok := w.prepare(&r)
	if !ok {
		return Block{}, false
	}
	largest := w.holes.Largest()
	high := r.Dir == High
	var c holes.Cursor
	var hole mem.Range
	if high {
		c.To(w.holes, math.MaxUint64)
		hole, _ = c.Prev(largest)
	} else {
		c.From(w.holes, 0)
		hole, _ = c.Next(largest)
	}
	start, ok := r.Place(hole.Lo, hole.Hi, high)
	if ok {
		c.Take(start, start+reserved)
		return w.live.add(start, reserved), true
	}
	if high {
		start, ok = w.searchDown(&r, reserved)
	} else {
		start, ok = w.searchUp(&r, reserved)
	}
	if !ok {
		return Block{}, false
	}
	w.holes.Take(start, start+reserved)
	return w.live.add(start, reserved), true
}

// searchUp returns the place of a request by rising address, searchDown by
// falling address. Of equally large holes the one seen first counts.
func (w *worstFit) searchUp(r *Request, reserved uint64) (start uint64, ok bool) {
	for i := range r.windows() {
		window := r.window(i)
		var c holes.Cursor
		c.From(w.holes, window.Lo)
		for hole, more := c.Next(reserved); more && hole.Lo < window.Hi; hole, more = c.Next(reserved) {
			if s, legal := r.Place(hole.Lo, hole.Hi, false); legal {
				start, ok, reserved = s, true, hole.Size()+1
			}
		}
	}
	return start, ok
}

func (w *worstFit) searchDown(r *Request, reserved uint64) (start uint64, ok bool) {
	for i := r.windows() - 1; i >= 0; i-- {
		window := r.window(i)
		var c holes.Cursor
		c.To(w.holes, window.Hi)
		for hole, more := c.Prev(reserved); more && hole.Hi > window.Lo; hole, more = c.Prev(reserved) {
			if s, legal := r.Place(hole.Lo, hole.Hi, true); legal {
				start, ok, reserved = s, true, hole.Size()+1
			}
		}
	}
	return start, ok
}
