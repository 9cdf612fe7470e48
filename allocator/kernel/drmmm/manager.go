package drmmm

import (
	"errors"
	"fmt"
	"math"
)

// Mode is the order in which the holes are tried (enum drm_mm_insert_mode).
type Mode uint8

// Modes.
const (
	Best  Mode = iota // by rising size, of equal holes the newest first
	Low               // by rising address
	High              // by falling address, and at the upper end of the hole
	Evict             // the newest first
)

// NoLimit is the upper end of a request that may lie anywhere.
const NoLimit uint64 = math.MaxUint64

// Request asks for one range.
type Request struct {
	Size   uint64 // at least 1
	Align  uint64 // of the start, counted from 0: any number; 0 and 1 mean none
	Color  uint64
	Lo, Hi uint64 // the range lies in [Lo, Hi)
	Mode   Mode
	Once   bool // try one hole only
}

// Node names a live range. After the range was removed, the node names none, for
// as long as 2^31 others take the same row of the table.
type Node uint64

// Why a node cannot be removed.
var (
	ErrRemoved = errors.New("range is removed already")
	ErrUnknown = errors.New("no such range")
)

// Manager hands out ranges of a range of addresses (struct drm_mm). It is made
// by [New].
//
// A hole is named by the range before it, or by head for the one at the bottom.
type Manager struct {
	guard  uint64
	ranges []addrRange
	spare  uint32 // ranges not in use, linked by next

	byAddr tree   // holes: key is the start, value the size
	bySize tree   // holes: key is the size, tie falls with age
	newest uint32 // hole
	holes  uint64 // made so far
	free   uint64
}

// addrRange is a live range, or not in use.
type addrRange struct {
	start, size  uint64
	color        uint64
	prev, next   uint32 // ranges by address, in a ring with head
	newer, older uint32 // holes by age
	serial       uint32 // odd while live
	scanned      bool   // taken out of the ring by a scan
}

// head is the range that is all but the managed one, as if addresses were a
// ring.
const head = 1

// New returns a manager of the addresses [base, base+size). Ranges of unequal
// colour are kept colorGuard apart.
func New(base, size, colorGuard uint64) (*Manager, error) {
	if size == 0 || size > math.MaxUint64-base {
		return nil, fmt.Errorf("range of %d from %#x: want a size above 0 and an end below 2^64", size, base)
	}
	m := &Manager{guard: colorGuard, ranges: make([]addrRange, head+1)}
	m.byAddr.nodes = make([]treeNode, head+1)
	m.bySize.nodes = make([]treeNode, head+1)
	m.ranges[head] = addrRange{start: base + size, size: -size, prev: head, next: head}
	m.addHole(head)
	return m, nil
}

// Free returns how much is not allocated.
func (m *Manager) Free() uint64 { return m.free }

// Alloc places a range (drm_mm_insert_node_in_range). False means ENOSPC.
func (m *Manager) Alloc(r Request) (start uint64, n Node, ok bool) {
	if r.Size == 0 || r.Hi < r.Lo || r.Hi-r.Lo < r.Size {
		return 0, 0, false
	}
	if r.Size > m.byAddr.nodes[m.byAddr.root].most {
		return 0, 0, false
	}
	for hole := m.first(&r); hole != 0; hole = m.next(hole, &r) {
		lo, size := m.hole(hole)
		if start, ok = m.fit(&r, lo, lo+size, hole, m.ranges[hole].next); ok {
			return start, m.insert(hole, start, r.Size, r.Color), true
		}
		if r.Once {
			break
		}
	}
	return 0, 0, false
}

// first returns the first hole to try (first_hole).
func (m *Manager) first(r *Request) uint32 {
	switch r.Mode {
	case Best:
		return m.bySize.above(r.Size)
	case Low:
		return m.seek(r.Lo, r.Size)
	case High:
		return m.seek(r.Hi, r.Size)
	}
	return m.newest
}

// next returns the hole to try after one in vain (next_hole).
func (m *Manager) next(hole uint32, r *Request) uint32 {
	switch r.Mode {
	case Best:
		return m.bySize.next(hole, 0, false)
	case Low:
		hole = m.byAddr.next(hole, r.Size, false)
		if m.byAddr.nodes[hole].key >= r.Hi {
			return 0 // so do all that follow
		}
		return hole
	case High:
		hole = m.byAddr.next(hole, r.Size, true)
		if start, size := m.hole(hole); start+size <= r.Lo {
			return 0
		}
		return hole
	}
	return m.ranges[hole].older
}

// seek returns a hole that comes before all that are large enough and reach
// addr, in the direction of the search, or is the first of them
// (find_hole_addr). It may itself be too small.
func (m *Manager) seek(addr, size uint64) uint32 {
	found := uint32(0)
	for at := m.byAddr.root; at != 0 && m.byAddr.nodes[at].most >= size; {
		found = at
		switch p := &m.byAddr.nodes[at]; {
		case addr < p.key:
			at = p.left
		case addr > p.key+p.value:
			at = p.right
		default:
			return at
		}
	}
	return found
}

// hole returns the hole after a range; its size is 0 where there is none.
func (m *Manager) hole(n uint32) (start, size uint64) {
	return m.byAddr.nodes[n].key, m.byAddr.nodes[n].value
}

// fit returns where the request goes in the free range [lo, hi) between two
// ranges.
func (m *Manager) fit(r *Request, lo, hi uint64, before, after uint32) (uint64, bool) {
	if m.keepsApart(before, r.Color) {
		lo = lo + min(m.guard, math.MaxUint64-lo)
	}
	if m.keepsApart(after, r.Color) {
		hi -= min(m.guard, hi)
	}
	lo, hi = max(lo, r.Lo), min(hi, r.Hi)
	if hi < lo || hi-lo < r.Size {
		return 0, false
	}
	last := hi - r.Size
	align := max(r.Align, 1)
	if r.Mode == High {
		start := last - last%align
		return start, start >= lo
	}
	start := lo
	if rest := lo % align; rest != 0 {
		if align-rest > last-lo {
			return 0, false
		}
		start += align - rest
	}
	return start, true
}

// keepsApart reports whether a range of a colour keeps its distance from a
// neighbour.
func (m *Manager) keepsApart(neighbour uint32, color uint64) bool {
	return neighbour != head && m.ranges[neighbour].color != color
}

// Reserve takes exactly [start, start+size) (drm_mm_reserve_node). False means
// ENOSPC.
func (m *Manager) Reserve(start, size, color uint64) (Node, bool) {
	if size == 0 || size > math.MaxUint64-start {
		return 0, false
	}
	hole := m.byAddr.below(start)
	if hole == 0 {
		return 0, false
	}
	lo, length := m.hole(hole)
	r := Request{Size: size, Color: color, Lo: start, Hi: start + size}
	if _, ok := m.fit(&r, lo, lo+length, hole, m.ranges[hole].next); !ok {
		return 0, false
	}
	return m.insert(hole, start, size, color), true
}

// insert makes a range within the hole after n.
func (m *Manager) insert(n uint32, start, size, color uint64) Node {
	lo, length := m.hole(n)
	hi := lo + length
	m.removeHole(n)
	i := m.newRange()
	p := &m.ranges[i]
	p.start, p.size, p.color = start, size, color
	p.prev, p.next = n, m.ranges[n].next
	m.ranges[p.next].prev = i
	m.ranges[n].next = i
	if lo < start {
		m.addHole(n)
	}
	if start+size < hi {
		m.addHole(i)
	}
	return Node(p.serial)<<32 | Node(i)
}

func (m *Manager) newRange() uint32 {
	i := m.spare
	if i == 0 {
		i = uint32(len(m.ranges))
		m.ranges = append(m.ranges, addrRange{})
		m.byAddr.nodes = append(m.byAddr.nodes, treeNode{})
		m.bySize.nodes = append(m.bySize.nodes, treeNode{})
	} else {
		m.spare = m.ranges[i].next
	}
	m.ranges[i].serial++
	return i
}

// Remove frees a range (drm_mm_remove_node). The error is ErrRemoved or
// ErrUnknown, and nothing changed, if it is not live.
func (m *Manager) Remove(n Node) error {
	i, ok := m.index(n)
	switch {
	case !ok && m.wasLive(n):
		return ErrRemoved
	case !ok:
		return ErrUnknown
	}
	p := &m.ranges[i]
	prev := p.prev
	if m.byAddr.nodes[i].value != 0 {
		m.removeHole(i)
	}
	if m.byAddr.nodes[prev].value != 0 {
		m.removeHole(prev)
	}
	m.unlink(i)
	m.addHole(prev)
	p.serial++
	p.next, m.spare = m.spare, i
	return nil
}

// Range returns where a live range is.
func (m *Manager) Range(n Node) (start, size uint64, ok bool) {
	i, ok := m.index(n)
	if !ok {
		return 0, 0, false
	}
	return m.ranges[i].start, m.ranges[i].size, true
}

func (m *Manager) index(n Node) (uint32, bool) {
	i, serial := uint64(n)&math.MaxUint32, uint32(n>>32)
	return uint32(i), i > head && i < uint64(len(m.ranges)) && serial%2 == 1 && m.ranges[i].serial == serial
}

// wasLive reports whether a node is that of a range that was removed.
func (m *Manager) wasLive(n Node) bool {
	i, serial := uint64(n)&math.MaxUint32, uint32(n>>32)
	return i > head && i < uint64(len(m.ranges)) && serial%2 == 1 && serial < m.ranges[i].serial
}

// addHole enters the hole after n, up to the next range (add_hole).
func (m *Manager) addHole(n uint32) {
	start := m.ranges[n].start + m.ranges[n].size
	size := m.ranges[m.ranges[n].next].start - start
	m.holes++
	m.byAddr.insert(n, start, 0, size)
	m.bySize.insert(n, size, -m.holes, 0)
	m.ranges[n].newer, m.ranges[n].older = 0, m.newest
	m.ranges[m.newest].newer = n
	m.newest = n
	m.free += size
}

// removeHole takes the hole after n out (rm_hole).
func (m *Manager) removeHole(n uint32) {
	m.free -= m.byAddr.nodes[n].value
	m.byAddr.remove(n)
	m.bySize.remove(n)
	newer, older := m.ranges[n].newer, m.ranges[n].older
	if newer == 0 {
		m.newest = older
	} else {
		m.ranges[newer].older = older
	}
	m.ranges[older].newer = newer
}

func (m *Manager) unlink(i uint32) {
	prev, next := m.ranges[i].prev, m.ranges[i].next
	m.ranges[prev].next, m.ranges[next].prev = next, prev
}
