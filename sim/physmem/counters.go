package physmem

import (
	"slices"

	"dmasim/allocator/kernel/buddy"
)

// NumOrders is the number of orders of blocks.
const NumOrders = buddy.MaxOrder + 1

// Stats are counts of what happened since the memory was made.
type Stats struct {
	Reclaimed  uint64 // pages of the page cache dropped
	SwappedOut uint64 // pages
	Refaults   uint64 // pages that came back from swap or disk
	Migrated   uint64 // pages moved, by compaction and for contiguous allocations
	KswapdRuns uint64
	Compaction uint64 // runs over a zone
	Kills      uint64
	Failures   [NumOrders]uint64 // requests that got nothing, by order
}

// Counters are the figures of the whole memory, in pages.
type Counters struct {
	Managed   uint64 // all that are in no hole
	Free      uint64 // on the zones' lists
	FreeCMA   uint64 // of those, in CMA areas
	PerCPU    uint64 // on per-CPU lists, and not in Free
	Kernel    uint64
	Anonymous uint64
	PageCache uint64
	DMABuf    uint64
	Swap      uint64
	SwapUsed  uint64
	Stats
}

// ZoneState are the figures of a zone, in pages.
type ZoneState struct {
	Name           string
	Managed        uint64
	Free, FreeCMA  uint64
	PerCPU         uint64
	Kernel         uint64
	Anonymous      uint64
	PageCache      uint64
	DMABuf         uint64
	Min, Low, High uint64
	// Reserve is what the zone keeps from a request that may use zones up to the
	// one with an index (lowmem_reserve).
	Reserve []uint64
}

// Counters returns the figures of the whole memory.
func (m *Memory) Counters() Counters {
	c := Counters{
		Managed: m.managed,
		Kernel:  m.kinds[Kernel], Anonymous: m.kinds[Anonymous], PageCache: m.kinds[PageCache], DMABuf: m.kinds[DMABuf],
		Swap: m.swapPages, SwapUsed: m.swapUsed, Stats: m.stats,
	}
	for i := range m.zones {
		free, inCMA := m.zones[i].buddy.FreePages()
		c.Free += free
		c.FreeCMA += inCMA
		c.PerCPU += m.zones[i].cached()
	}
	return c
}

func (z *zone) cached() uint64 {
	if z.cache == nil {
		return 0
	}
	return z.cache.Pages()
}

// NumZones returns the number of zones.
func (m *Memory) NumZones() int { return len(m.zones) }

// Zone returns the figures of a zone.
func (m *Memory) Zone(i int) ZoneState {
	z := &m.zones[i]
	free, inCMA := z.buddy.FreePages()
	return ZoneState{
		Name: z.name, Managed: z.managed, Free: free, FreeCMA: inCMA, PerCPU: z.cached(),
		Kernel: z.kinds[Kernel], Anonymous: z.kinds[Anonymous], PageCache: z.kinds[PageCache], DMABuf: z.kinds[DMABuf],
		Min: z.mark[minimum], Low: z.mark[low], High: z.mark[high], Reserve: slices.Clone(z.reserve),
	}
}

// FreeBlocks returns how many blocks of each order and migrate type are free in
// a zone, as in /proc/pagetypeinfo.
func (m *Memory) FreeBlocks(zone int, t buddy.Type) (blocks [NumOrders]uint64) {
	for order := range blocks {
		blocks[order] = m.zones[zone].buddy.FreeBlocks(t, uint(order))
	}
	return blocks
}
