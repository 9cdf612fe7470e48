package sim

import (
	"fmt"
	"slices"

	"dmasim/allocator"
	"dmasim/allocator/kernel/buddy"
	"dmasim/allocator/ledger"
	"dmasim/devices"
	"dmasim/mem"
	"dmasim/sim/dmabuf"
	"dmasim/sim/heap"
	"dmasim/sim/physmem"
)

// sharing is what the kernel knows of buffers as dma-bufs.
type sharing struct {
	kernel     *dmabuf.System
	uses       []use        // by slot
	slotOf     []uint32     // by dmabuf.Buffer
	drivers    []dmabuf.PID // of clients, that import their buffers
	shares     []share
	freeShares []uint32

	// Lists that are used again and again.
	released []dmabuf.Buffer
	warnings []dmabuf.Warning
}

// startSystem makes what processes and transfers need, if there are any.
func (s *Simulation) startSystem() error {
	transfers := false
	for i := range s.cfg.Clients {
		transfers = transfers || len(s.cfg.Clients[i].Transfers) > 0
	}
	if !transfers && len(s.cfg.Processes)+len(s.cfg.Bounce)+len(s.cfg.IOMMUs) == 0 {
		return nil
	}
	s.kernel = dmabuf.New()
	if s.mayStray() {
		s.places = newOccupancy()
	}
	s.clientOf, s.latest = map[string]int{}, map[string]int32{}
	for i := range s.cfg.Devices {
		d := &s.cfg.Devices[i]
		plan, err := devices.Merge(*d)
		if err != nil {
			return fmt.Errorf("device %s: %w", d.Name, err)
		}
		s.engines = append(s.engines, engine{context: s.kernel.NewContext()})
		s.coherent = append(s.coherent, d.Coherence == devices.Coherent)
		s.alone = append(s.alone, plan)
		s.reach = append(s.reach, plan.Reach)
	}
	for i := range s.cfg.Clients {
		c := &s.cfg.Clients[i]
		if c.Heap < 0 {
			s.clientOf[c.Name] = i
		}
		s.drivers = append(s.drivers, s.kernel.Spawn(noLimit))
	}
	s.spawn()
	return s.startTranslation()
}

// mayStray reports whether a transfer may access memory beside its buffer: because
// its device overshoots or loses bits of addresses, because the buffer may be freed
// under it, because of what an IOMMU makes of its addresses, or because a program says
// what it transfers.
func (s *Simulation) mayStray() bool {
	if len(s.cfg.Processes)+len(s.cfg.IOMMUs) > 0 {
		return true
	}
	for i := range s.cfg.Clients {
		c := &s.cfg.Clients[i]
		for _, t := range c.Transfers {
			if d := &s.cfg.Devices[t.Device]; c.Unfenced || d.Padding > 0 || d.Beyond == devices.Truncate {
				return true
			}
		}
	}
	return false
}

// noLimit is more descriptors than anybody opens: clients of sources are not
// limited.
const noLimit = 1 << 30

// share is what the drivers of a client's buffer have.
type share struct {
	fd       dmabuf.FD
	attached []uint32
}

// openShare makes the drivers of a client import a buffer, and hands the transfers
// to its devices.
func (s *Simulation) openShare(slot uint32, client int) {
	c := &s.cfg.Clients[client]
	id, fd, _ := s.kernel.Export(s.drivers[client], s.buffers[slot].Payload, true)
	s.share(slot, id)
	number := take(&s.shares, &s.freeShares)
	s.uses[slot].share = number
	shared := &s.shares[number]
	shared.fd, shared.attached = fd, shared.attached[:0]
	for _, device := range c.Devices {
		a, _ := s.attach(s.drivers[client], fd, int32(device), int32(client))
		shared.attached = append(shared.attached, a)
		s.mapFor(a)
	}
	for _, t := range c.Transfers {
		for _, a := range shared.attached {
			if at := &s.attachments[a]; at.device == int32(t.Device) && at.mapped {
				s.submit(a, t.Access, s.buffers[slot].Payload, t.Time, c.Unfenced, false, s.fences[:0])
			}
		}
	}
}

// closeShare ends a client's use of a buffer. Drivers with fences let go of it
// when the transfers are over.
func (s *Simulation) closeShare(slot uint32) {
	b := &s.buffers[slot]
	number := s.uses[slot].share
	shared := &s.shares[number]
	for _, a := range shared.attached {
		s.letGo(a)
	}
	s.freeShares = append(s.freeShares, number)
	s.kernel.Close(s.drivers[b.Owner], shared.fd)
}

// share makes a dma-buf stand for the buffer in a slot.
func (s *Simulation) share(slot uint32, id dmabuf.Buffer) {
	for uint64(id) >= uint64(len(s.slotOf)) {
		s.slotOf = append(s.slotOf, 0)
	}
	s.slotOf[id] = slot
	u := &s.uses[slot]
	u.dmabuf, u.shared = id, true
}

// reap frees the buffers whose last reference is gone, and reports what made the
// kernel warn.
func (s *Simulation) reap() error {
	s.warnings = s.kernel.Warnings(s.warnings[:0])
	for _, w := range s.warnings {
		s.incident(IncidentReport{Kind: Misuse, Buffer: s.buffers[s.slotOf[w.Buffer]].number, Detail: w.Text})
	}
	s.released = s.kernel.Released(s.released[:0])
	for _, id := range s.released {
		if err := s.free(s.slotOf[id]); err != nil {
			return err
		}
	}
	return nil
}

// incident emits something that went wrong.
func (s *Simulation) incident(report IncidentReport) {
	report.At = s.now
	s.report = report
	s.next(Incident, -1, -1).Incident = &s.report
	s.emit()
}

// failed describes a request that failed without its heap having been asked. What
// it returns is good until the next failure.
func (s *Simulation) failed(from int32, size uint64, cause allocator.Cause) *ledger.Diagnosis {
	s.diagnosis = s.state(from, size)
	s.diagnosis.Cause = cause
	return &s.diagnosis
}

// state describes a heap for a request that it never saw.
func (s *Simulation) state(from int32, size uint64) ledger.Diagnosis {
	if h := s.paged(from); h != nil {
		page := s.memory.PageSize()
		if h.Kind == heap.CMA {
			area := s.memory.Area(h.Area)
			free := (area.Pages.Size() - area.Used) * page
			return ledger.Diagnosis{Size: size, Free: free, FreeInReach: free, Largest: area.LargestFree * page}
		}
		free := s.memory.Counters().Free * page
		return ledger.Diagnosis{Size: size, Free: free, FreeInReach: free, Largest: s.largestBlock()}
	}
	l := s.heaps[from].Ledger
	return ledger.Diagnosis{Size: size, Free: l.FreeBytes()}
}

// largestBlock returns the size of the largest free block of pages.
func (s *Simulation) largestBlock() uint64 {
	for order := physmem.NumOrders - 1; order >= 0; order-- {
		for zone := range s.memory.NumZones() {
			for t := buddy.Unmovable; t <= buddy.CMA; t++ {
				if s.memory.FreeBlocks(zone, t)[order] > 0 {
					return s.memory.PageSize() << order
				}
			}
		}
	}
	return 0
}

// checkTransfers holds every transfer that is not over to having the memory of its
// buffer, or to having been reported when that was freed.
func (s *Simulation) checkTransfers() error {
	for device := range s.engines {
		for _, number := range s.engines[device].queue {
			t := &s.transfers[number]
			if t.orphan == nil && s.buffers[t.slot].number == 0 {
				return fmt.Errorf("device %s transfers into a buffer that is freed", s.cfg.Devices[device].Name)
			}
			if t.orphan != nil && !slices.Contains(s.orphans, number) {
				return fmt.Errorf("device %s transfers into memory that was freed, unreported", s.cfg.Devices[device].Name)
			}
		}
	}
	return nil
}

// checkFrames holds the frames to what the heaps believe that they have.
func (s *Simulation) checkFrames() error {
	if err := s.memory.Check(); err != nil {
		return err
	}
	var held uint64
	for _, h := range s.pages {
		if h != nil {
			held += h.Usage().Reserved + h.Kept()
		}
	}
	if frames := s.memory.Counters().DMABuf * s.memory.PageSize(); frames != held {
		return fmt.Errorf("page frames of dma-bufs are %d bytes, heaps hold %d", frames, held)
	}
	return nil
}

// findLeaks reports the buffers that nobody is going to use or free.
func (s *Simulation) findLeaks() error {
	if s.kernel == nil {
		return nil
	}
	var holders []dmabuf.Holder
	for _, id := range s.kernel.Live(nil) {
		holders = s.kernel.Holders(holders[:0], id)
		if !dmabuf.Forgotten(holders) {
			continue
		}
		b := &s.buffers[s.slotOf[id]]
		h := holders[0]
		more := ""
		if len(holders) > 1 {
			more = fmt.Sprintf(" and %d more", len(holders)-1)
		}
		what := "a mapping"
		if h.Descriptor >= 0 {
			what = fmt.Sprintf("descriptor %d", h.Descriptor)
		}
		s.incident(IncidentReport{
			Kind: Leak, Actor: s.nameOf(h.PID), Buffer: b.number, Victim: s.cfg.Clients[b.Owner].Name,
			Detail: fmt.Sprintf("%s held by %s (pid %d)%s since %v by %v, never used after", mem.Size(b.Payload).Short(), what, h.PID, more, h.Since, h.By),
		})
	}
	return s.broken
}

// nameOf returns the name of a process.
func (s *Simulation) nameOf(pid dmabuf.PID) string {
	for i := range s.processes {
		if s.processes[i].pid == pid {
			return s.processes[i].name
		}
	}
	return ""
}
