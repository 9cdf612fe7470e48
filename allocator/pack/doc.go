// Package pack packs buffers whose lifetimes are all known into as little memory
// as possible: dynamic storage allocation. Drawn over time, every buffer is a
// rectangle that may be moved up and down, but not sideways, and the packing is
// as high as its highest rectangle. What online allocators do with the same
// buffers can be measured against it.
//
// The problem is NP-hard in the strong sense (Stockmeyer; Garey and Johnson,
// Computers and Intractability, 1979, problem SR2). The height is at least the
// load, the largest sum of sizes that live at one time, and the lowest is at most
// three times that (Gergov, SODA 1999).
//
// # What there is
//
// [Load] and [LowerBound] say what no packing can stay below. [FirstFit] is the
// baseline. [Pack] is an anytime search: it has a packing at once, improves it
// as long as it is allowed to, and stops when a packing is proven to be optimal.
// Asked for a capacity, it may prove that the buffers do not fit, and
// [Irreducible] then tells which of them are the reason. [Check] is a judge that
// is independent of them.
//
// # How Pack searches
//
// Times at which no buffer lives cut the problem into independent ones. In each,
// packings are built from the bottom up by a complete depth-first search within a
// capacity. The capacity is the lower bound for most searches, and something
// between it and the best packing for others, so that there is progress where
// the bound cannot be reached. If a search is exhaustive, the lower bound rises
// above its capacity. Searches are short and differ in the order of buffers,
// which makes luck with one of them likely; see J. D. Moffitt, "MiniMalloc: A
// Lightweight Memory Allocator for Hardware-Accelerated Machine Learning",
// ASPLOS 2023, for the problem's recent use, for three of the orders, and for the
// ideas of the search that are named in this package's source.
//
// # Limits
//
// All buffers are placed in one address range from 0; windows, boundaries and
// buffers that move, shrink or go away in between are not modelled. Memory and
// the time of a step grow with the number of pairs of buffers that live
// together, which is bounded (see [ErrTooLarge]). Proofs of optimality are
// common where the load can be reached, and rare where it cannot, but for a few
// dozen buffers. Everything runs on the caller's goroutine.
package pack
