package sim

import (
	"fmt"
	"iter"
	"math"

	"dmasim/allocator"
	"dmasim/allocator/kernel/version"
	"dmasim/allocator/ledger"
	"dmasim/devices"
	"dmasim/mem"
	"dmasim/sim/dmamap"
)

// translation is what stands between devices and memory.
type translation struct {
	pools   []*dmamap.Bounce
	domains []*dmamap.Domain
	masters []master // by device
	later   []bool   // by client: its devices map every buffer, and it is known only then whether they can
	copies  []copies // by attachment that is bounced
	bases   []uint64 // by attachment that is translated: where its addresses begin
	writers []string // by slot of a buffer: who wrote to it last

	seen []mem.Range // where a device sees the pieces of a buffer; used again and again
}

// master is how a device addresses memory.
type master struct {
	pool     int32  // -1: none
	domain   int32  // -1: none
	force    bool   // everything is bounced
	boundary uint64 // that its pieces must not cross, if that is a power of two
	emitted  *devices.Plan
	width    uint // of the addresses that it emits, where its driver does not know; 64: it does
	dmamap.Master
}

// copies are the bounce buffers of an attachment, by rising number of the piece.
type copies struct {
	pool  int32
	piece []int32
	slots []dmamap.Slots
}

// route is how an attachment's device addresses the buffer.
type route uint8

const (
	direct     route = iota // as it lies
	bounced                 // in bounce buffers, or some of its pieces
	translated              // by I/O virtual addresses
)

// startTranslation makes pools and domains, if there are any.
func (s *Simulation) startTranslation() error {
	if len(s.cfg.Bounce)+len(s.cfg.IOMMUs) == 0 {
		return nil
	}
	v := &translation{later: make([]bool, len(s.cfg.Clients))}
	s.via = v
	for range s.cfg.Devices {
		v.masters = append(v.masters, master{pool: -1, domain: -1})
	}
	for i := range s.cfg.Bounce {
		cfg := &s.cfg.Bounce[i]
		pool, err := dmamap.NewBounce(cfg.Place)
		if err != nil {
			return fmt.Errorf("bounce buffers %s: %w", cfg.Name, err)
		}
		v.pools = append(v.pools, pool)
		for _, device := range cfg.Devices {
			v.masters[device].pool, v.masters[device].force = int32(i), true
		}
	}
	if err := s.startDomains(); err != nil {
		return err
	}
	for device := range v.masters {
		m := &v.masters[device]
		if m.domain < 0 {
			m.boundary = s.cfg.Devices[device].SegmentBoundary()
		}
		for i := range s.cfg.Bounce {
			if cfg := &s.cfg.Bounce[i]; len(cfg.Devices) == 0 && m.domain < 0 && m.pool < 0 {
				m.pool, m.force = int32(i), cfg.Force
			}
		}
	}
	for i := range s.cfg.Clients {
		for _, device := range s.cfg.Clients[i].Devices {
			m := &v.masters[device]
			v.later[i] = v.later[i] || m.pool >= 0 || m.domain >= 0
		}
	}
	return nil
}

func (s *Simulation) startDomains() error {
	kernel := version.Modelled
	if s.cfg.Machine != nil {
		kernel = s.cfg.Machine.Kernel
	}
	for i := range s.cfg.IOMMUs {
		g := &s.cfg.IOMMUs[i]
		domain, err := dmamap.NewDomain(dmamap.DomainConfig{
			Kernel: kernel, Page: g.Page, Aperture: g.Aperture, Reserved: g.Reserved, Lazy: g.Lazy,
		})
		if err != nil {
			return fmt.Errorf("IOMMU group %s: %w", g.Name, err)
		}
		s.via.domains = append(s.via.domains, domain)
		for _, member := range g.Masters {
			m := &s.via.masters[member.Device]
			m.domain, m.width, m.LowFirst, m.Limit = int32(i), 64, member.LowFirst, math.MaxUint64
			rules := member.Emitted
			if width := rules.AddressBits; width > 0 && width < 64 {
				if rules.Beyond == "" || rules.Beyond == devices.Refuse {
					m.Limit = 1<<width - 1
				} else { // its driver does not know
					m.width, rules.AddressBits, rules.Beyond = uint(width), 0, ""
				}
			}
			if m.emitted, err = devices.Merge(rules); err != nil {
				return fmt.Errorf("IOMMU group %s: %w", g.Name, err)
			}
			m.boundary = rules.SegmentBoundary()
		}
	}
	return nil
}

// mapsLater reports whether the devices of a client map every buffer, so that its
// place need not be judged before.
func (s *Simulation) mapsLater(client int) bool { return s.via != nil && s.via.later[client] }

// address finds addresses by which the device of an attachment can use the buffer.
// Where there are none, the diagnosis says why.
func (s *Simulation) address(number uint32) bool {
	a := &s.attachments[number]
	if s.via != nil && !a.mapped {
		if m := &s.via.masters[a.device]; m.domain >= 0 {
			return s.translate(number, m)
		} else if m.pool >= 0 {
			return s.bounce(number, m)
		}
	}
	cause := s.judge(a)
	s.diagnosis = ledger.Diagnosis{Cause: cause, Size: s.buffers[a.slot].Block.Size}
	return cause == allocator.None
}

// translate maps an attachment through an IOMMU (iommu_dma_map_sg).
func (s *Simulation) translate(number uint32, m *master) bool {
	v, a := s.via, &s.attachments[number]
	b := &s.buffers[a.slot]
	s.diagnosis = ledger.Diagnosis{Size: b.Block.Size}
	if s.diagnosis.Cause = s.usable(a.slot, s.alone[a.device]); s.diagnosis.Cause != allocator.None {
		return false // beyond the IOMMU's own width
	}
	domain := v.domains[m.domain]
	pieces := s.extents(a.slot)
	length := dmamap.Length(pieces, domain.Page, m.boundary)
	base, ok := domain.Map(number, &m.Master, length)
	if !ok {
		free, largest := domain.Room(&m.Master)
		s.diagnosis = ledger.Diagnosis{Cause: allocator.IOVA, Size: length, Free: free, FreeInReach: free, Largest: largest, Waiting: domain.Waiting()}
		return false
	}
	v.bases = grown(v.bases, number)
	v.bases[number] = base
	a.route = translated
	v.seen = v.seen[:0]
	for p := range dmamap.Layout(pieces, domain.Page, m.boundary) {
		at := mem.Range{Lo: base + p.Offset + p.Piece.Lo - p.Pages.Lo}
		at.Hi = at.Lo + p.Piece.Size()
		// Pieces that continue each other are one segment, but for a boundary.
		if last := len(v.seen) - 1; last >= 0 && v.seen[last].Hi == at.Lo && (m.boundary == 0 || at.Lo%m.boundary != 0) {
			v.seen[last].Hi = at.Hi
			continue
		}
		v.seen = append(v.seen, at)
	}
	if s.diagnosis.Cause = m.emitted.JudgePieces(v.seen, b.Payload); s.diagnosis.Cause != allocator.None {
		s.unaddress(number, false)
		return false
	}
	return true
}

// bounce maps an attachment whose device addresses memory directly: pieces that it
// does not reach get bounce buffers (dma_direct_map_sg).
func (s *Simulation) bounce(number uint32, m *master) bool {
	v, a := s.via, &s.attachments[number]
	b := &s.buffers[a.slot]
	if beyond := s.cfg.Devices[a.device].Beyond; !m.force && (beyond == devices.Truncate || beyond == devices.Faults) {
		return true // its driver does not know what it reaches
	}
	pool := v.pools[m.pool]
	v.copies = grown(v.copies, number)
	c := &v.copies[number]
	c.pool, c.piece, c.slots = m.pool, c.piece[:0], c.slots[:0]
	v.seen = v.seen[:0]
	for i, piece := range s.extents(a.slot) {
		at := piece
		if m.force || !s.reach[a.device].Contains(piece) {
			a.route = bounced
			slots, ok := pool.Map(number, piece, m.boundary)
			if !ok {
				s.unaddress(number, false) // what the pieces before got is free again
				u := pool.Usage()
				s.diagnosis = ledger.Diagnosis{Cause: allocator.Bounce, Size: piece.Size(), Free: u.Free, FreeInReach: u.Free, Largest: u.Largest}
				return false
			}
			c.piece, c.slots = append(c.piece, int32(i)), append(c.slots, slots)
			at = slots.Copy()
		}
		v.seen = append(v.seen, at)
	}
	s.diagnosis = ledger.Diagnosis{Size: b.Block.Size}
	plan := s.alone[a.device]
	switch {
	case a.route == direct:
		s.diagnosis.Cause = s.usable(a.slot, plan)
	case len(v.seen) > 1:
		s.diagnosis.Cause = plan.JudgePieces(v.seen, b.Payload)
	case !plan.Judge(v.seen[0].Lo, b.Payload).Usable():
		s.diagnosis.Cause = allocator.Unreachable
	}
	if s.diagnosis.Cause != allocator.None {
		s.unaddress(number, false)
		return false
	}
	for i := range c.slots {
		if len(s.orphans) > 0 {
			v.seen = append(v.seen[:0], pool.All(&c.slots[i]))
			s.overrunBy(a.slot, v.seen, "its bounce buffer was given back under the transfer, and then to the victim")
		}
	}
	return true
}

// grown returns a list that is long enough for an index.
func grown[T any](list []T, index uint32) []T {
	for uint64(index) >= uint64(len(list)) {
		var zero T
		list = append(list, zero)
	}
	return list
}

// unaddress gives back what address found. Transfers that still use it go astray.
// lost says that newer data were when bounce buffers were copied back.
func (s *Simulation) unaddress(number uint32, lost bool) {
	v, a := s.via, &s.attachments[number]
	was := a.route
	a.route = direct
	switch was {
	case bounced:
		c := &v.copies[number]
		v.seen = v.seen[:0]
		for i := range c.slots {
			v.seen = append(v.seen, v.pools[c.pool].All(&c.slots[i]))
			s.fail(v.pools[c.pool].Unmap(&c.slots[i]))
		}
		c.slots = c.slots[:0]
		s.loosen(number, v.seen)
		if lost {
			b := &s.buffers[a.slot]
			s.incident(IncidentReport{
				Kind: LostWrite, Actor: s.cfg.Devices[a.device].Name, Buffer: b.number, Victim: s.cfg.Clients[b.Owner].Name,
				Detail: "at unmap its bounce buffers, older than what " + v.writers[a.slot] + " wrote, were copied over memory",
			})
		}
	case translated:
		domain := v.masters[a.device].domain
		effect, err := v.domains[domain].Unmap(v.bases[number])
		s.fail(err)
		s.cutOff(number, v.domains[domain].Lazy)
		s.arrange(domain, effect)
	}
}

func (s *Simulation) fail(err error) {
	if err != nil && s.broken == nil {
		s.broken = err
	}
}

// arrange does what follows from an unmap in a domain.
func (s *Simulation) arrange(domain int32, e dmamap.Effect) {
	if e.Flushed {
		s.flushed(domain)
	}
	if e.Arm {
		s.schedule(s.now+dmamap.FlushDelay, iommuFlush, uint32(domain), 0)
	}
	if e.Trim {
		s.schedule(s.now+dmamap.TrimDelay, iommuTrim, uint32(domain), 0)
	}
}

// iommuWork does work of a domain that was put off.
func (s *Simulation) iommuWork(w what, number uint32) {
	domain := s.via.domains[number]
	if w == iommuTrim {
		if domain.Trim() {
			s.schedule(s.now+dmamap.TrimDelay, iommuTrim, number, 0)
		}
		return
	}
	effect, err := domain.Timer()
	s.fail(err)
	s.arrange(int32(number), effect)
}

// checkTranslation holds pools and domains to the attachments that are mapped: each
// slot and address is one's, and all were given back that nobody has.
func (s *Simulation) checkTranslation() error {
	if s.via == nil {
		return nil
	}
	for i, pool := range s.via.pools {
		if err := pool.Check(s.slotsIn(int32(i))); err != nil {
			return err
		}
	}
	for i, domain := range s.via.domains {
		if err := domain.Check(s.basesIn(int32(i))); err != nil {
			return err
		}
	}
	return nil
}

func (s *Simulation) slotsIn(pool int32) iter.Seq[*dmamap.Slots] {
	return func(yield func(*dmamap.Slots) bool) {
		for number := range s.attachments {
			if s.attachments[number].route != bounced {
				continue
			}
			c := &s.via.copies[number]
			for i := range c.slots {
				if c.pool == pool && !yield(&c.slots[i]) {
					return
				}
			}
		}
	}
}

func (s *Simulation) basesIn(domain int32) iter.Seq2[uint32, uint64] {
	return func(yield func(uint32, uint64) bool) {
		for number := range s.attachments {
			a := &s.attachments[number]
			if a.route == translated && s.via.masters[a.device].domain == domain && !yield(uint32(number), s.via.bases[number]) {
				return
			}
		}
	}
}

// Space is a pool of bounce buffers or the address space of an IOMMU group.
type Space struct {
	Name   string
	Kind   SpaceKind
	pool   *dmamap.Bounce
	domain *dmamap.Domain
}

// SpaceKind says what a Space is.
type SpaceKind string

// The kinds of spaces.
const (
	DefaultPool    SpaceKind = "swiotlb"
	RestrictedPool SpaceKind = "restricted-pool"
	IOVASpace      SpaceKind = "iova"
)

// Usage says how full the space is. It takes time.
func (s *Space) Usage() dmamap.Usage {
	if s.pool != nil {
		return s.pool.Usage()
	}
	return s.domain.Usage()
}

// Busy returns the bytes that are used, and those that wait for a flush.
func (s *Space) Busy() (used, waiting uint64) {
	if s.pool != nil {
		return s.pool.Used(), 0
	}
	return s.domain.Used(), s.domain.Waiting()
}

// Spaces returns the pools and address spaces, in the order of the configuration, for
// observers to read.
func (s *Simulation) Spaces() []Space {
	var list []Space
	for i := range s.cfg.Bounce {
		kind := DefaultPool
		if len(s.cfg.Bounce[i].Devices) > 0 {
			kind = RestrictedPool
		}
		list = append(list, Space{Name: s.cfg.Bounce[i].Name, Kind: kind, pool: s.via.pools[i]})
	}
	for i := range s.cfg.IOMMUs {
		list = append(list, Space{Name: s.cfg.IOMMUs[i].Name, Kind: IOVASpace, domain: s.via.domains[i]})
	}
	return list
}
