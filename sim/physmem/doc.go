// Package physmem models the physical memory of a machine that runs Linux 6.12,
// page by page: who is at each page frame, and what happens when a request
// finds too little that is free.
//
// A [Memory] has zones. Each hands out pages by the rules of the kernel's page
// allocator ([dmasim/allocator/kernel/buddy]), above watermarks that keep a
// reserve (mm/page_alloc.c). Page frames are free, or hold the kernel's own
// data, anonymous memory, page cache, or dma-bufs. Below the low watermark
// kswapd drops the oldest page cache and swaps out the oldest anonymous pages;
// a request that still finds nothing reclaims and compacts by itself, and in
// the end has a process killed (mm/vmscan.c, mm/compaction.c, mm/oom_kill.c).
// Nothing ever reclaims or moves dma-bufs, and no process's score counts them,
// so a process that holds only dma-bufs looks innocent.
//
// CMA areas lend their free pages to movable pages, and take them back by
// moving those elsewhere (mm/cma.c, mm/page_alloc.c alloc_contig_range).
//
// # Blocks and pages
//
// There are two ways to hold memory. [Memory.Alloc] and [Memory.AllocContig]
// hand out blocks, which never move and are freed by name. [Memory.Populate]
// gives an owner single pages, which the owner cannot name: the movable ones
// change their frame when memory is compacted, and leave for swap or disk.
//
// # Simplifications
//
//   - One node, one CPU. The per-CPU lists can be left out.
//   - Nothing runs beside a request. kswapd does all its work at the moment it
//     is woken; rounds of reclaim without progress, which would all be alike,
//     are one round. kcompactd and proactive compaction don't run.
//   - Each zone has LRU lists of its own, one of page cache and one of anonymous
//     pages, where the kernel has four for a node. A page is as old as its last
//     use that the simulation tells of; reclaim takes from zones in proportion
//     to what they have, from page cache first, and from anonymous pages only
//     when there is none (as if vm.swappiness were 0). Page cache is clean.
//   - Watermarks are not boosted when types mix, there is no reserve for urgent
//     requests (highatomic), and transparent huge pages don't raise
//     min_free_kbytes: set [Config.MinFree] where it is known.
//   - The kernel's pages are unmovable, and none of them can be reclaimed: there
//     is no slab cache that shrinks.
//   - The largest blocks have order 10, whatever the page size. (arm64 has 11
//     with 16 KiB pages and 13 with 64 KiB.)
//   - Compaction ends as soon as any block of the order is free, whatever its
//     type, and starts anew from both ends each time; it is deferred after
//     failures as in the kernel.
//   - A contiguous allocation meets a held page at once; the kernel tries five
//     times. It drops clean page cache, and moves what comes before a held page
//     in the range, as the kernel does, but not what follows within its batch
//     of 32.
//   - The kernel's per-page and per-buffer data (struct page, page tables) are
//     not taken from the modelled memory, unless the caller populates them.
//
// # Cost
//
// A page frame takes 17 bytes of the simulator's memory: 9 in the page
// allocator, whose list links are LRU links while the page is in use, 4 that
// say who is there, and 4 in its owner's list.
package physmem
