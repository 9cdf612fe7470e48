package physmem

import (
	"errors"
	"fmt"

	"dmasim/allocator"
	"dmasim/allocator/kernel/cma"
	"dmasim/mem"
)

// area is a CMA area.
type area struct {
	name    string
	pages   mem.Range
	zone    int
	bitmap  *cma.Area
	migrate cma.Migrate
}

// Contig tells how a contiguous allocation went.
type Contig struct {
	// Cause is None if it was served. Exhausted: the area has too few pages left,
	// or there was nowhere to move its pages to. Fragmented: it has no run that
	// long. Busy and Pinned: pages of every run are held in place, some of them
	// for a while, or all for ever.
	Cause    allocator.Cause
	Migrated uint64 // pages moved out of the way
	Dropped  uint64 // pages of the page cache dropped from there
	Retries  uint64 // places where a page was in the way
}

var errNowhere = errors.New("no memory to move pages to")

// NumAreas returns the number of CMA areas.
func (m *Memory) NumAreas() int { return len(m.areas) }

// AreaState are the figures of a CMA area, in pages.
type AreaState struct {
	Name        string
	Pages       mem.Range // page frames
	Used        uint64    // by contiguous allocations
	LargestFree uint64    // the longest run that they don't use
}

// Area returns the figures of a CMA area.
func (m *Memory) Area(i int) AreaState {
	a := &m.areas[i]
	return AreaState{a.name, a.pages, a.bitmap.Used(), a.bitmap.LargestFree()}
}

// AllocContig takes contiguous pages from a CMA area for a dma-buf, the first
// of them a multiple of 2^alignOrder (cma_alloc). Pages that the area had lent
// are moved, or dropped if they are of the page cache. It returns the page
// frames. No process is killed for it.
func (m *Memory) AllocContig(areaIndex int, owner Owner, pages uint64, alignOrder uint) (mem.Range, Contig, error) {
	var c Contig
	if areaIndex < 0 || areaIndex >= len(m.areas) {
		return mem.Range{}, c, fmt.Errorf("allocate from CMA area %d: %w", areaIndex, ErrZone)
	}
	if _, err := m.owner(owner); err != nil {
		return mem.Range{}, c, fmt.Errorf("allocate from a CMA area: %w", err)
	}
	a := &m.areas[areaIndex]
	m.moves = moves{owner: owner}
	migrated, dropped := m.stats.Migrated, m.stats.Reclaimed
	pfn, err := a.bitmap.Alloc(pages, alignOrder, a.migrate)
	c.Migrated, c.Dropped, c.Retries = m.stats.Migrated-migrated, m.stats.Reclaimed-dropped, m.moves.retries
	if err == nil {
		return mem.Range{Lo: pfn, Hi: pfn + pages}, c, nil
	}
	switch {
	case pages == 0:
		c.Cause = allocator.Limit
	case errors.Is(err, errNowhere), pages > a.bitmap.Pages().Size()-a.bitmap.Used():
		c.Cause = allocator.Exhausted
	case errors.Is(err, cma.ErrBusy) && m.moves.busy:
		c.Cause = allocator.Busy
	case errors.Is(err, cma.ErrBusy):
		c.Cause = allocator.Pinned
	case errors.Is(err, cma.ErrNoMemory):
		c.Cause = allocator.Fragmented
	default:
		return mem.Range{}, c, fmt.Errorf("allocate from CMA area %s: %w", a.name, err)
	}
	return mem.Range{}, c, nil
}

// moves is what the attempts of one contiguous allocation have in common.
type moves struct {
	owner   Owner
	busy    bool // a page was in the way that will go
	retries uint64
	// The last attempt emptied the frames [from, at), and failed at the last.
	from, at uint64
}

// evacuate empties page frames of a CMA area and takes them
// (alloc_contig_range).
func (m *Memory) evacuate(a *area, r mem.Range) error {
	// The page that was in the way of the last attempt still is: no need to look
	// again.
	if r.Lo >= m.moves.from && r.Lo <= m.moves.at && m.moves.at < r.Hi && m.moves.retries > 0 {
		m.moves.retries++
		return cma.ErrBusy
	}
	z := &m.zones[a.zone]
	if err := z.buddy.Isolate(r); err != nil {
		return err
	}
	defer z.buddy.Restore()
	m.drain()
	for pfn := r.Lo; pfn < r.Hi; pfn++ {
		if err := m.moveOut(z, pfn); err != nil {
			if errors.Is(err, cma.ErrBusy) {
				m.moves.retries++
				m.moves.from, m.moves.at = r.Lo, pfn
			}
			return err
		}
	}
	if !z.buddy.TakeIsolated(r) {
		return fmt.Errorf("page frames %s are empty, and not free", r)
	}
	m.mark(r.Lo, r.Size(), blockEntry(DMABuf, m.moves.owner)|contigBit)
	m.count(z, Free, DMABuf, r.Size())
	return nil
}

// moveOut empties one page frame.
func (m *Memory) moveOut(z *zone, pfn uint64) error {
	e := m.entry[pfn-m.base]
	if e == 0 {
		return nil
	}
	if e&blockBit != 0 {
		return cma.ErrBusy
	}
	id := m.roster.set(e)
	switch id.number() {
	case setAnonymousBusy, setCacheBusy:
		m.moves.busy = true
		return cma.ErrBusy
	case setAnonymous:
		var res Result
		r := m.request(Request{Kind: Anonymous, Owner: id.owner()})
		r.mayKill = false
		target, to, ok := m.alloc(&r, &res)
		if !ok {
			return errNowhere
		}
		if m.entry[pfn-m.base] == 0 {
			return target.free(to) // reclaim for the target took the page itself
		}
		m.disown(z, pfn)
		m.adopt(target, to, id)
		m.stats.Migrated++
		return z.free(pfn)
	case setCache:
		m.evict(pfn)
		return nil
	}
	return cma.ErrBusy
}

// FreeContig gives back pages that AllocContig returned, or a part of them
// (cma_release). The error is ErrNotAllocated, and nothing changed, if some are
// not.
func (m *Memory) FreeContig(areaIndex int, r mem.Range) error {
	if areaIndex < 0 || areaIndex >= len(m.areas) {
		return fmt.Errorf("free into CMA area %d: %w", areaIndex, ErrZone)
	}
	a := &m.areas[areaIndex]
	ok := !r.Empty() && a.pages.Contains(r)
	for pfn := r.Lo; ok && pfn < r.Hi; pfn++ {
		e := m.entry[pfn-m.base]
		ok = e&blockBit != 0 && e&contigBit != 0
	}
	if !ok || a.bitmap.Release(r.Lo, r.Size()) != nil {
		return fmt.Errorf("free page frames %s of CMA area %s: %w", r, a.name, ErrNotAllocated)
	}
	z := &m.zones[a.zone]
	m.mark(r.Lo, r.Size(), 0)
	m.count(z, DMABuf, Free, r.Size())
	for pfn := r.Lo; pfn < r.Hi; pfn++ {
		if err := z.free(pfn); err != nil {
			return err
		}
	}
	return nil
}
