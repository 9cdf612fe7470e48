package dmaheap

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"
	"unsafe"
)

const heapDir = "dev/dma_heap"

// HeapFile is the device file of a heap.
type HeapFile struct {
	Name     string
	Mode     fs.FileMode
	UID, GID uint32
}

// Path returns the path of the device file.
func (h HeapFile) Path() string { return "/" + path.Join(heapDir, h.Name) }

// List returns the device files of heaps below root, which is the root of a file
// system, in the order of their names; see [os.DirFS]. Whether one may be opened
// shows when it is opened. Without a folder of heaps it returns [ErrUnsupported].
func List(root fs.FS) ([]HeapFile, error) {
	entries, err := fs.ReadDir(root, heapDir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("list heaps: no /%s: %w", heapDir, ErrUnsupported)
	}
	if err != nil {
		return nil, fmt.Errorf("list heaps: %w", err)
	}
	var heaps []HeapFile
	for _, entry := range entries {
		info, err := fs.Stat(root, path.Join(heapDir, entry.Name()))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return heaps, fmt.Errorf("list heaps: %w", err)
		}
		if info.Mode()&fs.ModeCharDevice == 0 {
			continue
		}
		h := HeapFile{Name: entry.Name(), Mode: info.Mode()}
		h.UID, h.GID = owner(info)
		heaps = append(heaps, h)
	}
	return heaps, nil
}

// Heap is an open heap.
type Heap struct {
	name string
	file *os.File
}

// Open opens the heap of that name, such as "system". The errors are
// [*PermissionError], [ErrUnsupported] on a system without heaps, and
// [fs.ErrNotExist], with the names that there are, where it has others.
func Open(name string) (*Heap, error) {
	if name == "" || name == "." || name == ".." || strings.ContainsAny(name, "/\x00") {
		return nil, &Error{"open", fmt.Sprintf("heap %q", name), fs.ErrInvalid}
	}
	file, err := openDevice(HeapFile{Name: name}.Path())
	if err == nil {
		return &Heap{name, file}, nil
	}
	if errors.Is(err, fs.ErrNotExist) {
		heaps, listErr := List(os.DirFS("/"))
		if listErr != nil {
			return nil, listErr
		}
		names := make([]string, len(heaps))
		for i, h := range heaps {
			names[i] = h.Name
		}
		err = fmt.Errorf("%w: the heaps are %s", fs.ErrNotExist, strings.Join(names, ", "))
	}
	return nil, &Error{"open", "heap " + name, err}
}

// Name returns the name of the heap.
func (h *Heap) Name() string { return h.name }

// Close closes the heap. Its buffers stay.
func (h *Heap) Close() error { return fail("close", "heap "+h.name, closeFile(h.file)) }

// Alloc allocates a buffer of size bytes, rounded up to whole pages, for reading
// and writing.
//
// The system heap of Linux knows no limit: a request that is larger than free
// memory ends in the out-of-memory killer, not in an error.
func (h *Heap) Alloc(size uint64) (*Buffer, error) {
	return h.AllocFlags(size, readWrite|closeOnExec, 0)
}

// AllocFlags allocates a buffer with flags as the kernel takes them: of the
// descriptor, O_CLOEXEC and an access mode, and of the heap, for which Linux 6.12
// knows none. Others are EINVAL.
func (h *Heap) AllocFlags(size uint64, descriptor uint32, heap uint64) (*Buffer, error) {
	request := allocation{length: size, fdFlags: descriptor, heapFlags: heap}
	err := control(h.file, func(fd uintptr) error {
		return ioctl(fd, heapAllocate, unsafe.Pointer(&request))
	})
	if err != nil {
		return nil, fail(fmt.Sprintf("allocate %d bytes from", size), "heap "+h.name, err)
	}
	return newBuffer(uintptr(request.fd))
}

// closeFile closes a file that may be closed already, or none.
func closeFile(f *os.File) error {
	err := f.Close()
	if errors.Is(err, fs.ErrInvalid) || errors.Is(err, fs.ErrClosed) {
		return fs.ErrClosed
	}
	return err
}
