package dmaheap

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	readWrite   = unix.O_RDWR
	closeOnExec = unix.O_CLOEXEC
)

// ioctl is unix.IoctlX for any argument, tried again when a signal interrupts it.
func ioctl(fd, request uintptr, argument unsafe.Pointer) error {
	_, err := ioctlResult(fd, request, argument)
	return err
}

// ioctlResult returns what the request returns, such as a descriptor.
func ioctlResult(fd, request uintptr, argument unsafe.Pointer) (uintptr, error) {
	for {
		result, _, errno := unix.Syscall(unix.SYS_IOCTL, fd, request, uintptr(argument))
		switch errno {
		case 0:
			return result, nil
		case unix.EINTR:
		default:
			return 0, errno
		}
	}
}

// isUnknownRequest reports whether err says that a file has no such request.
func isUnknownRequest(err error) bool { return errors.Is(err, unix.ENOTTY) }

// isGone reports whether err says that a process has ended.
func isGone(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ESRCH)
}

// checkDMABuf tells a dma-buf from other files by its file system, which dma-bufs
// have of their own since Linux 5.3.
func checkDMABuf(fd uintptr) error {
	var system unix.Statfs_t
	if err := unix.Fstatfs(int(fd), &system); err != nil {
		return err
	}
	if system.Type != unix.DMA_BUF_MAGIC {
		return fmt.Errorf("it is none: %w", fs.ErrInvalid)
	}
	return nil
}

// examine returns the size of what a descriptor refers to, and its number.
func examine(fd uintptr) (size, inode uint64, err error) {
	var stat unix.Stat_t
	if err := unix.Fstat(int(fd), &stat); err != nil {
		return 0, 0, err
	}
	end, err := unix.Seek(int(fd), 0, io.SeekEnd)
	return uint64(end), stat.Ino, err
}

func duplicate(fd uintptr) (uintptr, error) {
	made, err := unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0)
	return uintptr(made), err
}

func mapMemory(fd uintptr, size int, writable bool) ([]byte, error) {
	protection := unix.PROT_READ
	if writable {
		protection |= unix.PROT_WRITE
	}
	return unix.Mmap(int(fd), 0, size, protection, unix.MAP_SHARED)
}

func unmapMemory(memory []byte) error { return unix.Munmap(memory) }

func newMemfd(name string, size uint64) (uintptr, error) {
	const flags = unix.MFD_CLOEXEC | unix.MFD_ALLOW_SEALING
	fd, err := unix.MemfdCreate(name, flags|unix.MFD_NOEXEC_SEAL)
	if errors.Is(err, unix.EINVAL) { // before Linux 6.3
		fd, err = unix.MemfdCreate(name, flags)
	}
	if err != nil {
		return 0, err
	}
	if int64(size) < 0 {
		err = unix.EFBIG
	} else {
		err = unix.Ftruncate(fd, int64(size))
	}
	if err == nil {
		_, err = unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, unix.F_SEAL_SHRINK)
	}
	if err != nil {
		unix.Close(fd) // the first error says why
		return 0, err
	}
	return uintptr(fd), nil
}

// owner returns who owns a file; root where it does not say.
func owner(info fs.FileInfo) (uid, gid uint32) {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return stat.Uid, stat.Gid
	}
	return 0, 0
}

// inode returns the number of a file; 0 where it does not say.
func inode(info fs.FileInfo) uint64 {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return stat.Ino
	}
	return 0
}
