//go:build amd64 || arm64 || riscv64

package process

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"dmasim/allocator/dmaheap"
)

// ErrEnded is returned for a process that ended without being told to.
var ErrEnded = errors.New("the process has ended")

// patience is how long a process may take to answer.
const patience = 20 * time.Second

// Process is a process that is told what to do. A call that the kernel refuses is
// not an error: it returns the errno. Errors are of processes that do not answer.
type Process struct {
	channel int // this side's end
	pid     int
	limit   int
	ended   bool
}

// Ancestor is the process that all others are forked from.
type Ancestor struct {
	Process
	command *exec.Cmd
}

// Start starts the ancestor of some processes, which all have the files, from
// FilesFD on. It takes over the files: they are closed here.
func Start(files ...*os.File) (*Ancestor, error) {
	ours, theirs, err := newChannel()
	closeFiles := func() {
		for _, f := range files {
			f.Close() // nothing was written to it
		}
	}
	defer closeFiles()
	if err != nil {
		return nil, err
	}
	channel := os.NewFile(uintptr(theirs), "channel")
	files = append([]*os.File{channel}, files...)
	a := &Ancestor{Process: Process{channel: ours}}
	exe, err := os.Executable()
	if err != nil {
		return nil, errors.Join(err, unix.Close(ours))
	}
	a.command = exec.Command(exe, Role)
	a.command.Env = Environment
	a.command.Stderr = os.Stderr
	// Descriptors of nil are closed, also what this process was given itself.
	a.command.ExtraFiles = append(make([]*os.File, ChannelFD-FirstFD), files...)
	a.command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := a.command.Start(); err != nil {
		return nil, errors.Join(err, unix.Close(ours))
	}
	a.pid = a.command.Process.Pid
	closeFiles()
	files = nil
	if _, _, err := a.hear(); err != nil {
		return nil, errors.Join(err, a.Close())
	}
	return a, nil
}

// Spawn makes a process without descriptors of its own. Its numbers of descriptors
// are below limit.
func (a *Ancestor) Spawn(limit int) (*Process, error) {
	child, errno, err := a.fork(limit)
	if err == nil && errno != 0 {
		err = errno
	}
	if err != nil {
		return nil, fmt.Errorf("make a process: %w", err)
	}
	return child, nil
}

// Close ends the ancestor. Its descendants live on.
func (a *Ancestor) Close() error {
	failed := errors.Join(a.command.Process.Kill(), unix.Close(a.channel))
	_ = a.command.Wait() // it was killed
	return failed
}

func newChannel() (ours, theirs int, err error) {
	ends, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, -1, err
	}
	limit := unix.NsecToTimeval(patience.Nanoseconds())
	if err := unix.SetsockoptTimeval(ends[0], unix.SOL_SOCKET, unix.SO_RCVTIMEO, &limit); err != nil {
		return -1, -1, errors.Join(err, unix.Close(ends[0]), unix.Close(ends[1]))
	}
	return ends[0], ends[1], nil
}

// hear takes the next answer.
func (p *Process) hear() (uint64, unix.Errno, error) {
	_, result, errno, err := p.hearMessage()
	return result, errno, err
}

// hearMessage takes the next answer, and the descriptor that was sent before it, if
// one was.
func (p *Process) hearMessage() (fd int, result uint64, errno unix.Errno, err error) {
	var r response
	buffer := unsafe.Slice((*byte)(unsafe.Pointer(&r)), responseSize)
	rights := make([]byte, unix.CmsgSpace(4))
	fd = -1
	for {
		n, control, flags, _, err := unix.Recvmsg(p.channel, buffer, rights, unix.MSG_CMSG_CLOEXEC)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.EAGAIN):
			return fd, 0, 0, fmt.Errorf("process %d: no answer for %v", p.pid, patience)
		case errors.Is(err, unix.ECONNRESET), err == nil && n == 0:
			return fd, 0, 0, fmt.Errorf("process %d: %w", p.pid, ErrEnded)
		case err != nil:
			return fd, 0, 0, fmt.Errorf("process %d: %w", p.pid, err)
		case n == len(buffer):
			return fd, r.result, unix.Errno(r.errno), nil
		case flags&unix.MSG_CTRUNC != 0:
			continue // no descriptor was free for it here
		}
		messages, err := unix.ParseSocketControlMessage(rights[:control])
		if err != nil {
			return fd, 0, 0, err
		}
		for i := range messages {
			fds, err := unix.ParseUnixRights(&messages[i])
			if err != nil || len(fds) != 1 {
				return fd, 0, 0, fmt.Errorf("process %d: sent %d descriptors: %w", p.pid, len(fds), err)
			}
			fd = fds[0]
		}
	}
}

func (p *Process) say(do action, a ...uint64) error {
	r := request{action: do}
	copy(r.a[:], a)
	_, err := unix.Write(p.channel, unsafe.Slice((*byte)(unsafe.Pointer(&r)), requestSize))
	if errors.Is(err, unix.EPIPE) {
		return fmt.Errorf("process %d: %w", p.pid, ErrEnded)
	}
	return err
}

func (p *Process) ask(do action, a ...uint64) (uint64, unix.Errno, error) {
	if err := p.say(do, a...); err != nil {
		return 0, 0, err
	}
	return p.hear()
}

// descriptor makes a call that returns one.
func (p *Process) descriptor(do action, a ...uint64) (int, unix.Errno, error) {
	result, errno, err := p.ask(do, a...)
	return int(uint32(result)), errno, err
}

// Alive reports whether the process has not been told to end.
func (p *Process) Alive() bool { return !p.ended }

// Call makes a system call. No argument may be an address of memory, but of
// mappings.
func (p *Process) Call(number uintptr, a ...uint64) (uint64, unix.Errno, error) {
	return p.ask(actSyscall, append([]uint64{uint64(number)}, a...)...)
}

func closeOnExec(is bool, flag uint64) uint64 {
	if is {
		return flag
	}
	return 0
}

// Open opens a heap's device file.
func (p *Process) Open(heap string, cloExec bool) (int, unix.Errno, error) {
	path := dmaheap.HeapFile{Name: heap}.Path()
	numbers := make([]uint64, 7)
	if len(path) >= 8*(len(numbers)-1) {
		return 0, unix.ENAMETOOLONG, nil
	}
	numbers[0] = unix.O_RDONLY | closeOnExec(cloExec, unix.O_CLOEXEC)
	for i := range len(path) {
		numbers[1+i/8] |= uint64(path[i]) << (i % 8 * 8)
	}
	return p.descriptor(actOpen, numbers...)
}

// Alloc makes a buffer of the heap that a descriptor is of.
func (p *Process) Alloc(heap int, bytes uint64, cloExec bool) (int, unix.Errno, error) {
	flags := unix.O_RDWR | closeOnExec(cloExec, unix.O_CLOEXEC)
	return p.descriptor(actIoctl, uint64(heap), dmaheap.AllocateRequest, bytes, flags<<32, 0, 1)
}

// Dup duplicates a descriptor to the lowest free one.
func (p *Process) Dup(fd int, cloExec bool) (int, unix.Errno, error) {
	command := uint64(unix.F_DUPFD)
	if cloExec {
		command = unix.F_DUPFD_CLOEXEC
	}
	return p.descriptor(actSyscall, unix.SYS_FCNTL, uint64(fd), command, 0)
}

// CloseFD closes a descriptor.
func (p *Process) CloseFD(fd int) (unix.Errno, error) {
	_, errno, err := p.Call(unix.SYS_CLOSE, uint64(fd))
	return errno, err
}

// Mmap maps the beginning of a buffer, where the kernel likes.
func (p *Process) Mmap(fd int, bytes uint64) (uint64, unix.Errno, error) {
	return p.Call(unix.SYS_MMAP, 0, bytes, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED, uint64(fd), 0)
}

// Munmap drops a mapping.
func (p *Process) Munmap(address, bytes uint64) (unix.Errno, error) {
	_, errno, err := p.Call(unix.SYS_MUNMAP, address, bytes)
	return errno, err
}

// Touch reads or writes a byte of every page of a mapping that is there.
func (p *Process) Touch(address, bytes uint64, write bool) error {
	_, _, err := p.ask(actTouch, address, bytes, uint64(os.Getpagesize()), closeOnExec(write, 1))
	return err
}

// Sync tells the kernel of the beginning or end of an access by the CPU.
func (p *Process) Sync(fd int, flags uint64) (unix.Errno, error) {
	_, errno, err := p.ask(actIoctl, uint64(fd), dmaheap.SyncRequest, flags)
	return errno, err
}

// Fork makes a child, which has all that is inherited.
func (p *Process) Fork() (*Process, unix.Errno, error) { return p.fork(p.limit) }

func (p *Process) fork(limit int) (child *Process, errno unix.Errno, err error) {
	ours, theirs, err := newChannel()
	if err != nil {
		return nil, 0, err
	}
	made := &Process{channel: ours, limit: limit}
	defer func() {
		if child == nil && !made.ended {
			err = errors.Join(err, unix.Close(ours))
		}
	}()
	// The channel comes to a descriptor of the parent first, also if all are used.
	if err := errors.Join(p.setLimit(0), p.say(actFork), unix.Sendmsg(p.channel, []byte{0}, unix.UnixRights(theirs), nil, 0), unix.Close(theirs)); err != nil {
		return nil, 0, err
	}
	pid, errno, err := p.hear()
	if err != nil || errno != 0 {
		return nil, errno, err
	}
	made.pid = int(pid)
	_, _, err = made.hear() // it is there
	if err := errors.Join(err, p.setLimit(p.limit), made.setLimit(limit)); err != nil {
		return nil, 0, errors.Join(err, made.Kill())
	}
	return made, 0, nil
}

// setLimit limits the numbers of descriptors; 0: as much as it may have.
func (p *Process) setLimit(limit int) error {
	var l unix.Rlimit
	if err := unix.Prlimit(p.pid, unix.RLIMIT_NOFILE, nil, &l); err != nil {
		return err
	}
	l.Cur = l.Max
	if limit > 0 {
		l.Cur = min(l.Max, uint64(limit))
	}
	return unix.Prlimit(p.pid, unix.RLIMIT_NOFILE, &l, nil)
}

// Exec replaces the process by another program, whose runtime raises the limit.
func (p *Process) Exec() (unix.Errno, error) {
	if err := p.setLimit(0); err != nil {
		return 0, err
	}
	_, errno, err := p.ask(actExec)
	if err == nil {
		err = p.setLimit(p.limit)
	}
	return errno, err
}

// Send sends a descriptor to a socket, which is a descriptor too.
func (p *Process) Send(socket, fd int) (unix.Errno, error) {
	_, errno, err := p.ask(actSend, uint64(socket), uint64(fd))
	return errno, err
}

// Receive takes the next message of a socket, with the descriptor in it.
func (p *Process) Receive(socket int, cloExec bool) (int, unix.Errno, error) {
	return p.descriptor(actReceive, uint64(socket), unix.MSG_DONTWAIT|closeOnExec(cloExec, unix.MSG_CMSG_CLOEXEC), 1)
}

// Drop takes the next message of a socket, and throws it away.
func (p *Process) Drop(socket int) (unix.Errno, error) {
	_, errno, err := p.ask(actReceive, uint64(socket), unix.MSG_DONTWAIT, 0)
	return errno, err
}

// HandOver has the process send a file to this one.
func (p *Process) HandOver(fd int) (*os.File, unix.Errno, error) {
	if err := p.say(actSend, ChannelFD, uint64(fd)); err != nil {
		return nil, 0, err
	}
	got, _, errno, err := p.hearMessage()
	if got < 0 {
		if err == nil && errno == 0 {
			errno = unix.EMFILE
		}
		return nil, errno, err
	}
	return os.NewFile(uintptr(got), "message"), errno, err
}

// Accept gives the process a file of this one.
func (p *Process) Accept(file *os.File, cloExec bool) (int, unix.Errno, error) {
	if err := p.say(actReceive, ChannelFD, closeOnExec(cloExec, unix.MSG_CMSG_CLOEXEC), 1); err != nil {
		return 0, 0, err
	}
	if err := unix.Sendmsg(p.channel, []byte{0}, unix.UnixRights(int(file.Fd())), nil, 0); err != nil {
		return 0, 0, err
	}
	result, errno, err := p.hear()
	return int(uint32(result)), errno, err
}

// Exit has the process end, and waits until its files are closed.
func (p *Process) Exit() error {
	if p.ended {
		return nil
	}
	err := p.say(actSyscall, unix.SYS_EXIT_GROUP, 0)
	if err != nil {
		return errors.Join(err, p.Kill())
	}
	return p.wait()
}

// Kill kills the process, and waits until its files are closed.
func (p *Process) Kill() error {
	if p.ended {
		return nil
	}
	return errors.Join(unix.Kill(p.pid, unix.SIGKILL), p.wait())
}

func (p *Process) wait() error {
	p.ended = true
	for {
		_, err := unix.Wait4(p.pid, nil, 0, nil)
		if !errors.Is(err, unix.EINTR) {
			return errors.Join(err, unix.Close(p.channel))
		}
	}
}
