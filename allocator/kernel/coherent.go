package kernel

import (
	"math/bits"

	"dmasim/allocator"
	"dmasim/allocator/kernel/coherent"
)

func init() {
	allocator.Register(allocator.Spec{
		Name:    "coherent",
		Summary: "Linux per-device DMA pool: powers of two, first fit, aligned within the pool; logarithmic in the number of holes",
		New:     newCoherent,
	})
}

// coherentPools are per-device pools of Linux, tried in turn.
type coherentPools []coherentPool

type coherentPool struct {
	base uint64 // in granules
	*coherent.Pool
}

func newCoherent(cfg allocator.Config) (allocator.Strategy, error) {
	var c coherentPools
	granule := max(cfg.Granule, 1)
	for _, r := range cfg.Usable() {
		c = append(c, coherentPool{r.Lo / granule, coherent.New(r.Size() / granule)})
	}
	return newStrategy(cfg, c, 0), nil
}

func (c coherentPools) alloc(n, _ uint64) (first, taken uint64, ok bool) {
	order := uint(bits.Len64(n - 1))
	for _, pool := range c {
		if page, ok := pool.Alloc(order); ok {
			return pool.base + page, 1 << order, true
		}
	}
	return 0, 0, false
}

func (c coherentPools) free(first, taken uint64) error {
	i := len(c) - 1
	for i > 0 && c[i].base > first {
		i--
	}
	return c[i].Release(first-c[i].base, uint(bits.TrailingZeros64(taken)))
}
