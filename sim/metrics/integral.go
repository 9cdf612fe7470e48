package metrics

import (
	"math/bits"
	"time"

	"dmasim/allocator/ledger"
)

// integral is the integral over time of a counter that changes in steps, exact
// modulo 2^128, in units × nanoseconds. Only changes cost anything: up to a time
// T it is value·T − Σ change·time of the change.
type integral struct {
	value  uint64
	hi, lo uint64 // −Σ change·time
}

// set changes the counter. Times must not be negative. Whether it rises or falls is
// as good as random, so that a branch on it would be guessed wrong.
func (a *integral) set(value uint64, at time.Duration) {
	change, falls := bits.Sub64(value, a.value, 0) // less 2^64 where it falls
	hi, lo := bits.Mul64(change, uint64(at))
	hi -= uint64(at) & -falls
	var borrow uint64
	a.lo, borrow = bits.Sub64(a.lo, lo, 0)
	a.hi -= hi + borrow
	a.value = value
}

// heldIntegral is the integral over time of what live buffers hold, exact modulo
// 2^128. Since all of it changes with every event, each adds what has held since the
// last one.
type heldIntegral struct {
	held                        ledger.Usage
	since                       time.Duration // when it changed last
	requested, reserved, blocks wide
}

// set changes what is held.
func (a *heldIntegral) set(held ledger.Usage, at time.Duration) {
	a.to(at)
	a.held = held
}

// to counts what is held up to a time, which is not before the last one.
func (a *heldIntegral) to(at time.Duration) {
	time := uint64(at - a.since)
	a.since = at
	a.requested.add(a.held.Requested, time)
	a.reserved.add(a.held.Reserved, time)
	a.blocks.add(uint64(a.held.Blocks), time)
}

// wide is a sum of 128 bits.
type wide struct{ hi, lo uint64 }

// add adds a product.
func (w *wide) add(a, b uint64) {
	hi, lo := bits.Mul64(a, b)
	var carry uint64
	w.lo, carry = bits.Add64(w.lo, lo, 0)
	w.hi += hi + carry
}

// over divides the sum by a time; the quotient fits in 64 bits. Over no time it is 0.
func (w *wide) over(time time.Duration) float64 {
	if time <= 0 {
		return 0
	}
	quotient, rest := bits.Div64(w.hi, w.lo, uint64(time))
	return float64(quotient) + float64(rest)/float64(time)
}

// mean returns the mean of the counter from 0 to end, which is not before the
// last change. The mean over no time is 0.
func (a *integral) mean(end time.Duration) float64 {
	sum := wide{a.hi, a.lo}
	sum.add(a.value, uint64(end))
	return sum.over(end)
}
