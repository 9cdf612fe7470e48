package heap

import (
	"dmasim/allocator/kernel/version"
	"dmasim/sim/physmem"
)

// behaviour is what the page heaps of a kernel release do. What the releases
// between 5.6 and 6.12 do is told at the fields.
type behaviour struct {
	// orders are those that the system heap takes, the largest first. The first
	// system heap filled a buffer page by page (system_heap_allocate with
	// heap-helpers.c, 5.6 to 5.10). Since 5.11 it takes orders 8, 4 and 0, which
	// suit the page tables of IOMMUs ("dma-buf: system_heap: Allocate higher order
	// pages if available", John Stultz).
	orders []orderRule
	// lowMemory: the pages are such as the kernel maps (GFP_KERNEL). Since 5.11
	// they may be high memory (GFP_HIGHUSER).
	lowMemory bool
	// maxPages bounds a buffer; 0: nothing does. Up to 5.10 an array with a pointer
	// for each page is allocated by kmalloc before anything else, which gives at
	// most 4 MiB (KMALLOC_MAX_SIZE): ENOMEM at once. The CMA heap has it in all
	// releases, after it took the memory.
	maxPages uint64
}

// orderRule is what is done to get a block of an order.
type orderRule struct {
	order  uint
	effort physmem.Effort
}

// pointersPerArray is how many pages an array of pointers describes that
// kmalloc still gives: 4 MiB of 8 bytes.
const pointersPerArray = 4 << 20 / 8

// systemHeap returns the behaviour of the system heap of a release.
func systemHeap(v version.Version) behaviour {
	switch {
	case v.Before(5, 11):
		return behaviour{
			orders:    []orderRule{{0, physmem.EffortFull}},
			lowMemory: true, maxPages: pointersPerArray,
		}
	case v.Before(6, 3):
		// Order 4 reclaims and compacts, for a round since it is above order 3
		// (LOW_ORDER_GFP, since 6.0 without the warning).
		return behaviour{orders: []orderRule{{8, physmem.EffortNone}, {4, physmem.EffortFull}, {0, physmem.EffortFull}}}
	}
	// "dma-buf: system_heap: avoid reclaim for order 4", January 2023.
	return behaviour{orders: []orderRule{{8, physmem.EffortNone}, {4, physmem.EffortNone}, {0, physmem.EffortFull}}}
}
