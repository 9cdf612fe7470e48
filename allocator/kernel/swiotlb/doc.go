// Package swiotlb models the bounce buffers of Linux 6.12 (kernel/dma/swiotlb.c,
// swiotlb_tbl_map_single, swiotlb_alloc and swiotlb_search_pool_area). All
// numbers are bytes or slots of 2 KiB.
//
// A [Pool] is an array of slots in segments of 128, none of which a buffer may
// leave, so that the longest mapping is 256 KiB. It is divided into areas, each
// with its own lock in the kernel and its own cursor: the search is next fit,
// from where the last buffer ended, and frees do not move the cursor back. A
// device may demand that the low bits of the original address are kept
// (min_align_mask) and that no buffer crosses a segment boundary of its own.
//
// # Limits
//
// One CPU, which starts with area 0. Pools do not grow (SWIOTLB_DYNAMIC is off,
// as by default), and nothing is copied. The search visits slots one by one, as
// in the kernel, so a request that fails costs time in proportion to the slots
// of the pool. Linux 6.1 searched with a coarser stride; it is not modelled.
package swiotlb
