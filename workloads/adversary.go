package workloads

import (
	"cmp"
	"fmt"
	"math/bits"
	"slices"
	"time"
)

// AdversaryKind names a program of requests that costs a strategy as much memory
// as possible.
type AdversaryKind string

// The adversaries.
const (
	// Robson's program costs every strategy that does not move blocks
	// M(log2(n)/2 + 1) - n + 1, for live bytes M and largest block n, which divides
	// M, both powers of two in units (Robson, "An estimate of the store size
	// necessary for dynamic storage allocation", Journal of the ACM 18(3), 1971, and
	// "Bounds for some functions concerning dynamic storage allocation", 21(3), 1974).
	Robson AdversaryKind = "robson"
	// BuddyKiller is the same game against strategies that align blocks to their
	// size: of each aligned slot it keeps one block. It costs them
	// M(log2(min(n, M/2))/2 + 1).
	BuddyKiller AdversaryKind = "buddy-killer"
	// BestFitKiller makes holes of m-3 units that nothing fits any more, one in a
	// round: best fit needs (m-2)(k+2) after k rounds for live units of k+5m-13,
	// first fit little more than what is live (Robson, "Worst case fragmentation of
	// first fit and best fit storage allocation strategies", Computer Journal 20(3),
	// 1977).
	BestFitKiller AdversaryKind = "best-fit-killer"
	// FirstFitKiller fills up with blocks of 1, 2, 3 and so on to n units, and before
	// each size keeps the fewest live units that leave no hole for it, so that first
	// fit and best fit go on behind the last block. Nothing is published that it is
	// made after; its bound is what it costs them, counted by playing it, and up to a
	// quarter more than Robson's for n much less than M. First fit never needs more
	// than M·H(n)/ln 2, for the harmonic number H (Knuth, The Art of Computer
	// Programming, volume 1, section 2.5, exercise 43, after Robson's paper of 1977).
	FirstFitKiller AdversaryKind = "first-fit-killer"
	// NextFitKiller allocates m-1 units and one, and frees the m-1, in each of k
	// rounds: next fit and worst fit go on to fresh memory and need k·m for k+m-1
	// live units, first fit and best fit come back to the same place.
	NextFitKiller AdversaryKind = "next-fit-killer"
)

// AdversaryKinds returns the adversaries, sorted by name.
func AdversaryKinds() []AdversaryKind {
	return []AdversaryKind{BestFitKiller, BuddyKiller, FirstFitKiller, NextFitKiller, Robson}
}

// AdversaryConfig describes an adversary. Sizes are whole units.
type AdversaryConfig struct {
	Kind    AdversaryKind
	Unit    uint64        // bytes of the smallest block
	Live    uint64        // bytes that live at most, of Robson, BuddyKiller and FirstFitKiller
	Largest uint64        // bytes of the largest block
	Rounds  uint64        // of the others
	Every   time.Duration // from one operation to the next
	Base    uint64        // address at which the memory of the heap begins
}

// maxAdversaryUnits bounds the live blocks, which an adversary remembers.
const maxAdversaryUnits = 1 << 22

// maxSpreadUnits bounds those of FirstFitKiller, which is played once to know its bound.
const maxSpreadUnits = 1 << 18

// Adversary is a closed loop: what it frees depends on where blocks lie, and it ends
// at the first request that fails. Its memory is in proportion to its live blocks.
type Adversary struct {
	config AdversaryConfig
	m, n   uint64 // units
	bound  uint64

	step    uint64 // the size of the last step, in units; of those with rounds: those played
	residue uint64 // of Robson, in units
	live    []placedBlock
	plan    []planned // what comes next
	next    int       // in plan
	last    Op
	names   uint64 // handed out
	at      time.Duration
	over    bool

	lo, hi  uint64 // of all blocks so far, in bytes
	started bool   // there was one

	// Names that BestFitKiller keeps.
	front   uint64
	ones    []uint64 // one behind each hole
	blocked []uint64 // what to free to widen the hole before the last one
	moved   []uint64 // the next ones
}

// placedBlock is a live block, in bytes.
type placedBlock struct{ name, addr, size uint64 }

func (b placedBlock) end() uint64 { return b.addr + b.size }

// planned is an allocation of a size in units, or with size 0 a free.
type planned struct{ name, size uint64 }

// NewAdversary returns the adversary that config describes.
func NewAdversary(config AdversaryConfig) (*Adversary, error) {
	a := &Adversary{config: config}
	if err := a.prepare(); err != nil {
		return nil, fmt.Errorf("%s: %w", config.Kind, err)
	}
	return a, nil
}

func (a *Adversary) prepare() error {
	c := &a.config
	switch {
	case c.Unit == 0:
		return fmt.Errorf("unit is 0")
	case c.Every <= 0:
		return fmt.Errorf("every is %v, want more than 0", c.Every)
	case c.Largest%c.Unit != 0 || c.Live%c.Unit != 0:
		return fmt.Errorf("live and largest must be whole units of %d bytes", c.Unit)
	}
	a.m, a.n = c.Live/c.Unit, c.Largest/c.Unit
	switch c.Kind {
	case Robson, BuddyKiller:
		if bits.OnesCount64(a.n) != 1 || a.n < 2 {
			return fmt.Errorf("largest is %d units of %d bytes, want a power of two, at least 2", a.n, c.Unit)
		}
		if a.m == 0 || a.m%a.n != 0 || a.m > maxAdversaryUnits {
			return fmt.Errorf("live is %d units of %d bytes, want a multiple of largest, which is %d, and at most %d", a.m, c.Unit, a.n, maxAdversaryUnits)
		}
		if c.Kind == BuddyKiller && bits.OnesCount64(a.m) != 1 {
			return fmt.Errorf("live is %d units of %d bytes, want a power of two", a.m, c.Unit)
		}
		if c.Rounds != 0 {
			return fmt.Errorf("rounds are for other adversaries")
		}
	case FirstFitKiller:
		if a.m == 0 || a.m > maxSpreadUnits {
			return fmt.Errorf("live is %d units of %d bytes, want 1 to %d", a.m, c.Unit, maxSpreadUnits)
		}
		if a.n < 2 || a.n > a.m {
			return fmt.Errorf("largest is %d units of %d bytes, want 2 to %d", a.n, c.Unit, a.m)
		}
		if c.Rounds != 0 {
			return fmt.Errorf("rounds are for other adversaries")
		}
	case BestFitKiller, NextFitKiller:
		least := uint64(2)
		if c.Kind == BestFitKiller {
			least = 6
		}
		if a.n < least || a.n > maxAdversaryUnits {
			return fmt.Errorf("largest is %d units of %d bytes, want %d to %d", a.n, c.Unit, least, maxAdversaryUnits)
		}
		if c.Rounds == 0 || c.Rounds > maxAdversaryUnits/a.n {
			return fmt.Errorf("rounds are %d, want 1 to %d", c.Rounds, maxAdversaryUnits/a.n)
		}
		if c.Live != 0 {
			return fmt.Errorf("live follows from largest and rounds")
		}
	default:
		return fmt.Errorf("there is no such adversary")
	}
	needs := a.needs()
	if c.Unit > MaxSize/needs {
		return fmt.Errorf("needs more than %d bytes", MaxSize)
	}
	a.bound = needs * c.Unit
	return nil
}

// needs returns the bound in units.
func (a *Adversary) needs() uint64 {
	log2 := uint64(bits.Len64(a.n) - 1)
	switch k := a.config.Rounds; a.config.Kind {
	case Robson:
		return a.m*log2/2 + a.m - a.n + 1
	case BuddyKiller:
		if a.n == a.m { // of the last step nothing fits into what may live
			log2--
		}
		return a.m*log2/2 + a.m
	case FirstFitKiller:
		return firstFitNeeds(a.m, a.n)
	case BestFitKiller:
		return (a.n - 2) * (k + 2)
	default:
		return a.n * k
	}
}

// Kind returns which adversary it is.
func (a *Adversary) Kind() AdversaryKind { return a.config.Kind }

// Bound returns the bytes that the strategies which the adversary is made for need
// at least.
func (a *Adversary) Bound() uint64 { return a.bound }

// Reached returns the bytes from the lowest to the highest address that any block
// had so far.
func (a *Adversary) Reached() uint64 { return a.hi - a.lo }

// ClosedLoop implements [Reactive].
func (a *Adversary) ClosedLoop() bool { return true }

// Err implements [Source]; an adversary does not fail.
func (a *Adversary) Err() error { return nil }

// Next implements [Source].
func (a *Adversary) Next(last *Outcome) (Op, bool) {
	if last != nil && !a.learn(last) {
		a.over = true
	}
	for !a.over && a.next == len(a.plan) {
		a.plan, a.next = a.plan[:0], 0
		a.over = !a.think()
	}
	if a.over {
		return Op{}, false
	}
	p := a.plan[a.next]
	a.next++
	op := Op{At: a.at, Kind: Alloc, Buffer: p.name, Size: p.size * a.config.Unit}
	if p.size == 0 {
		op.Kind = Free
	}
	a.at += a.config.Every
	a.last = op
	return op, a.at > 0
}

// learn notes where a block went. It returns false if there was no room.
func (a *Adversary) learn(last *Outcome) bool {
	if a.last.Kind == Free {
		return true
	}
	if last.Cause != 0 {
		return false
	}
	if !a.started {
		a.lo, a.started = last.Addr, true
	}
	a.lo, a.hi = min(a.lo, last.Addr), max(a.hi, last.Addr+a.last.Size)
	if a.config.Rounds == 0 {
		a.live = append(a.live, placedBlock{a.last.Buffer, last.Addr - a.config.Base, a.last.Size})
	}
	return true
}

func (a *Adversary) alloc(size uint64) (name uint64) {
	name = a.names
	a.names++
	a.plan = append(a.plan, planned{name, size})
	return name
}

func (a *Adversary) free(name uint64) { a.plan = append(a.plan, planned{name: name}) }

// think plans the next step. It returns false at the end.
func (a *Adversary) think() bool {
	switch a.config.Kind {
	case Robson:
		return a.grow(2*a.step, a.chooseByResidue)
	case BuddyKiller:
		return a.grow(2*a.step, a.chooseBySlot)
	case FirstFitKiller:
		return a.grow(a.step+1, a.chooseSpread)
	}
	if a.step == a.config.Rounds {
		return false
	}
	if a.step++; a.config.Kind == BestFitKiller {
		a.spoilBestFit()
	} else {
		comb := a.alloc(a.n - 1)
		a.alloc(1)
		a.free(comb)
	}
	return true
}

// grow plans a step: what is not kept is freed, and larger blocks take its place among
// the live.
func (a *Adversary) grow(step uint64, keep func() (kept int)) bool {
	if a.step == 0 {
		for range a.m {
			a.alloc(1)
		}
		a.step = 1
		return true
	}
	if a.step == a.n {
		return false
	}
	a.step = step
	kept := keep() // sorted to the front
	for _, b := range a.live[kept:] {
		a.free(b.name)
	}
	a.live = a.live[:kept]
	var live uint64
	for _, b := range a.live {
		live += b.size / a.config.Unit
	}
	for range (a.m - live) / a.step {
		a.alloc(a.step)
	}
	return true
}

// chooseByResidue keeps the blocks that lie over the addresses of a residue, modulo
// the step; of the two it may choose it takes the one that spoils more memory.
func (a *Adversary) chooseByResidue() int {
	step := a.step * a.config.Unit
	occupies := func(b placedBlock, residue uint64) bool { return (residue*a.config.Unit-b.addr)%step < b.size }
	var spoilt [2]uint64
	for i := range spoilt {
		for _, b := range a.live {
			if occupies(b, a.residue+uint64(i)*a.step/2) {
				spoilt[i] += step - b.size
			}
		}
	}
	if spoilt[1] > spoilt[0] {
		a.residue += a.step / 2
	}
	kept := 0
	for i, b := range a.live {
		if occupies(b, a.residue) {
			a.live[i], a.live[kept] = a.live[kept], b
			kept++
		}
	}
	return kept
}

// chooseBySlot keeps, of the blocks that begin in one aligned slot of the step's
// size, the smallest, the lowest of equals.
func (a *Adversary) chooseBySlot() int {
	step := a.step * a.config.Unit
	slices.SortFunc(a.live, func(x, y placedBlock) int { return cmp.Compare(x.addr, y.addr) })
	kept := 0
	for i, b := range a.live {
		if kept > 0 && a.live[kept-1].addr/step == b.addr/step {
			if b.size < a.live[kept-1].size {
				a.live[kept-1], a.live[i] = b, a.live[kept-1]
			}
			continue
		}
		a.live[i], a.live[kept] = a.live[kept], b
		kept++
	}
	return kept
}

// spoilBestFit plans a round: R is a reserved block and F a free one of so many
// units, and memory is R(m-2), then F(m-3) R(1) for each round so far. The hole in
// front of each R(1) is widened by one and filled again from its end.
func (a *Adversary) spoilBestFit() {
	m := a.n
	if a.step == 1 {
		a.front = a.alloc(m - 2)
	}
	x, y := a.alloc(m-2), a.alloc(m-2)
	a.blocked = append(append(a.blocked[:0], a.front), a.ones...)
	a.free(a.blocked[len(a.blocked)-1])
	a.free(x)
	big, middle := a.alloc(m), a.alloc(m-5)
	a.moved = append(a.moved[:0], a.alloc(1))
	a.free(big)
	for _, before := range slices.Backward(a.blocked[:len(a.blocked)-1]) {
		filler, rest := a.alloc(m-2), a.alloc(2)
		a.free(before)
		a.free(filler)
		big, moved := a.alloc(m), a.alloc(m-5)
		a.moved = append(a.moved, a.alloc(1))
		a.free(big)
		a.free(rest)
		a.free(middle)
		middle = moved
	}
	a.free(middle)
	a.front = a.alloc(m - 2)
	a.free(y)
	a.ones = append(a.ones[:0], a.moved...)
	slices.Reverse(a.ones)
}
