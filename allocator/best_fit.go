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
		New:     func(cfg Config) (Strategy, error) { return newBestFit(cfg, false), nil },
	})
	Register(Spec{
		Name:    "worst-fit",
		Summary: "the largest hole with a legal place, the lowest of equals; logarithmic in the number of holes",
		Honours: HonoursAll,
		New:     func(cfg Config) (Strategy, error) { return newBestFit(cfg, true), nil },
	})
}

// bestFit places a request in the smallest hole that has a legal start for it,
// the lowest if several are equally small, and there at the lowest legal start.
// With Dir High these are the highest hole and the highest start. As worst-fit
// it takes the largest hole that has a legal start instead.
//
// The size of a hole is that of the whole hole, also where only a part of it
// is in the request's window, as in drm_mm_insert_node_in_range of Linux
// (drivers/gpu/drm/drm_mm.c, mode DRM_MM_INSERT_BEST).
type bestFit struct {
	addressOrdered
	sizes *holes.Sizes
	worst bool
}

func newBestFit(cfg Config, worst bool) *bestFit {
	order := holes.SmallestFirst
	if worst {
		order = holes.LargestFirst
	}
	a := newAddressOrdered(cfg)
	f := &bestFit{a, holes.NewSizes(order, a.granule, a.holes.Largest()), worst}
	for hole := range f.holes.All() {
		f.sizes.Insert(hole)
	}
	return f
}

func (f *bestFit) Alloc(r Request) (Block, bool) {
	reserved, ok := f.prepare(&r)
	if !ok {
		return Block{}, false
	}
	high := r.Dir == High
	span := r.hull()
	var c holes.SizeCursor
	if f.worst {
		c.All(f.sizes, high)
	} else {
		c.From(f.sizes, reserved, high)
	}
	for hole, ok := c.Next(span.Hi); ok && hole.Size() >= reserved; hole, ok = c.Next(span.Hi) {
		if hole.Hi <= span.Lo {
			continue
		}
		start, ok := r.Place(hole.Lo, hole.Hi, high)
		if !ok {
			continue
		}
		c.Remove()
		f.take(hole, start, start+reserved)
		return f.live.add(start, reserved), true
	}
	return Block{}, false
}

// take takes [lo, hi) out of a hole that is no longer in sizes.
func (f *bestFit) take(hole mem.Range, lo, hi uint64) {
	f.holes.Take(lo, hi)
	if hole.Lo < lo {
		f.sizes.Insert(mem.Range{Lo: hole.Lo, Hi: lo})
	}
	if hi < hole.Hi {
		f.sizes.Insert(mem.Range{Lo: hi, Hi: hole.Hi})
	}
}

// Free implements Strategy.
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
