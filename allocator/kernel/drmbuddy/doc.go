// Package drmbuddy models the buddy allocator of the graphics drivers of Linux
// 6.12.117, which hands out video memory (drivers/gpu/buddy.c in Debian's
// kernel, drivers/gpu/drm/drm_buddy.c elsewhere).
//
// A [Manager] cuts memory whose size is no power of two into the largest
// blocks that are. A request is served with several blocks, each as large as
// what is still missing allows and as the free blocks are, unless it asks for a
// contiguous place. Blocks come from the top of memory: the highest free block
// of the smallest sufficient order, of which the upper half is kept in each
// split. A request may also be restricted to a window, and is then served from
// the bottom of it, or name an exact place.
//
// Free blocks always merge, so that what is free depends on what is allocated
// only, not on the past. A Manager therefore keeps no tree of blocks but, for
// each order, the set of its free blocks as a bitmap with summaries: four bits
// for each chunk of memory, and a few word operations to find the highest, or
// the next above a place.
//
// # Limits
//
// Blocks that are known to be cleared (the clear tracking of amdgpu), and the
// trimming of blocks on request, are not modelled.
package drmbuddy
