// Package bench measures placement strategies on a recorded sequence of
// allocations and frees, without heaps, devices or time around them.
//
//	t, err := bench.Read(placements)
//	results, err := bench.Run(ctx, t, []string{"first-fit", "tlsf"}, t.Arena(), 5)
//
// Every strategy is replayed several times for its speed and once for what it
// does. The timed replays call the strategy and nothing else but look up blocks
// in an array; strategies take turns, round by round, so that a disturbance
// hits all of them, and the median of the rounds is reported. The other replay
// keeps a ledger, which says of each failure whether a legal place existed, and
// how the free memory was split.
//
// The limits in the trace are the device mix, which strategies that know one are
// told beforehand; of many distinct limits, the sixteen that the most requests have.
//
// # Limits
//
// The time is that of one thread, measured with its CPU clock on Linux and with
// the wall clock elsewhere. It includes the loop, a few nanoseconds, and is
// divided by all operations of the trace: a strategy that fails a lot looks
// faster than it is, since the frees of blocks it did not place are skipped.
// A replay is an open loop: the trace goes on whatever fails.
package bench
