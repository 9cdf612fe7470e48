package metrics

import (
	"math/bits"
	"time"

	"dmasim/allocator/ledger"
	"dmasim/sim"
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
	a.requested = a.requested.add(a.held.Requested, time)
	a.reserved = a.reserved.add(a.held.Reserved, time)
	a.blocks = a.blocks.add(uint64(a.held.Blocks), time)
}

// changed is what follow has seen.
type changed struct {
	asked uint64 // bytes, by all allocations together
	peak  uint64 // bytes that were reserved
	waste bool   // more was reserved than asked for
}

// follow does what set does at each of some changes, at least one.
func (a *heldIntegral) follow(list []sim.Change) (sum changed) {
	asked, waste, most := uint64(0), uint64(0), uint64(0)
	requested, blocks := wide{}, a.blocks
	live, bytes, since := a.held.Blocks, a.held.Requested, a.since
	for i := range list {
		c := &list[i]
		time := uint64(c.At - since)
		since = c.At
		requested = requested.add(bytes, time)
		blocks = blocks.add(uint64(live), time)
		live += int(signed(1, c.Kind))
		bytes += signed(c.Payload, c.Kind)
		asked += c.Payload &^ -uint64(c.Kind)
		most = max(most, bytes)
		waste |= c.Reserved - c.Payload
	}
	a.requested, a.blocks = a.requested.plus(requested), blocks
	// Without waste, what is reserved beyond what was requested stays the same.
	beyond := a.held.Reserved - a.held.Requested
	if waste == 0 {
		a.reserved = a.reserved.plus(requested).add(beyond, uint64(since-a.since))
		sum.peak, a.held.Reserved = most+beyond, bytes+beyond
	} else {
		sum.peak = a.followReserved(list)
	}
	a.held.Blocks, a.held.Requested, a.since = live, bytes, since
	sum.asked, sum.waste = asked, waste != 0
	return sum
}

// followReserved is the part of follow for what is reserved, and returns the most of it.
func (a *heldIntegral) followReserved(list []sim.Change) (peak uint64) {
	reserved, bytes, since := a.reserved, a.held.Reserved, a.since
	for i := range list {
		c := &list[i]
		reserved = reserved.add(bytes, uint64(c.At-since))
		since = c.At
		bytes += signed(c.Reserved, c.Kind)
		peak = max(peak, bytes)
	}
	a.reserved, a.held.Reserved = reserved, bytes
	return peak
}

// signed returns n, or -n modulo 2^64 of a free. Which it is is as good as random, so
// that a branch on it would be guessed wrong.
func signed(n uint64, kind sim.Kind) uint64 {
	free := -uint64(kind)
	return n ^ free - free
}

// wide is a sum of 128 bits.
type wide struct{ hi, lo uint64 }

// add returns the sum and a product.
func (w wide) add(a, b uint64) wide {
	hi, lo := bits.Mul64(a, b)
	return w.plus(wide{hi, lo})
}

// plus returns the sum of two.
func (w wide) plus(o wide) wide {
	lo, carry := bits.Add64(w.lo, o.lo, 0)
	hi, _ := bits.Add64(w.hi, o.hi, carry)
	return wide{hi, lo}
}

// over divides the sum by a time; the quotient fits in 64 bits. Over no time it is 0.
func (w wide) over(time time.Duration) float64 {
	if time <= 0 {
		return 0
	}
	quotient, rest := bits.Div64(w.hi, w.lo, uint64(time))
	return float64(quotient) + float64(rest)/float64(time)
}

// mean returns the mean of the counter from 0 to end, which is not before the
// last change. The mean over no time is 0.
func (a *integral) mean(end time.Duration) float64 {
	return wide{a.hi, a.lo}.add(a.value, uint64(end)).over(end)
}
