package sim

import "time"

// departure is the end of a buffer's lifetime.
type departure struct {
	at     time.Duration
	number uint64 // of the event that made the buffer: the tie-break
	slot   uint32
}

func (d departure) before(o departure) bool {
	return d.at < o.at || (d.at == o.at && d.number < o.number)
}

// departures is a 4-ary min-heap by (time, number). container/heap boxes every
// element, which is the larger part of the cost of an event.
type departures []departure

func (q *departures) push(d departure) {
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

// pop removes the earliest departure; the queue is not empty.
func (q *departures) pop() departure {
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
