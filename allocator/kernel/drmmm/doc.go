// Package drmmm models the range allocator of the graphics drivers of Linux
// 6.12 (drivers/gpu/drm/drm_mm.c), which hands out address ranges of graphics
// translation tables and of video memory.
//
// A [Manager] keeps disjoint holes in three orders: by address, by size, and by
// age. The [Mode] of a request chooses the order in which the holes are tried;
// the first hole in which the request fits serves it, at its lower end, or at
// its upper end in mode High. In each hole a single position is tried. Best
// takes of equal holes the newest, and a hole is new whenever it was made, cut
// or merged.
//
// Once (DRM_MM_INSERT_ONCE) makes a request try one hole only. Which one it is
// in modes Low and High depends on the shape of the kernel's red-black tree of
// holes, so the same tree is kept here, with the same insertions and removals.
//
// [Manager.Scan] models the eviction roster (drm_mm_scan_add_block,
// drm_mm_scan_remove_block): which of the least wanted ranges have to go for a
// request to fit.
//
// Requests and frees take time logarithmic in the number of holes, but for
// the holes that are tried in vain: with an alignment, a window or a colour,
// and in mode Evict also those that are too small.
//
// # Limits
//
// The colour of a range is compared as the i915 driver does for guard pages
// (one distance on both sides of ranges of unequal colour). Other drivers'
// callbacks, and the eviction of neighbours by colour
// (drm_mm_scan_color_evict), are not modelled.
package drmmm
