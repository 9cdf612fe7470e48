package sim

import (
	"time"

	"dmasim/allocator/ledger"
	"dmasim/sim/heap"
	"dmasim/workloads"
)

// Event is one operation and what became of it.
type Event struct {
	Number    uint64 // from 1, in the order of execution
	At        time.Duration
	Kind      workloads.Kind
	Client    int
	Heap      int
	Size      uint64 // payload in bytes
	Buffer    heap.Buffer
	Diagnosis ledger.Diagnosis // of an allocation; Cause None: served
}

// Observer watches a simulation. It must not keep the event.
type Observer interface {
	// Advance is called before an event that is later than the last one: the
	// state of the heaps held until now, and not beyond.
	Advance(now time.Duration)
	// Event is called after each event.
	Event(*Event)
}
