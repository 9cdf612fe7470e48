package physmem

// kswapd reclaims until some zone that a request may use is above its high
// watermark (balance_pgdat, pgdat_balanced). In the kernel it is a thread that
// a request wakes and that runs beside it; here it does all of its work at
// once, before the request goes on.
func (m *Memory) kswapd(highest int) {
	if m.balanced(highest) {
		return
	}
	m.stats.KswapdRuns++
	for i := range m.zones {
		m.zones[i].buddy.Reclaiming = true
	}
	for !m.balanced(highest) && m.shrink(highest, reclaimBatch) > 0 {
	}
	for i := range m.zones {
		m.zones[i].buddy.Reclaiming = false
	}
}

func (m *Memory) balanced(highest int) bool {
	r := request{highest: highest}
	for i := highest; i >= 0; i-- {
		if m.zones[i].passes(&r, high) {
			return true
		}
	}
	return false
}

// shrink reclaims up to a number of pages from the zones up to one: the oldest
// of the page cache, and where that has nothing, what shrinkers give, and the
// oldest anonymous ones while there is swap space (shrink_node). It returns how
// many.
func (m *Memory) shrink(highest int, pages uint64) uint64 {
	done := m.shrinkList(lruCache, highest, pages)
	for _, shrinker := range m.shrinkers {
		if done >= pages {
			break
		}
		done += shrinker(pages - done)
	}
	if done < pages && m.swapUsed < m.swapPages {
		done += m.shrinkList(lruAnonymous, highest, min(pages-done, m.swapPages-m.swapUsed))
	}
	return done
}

// OnPressure registers a shrinker: who keeps pages that it can do without. It
// gives back up to a number of pages by [Memory.Free] and returns how many
// (register_shrinker). The kernel asks shrinkers in proportion to what they have
// beside the LRU lists; here they come between page cache and anonymous pages.
func (m *Memory) OnPressure(shrinker func(pages uint64) uint64) {
	m.shrinkers = append(m.shrinkers, shrinker)
}

func (m *Memory) shrinkList(lru, highest int, pages uint64) uint64 {
	done := uint64(0)
	for done < pages {
		z := m.chooseZone(lru, highest)
		if z == nil {
			break
		}
		for n := min(pages-done, reclaimBatch); n > 0; n-- {
			pfn, ok := z.buddy.Oldest(&z.lru[lru])
			if !ok {
				break
			}
			m.evict(pfn)
			done++
		}
	}
	return done
}

// chooseZone returns the zone to reclaim from next, so that each gives in
// proportion to what it has. Nil means that no zone has any.
func (m *Memory) chooseZone(lru, highest int) *zone {
	var best *zone
	total := int64(0)
	for i := range m.zones[:highest+1] {
		z := &m.zones[i]
		length := int64(z.lru[lru].Len())
		if length == 0 {
			z.credit[lru] = 0
			continue
		}
		z.credit[lru] += length
		total += length
		if best == nil || z.credit[lru] > best.credit[lru] {
			best = z
		}
	}
	if best != nil {
		best.credit[lru] -= total
	}
	return best
}

// evict frees a page on an LRU list: what was in it can be read again.
func (m *Memory) evict(pfn uint64) {
	id := m.roster.set(m.entry[pfn-m.base])
	own := &m.owners[id.owner()]
	if id.kind() == Anonymous {
		own.swapped++
		m.swapUsed++
		m.stats.SwappedOut++
	} else {
		own.dropped++
		m.stats.Reclaimed++
	}
	m.drop(pfn)
}

// DropCache evicts the oldest pages of the page cache, at most a number, as a
// write to /proc/sys/vm/drop_caches does with all. It returns how many.
func (m *Memory) DropCache(pages uint64) uint64 {
	return m.shrinkList(lruCache, len(m.zones)-1, pages)
}
