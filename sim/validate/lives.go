package validate

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"dmasim/sim/dmabuf"
)

// Verb says what a call of a process does.
type Verb uint8

// The verbs.
const (
	OpenHeap Verb = iota // open the heap's device file
	Alloc                // allocate Size bytes from the open heap FD
	Dup                  // duplicate FD to the lowest free descriptor
	DupTo                // duplicate FD to To (dup3)
	CloseFD              // close FD
	Mmap                 // map Size bytes of FD, from Offset, at address Slot
	Munmap               // unmap what is at address Slot
	Fork                 // make the next process
	Exec                 // become another program
	Send                 // pass FD into mailbox Slot
	Receive              // take what is in mailbox Slot for longest
	Drop                 // throw that away
	Exit                 // end
	Kill                 // be killed
	verbs
)

var verbNames = [verbs]string{"open", "alloc", "dup", "dup3", "close", "mmap", "munmap", "fork", "exec", "send", "receive", "drop", "exit", "kill"}

// Call is a system call of a process, or what happens to one.
type Call struct {
	Verb    Verb
	Process int // from 0, in the order of their births
	FD, To  int // from 0
	Slot    int // of an address, below Slots, or of a mailbox, below Mailboxes
	Offset  uint64
	Size    uint64 // bytes
	CloExec bool
}

// Slots and Mailboxes are how many addresses and mailboxes there are. An address is
// the same in every process; all processes share the mailboxes. A program has at
// most MostProcesses processes.
const (
	Slots         = 4
	Mailboxes     = 2
	MostProcesses = 5
)

// String returns the call for people, such as "process 1: dup 0, close-on-exec".
func (c Call) String() string {
	text := fmt.Sprintf("process %d: %s", c.Process, verbNames[c.Verb])
	switch c.Verb {
	case Alloc:
		text += fmt.Sprintf(" %d bytes from %d", c.Size, c.FD)
	case Dup, CloseFD:
		text += fmt.Sprintf(" %d", c.FD)
	case DupTo:
		text += fmt.Sprintf(" %d to %d", c.FD, c.To)
	case Mmap:
		text += fmt.Sprintf(" %d bytes of %d from %d at address %d", c.Size, c.FD, c.Offset, c.Slot)
	case Munmap:
		text += fmt.Sprintf(" address %d", c.Slot)
	case Send:
		text += fmt.Sprintf(" %d to mailbox %d", c.FD, c.Slot)
	case Receive, Drop:
		text += fmt.Sprintf(" mailbox %d", c.Slot)
	}
	if c.CloExec {
		text += ", close-on-exec"
	}
	return text
}

// Program is what some processes do, one call after the other.
type Program struct {
	Limit int // of descriptors that a process may have
	Calls []Call
}

// RandomProgram draws a program. Most of its calls are about what is likely to be
// there, some about what is not.
func RandomProgram(seed uint64, number int, pageSize uint64) Program {
	random := rand.New(rand.NewPCG(seed, uint64(number)))
	p := Program{Limit: 3 + random.IntN(6), Calls: []Call{{Verb: OpenHeap, CloExec: random.IntN(4) > 0}, {Verb: Alloc, Size: 1}}}
	// How likely each verb is.
	weights := [verbs]int{OpenHeap: 2, Alloc: 14, Dup: 9, DupTo: 4, CloseFD: 15, Mmap: 10, Munmap: 8, Fork: 8, Exec: 2, Send: 9, Receive: 9, Drop: 2, Exit: 3, Kill: 3}
	total := 0
	for _, w := range weights {
		total += w
	}
	processes := 1
	for range 8 + random.IntN(17) {
		pick, verb := random.IntN(total), Verb(0)
		for pick >= weights[verb] {
			pick -= weights[verb]
			verb++
		}
		c := Call{
			Verb: verb, Process: random.IntN(processes), FD: random.IntN(p.Limit), To: random.IntN(p.Limit + 1), Slot: random.IntN(Slots),
			Size: 1 + random.Uint64N(4*pageSize), CloExec: random.IntN(2) == 0,
		}
		switch verb {
		case Alloc:
			if random.IntN(3) > 0 {
				c.FD = 0 // where the heap is, at first
			}
			if random.IntN(20) == 0 {
				c.Size = 0
			}
		case Mmap:
			c.Offset = random.Uint64N(3) / 2 * pageSize
			c.Size = (1 + random.Uint64N(3)) * pageSize
			if random.IntN(20) == 0 {
				c.Size = 0
			}
		case Send, Receive, Drop:
			c.Slot %= Mailboxes
		case Fork:
			if processes == MostProcesses {
				continue
			}
			processes++
		case Exit, Kill:
			if processes == 1 && random.IntN(2) > 0 {
				continue // there would be nobody left
			}
		}
		p.Calls = append(p.Calls, c)
	}
	return p
}

// Reply is what a call returned. Value is the descriptor, if it made one, else 0.
type Reply struct {
	Errno Errno
	Value int
}

func (r Reply) String() string {
	if r.Errno != OK {
		return string(r.Errno)
	}
	return fmt.Sprintf("ok %d", r.Value)
}

// LiveBuffer is a buffer that lives.
type LiveBuffer struct {
	Number     int // in the order of births, from 0
	References int
}

// Lives are processes that share buffers, and buffers that live while somebody
// refers to them.
type Lives interface {
	// Start ends everything and makes process 0 of a program.
	Start(limit int) error
	// Do does one call. The error is not that of the call.
	Do(Call) (Reply, error)
	// Buffers returns the buffers that live, by their numbers.
	Buffers() ([]LiveBuffer, error)
}

// CompareLives runs programs on both sides and compares every reply, which buffers
// live after it, and how many references each has. An operation is a call; the
// last aspect has one operation for each program, which agrees if all its calls do.
func CompareLives(ctx context.Context, programs int, program func(number int) Program, model, kernel Lives) ([]Aspect, error) {
	result, living, references := Aspect{Name: "life result"}, Aspect{Name: "life of buffers"}, Aspect{Name: "life references"}
	whole := Aspect{Name: "life programs"}
	number := 0
	for i := range programs {
		p := program(i)
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		for _, side := range []Lives{model, kernel} {
			if err := side.Start(p.Limit); err != nil {
				return nil, fmt.Errorf("program %d: %w", i+1, err)
			}
		}
		before := []int{result.Agreements, living.Agreements, references.Agreements}
		for j, call := range p.Calls {
			number++
			s := step{number, 0, fmt.Sprintf("program %d, call %d: %s", i+1, j+1, call)}
			k, err := reply(kernel, call)
			if err != nil {
				return nil, fmt.Errorf("%s: kernel: %w", s.operation, err)
			}
			m, err := reply(model, call)
			if err != nil {
				return nil, fmt.Errorf("%s: model: %w", s.operation, err)
			}
			result.compare(s, m.reply, k.reply)
			living.compare(s, m.living, k.living)
			references.compare(s, m.references, k.references)
		}
		n := len(p.Calls)
		agree := slices.Equal([]int{result.Agreements, living.Agreements, references.Agreements}, []int{before[0] + n, before[1] + n, before[2] + n})
		verdict := "all calls agree"
		if !agree {
			verdict = "some do not"
		}
		whole.compare(step{i + 1, 0, fmt.Sprintf("program %d", i+1)}, "all calls agree", verdict)
	}
	return []Aspect{result, living, references, whole}, nil
}

// seen is what a call shows, as texts.
type seen struct{ reply, living, references string }

func reply(side Lives, call Call) (s seen, err error) {
	r, err := side.Do(call)
	if err != nil {
		return s, err
	}
	buffers, err := side.Buffers()
	var living, references strings.Builder
	for _, b := range buffers {
		fmt.Fprintf(&living, " %d", b.Number)
		fmt.Fprintf(&references, " %d:%d", b.Number, b.References)
	}
	return seen{r.String(), strings.TrimSpace(living.String()), strings.TrimSpace(references.String())}, err
}

// ModelLives is the model of [Lives]: [dmabuf.System].
type ModelLives struct {
	pageSize  uint64
	system    *dmabuf.System
	processes []modelProcess
	mailboxes [Mailboxes][]dmabuf.Message
	limit     int
	numbers   map[dmabuf.Buffer]int
	born      int
	live      []dmabuf.Buffer
	holders   []dmabuf.Holder
}

type modelProcess struct {
	pid   dmabuf.PID
	ended bool
	slots [Slots]int64 // mapping plus 1; 0: none
}

// NewModelLives returns the model.
func NewModelLives(pageSize uint64) *ModelLives { return &ModelLives{pageSize: pageSize} }

// Start begins anew.
func (m *ModelLives) Start(limit int) error {
	m.system, m.limit = dmabuf.New(), limit
	m.processes = []modelProcess{{pid: m.system.Spawn(limit)}}
	m.mailboxes = [Mailboxes][]dmabuf.Message{}
	m.numbers, m.born = map[dmabuf.Buffer]int{}, 0
	return nil
}

// Do does one call.
func (m *ModelLives) Do(c Call) (Reply, error) {
	if c.Process >= len(m.processes) || m.processes[c.Process].ended {
		return Reply{Errno: "ESRCH"}, nil
	}
	p := &m.processes[c.Process]
	fd, errno := dmabuf.FD(0), dmabuf.OK
	switch c.Verb {
	case OpenHeap:
		fd, errno = m.system.OpenHeap(p.pid, 0, c.CloExec)
	case Alloc:
		return m.alloc(p, c), nil
	case Dup:
		fd, errno = m.system.Dup(p.pid, dmabuf.FD(c.FD), c.CloExec)
	case DupTo:
		if errno = m.system.Dup3(p.pid, dmabuf.FD(c.FD), dmabuf.FD(c.To), c.CloExec); errno == dmabuf.OK {
			fd = dmabuf.FD(c.To)
		}
	case CloseFD:
		errno = m.system.Close(p.pid, dmabuf.FD(c.FD))
	case Mmap:
		return m.mmap(p, c), nil
	case Munmap:
		if at := p.slots[c.Slot]; at != 0 { // else there is nothing to do, which is no error
			errno = m.system.Munmap(p.pid, dmabuf.Mapping(at-1))
			p.slots[c.Slot] = 0
		}
	case Fork:
		errno = m.fork(c.Process)
	case Exec:
		errno = m.system.Exec(p.pid)
		p.slots = [Slots]int64{}
	case Send:
		var message dmabuf.Message
		if message, errno = m.system.Send(p.pid, dmabuf.FD(c.FD)); errno == dmabuf.OK {
			m.mailboxes[c.Slot] = append(m.mailboxes[c.Slot], message)
		}
	case Receive, Drop:
		if len(m.mailboxes[c.Slot]) == 0 {
			return Reply{Errno: "EAGAIN"}, nil
		}
		message := m.mailboxes[c.Slot][0]
		m.mailboxes[c.Slot] = m.mailboxes[c.Slot][1:]
		if c.Verb == Drop {
			errno = m.system.Drop(message)
		} else {
			fd, errno = m.system.Receive(p.pid, message, c.CloExec)
		}
	case Exit, Kill:
		errno = m.system.Exit(p.pid)
		p.ended = true
	}
	for _, b := range m.system.Released(nil) {
		delete(m.numbers, b)
	}
	return modelReply(fd, errno), m.system.Check()
}

func modelReply(fd dmabuf.FD, errno dmabuf.Errno) Reply {
	if errno != dmabuf.OK {
		return Reply{Errno: Errno(errno.String())}
	}
	return Reply{Errno: OK, Value: int(fd)}
}

func (m *ModelLives) alloc(p *modelProcess, c Call) Reply {
	if _, errno := m.system.HeapOf(p.pid, dmabuf.FD(c.FD)); errno != dmabuf.OK {
		return modelReply(0, errno)
	}
	size := (c.Size + m.pageSize - 1) &^ (m.pageSize - 1)
	if size == 0 {
		return Reply{Errno: "EINVAL"}
	}
	b, fd, errno := m.system.Export(p.pid, size, c.CloExec)
	if errno == dmabuf.OK {
		m.numbers[b] = m.born
		m.born++
	}
	return modelReply(fd, errno)
}

// mmap maps at a fixed address where nothing is (MAP_FIXED_NOREPLACE). The kernel
// looks for the descriptor first, then at the length, then for room.
func (m *ModelLives) mmap(p *modelProcess, c Call) Reply {
	_, errno := m.system.BufferOf(p.pid, dmabuf.FD(c.FD))
	switch {
	case errno == dmabuf.EBADF:
		return modelReply(0, errno)
	case c.Size == 0:
		return Reply{Errno: "EINVAL"}
	case p.slots[c.Slot] != 0:
		return Reply{Errno: "EEXIST"}
	}
	mapping, errno := m.system.Mmap(p.pid, dmabuf.FD(c.FD), c.Offset, c.Size)
	if errno == dmabuf.OK {
		p.slots[c.Slot] = int64(mapping) + 1
	}
	return modelReply(0, errno)
}

func (m *ModelLives) fork(parent int) dmabuf.Errno {
	p := m.processes[parent]
	pid, errno := m.system.Fork(p.pid)
	if errno != dmabuf.OK {
		return errno
	}
	child := modelProcess{pid: pid}
	of, to := m.system.MappingsOf(nil, p.pid), m.system.MappingsOf(nil, pid)
	for i, at := range p.slots {
		if n := slices.Index(of, dmabuf.Mapping(at-1)); at != 0 && n >= 0 {
			child.slots[i] = int64(to[n]) + 1
		}
	}
	m.processes = append(m.processes, child)
	return dmabuf.OK
}

// Buffers returns what lives.
func (m *ModelLives) Buffers() ([]LiveBuffer, error) {
	m.live = m.system.Live(m.live[:0])
	list := make([]LiveBuffer, 0, len(m.live))
	for _, b := range m.live {
		m.holders = m.system.Holders(m.holders[:0], b)
		list = append(list, LiveBuffer{m.numbers[b], len(m.holders)})
	}
	slices.SortFunc(list, func(a, b LiveBuffer) int { return a.Number - b.Number })
	return list, nil
}
