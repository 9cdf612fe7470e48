package kernel

import (
	"dmasim/allocator"
	"dmasim/allocator/kernel/genalloc"
)

func init() {
	for _, spec := range []struct {
		name, summary string
		honours       allocator.Honours
		search        search
	}{
		{"genalloc-first-fit", "Linux gen_pool_first_fit", 0,
			func(p *genalloc.Pool, n, _ uint64) (uint64, bool) { return p.FirstFit(n) }},
		{"genalloc-best-fit", "Linux gen_pool_best_fit", 0,
			func(p *genalloc.Pool, n, _ uint64) (uint64, bool) { return p.BestFit(n) }},
		{"genalloc-first-fit-align", "Linux gen_pool_first_fit_align", allocator.HonoursAlign,
			(*genalloc.Pool).FirstFitAlign},
		{"genalloc-first-fit-order-align", "Linux gen_pool_first_fit_order_align: aligned to the size within the range", 0,
			func(p *genalloc.Pool, n, _ uint64) (uint64, bool) { return p.FirstFitOrderAlign(n) }},
	} {
		allocator.Register(allocator.Spec{
			Name:    spec.name,
			Summary: spec.summary + "; logarithmic in the number of holes",
			Honours: spec.honours,
			New: func(cfg allocator.Config) (allocator.Strategy, error) {
				return newGenalloc(cfg, spec.search, spec.honours)
			},
		})
	}
}

// search is one of the algorithms of a pool.
type search func(pool *genalloc.Pool, n, align uint64) (uint64, bool)

// genallocPool is a pool whose bytes stand for granules.
type genallocPool struct {
	*genalloc.Pool
	search search
}

func newGenalloc(cfg allocator.Config, search search, honours allocator.Honours) (allocator.Strategy, error) {
	pool, err := genalloc.New(0)
	if err != nil {
		return nil, err
	}
	granule := max(cfg.Granule, 1)
	for _, r := range cfg.Usable() {
		if err := pool.Add(r.Lo/granule, r.Size()/granule); err != nil {
			return nil, err
		}
	}
	return newStrategy(cfg, genallocPool{pool, search}, honours), nil
}

func (p genallocPool) alloc(n, align uint64) (first, taken uint64, ok bool) {
	first, ok = p.search(p.Pool, n, align)
	return first, n, ok
}

func (p genallocPool) free(first, taken uint64) error { return p.Free(first, taken) }
