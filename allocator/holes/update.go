package holes

// replace changes the entry at p. It must keep its place in the order, and its
// key must respect the bounds (see lower and raise).
func (t *tree) replace(p *path, key, value uint64) {
	l := &t.leaves[p.node[0]]
	was := l.entry[p.slot[0]].value
	l.entry[p.slot[0]] = entry{key, value}
	t.settle(p, was, value)
	t.recount(p, was, value)
}

// settle carries a change of the value at p from was to now up to the root.
func (t *tree) settle(p *path, was, now uint64) {
	for level := 0; ; level++ {
		kept := &t.most
		if level < t.height {
			kept = &t.inners[p.node[level+1]].most[p.slot[level+1]]
		}
		most := *kept
		if now >= most {
			most = now
		} else if was == most {
			most = t.greatest(level, p.node[level])
		}
		if most == *kept {
			return
		}
		was, now, *kept = *kept, most, most
		if level == t.height {
			return
		}
	}
}

// lower moves the bound before p, if p is the first entry of its leaf, down to
// key, which is above all entries before p.
func (t *tree) lower(p *path, key uint64) {
	if p.slot[0] > 0 {
		return
	}
	for level := 1; level <= t.height; level++ {
		if slot := p.slot[level]; slot > 0 {
			bound := &t.inners[p.node[level]].entry[slot].key
			*bound = min(*bound, key)
			return
		}
	}
}

// raise moves the bound behind p, if p is the last entry of its leaf, up to
// key, which is not above any entry behind p.
func (t *tree) raise(p *path, key uint64) {
	if int(p.slot[0]) < t.leaves[p.node[0]].n-1 {
		return
	}
	for level := 1; level <= t.height; level++ {
		in := &t.inners[p.node[level]]
		if slot := int(p.slot[level]) + 1; slot < in.n {
			in.entry[slot].key = max(in.entry[slot].key, key)
			return
		}
	}
}

// cut puts two entries in the place of the one at p, whose leaf is not full.
func (t *tree) cut(p *path, low, high entry) {
	l := &t.leaves[p.node[0]]
	was := l.entry[p.slot[0]].value
	l.entry[p.slot[0]] = low
	l.open(int(p.slot[0])+1, high)
	t.entries++
	t.settle(p, was, max(low.value, high.value))
	t.recount(p, was, low.value)
	t.count(p, high.value)
}

// insert puts an entry behind p, in the same leaf, and leads p to it.
func (t *tree) insert(p *path, key, value uint64) {
	if t.leaves[p.node[0]].n == width && !t.share(p) {
		t.split(p, 0)
	}
	p.slot[0]++
	t.leaves[p.node[0]].open(int(p.slot[0]), entry{key, value})
	t.entries++
	t.settle(p, 0, value)
	t.raiseColumns(p)
	t.count(p, value)
}

// remove takes out the entry at p, and ends the use of p.
func (t *tree) remove(p *path) {
	l := &t.leaves[p.node[0]]
	was := l.entry[p.slot[0]].value
	l.close(int(p.slot[0]))
	t.entries--
	t.settle(p, was, 0)
	t.uncount(p, was)
	if l.n < sparse && t.height > 0 {
		t.join(p, 0)
	}
}

// open inserts an entry into a node that is not full.
func (n *node) open(at int, e entry) {
	copy(n.entry[at+1:], n.entry[at:n.n])
	n.entry[at] = e
	n.n++
}

// close takes an entry out.
func (n *node) close(at int) {
	copy(n.entry[at:n.n], n.entry[at+1:n.n])
	n.n--
	n.entry[n.n] = absent
}

// adopt inserts a child, bounded by its first entry.
func (t *nodes) adopt(id uint32, at, level int, child uint32) {
	parent, c := &t.inners[id], t.node(level, child)
	copy(parent.most[at+1:], parent.most[at:parent.n])
	copy(parent.child[at+1:], parent.child[at:parent.n])
	for i := range t.columns {
		longest := &t.columns[i].longest[id]
		copy(longest[at+1:], longest[at:parent.n])
	}
	parent.child[at] = child
	t.measure(id, at, level)
	parent.open(at, c.entry[0])
	if level > 0 {
		c.unbound()
	}
}

// unbound opens an inner node to all entries below its second bound.
func (n *node) unbound() { n.entry[0] = entry{} }

// abandon takes a child out.
func (t *nodes) abandon(parent uint32, at int) {
	in := &t.inners[parent]
	copy(in.most[at:in.n], in.most[at+1:in.n])
	copy(in.child[at:in.n], in.child[at+1:in.n])
	in.most[in.n-1] = 0
	for i := range t.columns {
		longest := &t.columns[i].longest[parent]
		copy(longest[at:in.n], longest[at+1:in.n])
		longest[in.n-1] = 0
	}
	in.close(at)
}

// measure computes what an inner node keeps of a child, which is on a level.
func (t *nodes) measure(parent uint32, slot, level int) {
	child := t.inners[parent].child[slot]
	t.inners[parent].most[slot] = t.greatest(level, child)
	for i := range t.columns {
		c := &t.columns[i]
		c.longest[parent][slot] = t.longest(c, level, child)
	}
}

// split divides the full node of p on a level into two. Afterwards p leads to
// the entry to which it led before.
func (t *tree) split(p *path, level int) {
	if level == t.height {
		t.grow(p)
	}
	if t.inners[p.node[level+1]].n == width {
		t.split(p, level+1)
	}
	left, right := p.node[level], t.newNode(level)
	t.divide(level, left, right, width/2)
	parent, slot := p.node[level+1], int(p.slot[level+1])
	t.measure(parent, slot, level)
	t.adopt(parent, slot+1, level, right)
	if p.slot[level] >= width/2 {
		p.node[level] = right
		p.slot[level] -= width / 2
		p.slot[level+1]++
	}
}

// share makes room in the full leaf of p if a sibling has some, which keeps
// leaves fuller (Bayer and McCreight's overflow, in Knuth, The Art of
// Computer Programming, volume 3, section 6.2.4). Afterwards p leads to the entry
// to which it led before.
func (t *tree) share(p *path) bool {
	const room = width / 16
	if t.height == 0 {
		return false
	}
	id, slot := p.node[1], int(p.slot[1])
	parent := &t.inners[id]
	at := int(p.slot[0])
	switch {
	case slot+1 < parent.n && t.leaves[parent.child[slot+1]].n <= width-room:
	case slot > 0 && t.leaves[parent.child[slot-1]].n <= width-room:
		slot--
		at += t.leaves[parent.child[slot]].n
	default:
		return false
	}
	left, right := parent.child[slot], parent.child[slot+1]
	n := (t.leaves[left].n + t.leaves[right].n) / 2
	t.even(id, slot, 0, n)
	p.node[0], p.slot[0], p.slot[1] = left, int8(at), int8(slot)
	if at >= n {
		p.node[0], p.slot[0], p.slot[1] = right, int8(at-n), int8(slot+1)
	}
	return true
}

// even divides the entries of two neighbouring children, of which the bound
// between them is part, so that the left one holds n of them.
func (t *tree) even(id uint32, slot, level, n int) {
	parent := &t.inners[id]
	b := t.node(level, parent.child[slot+1])
	t.divide(level, parent.child[slot], parent.child[slot+1], n)
	parent.entry[slot+1] = b.entry[0]
	if level > 0 {
		b.unbound()
	}
	t.measure(id, slot, level)
	t.measure(id, slot+1, level)
}

// grow puts a new root above the old one.
func (t *tree) grow(p *path) {
	root := t.newNode(t.height + 1)
	t.adopt(root, 0, t.height, t.root)
	t.inners[root].unbound()
	t.root = root
	t.height++
	p.node[t.height], p.slot[t.height] = root, 0
	t.tally(t.height, root)
}

// join ends the sparseness of the node of p on a level below the root: with a
// sibling it becomes one node, or two of equal length.
func (t *tree) join(p *path, level int) {
	parent := &t.inners[p.node[level+1]]
	slot := min(int(p.slot[level+1]), parent.n-2)
	left, right := parent.child[slot], parent.child[slot+1]
	a, b := t.node(level, left), t.node(level, right)
	if level > 0 {
		b.entry[0] = parent.entry[slot+1]
	}
	if entries := a.n + b.n; entries > width-sparse {
		t.even(p.node[level+1], slot, level, entries/2)
		return
	}
	t.divide(level, left, right, a.n+b.n)
	t.discard(level, right)
	t.measure(p.node[level+1], slot, level)
	t.abandon(p.node[level+1], slot+1)
	switch {
	case level+1 < t.height && parent.n < sparse:
		t.join(p, level+1)
	case level+1 == t.height && parent.n == 1:
		t.discard(t.height, t.root)
		t.root = left
		t.height--
	}
}

// divide moves entries between two neighbouring nodes of a level so that the
// left one holds n of them.
func (t *nodes) divide(level int, left, right uint32, n int) {
	a, b := t.node(level, left), t.node(level, right)
	if level > 0 {
		a, b := &t.inners[left], &t.inners[right]
		spread(&a.most, &b.most, a.n, b.n, n, 0)
		spread(&a.child, &b.child, a.n, b.n, n, 0)
		for i := range t.columns {
			longest := t.columns[i].longest
			spread(&longest[left], &longest[right], a.n, b.n, n, 0)
		}
	}
	spread(&a.entry, &b.entry, a.n, b.n, n, absent)
	a.n, b.n = n, a.n+b.n-n
	t.tally(level, left)
	t.tally(level, right)
}

// spread moves elements between the n of a and the m of b that follow them, so
// that k are in a. The rest becomes empty.
func spread[T any](a, b *[width]T, n, m, k int, empty T) {
	var both [2 * width]T
	copy(both[copy(both[:], a[:n]):], b[:m])
	for i := range width {
		a[i], b[i] = empty, empty
	}
	copy(a[:k], both[:])
	copy(b[:], both[k:n+m])
}

// node returns the entries of a node of a level.
func (t *nodes) node(level int, id uint32) *node {
	if level == 0 {
		return &t.leaves[id]
	}
	return &t.inners[id].node
}

// greatest returns the greatest value in or below a node of a level.
func (t *nodes) greatest(level int, id uint32) uint64 {
	if level == 0 {
		l := &t.leaves[id]
		return l.mostIn(0, l.n)
	}
	return maxOf(t.inners[id].most[:])
}

var empty = func() (n node) {
	for i := range n.entry {
		n.entry[i] = absent
	}
	return n
}()

// newNode returns an empty node for a level.
func (t *nodes) newNode(level int) uint32 {
	if level == 0 {
		if last := len(t.spareLeaves) - 1; last >= 0 {
			id := t.spareLeaves[last]
			t.spareLeaves = t.spareLeaves[:last]
			t.leaves[id] = empty
			return id
		}
		t.leaves = append(roomy(t.leaves), empty)
		return uint32(len(t.leaves) - 1)
	}
	if last := len(t.spareInners) - 1; last >= 0 {
		id := t.spareInners[last]
		t.spareInners = t.spareInners[:last]
		t.inners[id] = inner{node: empty}
		for i := range t.columns {
			t.columns[i].longest[id] = [width]uint64{}
		}
		return id
	}
	t.inners = append(roomy(t.inners), inner{node: empty})
	for i := range t.columns {
		c := &t.columns[i]
		c.longest = append(roomy(c.longest), [width]uint64{})
	}
	if t.tallies != nil {
		t.tallies.grow(len(t.inners))
	}
	return uint32(len(t.inners) - 1)
}

// roomy returns nodes with room for one more. The capacity grows by an eighth,
// because what append leaves unused would be a good part of the memory.
func roomy[T any](nodes []T) []T {
	if n := len(nodes); n == cap(nodes) {
		return append(make([]T, 0, n+n/32+1), nodes...)
	}
	return nodes
}

// discard keeps a node for newNode.
func (t *nodes) discard(level int, id uint32) {
	if level == 0 {
		t.spareLeaves = append(t.spareLeaves, id)
	} else {
		t.spareInners = append(t.spareInners, id)
	}
}

// build replaces all entries by n that at returns in order.
func (t *tree) build(n int, at func(int) entry) {
	t.leaves, t.spareLeaves = t.leaves[:0], t.spareLeaves[:0]
	t.inners, t.spareInners = t.inners[:0], t.spareInners[:0]
	for i := range t.columns {
		t.columns[i].longest = t.columns[i].longest[:0]
	}
	t.entries, t.height = n, 0
	nodes, done := nodesFor(n), 0
	for i := range nodes {
		l := &t.leaves[t.newNode(0)]
		for share := (n - done) / (nodes - i); share > 0; share-- {
			l.open(l.n, at(done))
			done++
		}
	}
	first := uint32(0)
	for nodes > 1 {
		children, child := nodes, first
		nodes, first = nodesFor(children), uint32(len(t.inners))
		for i := range nodes {
			parent := t.newNode(t.height + 1)
			share := children / (nodes - i)
			for at := range share {
				t.adopt(parent, at, t.height, child)
				child++
			}
			children -= share
		}
		t.height++
	}
	t.root = first
	if t.height > 0 {
		t.inners[t.root].unbound()
	}
	t.most = t.greatest(t.height, t.root)
	if t.tallies != nil {
		t.tallyAll(t.height, t.root)
	}
}

// nodesFor returns how many nodes build spreads a level's entries over, so
// that a quarter of each is left for insertions.
func nodesFor(entries int) int {
	const filled = width - sparse
	return max(1, (entries+filled-1)/filled)
}
