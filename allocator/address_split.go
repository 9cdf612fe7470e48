package allocator

import (
	"math"

	"dmasim/mem"
)

func init() {
	Register(Spec{
		Name:    "address-split",
		Summary: "first fit from the low end for who cannot use all memory, from the high end for all others; logarithmic in the number of holes",
		Honours: HonoursAll,
		New: func(cfg Config) (Strategy, error) {
			return &addressSplit{newAddressOrdered(cfg), cfg.Usable().Hull()}, nil
		},
	})
}

// addressSplit is the rule of thumb "constrained low, free high", for devices
// whose windows begin at the bottom of memory, as DMA masks do: a request whose
// window leaves out a part of the arena gets its lowest legal start, any other
// its highest. Linux does the same with its zones (ZONE_DMA and ZONE_DMA32 are
// the last resort of allocations that do not need them; mm/page_alloc.c), and
// with directions in GPU memory (TTM_PL_FLAG_TOPDOWN). A direction other than
// Natural overrules it.
type addressSplit struct {
	addressOrdered
	hull mem.Range
}

// Alloc implements Strategy.
func (a *addressSplit) Alloc(r Request) (Block, bool) {
	low := r.Dir == Low || r.Dir == Natural && !r.covers(a.hull)
	reserved, ok := a.prepare(&r)
	switch {
	case !ok:
		return Block{}, false
	case low:
		return a.allocLow(&r, reserved, 0)
	}
	return a.allocHigh(&r, reserved, math.MaxUint64)
}

// covers reports whether the request's windows leave out nothing of a range.
func (r *Request) covers(all mem.Range) bool {
	for i := range r.windows() {
		window := r.window(i)
		if window.Lo > all.Lo {
			return false
		}
		all.Lo = max(all.Lo, window.Hi)
	}
	return all.Empty()
}
