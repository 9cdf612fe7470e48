// Package coherent models the per-device pools of Linux 6.12 (kernel/dma/
// coherent.c, dma_alloc_from_dev_coherent; lib/bitmap.c,
// bitmap_find_free_region): the reserved memory that a device tree gives to one
// device as a "shared-dma-pool" that is not to be mapped.
//
// A request is rounded up to a power of two of pages and placed at the lowest
// free multiple of that, counted from the start of the pool. There is no
// fallback when the pool is full.
//
// # Limits
//
// Linux 6.1 is the same. The kernel scans a bitmap; a [Pool] searches the index
// of free runs in package holes, which gives the same places.
package coherent
