package ledger

import (
	"math/bits"

	"dmasim/mem"
)

// parts is the number of parts of a tally, at most.
const parts = 512

// tally counts the free bytes of equal parts of an arena's hull, so that the
// free bytes of a wide window need no walk over all its holes.
type tally struct {
	hull  mem.Range
	shift int // a part is 2^shift bytes, the first starts with the hull
	free  []uint64
}

func newTally(arena mem.RangeSet) tally {
	t := tally{hull: arena.Hull()}
	t.shift = bits.Len64(t.hull.Size() / parts)
	t.free = make([]uint64, t.hull.Size()>>t.shift+1)
	return t
}

// give adds a range of the arena that is free again.
func (t *tally) give(r mem.Range) {
	for i := t.part(r.Lo); !r.Empty(); i++ {
		cut := min(r.Hi, t.edge(i+1))
		t.free[i] += cut - r.Lo
		r.Lo = cut
	}
}

// take is the opposite of give.
func (t *tally) take(r mem.Range) {
	for i := t.part(r.Lo); !r.Empty(); i++ {
		cut := min(r.Hi, t.edge(i+1))
		t.free[i] -= cut - r.Lo
		r.Lo = cut
	}
}

// within returns the free bytes of the parts that lie in r, and what is left of
// r below and above them.
func (t *tally) within(r mem.Range) (free uint64, below, above mem.Range) {
	r = r.Intersect(t.hull)
	if r.Empty() {
		return 0, mem.Range{}, mem.Range{}
	}
	first, last := t.part(r.Lo), t.part(r.Hi)
	if t.edge(first) < r.Lo {
		first++
	}
	if first >= last {
		return 0, r, mem.Range{}
	}
	for _, bytes := range t.free[first:last] {
		free += bytes
	}
	return free, mem.Range{Lo: r.Lo, Hi: t.edge(first)}, mem.Range{Lo: t.edge(last), Hi: r.Hi}
}

// part returns the part in which addr lies.
func (t *tally) part(addr uint64) int { return int((addr - t.hull.Lo) >> t.shift) }

// edge returns where part i starts, or the end of the hull for the part behind
// the last.
func (t *tally) edge(i int) uint64 {
	if i >= len(t.free) {
		return t.hull.Hi
	}
	return t.hull.Lo + uint64(i)<<t.shift
}
