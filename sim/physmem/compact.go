package physmem

import "dmasim/allocator/kernel/buddy"

// deferral makes compaction rarer after it failed (compaction_deferred).
type deferral struct {
	considered, shift uint
	failed            uint // the lowest order that it failed for
}

const maxDeferral = 6 // COMPACT_MAX_DEFER_SHIFT

// wait reports whether compaction for an order is left out this time.
func (d *deferral) wait(order uint) bool {
	if d.shift == 0 || order < d.failed {
		return false
	}
	d.considered++
	if d.considered >= 1<<d.shift {
		d.considered = 1 << d.shift
		return false
	}
	return true
}

func (d *deferral) done(order uint, ok bool) {
	if ok {
		*d = deferral{}
		return
	}
	if d.shift == 0 || order < d.failed {
		d.failed = order
	}
	d.considered = 0
	d.shift = min(d.shift+1, maxDeferral)
}

// compactFor compacts the zones of a request, until one can serve it
// (try_to_compact_pages).
func (m *Memory) compactFor(r *request) (*zone, uint64, bool) {
	for i := r.highest; i >= 0; i-- {
		z := &m.zones[i]
		if z.class == classMovable && !r.movable || z.compact.wait(r.order) || !z.compactable(r) {
			continue
		}
		m.drain()
		ok := m.compactZone(z, r)
		z.compact.done(r.order, ok)
		if !ok {
			continue
		}
		if z, pfn, ok := m.walk(r, minimum, false); ok {
			return z, pfn, true
		}
	}
	return nil, 0, false
}

// compactable reports whether compaction has the room to work in, and whether
// want of memory is not the problem (compaction_suitable, fragmentation_index).
func (z *zone) compactable(r *request) bool {
	mark := z.mark[minimum]
	if r.order > costlyOrder {
		mark = z.mark[low]
	}
	free, _ := z.buddy.FreePages()
	if free <= mark+2<<r.order+z.reserve[r.highest] {
		return false
	}
	if r.order <= costlyOrder || z.buddy.Suitable(r.order, true) {
		return true
	}
	blocks := uint64(0)
	for order := range NumOrders {
		for t := buddy.Unmovable; t <= buddy.CMA; t++ {
			blocks += z.buddy.FreeBlocks(t, uint(order))
		}
	}
	index := 1000 - int64((1000+free*1000/(1<<r.order))/blocks)
	return index < 0 || index > 500 // vm.extfrag_threshold
}

// compactZone moves pages from the bottom of a zone into free ones at its top,
// until a block for the request is free or the scanners meet (compact_zone).
func (m *Memory) compactZone(z *zone, r *request) bool {
	m.stats.Compaction++
	size := uint64(1) << m.pageblock
	first := z.hull.Lo &^ (size - 1)
	s := freeScanner{zone: z, size: size, block: (z.hull.Hi - 1) &^ (size - 1)}
	s.next = s.block
	ok := false
	for block := first; block < s.block && !ok; block += size {
		if z.buddy.Pageblock(max(block, z.hull.Lo)).LRU == 0 {
			continue
		}
		for pfn := max(block, z.hull.Lo); pfn < block+size && s.block > block; pfn++ {
			e := m.entry[pfn-m.base]
			if e == 0 || e&blockBit != 0 || !m.roster.set(e).onLRU() {
				continue
			}
			to, found := s.take(block)
			if !found {
				break
			}
			m.move(z, pfn, to)
		}
		ok = z.buddy.Suitable(r.order, r.movable)
	}
	s.giveBack()
	return ok || z.buddy.Suitable(r.order, r.movable)
}

// move puts the contents of a page that is on an LRU list into a page of the
// same zone that is allocated, but nobody's.
func (m *Memory) move(z *zone, from, to uint64) {
	slot := m.entry[from-m.base]
	m.entry[from-m.base], m.entry[to-m.base] = 0, slot
	m.roster.chunks[slot>>chunkShift][slot&(chunkSize-1)] = uint32(to - m.base)
	q := &z.lru[lruOf(m.roster.set(slot).kind())]
	z.buddy.Remove(q, from)
	z.buddy.SetLRU(to)
	z.buddy.Push(q, to)
	_ = z.buddy.Free(from) // live: it was on a list
	m.stats.Migrated++
}

// freeScanner takes free pages for compaction, from the highest pageblock of a
// zone down (isolate_freepages).
type freeScanner struct {
	zone        *zone
	size        uint64 // of a pageblock
	block, next uint64 // pageblock, and where to look next in it
	spare, end  uint64 // pages taken and not used yet
}

// take returns a free page above a pageblock.
func (s *freeScanner) take(above uint64) (uint64, bool) {
	for s.spare == s.end {
		if s.next >= s.block+s.size || s.next >= s.zone.hull.Hi || !s.target() {
			if s.block <= above+s.size {
				s.block = above
				return 0, false
			}
			s.block -= s.size
			s.next = s.block
			continue
		}
		order, free := s.zone.buddy.TakeFree(s.next)
		if !free {
			s.next++
			continue
		}
		s.spare, s.end = s.next, s.next+1<<order
		s.next = s.end
	}
	s.spare++
	return s.spare - 1, true
}

// target reports whether pages may be put into the current pageblock: a movable
// or CMA one that is not free as a whole (suitable_migration_target).
func (s *freeScanner) target() bool {
	b := s.zone.buddy.Pageblock(max(s.block, s.zone.hull.Lo))
	return (b.Type == buddy.Movable || b.Type == buddy.CMA) && b.Free > 0 && b.Free < s.size
}

// giveBack frees what was taken and not used.
func (s *freeScanner) giveBack() {
	for ; s.spare < s.end; s.spare++ {
		_ = s.zone.buddy.Free(s.spare) // live: it was taken
	}
}
