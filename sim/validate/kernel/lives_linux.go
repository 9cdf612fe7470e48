//go:build amd64 || arm64 || riscv64

package kernel

import (
	"context"
	"errors"
	"os"
	"slices"

	"golang.org/x/sys/unix"

	"dmasim/allocator/dmaheap"
	"dmasim/sim/live/process"
	"dmasim/sim/validate"
)

// Lives are real processes that share buffers of a heap.
type Lives struct {
	heap     string
	ancestor *process.Ancestor
	mailbox  [validate.Mailboxes]int // this side keeps an end of each to empty it

	processes []*process.Process
	known     map[uint64]int // numbers of buffers by inode
	others    map[uint64]bool
	born      int
}

// Where a process has its files: programs count their descriptors from 0, and map at
// numbered addresses.
const (
	firstFD      = process.FirstFD
	slotAddress  = 0x100000000 // of the first address at which programs map
	slotDistance = 1 << 20
)

// toSend and toReceive are the ends of a mailbox. All processes have them.
func toSend(mailbox int) int    { return process.FilesFD + 2*mailbox }
func toReceive(mailbox int) int { return toSend(mailbox) + 1 }

// StartLives starts the process that all others are forked from. It only works
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
	l := &Lives{heap: heap}
	if err := l.start(); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

func (l *Lives) start() (err error) {
	var files []*os.File
	for i := range l.mailbox {
		ends, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		l.mailbox[i] = ends[1]
		receive, err := unix.FcntlInt(uintptr(ends[1]), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			return err
		}
		files = append(files, os.NewFile(uintptr(ends[0]), "mailbox"), os.NewFile(uintptr(receive), "mailbox"))
	}
	l.ancestor, err = process.Start(files...)
	return err
}

// Start ends the processes that there are, and makes the first one of a program.
func (l *Lives) Start(limit int) error {
	if err := l.clear(); err != nil {
		return err
	}
	first, err := l.ancestor.Spawn(firstFD + limit)
	if err == nil {
		l.processes = append(l.processes, first)
	}
	return err
}

// clear ends all processes and empties the mailboxes.
func (l *Lives) clear() error {
	for _, p := range l.processes {
		if err := p.Kill(); err != nil {
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

// Do does one call.
func (l *Lives) Do(c validate.Call) (validate.Reply, error) {
	if c.Process >= len(l.processes) || !l.processes[c.Process].Alive() {
		return validate.Reply{Errno: "ESRCH"}, nil
	}
	p := l.processes[c.Process]
	fd, to := firstFD+c.FD, firstFD+c.To
	address := uint64(slotAddress + c.Slot*slotDistance)
	result := firstFD // a descriptor, where one is made
	var errno unix.Errno
	var err error
	switch c.Verb {
	case validate.OpenHeap:
		result, errno, err = p.Open(l.heap, c.CloExec)
	case validate.Alloc:
		result, errno, err = p.Alloc(fd, c.Size, c.CloExec)
	case validate.Dup:
		result, errno, err = p.Dup(fd, c.CloExec)
	case validate.DupTo:
		var cloExec uint64
		if c.CloExec {
			cloExec = unix.O_CLOEXEC
		}
		result = to
		_, errno, err = p.Call(unix.SYS_DUP3, uint64(fd), uint64(to), cloExec)
	case validate.CloseFD:
		errno, err = p.CloseFD(fd)
	case validate.Mmap:
		_, errno, err = p.Call(unix.SYS_MMAP, address, c.Size, unix.PROT_READ, unix.MAP_SHARED|unix.MAP_FIXED_NOREPLACE, uint64(fd), c.Offset)
	case validate.Munmap:
		errno, err = p.Munmap(address, slotDistance)
	case validate.Fork:
		var child *process.Process
		if child, errno, err = p.Fork(); child != nil {
			l.processes = append(l.processes, child)
		}
	case validate.Exec:
		errno, err = p.Exec()
	case validate.Send:
		errno, err = p.Send(toSend(c.Slot), fd)
	case validate.Receive:
		result, errno, err = p.Receive(toReceive(c.Slot), c.CloExec)
	case validate.Drop:
		errno, err = p.Drop(toReceive(c.Slot))
	case validate.Exit:
		err = p.Exit()
	case validate.Kill:
		err = p.Kill()
	}
	r := validate.Reply{Errno: errnoName(errno)}
	if errno == 0 {
		r.Value = result - firstFD
	}
	return r, err
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
	if l.ancestor != nil {
		failed = errors.Join(l.clear(), l.ancestor.Close())
	}
	for _, fd := range l.mailbox {
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
