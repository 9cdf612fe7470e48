package allocator

import (
	"dmasim/allocator/holes"
	"dmasim/mem"
)

func init() {
	Register(Spec{
		Name:    "best-fit",
		Summary: "the smallest hole with a legal place, the lowest of equals; logarithmic in the number of holes",
		Honours: HonoursAll,
		New:     func(cfg Config) (Strategy, error) { return newBestFit(cfg), nil },
	})
}

// bestFit places a request in the smallest hole that has a legal start for it,
// the lowest if several are equally small, and there at the lowest legal start.
// With Dir High these are the highest hole and the highest start.
//
// The size of a hole is that of the whole hole, also where only a part of it
// is in the request's window, as in drm_mm_insert_node_in_range of Linux
// (drivers/gpu/drm/drm_mm.c, mode DRM_MM_INSERT_BEST).
//
// Holes are looked at in order of size, which without constraints ends at the
// first. Holes that are long enough but have no legal start cost one step each;
// those above the request's windows are skipped in logarithmic time. Windows
// that few holes are in are searched by address.
type bestFit struct {
	addressOrdered
	sizes *holes.Sizes
}

func newBestFit(cfg Config) *bestFit {
	a := newAddressOrdered(cfg)
	f := &bestFit{a, holes.NewSizes(a.granule, a.holes.Largest())}
	for hole := range f.holes.All() {
		f.sizes.Insert(hole)
	}
	return f
}

// patience is the number of holes outside the request's windows that Alloc
// meets in order of size before it looks at those inside in order of address.
const patience = 32

func (f *bestFit) Alloc(r Request) (Block, bool) {
	reserved, ok := f.prepare(&r)
	if !ok {
		return Block{}, false
	}
	high := r.Dir == High
	end := r.window(r.windows() - 1).Hi
	var c holes.SizeCursor
	c.From(f.sizes, reserved, high)
	for outside := 0; outside < patience; {
		hole, ok := c.Next(end)
		if !ok {
			return Block{}, false
		}
		if start, ok := r.Place(hole.Lo, hole.Hi, high); ok {
			c.Remove()
			return f.take(hole, start, reserved), true
		}
		if !r.mayStartIn(hole) {
			outside++
		}
	}
	return f.allocInWindows(&r, reserved, high)
}

// allocInWindows is Alloc by visiting every hole in the request's windows that
// is long enough.
func (f *bestFit) allocInWindows(r *Request, reserved uint64, high bool) (Block, bool) {
	var best mem.Range
	var bestStart uint64
	for i := range r.windows() {
		window := r.window(i)
		var c holes.Cursor
		c.From(f.holes, window.Lo)
		for hole, ok := c.Next(reserved); ok && hole.Lo < window.Hi; hole, ok = c.Next(reserved) {
			size, least := hole.Size(), best.Size()
			if least != 0 && (size > least || size == least && !high) {
				continue
			}
			if start, ok := r.Place(hole.Lo, hole.Hi, high); ok {
				best, bestStart = hole, start
			}
		}
	}
	if best.Empty() {
		return Block{}, false
	}
	f.sizes.Remove(best)
	return f.take(best, bestStart, reserved), true
}

// take places a block of reserved bytes in a hole that is no longer in sizes.
func (f *bestFit) take(hole mem.Range, start, reserved uint64) Block {
	end := start + reserved
	f.holes.Take(start, end)
	if hole.Lo < start {
		f.sizes.Insert(mem.Range{Lo: hole.Lo, Hi: start})
	}
	if end < hole.Hi {
		f.sizes.Insert(mem.Range{Lo: end, Hi: hole.Hi})
	}
	return f.live.add(start, reserved)
}

// Free gives back a block; it is one hole with its free neighbours at once.
func (f *bestFit) Free(b Block) error {
	if err := f.live.remove(b); err != nil {
		return &FreeError{b, err}
	}
	lo, hi := b.Addr, b.Addr+b.Size
	hole, _ := f.holes.Merge(lo, hi)
	if hole.Lo < lo {
		f.sizes.Remove(mem.Range{Lo: hole.Lo, Hi: lo})
	}
	if hi < hole.Hi {
		f.sizes.Remove(mem.Range{Lo: hi, Hi: hole.Hi})
	}
	f.sizes.Insert(hole)
	return nil
}
