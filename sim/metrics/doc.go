// Package metrics measures a simulation: an observer that keeps counters and
// time integrals per event, and takes a sample of the free space at a bounded
// number of instants.
//
// Every event costs a constant number of additions. What needs a walk of memory
// (the largest run, indices, pollution, the memory map) is computed at samples
// only, and at failures, where the diagnosis needs it anyway. Series have a
// bounded length: where the duration is known, samples lie on a regular grid;
// otherwise every n-th event is sampled, and n doubles whenever the series is
// full. Where many buffers live and little happens to them, there are fewer samples.
// A sample also holds the largest reservation since the one before it, so that what
// is left out loses no peak.
//
// Where a simulation executes operations in bulk (see sim.BulkObserver), the sums are
// those of single events, to the last bit.
//
// The scalar measures of fragmentation in index.go are pure functions of the
// sizes of holes; docs and tests give their worked values.
package metrics
