package trace

import (
	"time"

	"dmasim/workloads"
)

// Event is one event of a trace in the form that all readers produce and all
// writers take: an allocation or a free.
//
// A reader's events make sense one after the other: times do not decrease, an
// allocation has a size and a name that is not in use, and a free is that of a
// buffer that lives. What the recording has beside that is counted in [Losses].
type Event struct {
	At     time.Duration // by the clock of the recording, whose zero may be any time
	Kind   workloads.Kind
	Failed bool   // of an Alloc: it was not served when it was recorded, and has no Free
	Buffer uint64 // names the buffer while it lives
	Size   uint64 // bytes, at least 1; of a Free, that of its buffer
	Align  uint64 // bytes, of an Alloc; 0 and 1: any address
	Limit  uint64 // of an Alloc: the buffer ends at or below this offset; 0: anywhere
	Addr   uint64 // where the buffer was placed, if Placed
	Placed bool   // the recording tells the address
	Heap   string // where the buffer came from; "": the recording does not say
}

// rename replaces the buffer's name by one that nobody else has had: of an
// allocation by the next number, which names remembers until its free.
func (e *Event) rename(names map[uint64]uint64, next *uint64) {
	if e.Kind == workloads.Free {
		name := names[e.Buffer]
		delete(names, e.Buffer)
		e.Buffer = name
		return
	}
	if !e.Failed {
		names[e.Buffer] = *next
	}
	e.Buffer = *next
	*next++
}
