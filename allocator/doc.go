// Package allocator defines what a placement strategy is and holds the
// registry of those that dmasim knows.
//
// A [Strategy] only picks places. It is given a [Request], which holds what
// such an allocator's interface can express: size, alignment, window,
// boundary, direction and, for the rare shapes of real devices, a [Rule]. It
// answers with a [Block] or with "no". It knows nothing of devices, metrics or
// why it failed; package ledger keeps the truth about what is free and works
// out the [Cause] of a failure. Addresses are plain uint64 in whatever space
// the caller means, since the same strategies serve RAM, IOVA space and VRAM.
//
// # The general strategies
//
// By how they keep what is free:
//
//   - On the address-ordered hole index of package holes: first-fit, next-fit,
//     worst-fit, last-fit, address-split and random-fit.
//   - In order of size: best-fit.
//   - In lists by size: segregated-fit, tlsf and half-fit, which are one structure
//     with different rules, and buddy.
//   - In slabs of one size: slab.
//   - As a sequence that serves one order of frees: linear, stack and ring.
//   - In zones that differ in who can use them, each with one of the above:
//     window-fit and window-best-fit. They are told the device mix; all others
//     know the request alone ([Knowledge]).
//
// None of them allocates memory per operation, scans memory, or gives the garbage
// collector pointers to follow for each block. Exact models of what Linux uses
// live in the packages below kernel.
//
// # Making one
//
//	s, err := allocator.New("best-fit", allocator.Config{Arena: arena, Granule: 4096})
//
// A strategy of your own implements the two methods of [Strategy], calls
// [Register] from an init function and passes alloctest.Run in its test.
//
// # Limits
//
// Requests are placed one by one and never moved. Sizes are rounded up to the
// granule by the strategy. A strategy is used by one goroutine at a time.
package allocator
