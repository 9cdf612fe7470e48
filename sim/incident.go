package sim

import (
	"fmt"
	"time"

	"dmasim/mem"
)

// IncidentKind says what went wrong beside failed allocations.
type IncidentKind uint8

// The kinds of incidents.
const (
	// Scribble: a transfer wrote to memory of somebody else: the victim.
	Scribble IncidentKind = iota
	// WriteToFree: a transfer wrote to memory that nobody holds.
	WriteToFree
	// UseAfterFree: a buffer's memory was given back under a running transfer.
	UseAfterFree
	// StrayRead: a transfer read memory that is not the buffer's.
	StrayRead
	// StaleRead: the CPU read what its caches held, not what a device wrote.
	StaleRead
	// StaleTransfer: a device read memory while the CPU's caches, or somebody's
	// bounce buffers, held what it should have read; or a copy in its own that was
	// old.
	StaleTransfer
	// LostWrite: old data in bounce buffers were copied over newer ones.
	LostWrite
	// Race: a transfer or the CPU used a buffer while an unfinished transfer wrote
	// to it, or wrote while an unfinished one read.
	Race
	// Fault: a device emitted an address that leads nowhere; the transfer failed.
	Fault
	// OutOfMemory: memory ran out, and a process was killed: the victim.
	OutOfMemory
	// Panic: memory ran out, and no process was left to kill. The machine stops.
	Panic
	// DeadlineMissed: a wait ended because its time was over.
	DeadlineMissed
	// Misuse: a driver or process did what makes the kernel warn.
	Misuse
	// Leak: at the end, a buffer is held by descriptors that were never used
	// since they were inherited or received.
	Leak
	incidentKinds
)

// NumIncidentKinds is the number of kinds.
const NumIncidentKinds = int(incidentKinds)

var incidentNames = [incidentKinds]string{
	"scribble", "write-to-free", "use-after-free", "stray-read", "stale-read", "stale-transfer", "lost-write", "race", "fault",
	"out-of-memory", "panic", "deadline-missed", "misuse", "leak",
}

// String returns the name used in results, such as "stale-read".
func (k IncidentKind) String() string {
	if k < incidentKinds {
		return incidentNames[k]
	}
	return fmt.Sprintf("incident(%d)", uint8(k))
}

// IncidentKinds returns every kind.
func IncidentKinds() []IncidentKind {
	list := make([]IncidentKind, incidentKinds)
	for i := range list {
		list[i] = IncidentKind(i)
	}
	return list
}

// MarshalText implements encoding.TextMarshaler.
func (k IncidentKind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (k *IncidentKind) UnmarshalText(text []byte) error {
	for i, name := range incidentNames {
		if name == string(text) {
			*k = IncidentKind(i)
			return nil
		}
	}
	return fmt.Errorf("unknown kind of incident %q", text)
}

// IncidentReport is one thing that went wrong. Texts are for people; which of the
// fields mean something depends on the kind.
type IncidentReport struct {
	At     time.Duration
	Kind   IncidentKind
	Actor  string    // who did it: a device or a process
	Buffer uint64    // number of the event that allocated the buffer in question; 0: none
	Victim string    // whose memory or life it was
	Range  mem.Range // CPU-physical addresses that were touched; of a Fault, what the device emitted
	Detail string    // the circumstances, in words
}
