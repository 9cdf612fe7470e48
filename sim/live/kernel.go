package live

import (
	"errors"
	"syscall"

	"dmasim/allocator"
	"dmasim/allocator/dmaheap"
	"dmasim/workloads/program"
)

// Kernel is a heap of the running kernel.
type Kernel struct{ *dmaheap.Heap }

// Alloc makes a buffer.
func (k Kernel) Alloc(bytes uint64) (Buffer, allocator.Cause, error) {
	buffer, err := k.Heap.Alloc(bytes)
	if err == nil {
		return buffer, allocator.None, nil
	}
	var errno syscall.Errno
	if errors.As(err, &errno) {
		if cause, known := causeOf(errno); known {
			return nil, cause, nil
		}
	}
	return nil, allocator.None, err
}

// causeOf returns the cause of a refusal; others are of the world outside.
func causeOf(errno syscall.Errno) (cause allocator.Cause, known bool) {
	switch errno {
	case 0:
		return allocator.None, true
	case syscall.ENOMEM:
		return allocator.Exhausted, true
	case syscall.EMFILE, syscall.ENFILE:
		return allocator.Limit, true
	}
	return allocator.None, false
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

// RehearsedProcess succeeds with everything and does nothing. Next is the last
// descriptor or address that one of them got.
type RehearsedProcess struct{ Next *int }

func (r RehearsedProcess) next() (int, syscall.Errno, error) {
	*r.Next++
	return *r.Next, 0, nil
}

// Open and the other methods pretend to do what [Process] says.
func (r RehearsedProcess) Open(int, bool) (int, syscall.Errno, error) { return r.next() }

func (r RehearsedProcess) Alloc(int, uint64, bool) (int, syscall.Errno, error) { return r.next() }

func (r RehearsedProcess) Dup(int, bool) (int, syscall.Errno, error) { return r.next() }

func (r RehearsedProcess) Close(int) (syscall.Errno, error) { return 0, nil }

func (r RehearsedProcess) Mmap(int, uint64) (uint64, syscall.Errno, error) {
	address, errno, err := r.next()
	return uint64(address), errno, err
}

func (r RehearsedProcess) Munmap(uint64, uint64) (syscall.Errno, error) { return 0, nil }

func (r RehearsedProcess) Touch(uint64, uint64, bool) error { return nil }

func (r RehearsedProcess) Sync(int, program.Access, bool) (syscall.Errno, error) { return 0, nil }

func (r RehearsedProcess) Fork() (Process, syscall.Errno, error) { return r, 0, nil }

func (r RehearsedProcess) Exec() (syscall.Errno, error) { return 0, nil }

func (r RehearsedProcess) Send(int) (Message, syscall.Errno, error) { return rehearsed(0), 0, nil }

func (r RehearsedProcess) Receive(Message, bool) (int, syscall.Errno, error) { return r.next() }

func (r RehearsedProcess) End() error { return nil }
