// Package dmamap makes the bus addresses by which devices reach memory that they
// cannot address as it lies: Linux's DMA API, as dma-buf heaps call it when a buffer
// is mapped (dma_map_sgtable). Nothing moves here; only addresses are handed out,
// and whose they are is known.
//
// A [Bounce] is a pool of bounce buffers (kernel/dma/swiotlb.c): each piece of a
// buffer that a device cannot reach gets slots there, and the device uses a copy.
// It may be the default pool, or one that is reserved for devices which may use
// nothing else (restricted-dma-pool). No piece may be longer than 256 KiB.
//
// A [Domain] is the address space of an IOMMU group (drivers/iommu/dma-iommu.c). A
// buffer gets one range of I/O virtual addresses, each of its pieces widened to whole
// IOMMU pages ([Layout]). In strict mode an unmap flushes the IOTLB, and the
// range is free at once. In lazy mode the range waits in a flush queue of 255
// entries, until that is full or 10 ms after the first entry. A domain that is full
// does not flush the queue: a map can fail although everything was unmapped.
//
// The addresses come from the exact models in [dmasim/allocator/kernel/iova] and
// [dmasim/allocator/kernel/swiotlb].
//
// # Releases
//
// Up to Linux 6.6 a depot of cached ranges holds 32 magazines; later ones are
// trimmed every 100 ms. Up to 6.3 a device that may use 64 bits is offered addresses
// below 4 GiB first at every map; later only until that fails once. That 6.1 and 6.12
// differ so was read in both; which releases between are the first was not.
//
// # Limits
//
// One CPU, so one flush queue and one cursor of the pool. The time of the flush
// timer is not rounded to ticks. Pools do not grow, and Linux 6.1 searched them
// otherwise than 6.12, which is modelled. There are no identity domains and no
// mappings by hand (iommu_map). IOMMU pages of several sizes are not told apart:
// the smallest is the unit.
package dmamap
