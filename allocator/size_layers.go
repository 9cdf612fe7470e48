package allocator

import (
	"math/bits"

	"dmasim/mem"
)

// sizeLayers tells the smallest size from a given one on that holes in a range of
// addresses have: a range tree (de Berg, Cheong, van Kreveld and Overmars,
// Computational Geometry, chapter "Orthogonal Range Searching") over the digits
// of sizes.
//
// A size in units has the exponent of its highest bit as first digit, and six
// bits of the rest at a time as further ones. Layer l has the holes of which the
// first l digits do not tell the size, in order of these digits, those with the
// same by address, and the digit that follows. Its B+ tree keeps the set of
// digits below every child in a word. So the digits that holes have in a range of
// addresses, after given first digits, are found in logarithmic time, and a size
// by as many such searches as two times its digits.
//
// Holes are named by their tiles, which must be as they were on insert until they
// are removed.
type sizeLayers struct {
	tiles    *tiles
	shift    uint8 // a unit is 2^shift bytes
	layers   []sizeLayer
	leaves   []layerLeaf
	branches []layerBranch

	spareLeaves, spareBranches []uint32
}

// sizeLayer is a tree. Level 0 is a leaf.
type sizeLayer struct {
	root  uint32
	level int
}

const (
	leafWidth   = 24
	branchWidth = 12
	digitBits   = 6
)

// layerLeaf has holes in order.
type layerLeaf struct {
	hole  [leafWidth]uint32
	digit [leafWidth]uint8
	n     uint8
}

// layerBranch has children in order, and of each a place at or below its first
// hole and above the last one before it. That of the first child is not looked at.
type layerBranch struct {
	from  [branchWidth]layerPlace
	mask  [branchWidth]uint64 // bit i: there is a hole with digit i
	child [branchWidth]uint32
	n     int
}

// layerPlace is where a hole is in a layer.
type layerPlace struct{ prefix, addr uint64 }

func (p layerPlace) below(o layerPlace) bool {
	return p.prefix < o.prefix || p.prefix == o.prefix && p.addr < o.addr
}

// layerEntry is a hole to be inserted into a layer or removed.
type layerEntry struct {
	layer int
	layerPlace
	hole  uint32
	digit uint8
}

// newSizeLayers returns the layers of all holes of an arena.
func newSizeLayers(t *tiles, shift uint8) *sizeLayers {
	y := &sizeLayers{tiles: t, shift: shift}
	longest := exponent(t.largest >> (shift & 63))
	y.layers = make([]sizeLayer, 1+(longest+digitBits-1)/digitBits)
	for l := range y.layers {
		y.layers[l].root = y.newLeaf()
	}
	for n := t.heads; n < uint32(len(t.nodes)); n++ {
		if t.nodes[n].free() {
			y.insert(n)
		}
	}
	return y
}

func exponent(units uint64) int { return bits.Len64(units) - 1 }

// known returns how many bits of a size behind the highest the digits before a
// layer tell.
func known(layer int) int { return digitBits * (layer - 1) }

// holds reports whether a layer has holes of a size.
func holds(layer int, units uint64) bool { return layer == 0 || exponent(units) > known(layer) }

// prefixOf returns the digits before a layer as a number: the size with all other
// bits 0.
func prefixOf(layer int, units uint64) uint64 {
	if layer == 0 {
		return 0
	}
	drop := max(exponent(units)-known(layer), 0)
	return units >> (drop & 63) << (drop & 63)
}

// digitOf returns the digit of a layer that has holes of a size.
func digitOf(layer int, units uint64) uint8 {
	if layer == 0 {
		return uint8(exponent(units))
	}
	return uint8(units << (63 - exponent(units)) << 1 << known(layer) >> (64 - digitBits))
}

// withDigit returns the prefix of the next layer.
func withDigit(layer int, prefix uint64, digit int) uint64 {
	if layer == 0 {
		return 1 << digit
	}
	return prefix | uint64(digit)<<(64-digitBits)>>known(layer)>>1>>(63-exponent(prefix))
}

func (y *sizeLayers) units(n uint32) uint64 { return y.tiles.size(n) >> (y.shift & 63) }

// insert adds a hole, remove takes one out.
func (y *sizeLayers) insert(n uint32) { y.change(n, true) }
func (y *sizeLayers) remove(n uint32) { y.change(n, false) }

func (y *sizeLayers) change(n uint32, insert bool) {
	addr, units := y.tiles.nodes[n].addr, y.units(n)
	for l := range y.layers {
		if !holds(l, units) {
			break
		}
		e := layerEntry{l, layerPlace{prefixOf(l, units), addr}, n, digitOf(l, units)}
		if insert {
			y.insertInto(&y.layers[l], &e)
		} else {
			y.removeFrom(&y.layers[l], &e)
		}
	}
}

func (y *sizeLayers) insertInto(t *sizeLayer, e *layerEntry) {
	from, right := y.insertBelow(t.level, t.root, e)
	if right == 0 {
		return
	}
	root := y.newBranch()
	y.branches[root].open(0, layerPlace{}, t.root, y.mask(t.level, t.root))
	y.branches[root].open(1, from, right, y.mask(t.level, right))
	t.root, t.level = root, t.level+1
}

// insertBelow adds a hole to or below a node. If that divides the node, it
// returns the part behind, and where that begins.
func (y *sizeLayers) insertBelow(level int, id uint32, e *layerEntry) (from layerPlace, right uint32) {
	if level == 0 {
		return y.insertLeaf(id, e)
	}
	b := &y.branches[id]
	at := b.find(e.layerPlace)
	child := b.child[at]
	b.mask[at] |= 1 << (e.digit & 63)
	from, added := y.insertBelow(level-1, child, e)
	if added == 0 {
		return layerPlace{}, 0
	}
	low, high := y.mask(level-1, child), y.mask(level-1, added)
	y.branches[id].mask[at] = low
	if y.branches[id].n < branchWidth {
		y.branches[id].open(at+1, from, added, high)
		return layerPlace{}, 0
	}
	right = y.newBranch()
	b = &y.branches[id]
	r := &y.branches[right]
	const half = branchWidth / 2
	r.append(b, half, branchWidth)
	b.n = half
	if at < half {
		b.open(at+1, from, added, high)
	} else {
		r.open(at+1-half, from, added, high)
	}
	return r.from[0], right
}

func (y *sizeLayers) insertLeaf(id uint32, e *layerEntry) (from layerPlace, right uint32) {
	at := y.find(e.layer, &y.leaves[id], e.layerPlace)
	if y.leaves[id].n < leafWidth {
		y.leaves[id].open(at, e)
		return layerPlace{}, 0
	}
	right = y.newLeaf()
	f, r := &y.leaves[id], &y.leaves[right]
	const half = leafWidth / 2
	r.append(f, half)
	f.n = half
	if at <= half {
		f.open(at, e)
	} else {
		r.open(at-half, e)
	}
	first := r.hole[0]
	return layerPlace{prefixOf(e.layer, y.units(first)), y.tiles.nodes[first].addr}, right
}

func (y *sizeLayers) removeFrom(t *sizeLayer, e *layerEntry) {
	y.removeBelow(t.level, t.root, e)
	for t.level > 0 && y.branches[t.root].n == 1 {
		y.spareBranches = append(y.spareBranches, t.root)
		t.root, t.level = y.branches[t.root].child[0], t.level-1
	}
}

// removeBelow takes a hole out of or below a node, and returns whether the node is
// sparse then.
func (y *sizeLayers) removeBelow(level int, id uint32, e *layerEntry) bool {
	if level == 0 {
		f := &y.leaves[id]
		f.close(y.find(e.layer, f, e.layerPlace))
		return f.n < leafWidth/3
	}
	b := &y.branches[id]
	at := b.find(e.layerPlace)
	sparse := y.removeBelow(level-1, b.child[at], e)
	b.mask[at] = y.mask(level-1, b.child[at])
	if sparse && b.n > 1 {
		y.join(level-1, b, min(at, b.n-2))
	}
	return b.n < branchWidth/3
}

// join makes one node of the children at and behind an index, if they fit well.
// Else a sparse node stays, even if it is empty.
func (y *sizeLayers) join(level int, b *layerBranch, at int) {
	left, right := b.child[at], b.child[at+1]
	if level == 0 {
		l, r := &y.leaves[left], &y.leaves[right]
		if l.n+r.n > leafWidth*3/4 {
			return
		}
		l.append(r, 0)
		y.spareLeaves = append(y.spareLeaves, right)
	} else {
		l, r := &y.branches[left], &y.branches[right]
		if l.n+r.n > branchWidth*3/4 {
			return
		}
		r.from[0] = b.from[at+1]
		l.append(r, 0, r.n)
		y.spareBranches = append(y.spareBranches, right)
	}
	b.mask[at] |= b.mask[at+1]
	b.close(at + 1)
}

// mask returns the set of digits in or below a node.
func (y *sizeLayers) mask(level int, id uint32) (mask uint64) {
	if level > 0 {
		b := &y.branches[id]
		for _, m := range b.mask[:b.n] {
			mask |= m
		}
		return mask
	}
	f := &y.leaves[id]
	for _, d := range f.digit[:f.n] {
		mask |= 1 << (d & 63)
	}
	return mask
}

// atLeast returns the smallest size in units, from one on, of the holes that
// start in a range of addresses.
func (y *sizeLayers) atLeast(units uint64, starts mem.Range) (uint64, bool) {
	if starts.Empty() {
		return 0, false
	}
	return y.search(0, 0, units, starts)
}

// search is atLeast for the holes of a layer that have a prefix.
func (y *sizeLayers) search(layer int, prefix, units uint64, starts mem.Range) (uint64, bool) {
	t := &y.layers[layer]
	mask := y.digits(layer, t.level, t.root, layerPlace{prefix, starts.Lo}, layerPlace{prefix, starts.Hi})
	if prefixOf(layer, units) == prefix {
		own := int(digitOf(layer, units))
		if mask>>own&1 == 1 {
			if exponent(units) <= known(layer+1) {
				return units, true
			}
			if found, ok := y.search(layer+1, withDigit(layer, prefix, own), units, starts); ok {
				return found, true
			}
		}
		mask &= ^uint64(1) << own
	}
	if mask == 0 {
		return 0, false
	}
	next := withDigit(layer, prefix, bits.TrailingZeros64(mask))
	if exponent(next) <= known(layer+1) {
		return next, true
	}
	return y.search(layer+1, next, 0, starts)
}

// digits returns the set of digits between two places in or below a node.
func (y *sizeLayers) digits(layer, level int, id uint32, from, to layerPlace) (mask uint64) {
	if level == 0 {
		f := &y.leaves[id]
		for _, d := range f.digit[y.find(layer, f, from):y.find(layer, f, to)] {
			mask |= 1 << (d & 63)
		}
		return mask
	}
	b := &y.branches[id]
	first, last := b.find(from), b.find(to)
	mask = y.digits(layer, level-1, b.child[first], from, to)
	if first == last {
		return mask
	}
	for _, m := range b.mask[first+1 : last] {
		mask |= m
	}
	return mask | y.digits(layer, level-1, b.child[last], from, to)
}

// before returns the last hole that starts below an address, or 0.
func (y *sizeLayers) before(addr uint64) uint32 {
	return y.beforeBelow(y.layers[0].level, y.layers[0].root, layerPlace{0, addr})
}

func (y *sizeLayers) beforeBelow(level int, id uint32, p layerPlace) uint32 {
	if level == 0 {
		f := &y.leaves[id]
		if at := y.find(0, f, p); at > 0 {
			return f.hole[at-1]
		}
		return 0
	}
	b := &y.branches[id]
	for at := b.find(p); at >= 0; at-- {
		if n := y.beforeBelow(level-1, b.child[at], p); n != 0 {
			return n
		}
	}
	return 0
}

// find returns how many holes of a leaf are below a place.
func (y *sizeLayers) find(layer int, f *layerLeaf, p layerPlace) int {
	lo, hi := 0, int(f.n)
	for lo < hi {
		middle := (lo + hi) / 2
		n := f.hole[middle]
		at := layerPlace{addr: y.tiles.nodes[n].addr}
		if layer > 0 {
			at.prefix = prefixOf(layer, y.units(n))
		}
		if at.below(p) {
			lo = middle + 1
		} else {
			hi = middle
		}
	}
	return lo
}

// find returns the index of the child to which a place belongs.
func (b *layerBranch) find(p layerPlace) int {
	at := 0
	for at+1 < b.n && !p.below(b.from[at+1]) {
		at++
	}
	return at
}

func (b *layerBranch) open(at int, from layerPlace, child uint32, mask uint64) {
	copy(b.from[at+1:], b.from[at:b.n])
	copy(b.child[at+1:], b.child[at:b.n])
	copy(b.mask[at+1:], b.mask[at:b.n])
	b.from[at], b.child[at], b.mask[at] = from, child, mask
	b.n++
}

func (b *layerBranch) close(at int) {
	copy(b.from[at:], b.from[at+1:b.n])
	copy(b.child[at:], b.child[at+1:b.n])
	copy(b.mask[at:], b.mask[at+1:b.n])
	b.n--
}

// append adds the children of another branch from one index to another.
func (b *layerBranch) append(o *layerBranch, from, to int) {
	copy(b.from[b.n:], o.from[from:to])
	copy(b.child[b.n:], o.child[from:to])
	copy(b.mask[b.n:], o.mask[from:to])
	b.n += to - from
}

func (f *layerLeaf) open(at int, e *layerEntry) {
	copy(f.hole[at+1:], f.hole[at:f.n])
	copy(f.digit[at+1:], f.digit[at:f.n])
	f.hole[at], f.digit[at] = e.hole, e.digit
	f.n++
}

func (f *layerLeaf) close(at int) {
	copy(f.hole[at:], f.hole[at+1:f.n])
	copy(f.digit[at:], f.digit[at+1:f.n])
	f.n--
}

// append adds the holes of another leaf from an index on.
func (f *layerLeaf) append(o *layerLeaf, from int) {
	copy(f.hole[f.n:], o.hole[from:o.n])
	copy(f.digit[f.n:], o.digit[from:o.n])
	f.n += o.n - uint8(from)
}

func (y *sizeLayers) newLeaf() uint32 { return newNode(&y.leaves, &y.spareLeaves) }

func (y *sizeLayers) newBranch() uint32 { return newNode(&y.branches, &y.spareBranches) }

// newNode returns a node, which is never 0: a spare one, or one more. The capacity
// grows by a sixteenth, as that of tiles.
func newNode[T any](nodes *[]T, spare *[]uint32) uint32 {
	var empty T
	if last := len(*spare) - 1; last >= 0 {
		id := (*spare)[last]
		*spare = (*spare)[:last]
		(*nodes)[id] = empty
		return id
	}
	n := max(len(*nodes), 1)
	if n >= cap(*nodes) {
		*nodes = append(make([]T, 0, n+n/16+8), *nodes...)
	}
	*nodes = (*nodes)[:n+1]
	(*nodes)[n] = empty
	return uint32(n)
}
