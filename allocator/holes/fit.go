package holes

import (
	"math/bits"

	"dmasim/mem"
)

// Fit says where blocks may start: a number n up to 63 for multiples of 2^n.
type Fit uint8

// Natural aligns every block to its own size, rounded up to a power of two.
const Natural Fit = 64

// longest returns the size of the longest block that a hole can hold. It can
// hold all shorter ones too.
func (f Fit) longest(e *entry) uint64 {
	if f == Natural {
		return e.longestNatural()
	}
	return e.behind(f)
}

// longestNatural returns the longest block that starts at a multiple of its size
// rounded up. One can start at the address in the hole that is a multiple of the
// highest power of two, and go to the end. Any other ends there, or before a
// shorter one does.
func (e *entry) longestNatural() uint64 {
	last := e.key + e.value - 1
	power := bits.Len64((e.key-1)^last) - 1
	middle := last >> (power & 63) << (power & 63)
	before := uint64(1) << (bits.Len64(middle-e.key) & 63) >> 1
	return max(last-middle+1, before)
}

// behind returns the length of a hole from its first multiple of 2^f on.
func (e *entry) behind(f Fit) uint64 {
	gap := -e.key & (1<<(f&63) - 1)
	if gap >= e.value {
		return 0
	}
	return e.value - gap
}

// column keeps a bound of the longest block below every child, as inner.most does
// for blocks that may start anywhere. A bound grows with every hole below it, and
// shrinks to what is there when a search has looked at all of it in vain. So each
// vain look is paid for by the change that took the longest block away.
type column struct {
	fit     Fit
	longest [][width]uint64 // by inner node; 0 where there is no child
}

// column returns the column of a fit. The first time that a fit is asked for, it
// is computed in time linear in the number of holes, and kept from then on.
func (t *tree) column(f Fit) *column {
	for i := range t.columns {
		if t.columns[i].fit == f {
			return &t.columns[i]
		}
	}
	t.columns = append(t.columns, column{f, make([][width]uint64, len(t.inners), cap(t.inners))})
	c := &t.columns[len(t.columns)-1]
	if t.height > 0 {
		t.fill(c, t.height, t.root)
	}
	return c
}

// fill computes the column below an inner node.
func (t *nodes) fill(c *column, level int, id uint32) {
	in := &t.inners[id]
	for i, child := range in.child[:in.n] {
		if level > 1 {
			t.fill(c, level-1, child)
		}
		c.longest[id][i] = t.longest(c, level-1, child)
	}
}

// longest returns the longest block in or below a node of a level.
func (t *nodes) longest(c *column, level int, id uint32) uint64 {
	if level > 0 {
		return maxOf(c.longest[id][:])
	}
	return t.leaves[id].longest(c.fit)
}

// longest returns the longest block that the entries of a leaf can hold.
func (n *node) longest(f Fit) uint64 {
	var longest uint64
	if f == Natural {
		for i := range n.n {
			longest = max(longest, n.entry[i].longestNatural())
		}
		return longest
	}
	for i := range n.n {
		longest = max(longest, n.entry[i].behind(f))
	}
	return longest
}

// raiseColumns makes the bounds above the entry at p hold it.
func (t *tree) raiseColumns(p *path) {
	for i := range t.columns {
		t.columns[i].raise(t, p, &t.leaves[p.node[0]].entry[p.slot[0]])
	}
}

func (c *column) raise(t *tree, p *path, e *entry) {
	longest := c.fit.longest(e)
	for level := 1; level <= t.height; level++ {
		bound := &c.longest[p.node[level]][p.slot[level]]
		if longest <= *bound {
			return
		}
		*bound = longest
	}
}

// nextFit leads p to the next entry upwards that can hold a block of size bytes.
// Where there is none it returns false and p is of no more use.
func (t *tree) nextFit(p *path, c *column, size uint64) bool {
	if p.level == 0 {
		l := &t.leaves[p.node[0]]
		for i := int(p.slot[0]) + 1; i < l.n; i++ {
			if e := &l.entry[i]; e.value >= size && c.fit.longest(e) >= size {
				p.slot[0] = int8(i)
				return true
			}
		}
	}
	for level := max(int(p.level), 1); level <= t.height; level++ {
		if _, ok := t.firstFit(p, c, level, int(p.slot[level])+1, size); ok {
			return true
		}
	}
	return false
}

// firstFit leads p, complete above an inner node, to the first entry that can
// hold a block of size bytes, of those below the node's children from i on. If
// there is none, it has lowered the bounds that promised one, and returns that of
// the node.
func (t *tree) firstFit(p *path, c *column, level, i int, size uint64) (longest uint64, ok bool) {
	id := p.node[level]
	bound := &c.longest[id]
	for {
		for i < width && bound[i] < size {
			i++
		}
		if i == width {
			return maxOf(bound[:]), false
		}
		child := t.inners[id].child[i]
		p.node[level-1], p.slot[level] = child, int8(i)
		if level > 1 {
			longest, ok = t.firstFit(p, c, level-1, 0, size)
		} else {
			longest, ok = t.leaves[child].firstFit(p, c.fit, size)
		}
		if ok {
			return 0, true
		}
		bound[i] = longest
	}
}

// firstFit is that of a tree for the entries of a leaf.
func (n *node) firstFit(p *path, f Fit, size uint64) (longest uint64, ok bool) {
	for i := range n.n {
		if e := &n.entry[i]; e.value >= size && f.longest(e) >= size {
			p.slot[0], p.level = int8(i), 0
			return 0, true
		}
	}
	return n.longest(f), false
}

// NextFit returns the next hole upwards that can hold a block of size bytes. From
// the second time that a fit is asked for, it costs what Next costs, amortized over
// the changes of the index, which cost a little more from then on.
func (c *Cursor) NextFit(size uint64, f Fit) (mem.Range, bool) {
	if f == 0 {
		return c.Next(size)
	}
	x := c.index
	if !x.nextFit(&c.path, x.column(f), max(size, 1)) {
		return mem.Range{}, false
	}
	return x.at(&c.path), true
}
