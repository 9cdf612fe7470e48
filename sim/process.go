package sim

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"dmasim/allocator"
	"dmasim/sim/dmabuf"
	"dmasim/sim/physmem"
	"dmasim/workloads/program"
)

// Process is a process with what it does.
type Process struct {
	Name        string
	User        uint32
	Groups      []uint32
	Descriptors int    // it may have open at once
	Anonymous   uint64 // bytes of its own at the start
	OOMScoreAdj int
	Start       time.Duration
	Program     *program.Program // nil: it only holds memory
}

// processTable is all processes.
type processTable struct {
	processes []process
	clientOf  map[string]int   // by name
	latest    map[string]int32 // the process that got a name last
}

// process is a process that runs or has run.
type process struct {
	*Process        // its own, or of the ancestor that the configuration has
	name     string // by now
	client   int
	pid      dmabuf.PID
	owner    physmem.Owner
	thread   *program.Thread
	state    processState
	turn     uint32 // counts waits, so that a wake-up that comes too late is known
	resumed  bool   // the step at hand has waited
	since    time.Duration
	inbox    []message // descriptors that were passed to it, the oldest first
	attached []uint32  // attachments that drivers have for it
}

type processState uint8

const (
	runnable processState = iota
	sleeping
	waiting   // for a fence
	receiving // for a message
	ended
)

// message is a descriptor in flight.
type message struct {
	dmabuf.Message
	kind valueKind
}

// valueKind is what a variable of a program holds.
type valueKind uint8

const (
	unbound         valueKind = iota
	heapFD                    // descriptor of an open heap
	bufferFD                  // descriptor of a buffer
	fenceFD                   // descriptor of a sync_file
	mappingValue              // mapping of a buffer
	attachmentValue           // attachment
)

// maxStepsAtOnce bounds the steps of a process at one instant. A program that
// takes more lets no time pass.
const maxStepsAtOnce = 1 << 20

// ErrNoTime says that a program would go on for ever at one instant.
var ErrNoTime = errors.New("the program lets no time pass: give a repeat an every, or let it sleep")

// spawn makes the processes of the configuration.
func (s *Simulation) spawn() {
	for i := range s.cfg.Processes {
		p := &s.cfg.Processes[i]
		made := process{Process: p, name: p.Name, client: s.clientOf[p.Name], pid: s.kernel.Spawn(p.Descriptors), state: sleeping}
		if s.memory != nil {
			made.owner = s.processOwners[i]
		}
		if p.Program != nil {
			made.thread = p.Program.NewThread()
			s.schedule(p.Start, wakeProcess, uint32(i), 0)
		}
		s.processes = append(s.processes, made)
		s.latest[p.Name] = int32(i)
		s.announceProcess(ProcessStart, made.client)
	}
}

// wake lets a process go on, if it still is where it was when the wake-up was
// arranged.
func (s *Simulation) wake(index, turn uint32) error {
	if p := &s.processes[index]; p.turn != turn || p.state == ended {
		return nil
	}
	return s.resume(int32(index))
}

// resume runs a process until it sleeps, waits or ends.
func (s *Simulation) resume(index int32) error {
	s.processes[index].state = runnable
	s.processes[index].turn++
	for range maxStepsAtOnce {
		p := &s.processes[index]
		step, until := p.thread.Next(s.now)
		if step == nil {
			s.sleep(index, until)
			return nil
		}
		ok := s.execute(index, step)
		if err := s.reap(); err != nil {
			return err
		}
		p = &s.processes[index]
		if p.state == waiting || p.state == receiving || p.state == ended {
			return nil
		}
		p.thread.Done(ok)
		p.resumed = false
		if p.state == sleeping {
			return nil
		}
	}
	return fmt.Errorf("process %s at %v: %w", s.processes[index].name, s.now, ErrNoTime)
}

func (s *Simulation) sleep(index int32, until time.Duration) {
	p := &s.processes[index]
	p.state = sleeping
	s.schedule(until, wakeProcess, uint32(index), p.turn)
}

// execute does one step. It is false if the step failed. A process that has to
// wait executes the step again when it is woken.
func (s *Simulation) execute(index int32, step *program.Step) bool {
	p := &s.processes[index]
	switch step.Verb {
	case program.Open:
		return s.openHeap(p, step)
	case program.Alloc:
		return s.allocFor(index, step)
	case program.Dup:
		fd, errno := s.kernel.Dup(p.pid, p.descriptor(step.Of), step.CloExec)
		return s.bind(p, step, kindOf(p.thread.Get(step.Of)), int64(fd), errno)
	case program.Close:
		return s.done(p, step, s.kernel.Close(p.pid, p.descriptor(step.Of)))
	case program.Mmap:
		return s.mmap(p, step)
	case program.Munmap:
		return s.done(p, step, s.kernel.Munmap(p.pid, p.mapping(step.Of)))
	case program.Fork:
		return s.fork(index, step)
	case program.Exec:
		p.name, p.client = step.Name, s.clientOf[step.Name]
		s.latest[p.name] = index
		return s.done(p, step, s.kernel.Exec(p.pid))
	case program.Send:
		return s.send(p, step)
	case program.Receive:
		return s.receive(p, step)
	case program.Attach:
		number, errno := s.attach(p.pid, p.descriptor(step.Of), step.Device, int32(p.client))
		if errno == dmabuf.OK {
			p.attached = append(p.attached, number)
		}
		return s.bind(p, step, attachmentValue, int64(number), errno)
	case program.MapDMA:
		if a, errno := s.attachmentOf(p, step.Of); errno != dmabuf.OK {
			return s.done(p, step, errno)
		} else {
			ok, errno := s.mapFor(a)
			return s.done(p, step, errno) && ok
		}
	case program.UnmapDMA:
		if a, errno := s.attachmentOf(p, step.Of); errno != dmabuf.OK {
			return s.done(p, step, errno)
		} else {
			return s.done(p, step, s.unmap(a))
		}
	case program.Detach:
		a, errno := s.attachmentOf(p, step.Of)
		if errno == dmabuf.OK {
			p.attached = slices.DeleteFunc(p.attached, func(n uint32) bool { return n == a })
			s.letGo(a)
		}
		return s.done(p, step, errno)
	case program.DMA:
		return s.startDMA(p, step)
	case program.ExportFences:
		fd, errno := s.kernel.ExportSyncFile(p.pid, p.descriptor(step.Of), dmabuf.Access(step.Access))
		return s.bind(p, step, fenceFD, int64(fd), errno)
	case program.ImportFences:
		return s.done(p, step, s.kernel.ImportSyncFile(p.pid, p.descriptor(step.Of), p.descriptor(step.With), dmabuf.Access(step.Access)))
	case program.Wait:
		return s.await(index, step, func(p *process) (dmabuf.Fence, dmabuf.Errno) {
			return s.kernel.FirstPending(p.pid, p.descriptor(step.Of), dmabuf.Access(step.Access))
		})
	case program.BeginCPUAccess:
		return s.await(index, step, func(p *process) (dmabuf.Fence, dmabuf.Errno) {
			if p.resumed {
				return s.kernel.FirstPending(p.pid, p.descriptor(step.Of), dmabuf.Access(step.Access))
			}
			pending, synced, errno := s.kernel.BeginCPUAccess(p.pid, p.descriptor(step.Of), dmabuf.Access(step.Access))
			if synced.Lost {
				s.lostWrite(p, step.Of)
			}
			return pending, errno
		})
	case program.EndCPUAccess:
		_, errno := s.kernel.EndCPUAccess(p.pid, p.descriptor(step.Of), dmabuf.Access(step.Access))
		return s.done(p, step, errno)
	case program.Read, program.Write:
		return s.accessCPU(p, step)
	case program.Grow, program.Shrink, program.Touch, program.Pin:
		return s.useMemory(index, step)
	case program.Sleep:
		s.sleep(index, s.now+step.Time)
		return true
	case program.Kill:
		if target, ok := s.latest[step.Process]; ok && s.processes[target].state != ended {
			s.end(target)
			return true
		}
		return s.done(p, step, dmabuf.ESRCH)
	default: // Exit
		s.end(index)
		return true
	}
}

// descriptor returns the descriptor that a variable holds, or one that is not
// open.
func (p *process) descriptor(v program.Variable) dmabuf.FD {
	switch value := p.thread.Get(v); kindOf(value) {
	case heapFD, bufferFD, fenceFD:
		return dmabuf.FD(value.Index)
	}
	return -1
}

func (p *process) mapping(v program.Variable) dmabuf.Mapping {
	if value := p.thread.Get(v); kindOf(value) == mappingValue {
		return dmabuf.Mapping(value.Index)
	}
	return noMapping
}

const noMapping = dmabuf.Mapping(1<<32 - 1)

func kindOf(v program.Value) valueKind { return valueKind(v.Kind) }

// attachmentOf returns the attachment that a variable holds.
func (s *Simulation) attachmentOf(p *process, v program.Variable) (uint32, dmabuf.Errno) {
	value := p.thread.Get(v)
	number := uint32(value.Index)
	if kindOf(value) != attachmentValue || !slices.Contains(p.attached, number) {
		return 0, dmabuf.EINVAL
	}
	return number, dmabuf.OK
}

// done reports a step that broke a rule, and whether it did not.
func (s *Simulation) done(p *process, step *program.Step, errno dmabuf.Errno) bool {
	if errno == dmabuf.OK {
		return true
	}
	s.incident(IncidentReport{Kind: Misuse, Actor: p.name, Detail: step.Verb.String() + ": " + errno.String()})
	return false
}

// bind binds the variable of a step that succeeded.
func (s *Simulation) bind(p *process, step *program.Step, kind valueKind, index int64, errno dmabuf.Errno) bool {
	if !s.done(p, step, errno) {
		return false
	}
	p.thread.Set(step.As, program.Value{Kind: uint8(kind), Index: index})
	return true
}

// permitted reports whether a process may open a heap's device file.
func (s *Simulation) permitted(p *process, heap int32) bool {
	h := &s.cfg.Heaps[heap]
	const readAndWrite = 0o6
	switch {
	case p.User == 0:
		return true
	case p.User == h.User:
		return h.Mode>>6&readAndWrite == readAndWrite
	case slices.Contains(p.Groups, h.Group):
		return h.Mode>>3&readAndWrite == readAndWrite
	}
	return h.Mode&readAndWrite == readAndWrite
}

func (s *Simulation) openHeap(p *process, step *program.Step) bool {
	if !s.permitted(p, step.Heap) {
		s.refuse(p, step.Heap, 0, allocator.Permission)
		return false
	}
	fd, errno := s.kernel.OpenHeap(p.pid, int(step.Heap), true)
	if errno == dmabuf.EMFILE {
		s.refuse(p, step.Heap, 0, allocator.Limit)
		return false
	}
	return s.bind(p, step, heapFD, int64(fd), errno)
}

// refuse emits an allocation that failed before the heap was asked.
func (s *Simulation) refuse(p *process, heap int32, size uint64, cause allocator.Cause) {
	s.announceAlloc(heap, s.request(p.client, size), &noBuffer, s.failed(heap, size, cause))
}

// allocFor allocates a buffer (dma_heap_ioctl_allocate): the heap comes first,
// the descriptor last; without one the buffer is given back.
func (s *Simulation) allocFor(index int32, step *program.Step) bool {
	p := &s.processes[index]
	heap := step.Heap
	if heap < 0 {
		open, errno := s.kernel.HeapOf(p.pid, p.descriptor(step.Of))
		if !s.done(p, step, errno) {
			return false
		}
		heap = int32(open)
	} else if !s.permitted(p, heap) {
		s.refuse(p, heap, step.Size, allocator.Permission)
		return false
	}
	if step.Size == 0 {
		return s.done(p, step, dmabuf.EINVAL)
	}
	slot, diagnosis := s.placeFor(p, heap, step.Size)
	p = &s.processes[index]
	if diagnosis.Cause != allocator.None {
		s.announceAlloc(heap, s.request(p.client, step.Size), &noBuffer, diagnosis)
		return false
	}
	s.keep(slot)
	id, fd, errno := s.kernel.Export(p.pid, step.Size, step.CloExec)
	if errno != dmabuf.OK {
		s.giveBack(slot)
		if errno == dmabuf.EMFILE {
			s.refuse(p, heap, step.Size, allocator.Limit)
		}
		return false
	}
	s.share(slot, id)
	s.announceAlloc(heap, s.request(p.client, step.Size), &s.buffers[slot].Buffer, diagnosis)
	if len(s.orphans) > 0 {
		s.overrun(slot)
	}
	p.thread.Set(step.As, program.Value{Kind: uint8(bufferFD), Index: int64(fd)})
	return true
}

func (s *Simulation) mmap(p *process, step *program.Step) bool {
	fd := p.descriptor(step.Of)
	id, errno := s.kernel.BufferOf(p.pid, fd)
	if errno != dmabuf.OK {
		return s.done(p, step, errno)
	}
	m, errno := s.kernel.Mmap(p.pid, fd, 0, s.kernel.Size(id))
	return s.bind(p, step, mappingValue, int64(m), errno)
}

// fork makes a child. Its memory is its parent's until one of them writes, which
// is not modelled: it begins with none of its own. Drivers know it as another
// client, so it has no attachments.
func (s *Simulation) fork(index int32, step *program.Step) bool {
	parent := &s.processes[index]
	pid, errno := s.kernel.Fork(parent.pid)
	if !s.done(parent, step, errno) {
		return false
	}
	child := process{
		Process: parent.Process, name: step.Name, client: s.clientOf[step.Name], pid: pid,
		thread: parent.thread.Child(), state: sleeping,
	}
	of, to := s.kernel.MappingsOf(nil, parent.pid), s.kernel.MappingsOf(nil, pid)
	variables := child.thread.Variables()
	for i, v := range variables {
		switch kindOf(v) {
		case mappingValue:
			if n := slices.Index(of, dmabuf.Mapping(v.Index)); n >= 0 {
				variables[i].Index = int64(to[n])
			}
		case attachmentValue:
			variables[i] = program.Value{}
		}
	}
	number := int32(len(s.processes))
	s.processes = append(s.processes, child)
	s.adopt(number)
	s.latest[step.Name] = number
	s.announceProcess(ProcessStart, child.client)
	s.schedule(s.now, wakeProcess, uint32(number), 0)
	return true
}

func (s *Simulation) announceProcess(kind Kind, client int) {
	s.next(kind, client, -1)
	s.emit()
}

func (s *Simulation) send(p *process, step *program.Step) bool {
	target, ok := s.latest[step.Process]
	if !ok || s.processes[target].state == ended {
		return s.done(p, step, dmabuf.ESRCH)
	}
	m, errno := s.kernel.Send(p.pid, p.descriptor(step.Of))
	if !s.done(p, step, errno) {
		return false
	}
	to := &s.processes[target]
	to.inbox = append(to.inbox, message{m, kindOf(p.thread.Get(step.Of))})
	if to.state == receiving {
		to.turn++
		s.schedule(s.now, wakeProcess, uint32(target), to.turn)
	}
	return true
}

func (s *Simulation) receive(p *process, step *program.Step) bool {
	if len(p.inbox) == 0 {
		p.state = receiving
		return false
	}
	m := p.inbox[0]
	p.inbox = p.inbox[1:]
	fd, errno := s.kernel.Receive(p.pid, m.Message, step.CloExec)
	return s.bind(p, step, m.kind, int64(fd), errno)
}

func (s *Simulation) startDMA(p *process, step *program.Step) bool {
	number, errno := s.attachmentOf(p, step.Of)
	if errno != dmabuf.OK {
		return s.done(p, step, errno)
	}
	a := &s.attachments[number]
	payload := s.buffers[a.slot].Payload
	size := step.Size
	if size == 0 {
		size = payload
	}
	if !a.mapped || size > payload {
		return s.done(p, step, dmabuf.EINVAL)
	}
	after := s.fences[:0]
	explicit := step.As != program.NoVariable
	if step.With != program.NoVariable {
		explicit = true
		if after, errno = s.kernel.Pending(after, p.pid, p.descriptor(step.With), 0); errno != dmabuf.OK {
			return s.done(p, step, errno)
		}
	}
	t := s.submit(number, step.Access, size, step.Time, step.Unfenced, explicit, after)
	if step.As == program.NoVariable {
		return true
	}
	fd, errno := s.kernel.FenceFile(p.pid, s.transfers[t].fence)
	return s.bind(p, step, fenceFD, int64(fd), errno)
}

// await makes a process wait until pending finds no fence any more.
func (s *Simulation) await(index int32, step *program.Step, pending func(*process) (dmabuf.Fence, dmabuf.Errno)) bool {
	p := &s.processes[index]
	fence, errno := pending(p)
	if errno != dmabuf.OK {
		return s.done(p, step, errno)
	}
	if fence == dmabuf.NoFence {
		if p.resumed {
			s.announceWait(p)
		}
		return true
	}
	deadline := p.since + step.Time
	if !p.resumed {
		p.resumed, p.since = true, s.now
		deadline = s.now + step.Time
	}
	if step.Time > 0 && s.now >= deadline {
		s.announceWait(p)
		s.incident(IncidentReport{
			Kind: DeadlineMissed, Actor: p.name, Detail: fmt.Sprintf("waited for %v", s.now-p.since),
		})
		return false
	}
	p.state = waiting
	s.kernel.Await(fence, waitToken(index, p.turn))
	if step.Time > 0 {
		s.schedule(deadline, wakeProcess, uint32(index), p.turn)
	}
	return false
}

func (s *Simulation) announceWait(p *process) {
	s.next(Wait, p.client, -1).Since = p.since
	s.emit()
}

// accessCPU reads or writes a buffer with the CPU.
func (s *Simulation) accessCPU(p *process, step *program.Step) bool {
	id, errno := s.kernel.MappedBuffer(p.pid, p.mapping(step.Of))
	if errno != dmabuf.OK {
		return s.done(p, step, errno)
	}
	slot := s.slotOf[id]
	b := &s.buffers[slot]
	e := s.next(AccessCPU, p.client, int(b.heap))
	e.Size, e.Buffer = b.Payload, &b.Buffer
	s.emit()
	report := IncidentReport{Actor: p.name, Buffer: b.number, Victim: s.cfg.Clients[b.Owner].Name}
	if u := &s.uses[slot]; u.writing > 0 || (step.Verb == program.Write && u.reading > 0) {
		report.Kind, report.Detail = Race, "the CPU used the buffer while a transfer of it was not over"
		s.incident(report)
	}
	if step.Verb == program.Write {
		s.kernel.CPUWrite(id)
		s.wrote(slot, p.name)
		return true
	}
	switch report.Kind = StaleRead; s.kernel.CPURead(id) {
	case dmabuf.StaleCaches:
		report.Detail = "a device wrote, and no begin_cpu_access came between"
		s.incident(report)
	case dmabuf.StaleMemory:
		report.Detail = s.staleMemory(slot)
		s.incident(report)
	}
	return true
}

// end ends a process: its descriptors and mappings go, its drivers let go of
// what they attached for it, and its memory is free.
func (s *Simulation) end(index int32) {
	p := &s.processes[index]
	if p.state == ended {
		return
	}
	p.state = ended
	p.turn++
	for _, m := range p.inbox {
		s.kernel.Drop(m.Message)
	}
	p.inbox = nil
	s.kernel.Exit(p.pid)
	attached := p.attached
	p.attached = nil
	for _, a := range attached {
		s.letGo(a)
	}
	s.disown(index)
	s.announceProcess(ProcessEnd, s.processes[index].client)
}
