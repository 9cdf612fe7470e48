// Package probe finds out what a Linux machine offers for DMA: heaps and who may
// open them, memory, zones and CMA areas, dma-bufs that live, bounce buffers,
// IOMMU groups, limits.
//
// [Read] takes the root of a file system, so that a copy of a machine's files is
// as good as the machine. It opens files for reading and does nothing else: it
// allocates no dma-buf and writes nothing. What could not be read is a
// [dmaheap.Gap], with the reason and what would help; nothing is left out silently.
//
// # Limits
//
// Files are read one after the other, on a machine that goes on. Heaps outside of
// /dev/dma_heap (ION, drivers' own) are not found. Whether a heap may be opened is
// found by opening it, which asks for no memory.
package probe
