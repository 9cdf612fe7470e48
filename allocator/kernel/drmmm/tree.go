package drmmm

// tree is a red-black tree of numbered nodes, ordered by key and tie, in which
// every node knows the greatest value below it (Cormen, Leiserson, Rivest and
// Stein, Introduction to Algorithms, chapters "Red-Black Trees" and "Augmenting
// Data Structures"). Its shape matters, see [Request]: it is that of
// lib/rbtree.c after the same insertions and removals.
//
// Node 0 stands for "none"; it is black and has the value 0.
type tree struct {
	nodes []treeNode
	root  uint32
}

type treeNode struct {
	key, tie            uint64
	value, most         uint64
	parent, left, right uint32
	red                 bool
}

// insert adds node n. No other may have the same key and tie.
func (t *tree) insert(n uint32, key, tie, value uint64) {
	nodes := t.nodes
	parent, at := uint32(0), t.root
	left := false
	for at != 0 {
		p := &nodes[at]
		p.most = max(p.most, value)
		parent = at
		left = key < p.key || key == p.key && tie < p.tie
		if left {
			at = p.left
		} else {
			at = p.right
		}
	}
	nodes[n] = treeNode{key: key, tie: tie, value: value, most: value, parent: parent, red: true}
	switch {
	case parent == 0:
		t.root = n
	case left:
		nodes[parent].left = n
	default:
		nodes[parent].right = n
	}
	t.repairInsert(n)
}

// repairInsert ends the case of a red node n under a red parent.
func (t *tree) repairInsert(n uint32) {
	nodes := t.nodes
	for nodes[nodes[n].parent].red {
		parent := nodes[n].parent
		grand := nodes[parent].parent
		onLeft := parent == nodes[grand].left
		uncle := t.child(grand, !onLeft)
		if nodes[uncle].red {
			nodes[parent].red, nodes[uncle].red, nodes[grand].red = false, false, true
			n = grand
			continue
		}
		if n == t.child(parent, !onLeft) {
			t.rotate(parent, onLeft)
			parent = n
		}
		nodes[parent].red, nodes[grand].red = false, true
		t.rotate(grand, !onLeft)
		break
	}
	nodes[t.root].red = false
}

// remove takes node n out.
func (t *tree) remove(n uint32) {
	nodes := t.nodes
	removedRed := nodes[n].red
	var orphan, changed uint32 // what moved up, and the lowest node above a change
	var heir uint32            // what took the place of n further up
	switch z := nodes[n]; {
	case z.left == 0 || z.right == 0:
		orphan, changed = z.left|z.right, z.parent
		t.replace(n, orphan)
		nodes[orphan].parent = z.parent
	default:
		next := z.right
		for nodes[next].left != 0 {
			next = nodes[next].left
		}
		removedRed = nodes[next].red
		orphan, changed = nodes[next].right, nodes[next].parent
		if changed == n {
			changed = next
		} else {
			nodes[changed].left = orphan
			nodes[next].right = z.right
			nodes[z.right].parent = next
		}
		nodes[orphan].parent = changed
		heir = next
		t.replace(n, next)
		nodes[next].parent, nodes[next].left, nodes[next].red = z.parent, z.left, z.red
		nodes[z.left].parent = next
	}
	for at := changed; at != 0; at = nodes[at].parent {
		was := nodes[at].most
		t.settle(at)
		if at == heir {
			heir = 0
		} else if heir == 0 && nodes[at].most == was {
			break
		}
	}
	if !removedRed {
		t.repairRemove(orphan)
	}
	nodes[0].parent = 0
	nodes[n] = treeNode{}
}

// repairRemove ends the case that the paths through n, which may be 0, have one
// black node less than others.
func (t *tree) repairRemove(n uint32) {
	nodes := t.nodes
	for n != t.root && !nodes[n].red {
		parent := nodes[n].parent
		onLeft := n == nodes[parent].left
		sibling := t.child(parent, !onLeft)
		if nodes[sibling].red {
			nodes[sibling].red, nodes[parent].red = false, true
			t.rotate(parent, onLeft)
			sibling = t.child(parent, !onLeft)
		}
		near, far := t.child(sibling, onLeft), t.child(sibling, !onLeft)
		if !nodes[near].red && !nodes[far].red {
			nodes[sibling].red = true
			n = parent
			continue
		}
		if !nodes[far].red {
			nodes[near].red, nodes[sibling].red = false, true
			t.rotate(sibling, !onLeft)
			sibling, far = near, sibling
		}
		nodes[sibling].red, nodes[parent].red, nodes[far].red = nodes[parent].red, false, false
		t.rotate(parent, onLeft)
		n = t.root
	}
	nodes[n].red = false
}

func (t *tree) child(n uint32, left bool) uint32 {
	if left {
		return t.nodes[n].left
	}
	return t.nodes[n].right
}

// replace puts node by in the place of n under its parent.
func (t *tree) replace(n, by uint32) {
	switch parent := t.nodes[n].parent; {
	case parent == 0:
		t.root = by
	case t.nodes[parent].left == n:
		t.nodes[parent].left = by
	default:
		t.nodes[parent].right = by
	}
}

// rotate moves n down to the left, or to the right, and its other child up.
func (t *tree) rotate(n uint32, left bool) {
	nodes := t.nodes
	up := t.child(n, !left)
	inner := t.child(up, left)
	if left {
		nodes[n].right, nodes[up].left = inner, n
	} else {
		nodes[n].left, nodes[up].right = inner, n
	}
	if inner != 0 {
		nodes[inner].parent = n
	}
	t.replace(n, up)
	nodes[up].parent, nodes[n].parent = nodes[n].parent, up
	nodes[up].most = nodes[n].most
	t.settle(n)
}

// settle computes the greatest value below n from its children.
func (t *tree) settle(n uint32) {
	p := &t.nodes[n]
	p.most = max(p.value, t.nodes[p.left].most, t.nodes[p.right].most)
}

// above returns the node with the lowest key at or above key, whatever its tie.
func (t *tree) above(key uint64) uint32 {
	found := uint32(0)
	for at := t.root; at != 0; {
		if p := &t.nodes[at]; key <= p.key {
			found, at = at, p.left
		} else {
			at = p.right
		}
	}
	return found
}

// below returns the node with the highest key at or below key.
func (t *tree) below(key uint64) uint32 {
	found := uint32(0)
	for at := t.root; at != 0; {
		if p := &t.nodes[at]; p.key <= key {
			found, at = at, p.right
		} else {
			at = p.left
		}
	}
	return found
}

// next returns the next node after n, or before it, whose value is at least
// least.
func (t *tree) next(n uint32, least uint64, before bool) uint32 {
	nodes := t.nodes
	for {
		if down := t.child(n, before); nodes[down].most >= least && down != 0 {
			return t.edge(down, least, !before)
		}
		for came := n; ; came = n {
			n = nodes[n].parent
			if n == 0 {
				return 0
			}
			if came != t.child(n, before) {
				break
			}
		}
		if nodes[n].value >= least {
			return n
		}
	}
}

// edge returns the last node below n, or the first, whose value is at least
// least. There must be one.
func (t *tree) edge(n uint32, least uint64, first bool) uint32 {
	nodes := t.nodes
	for {
		if down := t.child(n, first); down != 0 && nodes[down].most >= least {
			n = down
		} else if nodes[n].value >= least {
			return n
		} else {
			n = t.child(n, !first)
		}
	}
}
