//go:build amd64 || arm64 || riscv64

package process

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A told process takes requests from its channel, does the system calls that they
// name, and answers with what those returned. It forks as C programs do, without an
// exec: the child of a Go program may not use the runtime, which has lost its other
// threads, so everything from there on is raw system calls and memory that exists
// already, in functions that do not look at their stack: that is where they are told
// to give way to others.

// FirstFD is the first descriptor that a process does not begin with, below
// FilesFD: there is its channel, and then the files that all have from the start.
const (
	FirstFD   = 3
	ChannelFD = 200
	FilesFD   = ChannelFD + 1
)

// action is what a request asks for.
type action uint64

const (
	actSyscall action = iota
	actIoctl
	actOpen
	actSend
	actReceive
	actTouch
	actFork
	actExec
)

// request and response are the messages on a channel.
type request struct {
	action action
	a      [7]uint64
}

type response struct {
	result uint64
	errno  uint64
}

const (
	requestSize  = unsafe.Sizeof(request{})
	responseSize = unsafe.Sizeof(response{})
)

// told is the state of such a process. Nothing in it is allocated later.
type told struct {
	forked   bool
	request  request
	response response

	argument   [3]uint64 // of an ioctl
	path       [64]byte
	executable *byte
	arguments  [4]*byte // the last is nil
	environ    [4]*byte

	header  unix.Msghdr
	vector  unix.Iovec
	byte    byte
	control [64]byte
}

// A fork copies the thread that obeys, and /proc/PID/fd shows the main thread's files:
// be that the same one.
func init() {
	if len(os.Args) == 2 && os.Args[1] == Role {
		runtime.LockOSThread()
	}
}

// obey does what the channel says until it is closed.
func obey() error {
	runtime.LockOSThread()
	p := &told{}
	if err := p.prepare(); err != nil {
		return err
	}
	if err := partFromRuntime(); err != nil {
		return err
	}
	p.loop()
	return nil
}

// partFromRuntime gives this thread descriptors of its own, without what the runtime
// has opened, at whatever numbers were free: other threads keep that, and may open
// more, and lose what this process was given. From here on this thread may only
// do raw system calls: a poller that it made would not be there for the others.
func partFromRuntime() error {
	if err := unix.Unshare(unix.CLONE_FILES); err != nil {
		return fmt.Errorf("unshare descriptors: %w", err)
	}
	given, opened, err := descriptors()
	if err != nil {
		return fmt.Errorf("list descriptors: %w", err)
	}
	closed := make(chan error)
	go func() { closed <- closeAll(given) }() // on another thread: this one is locked
	return errors.Join(<-closed, closeAll(opened))
}

// descriptors returns what this process has open from FirstFD on: what it was given,
// and what it has opened itself. An exec leaves none that is to be closed on exec, and
// Go opens no others.
func descriptors() (given, opened []int, err error) {
	list, err := unix.Open("/proc/thread-self/fd", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, nil, err
	}
	defer func() { err = errors.Join(err, unix.Close(list)) }()
	buffer := make([]byte, 4096)
	for {
		n, err := unix.ReadDirent(list, buffer)
		if err != nil || n == 0 {
			return given, opened, err
		}
		_, _, names := unix.ParseDirent(buffer[:n], -1, nil)
		for _, name := range names {
			fd, err := strconv.Atoi(name)
			if err != nil {
				return nil, nil, err
			}
			if fd < FirstFD || fd == list {
				continue
			}
			flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
			switch {
			case err != nil:
				return nil, nil, err
			case flags&unix.FD_CLOEXEC != 0:
				opened = append(opened, fd)
			default:
				given = append(given, fd)
			}
		}
	}
}

func closeAll(fds []int) error {
	var failed error
	for _, fd := range fds {
		failed = errors.Join(failed, unix.Close(fd))
	}
	return failed
}

// prepare sets all pointers: where the stack must not grow there is no room for what
// the garbage collector wants to be told of them.
func (p *told) prepare() error {
	p.vector.Base = &p.byte
	p.vector.SetLen(1)
	p.header.Iov, p.header.Control = &p.vector, &p.control[0]
	p.header.SetIovlen(1)
	exe, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return err
	}
	if p.executable, err = unix.BytePtrFromString(exe); err != nil {
		return err
	}
	for i, text := range []string{Role, Role} {
		if p.arguments[i], err = unix.BytePtrFromString(text); err != nil {
			return err
		}
	}
	for i, text := range Environment {
		if p.environ[i], err = unix.BytePtrFromString(text); err != nil {
			return err
		}
	}
	return nil
}

// call is a system call. In the child of a fork the scheduler must not hear of it.
//
//go:nosplit
func (p *told) call(number uintptr, a, b, c, d, e, f uintptr) (uintptr, syscall.Errno) {
	if p.forked {
		r, _, errno := syscall.RawSyscall6(number, a, b, c, d, e, f)
		return r, errno
	}
	r, _, errno := syscall.Syscall6(number, a, b, c, d, e, f)
	return r, errno
}

// loop answers, and takes the next request, until the channel is closed.
//
//go:nosplit
func (p *told) loop() {
	for {
		channel := uintptr(ChannelFD)
		_, errno := p.call(unix.SYS_WRITE, channel, uintptr(unsafe.Pointer(&p.response)), responseSize, 0, 0, 0)
		if errno != 0 {
			p.exit()
		}
		for {
			n, errno := p.call(unix.SYS_READ, channel, uintptr(unsafe.Pointer(&p.request)), requestSize, 0, 0, 0)
			if errno == unix.EINTR {
				continue
			}
			if errno != 0 || n != requestSize {
				p.exit()
			}
			break
		}
		result, errno := p.do()
		p.response = response{uint64(result), uint64(errno)}
	}
}

//go:nosplit
func (p *told) exit() {
	p.call(unix.SYS_EXIT_GROUP, 0, 0, 0, 0, 0, 0)
}

//go:nosplit
func (p *told) do() (uintptr, syscall.Errno) {
	a := &p.request.a
	switch p.request.action {
	case actSyscall:
		return p.call(uintptr(a[0]), uintptr(a[1]), uintptr(a[2]), uintptr(a[3]), uintptr(a[4]), uintptr(a[5]), uintptr(a[6]))
	case actIoctl: // descriptor, request, three words of argument, which of them to return
		p.argument = [3]uint64{a[2], a[3], a[4]}
		_, errno := p.call(unix.SYS_IOCTL, uintptr(a[0]), uintptr(a[1]), uintptr(unsafe.Pointer(&p.argument)), 0, 0, 0)
		return uintptr(p.argument[a[5]%3]), errno
	case actOpen: // flags, then the path
		for i := range 48 {
			p.path[i] = byte(a[1+i/8] >> (i % 8 * 8))
		}
		atCWD := unix.AT_FDCWD
		return p.call(unix.SYS_OPENAT, uintptr(atCWD), uintptr(unsafe.Pointer(&p.path)), uintptr(a[0]), 0, 0, 0)
	case actSend: // socket, descriptor
		return p.send(uintptr(a[0]), int32(a[1]))
	case actReceive: // socket, flags, whether there is room for a descriptor
		return p.receive(uintptr(a[0]), uintptr(a[1]), a[2] != 0)
	case actTouch: // address, bytes, stride, whether to write
		for at := a[0]; at < a[0]+a[1]; at += a[2] {
			b := (*byte)(*(*unsafe.Pointer)(unsafe.Pointer(&at))) // the memory is not Go's
			if a[3] != 0 {
				*b = 0xff
			} else {
				p.byte = *b
			}
		}
		return 0, 0
	case actFork: // and the channel of the child in a message
		channel, errno := p.receive(ChannelFD, 0, true)
		if errno != 0 {
			return 0, errno
		}
		// The child is of the same parent: that waits for all of them. The
		// scheduler must not be asked on the way back, which it has no threads for.
		pid, _, errno := syscall.RawSyscall6(unix.SYS_CLONE, unix.CLONE_PARENT|uintptr(unix.SIGCHLD), 0, 0, 0, 0, 0)
		if errno == 0 && pid == 0 {
			p.forked = true
			p.call(unix.SYS_DUP3, channel, ChannelFD, 0, 0, 0, 0)
		}
		p.call(unix.SYS_CLOSE, channel, 0, 0, 0, 0, 0)
		return pid, errno
	case actExec:
		return p.call(unix.SYS_EXECVE, uintptr(unsafe.Pointer(p.executable)), uintptr(unsafe.Pointer(&p.arguments)), uintptr(unsafe.Pointer(&p.environ)), 0, 0, 0)
	}
	return 0, unix.ENOSYS
}

// message prepares a message of one byte, with room for one descriptor or none.
//
//go:nosplit
func (p *told) message(room bool) *unix.Cmsghdr {
	p.header.Flags = 0
	p.header.SetControllen(0)
	head := (*unix.Cmsghdr)(unsafe.Pointer(&p.control))
	if room {
		p.header.SetControllen(unix.CmsgSpace(4))
		head.SetLen(unix.CmsgLen(4))
		head.Level, head.Type = unix.SOL_SOCKET, unix.SCM_RIGHTS
	}
	return head
}

//go:nosplit
func (p *told) descriptor() *int32 {
	return (*int32)(unsafe.Pointer(&p.control[unix.CmsgLen(0)]))
}

//go:nosplit
func (p *told) send(socket uintptr, fd int32) (uintptr, syscall.Errno) {
	p.message(true)
	*p.descriptor() = fd
	_, errno := p.call(unix.SYS_SENDMSG, socket, uintptr(unsafe.Pointer(&p.header)), unix.MSG_DONTWAIT, 0, 0, 0)
	return 0, errno
}

//go:nosplit
func (p *told) receive(socket, flags uintptr, room bool) (uintptr, syscall.Errno) {
	head := p.message(room)
	head.SetLen(0)
	_, errno := p.call(unix.SYS_RECVMSG, socket, uintptr(unsafe.Pointer(&p.header)), flags, 0, 0, 0)
	switch {
	case errno != 0 || !room:
		return 0, errno
	case p.header.Flags&unix.MSG_CTRUNC != 0:
		// The message came, but no descriptor was free for the file.
		return 0, unix.EMFILE
	}
	return uintptr(*p.descriptor()), 0
}
