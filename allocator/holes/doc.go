// Package holes keeps the free ranges of an arena, the holes, so that an
// allocator finds one in logarithmic time.
//
// An [Index] orders holes by address. It is a B+ tree whose inner entries carry
// the largest hole below them (an augmented search tree: Cormen, Leiserson,
// Rivest and Stein, Introduction to Algorithms, chapter "Augmenting Data
// Structures"), so that "the lowest hole of at least this size above that
// address" skips every subtree without one. Two holes never touch: what is
// given back merges with its neighbours at once (immediate coalescing; Knuth,
// The Art of Computer Programming, volume 1, section 2.5).
//
// First fit and its relatives are little more than an Index, and a ledger uses
// one as its record of what is free. The best fit of kernel/genalloc has its
// holes in [Sizes] as well, the same trees in order of size.
//
// With tallies of the holes by size, [Index.Draw] returns one of all places for a
// block at random.
//
// Nodes live in two slices and name each other by number: there is nothing for
// the garbage collector to follow, and freed nodes are used again, so that an
// operation allocates nothing once the index has needed as many nodes before.
//
// # Limits
//
// An Index is used by one goroutine at a time. It has up to 2^32 nodes, which is
// more than 10^10 holes. For alignments that are powers of two, NextFit skips what
// does not suit. Any other demand is the caller's question: holes that are long
// enough and do not suit are visited one by one.
package holes
