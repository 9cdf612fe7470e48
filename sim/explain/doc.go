// Package explain says why a request of a simulation failed, or would fail: as a
// funnel from all that is free to what the request could have used, with the
// buffers that stand in the way, and with the smallest changes that would have let
// it succeed.
//
// # How
//
// A simulation is run again up to the failure, and the live state is looked at.
// Cause, figures and blame are those of the ledger ([dmasim/allocator/ledger]) and
// of the judge ([dmasim/devices]); this package asks, it does not diagnose.
//
// # Changes
//
// A change is one of the smallest of its kind: the fewest buffers that would have
// to go, the bytes by which the window or the heap would have to be larger, the
// largest alignment that would do. Each was applied to a copy of the state, in
// which the request then has a legal place. What the strategy makes of it is tried
// on the heap itself and said apart: a strategy need not look where a place is.
//
// In heaps that take pages a change is tried by running the simulation once more
// up to the request, freeing what is in the way, and asking again.
//
// # Limits
//
// Changes are tried at the moment of the failure: had a buffer never been there,
// others would lie elsewhere. Of the causes at map, the place that the heap chose
// is judged; where an IOMMU or bounce buffers ran out there are figures, and no
// changes. A what-if is judged as if its devices addressed memory directly.
package explain
