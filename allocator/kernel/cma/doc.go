// Package cma models the contiguous memory allocator of Linux 6.12 (mm/cma.c,
// cma_alloc and cma_release; mm/cma_debug.c). The unit is the page; an area
// tracks them in groups of 2^order pages, one bit of its bitmap each.
//
// Placement is first fit from the lowest bit, every time: the lowest run of
// free bits at which the request fits, with its first page frame number aligned
// as asked. Then the pages in it are migrated away. If one of them is busy, the
// search goes on one aligned step further, not behind the busy page, so that a
// large request may try many overlapping places before it is through. Any other
// failure of the migration ends the call.
//
// The kernel searches its bitmap; an [Area] searches the index of free runs in
// package holes, which knows the longest aligned block in every part of the area
// and gives the same places in logarithmic time, amortized (a property test holds
// the two together). Each alignment that is longer or shorter than the size
// rounded up to a power of two makes later operations a little dearer.
//
// # Limits
//
// One range of memory per area, as up to 6.12. What migration does is the
// caller's: see [Migrate]. Linux 6.1 places in the same way; it differs in its
// trace events and counters, which are not modelled.
package cma
