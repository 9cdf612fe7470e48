// Package trace reads recorded work and gives it to simulations, and writes it for
// other programs.
//
// A [Reader] reads every [Format]: what Linux traces of CMA, of the page allocator
// and of dma-bufs, pictures of the dma-bufs that live, a CSV of our own, and the
// formats of two kinds of benchmarks. All become one stream of [Event]s, which a
// [Source] plays, [Summarise] counts and a [Writer] writes. What a recording lacks
// is counted in [Losses]. docs/traces.md describes the formats.
//
// Two formats can also be read as what they are. [ReadMiniMalloc] reads the static
// allocation problems of MiniMalloc, buffers with a lifetime and a size, in any
// order; the whole problem is held in memory, since its rows are not ordered by
// time. [NewPlacementReader] streams placement traces: allocations and frees in
// order, without times, each with what an allocator's interface can express.
//
// Lifetimes are half-open: a buffer that ends at a time is freed before one that
// starts then is allocated. Readers take nothing on trust: a file that is torn,
// contradicts itself or asks for something that a replay would not do is an error
// that names the place, and no line, header or zipped file makes a reader hold more
// than a bound. In recordings, whose makers lose events, contradictions between
// events are counted instead.
//
// A replay is an open loop. It repeats what a program asked for on the machine
// where it was recorded, whether or not the simulated allocator serves it, so it
// does not show what the program would have done after a failure. Requests that
// failed when they were recorded are asked for and given back at once.
package trace
