package kernel

import (
	"math/bits"

	"dmasim/allocator"
	"dmasim/allocator/kernel/buddy"
)

func init() {
	allocator.Register(allocator.Spec{
		Name:    "page-buddy",
		Summary: "Linux page allocator, movable pages only: powers of two up to 1024 pages, the block freed last first; constant time",
		New:     newPageBuddy,
	})
}

// pageZones are zones of the page allocator without per-CPU lists, tried in
// turn.
type pageZones []pageZone

type pageZone struct {
	end uint64 // page frame number
	*buddy.Zone
}

func newPageBuddy(cfg allocator.Config) (allocator.Strategy, error) {
	var z pageZones
	granule := max(cfg.Granule, 1)
	for _, r := range cfg.Usable() {
		zone, err := buddy.New(buddy.Config{Base: r.Lo / granule, Pages: r.Size() / granule, PageblockOrder: 9})
		if err != nil {
			return nil, err
		}
		z = append(z, pageZone{r.Hi / granule, zone})
	}
	return newStrategy(cfg, z, 0), nil
}

func (z pageZones) alloc(n, _ uint64) (first, taken uint64, ok bool) {
	order := uint(bits.Len64(n - 1))
	for _, zone := range z {
		if pfn, ok := zone.Alloc(buddy.Request{Order: order, Type: buddy.Movable}); ok {
			return pfn, 1 << order, true
		}
	}
	return 0, 0, false
}

func (z pageZones) free(first, _ uint64) error {
	i := 0
	for z[i].end <= first {
		i++
	}
	return z[i].Free(first)
}
