// Package iova models how Linux 6.12 hands out I/O virtual addresses
// (drivers/iommu/iova.c: alloc_iova, alloc_iova_fast, free_iova_fast,
// reserve_iova). The unit is the page frame number (pfn) of the domain's
// granule.
//
// A [Domain] keeps the live ranges sorted below a sentinel at the very top and
// searches from the top down, but not from the top every time: it remembers one
// range for requests below 4 GiB and one for the rest, and starts there. Each
// gap offers one candidate, the highest aligned place in it. Where the search
// comes to the bottom, a second one looks between the limit and the remembered
// range. So an address far below the limit may be given out while higher ones
// are free, and a request with a low limit drags later ones down with it.
//
// A failure records its size as a ceiling: requests below 4 GiB of that size or
// more fail without a search until something below 4 GiB is freed.
//
// # The caches
//
// [Domain.AllocFast] and [Domain.FreeFast] put magazines of freed ranges in
// front, as the dma-iommu layer uses them: six size classes of powers of two up
// to 32 pfns, each with two magazines of 127 entries and a depot of full ones.
// Cached ranges stay live in the domain.
//
// # Limits
//
// One CPU, so one pair of magazines per class. The depots are trimmed only when
// [Domain.TrimDepots] is called, which stands for the delayed work that the
// kernel runs every 100 ms; in Linux 6.1 a depot holds at most 32 magazines
// instead, see [Domain.BoundDepots]. Deferred flushing belongs to the caller: an address that waits in a
// flush queue is one that has not been freed yet.
package iova
