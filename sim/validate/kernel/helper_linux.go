//go:build amd64 || arm64 || riscv64

package kernel

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"dmasim/sim/validate"
)

// The role "process" is a program's process. It takes requests from a channel, does
// the system calls that they name, and answers with what those returned. It forks as
// C programs do, without an exec: the child of a Go program may not use the runtime,
// which has lost its other threads, so everything from there on is raw system calls
// and memory that exists already, in functions that do not look at their stack: that
// is where they are told to give way to others.

// Where a process has its files; programs use the descriptors below. The rest of the
// system must not find fault with numbers above the limit of a program.
const (
	firstFD      = 3 // the programs' descriptor 0
	channelFD    = 200
	channels     = validate.MostProcesses + 1 // the last is of the process that all are forked from
	mailboxFD    = channelFD + channels       // pairs: where to send, where to receive
	helperFiles  = channels + 2*validate.Mailboxes
	ancestor     = channels - 1
	slotAddress  = 0x100000000 // of the first address at which programs map
	slotDistance = 1 << 20
)

// action is what a request asks for beside a system call.
type action uint64

const (
	actSyscall action = iota
	actAllocate
	actOpen
	actSend
	actReceive
	actFork
	actExec
	actLimit
)

// request and reply are the messages on a channel.
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

// process is the state of a helper process. Nothing in it is allocated later.
type process struct {
	channel  int
	forked   bool
	request  request
	response response

	allocation [3]uint64 // struct dma_heap_allocation_data
	limit      [2]uint64 // struct rlimit64
	path       [64]byte
	executable *byte
	arguments  [channels][4]*byte // the last is nil
	environ    [4]*byte

	header  unix.Msghdr
	vector  unix.Iovec
	byte    byte
	control [64]byte
}

func runProcess(text string) error {
	channel, err := strconv.Atoi(text)
	if err != nil || channel < 0 || channel >= channels {
		return fmt.Errorf("no channel %q", text)
	}
	runtime.LockOSThread() // a fork copies this thread
	p := &process{channel: channel}
	if err := p.prepare(); err != nil {
		return err
	}
	if channel == ancestor {
		// Go opens files 3 and on for what it passes; programs want those.
		for i := range helperFiles {
			if err := unix.Dup3(firstFD+i, channelFD+i, 0); err != nil {
				return err
			}
		}
		for i := range helperFiles {
			if err := unix.Close(firstFD + i); err != nil {
				return err
			}
		}
	}
	p.response = response{result: uint64(os.Getpid())}
	p.loop()
	return nil
}

func (p *process) prepare() error {
	exe, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return err
	}
	text := func(s string) *byte {
		b, err2 := unix.BytePtrFromString(s)
		if err2 != nil {
			err = err2
		}
		return b
	}
	p.executable = text(exe)
	for i := range p.arguments {
		p.arguments[i] = [4]*byte{text(HelperArgument), text(HelperArgument), text("process"), text(strconv.Itoa(i))}
	}
	for i, e := range helperEnvironment {
		p.environ[i] = text(e)
	}
	return err
}

// call is a system call. In the child of a fork the scheduler must not hear of it.
//
//go:nosplit
func (p *process) call(number uintptr, a, b, c, d, e, f uintptr) (uintptr, syscall.Errno) {
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
func (p *process) loop() {
	for {
		channel := uintptr(channelFD + p.channel)
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
func (p *process) exit() {
	p.call(unix.SYS_EXIT_GROUP, 0, 0, 0, 0, 0, 0)
}

//go:nosplit
func (p *process) do() (uintptr, syscall.Errno) {
	a := &p.request.a
	switch p.request.action {
	case actSyscall:
		return p.call(uintptr(a[0]), uintptr(a[1]), uintptr(a[2]), uintptr(a[3]), uintptr(a[4]), uintptr(a[5]), uintptr(a[6]))
	case actAllocate: // descriptor, request, length, fd and fd_flags, heap_flags
		p.allocation = [3]uint64{a[2], a[3], a[4]}
		_, errno := p.call(unix.SYS_IOCTL, uintptr(a[0]), uintptr(a[1]), uintptr(unsafe.Pointer(&p.allocation)), 0, 0, 0)
		return uintptr(uint32(p.allocation[1])), errno
	case actOpen: // flags, then the path
		for i := range 48 {
			p.path[i] = byte(a[1+i/8] >> (i % 8 * 8))
		}
		atCWD := unix.AT_FDCWD
		return p.call(unix.SYS_OPENAT, uintptr(atCWD), uintptr(unsafe.Pointer(&p.path)), uintptr(a[0]), 0, 0, 0)
	case actSend: // mailbox, descriptor
		return p.send(int(a[0]), int32(a[1]))
	case actReceive: // mailbox, flags, whether there is room for a descriptor
		return p.receive(int(a[0]), uintptr(a[1]), a[2] != 0)
	case actFork: // channel of the child
		// The child is of the same parent: that waits for all of them. The
		// scheduler must not be asked on the way back, which it has no threads for.
		pid, _, errno := syscall.RawSyscall6(unix.SYS_CLONE, unix.CLONE_PARENT|uintptr(unix.SIGCHLD), 0, 0, 0, 0, 0)
		if errno == 0 && pid == 0 {
			p.forked = true
			p.channel = int(a[0])
		}
		return pid, errno
	case actExec:
		return p.call(unix.SYS_EXECVE, uintptr(unsafe.Pointer(p.executable)), uintptr(unsafe.Pointer(&p.argv()[0])), uintptr(unsafe.Pointer(&p.environ)), 0, 0, 0)
	case actLimit:
		p.limit = [2]uint64{a[0], a[0]}
		return p.call(unix.SYS_PRLIMIT64, 0, unix.RLIMIT_NOFILE, uintptr(unsafe.Pointer(&p.limit)), 0, 0, 0)
	}
	return 0, unix.ENOSYS
}

// argv returns the command line of this process after an exec.
//
//go:nosplit
func (p *process) argv() *[5]*byte {
	argv := &argvs[p.channel]
	copy(argv[:], p.arguments[p.channel][:])
	return argv
}

var argvs [channels][5]*byte

// message prepares a message of one byte, with room for one descriptor or none.
//
//go:nosplit
func (p *process) message(room bool) *unix.Cmsghdr {
	p.vector.Base = &p.byte
	p.vector.SetLen(1)
	p.header = unix.Msghdr{Iov: &p.vector}
	p.header.SetIovlen(1)
	head := (*unix.Cmsghdr)(unsafe.Pointer(&p.control))
	if room {
		p.header.Control = &p.control[0]
		p.header.SetControllen(unix.CmsgSpace(4))
		head.SetLen(unix.CmsgLen(4))
		head.Level, head.Type = unix.SOL_SOCKET, unix.SCM_RIGHTS
	}
	return head
}

//go:nosplit
func (p *process) descriptor() *int32 {
	return (*int32)(unsafe.Pointer(&p.control[unix.CmsgLen(0)]))
}

//go:nosplit
func (p *process) send(mailbox int, fd int32) (uintptr, syscall.Errno) {
	p.message(true)
	*p.descriptor() = fd
	_, errno := p.call(unix.SYS_SENDMSG, uintptr(mailboxFD+2*mailbox), uintptr(unsafe.Pointer(&p.header)), unix.MSG_DONTWAIT, 0, 0, 0)
	return 0, errno
}

//go:nosplit
func (p *process) receive(mailbox int, flags uintptr, room bool) (uintptr, syscall.Errno) {
	head := p.message(room)
	head.SetLen(0)
	_, errno := p.call(unix.SYS_RECVMSG, uintptr(mailboxFD+2*mailbox+1), uintptr(unsafe.Pointer(&p.header)), unix.MSG_DONTWAIT|flags, 0, 0, 0)
	switch {
	case errno != 0 || !room:
		return 0, errno
	case p.header.Flags&unix.MSG_CTRUNC != 0:
		// The message came, but no descriptor was free for the file.
		return 0, unix.EMFILE
	}
	return uintptr(*p.descriptor()), 0
}
