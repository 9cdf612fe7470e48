// Package buddy models the page allocator of Linux 6.12.117: the binary buddy
// system with migrate types and pageblocks, and the per-CPU lists in front of
// it (mm/page_alloc.c).
//
// A [Zone] is a range of page frames. Its free blocks of 2^order pages are on
// lists by order and by the type of the pageblock that they lie in: unmovable,
// movable, reclaimable, or CMA. A request takes the head of the list of the
// lowest sufficient order and keeps the lower half of each split
// (__rmqueue_smallest, expand). Where its own type has nothing, it
//
//   - takes CMA pages, if it is movable, and does so first while more than half
//     of the free pages are CMA (__rmqueue),
//   - claims a whole pageblock of another type, from the largest free block
//     downwards, if enough of the pageblock is free or of its kind already
//     (__rmqueue_claim, try_to_steal_block), or
//   - steals a single block, from the smallest upwards (__rmqueue_steal).
//
// A freed block merges with its buddy as long as that is free, and goes to the
// head of its list, or to the tail if the block that it may merge into next is
// likely to become free (__free_one_page, split_large_buddy).
//
// A [PerCPU] caches blocks of orders 0 to 3 and 9: it is refilled in bulk,
// hands out what was freed last, and sizes itself by use (rmqueue_pcplist,
// nr_pcp_alloc, free_unref_page_commit, nr_pcp_high, free_pcppages_bulk,
// decay_pcp_high).
//
// A zone whose pageblocks are all movable is the plain buddy system.
//
// For what moves pages, a range can be taken out of the lists: [Zone.Isolate]
// for a contiguous allocation (start_isolate_page_range), [Zone.TakeFree] for
// the free scanner of compaction (isolate_freepages_block). The links of a live
// block are its user's: a [Queue] is a list of live blocks, such as an LRU list.
//
// # Cost
//
// A zone takes nine bytes for each page frame, and no pointers: one for the
// state of the block that begins there, eight for its links in a list. An
// operation takes time in proportion to the orders it crosses; only a claim
// also looks at the blocks of one pageblock.
//
// # Limits
//
// Not modelled: watermarks, and whatever a request does when this fails
// (reclaim, compaction, draining of the per-CPU lists); the reserve for urgent
// requests (highatomic); checks of page contents; the batching of the zone's counters on
// machines with several CPUs, which makes the kernel see them late. The
// behaviour of the per-CPU lists below the high watermark, during reclaim and
// on CPUs with large caches follows the source; the rest is also compared with
// recordings of the kernel's code.
//
// Sublevels of 6.12 differ: claiming and stealing are apart since 6.12.29, and
// all pageblocks of a merged buddy change their type since 6.12.69. 6.1 falls
// back by other rules.
package buddy
