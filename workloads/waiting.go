package workloads

import (
	"container/heap"
	"time"

	"dmasim/allocator"
)

// request is a buffer that a source asked for, until it is served or dropped.
type request struct {
	op       Op     // as the source asked for it first
	number   uint64 // of the source's requests
	due      time.Duration
	expires  bool // due is the deadline, not a retry
	attempts uint64
	retries  uint64
	heap     int             // that is asked: 0 the client's own, else a fallback
	cause    allocator.Cause // of the last refusal
}

// waitingRoom holds the requests that wait, the earliest and then the oldest in front.
// Those without a lifetime are found by the name of their buffer.
type waitingRoom struct {
	slots  []request
	places []int // of the slots, in the order of the heap
	spare  []int // slots
	order  []int // slots, as a heap
	named  map[uint64]int
}

// first returns the request that is due first, nil if none waits for a time that comes.
func (w *waitingRoom) first() *request {
	if len(w.order) == 0 || w.slots[w.order[0]].due == never {
		return nil
	}
	return &w.slots[w.order[0]]
}

func (w *waitingRoom) add(q request) {
	var slot int
	if n := len(w.spare); n > 0 {
		slot, w.spare = w.spare[n-1], w.spare[:n-1]
	} else {
		slot = len(w.slots)
		w.slots, w.places = append(w.slots, request{}), append(w.places, 0)
	}
	w.slots[slot], w.places[slot] = q, len(w.order)
	w.order = append(w.order, slot)
	heap.Fix(w, len(w.order)-1) // Push would box the slot
	if q.op.Lifetime <= 0 {
		if w.named == nil {
			w.named = map[uint64]int{}
		}
		w.named[q.op.Buffer] = slot
	}
}

// takeFirst removes the request that is due first; there is one.
func (w *waitingRoom) takeFirst() request { return w.take(w.order[0]) }

// takeNamed removes the request for a buffer of that name, if one waits.
func (w *waitingRoom) takeNamed(name uint64) (q request, waited bool) {
	slot, waited := w.named[name]
	if !waited {
		return request{}, false
	}
	return w.take(slot), true
}

func (w *waitingRoom) take(slot int) request {
	q := w.slots[slot]
	place, last := w.places[slot], len(w.order)-1
	w.Swap(place, last)
	w.order = w.order[:last]
	if place < last {
		heap.Fix(w, place)
	}
	w.spare = append(w.spare, slot)
	if q.op.Lifetime <= 0 {
		delete(w.named, q.op.Buffer)
	}
	return q
}

// Len implements heap.Interface.
func (w *waitingRoom) Len() int { return len(w.order) }

// Less implements heap.Interface.
func (w *waitingRoom) Less(i, j int) bool {
	a, b := &w.slots[w.order[i]], &w.slots[w.order[j]]
	return a.due < b.due || a.due == b.due && a.number < b.number
}

// Swap implements heap.Interface.
func (w *waitingRoom) Swap(i, j int) {
	w.order[i], w.order[j] = w.order[j], w.order[i]
	w.places[w.order[i]], w.places[w.order[j]] = i, j
}

// Push implements heap.Interface; add takes its place.
func (w *waitingRoom) Push(any) {}

// Pop implements heap.Interface; take takes its place.
func (w *waitingRoom) Pop() any { return nil }
