// Package kernel registers those exact models of Linux's allocators that can
// serve as placement strategies: cma, coherent, the four searches of genalloc,
// the four modes of drm-mm, drm-buddy and page-buddy. The models themselves are
// the packages below.
//
// A strategy knows less than its model: no busy pages, no versions, no offsets.
// Its unit is the granule of the arena, which stands for the page or for the
// smallest unit of a pool, and may be any number. Where an arena has several
// ranges, each is an area, a pool, a chunk or a zone of its own, tried from low to
// high, and by genalloc from high to low, as it searches the chunk that was added
// last first; drm-mm manages them together.
//
// Alignment is honoured by cma and genalloc-first-fit-align, which know powers
// of two of granules and refuse every other one, and by drm-mm. Windows are
// honoured by drm-mm and drm-buddy. The rest of a request means nothing to these
// allocators: they return places that a device may be unable to use, as the
// kernel does.
package kernel
