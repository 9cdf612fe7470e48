package physmem

import (
	"errors"

	"dmasim/allocator/kernel/buddy"
	"dmasim/mem"
)

// Errors of misuse. They come wrapped with the operation; nothing is changed
// then.
var (
	// ErrNotAllocated is returned for pages that are not live, were not handed
	// out by the operation that this one undoes, or are freed in other pieces.
	ErrNotAllocated = errors.New("not allocated as such")
	// ErrOwner is returned for an owner that does not exist, or no longer.
	ErrOwner = errors.New("no such owner")
	// ErrKind is returned for a kind of pages that an operation is not for.
	ErrKind = errors.New("not for pages of this kind")
	// ErrZone is returned for a zone, or a CMA area, that does not exist.
	ErrZone = errors.New("no such zone or area")
)

// Memory is the physical memory of one machine. It is made by [New]. It is not
// safe for concurrent use.
type Memory struct {
	page      uint64 // bytes
	pageShift uint
	pageblock uint
	seed      uint64
	minFree   uint64 // bytes

	zones   []zone
	areas   []area
	managed uint64

	base   uint64  // page frame number of entry 0
	entry  []entry // by page frame
	roster roster
	owners []owner

	swapPages, swapUsed uint64
	kinds               [kinds]uint64
	stats               Stats

	outOfMemory func(OutOfMemory)
	killing     bool // the handler of outOfMemory runs
	moves       moves
	shrinkers   []func(pages uint64) uint64
}

// zone is one zone of memory (struct zone).
type zone struct {
	name    string
	class   class
	ranges  mem.RangeSet // page frames
	hull    mem.Range
	managed uint64

	buddy *buddy.Zone
	cache *buddy.PerCPU // nil if there is none
	lru   [2]buddy.Queue

	mark    [watermarks]uint64
	reserve []uint64 // by the highest zone that a request may use
	kinds   [kinds]uint64
	credit  [2]int64 // see chooseZone
	compact deferral
}

// Indices of zone.lru.
const (
	lruCache = iota
	lruAnonymous
)

func lruOf(k Kind) int {
	if k == Anonymous {
		return lruAnonymous
	}
	return lruCache
}

// entry says who is at a page frame: 0, nobody; with the top bit set, a block
// that was handed out, with its kind and owner; else the slot of the roster
// that names the frame.
type entry uint32

const (
	blockBit  entry = 1 << 31
	contigBit entry = 1 << 30 // one page of a contiguous allocation
	dmaBufBit entry = 1 << 29
	ownerMask entry = maxOwners - 1

	maxOwners  = 1 << 29
	firstChunk = 1 // slot numbers are never 0
)

func blockEntry(k Kind, o Owner) entry {
	e := blockBit | entry(o)
	if k == DMABuf {
		e |= dmaBufBit
	}
	return e
}

// PageSize returns the size of a page in bytes.
func (m *Memory) PageSize() uint64 { return m.page }

// zoneOf returns the zone whose hull a page frame lies in.
func (m *Memory) zoneOf(pfn uint64) (int, bool) {
	for i := len(m.zones) - 1; i >= 0; i-- {
		if pfn >= m.zones[i].hull.Lo && pfn < m.zones[i].hull.Hi {
			return i, true
		}
	}
	return 0, false
}

// At tells what a page frame is used for, and by whom: owner 0, the kernel,
// where it is free or a hole.
func (m *Memory) At(pfn uint64) (Kind, Owner) {
	if pfn < m.base || pfn-m.base >= uint64(len(m.entry)) {
		return Hole, 0
	}
	switch e := m.entry[pfn-m.base]; {
	case e == 0:
		i, ok := m.zoneOf(pfn)
		if !ok || !m.zones[i].ranges.Contains(mem.Range{Lo: pfn, Hi: pfn + 1}) {
			return Hole, 0
		}
		return Free, 0
	case e&dmaBufBit != 0 && e&blockBit != 0:
		return DMABuf, Owner(e & ownerMask)
	case e&blockBit != 0:
		return Kernel, Owner(e & ownerMask)
	default:
		id := m.roster.set(e)
		return id.kind(), id.owner()
	}
}

// count moves pages of a zone from one kind to another.
func (m *Memory) count(z *zone, from, to Kind, pages uint64) {
	m.kinds[from] -= pages
	m.kinds[to] += pages
	z.kinds[from] -= pages
	z.kinds[to] += pages
}

// free gives a block back to the page allocator.
func (z *zone) free(pfn uint64) error {
	var err error
	if z.cache != nil {
		err = z.cache.Free(pfn)
	} else {
		err = z.buddy.Free(pfn)
	}
	if z.buddy.BelowHigh {
		free, inCMA := z.buddy.FreePages()
		z.buddy.BelowHigh = free-inCMA <= z.mark[high]+z.reserve[len(z.reserve)-1]
	}
	return err
}

func (z *zone) take(r *request, noFragment bool) (uint64, bool) {
	b := buddy.Request{Order: r.order, Type: r.migrateType(), NoFragment: noFragment, LRU: r.movable}
	if z.cache != nil {
		return z.cache.Alloc(b)
	}
	return z.buddy.Alloc(b)
}

// drain empties the per-CPU lists of all zones (drain_all_pages).
func (m *Memory) drain() {
	for i := range m.zones {
		if z := &m.zones[i]; z.cache != nil {
			z.cache.Drain()
		}
	}
}
