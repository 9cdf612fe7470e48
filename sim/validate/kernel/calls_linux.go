//go:build amd64 || arm64 || riscv64

package kernel

import (
	"context"
	"errors"
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"

	"dmasim/allocator/dmaheap"
	"dmasim/sim/validate"
)

// Calls makes odd calls, and undoes what they do. All together they hold a few
// pages.
type Calls struct {
	descriptors map[validate.Target]int
	argument    []byte // what requests read and write
}

// OpenCalls opens the files that odd calls are about.
func OpenCalls() (*Calls, error) {
	c := &Calls{descriptors: map[validate.Target]int{validate.NotOpen: -1}, argument: make([]byte, 4096)}
	if err := c.open(); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

func (c *Calls) open() error {
	heap, err := dmaheap.Open("system") // says what is missing
	if err != nil {
		return err
	}
	if err := heap.Close(); err != nil {
		return err
	}
	fd, err := unix.Open(dmaheap.HeapFile{Name: "system"}.Path(), unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	c.descriptors[validate.HeapFile] = fd
	for _, b := range []struct {
		target validate.Target
		pages  uint64
		flags  uint32
	}{{validate.OnePage, 1, unix.O_RDWR}, {validate.SinglePages, 5, unix.O_RDWR}, {validate.ReadOnlyPage, 1, unix.O_RDONLY}, {validate.WriteOnlyPage, 1, unix.O_WRONLY}} {
		request := [3]uint64{b.pages * pageSize(), uint64(b.flags|unix.O_CLOEXEC) << 32}
		if errno := c.ioctl(fd, dmaheap.AllocateRequest, unsafe.Pointer(&request)); errno != 0 {
			return fmt.Errorf("allocate: %w", errno)
		}
		c.descriptors[b.target] = int(uint32(request[1]))
	}
	if fd, err = unix.MemfdCreate("dmasim", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING); err != nil {
		return err
	}
	c.descriptors[validate.Memfd] = fd
	if err := unix.Ftruncate(fd, int64(pageSize())); err != nil {
		return err
	}
	export := [2]uint32{3}
	const exportSync = 3<<30 | 8<<16 | 'b'<<8 | 2
	if errno := c.ioctl(c.descriptors[validate.OnePage], exportSync, unsafe.Pointer(&export)); errno != 0 {
		return fmt.Errorf("export a sync_file: %w", errno)
	}
	c.descriptors[validate.SyncFile] = int(export[1])
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	c.descriptors[validate.HighDescriptor] = int(limit.Cur)
	return nil
}

func (c *Calls) ioctl(fd int, request uint64, argument unsafe.Pointer) unix.Errno {
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), uintptr(request), uintptr(argument))
	return errno
}

// Do makes one call.
func (c *Calls) Do(call validate.OddCall) (validate.Errno, error) {
	fd := c.descriptors[call.Target]
	number := func(trap uintptr, a ...uintptr) (uintptr, unix.Errno) {
		var args [6]uintptr
		copy(args[:], a)
		r, _, errno := unix.Syscall6(trap, args[0], args[1], args[2], args[3], args[4], args[5])
		return r, errno
	}
	buffer := uintptr(unsafe.Pointer(&c.argument[0]))
	var errno unix.Errno
	var undo error
	switch call.System {
	case validate.Ioctl, validate.FullTable:
		errno, undo = c.request(fd, call)
	case validate.Lseek:
		_, errno = number(unix.SYS_LSEEK, uintptr(fd), uintptr(call.A), uintptr(call.B))
	case validate.MmapCall:
		protection, flags := uintptr(unix.PROT_READ), uintptr(unix.MAP_SHARED)
		if call.C&validate.MmapWrite != 0 {
			protection |= unix.PROT_WRITE
		}
		if call.C&validate.MmapPrivate != 0 {
			flags = unix.MAP_PRIVATE
		}
		var at uintptr
		if at, errno = number(unix.SYS_MMAP, 0, uintptr(call.B), protection, flags, uintptr(fd), uintptr(call.A)); errno == 0 {
			_, undone := number(unix.SYS_MUNMAP, at, uintptr(call.B))
			undo = asError(undone)
		}
	case validate.ReadCall:
		_, errno = number(unix.SYS_READ, uintptr(fd), buffer, 1)
	case validate.WriteCall:
		_, errno = number(unix.SYS_WRITE, uintptr(fd), buffer, 1)
	case validate.Fsync:
		_, errno = number(unix.SYS_FSYNC, uintptr(fd))
	case validate.Ftruncate:
		_, errno = number(unix.SYS_FTRUNCATE, uintptr(fd), uintptr(call.A))
	case validate.Dup3:
		_, errno = number(unix.SYS_DUP3, uintptr(fd), uintptr(c.descriptors[validate.Target(call.A)]), unix.O_CLOEXEC)
	case validate.DupAbove:
		_, errno = number(unix.SYS_FCNTL, uintptr(fd), unix.F_DUPFD_CLOEXEC, uintptr(call.A))
	case validate.AddSeals:
		_, errno = number(unix.SYS_FCNTL, uintptr(fd), unix.F_ADD_SEALS, unix.F_SEAL_SHRINK)
	case validate.OpenFolder:
		name := [2]byte{'x'}
		_, errno = number(unix.SYS_OPENAT, uintptr(fd), uintptr(unsafe.Pointer(&name)), unix.O_RDONLY)
	default:
		return "", fmt.Errorf("unknown system call %d", call.System)
	}
	return errnoName(errno), undo
}

func asError(errno unix.Errno) error {
	if errno == 0 {
		return nil
	}
	return errno
}

// request makes a request. A descriptor that it makes is the lowest free one, also
// where nobody is told of it.
func (c *Calls) request(fd int, call validate.OddCall) (errno unix.Errno, failed error) {
	clear(c.argument)
	words := unsafe.Slice((*uint64)(unsafe.Pointer(&c.argument[0])), 4)
	words[0], words[1], words[2] = call.A, call.B, call.C
	makes := call.Target == validate.HeapFile
	switch call.Request {
	case 1<<30 | 8<<16 | 'b'<<8 | 1, 1<<30 | 4<<16 | 'b'<<8 | 1: // a name
		for i := range call.A {
			c.argument[i] = 'n'
		}
		c.argument[call.A] = 0
	case 3<<30 | 8<<16 | 'b'<<8 | 2: // export
		words[0] = call.A // flags, and 0 for the descriptor
		makes = true
	case 1<<30 | 8<<16 | 'b'<<8 | 3: // import
		words[0] = call.A | uint64(uint32(c.descriptors[validate.Target(call.B)]))<<32
	}
	argument := unsafe.Pointer(&c.argument[0])
	switch call.Pointer {
	case validate.Null:
		argument = nil
	case validate.Unmapped:
		gone, err := unix.Mmap(-1, 0, int(pageSize()), unix.PROT_READ, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
		if err != nil {
			return 0, err
		}
		argument = unsafe.Pointer(&gone[0])
		if err := unix.Munmap(gone); err != nil {
			return 0, err
		}
	}
	lowest, err := unix.FcntlInt(uintptr(c.descriptors[validate.HeapFile]), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	if err := unix.Close(lowest); err != nil {
		return 0, err
	}
	if call.System == validate.FullTable {
		var limit unix.Rlimit
		if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
			return 0, err
		}
		full := unix.Rlimit{Cur: uint64(lowest), Max: limit.Max}
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &full); err != nil {
			return 0, err
		}
		defer func() { failed = errors.Join(failed, unix.Setrlimit(unix.RLIMIT_NOFILE, &limit)) }()
	}
	errno = c.ioctl(fd, call.Request, argument)
	if errno == 0 && makes {
		failed = unix.Close(lowest)
	}
	return errno, failed
}

// Close closes all files.
func (c *Calls) Close() error {
	var failed error
	for target, fd := range c.descriptors {
		if target != validate.NotOpen && target != validate.HighDescriptor {
			failed = errors.Join(failed, unix.Close(fd))
		}
	}
	return failed
}

func runCalls(ctx context.Context, o *Options, r *Result) (err error) {
	calls, err := OpenCalls()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, calls.Close()) }()
	list := validate.OddCalls()
	o.begin("errno", len(list))
	aspect, err := validate.CompareCalls(ctx, list, validate.ModelCall, calls.Do)
	if err != nil {
		return err
	}
	r.Add(aspect)
	return nil
}
