package live

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"syscall"
	"time"

	"dmasim/allocator"
	"dmasim/mem"
	"dmasim/sim"
	"dmasim/workloads/program"
)

// Process is a process of the kernel. An errno is what a call of it got; errors are
// of the world outside.
type Process interface {
	// Open opens the device file of one of the configuration's heaps.
	Open(heap int, cloExec bool) (fd int, errno syscall.Errno, err error)
	Alloc(heapFD int, bytes uint64, cloExec bool) (fd int, errno syscall.Errno, err error)
	Dup(fd int, cloExec bool) (copied int, errno syscall.Errno, err error)
	Close(fd int) (syscall.Errno, error)
	Mmap(fd int, bytes uint64) (address uint64, errno syscall.Errno, err error)
	Munmap(address, bytes uint64) (syscall.Errno, error)
	// Touch reads or writes memory that is mapped.
	Touch(address, bytes uint64, write bool) error
	// Sync begins or ends an access by the CPU.
	Sync(fd int, access program.Access, end bool) (syscall.Errno, error)
	Fork() (Process, syscall.Errno, error)
	Exec() (syscall.Errno, error)
	// Send puts a descriptor into a message, Receive takes it out.
	Send(fd int) (Message, syscall.Errno, error)
	Receive(m Message, cloExec bool) (fd int, errno syscall.Errno, err error)
	// End kills the process and returns when what it held is closed.
	End() error
}

// Message holds a file on its way to a process.
type Message interface{ Close() error }

// Programs is what became of processes with programs.
type Programs struct {
	Processes   int       `json:"processes"` // that ran
	MostAtOnce  int       `json:"most_processes"`
	Steps       uint64    `json:"steps"`          // played
	Failed      uint64    `json:"failed_steps"`   // of them
	NotPlayed   []Skipped `json:"not_played"`     // steps without a counterpart here
	FirstMisuse *Misuse   `json:"first_misuse"`   // null: the kernel refused nothing but allocations
	Running     int       `json:"running_at_end"` // processes
	Waiting     int       `json:"waiting_at_end"` // of them, those that wait for a message
	Held        int       `json:"held_at_end"`    // buffers that processes held
	HeldBytes   mem.Size  `json:"held_at_end_bytes"`
}

// Skipped counts the steps of one kind that were not played.
type Skipped struct {
	Step  string `json:"step"`
	Steps uint64 `json:"steps"`
}

// Misuse is a call that the kernel refused.
type Misuse struct {
	At      time.Duration `json:"at"`
	Process string        `json:"process"`
	Step    string        `json:"step"`
	Errno   string        `json:"errno"`
}

// maxStepsAtOnce bounds the steps of a process at one instant.
const maxStepsAtOnce = 1 << 20

// kinds of values of variables; 0 is unbound.
const (
	descriptor uint8 = iota + 1
	mapping
	absent // what no step was played for
)

// file is an open file.
type file struct{ buffer *shared } // nil: a heap

// shared is a buffer that processes hold; it lives while they do.
type shared struct {
	bytes      uint64 // whole pages
	references int
}

// handle is a descriptor of a process.
type handle struct {
	file    file
	cloExec bool
}

// message is a file on its way, or nothing in the place of what no step was played
// for.
type message struct {
	Message
	file file
}

// told is a process with a program.
type told struct {
	Process
	name        string
	thread      *program.Thread
	wake        time.Duration
	number      int // in the order of births
	receiving   bool
	ended       bool
	devicesBusy time.Duration // until when transfers that it started would take
	descriptors map[int]handle
	mappings    map[uint64]*shared
	inbox       []message
}

// begin makes the processes of the configuration that have programs.
func (p *player) begin() error {
	p.latest = map[string]*told{}
	p.skipped = map[program.Verb]uint64{}
	for i := range p.cfg.Processes {
		c := &p.cfg.Processes[i]
		if c.Program == nil {
			continue
		}
		if p.summary.Programs == nil {
			p.summary.Programs = &Programs{NotPlayed: []Skipped{}}
		}
		made, err := p.cfg.Spawn(c.Descriptors)
		if err != nil {
			return fmt.Errorf("process %s: %w", c.Name, err)
		}
		p.add(&told{Process: made, name: c.Name, thread: c.Program.NewThread(), wake: c.Start, descriptors: map[int]handle{}, mappings: map[uint64]*shared{}})
	}
	return nil
}

func (p *player) add(t *told) {
	s := p.summary.Programs
	t.number = s.Processes
	s.Processes++
	p.told = append(p.told, t)
	p.latest[t.name] = t
	s.MostAtOnce = max(s.MostAtOnce, len(p.told))
}

// nextProcess returns the process that goes on first.
func (p *player) nextProcess() *told {
	var first *told
	for _, t := range p.told {
		if !t.receiving && (first == nil || t.wake < first.wake) {
			first = t
		}
	}
	return first
}

// resume plays the steps of a process until it sleeps, waits or ends.
func (p *player) resume(t *told) error {
	now := t.wake
	for range maxStepsAtOnce {
		step, until := t.thread.Next(now)
		if step == nil {
			t.wake = until
			return nil
		}
		ok, err := p.play(t, step, now)
		if err != nil {
			return fmt.Errorf("process %s at %v: %s: %w", t.name, now, step.Verb, err)
		}
		if t.receiving || t.ended {
			return nil
		}
		if !ok {
			p.summary.Programs.Failed++
		}
		t.thread.Done(ok)
		if t.wake > now {
			return nil
		}
		if err := p.ctx.Err(); err != nil {
			return err
		}
	}
	return fmt.Errorf("process %s at %v: %w", t.name, now, sim.ErrNoTime)
}

// skip counts a step that has no counterpart here.
func (p *player) skip(t *told, step *program.Step) bool {
	p.skipped[step.Verb]++
	p.summary.Programs.Steps--
	switch step.Verb {
	case program.Attach, program.DMA, program.ExportFences, program.Dup, program.Receive, program.Mmap:
		t.thread.Set(step.As, program.Value{Kind: absent})
	}
	return true
}

// play plays a step. It is false if the step failed.
func (p *player) play(t *told, step *program.Step, now time.Duration) (ok bool, err error) {
	p.summary.Programs.Steps++
	switch step.Verb {
	case program.Sleep:
		t.wake = now + step.Time
		return true, nil
	case program.Exit:
		return true, p.end(t)
	case program.Kill:
		target := p.latest[step.Process]
		if target == nil || target.ended {
			return p.result(t, step, now, syscall.ESRCH), nil
		}
		return true, p.end(target)
	case program.Receive:
		return p.receive(t, step, now)
	case program.Attach, program.MapDMA, program.UnmapDMA, program.Detach, program.ExportFences, program.ImportFences, program.Grow, program.Shrink, program.Touch, program.Pin:
		return p.skip(t, step), nil
	case program.DMA:
		t.devicesBusy = max(t.devicesBusy, now+step.Time)
		return p.skip(t, step), nil
	case program.Wait:
		t.wake = max(now, t.devicesBusy)
		return p.skip(t, step), nil
	}
	if isAbout(step) && t.thread.Get(step.Of).Kind == absent {
		if target := p.latest[step.Process]; step.Verb == program.Send && target != nil && !target.ended {
			target.deliver(message{}, now)
		}
		return p.skip(t, step), nil
	}
	errno, err := p.call(t, step, now)
	return p.result(t, step, now, errno), err
}

// isAbout reports whether a step is about what a variable holds.
func isAbout(step *program.Step) bool {
	switch step.Verb {
	case program.Open, program.Fork, program.Exec:
		return false
	case program.Alloc:
		return step.Heap < 0
	}
	return true
}

// result notes a call that was refused. Refused allocations are counted elsewhere.
func (p *player) result(t *told, step *program.Step, now time.Duration, errno syscall.Errno) bool {
	if errno == 0 {
		return true
	}
	if s := p.summary.Programs; s.FirstMisuse == nil && step.Verb != program.Alloc {
		s.FirstMisuse = &Misuse{now, t.name, step.Verb.String(), errno.Error()}
	}
	return false
}

// descriptorOf returns the descriptor that a variable holds, or one that is not open.
func (t *told) descriptorOf(v program.Variable) int {
	if value := t.thread.Get(v); value.Kind == descriptor {
		return int(value.Index)
	}
	return -1
}

// bind keeps a new descriptor.
func (t *told) bind(step *program.Step, fd int, of file, cloExec bool) {
	t.descriptors[fd] = handle{of, cloExec}
	if of.buffer != nil {
		of.buffer.references++
	}
	t.thread.Set(step.As, program.Value{Kind: descriptor, Index: int64(fd)})
}

// drop takes a reference to a buffer away.
func (p *player) drop(b *shared) {
	if b == nil {
		return
	}
	if b.references--; b.references == 0 {
		p.held -= b.bytes
		p.sharedBytes -= b.bytes
		p.shared--
		p.summary.Released++
	}
}

// call makes the system calls of a step.
func (p *player) call(t *told, step *program.Step, now time.Duration) (errno syscall.Errno, err error) {
	fd := t.descriptorOf(step.Of)
	open, isOpen := t.descriptors[fd]
	switch step.Verb {
	case program.Dup, program.Close, program.Mmap, program.BeginCPUAccess, program.EndCPUAccess, program.Send:
		if !isOpen {
			return syscall.EBADF, nil
		}
	}
	switch step.Verb {
	case program.Open:
		made, errno, err := t.Open(int(step.Heap), true)
		if err == nil && errno == 0 {
			t.bind(step, made, file{}, true)
		}
		return errno, err
	case program.Alloc:
		return p.allocFor(t, step, now)
	case program.Dup:
		made, errno, err := t.Dup(fd, step.CloExec)
		if err == nil && errno == 0 {
			t.bind(step, made, open.file, step.CloExec)
		}
		return errno, err
	case program.Close:
		errno, err := t.Close(fd)
		if err == nil && errno == 0 {
			delete(t.descriptors, fd)
			p.drop(open.file.buffer)
		}
		return errno, err
	case program.Mmap:
		b := open.file.buffer
		if b == nil {
			return syscall.ENODEV, nil // a heap
		}
		address, errno, err := t.Mmap(fd, b.bytes)
		if err == nil && errno == 0 {
			t.mappings[address] = b
			b.references++
			t.thread.Set(step.As, program.Value{Kind: mapping, Index: int64(address)})
		}
		return errno, err
	case program.Munmap, program.Read, program.Write:
		value := t.thread.Get(step.Of)
		address := uint64(value.Index)
		mapped := t.mappings[address]
		if value.Kind != mapping || mapped == nil {
			return syscall.EINVAL, nil
		}
		if step.Verb != program.Munmap {
			return 0, t.Touch(address, mapped.bytes, step.Verb == program.Write)
		}
		errno, err := t.Munmap(address, mapped.bytes)
		if err == nil && errno == 0 {
			delete(t.mappings, address)
			p.drop(mapped)
		}
		return errno, err
	case program.BeginCPUAccess, program.EndCPUAccess:
		return t.Sync(fd, step.Access, step.Verb == program.EndCPUAccess)
	case program.Fork:
		return p.fork(t, step, now)
	case program.Exec:
		return p.exec(t, step)
	case program.Send:
		return p.send(t, step, now)
	}
	return syscall.ENOSYS, nil
}

// allocFor makes a buffer, from a heap that is open or by opening one.
func (p *player) allocFor(t *told, step *program.Step, now time.Duration) (errno syscall.Errno, err error) {
	heapFD := t.descriptorOf(step.Of)
	if of, open := t.descriptors[heapFD]; step.Heap < 0 && (!open || of.file.buffer != nil) {
		return syscall.EBADF, nil
	}
	if step.Size == 0 {
		return syscall.EINVAL, nil
	}
	var fd int
	cause, err := p.request(step.Size, func() (allocator.Cause, error) {
		fd, errno, err = t.makeBuffer(step, heapFD)
		cause, known := causeOf(errno)
		if err == nil && !known {
			err = errno
		}
		return cause, err
	})
	switch {
	case err != nil:
		return 0, err
	case cause != allocator.None:
		p.fail(now, t.name, step.Size, cause)
		return syscall.ENOMEM, nil
	}
	b := &shared{bytes: p.whole(step.Size)}
	p.sharedBytes += b.bytes
	p.shared++
	p.serve(b.bytes)
	t.bind(step, fd, file{b}, step.CloExec)
	return 0, nil
}

func (t *told) makeBuffer(step *program.Step, heapFD int) (fd int, errno syscall.Errno, err error) {
	if step.Heap < 0 {
		return t.Alloc(heapFD, step.Size, step.CloExec)
	}
	if heapFD, errno, err = t.Open(int(step.Heap), true); err != nil || errno != 0 {
		return -1, errno, err
	}
	fd, errno, err = t.Alloc(heapFD, step.Size, step.CloExec)
	if err == nil {
		_, err = t.Close(heapFD)
	}
	return fd, errno, err
}

// fork makes a child. Drivers know it as another client: what is attached for its
// parent stays the parent's.
func (p *player) fork(t *told, step *program.Step, now time.Duration) (syscall.Errno, error) {
	made, errno, err := t.Fork()
	if err != nil || errno != 0 {
		return errno, err
	}
	child := &told{Process: made, name: step.Name, thread: t.thread.Child(), wake: now, descriptors: map[int]handle{}, mappings: map[uint64]*shared{}}
	for fd, h := range t.descriptors {
		child.descriptors[fd] = h
		if h.file.buffer != nil {
			h.file.buffer.references++
		}
	}
	for address, b := range t.mappings {
		child.mappings[address] = b
		b.references++
	}
	p.add(child)
	return 0, nil
}

func (p *player) exec(t *told, step *program.Step) (syscall.Errno, error) {
	errno, err := t.Exec()
	if err != nil || errno != 0 {
		return errno, err
	}
	t.name = step.Name
	p.latest[t.name] = t
	for fd, h := range t.descriptors {
		if h.cloExec {
			delete(t.descriptors, fd)
			p.drop(h.file.buffer)
		}
	}
	p.unmapAll(t)
	return 0, nil
}

func (p *player) unmapAll(t *told) {
	for _, b := range t.mappings {
		p.drop(b)
	}
	clear(t.mappings)
}

func (p *player) send(t *told, step *program.Step, now time.Duration) (syscall.Errno, error) {
	target := p.latest[step.Process]
	if target == nil || target.ended {
		return syscall.ESRCH, nil
	}
	fd := t.descriptorOf(step.Of)
	m, errno, err := t.Send(fd)
	if err != nil || errno != 0 {
		return errno, err
	}
	of := t.descriptors[fd].file
	if of.buffer != nil {
		of.buffer.references++
	}
	target.deliver(message{m, of}, now)
	return 0, nil
}

func (t *told) deliver(m message, now time.Duration) {
	t.inbox = append(t.inbox, m)
	if t.receiving {
		t.receiving, t.wake = false, now
	}
}

// receive takes a message. Without one the process plays the step again when one
// comes.
func (p *player) receive(t *told, step *program.Step, now time.Duration) (bool, error) {
	if len(t.inbox) == 0 {
		p.summary.Programs.Steps--
		t.receiving = true
		return false, nil
	}
	m := t.inbox[0]
	t.inbox = t.inbox[1:]
	if m.Message == nil {
		return p.skip(t, step), nil
	}
	fd, errno, err := t.Receive(m.Message, step.CloExec)
	if err == nil && errno == 0 {
		t.bind(step, fd, m.file, step.CloExec)
	}
	p.drop(m.file.buffer)
	return p.result(t, step, now, errno), errors.Join(err, m.Close())
}

// end ends a process with what it holds.
func (p *player) end(t *told) error {
	t.ended = true
	p.told = slices.DeleteFunc(p.told, func(other *told) bool { return other == t })
	failed := t.Process.End()
	for _, h := range t.descriptors {
		p.drop(h.file.buffer)
	}
	clear(t.descriptors)
	p.unmapAll(t)
	for _, m := range t.inbox {
		p.drop(m.file.buffer)
		if m.Message != nil {
			failed = errors.Join(failed, m.Close())
		}
	}
	t.inbox = nil
	return failed
}

// endAll ends all processes, whatever comes of each.
func (p *player) endAll() error {
	if s := p.summary.Programs; s != nil {
		s.Running = len(p.told)
		s.Held, s.HeldBytes = p.shared, mem.Size(p.sharedBytes)
		for _, t := range p.told {
			if t.receiving {
				s.Waiting++
			}
		}
		for verb, n := range p.skipped {
			s.NotPlayed = append(s.NotPlayed, Skipped{verb.String(), n})
		}
		slices.SortFunc(s.NotPlayed, func(a, b Skipped) int { return cmp.Compare(a.Step, b.Step) })
	}
	var failed error
	for len(p.told) > 0 {
		failed = errors.Join(failed, p.end(p.told[0]))
	}
	return failed
}
