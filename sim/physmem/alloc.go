package physmem

import (
	"fmt"

	"dmasim/allocator"
	"dmasim/allocator/kernel/buddy"
)

// costlyOrder is the largest order for which the kernel kills processes
// (PAGE_ALLOC_COSTLY_ORDER).
const costlyOrder = 3

// maxRetries bounds the rounds of reclaim and compaction for a block of several
// pages (MAX_COMPACT_RETRIES).
const maxRetries = 16

// reclaimBatch is the number of pages to reclaim at once (SWAP_CLUSTER_MAX).
const reclaimBatch = 32

// Effort is what is done for a request that free memory cannot serve.
type Effort uint8

const (
	// EffortFull reclaims, compacts and, up to order 3, kills (GFP_KERNEL,
	// GFP_HIGHUSER). Requests above order 3 get a single round.
	EffortFull Effort = iota
	// EffortOnce wakes kswapd, and reclaims and compacts for a single round
	// (__GFP_NORETRY).
	EffortOnce
	// EffortNone only looks at what is free, down to the min watermark: the
	// system heap's orders 8 and 4 in 6.12.
	EffortNone
)

// Request asks for a block of contiguous pages that never moves.
type Request struct {
	Order uint
	Kind  Kind // Kernel or DMABuf
	Owner Owner
	// Zones is how many zones, from the lowest up, the request may use. 0 means
	// all that suit the kind: Kernel pages are never in HighMem, and neither kind
	// is in Movable.
	Zones  int
	Effort Effort
}

// Block is 2^Order contiguous page frames from PFN on.
type Block struct {
	PFN   uint64
	Order uint
}

// Result tells how a request went.
type Result struct {
	// Cause is None if it was served, else Limit (above the largest order),
	// Exhausted, or Fragmented: enough pages were free, but no block.
	Cause allocator.Cause
	// Killed says that the requester was killed for want of memory.
	Killed bool
	// Deadlock says that memory ran out with no process left to kill: the kernel
	// panics.
	Deadlock bool

	Kills     int    // processes killed for the request
	Reclaimed uint64 // pages of the page cache dropped
	Swapped   uint64 // pages written to swap
	Migrated  uint64 // pages moved by compaction
}

// request is a Request in the terms of the page allocator.
type request struct {
	order    uint
	movable  bool // may use CMA pageblocks, and compaction can move it
	highest  int  // zone
	effort   Effort
	owner    Owner
	mayKill  bool
	noFragOK bool // the first walk avoids mixing types in a pageblock
}

func (r *request) migrateType() buddy.Type {
	if r.movable {
		return buddy.Movable
	}
	return buddy.Unmovable
}

// request translates a valid Request.
func (m *Memory) request(q Request) request {
	r := request{order: q.Order, movable: q.Kind.movable(), effort: q.Effort, owner: q.Owner}
	limit := classHighMem
	switch {
	case q.Kind == Kernel:
		limit = classNormal
	case r.movable:
		limit = classMovable
	}
	r.highest = len(m.zones) - 1
	if q.Zones > 0 {
		r.highest = q.Zones - 1
	}
	for r.highest > 0 && m.zones[r.highest].class > limit {
		r.highest--
	}
	// Nobody is killed for a request that only low zones can serve
	// (__alloc_pages_may_oom).
	r.mayKill = q.Effort == EffortFull && q.Order <= costlyOrder &&
		(q.Zones == 0 || m.zones[r.highest].class >= classNormal || r.highest == len(m.zones)-1)
	r.noFragOK = m.zones[r.highest].class == classNormal && m.zones[len(m.zones)-1].class != classHighMem
	return r
}

// Alloc takes a block. The error is of misuse; that memory cannot serve the
// request is in the result.
func (m *Memory) Alloc(q Request) (Block, Result, error) {
	var res Result
	if q.Kind != Kernel && q.Kind != DMABuf {
		return Block{}, res, fmt.Errorf("allocate %s pages: %w", q.Kind, ErrKind)
	}
	if q.Zones < 0 || q.Zones > len(m.zones) {
		return Block{}, res, fmt.Errorf("allocate from the first %d zones: %w", q.Zones, ErrZone)
	}
	if _, err := m.owner(q.Owner); err != nil {
		return Block{}, res, fmt.Errorf("allocate: %w", err)
	}
	if q.Order > buddy.MaxOrder {
		res.Cause = allocator.Limit
		return Block{}, res, nil
	}
	r := m.request(q)
	z, pfn, ok := m.alloc(&r, &res)
	if !ok {
		return Block{}, res, nil
	}
	m.mark(pfn, 1<<q.Order, blockEntry(q.Kind, q.Owner))
	m.count(z, Free, q.Kind, 1<<q.Order)
	return Block{pfn, q.Order}, res, nil
}

// mark says who is at page frames.
func (m *Memory) mark(pfn, pages uint64, e entry) {
	frames := m.entry[pfn-m.base:][:pages]
	for i := range frames {
		frames[i] = e
	}
}

// Free gives a block back that Alloc returned. The error is ErrNotAllocated,
// and nothing changed, if it is not live.
func (m *Memory) Free(b Block) error {
	z := m.blockZone(b)
	if z == nil {
		return fmt.Errorf("free block of order %d at page frame %#x: %w", b.Order, b.PFN, ErrNotAllocated)
	}
	kind, _ := m.At(b.PFN)
	m.mark(b.PFN, 1<<b.Order, 0)
	m.count(z, kind, Free, 1<<b.Order)
	return z.free(b.PFN)
}

// Reassign makes a block that Alloc returned another owner's, as a pool of pages
// does that gives one to its next user. Owner 0 means nobody. The error is
// ErrNotAllocated or ErrOwner, and nothing changed, if there is no such block or
// owner.
func (m *Memory) Reassign(b Block, to Owner) error {
	if m.blockZone(b) == nil {
		return fmt.Errorf("reassign block of order %d at page frame %#x: %w", b.Order, b.PFN, ErrNotAllocated)
	}
	if _, err := m.owner(to); err != nil {
		return fmt.Errorf("reassign: %w", err)
	}
	kind, _ := m.At(b.PFN)
	m.mark(b.PFN, 1<<b.Order, blockEntry(kind, to))
	return nil
}

// blockZone returns the zone of a block that Alloc returned, nil if it is not
// live.
func (m *Memory) blockZone(b Block) *zone {
	i, ok := m.zoneOf(b.PFN)
	if !ok {
		return nil
	}
	z := &m.zones[i]
	e := m.entry[b.PFN-m.base]
	if order, live := z.buddy.Order(b.PFN); !live || order != b.Order || e&blockBit == 0 || e&contigBit != 0 {
		return nil
	}
	return z
}

// alloc takes a block for a request (__alloc_pages). On success the pages are
// the caller's, but marked as nobody's.
func (m *Memory) alloc(r *request, res *Result) (*zone, uint64, bool) {
	res.Cause = allocator.None
	if z, pfn, ok := m.walk(r, low, r.noFragOK); ok {
		return z, pfn, true
	}
	if r.noFragOK {
		if z, pfn, ok := m.walk(r, low, false); ok {
			return z, pfn, true
		}
	}
	reclaimed, swapped, migrated := m.stats.Reclaimed, m.stats.SwappedOut, m.stats.Migrated
	z, pfn, ok := m.slowPath(r, res)
	res.Reclaimed += m.stats.Reclaimed - reclaimed
	res.Swapped += m.stats.SwappedOut - swapped
	res.Migrated += m.stats.Migrated - migrated
	if ok && m.owners[r.owner].gone {
		// The handler of a kill ended the requester too.
		_ = z.free(pfn) // live: it was allocated
		ok, res.Killed = false, true
	}
	if !ok {
		res.Cause = m.cause(r)
		m.stats.Failures[r.order]++
	}
	return z, pfn, ok
}

// walk tries the zones from the highest down, above a watermark
// (get_page_from_freelist).
func (m *Memory) walk(r *request, mark watermark, noFragment bool) (*zone, uint64, bool) {
	for i := r.highest; i >= 0; i-- {
		z := &m.zones[i]
		if z.class == classMovable && !r.movable {
			continue
		}
		if z.buddy.BelowHigh || !z.passes(r, high) {
			z.buddy.BelowHigh = true
			if !z.passes(r, mark) {
				continue
			}
		}
		if pfn, ok := z.take(r, noFragment); ok {
			return z, pfn, true
		}
	}
	return nil, 0, false
}

// slowPath makes room for a request (__alloc_pages_slowpath).
func (m *Memory) slowPath(r *request, res *Result) (*zone, uint64, bool) {
	if r.effort != EffortNone {
		m.kswapd(r.highest)
	}
	if z, pfn, ok := m.walk(r, minimum, false); ok || r.effort == EffortNone {
		return z, pfn, ok
	}
	if r.order > costlyOrder || r.order > 0 && !r.movable {
		if z, pfn, ok := m.compactFor(r); ok {
			return z, pfn, true
		}
	}
	for round := 0; ; round++ {
		progress := m.shrink(r.highest, max(reclaimBatch, uint64(2)<<r.order))
		if z, pfn, ok := m.walk(r, minimum, false); ok {
			return z, pfn, true
		}
		// Without progress the kernel does not look again, nor drain the lists of
		// the CPUs (__alloc_pages_direct_reclaim).
		if progress > 0 {
			m.drain()
			if z, pfn, ok := m.walk(r, minimum, false); ok {
				return z, pfn, true
			}
		}
		if r.order > 0 {
			if z, pfn, ok := m.compactFor(r); ok {
				return z, pfn, true
			}
		}
		if r.effort == EffortOnce || r.order > costlyOrder {
			return nil, 0, false
		}
		// Rounds without progress would repeat this one: nothing else runs here.
		if progress > 0 && (r.order == 0 || round < maxRetries) {
			continue
		}
		if !r.mayKill || m.killing {
			return nil, 0, false
		}
		switch m.kill(r, res) {
		case killedSelf:
			res.Killed = true
			return nil, 0, false
		case killedNone:
			res.Deadlock = true
			return nil, 0, false
		}
		round = -1
	}
}

// cause tells why a request failed: whether its zones could spare as many
// single pages.
func (m *Memory) cause(r *request) allocator.Cause {
	if r.order == 0 {
		return allocator.Exhausted
	}
	for i := r.highest; i >= 0; i-- {
		z := &m.zones[i]
		free, inCMA := z.buddy.FreePages()
		if !r.movable {
			free -= inCMA
		}
		if free >= 1<<r.order && free-(1<<r.order-1) > z.mark[minimum]+z.reserve[r.highest] {
			return allocator.Fragmented
		}
	}
	return allocator.Exhausted
}
