package dmaheap

import (
	"fmt"
	"os"
	"strconv"
	"unsafe"
)

// Access says what the CPU does to a buffer, or which accesses a fence is about.
type Access uint32

// The kinds of access, which can be combined.
const (
	Read  Access = 1 << 0
	Write Access = 1 << 1
)

// Buffer is a dma-buf: one descriptor of it.
type Buffer struct {
	file  *os.File
	size  uint64
	inode uint64
}

// newBuffer owns the descriptor, also when it fails.
func newBuffer(fd uintptr) (*Buffer, error) {
	b := &Buffer{file: os.NewFile(fd, "dma-buf")}
	if err := b.examine(); err != nil {
		b.file.Close() // the first error says why
		return nil, fail("examine", "dma-buf", err)
	}
	return b, nil
}

func (b *Buffer) examine() error {
	return control(b.file, func(fd uintptr) (err error) {
		b.size, b.inode, err = examine(fd)
		return err
	})
}

// FromFile returns the buffer behind a descriptor, which may have come from
// another process. The buffer has a descriptor of its own; f remains the
// caller's. It is an error if f is no dma-buf.
func FromFile(f *os.File) (*Buffer, error) {
	var fd uintptr
	err := control(f, func(from uintptr) error {
		if err := checkDMABuf(from); err != nil {
			return err
		}
		var err error
		fd, err = duplicate(from)
		return err
	})
	if err != nil {
		return nil, fail("take", "dma-buf from a file", err)
	}
	return newBuffer(fd)
}

// Size returns the size in bytes: whole pages.
func (b *Buffer) Size() uint64 { return b.size }

// Inode returns the number by which the kernel's accounting names the buffer.
func (b *Buffer) Inode() uint64 { return b.inode }

func (b *Buffer) String() string { return "dma-buf " + strconv.FormatUint(b.inode, 10) }

// File returns another descriptor of the buffer, for polling, or for passing to
// a child or over a socket. The caller closes it.
func (b *Buffer) File() (*os.File, error) {
	fd, err := b.duplicate()
	if err != nil {
		return nil, err
	}
	return os.NewFile(fd, b.String()), nil
}

// Dup returns the same buffer with another descriptor.
func (b *Buffer) Dup() (*Buffer, error) {
	fd, err := b.duplicate()
	if err != nil {
		return nil, err
	}
	return newBuffer(fd)
}

func (b *Buffer) duplicate() (fd uintptr, err error) {
	err = control(b.file, func(from uintptr) error {
		fd, err = duplicate(from)
		return err
	})
	return fd, fail("duplicate", b.String(), err)
}

// Close closes the descriptor. The memory is given back when nothing else refers
// to it. A second Close is an error.
func (b *Buffer) Close() error { return fail("close", b.String(), closeFile(b.file)) }

// SetName names the buffer in the kernel's accounting: at most 31 bytes, more
// are EINVAL. A line break in a name breaks the lines of that accounting.
func (b *Buffer) SetName(name string) error {
	text := append([]byte(name), 0)
	return b.request(fmt.Sprintf("name %q", name), bufSetName, unsafe.Pointer(&text[0]))
}

// BeginCPUAccess tells the kernel that the CPU is going to access the buffer. It
// waits for the fences that stand against that: those of writers, and, for a
// write, those of readers. On a device that is not coherent it makes what the
// device wrote visible. [Mapping.Access] does it for a mapping.
func (b *Buffer) BeginCPUAccess(access Access) error {
	flags := uint64(access)
	return b.request("begin CPU access to", bufSync, unsafe.Pointer(&flags))
}

// EndCPUAccess tells the kernel that the access that was begun is over.
func (b *Buffer) EndCPUAccess(access Access) error {
	flags := uint64(access) | syncEnd
	return b.request("end CPU access to", bufSync, unsafe.Pointer(&flags))
}

// ExportSyncFile returns the fences that stand against an access at this moment,
// as a sync_file: it can be polled for reading once all have signalled. The
// caller closes it. [ErrUnsupported] before Linux 6.0.
func (b *Buffer) ExportSyncFile(access Access) (*os.File, error) {
	request := syncFile{flags: uint32(access), fd: -1}
	if err := b.request("export a sync_file of", bufExportSync, unsafe.Pointer(&request)); err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(request.fd), "sync_file"), nil
}

// ImportSyncFile adds the fences of a sync_file to the buffer, as those of a
// writer where access has [Write], and of a reader otherwise. f remains the
// caller's. [ErrUnsupported] before Linux 6.0.
func (b *Buffer) ImportSyncFile(f *os.File, access Access) error {
	const op = "import a sync_file into"
	var failed error
	err := control(f, func(fd uintptr) error {
		request := syncFile{flags: uint32(access), fd: int32(fd)}
		failed = b.request(op, bufImportSync, unsafe.Pointer(&request))
		return nil
	})
	if err != nil {
		return fail(op, b.String(), fmt.Errorf("sync_file: %w", err))
	}
	return failed
}

func (b *Buffer) request(op string, request uintptr, argument unsafe.Pointer) error {
	err := control(b.file, func(fd uintptr) error { return ioctl(fd, request, argument) })
	return fail(op, b.String(), err)
}
