package dmaheap

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path"
	"slices"
	"strconv"
)

// ErrUnsupported is what is wrong on a system that has no dma-bufs, or not the
// operation that was asked for. It wraps [errors.ErrUnsupported].
var ErrUnsupported = fmt.Errorf("dma-bufs: %w", errors.ErrUnsupported)

// Error is an operation that the kernel refused. Err is the errno in most cases:
// EINVAL for a size of 0 or flags that the kernel does not know, ENOMEM, EMFILE
// where the process has no descriptor left. It is [fs.ErrClosed] after Close.
type Error struct {
	Op   string // such as "allocate"
	Name string // of what, such as "heap system"
	Err  error
}

func (e *Error) Error() string { return e.Op + " " + e.Name + ": " + e.Err.Error() }

func (e *Error) Unwrap() error { return e.Err }

// fail returns err as an *Error that names the operation, and nil for nil.
func fail(op, name string, err error) error {
	switch {
	case err == nil:
		return nil
	case isUnknownRequest(err):
		err = fmt.Errorf("%w: the kernel has no such operation (%w)", ErrUnsupported, err)
	}
	return &Error{op, name, err}
}

// PermissionError is a file that may not be opened: [fs.ErrPermission].
type PermissionError struct {
	Path     string
	Mode     fs.FileMode
	UID, GID uint32 // who owns the file
	Err      error  // EACCES or EPERM
}

// Error says which file, whose it is, and how to get access.
func (e *PermissionError) Error() string {
	return fmt.Sprintf("open %s: %v: the file is %s; %s", e.Path, e.Err, e.Ownership(), e.Remedy())
}

func (e *PermissionError) Unwrap() error { return e.Err }

// Ownership returns owner, group and mode, as in "root:video 0660".
func (e *PermissionError) Ownership() string {
	return fmt.Sprintf("%s:%s %04o", UserName(e.UID), GroupName(e.GID), e.Mode.Perm())
}

// Remedy says what would give this process access.
func (e *PermissionError) Remedy() string {
	groups, _ := os.Getgroups() // without them the effective group counts
	return e.remedy(identity{os.Geteuid(), append(groups, os.Getegid())})
}

// identity is by what the kernel decides who may open a file.
type identity struct {
	uid    int
	groups []int
}

func (e *PermissionError) remedy(who identity) string {
	switch {
	case who.mayRead(e):
		return "its mode allows it, so a container's device rules, a security module or a nodev mount does not: run outside of that"
	case e.Mode&0o040 == 0 || e.GID == 0:
		return "run as root, or give it to a group by a udev rule: " + e.udevRule()
	}
	return fmt.Sprintf("run as root, or join the group (usermod -aG %s USER, then log in again)", GroupName(e.GID))
}

func (who identity) mayRead(e *PermissionError) bool {
	switch {
	case who.uid == 0:
		return true
	case who.uid == int(e.UID):
		return e.Mode&0o400 != 0
	case slices.Contains(who.groups, int(e.GID)):
		return e.Mode&0o040 != 0
	}
	return e.Mode&0o004 != 0
}

func (e *PermissionError) udevRule() string {
	match := fmt.Sprintf("KERNEL==%q", path.Base(e.Path))
	if path.Dir(e.Path) == "/"+heapDir {
		match = `SUBSYSTEM=="dma_heap", ` + match
	}
	return match + `, GROUP="video", MODE="0660"`
}

// UserName returns the name of a user, or the number where it has none.
func UserName(uid uint32) string {
	id := strconv.FormatUint(uint64(uid), 10)
	if u, err := user.LookupId(id); err == nil {
		return u.Username
	}
	return id
}

// GroupName returns the name of a group, or the number where it has none.
func GroupName(gid uint32) string {
	id := strconv.FormatUint(uint64(gid), 10)
	if g, err := user.LookupGroupId(id); err == nil {
		return g.Name
	}
	return id
}

// openDevice opens a device file for reading, which is all that the requests
// need.
func openDevice(file string) (*os.File, error) {
	f, err := os.Open(file)
	if !errors.Is(err, fs.ErrPermission) {
		return f, err
	}
	denied := &PermissionError{Path: file, Err: errors.Unwrap(err)}
	info, statErr := os.Stat(file)
	if statErr != nil {
		return nil, err // the folder can't be entered: os says so
	}
	denied.Mode = info.Mode()
	denied.UID, denied.GID = owner(info)
	return nil, denied
}

// control gives do the descriptor of f, which stays open until do returns.
func control(f *os.File, do func(fd uintptr) error) error {
	conn, err := f.SyscallConn()
	if err != nil {
		return fs.ErrClosed // of a zero value, or closed
	}
	var failed error
	if conn.Control(func(fd uintptr) { failed = do(fd) }) != nil {
		return fs.ErrClosed
	}
	return failed
}
