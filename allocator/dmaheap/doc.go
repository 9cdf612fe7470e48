// Package dmaheap is Linux's interface for dma-bufs: heaps to allocate them
// from, what can be done with one, and who holds which. It needs nothing else of
// dmasim.
//
//	heap, err := dmaheap.Open("system")
//	…
//	defer heap.Close()
//	buffer, err := heap.Alloc(1 << 20)
//	…
//	defer buffer.Close()
//	mapping, err := buffer.Map(dmaheap.Read | dmaheap.Write)
//	…
//	defer mapping.Close()
//	err = mapping.Access(dmaheap.Write, func(b []byte) error {
//		copy(b, picture)
//		return nil
//	})
//
// # Lifetimes
//
// A dma-buf is pinned memory that lives as long as a descriptor, a mapping or an
// importer refers to it, and that no process is charged for. A [Heap] and a
// [Buffer] own one descriptor each, and a [Mapping] a piece of address space.
// Close gives them back; what is dropped without it is given back when the
// garbage collector finds it. Every method may be called at any time from any
// goroutine: a descriptor or a mapping that is in use is closed when that use
// ends. Descriptors are close-on-exec.
//
// # Errors
//
// What the kernel refused is an [*Error], which wraps the errno. Where there is no
// permission it is a [*PermissionError], which says whose the file is and what
// would help; where there is no such interface, or this is not Linux, the error is
// [ErrUnsupported].
//
// # Accounting
//
// [ReadAccounting] puts together what the kernel tells of all dma-bufs that live:
// debugfs (dma_buf/bufinfo), sysfs (kernel/dmabuf/buffers) and /proc. All are
// snapshots, none is charged to anybody.
//
// # Sources
//
// Linux 6.12: include/uapi/linux/dma-heap.h, dma-buf.h and udmabuf.h;
// drivers/dma-buf/dma-heap.c, dma-buf.c and udmabuf.c. Heaps exist since 5.6,
// sync files of dma-bufs since 6.0.
package dmaheap
