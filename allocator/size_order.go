package allocator

import (
	"math"

	"dmasim/mem"
)

// sizeOrder is an arena cut into blocks, with its holes in order of size, those
// of equal size by rising address.
//
// The holes of a class of sizes are in a B+ tree, which for most classes is a
// single leaf. Neighbours by address come from tiles, so that this order is the
// only one that is kept. Its keys are single numbers: see keyOf. A hole's
// prevFree is its leaf, and a tree is only descended to insert.
//
// The tree is not balanced on removal: a sparse node joins a sibling if the two
// fit in one, and otherwise stays until it is empty (Sen and Tarjan, "Deletion
// without rebalancing in multiway search trees", ACM TODS 39, 2014).
type sizeOrder struct {
	tiles
	sizeClasses
	roots      []uint32 // of the tree of each class; 0: it is empty
	trees      []treeNode
	spareTrees uint32      // unused tree nodes, linked by parent; 0: none
	layers     *sizeLayers // of the same holes; nil: no request has needed them
}

const (
	// classesLog gives a power of two 16 classes of sizes. More would make trees
	// smaller and leave more leaves nearly empty.
	classesLog = 4
	// treeWidth is the number of entries of a tree node, which has 192 bytes: three
	// cache lines.
	treeWidth = 14
	// treeSparse is the number of entries below which a node looks for a sibling
	// to join.
	treeSparse = 6
	// treeJoin is the number of entries up to which two siblings join.
	treeJoin = 12
	// unusedKey fills the end of a node, so that a search needs no count. It is
	// above the key of every hole.
	unusedKey = math.MaxUint64
)

// treeNode has entries in order. Those of a leaf are holes. Those of a node of a
// higher level are nodes of the level below: an entry's key is at or below all
// keys in that node and above those in the node before; the first one is 0.
type treeNode struct {
	parent uint32 // 0: it is the root
	n      uint16
	level  uint16    // 0: a leaf
	reach  mem.Range // holds all holes in and below it; see bestFitSearch for how tightly
	key    [treeWidth]uint64
	ref    [treeWidth]uint32
}

// nowhere is the reach of a node without holes.
var nowhere = mem.Range{Lo: math.MaxUint64}

func newSizeOrder(cfg Config) sizeOrder {
	t := newTiles(cfg)
	o := sizeOrder{tiles: t, sizeClasses: newSizeClasses(t.granule, classesLog), trees: make([]treeNode, 1)}
	o.roots = make([]uint32, o.list(t.largest)+1)
	o.start(1)
	for _, r := range o.arena {
		o.insert(o.add(r), r.Size())
	}
	return o
}

// keyOf returns the class of a hole, and its key there, which is above that of
// every shorter hole and at or above that of an equally long one at address 0.
//
// Where the sizes of a class differ by less than 2^e units, the key has e bits
// for the size and the rest for the address, the low e bits of which are left
// out: holes being longer than 2^e units, their starts differ in the others.
func (o *sizeOrder) keyOf(addr, size uint64) (class uint32, key uint64) {
	class = o.list(size)
	e := spread(class)
	rest := size >> (o.shift & 63) & (1<<e - 1)
	return class, rest<<(-e&63) | addr>>(o.shift&63)>>e
}

// spread returns the logarithm of the number of sizes of a class, in units.
func spread(class uint32) uint32 { return (max(class>>classesLog, 1) - 1) & 63 }

// endOfSize returns a key that is above those of all holes as long as one, and
// not above any of the longer ones.
func (o *sizeOrder) endOfSize(n uint32) uint64 {
	class, key := o.keyOf(o.nodes[n].addr, o.size(n))
	return min(key|math.MaxUint64>>spread(class), unusedKey-1) + 1
}

// below returns how many keys of a node are below one: first in fives, then one
// by one. There are no branches in it, because predicting them is in vain.
func (t *treeNode) below(key uint64) int {
	k := &t.key
	i := 5 * (bit(k[4] < key) + bit(k[9] < key))
	four := (*[4]uint64)(k[i:])
	return i + bit(four[0] < key) + bit(four[1] < key) + bit(four[2] < key) + bit(four[3] < key)
}

func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}

// open inserts an entry into a node that is not full. It moves unused entries too,
// rather than wait for n.
func (t *treeNode) open(at int, key uint64, ref uint32) {
	for i := treeWidth - 1; i > at; i-- {
		t.key[i], t.ref[i] = t.key[i-1], t.ref[i-1]
	}
	t.key[at], t.ref[at] = key, ref
	t.n++
}

// close takes an entry out.
func (t *treeNode) close(at int) {
	t.n--
	n := int(t.n)
	for i := at; i < n; i++ {
		t.key[i], t.ref[i] = t.key[i+1], t.ref[i+1]
	}
	t.key[n] = unusedKey
	if t.level > 0 {
		t.key[0] = 0
	}
}

// widen makes the reach of a node hold a range.
func (t *treeNode) widen(lo, hi uint64) {
	t.reach.Lo, t.reach.Hi = min(t.reach.Lo, lo), max(t.reach.Hi, hi)
}

// child returns the index of the entry below which a key belongs.
func (t *treeNode) child(key uint64) int { return t.below(key+1) - 1 }

// first returns where the first hole of at least size bytes is. Class 0: there
// is none.
func (o *sizeOrder) first(size uint64) (class, leaf uint32, at int) {
	class, key := o.keyOf(0, size)
	if leaf = o.roots[class]; leaf != 0 {
		if key == 0 {
			return class, o.firstLeaf(leaf), 0
		}
		for o.trees[leaf].level > 0 {
			t := &o.trees[leaf]
			leaf = t.ref[t.child(key)]
		}
		if at = o.trees[leaf].below(key); at < int(o.trees[leaf].n) {
			return class, leaf, at
		}
		if leaf = o.leafAfter(leaf); leaf != 0 {
			return class, leaf, 0
		}
	}
	if class = o.firstFrom(class + 1); class != 0 {
		leaf = o.firstLeaf(o.roots[class])
	}
	return class, leaf, 0
}

// leafAfter returns the leaf behind another, or 0.
func (o *sizeOrder) leafAfter(id uint32) uint32 {
	for parent := o.trees[id].parent; parent != 0; id, parent = parent, o.trees[parent].parent {
		p := &o.trees[parent]
		if at := p.indexOf(id) + 1; at < int(p.n) {
			return o.firstLeaf(p.ref[at])
		}
	}
	return 0
}

// firstLeaf returns the first leaf below a node.
func (o *sizeOrder) firstLeaf(id uint32) uint32 {
	for o.trees[id].level > 0 {
		id = o.trees[id].ref[0]
	}
	return id
}

// indexOf returns the index of the entry for a child.
func (t *treeNode) indexOf(child uint32) int {
	at := 0
	for t.ref[at] != child {
		at++
	}
	return at
}

// insert adds a hole of that size.
func (o *sizeOrder) insert(n uint32, size uint64) {
	hole := &o.nodes[n]
	lo, hi := hole.addr, hole.addr+size
	class, key := o.keyOf(lo, size)
	id := o.roots[class]
	if id == 0 {
		id = o.newTree(0)
		o.roots[class] = id
		o.mark(class)
	}
	t := &o.trees[id]
	t.widen(lo, hi)
	for t.level > 0 {
		id = t.ref[t.child(key)]
		t = &o.trees[id]
		t.widen(lo, hi)
	}
	if t.n == treeWidth {
		right := o.splitTree(class, id)
		if key >= o.trees[right].key[0] {
			id = right
		}
		t = &o.trees[id]
	}
	t.open(t.below(key), key, n)
	hole.prevFree = id
	if o.layers != nil {
		o.layers.insert(n)
	}
}

// remove takes a hole out, whose address and size are as they were on insert.
func (o *sizeOrder) remove(n uint32, size uint64) {
	hole := &o.nodes[n]
	class, key := o.keyOf(hole.addr, size)
	id := hole.prevFree
	o.removeAt(class, id, o.trees[id].below(key))
}

func (o *sizeOrder) removeAt(class, leaf uint32, at int) {
	t := &o.trees[leaf]
	if o.layers != nil {
		o.layers.remove(t.ref[at])
	}
	t.close(at)
	if t.n < treeSparse {
		o.thin(class, leaf)
	}
}

// newTree returns an empty tree node of a level.
func (o *sizeOrder) newTree(level uint16) uint32 {
	id := o.spareTrees
	if id != 0 {
		o.spareTrees = o.trees[id].parent
	} else {
		id = uint32(len(o.trees))
		if n := len(o.trees); n == cap(o.trees) {
			o.trees = append(make([]treeNode, 0, n+n/16+8), o.trees...)
		}
		o.trees = append(o.trees, treeNode{})
	}
	t := &o.trees[id]
	t.parent, t.n, t.level, t.reach = 0, 0, level, nowhere
	for i := range t.key {
		t.key[i] = unusedKey
	}
	return id
}

// splitTree divides a full node in two and returns the one behind it.
func (o *sizeOrder) splitTree(class, id uint32) (right uint32) {
	const half = treeWidth / 2
	parent := o.trees[id].parent
	if parent == 0 {
		parent = o.newTree(o.trees[id].level + 1)
		o.trees[parent].open(0, 0, id)
		o.trees[parent].reach = o.trees[id].reach
		o.trees[id].parent = parent
		o.roots[class] = parent
	} else if o.trees[parent].n == treeWidth {
		o.splitTree(class, parent)
		parent = o.trees[id].parent
	}
	right = o.newTree(o.trees[id].level)
	t, r := &o.trees[id], &o.trees[right]
	r.reach, r.parent = t.reach, parent
	o.move(right, t.key[half:], t.ref[half:])
	for i := half; i < treeWidth; i++ {
		t.key[i] = unusedKey
	}
	t.n = half
	p := &o.trees[parent]
	p.open(p.below(r.key[0]), r.key[0], right)
	if r.level > 0 {
		r.key[0] = 0
	}
	return right
}

// move appends entries to a node.
func (o *sizeOrder) move(id uint32, key []uint64, ref []uint32) {
	t := &o.trees[id]
	copy(t.key[t.n:], key)
	copy(t.ref[t.n:], ref)
	t.n += uint16(len(ref))
	for _, r := range ref {
		if t.level > 0 {
			o.trees[r].parent = id
		} else {
			o.nodes[r].prevFree = id
		}
	}
}

// thin removes a sparse node where it can.
func (o *sizeOrder) thin(class, id uint32) {
	t := &o.trees[id]
	if t.parent == 0 {
		switch {
		case t.n == 0:
			o.roots[class] = 0
			o.markEmpty(class)
			o.discard(id)
		case t.n == 1 && t.level > 0:
			o.roots[class] = t.ref[0]
			o.trees[t.ref[0]].parent = 0
			o.discard(id)
		}
		return
	}
	parent := t.parent
	p := &o.trees[parent]
	at := p.indexOf(id)
	switch {
	case t.n == 0:
		p.close(at)
		o.discard(id)
	case at+1 < int(p.n) && o.trees[p.ref[at+1]].n+t.n <= treeJoin:
		o.join(p, at)
	case at > 0 && o.trees[p.ref[at-1]].n+t.n <= treeJoin:
		o.join(p, at-1)
	default:
		return
	}
	if p.n < treeSparse {
		o.thin(class, parent)
	}
}

// join moves the entries of the node behind the one at that index to it.
func (o *sizeOrder) join(p *treeNode, at int) {
	left, right := p.ref[at], p.ref[at+1]
	r := &o.trees[right]
	if r.level > 0 {
		r.key[0] = p.key[at+1]
	}
	o.trees[left].widen(r.reach.Lo, r.reach.Hi)
	o.move(left, r.key[:r.n], r.ref[:r.n])
	p.close(at + 1)
	o.discard(right)
}

func (o *sizeOrder) discard(id uint32) {
	o.trees[id].parent, o.spareTrees = o.spareTrees, id
}
