package dmamap

import (
	"cmp"
	"fmt"
	"iter"
	"math"
	"math/bits"
	"slices"
	"time"

	"dmasim/allocator/kernel/iova"
	"dmasim/allocator/kernel/version"
	"dmasim/mem"
)

const (
	// FlushDelay is the time from the first entry of the flush queue to its flush
	// (IOVA_DEFAULT_FQ_TIMEOUT).
	FlushDelay = 10 * time.Millisecond
	// TrimDelay is the time between two trimmings of the depots (IOVA_DEPOT_DELAY).
	TrimDelay = 100 * time.Millisecond
	// queueSize is how many entries the flush queue holds: one less than its ring
	// has (IOVA_DEFAULT_FQ_SIZE).
	queueSize = 255
)

// DomainConfig describes the address space of an IOMMU group.
type DomainConfig struct {
	Kernel version.Version
	// Page is the smallest IOMMU page, in bytes, a power of two.
	Page uint64
	// Aperture is the addresses that the IOMMU translates. Page 0 is never used.
	Aperture mem.Range
	// Reserved addresses are not handed out, such as those of interrupts.
	Reserved mem.RangeSet
	// Lazy: what is unmapped waits in a flush queue. Otherwise the mode is strict.
	Lazy bool
}

// Domain is the address space of an IOMMU group, with who has which addresses.
type Domain struct {
	DomainConfig
	space    *iova.Domain
	shift    int
	last     uint64            // the last pfn of the aperture
	capacity uint64            // pfns
	used     uint64            // pfns
	waiting  uint64            // pfns
	mapped   map[uint64]mapped // by the first pfn
	queue    []queued          // flush queue, the oldest first
	armed    bool              // the flush timer is
	trimming bool              // the work that trims depots is scheduled
}

// mapped is a range that a user has.
type mapped struct {
	user  uint32
	pages uint64
}

// queued is a range that was unmapped and may still be in the IOTLB.
type queued struct{ pfn, pages uint64 }

// Master is a device of a domain's group.
type Master struct {
	// Limit is the last address that the device can emit.
	Limit uint64
	// LowFirst: addresses below 4 GiB are tried first, as for PCI devices. Since
	// Linux 6.4 the first failure turns that off.
	LowFirst bool
}

// NewDomain returns an empty domain.
func NewDomain(cfg DomainConfig) (*Domain, error) {
	if bits.OnesCount64(cfg.Page) != 1 {
		return nil, fmt.Errorf("page of %d bytes: want a power of two", cfg.Page)
	}
	d := &Domain{DomainConfig: cfg, shift: bits.TrailingZeros64(cfg.Page), mapped: map[uint64]mapped{}}
	first := max(1, cfg.Aperture.Lo>>d.shift)
	d.last = cfg.Aperture.Hi>>d.shift - 1
	if cfg.Aperture.Hi>>d.shift <= first {
		return nil, fmt.Errorf("aperture %s: no page of %s behind address 0", cfg.Aperture, mem.Size(cfg.Page))
	}
	space, err := iova.New(cfg.Page, first)
	if err != nil {
		return nil, err
	}
	if cfg.Kernel.Before(6, 7) {
		space.BoundDepots(32)
	}
	for _, r := range cfg.Reserved {
		if !r.Empty() {
			space.Reserve(r.Lo>>d.shift, (r.Hi-1)>>d.shift)
		}
	}
	d.space = space
	d.capacity, _ = space.Room(d.last)
	return d, nil
}

// Map finds size bytes of addresses for a user (iommu_dma_alloc_iova): in one
// range, aligned to its size rounded up to a power of two, from the top of what
// the device can emit downwards. False means that no such range is free. size is
// at least 1.
func (d *Domain) Map(user uint32, m *Master, size uint64) (uint64, bool) {
	pages := (size-1)>>d.shift + 1
	limit := min(m.Limit>>d.shift, d.last)
	if rounded(pages) > limit { // which the caches would not notice
		return 0, false
	}
	low := uint64(math.MaxUint32) >> d.shift
	if m.LowFirst && limit > low {
		if pfn, ok := d.space.AllocFast(pages, low, false); ok {
			return d.keep(user, pfn, pages), true
		}
		m.LowFirst = d.Kernel.Before(6, 4)
	}
	pfn, ok := d.space.AllocFast(pages, limit, true)
	if !ok {
		return 0, false
	}
	return d.keep(user, pfn, pages), true
}

func (d *Domain) keep(user uint32, pfn, pages uint64) uint64 {
	d.mapped[pfn] = mapped{user, pages}
	d.used += rounded(pages)
	return pfn << d.shift
}

// rounded returns how many pages are taken for so many.
func rounded(pages uint64) uint64 {
	if pages < 32 {
		return 1 << bits.Len64(pages-1)
	}
	return pages
}

// Effect says what came of an unmap, beside itself.
type Effect struct {
	Flushed bool // the queue was full: the IOTLB was flushed before
	Arm     bool // the caller is to call Timer after FlushDelay
	Trim    bool // the caller is to call Trim after TrimDelay
}

// Unmap gives back the range that begins at an address as Map returned it, at once
// or by way of the flush queue (queue_iova). The error says that it is not mapped.
func (d *Domain) Unmap(address uint64) (Effect, error) {
	pfn := address >> d.shift
	m, ok := d.mapped[pfn]
	if !ok {
		return Effect{}, fmt.Errorf("unmap %s: %w", mem.Addr(address), iova.ErrNotLive)
	}
	delete(d.mapped, pfn)
	d.used -= rounded(m.pages)
	var e Effect
	if !d.Lazy {
		err := d.space.FreeFast(pfn, m.pages)
		e.Trim = d.trimLater()
		return e, err
	}
	if len(d.queue) == queueSize {
		if err := d.flush(); err != nil {
			return e, err
		}
		e.Flushed, e.Trim = true, d.trimLater()
	}
	d.queue = append(d.queue, queued{pfn, m.pages})
	d.waiting += rounded(m.pages)
	e.Arm = !d.armed
	d.armed = true
	return e, nil
}

// Timer is the flush timer's work: the IOTLB is flushed, and what waited is free
// (fq_flush_timeout).
func (d *Domain) Timer() (Effect, error) {
	d.armed = false
	err := d.flush()
	return Effect{Flushed: true, Trim: d.trimLater()}, err
}

func (d *Domain) flush() error {
	for _, q := range d.queue {
		if err := d.space.FreeFast(q.pfn, q.pages); err != nil {
			return err
		}
	}
	d.queue, d.waiting = d.queue[:0], 0
	return nil
}

// trimLater reports whether the work that trims depots is to be scheduled, which
// it is not yet.
func (d *Domain) trimLater() bool {
	due := d.space.TrimDue() && !d.trimming
	d.trimming = d.trimming || due
	return due
}

// Trim trims the depots (iova_depot_work_func). It reports whether to call it again
// after TrimDelay.
func (d *Domain) Trim() bool {
	d.space.TrimDepots()
	d.trimming = d.space.TrimDue()
	return d.trimming
}

// At returns who has the page at an address, and where the range of that user
// begins. What waits in the flush queue is nobody's.
func (d *Domain) At(address uint64) (user uint32, base uint64, ok bool) {
	pfn := address >> d.shift
	r, ok := d.space.Find(pfn)
	if !ok {
		return 0, 0, false
	}
	m, ok := d.mapped[r.Lo]
	if !ok || pfn-r.Lo >= m.pages {
		return 0, 0, false
	}
	return m.user, r.Lo << d.shift, true
}

// Used and Waiting are as in [Usage].
func (d *Domain) Used() uint64    { return d.used << d.shift }
func (d *Domain) Waiting() uint64 { return d.waiting << d.shift }

// Room returns how many bytes a device can still get, and the longest run of them.
func (d *Domain) Room(m *Master) (free, largest uint64) {
	free, largest = d.space.Room(min(m.Limit>>d.shift, d.last))
	return free << d.shift, largest << d.shift
}

// Usage says how full the whole aperture is.
func (d *Domain) Usage() Usage {
	free, largest := d.space.Room(d.last)
	return Usage{
		Capacity: d.capacity << d.shift, Used: d.Used(), Waiting: d.Waiting(), Free: free << d.shift, Largest: largest << d.shift,
		Cached: (d.capacity - d.used - d.waiting - free) << d.shift, Mappings: len(d.mapped),
	}
}

// Check holds the domain to the ranges that the caller has, by user and first
// address: they are all, neither they nor what waits overlaps, they lie in the aperture
// and outside of what is reserved, and without any of them nothing is used.
func (d *Domain) Check(live iter.Seq2[uint32, uint64]) error {
	var used, n uint64
	all := make([]mem.Range, 0, len(d.mapped)+len(d.queue))
	for user, base := range live {
		m, ok := d.mapped[base>>d.shift]
		if !ok || m.user != user {
			return fmt.Errorf("I/O virtual address %s is not known to be that of %d", mem.Addr(base), user)
		}
		r := mem.Range{Lo: base, Hi: base + m.pages<<d.shift}
		if r.Lo < d.Aperture.Lo || r.Hi > d.Aperture.Hi || len(mem.RangeSet{r}.Intersect(d.Reserved)) > 0 {
			return fmt.Errorf("I/O virtual addresses %s are not to be handed out", r)
		}
		all = append(all, r)
		used += rounded(m.pages)
		n++
	}
	for _, q := range d.queue {
		all = append(all, mem.Range{Lo: q.pfn << d.shift, Hi: (q.pfn + q.pages) << d.shift})
	}
	slices.SortFunc(all, func(a, b mem.Range) int { return cmp.Compare(a.Lo, b.Lo) })
	for i := 1; i < len(all); i++ {
		if all[i-1].Hi > all[i].Lo {
			return fmt.Errorf("I/O virtual addresses %s and %s overlap", all[i-1], all[i])
		}
	}
	if used != d.used || n != uint64(len(d.mapped)) {
		return fmt.Errorf("%d mappings hold %d pages of I/O virtual addresses, the domain says %d and %d", n, used, len(d.mapped), d.used)
	}
	if free, _ := d.space.Room(d.last); free+d.used+d.waiting > d.capacity {
		return fmt.Errorf("%d pages of I/O virtual addresses are free, %d used, %d waiting, of %d", free, d.used, d.waiting, d.capacity)
	}
	return nil
}
