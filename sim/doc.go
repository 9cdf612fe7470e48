// Package sim is the simulated system: a clock, heaps, clients that share
// buffers between devices, processes with their descriptors and memory, page
// frames, transfers and fences, and observers that watch.
//
// A simulation is single-threaded and deterministic: the same [Config] gives
// the same events in the same order. Time is virtual, a time.Duration since the
// start; events happen in the order (time, sequence), and at one instant
// buffers are freed before others are allocated, and transfers end before others
// begin, which is the order of half-open lifetimes.
//
// A failed allocation is an outcome with a cause, worked out by the ledger's
// diagnosis or by the page allocator, never an error. What else goes wrong is an
// [Incident]: a transfer that hits somebody else's memory, a stale read, a
// process killed for want of memory, a leak. Errors are for misuse and for what
// lies outside, such as a trace that is torn.
//
// # Who asks
//
// An [Input] is a source of allocations and frees: buffers that come and go. A
// [Process] runs a program ([dmasim/workloads/program]) of system calls, and its
// memory competes with dma-bufs for page frames. Both take buffers from the same
// heaps.
//
// # Sharing
//
// Buffers of processes, and those of clients with transfers, are dma-bufs
// ([dmasim/sim/dmabuf]): they are freed when the last reference goes. Drivers hold
// one from attach to detach. A driver with fences detaches when the transfers are
// over that it started; one without detaches at once, and the device goes on to
// read or write memory that may be somebody else's by then.
//
// # Transfers
//
// A device does one transfer at a time, in the order in which they were submitted
// (a DRM scheduler with one ring). With fences, a transfer begins when those are
// signalled that the buffer had when it was submitted: a reader waits for writers,
// a writer for all. It touches the payload and, when it writes, the device's
// padding behind it. What lies outside of the buffer's memory is looked up, and its
// owner is the victim. Where a device cannot reach a buffer, its Beyond says what
// happens: the map is refused, addresses lose their upper bits, or the transfer
// fails. What a transfer writes counts as written from its beginning.
//
// # Bus addresses
//
// A map makes addresses ([dmasim/sim/dmamap]). A device addresses memory as it lies;
// or through an IOMMU, in the address space of its group; or, where pieces of a buffer
// are out of its reach and the machine has bounce buffers, in copies of these. Address
// space and bounce buffers are used up, and the causes are iova and bounce.
//
// Through an IOMMU a transfer reaches what is mapped for the group: the buffer, what
// else lies in its first and last IOMMU page, and other buffers of the group. Where
// nothing is mapped it ends with a fault, also where it only reads. A transfer that a
// driver forgot ends with a fault at unmap; in lazy mode it goes on until the IOTLB
// is flushed.
//
// A bounced transfer uses the copy, and what it writes behind the end of that stays in
// the pool. The copy is made at map, and copied back at unmap and by brackets of CPU
// access, since maps are for both directions; what other devices write between is not
// in it.
//
// # Limits
//
// The CPU takes no time: allocation, reclaim, migration and copies happen at one
// instant. A run without a duration goes on until the last flush of an IOTLB. A
// client's buffer that a device cannot map lives on. Of a buffer of which some pieces are bounced, all counts as a copy where
// old data are concerned. A child begins without memory of its own, since
// copying on write is not modelled. Overshooting reads do no harm.
package sim
