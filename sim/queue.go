package sim

import "time"

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
)

func (d due) before(o due) bool {
	return d.at < o.at || (d.at == o.at && d.sequence < o.sequence)
}

// agenda is a 4-ary min-heap by (time, sequence). container/heap boxes every
// element, which is the larger part of the cost of an event.
type agenda []due

func (q *agenda) push(d due) {
	h := append(*q, d)
	i := len(h) - 1
	for i > 0 {
		parent := (i - 1) / 4
		if !d.before(h[parent]) {
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
	for {
		child := 4*i + 1
		if child >= len(h) {
			break
		}
		least := child
		for c := child + 1; c < min(child+4, len(h)); c++ {
			if h[c].before(h[least]) {
				least = c
			}
		}
		if !h[least].before(last) {
			break
		}
		h[i] = h[least]
		i = least
	}
	h[i] = last
	return first
}
