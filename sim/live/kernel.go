package live

import (
	"errors"
	"syscall"

	"dmasim/allocator"
	"dmasim/allocator/dmaheap"
)

// Kernel is a heap of the running kernel.
type Kernel struct{ *dmaheap.Heap }

// Alloc makes a buffer.
func (k Kernel) Alloc(bytes uint64) (Buffer, allocator.Cause, error) {
	buffer, err := k.Heap.Alloc(bytes)
	switch {
	case err == nil:
		return buffer, allocator.None, nil
	case errors.Is(err, syscall.ENOMEM):
		return nil, allocator.Exhausted, nil
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
		return nil, allocator.Limit, nil
	}
	return nil, allocator.None, err
}

// Rehearsal is a heap that serves everything and takes nothing: for trying what
// would be done.
type Rehearsal struct{ Page uint64 }

// Alloc pretends to make a buffer.
func (r Rehearsal) Alloc(bytes uint64) (Buffer, allocator.Cause, error) {
	return rehearsed((bytes + r.Page - 1) / r.Page * r.Page), allocator.None, nil
}

type rehearsed uint64

func (r rehearsed) Size() uint64 { return uint64(r) }
func (r rehearsed) Close() error { return nil }
