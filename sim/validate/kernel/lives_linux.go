//go:build amd64 || arm64 || riscv64

package kernel

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"dmasim/allocator/dmaheap"
	"dmasim/sim/validate"
)

// Lives are helper processes that share buffers of a heap.
type Lives struct {
	heap    string // path of the device file
	root    *exec.Cmd
	channel [channels]int // this side's ends
	mailbox [validate.Mailboxes]int

	processes []livingProcess
	known     map[uint64]int // numbers of buffers by inode
	others    map[uint64]bool
	born      int
}

// patience is how long a helper may take to answer.
const patience = 20 * time.Second

type livingProcess struct {
	pid   int
	ended bool
}

// StartLives starts the helper that all processes are forked from. It only works
// inside of a virtual machine: elsewhere others' buffers come and go.
func StartLives(heap string) (*Lives, error) {
	if !InsideVM(os.DirFS("/")) {
		return nil, ErrNotVM
	}
	if h, err := dmaheap.Open(heap); err != nil {
		return nil, err
	} else if err := h.Close(); err != nil {
		return nil, err
	}
	if _, err := readBuffers(); err != nil {
		return nil, err
	}
	l := &Lives{heap: dmaheap.HeapFile{Name: heap}.Path()}
	if err := l.start(); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

func (l *Lives) start() error {
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	l.root = exec.Command(exe, HelperArgument, "process", fmt.Sprint(ancestor))
	l.root.Env = helperEnvironment
	l.root.Stderr = os.Stderr
	pair := func() (ours int, err error) {
		ends, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return -1, err
		}
		l.root.ExtraFiles = append(l.root.ExtraFiles, os.NewFile(uintptr(ends[1]), "channel"))
		// Every process has all channels, so none tells of the end of one.
		patience := unix.NsecToTimeval(patience.Nanoseconds())
		return ends[0], unix.SetsockoptTimeval(ends[0], unix.SOL_SOCKET, unix.SO_RCVTIMEO, &patience)
	}
	for i := range l.channel {
		if l.channel[i], err = pair(); err != nil {
			return err
		}
	}
	for i := range l.mailbox {
		// Both ends are the processes'; this side keeps one to empty it.
		ends, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		l.mailbox[i] = ends[1]
		receive, err := unix.FcntlInt(uintptr(ends[1]), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			return err
		}
		l.root.ExtraFiles = append(l.root.ExtraFiles, os.NewFile(uintptr(ends[0]), "mailbox"), os.NewFile(uintptr(receive), "mailbox"))
	}
	if err := l.root.Start(); err != nil {
		return err
	}
	for _, f := range l.root.ExtraFiles {
		if err := f.Close(); err != nil {
			return err
		}
	}
	_, _, err = l.hear(ancestor)
	return err
}

// hear takes the next answer on a channel.
func (l *Lives) hear(channel int) (uint64, unix.Errno, error) {
	var r response
	buffer := unsafe.Slice((*byte)(unsafe.Pointer(&r)), responseSize)
	for {
		n, err := unix.Read(l.channel[channel], buffer)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.EAGAIN):
			return 0, 0, fmt.Errorf("helper %d: no answer for %v", channel, patience)
		case err != nil:
			return 0, 0, fmt.Errorf("helper %d: %w", channel, err)
		case n != len(buffer):
			return 0, 0, fmt.Errorf("helper %d ended", channel)
		}
		return r.result, unix.Errno(r.errno), nil
	}
}

func (l *Lives) say(channel int, do action, a ...uint64) error {
	r := request{action: do}
	copy(r.a[:], a)
	_, err := unix.Write(l.channel[channel], unsafe.Slice((*byte)(unsafe.Pointer(&r)), requestSize))
	return err
}

func (l *Lives) ask(channel int, do action, a ...uint64) (uint64, unix.Errno, error) {
	if err := l.say(channel, do, a...); err != nil {
		return 0, 0, err
	}
	return l.hear(channel)
}

// Start ends the processes that there are, and makes the first one of a program.
func (l *Lives) Start(limit int) error {
	if err := l.clear(); err != nil {
		return err
	}
	if err := l.fork(ancestor); err != nil {
		return err
	}
	_, errno, err := l.ask(0, actLimit, uint64(firstFD+limit))
	if err == nil && errno != 0 {
		err = errno
	}
	return err
}

// clear ends all processes and empties the mailboxes.
func (l *Lives) clear() error {
	for i := range l.processes {
		if err := l.end(i); err != nil {
			return err
		}
	}
	l.processes = l.processes[:0]
	for _, fd := range l.mailbox {
		for {
			if _, _, _, _, err := unix.Recvmsg(fd, make([]byte, 1), nil, unix.MSG_DONTWAIT); err != nil {
				if errors.Is(err, unix.EAGAIN) {
					break
				}
				return err
			}
		}
	}
	l.known, l.others, l.born = map[uint64]int{}, map[uint64]bool{}, 0
	buffers, err := readBuffers()
	for _, b := range buffers {
		l.others[b.Inode] = true
	}
	return err
}

// end kills a process and waits until its files are closed.
func (l *Lives) end(i int) error {
	p := &l.processes[i]
	if p.ended {
		return nil
	}
	if err := unix.Kill(p.pid, unix.SIGKILL); err != nil {
		return err
	}
	return l.wait(p)
}

func (l *Lives) wait(p *livingProcess) error {
	p.ended = true
	for {
		_, err := unix.Wait4(p.pid, nil, 0, nil)
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// fork makes the next process, of the one with a channel.
func (l *Lives) fork(channel int) error {
	child := len(l.processes)
	pid, errno, err := l.ask(channel, actFork, uint64(child))
	if err == nil && errno != 0 {
		err = errno
	}
	if err != nil {
		return fmt.Errorf("fork: %w", err)
	}
	l.processes = append(l.processes, livingProcess{pid: int(pid)})
	_, _, err = l.hear(child) // it is there
	return err
}

// Do does one call.
func (l *Lives) Do(c validate.Call) (validate.Reply, error) {
	if c.Process >= len(l.processes) || l.processes[c.Process].ended {
		return validate.Reply{Errno: "ESRCH"}, nil
	}
	call := func(number uintptr, a ...uint64) (uint64, unix.Errno, error) {
		return l.ask(c.Process, actSyscall, append([]uint64{uint64(number)}, a...)...)
	}
	var cloExec uint64
	if c.CloExec {
		cloExec = unix.O_CLOEXEC
	}
	fd, to := uint64(firstFD+c.FD), uint64(firstFD+c.To)
	address := uint64(slotAddress + c.Slot*slotDistance)
	makes := true // a descriptor
	var result uint64
	var errno unix.Errno
	var err error
	switch c.Verb {
	case validate.OpenHeap:
		result, errno, err = l.ask(c.Process, actOpen, append([]uint64{unix.O_RDONLY | cloExec}, pack(l.heap)...)...)
	case validate.Alloc:
		result, errno, err = l.ask(c.Process, actAllocate, fd, dmaheap.AllocateRequest, c.Size, (unix.O_RDWR|cloExec)<<32, 0)
	case validate.Dup:
		command := uint64(unix.F_DUPFD)
		if c.CloExec {
			command = unix.F_DUPFD_CLOEXEC
		}
		result, errno, err = call(unix.SYS_FCNTL, fd, command, 0)
	case validate.DupTo:
		result, errno, err = call(unix.SYS_DUP3, fd, to, cloExec)
	case validate.CloseFD:
		makes = false
		_, errno, err = call(unix.SYS_CLOSE, fd)
	case validate.Mmap:
		makes = false
		_, errno, err = call(unix.SYS_MMAP, address, c.Size, unix.PROT_READ, unix.MAP_SHARED|unix.MAP_FIXED_NOREPLACE, fd, c.Offset)
	case validate.Munmap:
		makes = false
		_, errno, err = call(unix.SYS_MUNMAP, address, slotDistance)
	case validate.Fork:
		makes = false
		err = l.fork(c.Process)
	case validate.Exec:
		makes = false
		_, errno, err = l.ask(c.Process, actExec)
	case validate.Send:
		makes = false
		_, errno, err = l.ask(c.Process, actSend, uint64(c.Slot), fd)
	case validate.Receive:
		var flags uint64
		if c.CloExec {
			flags = unix.MSG_CMSG_CLOEXEC
		}
		result, errno, err = l.ask(c.Process, actReceive, uint64(c.Slot), flags, 1)
	case validate.Drop:
		makes = false
		_, errno, err = l.ask(c.Process, actReceive, uint64(c.Slot), 0, 0)
	case validate.Exit:
		makes = false
		if err = l.say(c.Process, actSyscall, unix.SYS_EXIT_GROUP, 0); err == nil {
			err = l.wait(&l.processes[c.Process])
		}
	case validate.Kill:
		makes = false
		err = l.end(c.Process)
	}
	r := validate.Reply{Errno: errnoName(errno)}
	if errno == 0 && makes {
		r.Value = int(result) - firstFD
	}
	return r, err
}

// pack puts a path into numbers, for a request.
func pack(path string) []uint64 {
	numbers := make([]uint64, 6)
	for i := range len(path) {
		numbers[i/8] |= uint64(path[i]) << (i % 8 * 8)
	}
	return numbers
}

// Buffers returns what lives of the program's.
func (l *Lives) Buffers() ([]validate.LiveBuffer, error) {
	buffers, err := readBuffers()
	if err != nil {
		return nil, err
	}
	var list []validate.LiveBuffer
	for _, b := range buffers {
		if l.others[b.Inode] {
			continue
		}
		number, ok := l.known[b.Inode]
		if !ok {
			number = l.born
			l.known[b.Inode] = number
			l.born++
		}
		list = append(list, validate.LiveBuffer{Number: number, References: int(b.References)})
	}
	slices.SortFunc(list, func(a, b validate.LiveBuffer) int { return a.Number - b.Number })
	return list, nil
}

// Close ends all processes.
func (l *Lives) Close() error {
	var failed error
	if l.root != nil && l.root.Process != nil {
		failed = l.clear()
		failed = errors.Join(failed, l.root.Process.Kill())
		_ = l.root.Wait() // it was killed
	}
	for _, fd := range append(l.channel[:], l.mailbox[:]...) {
		if fd > 0 {
			failed = errors.Join(failed, unix.Close(fd))
		}
	}
	return failed
}

func runLives(ctx context.Context, o *Options, r *Result) (err error) {
	lives, err := StartLives("system")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lives.Close()) }()
	program := func(number int) validate.Program { return validate.RandomProgram(o.Seed, number, pageSize()) }
	programs := o.times(1000)
	o.begin("life", programs)
	aspects, err := validate.CompareLives(ctx, programs, program, validate.NewModelLives(pageSize()), lives)
	if err != nil {
		return err
	}
	r.Add(aspects...)
	return nil
}
