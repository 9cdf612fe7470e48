// Package dmesg reads kernel logs as people paste them into bug reports, and
// says of each failed allocation or mapping in them what was asked, what was
// free where, which rule killed it, and what would help.
//
// # What it reads
//
//   - "alloc failed, req-size" of the contiguous memory allocator with its list
//     of available pages (mm/cma.c, cma_alloc and cma_debug_show_areas, Linux
//     4.9 to 6.16), and alloc_contig_range's "PFNs busy";
//   - "page allocation failure" and "invoked oom-killer" with the Mem-Info that
//     follows (mm/page_alloc.c, warn_alloc; mm/oom_kill.c, dump_header;
//     show_mem), also of kernels before 4.0 and of memory cgroups;
//   - "swiotlb buffer is full", and addresses beyond a DMA mask (kernel/dma);
//   - drivers that say what they could not allocate, dma-heaps, and IOVA space
//     that ran out.
//
// Prefixes of dmesg, syslog, journalctl and logcat, levels, quotation marks of
// mail, carriage returns and terminal colours are taken off or looked over:
// messages are found anywhere in a line. What belongs to one failure may be mixed
// with messages of other processors, and lists may be cut or continue on other
// lines.
//
// # What it concludes
//
// The cause of a failed CMA allocation is that of the ledger's diagnosis
// ([dmasim/allocator/ledger.Ledger.Diagnose]) of the area that the list of
// available pages describes. That of a page allocation follows the checks of
// zone_watermark_fast and rmqueue: the reach of a request are the zones and
// migrate types that it may take. In an out-of-memory report the pages that no
// counter of Mem-Info explains are worked out: they are what drivers took without
// being charged, above all dma-bufs.
//
// # Limits
//
// A log says less than the kernel knew. CMA requests are taken to be aligned to
// their own size, at most to 2^8 pages (CONFIG_CMA_ALIGNMENT), as dma_alloc and
// the CMA heap do. Mem-Info is printed after the failure and may show memory that
// was freed since. Pages are of 4 KiB unless the log shows otherwise. Where the
// log does not decide, the cause is [Unknown]. Lines are read up to 64 KiB, and
// the first ten thousand failures are kept.
package dmesg
