package sim

import (
	"iter"
	"math"

	"dmasim/devices"
	"dmasim/mem"
	"dmasim/sim/dmabuf"
	"dmasim/sim/dmamap"
	"dmasim/workloads/program"
)

// strayBounced finds what a transfer writes behind the end of its buffer where that
// has bounce buffers. What is left of the last slot takes it up, and is never copied
// back; a free slot does no harm either.
func (s *Simulation) strayBounced(t *transfer) {
	over := uint64(s.cfg.Devices[t.device].Padding)
	if t.access&program.WriteOnly == 0 || over == 0 {
		return
	}
	c := &s.via.copies[t.attachment]
	next, rest := 0, t.size // of the copies
	for i, piece := range s.extents(t.slot) {
		end, of := piece.Hi, piece
		if next < len(c.piece) && int(c.piece[next]) == i {
			of = c.slots[next].Copy()
			end = s.via.pools[c.pool].All(&c.slots[next]).Hi
			next++
		}
		if rest > piece.Size() {
			rest -= piece.Size()
			continue
		}
		if at := of.Lo + rest; over > end-at {
			s.strays = append(s.strays[:0], mem.Range{Lo: end, Hi: end + (over - (end - at))})
			s.strike(t, s.strays, "the device writes behind the end of its buffer")
		}
		return
	}
}

// strikeSlots reports whose bounce buffers a transfer accesses, and returns what of
// the range is no pool.
func (s *Simulation) strikeSlots(t *transfer, r mem.Range, report IncidentReport, kind IncidentKind) mem.RangeSet {
	rest := mem.RangeSet{r}
	for _, pool := range s.via.pools {
		if !pool.Place().Overlaps(r) {
			continue
		}
		rest = rest.Subtract(mem.RangeSet{pool.Place()})
		for user, shared := range pool.Users(r) {
			if user == t.attachment && !t.detached && t.orphan == nil {
				continue
			}
			victim := &s.buffers[s.attachments[user].slot]
			if t.orphan != nil {
				t.orphan.hit = append(t.orphan.hit, victim.number)
			}
			report.Kind, report.Victim, report.Range = kind, s.cfg.Clients[victim.Owner].Name, shared
			s.incident(report)
		}
	}
	return rest
}

// strayTranslated finds what a transfer accesses outside of its buffer where an IOMMU
// stands between. It reaches what is mapped in the address space of its group: what
// else lies in the last page, and other buffers that are mapped for the group. Where
// nothing is mapped, it ends with a fault; so do reads.
func (s *Simulation) strayTranslated(t *transfer) {
	m := &s.via.masters[t.device]
	over := uint64(s.cfg.Devices[t.device].Padding)
	if over == 0 && m.width == 64 {
		return
	}
	domain := s.via.domains[m.domain]
	base, rest := s.via.bases[t.attachment], t.size
	s.strays = s.strays[:0]
	var behind, end uint64 // the address behind the last that is used, and behind its piece
	ok := true
	for p := range dmamap.Layout(s.extents(t.slot), domain.Page, m.boundary) {
		used := min(rest, p.Piece.Size())
		lo := base + p.Offset + p.Piece.Lo - p.Pages.Lo
		if behind = lo + used; behind-1 > 1<<m.width-1 {
			if ok = s.misaddress(t, m, mem.Range{Lo: lo, Hi: behind}); !ok {
				break
			}
		}
		if rest -= used; rest == 0 {
			end = lo + p.Piece.Size()
			break
		}
	}
	if ok && over > end-behind {
		s.reachAt(t, domain, mem.Range{Lo: end, Hi: behind + min(over, math.MaxUint64-behind)})
	}
	if len(s.strays) > 0 { // before a fault, too
		s.strike(t, s.strays, "the device uses what else is mapped for its IOMMU group")
	}
}

// misaddress finds out what becomes of addresses that are wider than those that the
// device emits. It is false if the transfer ends there.
func (s *Simulation) misaddress(t *transfer, m *master, r mem.Range) bool {
	size := uint64(1) << m.width
	if s.cfg.IOMMUs[m.domain].emittedBy(t.device).Beyond == devices.Faults {
		s.faulted(t, mem.Range{Lo: max(r.Lo, size), Hi: r.Hi}, "the device cannot emit these I/O virtual addresses")
		return false
	}
	for lo := max(r.Lo, size); lo < r.Hi; {
		hi := min(r.Hi, lo-lo%size+size)
		if !s.reachAt(t, s.via.domains[m.domain], mem.Range{Lo: lo % size, Hi: lo%size + (hi - lo)}) {
			return false
		}
		lo = hi
	}
	return true
}

// emittedBy returns the rules of a device about addresses.
func (g *IOMMUGroup) emittedBy(device int32) *devices.Device {
	for i := range g.Masters {
		if g.Masters[i].Device == int(device) {
			return &g.Masters[i].Emitted
		}
	}
	return nil
}

// reachAt adds to the strays the memory behind I/O virtual addresses that is not the
// transfer's own buffer. It is false, and a fault is reported, where nothing is mapped.
func (s *Simulation) reachAt(t *transfer, domain *dmamap.Domain, r mem.Range) bool {
	own := mem.NewRangeSet(s.extents(t.slot)...)
	for lo := r.Lo; lo < r.Hi; {
		user, base, ok := domain.At(lo)
		if !ok {
			s.faulted(t, mem.Range{Lo: lo, Hi: r.Hi}, "nothing is mapped at these I/O virtual addresses")
			return false
		}
		hi := min(r.Hi, lo-lo%domain.Page+domain.Page)
		other := &s.attachments[user]
		for p := range dmamap.Layout(s.extents(other.slot), domain.Page, s.via.masters[other.device].boundary) {
			pages := mem.Range{Lo: base + p.Offset, Hi: base + p.Offset + p.Pages.Size()}
			if lo < pages.Lo || lo >= pages.Hi {
				continue
			}
			at := p.Pages.Lo + (lo - pages.Lo)
			s.strays = append(s.strays, mem.RangeSet{{Lo: at, Hi: at + (hi - lo)}}.Subtract(own)...)
		}
		lo = hi
	}
	return true
}

// faulted reports that an IOMMU stopped a transfer, at addresses that the device
// emitted.
func (s *Simulation) faulted(t *transfer, at mem.Range, detail string) {
	report := IncidentReport{Kind: Fault, Actor: s.cfg.Devices[t.device].Name, Victim: s.ownerOf(t), Range: at, Detail: detail}
	if t.orphan != nil {
		report.Buffer = t.orphan.buffer
	} else {
		report.Buffer = s.buffers[t.slot].number
	}
	s.incident(report)
}

// using yields the transfers of an attachment that are not over and still use its
// addresses, and whether they run.
func (s *Simulation) using(number uint32) iter.Seq2[uint32, bool] {
	return func(yield func(uint32, bool) bool) {
		e := &s.engines[s.attachments[number].device]
		for i, n := range e.queue {
			t := &s.transfers[n]
			if t.attachment == number && !t.detached && !t.cached && t.orphan == nil && !yield(n, i == 0 && e.busy) {
				return
			}
		}
	}
}

// forsake makes an orphan of a transfer whose buffer may live on: what it accesses from
// now on are these ranges, which are not its own.
func (s *Simulation) forsake(number uint32, running bool, o orphan) {
	t := &s.transfers[number]
	b, u := &s.buffers[t.slot], &s.uses[t.slot]
	o.buffer, o.client = b.number, int(b.Owner)
	t.orphan = &o
	s.orphans = append(s.orphans, number)
	u.transfers--
	switch {
	case running && t.access&program.WriteOnly != 0:
		u.writing--
	case running:
		u.reading--
	}
}

// loosen is called when the bounce buffers of an attachment are given back. What a
// transfer still does to them hits whoever gets them.
func (s *Simulation) loosen(number uint32, slots []mem.Range) {
	told := false
	for n, running := range s.using(number) {
		s.forsake(n, running, orphan{ranges: append([]mem.Range(nil), slots...), slots: true})
		if told {
			continue
		}
		told = true
		t := &s.transfers[n]
		state := "its bounce buffers are given back, and the transfer is running"
		if !running {
			state = "its bounce buffers are given back, and the transfer is about to begin"
		}
		s.incident(IncidentReport{
			Kind: UseAfterFree, Actor: s.cfg.Devices[t.device].Name, Buffer: t.orphan.buffer,
			Victim: s.cfg.Clients[t.orphan.client].Name, Range: slots[0], Detail: state,
		})
	}
}

// cutOff is called when the addresses of an attachment are unmapped. In strict mode
// transfers that use them end with a fault. In lazy mode the IOTLB may have their
// pages until it is flushed, and a transfer that runs goes on.
func (s *Simulation) cutOff(number uint32, lazy bool) {
	for n, running := range s.using(number) {
		if lazy && running {
			s.transfers[n].cached = true
			continue
		}
		s.cut(n, running)
	}
}

// cut ends what a transfer does to memory.
func (s *Simulation) cut(number uint32, running bool) {
	t := &s.transfers[number]
	if t.orphan == nil {
		s.forsake(number, running, orphan{faults: true})
	} else {
		t.orphan.ranges, t.orphan.faults = nil, true
	}
	if running {
		s.faulted(t, mem.Range{}, "the buffer was unmapped under the transfer")
	}
}

// flushed is called when the IOTLB was flushed for a domain: transfers of buffers that
// were unmapped before end.
func (s *Simulation) flushed(domain int32) {
	for device := range s.engines {
		if s.via.masters[device].domain != domain {
			continue
		}
		if e := &s.engines[device]; e.busy && s.transfers[e.queue[0]].cached {
			if t := &s.transfers[e.queue[0]]; t.orphan == nil || !t.orphan.faults {
				s.cut(e.queue[0], true)
			}
		}
	}
}

// wrote notes who wrote to a buffer last, where that is ever told.
func (s *Simulation) wrote(slot uint32, writer string) {
	if s.via == nil {
		return
	}
	s.via.writers = grown(s.via.writers, slot)
	s.via.writers[slot] = writer
}

func (s *Simulation) staleCopy(slot uint32) string {
	return "it reads bounce buffers that were filled before " + s.via.writers[slot] + " wrote to the buffer, and nobody copied since"
}

func (s *Simulation) staleMemory(slot uint32) string {
	return "memory does not have what " + s.via.writers[slot] + " wrote: that is in bounce buffers, or was lost when others were copied back"
}

// lostWrite reports that a bracket around CPU access copied old bounce buffers over
// newer data.
func (s *Simulation) lostWrite(p *process, of program.Variable) {
	id, errno := s.kernel.BufferOf(p.pid, p.descriptor(of))
	if errno != dmabuf.OK {
		return
	}
	slot := s.slotOf[id]
	b := &s.buffers[slot]
	s.incident(IncidentReport{
		Kind: LostWrite, Actor: p.name, Buffer: b.number, Victim: s.cfg.Clients[b.Owner].Name,
		Detail: "begin_cpu_access copied bounce buffers, older than what " + s.via.writers[slot] + " wrote, over memory",
	})
}
