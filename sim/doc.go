// Package sim is the simulated system: a clock, heaps, clients that share
// buffers between devices, and observers that watch.
//
// A simulation is single-threaded and deterministic: the same [Config] gives
// the same events in the same order. Time is virtual, a time.Duration since the
// start; events happen in the order (time, sequence), and at one instant
// buffers are freed before others are allocated, which is the order of
// half-open lifetimes.
//
// A failed allocation is an outcome with a cause, worked out by the ledger's
// diagnosis, never an error. Errors are for misuse and for what lies outside,
// such as a trace that is torn.
package sim
