// Package dmabuf is the life of dma-bufs as Linux 6.12 has it: processes with
// their descriptors, open files, mappings, descriptors in flight between
// processes, drivers that import buffers and attach devices, fences, and the
// brackets around CPU access. It knows nothing of memory, addresses or devices'
// limits, and time is what the caller says it is.
//
// # References
//
// A dma-buf is an open file. Descriptors, mappings, messages in flight, armed
// polls and importers (dma_buf_get) hold a reference each. An attachment holds
// none: its importer does, and has to keep it until after the detach. When the
// last reference goes the buffer is released, which [System.Released] tells; its
// memory is the caller's. (drivers/dma-buf/dma-buf.c: dma_buf_export, dma_buf_get,
// dma_buf_attach, dma_buf_release; fs/file.c; net/core/scm.c.)
//
// # Fences
//
// A [Fence] belongs to a [Context], in which fences signal in order. A buffer's
// reservation holds fences with a [Usage]; asking for a usage gives the fences of
// that and of the stronger ones. A new fence takes the place of the first that is
// signalled, or that is an earlier one of its context at the same or a weaker
// usage (drivers/dma-buf/dma-resv.c: dma_resv_add_fence). A sync_file is a
// snapshot: fences that are added later are not in it.
//
// # Caches
//
// Of a buffer it is known whether a device that is not coherent wrote to memory
// what the CPU's caches don't have, and whether the CPU's caches hold what memory
// doesn't have. Mapping and unmapping for a device and the brackets of CPU access
// make them agree, the latter only while a device has the buffer mapped: heaps
// skip attachments that are not (system_heap_dma_buf_begin_cpu_access). This is
// per buffer, not per byte, and exact for one CPU and one device that take turns.
//
// A device that is mapped through bounce buffers uses a copy. Linux copies at map,
// at unmap, and in the brackets of CPU access, all of the buffer each time
// (kernel/dma/swiotlb.c: swiotlb_tbl_map_single, swiotlb_sync_single_for_cpu); when
// another device or a CPU without a bracket writes, nobody does. So it is known of
// which write the data are that memory and each copy have. A copy that is older
// than memory is copied back like any other: what memory had is lost.
//
// # Limits
//
// Calls don't block: what would wait is told, and the caller waits. Threads share
// everything with their process, so there are none. A message carries one
// descriptor. There are no dynamic importers, no vmap and no move notifications.
// The system-wide limit of open files is not modelled.
//
// Nothing is allocated once the tables have held as much before.
package dmabuf
