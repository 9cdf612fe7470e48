package metrics

import (
	"dmasim/mem"
	"dmasim/sim"
	"dmasim/sim/heap"
)

// newHeapMeter makes the meter of heap number i of cfg and registers the
// windows whose pollution the ledger counts.
func newHeapMeter(cfg sim.Config, i int, h *heap.Heap) *heapMeter {
	m := &heapMeter{
		heap:         h,
		unusableSize: cfg.Heaps[i].UnusableSize,
		pixels:       newPixels(h.Arena, h.Granule, len(cfg.Clients)),
		demand:       make([]int, len(cfg.Clients)),
	}
	if m.unusableSize == 0 {
		m.unusableSize = max(h.Ledger.Capacity()/unusableShare/h.Granule, 1) * h.Granule
	}
	used := make([]bool, len(cfg.Devices))
	for number, client := range cfg.Clients {
		m.demand[number] = -1
		if client.Heap != i {
			continue
		}
		for _, d := range client.Devices {
			used[d] = true
		}
		if len(client.Devices) > 0 {
			m.demand[number] = watch(cfg, i, h, client.Plan.Reach)
		}
	}
	for d, is := range used {
		if is {
			window := cfg.Devices[d].Reach().Intersect(h.Arena)
			m.reaches = append(m.reaches, reach{device: d, window: window, watch: watch(cfg, i, h, window)})
		}
	}
	return m
}

// watch has the ledger count the pollution of a window: the bytes in it that
// are held by clients who could have been served elsewhere in the heap.
func watch(cfg sim.Config, number int, h *heap.Heap, window mem.RangeSet) int {
	window = window.Intersect(h.Arena)
	return h.Ledger.Watch(window, func(owner int) bool { return cfg.Needs(owner, number, window) })
}
