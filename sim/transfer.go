package sim

import (
	"time"

	"dmasim/devices"
	"dmasim/mem"
	"dmasim/sim/dmabuf"
	"dmasim/workloads/program"
)

// Transfer is what a device does with every buffer of a client.
type Transfer struct {
	Device int // index into Config.Devices
	Access program.Access
	Time   time.Duration
}

// dma is what devices do.
type dma struct {
	engines         []engine // by device
	coherent        []bool
	alone           []*devices.Plan // what one device demands
	reach           []mem.RangeSet
	transfers       []transfer
	freeTransfers   []uint32
	attachments     []attachment
	freeAttachments []uint32
	orphans         []uint32   // transfers whose buffers are gone
	places          *occupancy // nil where no transfer strays

	// Lists that are used again and again.
	fences []dmabuf.Fence
	tokens []dmabuf.Token
	pieces []mem.Range
	strays []mem.Range
}

// engine is the part of a device that transfers: one transfer at a time, in the
// order in which they were submitted.
type engine struct {
	context dmabuf.Context
	queue   []uint32 // transfers; the first one runs, or is next
	busy    bool
}

// transfer is a transfer that is not over.
type transfer struct {
	device     int32
	attachment uint32
	slot       uint32 // of the buffer
	access     program.Access
	held       bool // its driver holds the buffer until it is over
	size       uint64
	time       time.Duration
	begun      time.Duration
	fence      dmabuf.Fence
	waits      int32   // fences that it waits for
	detached   bool    // its attachment is gone
	cached     bool    // it was unmapped, and the IOTLB still has its pages
	orphan     *orphan // its buffer is gone
}

// attachment is a device that a driver attached to a buffer.
type attachment struct {
	device   int32
	client   int32
	slot     uint32
	importer dmabuf.Importer
	id       dmabuf.Attachment
	mapped   bool
	route    route
	pending  int32 // transfers that hold it and are not over
	closing  bool  // it goes when they are
}

// take returns the number of an unused element of list.
func take[T any](list *[]T, free *[]uint32) uint32 {
	if n := len(*free); n > 0 {
		i := (*free)[n-1]
		*free = (*free)[:n-1]
		return i
	}
	var zero T
	*list = append(*list, zero)
	return uint32(len(*list) - 1)
}

// attach makes a driver get the buffer of a descriptor and attach a device.
func (s *Simulation) attach(pid dmabuf.PID, fd dmabuf.FD, device, client int32) (uint32, dmabuf.Errno) {
	importer, errno := s.kernel.Get(pid, fd)
	if errno != dmabuf.OK {
		return 0, errno
	}
	id, errno := s.kernel.Attach(importer, s.coherent[device])
	if errno != dmabuf.OK {
		return 0, errno
	}
	number := take(&s.attachments, &s.freeAttachments)
	slot := s.slotOf[s.kernel.ImportedBuffer(importer)]
	s.attachments[number] = attachment{device: device, client: client, slot: slot, importer: importer, id: id}
	return number, s.announce(Attach, number)
}

// announce emits an event about an attachment.
func (s *Simulation) announce(kind Kind, number uint32) dmabuf.Errno {
	a := &s.attachments[number]
	b := &s.buffers[a.slot]
	e := s.next(kind, int(a.client), int(b.heap))
	e.Device, e.Size, e.Buffer = int(a.device), b.Payload, &b.Buffer
	s.emit()
	return dmabuf.OK
}

// mapFor maps an attachment for its device. It is false where the device cannot
// use the buffer and its driver knows.
func (s *Simulation) mapFor(number uint32) (ok bool, errno dmabuf.Errno) {
	a := &s.attachments[number]
	if !s.address(number) {
		b := &s.buffers[a.slot]
		e := s.next(Map, int(a.client), int(b.heap))
		e.Device, e.Size, e.Buffer, e.Diagnosis = int(a.device), b.Payload, &b.Buffer, &s.diagnosis
		s.emit()
		return false, dmabuf.OK
	}
	if a.route == bounced {
		errno = s.kernel.MapBounced(a.id)
	} else {
		errno = s.kernel.Map(a.id)
	}
	if errno != dmabuf.OK {
		if !a.mapped && a.route != direct {
			s.unaddress(number, false)
		}
		return false, errno
	}
	a.mapped = true
	return true, s.announce(Map, number)
}

// letGo ends an attachment: now, or when the transfers are over whose fences
// stand for them.
func (s *Simulation) letGo(number uint32) {
	a := &s.attachments[number]
	a.closing = true
	if a.pending > 0 {
		return
	}
	if a.mapped {
		s.unmap(number)
	}
	s.kernel.Detach(a.id)
	for _, n := range s.engines[a.device].queue {
		if t := &s.transfers[n]; t.attachment == number {
			t.detached = true // a driver without fences does not know of it
		}
	}
	s.announce(Detach, number)
	importer := a.importer
	s.freeAttachments = append(s.freeAttachments, number)
	s.kernel.Put(importer)
}

func (s *Simulation) unmap(number uint32) dmabuf.Errno {
	a := &s.attachments[number]
	lost, errno := s.kernel.Unmap(a.id)
	if errno == dmabuf.OK {
		a.mapped = false
		if a.route != direct {
			s.unaddress(number, lost)
		}
		s.announce(Unmap, number)
	}
	return errno
}

// submit hands a transfer to the device of a mapped attachment.
//
// A driver without fences lets go of the buffer whatever the transfer does. One
// that synchronises explicitly, by after, the fences that the transfer waits for,
// and by a fence of its own that it hands out, holds it.
func (s *Simulation) submit(on uint32, access program.Access, size uint64, length time.Duration, unfenced, explicit bool, after []dmabuf.Fence) uint32 {
	a := &s.attachments[on]
	device := a.device
	e := &s.engines[device]
	number := take(&s.transfers, &s.freeTransfers)
	t := &s.transfers[number]
	*t = transfer{
		device: device, attachment: on, slot: a.slot, access: access, held: !unfenced || explicit,
		size: size, time: length, fence: dmabuf.NoFence,
	}
	u := &s.uses[a.slot]
	u.transfers++
	needs, usage := dmabuf.Write, dmabuf.Read
	if access&program.WriteOnly != 0 {
		needs, usage = dmabuf.Read, dmabuf.Write
	}
	if !unfenced {
		after = s.kernel.Unsignalled(after, u.dmabuf, needs)
	}
	for _, f := range after {
		if s.kernel.ContextOf(f) != e.context && s.kernel.Await(f, transferToken(number)) {
			t.waits++
		}
	}
	s.fences = after[:0]
	if t.held {
		a.pending++
		t.fence = s.kernel.NewFence(e.context)
	}
	if !unfenced {
		s.kernel.AddFence(u.dmabuf, t.fence, usage)
	}
	e.queue = append(e.queue, number)
	s.startNext(device)
	return number
}

// startNext begins the transfer that is next, if the device is idle and the
// transfer waits for nothing.
func (s *Simulation) startNext(device int32) {
	e := &s.engines[device]
	if e.busy || len(e.queue) == 0 {
		return
	}
	number := e.queue[0]
	t := &s.transfers[number]
	if t.waits > 0 {
		return
	}
	e.busy = true
	t.begun = s.now
	s.schedule(s.now+t.time, transferEnd, number, 0)
	if t.orphan != nil {
		if t.orphan.faults {
			s.faulted(t, mem.Range{}, "the buffer was unmapped before the transfer began")
		} else {
			s.strike(t, t.orphan.ranges, "its buffer was freed before it began")
		}
		return
	}
	s.begin(t)
}

// begin does what a transfer does to memory and to those who use it.
func (s *Simulation) begin(t *transfer) {
	b := &s.buffers[t.slot]
	s.announceTransfer(Start, t)
	writes := t.access&program.WriteOnly != 0
	u := &s.uses[t.slot]
	if u.writing > 0 || (writes && u.reading > 0) {
		s.incident(IncidentReport{
			Kind: Race, Actor: s.cfg.Devices[t.device].Name, Buffer: b.number, Victim: s.cfg.Clients[b.Owner].Name,
			Detail: "another transfer of the buffer was not over",
		})
	}
	if writes {
		u.writing++
	} else {
		u.reading++
	}
	if !t.detached {
		s.accessBy(t)
	}
	s.stray(t)
}

// accessBy tells the kernel what a device does with the data of a buffer, and reports
// those that are not the newest.
func (s *Simulation) accessBy(t *transfer) {
	stale := s.kernel.DeviceAccess(s.attachments[t.attachment].id, dmabuf.Access(t.access))
	if stale != dmabuf.Fresh {
		b := &s.buffers[t.slot]
		report := IncidentReport{
			Kind: StaleTransfer, Actor: s.cfg.Devices[t.device].Name, Buffer: b.number, Victim: s.cfg.Clients[b.Owner].Name,
			Detail: "the CPU's caches held newer data: no end_cpu_access before the transfer",
		}
		switch stale {
		case dmabuf.StaleCopy:
			report.Detail = s.staleCopy(t.slot)
		case dmabuf.StaleMemory:
			report.Detail = s.staleMemory(t.slot)
		}
		s.incident(report)
	}
	if t.access&program.WriteOnly != 0 {
		s.wrote(t.slot, s.cfg.Devices[t.device].Name)
	}
}

func (s *Simulation) announceTransfer(kind Kind, t *transfer) {
	b := &s.buffers[t.slot]
	e := s.next(kind, int(b.Owner), int(b.heap))
	e.Device, e.Size, e.Buffer, e.Since = int(t.device), t.size, &b.Buffer, t.begun
	s.emit()
}

// finish ends the transfer that runs on its device, and lets go on who waited for
// it.
func (s *Simulation) finish(number uint32) error {
	t := &s.transfers[number]
	device := t.device
	e := &s.engines[device]
	if t.orphan == nil {
		u := &s.uses[t.slot]
		u.transfers--
		if t.access&program.WriteOnly != 0 {
			u.writing--
		} else {
			u.reading--
		}
		s.announceTransfer(End, t)
	} else {
		s.bury(number)
	}
	var woken []dmabuf.Token
	if t.fence != dmabuf.NoFence {
		s.tokens, _ = s.kernel.Signal(s.tokens[:0], t.fence)
		woken = s.tokens
	}
	on, held := t.attachment, t.held
	s.freeTransfers = append(s.freeTransfers, number)
	e.queue = append(e.queue[:0], e.queue[1:]...)
	e.busy = false
	if held { // the attachment is there: it waits for its transfers
		a := &s.attachments[on]
		if a.pending--; a.pending == 0 && a.closing {
			s.letGo(on)
		}
	}
	for _, token := range woken {
		if isTransfer(token) {
			waiting := &s.transfers[uint32(token)]
			if waiting.waits--; waiting.waits == 0 {
				s.schedule(s.now, transferStart, uint32(waiting.device), 0)
			}
		} else {
			s.schedule(s.now, wakeProcess, tokenIndex(token), tokenTurn(token))
		}
	}
	// Others that end at this instant end before the next ones begin.
	s.schedule(s.now, transferStart, uint32(device), 0)
	return s.reap()
}

// Tokens of those who wait for fences: transfers and processes.
const processToken = dmabuf.Token(1) << 63

func transferToken(number uint32) dmabuf.Token { return dmabuf.Token(number) }

func waitToken(process int32, turn uint32) dmabuf.Token {
	return processToken | dmabuf.Token(process)<<32 | dmabuf.Token(turn)
}

func isTransfer(t dmabuf.Token) bool { return t&processToken == 0 }

func tokenIndex(t dmabuf.Token) uint32 { return uint32(t &^ processToken >> 32) }

func tokenTurn(t dmabuf.Token) uint32 { return uint32(t) }
