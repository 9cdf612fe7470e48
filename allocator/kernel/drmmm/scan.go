package drmmm

// Scan finds out which ranges of a roster have to be removed for a request to
// fit. It adds them one by one, as if they were free, and tries after each the
// hole around it, until the request fits at hit. It returns the ranges added
// that overlap [hit, hit+r.Size), the last one first. False means ENOSPC: the
// whole roster is not enough. Nothing is changed; once the ranges returned are
// removed, a request in mode Evict is served at hit.
//
// Nodes that are not live, or twice in the roster, are passed over.
func (m *Manager) Scan(r Request, roster []Node) (hit uint64, evict []Node, ok bool) {
	if r.Size == 0 {
		return 0, nil, false
	}
	added := 0
	for _, n := range roster {
		added++
		i, live := m.index(n)
		if !live || m.ranges[i].scanned {
			continue
		}
		m.ranges[i].scanned = true
		m.unlink(i)
		before, after := m.ranges[i].prev, m.ranges[i].next
		lo := m.ranges[before].start + m.ranges[before].size
		if hit, ok = m.fit(&r, lo, m.ranges[after].start, before, after); ok {
			break
		}
	}
	// Each range goes back between the neighbours that it was taken from, the
	// last one first.
	for added--; added >= 0; added-- {
		n := roster[added]
		i, live := m.index(n)
		if !live || !m.ranges[i].scanned {
			continue
		}
		p := &m.ranges[i]
		p.scanned = false
		m.ranges[p.prev].next, m.ranges[p.next].prev = i, i
		if ok && p.start < hit+r.Size && hit < p.start+p.size {
			evict = append(evict, n)
		}
	}
	return hit, evict, ok
}
