//go:build !linux

package dmaheap

import (
	"errors"
	"io/fs"
	"unsafe"
)

const (
	readWrite   = 0
	closeOnExec = 0
)

func ioctl(fd, request uintptr, argument unsafe.Pointer) error { return ErrUnsupported }

func ioctlResult(fd, request uintptr, argument unsafe.Pointer) (uintptr, error) {
	return 0, ErrUnsupported
}

func isUnknownRequest(error) bool { return false }

func isGone(err error) bool { return errors.Is(err, fs.ErrNotExist) }

func checkDMABuf(fd uintptr) error { return ErrUnsupported }

func examine(fd uintptr) (size, inode uint64, err error) { return 0, 0, ErrUnsupported }

func duplicate(fd uintptr) (uintptr, error) { return 0, ErrUnsupported }

func mapMemory(fd uintptr, size int, writable bool) ([]byte, error) { return nil, ErrUnsupported }

func unmapMemory(memory []byte) error { return ErrUnsupported }

func newMemfd(name string, size uint64) (uintptr, error) { return 0, ErrUnsupported }

func owner(fs.FileInfo) (uid, gid uint32) { return 0, 0 }

func inode(fs.FileInfo) uint64 { return 0 }
