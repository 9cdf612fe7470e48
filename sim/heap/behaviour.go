package heap

import (
	"dmasim/allocator/kernel/buddy"
	"dmasim/allocator/kernel/version"
	"dmasim/sim/physmem"
)

// behaviour is what the page heaps of a kernel release do. What the releases
// from 5.6, the first with heaps, to 6.12 do is told at the fields.
type behaviour struct {
	// orders are those that the system heap takes, the largest first. The first
	// system heap filled a buffer page by page (5.6 to 5.10). Since 5.11 it takes
	// orders 8, 4 and 0, which suit the page tables of IOMMUs ("dma-buf:
	// system_heap: Allocate higher order pages if available", d963ab0f15fb).
	orders []orderRule
	// lowMemory: the pages are such as the kernel maps (GFP_KERNEL, up to 5.10).
	// Since d963ab0f15fb they may be high memory (GFP_HIGHUSER).
	lowMemory bool
	// pointers: an array with a pointer for each page is allocated by kmalloc,
	// which bounds a buffer; see maxPages. The first system heap (5.6 to 5.10) did
	// so before it took a page, and failed at once. "dma-buf: system_heap: Rework
	// system heap to use sgtables instead of pagelists" (5.11) made an end of
	// that: nothing bounds a request since, and one that is larger than memory goes
	// on until memory is out. The CMA heap has the array in all releases (helpers
	// up to 5.10, "Move heap-helper logic into the cma_heap implementation" since),
	// and allocates it after it took the memory.
	pointers bool
	// backwards: a buffer that cannot be completed gives its pages back from the
	// last to the first (5.6 to 5.10).
	backwards bool
}

// orderRule is what is done to get a block of an order.
type orderRule struct {
	order  uint
	effort physmem.Effort
}

// maxPages is how many pages an array of pointers describes that kmalloc still
// gives: it is a block of the largest order, of 8 bytes for each page. With pages
// of 4 KiB that makes buffers of 2 GiB.
func maxPages(page uint64) uint64 { return page << buddy.MaxOrder / 8 }

// systemHeap returns the behaviour of the system heap of a release.
func systemHeap(v version.Version) behaviour {
	if v.Before(5, 11) {
		return behaviour{
			orders:    []orderRule{{0, physmem.EffortFull}},
			lowMemory: true, pointers: true, backwards: true,
		}
	}
	return behaviour{orders: largeOrders(v)}
}

// pooledHeap returns the behaviour of Android's system heap. Its first kernel,
// android12-5.10, has the orders of 5.11 already.
func pooledHeap(v version.Version) behaviour { return behaviour{orders: largeOrders(v)} }

// largeOrders are the orders since 5.11. Order 8 never made an effort. Order 4
// reclaimed and compacted, for one round since it is above order 3, up to 6.3
// (since "dma-buf: system_heap: Avoid warning on mid-order allocations", 2021,
// without a line in the log when that was in vain). Since "dma-buf: system_heap:
// avoid reclaim for order 4" (Jaewon Kim, March 2023; in the memory management
// updates for 6.4) it makes none either, because reclaiming took up to 100 ms.
func largeOrders(v version.Version) []orderRule {
	middle := physmem.EffortNone
	if v.Before(6, 4) {
		middle = physmem.EffortFull
	}
	return []orderRule{{8, physmem.EffortNone}, {4, middle}, {0, physmem.EffortFull}}
}
