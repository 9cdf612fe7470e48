package holes

import (
	"iter"
	"math"

	"dmasim/mem"
)

// Index is the set of holes of an arena, ordered by address.
//
// Its tree has a hole's start as key and its length as value. The bound between
// two leaves is kept at or above the end of the last hole before it, not only
// above its start, so that the way down to an address leads to the hole that
// contains it.
type Index struct {
	tree
	arena mem.RangeSet
	bytes uint64
}

// New returns an index of the arena free, all of it one hole per range.
func New(free mem.RangeSet) *Index {
	x := &Index{tree: tree{nodes: &nodes{}}, arena: mem.NewRangeSet(free...)}
	x.Reset(x.arena)
	return x
}

// Reset makes free the set of holes, in time linear in its length. It returns
// false, and changes nothing, if free is not a set (see [mem.RangeSet]) or not
// within the arena.
func (x *Index) Reset(free mem.RangeSet) bool {
	var bytes uint64
	within := 0
	for i, r := range free {
		if r.Empty() || (i > 0 && r.Lo <= free[i-1].Hi) {
			return false
		}
		for within < len(x.arena) && x.arena[within].Hi <= r.Lo {
			within++
		}
		if within == len(x.arena) || !x.arena[within].Contains(r) {
			return false
		}
		bytes += r.Size()
	}
	x.bytes = bytes
	x.build(len(free), func(i int) entry { return entry{free[i].Lo, free[i].Size()} })
	return true
}

// Len returns the number of holes.
func (x *Index) Len() int { return x.entries }

// Bytes returns the number of free bytes.
func (x *Index) Bytes() uint64 { return x.bytes }

// Largest returns the length of the longest hole, 0 where there is none.
func (x *Index) Largest() uint64 { return x.most }

// at returns the hole at p.
func (x *Index) at(p *path) mem.Range {
	return holeOf(x.leaves[p.node[0]].entry[p.slot[0]])
}

func holeOf(e entry) mem.Range { return mem.Range{Lo: e.key, Hi: e.key + e.value} }

// Take makes [lo, hi) no longer free. It returns false, and changes nothing, if
// the range is empty or not wholly inside one hole.
func (x *Index) Take(lo, hi uint64) bool {
	if lo >= hi {
		return false
	}
	var p path
	x.descend(&p, lo)
	if p.slot[0] < 0 || x.at(&p).Hi < hi {
		return false
	}
	x.carve(&p, lo, hi)
	return true
}

// carve takes [lo, hi), not empty, out of the hole at p that contains it. What is
// left of a hole holds no block that the hole did not hold, so no bound grows.
func (x *Index) carve(p *path, lo, hi uint64) {
	x.bytes -= hi - lo
	hole := x.at(p)
	switch {
	case lo > hole.Lo && hi < hole.Hi && x.leaves[p.node[0]].n < width:
		x.cut(p, entry{hole.Lo, lo - hole.Lo}, entry{hi, hole.Hi - hi})
	case lo > hole.Lo:
		x.replace(p, hole.Lo, lo-hole.Lo)
		if hi < hole.Hi {
			x.insert(p, hi, hole.Hi-hi)
		}
	case hi < hole.Hi:
		x.replace(p, hi, hole.Hi-hi)
	default:
		x.remove(p)
	}
}

// Give makes [lo, hi) free again, as one hole with those it touches. It returns
// false, and changes nothing, if the range is empty, overlaps a hole or leaves
// the arena.
func (x *Index) Give(lo, hi uint64) bool {
	_, ok := x.Merge(lo, hi)
	return ok
}

// Merge is [Index.Give] and returns the hole of which [lo, hi) is now part.
func (x *Index) Merge(lo, hi uint64) (mem.Range, bool) {
	if lo >= hi || !x.arena.Contains(mem.Range{Lo: lo, Hi: hi}) {
		return mem.Range{}, false
	}
	var p, beyond path // beyond leads to a neighbour in another leaf
	x.descend(&p, lo)
	below, above := &p, &p
	left, right := mem.Range{}, mem.Range{Lo: math.MaxUint64}
	if p.slot[0] >= 0 {
		left = x.at(&p)
	} else if beyond = p; x.prev(&beyond, 1) {
		below, left = &beyond, x.at(&beyond)
	}
	if l, next := &x.leaves[p.node[0]], p.slot[0]+1; int(next) < l.n {
		right = holeOf(l.entry[next])
	} else if beyond = p; x.next(&beyond, 1) {
		above, right = &beyond, x.at(&beyond)
	}
	if left.Hi > lo || right.Lo < hi {
		return mem.Range{}, false
	}

	x.bytes += hi - lo
	hole := mem.Range{Lo: lo, Hi: hi}
	joinsLeft := left.Hi == lo && !left.Empty()
	joinsRight := right.Lo == hi && !right.Empty()
	if joinsRight {
		hole.Hi = right.Hi
	}
	if joinsLeft {
		hole.Lo = left.Lo
		x.raise(below, hole.Hi)
		x.replace(below, hole.Lo, hole.Size())
		x.raiseColumns(below)
	}
	if joinsRight && above == &p {
		p.slot[0]++
	}
	switch {
	case joinsLeft && joinsRight:
		x.remove(above)
	case joinsRight:
		x.lower(above, lo)
		x.replace(above, lo, hole.Size())
		x.raiseColumns(above)
	case !joinsLeft:
		x.raise(&p, hi)
		x.insert(&p, lo, hi-lo)
	}
	return hole, true
}

// FirstAtLeast returns the lowest hole that ends above from and is at least
// size bytes long, which counts the part of it below from.
func (x *Index) FirstAtLeast(from, size uint64) (mem.Range, bool) {
	var c Cursor
	c.From(x, from)
	return c.Next(size)
}

// LastAtLeast returns the highest hole that starts below to and is at least
// size bytes long, which counts the part of it above to.
func (x *Index) LastAtLeast(to, size uint64) (mem.Range, bool) {
	var c Cursor
	c.To(x, to)
	return c.Prev(size)
}

// LargestIn returns the longest free range inside r, the lowest if several are
// equally long; an empty range if nothing in r is free.
func (x *Index) LargestIn(r mem.Range) mem.Range {
	var c, d Cursor
	c.From(x, r.Lo)
	low, ok := c.Next(1)
	if !ok || low.Lo >= r.Hi || r.Empty() {
		return mem.Range{}
	}
	if low.Hi >= r.Hi {
		return low.Intersect(r)
	}
	d.To(x, r.Hi)
	high, _ := d.Prev(1)

	// The two ends may stick out of r; whatever lies between them does not.
	best, end := low.Intersect(r), high.Intersect(r)
	if between := x.mostBetween(&c.path, &d.path); between > best.Size() && between >= end.Size() {
		best, _ = c.Next(between)
	} else if end.Size() > best.Size() {
		best = end
	}
	return best
}

// FreeIn returns the number of free bytes in r. Its cost grows with the number
// of holes in r.
func (x *Index) FreeIn(r mem.Range) uint64 {
	if len(x.arena) > 0 && r.Contains(x.arena.Hull()) {
		return x.bytes
	}
	var free uint64
	var c Cursor
	c.From(x, r.Lo)
	for hole, ok := c.Next(1); ok && hole.Lo < r.Hi; hole, ok = c.Next(1) {
		free += hole.Intersect(r).Size()
	}
	return free
}

// All returns the holes by rising address. The index must not change while it
// is iterated.
func (x *Index) All() iter.Seq[mem.Range] {
	return func(yield func(mem.Range) bool) {
		var c Cursor
		c.From(x, 0)
		for hole, ok := c.Next(1); ok; hole, ok = c.Next(1) {
			if !yield(hole) {
				return
			}
		}
	}
}

// Cursor walks over the holes that are long enough, in one direction, without
// starting at the root for each. Any change of the index ends its use.
type Cursor struct {
	index *Index
	path  path
}

// From points the cursor at an address: Next yields the holes that end above
// it, by rising address.
func (c *Cursor) From(x *Index, addr uint64) {
	c.index = x
	if addr == 0 {
		x.before(&c.path)
		return
	}
	x.descend(&c.path, min(addr, math.MaxUint64-1))
	// Next goes on behind the slot. Step back over a hole that contains addr.
	if c.path.slot[0] >= 0 && x.at(&c.path).Hi > addr {
		c.path.slot[0]--
	}
}

// To points the cursor at an address: Prev yields the holes that start below
// it, by falling address.
func (c *Cursor) To(x *Index, addr uint64) {
	c.index = x
	switch addr {
	case 0:
		c.path = path{}
	case math.MaxUint64:
		x.behind(&c.path)
	default:
		x.descend(&c.path, addr-1)
		c.path.slot[0]++
	}
}

// Next returns the next hole upwards that is at least size bytes long.
func (c *Cursor) Next(size uint64) (mem.Range, bool) {
	if !c.index.next(&c.path, max(size, 1)) {
		return mem.Range{}, false
	}
	return c.index.at(&c.path), true
}

// Prev returns the next hole downwards that is at least size bytes long.
func (c *Cursor) Prev(size uint64) (mem.Range, bool) {
	if !c.index.prev(&c.path, max(size, 1)) {
		return mem.Range{}, false
	}
	return c.index.at(&c.path), true
}

// Take is [Index.Take] for a range inside the hole that Next or Prev returned
// last, without searching for it. It ends the use of the cursor.
func (c *Cursor) Take(lo, hi uint64) { c.index.carve(&c.path, lo, hi) }
