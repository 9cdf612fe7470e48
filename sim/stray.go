package sim

import (
	"math"
	"slices"

	"dmasim/allocator"
	"dmasim/devices"
	"dmasim/mem"
	"dmasim/sim/heap"
	"dmasim/sim/physmem"
	"dmasim/workloads/program"
)

// orphan is what remains of a buffer that was freed under a transfer.
type orphan struct {
	buffer uint64 // number of the event that allocated it
	client int
	ranges []mem.Range
	hit    []uint64 // numbers of the buffers that it was found to hit
	faults bool     // an IOMMU has no pages for it any more
	slots  bool     // ranges are bounce buffers
}

// judge says why the device of an attachment cannot use the buffer, 0 if it can
// or if its driver does not know that it can't.
func (s *Simulation) judge(a *attachment) allocator.Cause {
	if beyond := s.cfg.Devices[a.device].Beyond; beyond == devices.Truncate || beyond == devices.Faults {
		return allocator.None
	}
	return s.usable(a.slot, s.alone[a.device])
}

// usable says why devices cannot use a buffer together.
func (s *Simulation) usable(slot uint32, plan *devices.Plan) allocator.Cause {
	b := &s.buffers[slot]
	if h := s.paged(b.heap); h != nil && h.Kind != heap.CMA {
		return plan.JudgePieces(s.extents(slot), b.Payload)
	}
	if plan.Judge(b.Block.Addr, b.Payload).Usable() {
		return allocator.None
	}
	return allocator.Unreachable
}

// extents returns the memory that a buffer holds, in the order of its bytes.
func (s *Simulation) extents(slot uint32) []mem.Range {
	b := &s.buffers[slot]
	if h := s.paged(b.heap); h != nil {
		s.pieces = h.Extents(s.pieces[:0], b.Buffer)
		return s.pieces
	}
	block := b.Block
	s.pieces = append(s.pieces[:0], mem.Range{Lo: block.Addr, Hi: block.Addr + block.Size})
	return s.pieces
}

// stray finds the accesses of a transfer outside of its buffer: behind its end,
// where the device overshoots and nothing is reserved, and at truncated
// addresses. Reads behind the end do no harm. The end is that of the piece which
// holds the last byte, and what is reserved in another piece is no help, unless
// an IOMMU puts the pieces one behind the other.
func (s *Simulation) stray(t *transfer) {
	if s.via != nil && !t.detached {
		switch s.attachments[t.attachment].route {
		case bounced:
			s.strayBounced(t)
			return
		case translated:
			s.strayTranslated(t)
			return
		}
	}
	d := &s.cfg.Devices[t.device]
	rest, over := t.size, uint64(0)
	if t.access&program.WriteOnly != 0 {
		over = uint64(d.Padding)
	}
	if d.IOMMU.Translates() { // pieces lie one behind the other
		rest, over = rest+over, 0
	}
	misses := d.Beyond == devices.Truncate || d.Beyond == devices.Faults
	var end uint64
	s.strays = s.strays[:0]
	for _, piece := range s.extents(t.slot) {
		touched := mem.Range{Lo: piece.Lo, Hi: piece.Lo + min(rest, piece.Size())}
		rest -= touched.Size()
		last := rest == 0
		if last {
			inside := min(over, piece.Hi-touched.Hi)
			touched.Hi += inside
			over -= inside
		}
		end = piece.Hi
		if misses && !touched.Empty() && s.miss(t, d, touched) {
			return
		}
		if last {
			break
		}
	}
	if rest += over; rest > 0 {
		behind := mem.Range{Lo: end, Hi: end + min(rest, math.MaxUint64-end)}
		if misses && s.miss(t, d, behind) {
			return
		}
		if !misses || s.reach[t.device].Contains(behind) {
			s.strays = append(s.strays, behind)
		}
	}
	if len(s.strays) > 0 {
		detail := "the device writes behind the end of its buffer"
		if misses {
			detail = "the device emits truncated addresses"
		}
		s.strike(t, s.strays, detail)
	}
}

// miss looks at what of a range a device does not reach although its driver
// mapped it. It is true if the transfer fails. What addresses become when their
// upper bits are lost is added to the strays.
func (s *Simulation) miss(t *transfer, d *devices.Device, touched mem.Range) (fails bool) {
	missed := mem.RangeSet{touched}.Subtract(s.reach[t.device])
	if len(missed) == 0 {
		return false
	}
	if d.Beyond == devices.Faults {
		s.incident(IncidentReport{
			Kind: Fault, Actor: d.Name, Buffer: s.buffers[t.slot].number, Range: missed[0], Victim: s.ownerOf(t),
			Detail: "the device emitted an address that it does not reach",
		})
		return true
	}
	size := uint64(1) << d.AddressBits
	for _, r := range missed {
		for lo := r.Lo; lo < r.Hi; {
			hi := min(r.Hi, lo-lo%size+size)
			s.strays = append(s.strays, mem.Range{Lo: lo % size, Hi: lo%size + (hi - lo)})
			lo = hi
		}
	}
	return false
}

func (s *Simulation) ownerOf(t *transfer) string {
	if t.orphan != nil {
		return s.cfg.Clients[t.orphan.client].Name
	}
	return s.cfg.Clients[s.buffers[t.slot].Owner].Name
}

// strike reports whose memory a transfer accesses in ranges that are not its
// buffer's.
func (s *Simulation) strike(t *transfer, ranges []mem.Range, detail string) {
	kind := Scribble
	if t.access&program.WriteOnly == 0 {
		kind = StrayRead
	}
	report := IncidentReport{Actor: s.cfg.Devices[t.device].Name, Detail: detail}
	if t.orphan != nil {
		report.Buffer = t.orphan.buffer
	} else {
		report.Buffer = s.buffers[t.slot].number
	}
	for _, r := range ranges {
		nobodys := mem.RangeSet{r}
		if s.via != nil {
			nobodys = s.strikeSlots(t, r, report, kind)
		}
		for slot, shared := range s.places.overlapping(r) {
			nobodys = nobodys.Subtract(mem.RangeSet{shared})
			if slot == t.slot && t.orphan == nil {
				continue
			}
			victim := &s.buffers[slot]
			if t.orphan != nil {
				t.orphan.hit = append(t.orphan.hit, victim.number)
			}
			report.Kind, report.Victim, report.Range = kind, s.cfg.Clients[victim.Owner].Name, shared
			s.incident(report)
		}
		for _, free := range nobodys {
			s.strikeFrames(t, free, report, kind)
		}
	}
}

// strikeFrames reports what a transfer accesses where no arena's buffer lies: page
// frames of somebody, or memory that nobody holds.
func (s *Simulation) strikeFrames(t *transfer, r mem.Range, report IncidentReport, kind IncidentKind) {
	tell := func(victim string, touched mem.Range) {
		report.Kind, report.Victim, report.Range = kind, victim, touched
		if victim == "" {
			report.Kind = WriteToFree
		}
		// That an orphan's memory is free was told when it became one.
		if victim != "" || (kind == Scribble && t.orphan == nil) {
			s.incident(report)
		}
	}
	if s.memory == nil {
		tell("", r)
		return
	}
	page := s.memory.PageSize()
	var run mem.Range // of frames of the same victim
	last := ""
	for lo := r.Lo; lo < r.Hi; {
		hi := min(r.Hi, lo-lo%page+page)
		if _, victim := s.frameOwner(lo / page); run.Empty() {
			run, last = mem.Range{Lo: lo, Hi: hi}, victim
		} else if victim == last {
			run.Hi = hi
		} else {
			tell(last, run)
			run, last = mem.Range{Lo: lo, Hi: hi}, victim
		}
		lo = hi
	}
	if !run.Empty() {
		tell(last, run)
	}
}

// orphaned is called when a buffer is freed while transfers of drivers without
// fences use it or are going to.
func (s *Simulation) orphaned(slot uint32) {
	b := &s.buffers[slot]
	o := &orphan{buffer: b.number, client: int(b.Owner), ranges: slices.Clone(s.extents(slot))}
	told := false
	for device := range s.engines {
		for i, number := range s.engines[device].queue {
			t := &s.transfers[number]
			if t.slot != slot || t.orphan != nil {
				continue
			}
			t.orphan = o
			s.orphans = append(s.orphans, number)
			if !told {
				told = true
				state := "the transfer is running"
				if i > 0 || !s.engines[device].busy {
					state = "the transfer is about to begin"
				}
				s.incident(IncidentReport{
					Kind: UseAfterFree, Actor: s.cfg.Devices[device].Name, Buffer: o.buffer, Victim: s.cfg.Clients[o.client].Name,
					Range: o.ranges[0], Detail: state,
				})
			}
		}
	}
}

// overrun is called when memory was handed out while there are orphans: a
// transfer that runs hits who got it.
func (s *Simulation) overrun(slot uint32) {
	s.overrunBy(slot, s.extents(slot), "its buffer was freed under the transfer, and the memory was handed out again")
}

// overrunBy is overrun for memory that the buffer in a slot got, its own or for a
// copy.
func (s *Simulation) overrunBy(slot uint32, got []mem.Range, detail string) {
	victim := &s.buffers[slot]
	for _, number := range s.orphans {
		t := &s.transfers[number]
		if queue := s.engines[t.device].queue; queue[0] != number || !s.engines[t.device].busy {
			continue // it will be looked at when it begins
		}
		for _, r := range t.orphan.ranges {
			for _, piece := range got {
				shared := r.Intersect(piece)
				if shared.Empty() || slices.Contains(t.orphan.hit, victim.number) {
					continue
				}
				t.orphan.hit = append(t.orphan.hit, victim.number)
				kind := Scribble
				if t.access&program.WriteOnly == 0 {
					kind = StrayRead
				}
				s.incident(IncidentReport{
					Kind: kind, Actor: s.cfg.Devices[t.device].Name, Buffer: t.orphan.buffer,
					Victim: s.cfg.Clients[victim.Owner].Name, Range: shared, Detail: detail,
				})
			}
		}
	}
}

// struckFrames reports frames of an orphan that hold memory of processes or of the
// kernel now.
func (s *Simulation) struckFrames(t *transfer) {
	page := s.memory.PageSize()
	kind := Scribble
	if t.access&program.WriteOnly == 0 {
		kind = StrayRead
	}
	told := map[string]bool{}
	for _, r := range t.orphan.ranges {
		for lo := r.Lo; lo < r.Hi; lo += page {
			what, victim := s.frameOwner(lo / page)
			if victim == "" || what == physmem.DMABuf || told[victim] {
				continue
			}
			told[victim] = true
			s.incident(IncidentReport{
				Kind: kind, Actor: s.cfg.Devices[t.device].Name, Buffer: t.orphan.buffer, Victim: victim,
				Range: mem.Range{Lo: lo, Hi: lo + page}, Detail: "its buffer was freed under the transfer, and the memory was handed out again",
			})
		}
	}
}

// bury forgets an orphaned transfer that is over. Frames of its buffer that
// others than buffers got meanwhile were hit.
func (s *Simulation) bury(number uint32) {
	t := &s.transfers[number]
	if s.memory != nil && !t.orphan.slots {
		s.struckFrames(t)
	}
	s.orphans = slices.DeleteFunc(s.orphans, func(n uint32) bool { return n == number })
}
