// Package genalloc models the general purpose allocator of Linux 6.12
// (lib/genalloc.c, struct gen_pool), which hands out on-chip SRAM and the
// memory for atomic DMA allocations.
//
// A [Pool] is a list of chunks, each with a bitmap of granules. A request goes
// through the chunks, the newest first, and the first chunk in which the
// algorithm finds a place serves it: best fit is best within that chunk only.
// Alignment is counted as the algorithm does it: [Pool.FirstFitAlign] by
// address, and only if the chunk begins at a granule; [Pool.FirstFitOrderAlign]
// from the start of the chunk, whatever its address.
//
// The kernel searches bitmaps; a Pool searches the indices of free runs in
// package holes, by address and for best fit by length, which gives the same
// places in logarithmic time.
//
// # Limits
//
// In the kernel a pool whose chunk begins at address 0 loses the space there,
// because that address reads as a failure; here it is handed out. Chunks that
// overlap and alignments that are no power of two, which the kernel does not
// check, are refused. Sizes that overflow the kernel's int of granules are not
// modelled.
package genalloc
