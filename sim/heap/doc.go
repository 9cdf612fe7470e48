// Package heap is a source of dma-bufs: an arena, the strategy that places
// buffers in it, and the ledger that knows the truth about it.
//
// Two kinds exist, told apart by how much the strategy is told. The kernel's
// dma-buf heaps take a size and flags, no alignment, window or device
// (drivers/dma-buf/dma-heap.c, dma_heap_ioctl_allocate, Linux 6.12): such a heap
// places a buffer anywhere, and only when a device maps it is it found out of
// reach. A heap that is aware of devices passes what they demand on to the
// strategy; the kernel has none, so results label it as a proposal.
//
// Every buffer is one contiguous block.
package heap
