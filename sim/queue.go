package sim

import (
	"math/bits"
	"time"
)

// due is something that happens at a time known beforehand.
type due struct {
	at       time.Duration
	sequence uint64 // in which it was scheduled: the tie-break
	what     what
	index    uint32 // of the buffer, process or transfer
	turn     uint32 // of a process's wait
}

// what happens.
type what uint8

const (
	departure   what = iota // a buffer's lifetime ends
	wakeProcess             // a process goes on
	waitOver                // a process has waited long enough
	transferEnd
	transferStart // a device may begin its next transfer
	pinOver       // a process lets go of pages it held in place
	heapWork      // a heap frees what it had put off
	iommuFlush    // an IOMMU group's flush timer
	iommuTrim     // an IOMMU group's caches are trimmed
)

// before returns 1 if d is due before o, else 0. What is due next is as good as
// random, so that a branch on it would be guessed wrong half of the time: the two
// keys are subtracted as numbers of 128 bits. Times are not negative.
func (d *due) before(o *due) int {
	_, borrow := bits.Sub64(d.sequence, o.sequence, 0)
	_, borrow = bits.Sub64(uint64(d.at), uint64(o.at), borrow)
	return int(borrow)
}

// agenda is a 4-ary min-heap by (time, sequence). container/heap boxes every
// element, which is the larger part of the cost of an event.
type agenda []due

func (q *agenda) push(d due) {
	h := append(*q, d)
	i := len(h) - 1
	for i > 0 {
		parent := (i - 1) / 4
		if d.before(&h[parent]) == 0 {
			break
		}
		h[i] = h[parent]
		i = parent
	}
	h[i] = d
	*q = h
}

// pop removes the earliest; the agenda is not empty.
func (q *agenda) pop() due {
	h := *q
	first, last := h[0], h[len(h)-1]
	h = h[:len(h)-1]
	*q = h
	if len(h) == 0 {
		return first
	}
	i := 0
	for 4*i+1 < len(h) {
		least := h.earliestChild(i)
		if h[least].before(&last) == 0 {
			break
		}
		h[i] = h[least]
		i = least
	}
	h[i] = last
	return first
}

// earliestChild returns the child of i that is due first; i has one.
func (q agenda) earliestChild(i int) int {
	child := 4*i + 1
	if child+4 <= len(q) {
		c := q[child : child+4 : child+4]
		low := c[1].before(&c[0])
		high := 2 + c[3].before(&c[2])
		return child + low + (high-low)*c[high].before(&c[low])
	}
	least := child
	for c := child + 1; c < len(q); c++ {
		least += (c - least) * q[c].before(&q[least])
	}
	return least
}
