package workloads

import (
	"time"

	"dmasim/allocator"
)

// Kind says what an operation does.
type Kind uint8

// The kinds of operations.
const (
	Alloc Kind = iota // allocate a buffer
	Free              // drop the buffer that an earlier Alloc of this source made
)

// Op is one operation on a buffer.
type Op struct {
	At     time.Duration // since the start, not before the previous operation of the source
	Kind   Kind
	Buffer uint64 // names the buffer; an Alloc may reuse the name of a freed one
	Client int    // Alloc: which of the source's clients asks
	Size   uint64 // Alloc: payload in bytes, at least 1
	// Align, for an Alloc, is what the address has to be a multiple of, beside
	// what the client's devices demand; 0 and 1 mean anything.
	Align uint64
	// Limit, for an Alloc, is where the buffer has to end at most, in bytes from
	// the start of its heap; 0 means anywhere.
	Limit uint64
	// Lifetime, for an Alloc, is the time after which the buffer is freed;
	// 0 means that a Free follows, or that the buffer lives until the end.
	Lifetime time.Duration
}

// Outcome is what became of an operation. A Free of a buffer whose Alloc had
// failed has Cause None and does nothing.
type Outcome struct {
	Op    Op
	Cause allocator.Cause // None: served
	// Addr, of an Alloc that a carveout served in a simulation, is where the block
	// begins; of anything else it means nothing.
	Addr uint64
}

// Reactive is a source that may look at outcomes, so that its work depends on the
// allocator.
type Reactive interface {
	Source
	// ClosedLoop reports whether it does.
	ClosedLoop() bool
}

// Source produces operations.
type Source interface {
	// Next returns the next operation, or false at the end of the work or after
	// an error. last is the outcome of the source's previous operation, nil at
	// the first call; it is good until Next returns.
	Next(last *Outcome) (Op, bool)
	// Err returns the error that ended the source, if one did.
	Err() error
}

// BatchSource is a source that looks at no outcomes, so that many of its operations
// can be asked for at once.
type BatchSource interface {
	Source
	// Fill writes the next operations to ops and returns how many: fewer than there
	// is room for only at the end of the work or at an error.
	Fill(ops []Op) int
}

// Counted is a source that may know how much work it has before it has done any.
type Counted interface {
	Source
	// Operations returns how many operations it has from beginning to end, 0 where that
	// is not known. A free has an allocation before it.
	Operations() uint64
}
