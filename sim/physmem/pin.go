package physmem

import "fmt"

// Hold is how a movable page is held in place.
type Hold uint8

const (
	// HoldBusy holds a page for a while: I/O runs on it, or get_user_pages
	// without FOLL_LONGTERM.
	HoldBusy Hold = iota
	// HoldPinned holds it for as long as its owner lives.
	HoldPinned
)

// Pin holds the anonymous or page-cache page at a page frame in place, until
// Unpin or the end of its owner: it is neither reclaimed nor moved. The error
// is ErrNotAllocated if there is none, or it is held already.
func (m *Memory) Pin(pfn uint64, hold Hold) error {
	id, z, ok := m.member(pfn)
	if !ok || !id.onLRU() {
		return fmt.Errorf("pin page frame %#x: %w", pfn, ErrNotAllocated)
	}
	n := uint32(setAnonymousBusy)
	if id.kind() == PageCache {
		n = setCacheBusy
	}
	if hold == HoldPinned {
		n += setAnonymousPinned - setAnonymousBusy
	}
	m.disown(z, pfn)
	m.adopt(z, pfn, id&^(1<<setShift-1)|setID(n))
	return nil
}

// Unpin ends what Pin began. The page is the youngest of its LRU list then.
func (m *Memory) Unpin(pfn uint64) error {
	id, z, ok := m.member(pfn)
	if !ok || id.onLRU() || id.kind() == Kernel {
		return fmt.Errorf("unpin page frame %#x: %w", pfn, ErrNotAllocated)
	}
	m.disown(z, pfn)
	m.adopt(z, pfn, setOf(id.owner(), id.kind()))
	return nil
}

// PinAny pins a page of a kind, drawn at random from those of an owner that are
// not held. False means that it has none.
func (m *Memory) PinAny(o Owner, k Kind, hold Hold) (pfn uint64, ok bool) {
	own, err := m.owner(o)
	if err != nil || !k.movable() {
		return 0, false
	}
	set := &own.sets[setOf(o, k).number()]
	if set.n == 0 {
		return 0, false
	}
	pfn = m.base + uint64(m.roster.at(set, m.draw(o, set.n)))
	return pfn, m.Pin(pfn, hold) == nil
}

// member returns the set that the page at a page frame is in, and its zone.
func (m *Memory) member(pfn uint64) (setID, *zone, bool) {
	i, ok := m.zoneOf(pfn)
	if !ok {
		return 0, nil, false
	}
	e := m.entry[pfn-m.base]
	if e == 0 || e&blockBit != 0 {
		return 0, nil, false
	}
	return m.roster.set(e), &m.zones[i], true
}

// Held reports how the page at a page frame is held in place; false if it is not.
func (m *Memory) Held(pfn uint64) (Hold, bool) {
	id, _, ok := m.member(pfn)
	if !ok {
		return 0, false
	}
	switch id.number() {
	case setAnonymousBusy, setCacheBusy:
		return HoldBusy, true
	case setAnonymousPinned, setCachePinned:
		return HoldPinned, true
	}
	return 0, false
}
