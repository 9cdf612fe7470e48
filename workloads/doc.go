// Package workloads describes work for the simulated machine: operations on
// buffers, and sources that produce them one by one.
//
// A [Source] is pulled: the simulation asks for the next operation and tells
// what became of the last one, so that a closed loop is a source like any other.
// [Retrying] is one around another: it asks other heaps, backs off, tries again and
// drops what nobody serves. Operations of one source come in the order
// of their times. Random sources draw every property from a stream of its own,
// keyed by seed, purpose and the number of the buffer, never by the order of
// calls, so that changing the allocator changes the work only where the source
// reacts to outcomes.
package workloads
