// Package dmapool models the pools of small coherent DMA blocks of Linux
// (mm/dmapool.c, dma_pool_create, dma_pool_alloc, dma_pool_free): descriptors,
// rings and the like, cut out of pages that are never given back before the
// pool is destroyed.
//
// The two versions differ. [Linux6_1] looks for a page with a free block, the
// newest page first, and takes the block that was freed last in it; it also
// loses each block that would end exactly at a boundary, of which the end of the
// page is one, so that a page holds one block of 2 KiB. [Linux6_12] keeps one
// stack of free blocks over all pages, takes the one that was freed last, and
// loses none.
//
// # Limits
//
// Poisoning and the statistics in sysfs are not modelled. Blocks are at least 4
// bytes long in 6.1, and 16 in 6.12 as on 64-bit machines. Finding a page in 6.1
// takes time in proportion to the pages, as in the kernel.
package dmapool
