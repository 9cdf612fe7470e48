package kernel

import (
	"math/bits"

	"dmasim/allocator"
	"dmasim/allocator/kernel/cma"
)

// maxAlignOrder is the name of the parameter that stands for
// CONFIG_CMA_ALIGNMENT.
const maxAlignOrder = "max-align-order"

func init() {
	allocator.Register(allocator.Spec{
		Name:    "cma",
		Summary: "Linux CMA as its heap uses it: first fit, aligned to its own size; logarithmic in the number of holes",
		Honours: allocator.HonoursAlign,
		Params: []allocator.Param{{
			Name:    maxAlignOrder,
			Summary: "blocks are aligned to their size rounded up to a power of two, at most 2^N granules",
			Default: 8, Min: 0, Max: 63,
		}},
		New: newCMA,
	})
}

// cmaAreas are areas of Linux's CMA, tried in turn.
type cmaAreas struct {
	areas    []*cma.Area
	maxOrder uint
}

func newCMA(cfg allocator.Config) (allocator.Strategy, error) {
	c := &cmaAreas{maxOrder: uint(cfg.Params[maxAlignOrder])}
	granule := max(cfg.Granule, 1)
	for _, r := range cfg.Usable() {
		area, err := cma.New(r.Lo/granule, r.Size()/granule, 0)
		if err != nil {
			return nil, err
		}
		c.areas = append(c.areas, area)
	}
	return newStrategy(cfg, c, allocator.HonoursAlign), nil
}

func (c *cmaAreas) alloc(n, align uint64) (first, taken uint64, ok bool) {
	order := max(uint(bits.TrailingZeros64(align)), cma.AlignOrder(n, c.maxOrder))
	for _, area := range c.areas {
		if first, err := area.Alloc(n, order, nil); err == nil {
			return first, n, true
		}
	}
	return 0, 0, false
}

func (c *cmaAreas) free(first, taken uint64) error {
	for _, area := range c.areas {
		if pages := area.Pages(); pages.Lo <= first && first < pages.Hi {
			return area.Release(first, taken)
		}
	}
	return cma.ErrNotAllocated
}
