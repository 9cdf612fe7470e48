package holes

import (
	"math"
	"math/bits"
)

const (
	// width is the number of entries of a node.
	width = 32
	// sparse is the number of entries below which a node takes from, or joins
	// with, a sibling. Being well below half of width, it leaves room for the
	// next insertions after a join.
	sparse = width / 4
	// levels is enough for 2^32 leaves of sparse entries under sparse parents.
	levels = 12
)

// absent fills the unused end of a node, so that a search needs no count.
var absent = entry{key: math.MaxUint64}

// entry is a pair of numbers. Entries are ordered by key, then by value.
type entry struct{ key, value uint64 }

// node holds entries in order. Those of a leaf are what the tree is for. Those
// of an inner node are bounds: every entry below a child is at or above the
// child's bound, and below the bound of the next child. The first bound is 0.
type node struct {
	entry [width]entry // absent from n on
	n     int
}

type inner struct {
	node
	most  [width]uint64 // the greatest value below each child, 0 from n on
	child [width]uint32 // leaves below level 1, else inners
}

// tree is a B+ tree that keeps the greatest value below every child. Level 0
// are the leaves, level height is the root.
type tree struct {
	*nodes
	entries int
	root    uint32
	height  int
	most    uint64 // the greatest value of all, 0 if there is no entry
}

// nodes is what the nodes of one or several trees are made from.
type nodes struct {
	leaves      []node
	inners      []inner
	spareLeaves []uint32
	spareInners []uint32
	columns     []column
	tallies     *tallies // nil: not kept
}

// path names an entry of the tree: the node on each level and the entry in it
// that leads to the node below. Slot -1 is before the first entry of a node, as
// many as it has is behind the last.
type path struct {
	node  [levels]uint32
	slot  [levels]int8
	level int8 // where the path starts: 0, but for before and behind
}

// descend leads p to the last entry at or below a key, in a tree whose keys are
// distinct. The slot is -1 where all entries of the leaf are above it.
func (t *tree) descend(p *path, key uint64) {
	id := t.root
	for level := t.height; level > 0; level-- {
		in := &t.inners[id]
		slot := in.countKeys(key) - 1
		p.node[level], p.slot[level] = id, int8(slot)
		id = in.child[slot]
	}
	p.node[0], p.slot[0], p.level = id, int8(t.leaves[id].countKeys(key)-1), 0
}

// descendPair is descend for any tree.
func (t *tree) descendPair(p *path, key, value uint64) {
	id := t.root
	for level := t.height; level > 0; level-- {
		in := &t.inners[id]
		slot := in.count(entry{key, value}) - 1
		p.node[level], p.slot[level] = id, int8(slot)
		id = in.child[slot]
	}
	p.node[0], p.slot[0], p.level = id, int8(t.leaves[id].count(entry{key, value})-1), 0
}

// countKeys returns how many entries have keys at or below key: first in fours,
// then one by one. There are no branches in it, because predicting them is in
// vain, and the entries of the first step lie so close that the second step
// waits for no more memory.
func (n *node) countKeys(key uint64) int {
	e := &n.entry
	i := 4 * (bit(e[4].key <= key) + bit(e[8].key <= key) + bit(e[12].key <= key) + bit(e[16].key <= key) +
		bit(e[20].key <= key) + bit(e[24].key <= key) + bit(e[28].key <= key))
	four := (*[4]entry)(e[i:])
	return i + bit(four[0].key <= key) + bit(four[1].key <= key) + bit(four[2].key <= key) + bit(four[3].key <= key)
}

func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}

// count returns how many entries are at or below e, in the same way.
func (n *node) count(e entry) int {
	o := &n.entry
	i := 4 * (7 - e.below(&o[4]) - e.below(&o[8]) - e.below(&o[12]) - e.below(&o[16]) -
		e.below(&o[20]) - e.below(&o[24]) - e.below(&o[28]))
	four := (*[4]entry)(o[i:])
	i += 4 - e.below(&four[0]) - e.below(&four[1]) - e.below(&four[2]) - e.below(&four[3])
	return min(i, n.n) // the key may be as high as the absent one
}

// below returns 1 if e is below o, else 0.
func (e entry) below(o *entry) int {
	_, borrow := bits.Sub64(e.value, o.value, 0)
	_, borrow = bits.Sub64(e.key, o.key, borrow)
	return int(borrow)
}

// before leads p to before the first entry.
func (t *tree) before(p *path) {
	p.level = int8(t.height)
	p.node[t.height], p.slot[t.height] = t.root, -1
}

// behind leads p to behind the last entry.
func (t *tree) behind(p *path) {
	p.level = int8(t.height)
	p.node[t.height], p.slot[t.height] = t.root, int8(t.node(t.height, t.root).n)
}

// next leads p to the next entry upwards whose value is at least least. Where
// there is none it returns false and p is of no more use.
func (t *tree) next(p *path, least uint64) bool {
	if p.level == 0 {
		l := &t.leaves[p.node[0]]
		for i := int(p.slot[0]) + 1; i < l.n; i++ {
			if l.entry[i].value >= least {
				p.slot[0] = int8(i)
				return true
			}
		}
	}
	for level := max(int(p.level), 1); level <= t.height; level++ {
		in := &t.inners[p.node[level]]
		for i := int(p.slot[level]) + 1; i < in.n; i++ {
			if in.most[i] >= least {
				p.slot[level] = int8(i)
				t.descendFirst(p, level, least)
				return true
			}
		}
	}
	return false
}

// descendFirst leads p, complete down to level, to the first entry below it
// whose value is at least least. There must be one.
func (t *tree) descendFirst(p *path, level int, least uint64) {
	id := t.inners[p.node[level]].child[p.slot[level]]
	for level--; level > 0; level-- {
		in := &t.inners[id]
		i := 0
		for in.most[i] < least {
			i++
		}
		p.node[level], p.slot[level] = id, int8(i)
		id = in.child[i]
	}
	l := &t.leaves[id]
	i := 0
	for l.entry[i].value < least {
		i++
	}
	p.node[0], p.slot[0], p.level = id, int8(i), 0
}

// prev is next downwards.
func (t *tree) prev(p *path, least uint64) bool {
	if p.level == 0 {
		for l, i := &t.leaves[p.node[0]], p.slot[0]-1; i >= 0; i-- {
			if l.entry[i].value >= least {
				p.slot[0] = i
				return true
			}
		}
	}
	for level := max(int(p.level), 1); level <= t.height; level++ {
		in := &t.inners[p.node[level]]
		for i := int(p.slot[level]) - 1; i >= 0; i-- {
			if in.most[i] >= least {
				p.slot[level] = int8(i)
				t.descendLast(p, level, least)
				return true
			}
		}
	}
	return false
}

// descendLast is descendFirst for the last entry.
func (t *tree) descendLast(p *path, level int, least uint64) {
	id := t.inners[p.node[level]].child[p.slot[level]]
	for level--; level > 0; level-- {
		in := &t.inners[id]
		i := in.n - 1
		for in.most[i] < least {
			i--
		}
		p.node[level], p.slot[level] = id, int8(i)
		id = in.child[i]
	}
	l := &t.leaves[id]
	i := l.n - 1
	for l.entry[i].value < least {
		i--
	}
	p.node[0], p.slot[0], p.level = id, int8(i), 0
}

// mostBetween returns the greatest value of the entries strictly between two,
// of which low must not be above high.
func (t *tree) mostBetween(low, high *path) uint64 {
	if low.node[0] == high.node[0] {
		return t.leaves[low.node[0]].mostIn(int(low.slot[0])+1, int(high.slot[0]))
	}
	most := max(t.leaves[low.node[0]].mostIn(int(low.slot[0])+1, width), t.leaves[high.node[0]].mostIn(0, int(high.slot[0])))
	for level := 1; ; level++ {
		i, j := int(low.slot[level])+1, int(high.slot[level])
		a, b := &t.inners[low.node[level]], &t.inners[high.node[level]]
		if a == b {
			return max(most, maxOf(a.most[i:j]))
		}
		most = max(most, maxOf(a.most[i:]), maxOf(b.most[:j]))
	}
}

// mostIn returns the greatest value of the entries from i to below j.
func (n *node) mostIn(i, j int) uint64 {
	var a, b uint64
	for ; i+1 < j; i += 2 {
		a, b = max(a, n.entry[i].value), max(b, n.entry[i+1].value)
	}
	if i < j {
		a = max(a, n.entry[i].value)
	}
	return max(a, b)
}

func maxOf(column []uint64) uint64 {
	var m uint64
	for _, v := range column {
		m = max(m, v)
	}
	return m
}
