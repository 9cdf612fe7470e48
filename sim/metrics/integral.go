package metrics

import (
	"math/bits"
	"time"
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

// mean returns the mean of the counter from 0 to end, which is not before the
// last change. The mean over no time is 0.
func (a *integral) mean(end time.Duration) float64 {
	if end <= 0 {
		return 0
	}
	hi, lo := bits.Mul64(a.value, uint64(end))
	lo, carry := bits.Add64(lo, a.lo, 0)
	hi, _ = bits.Add64(hi, a.hi, carry)
	quotient, rest := bits.Div64(hi, lo, uint64(end)) // hi < end: a mean fits in 64 bits
	return float64(quotient) + float64(rest)/float64(end)
}
