// Package alloctest tests that an implementation of [allocator.Strategy] keeps
// its promises, those of dmasim as well as your own:
//
//	func TestMine(t *testing.T) {
//		alloctest.Run(t, newMine, alloctest.Honours(allocator.HonoursAlign|allocator.HonoursWindow), alloctest.Exact())
//	}
//
// The strategy is compared with an oracle that is too simple to be wrong: a
// sorted slice of the live blocks, and definitions that are checked address by
// address. Beside the strategy runs a twin that is spared every operation that
// was refused; the two must stay in step, or a refusal has changed something.
// The cause that package ledger works out for a refusal is compared as well.
// Random operations come from package rapid, which shrinks a failure to a short
// list of operations and prints how to repeat it.
//
// # Limits
//
// That no place was missed is only checked in arenas of some hundred granules,
// where the oracle can try every start. Which of several legal places a
// strategy should choose is its own affair; test that with examples.
package alloctest
