// Package heap is a source of dma-bufs. Two kinds exist.
//
// # Arenas
//
// A [Heap] has memory of its own, a strategy that places buffers in it, and the
// ledger that knows the truth about it. Every buffer is one contiguous block. The
// heap passes on what devices demand, or it does not. The kernel's heaps take a
// size and flags, no alignment, window or device (drivers/dma-buf/dma-heap.c,
// dma_heap_ioctl_allocate, Linux 6.12): such a heap places a buffer anywhere, and
// only when a device maps it is it found out of reach. The kernel has no heap that
// is aware of devices, so results label one as a proposal.
//
// # Pages
//
// [Pages] takes the page frames of a machine ([dmasim/sim/physmem]), as the heaps
// of Linux do. Those are the system heap, whose buffers are blocks of pages that
// lie anywhere, and the CMA heap, whose buffers are one run of a CMA area each
// (drivers/dma-buf/heaps: system_heap.c, cma_heap.c). What releases from 5.6 to
// 6.12 do differently is told in behaviour.go, with the commits. Sizes are rounded
// up to pages; there is no limit on them but that of an array of pointers: of the
// CMA heap, and of the first system heap, until 5.10. A request of the system heap
// that is larger than memory goes on until memory is out: nothing is refused, and
// processes are killed for it.
//
// The frames belong to the owner for whom they were taken, but count for nobody:
// neither in a process's memory nor in its score when somebody has to be killed.
// Nor is there a cgroup that would limit them: up to 6.12 a heap's pages are
// charged to no memory cgroup (no heap sets __GFP_ACCOUNT, and mm/memcontrol.c
// knows nothing of dma-bufs), and no controller exists for them. Limits on a heap
// or on one of its users, which the simulation enforces before it asks a heap, are
// therefore proposals.
//
// # Pools
//
// A Pooled heap is modelled on the system heap of Android (kernel/common,
// android12-5.10). Its pages go to pools, one for each order, and are handed out
// from there in the order in which they came; only what the pools do not have comes
// from the page allocator (page_pool.c). A freed buffer first waits on a list for a
// thread that runs when a CPU is idle (deferred-free-helper.c). Under pressure the
// list gives its buffers back to the page allocator, the last one first, then the
// pools their pages, the smallest orders first. A buffer that cannot be completed
// gives its pages back to the page allocator, those from a pool too.
//
// Android frees when a CPU is idle; here a free is put off for a time that is
// configured, and buffers go to the pools in the order in which they were freed.
// Android's pools have no limit; [PageConfig.Pool] is an addition. Two things are
// left out: the heap system-uncached, which shares the pools, and that trees of
// that branch differ in whether single pages are asked for with
// __GFP_RETRY_MAYFAIL, whereby no process is killed for a buffer. Later kernels of
// Android have the pools without the list (the 5.15 one that was read): no delay.
//
// # Simplifications
//
//   - The page allocator's own state aside, releases differ only in what
//     behaviour.go lists; the page allocator is always that of 6.12.
//   - The arrays and tables that describe a buffer take none of the machine's
//     memory. In the kernel, the array of a CMA buffer above 16 MiB needs a block
//     of order 4 or more, which fragmented memory may not have.
//   - Pointers have 8 bytes. On 32-bit machines the array allows for twice as many
//     pages, which is more than they can map.
//   - A page allocator whose largest block is of order 10 bounds the array; arm64
//     with pages of 16 or 64 KiB has larger ones.
//   - The system heap takes orders 8, 4 and 0 whatever the page size, as the kernel
//     does.
//   - Zeroing pages takes no time.
package heap
