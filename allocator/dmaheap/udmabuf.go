package dmaheap

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"unsafe"
)

const udmabufPath = "/dev/udmabuf"

// NewMemfd returns a file in memory of size bytes, a multiple of the page size,
// that can be made a dma-buf: it cannot shrink.
func NewMemfd(name string, size uint64) (*os.File, error) {
	fd, err := newMemfd(name, size)
	if err != nil {
		return nil, fail("make", "memfd "+name, err)
	}
	return os.NewFile(fd, name), nil
}

// FromMemfd makes a dma-buf of a piece of a file in memory. Offset and size are
// multiples of the page size. The pages are those of the file, so writing to it
// writes to the buffer, and they are pinned and charged like the file's.
//
// The kernel refuses with EINVAL more than 64 MiB (size_limit_mb of module
// udmabuf) and a file that may shrink or may not be written, and with EBADFD a
// file that is not in memory.
func FromMemfd(memfd *os.File, offset, size uint64) (*Buffer, error) {
	const op, name = "make", "dma-buf of a memfd"
	device, err := openDevice(udmabufPath)
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("no %s: %w", udmabufPath, ErrUnsupported)
	}
	if err != nil {
		return nil, fail(op, name, err)
	}
	defer device.Close()
	var made uintptr
	err = control(memfd, func(file uintptr) error {
		request := udmabufCreate{memfd: uint32(file), flags: udmabufCloexec, offset: offset, size: size}
		return control(device, func(fd uintptr) (err error) {
			made, err = ioctlResult(fd, udmabufOne, unsafe.Pointer(&request))
			return err
		})
	})
	if err != nil {
		return nil, fail(op, name, err)
	}
	return newBuffer(made)
}
