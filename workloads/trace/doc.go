// Package trace reads recorded work and gives it to simulations.
//
// Two forms are known:
//
//   - [ReadMiniMalloc] reads the static allocation problems of MiniMalloc:
//     buffers with a lifetime and a size, in any order. The whole problem is
//     held in memory, since its rows are not ordered by time; a [Replay] of it
//     is a workloads.Source.
//   - [NewPlacementReader] streams placement traces: allocations and frees in
//     order, without times, each with what an allocator's interface can express.
//
// Lifetimes are half-open: a buffer that ends at a time is freed before one that
// starts then is allocated. Readers take nothing on trust: a file that is torn,
// contradicts itself or asks for something that a replay would not do is an
// error that names the place, and no line or header makes a reader allocate
// more than the data that follow it justify.
//
// A replay is an open loop. It repeats what a program asked for on the machine
// where it was recorded, whether or not the simulated allocator serves it, so it
// does not show what the program would have done after a failure.
package trace
