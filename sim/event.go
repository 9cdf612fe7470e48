package sim

import (
	"time"

	"dmasim/allocator/ledger"
	"dmasim/sim/heap"
)

// Kind says what an event is.
type Kind uint8

// The kinds of events.
const (
	Alloc        Kind = iota // a buffer was asked for; Diagnosis says whether it was served
	Free                     // the last reference to a buffer went, and its memory
	Attach                   // a device was attached to a buffer
	Detach                   //
	Map                      // a buffer was mapped for a device; Diagnosis says whether it could be
	Unmap                    //
	Start                    // a device began a transfer
	End                      // a transfer is over, and its fence, if it has one, signalled
	Wait                     // a process has waited for a fence since Since
	AccessCPU                // the CPU read or wrote a buffer, or a bracket around that began or ended
	Incident                 // something went wrong: Event.Incident
	ProcessStart             // a process began
	ProcessEnd               // a process ended
	Kill                     // a process was killed for want of memory: Size is what was its own, and Pinned what dma-bufs held
)

// Event is one thing that happened. Which fields mean something depends on its
// kind.
type Event struct {
	Number    uint64 // from 1, in the order of execution
	At        time.Duration
	Kind      Kind
	Client    int // index into Config.Clients; -1: nobody's
	Heap      int
	Size      uint64            // payload in bytes; of a transfer, what it transfers
	Device    int               // index into Config.Devices
	Buffer    *heap.Buffer      // never nil; the zero Buffer where there is none
	Diagnosis *ledger.Diagnosis // never nil; of an allocation or a map, with Cause None if it was served
	Align     uint64            // of an allocation: what the request itself demands; see heap.Request
	Limit     uint64
	Since     time.Duration
	Pinned    uint64 // bytes
	Incident  *IncidentReport
}

// What events have that have none of their own. Nobody writes to them.
var (
	noBuffer heap.Buffer
	served   ledger.Diagnosis
)

// next makes the simulation's event the one after the last, of this kind and with
// nothing else set. Whoever has filled it in emits it.
func (s *Simulation) next(kind Kind, client, heap int) *Event {
	e := &s.event      // field by field: a whole Event that is copied waits for its parts
	if e.Kind > Free { // what events of allocations and frees never have
		e.Device, e.Since, e.Pinned, e.Incident = 0, 0, 0, nil
	}
	e.Number++
	e.At, e.Kind, e.Client, e.Heap = s.now, kind, client, heap
	e.Size, e.Align, e.Limit = 0, 0, 0
	e.Buffer, e.Diagnosis = &noBuffer, &served
	return e
}

// Observer watches a simulation. It must not keep the event, nor what the event
// points to.
type Observer interface {
	// Advance is called before an event that is later than the last one: the
	// state of the heaps held until now, and not beyond.
	Advance(now time.Duration)
	// Event is called after each event.
	Event(*Event)
}

// Sampler is an observer that looks at few instants. Where all observers are, the
// time passes unobserved between them.
type Sampler interface {
	Observer
	// Due returns the time from which on Advance has to be called again. It is asked
	// before the first event, and after each call.
	Due() time.Duration
}
