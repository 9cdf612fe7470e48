// Package ledger keeps the truth about an arena: which blocks are live, who
// owns them and what is free. It observes what a strategy hands out and takes
// back, whatever the strategy, and says why a request could not be served.
//
// # Cost
//
// An event, [Ledger.Alloc] or [Ledger.Free], costs constant time: it updates
// counters, and those of the windows that the owner pollutes, and notes which
// block came or went. Nothing is allocated once the ledger has held as many
// blocks before.
//
// The holes are brought up to date when someone asks about them. Between two
// questions a block that came and went leaves no trace, and the others are
// noted once; so the notes never outgrow the blocks that were live at once, and
// each costs at most one update of the hole index (package holes), logarithmic
// in the number of holes. Where so much changed that a rebuild costs less, the
// index is rebuilt from the live blocks by address. That order is kept in the
// same way: what came since it was last needed is sorted and merged in.
//
// Free bytes are also tallied for equal parts of the arena, because a hole
// index finds the largest hole of a window in logarithmic time, but would have
// to add up all holes in it.
//
// # Trust
//
// The ledger records what it is told. If a strategy hands out overlapping
// blocks, or bytes outside the arena, no counter shows it, but [Ledger.Check]
// does; until then the holes are the bytes of the arena that no live block
// holds.
//
// # Diagnosis
//
// [Ledger.Diagnose] explains a failed request by the holes at that moment; see
// there for the exact meaning of each cause.
//
// # Limits
//
// One goroutine at a time. Up to 2^32 live blocks. Addresses are plain
// numbers in the strategy's space.
package ledger
