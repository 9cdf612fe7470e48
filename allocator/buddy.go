package allocator

import (
	"math/bits"

	"dmasim/mem"
)

func init() {
	Register(Spec{
		Name:    "buddy",
		Summary: "binary buddy: sizes rounded up to powers of two, lowest fitting block, O(log n)",
		Honours: HonoursAll,
		New:     newBuddy,
	})
}

// buddy is the binary buddy system (Knowlton, "A fast storage allocator",
// Communications of the ACM 8(10), 1965; Knuth, The Art of Computer
// Programming, volume 1, section 2.5, algorithms R and S) over any arena.
//
// Addresses are counted in granules from address 0, not from the start of the
// arena. A block of order k is 2^k granules long and starts at a multiple of
// its length; each range of the arena begins as the largest such blocks that
// fill it. A size is rounded up to the next order, and Block.Size tells. The
// window, the boundary and the rule of a request concern the bytes that were
// asked for; what the rounding adds only has to be in the arena.
//
// Alloc takes a block of the smallest order in which a free block holds a legal
// start, of these the one with the lowest address, and in it the lowest legal
// start; with Dir High the highest of both. The block is halved until it has
// the order of the request, and the halves that are not needed stay free. Free
// merges a block with its buddy, the other half, as long as that is free too.
// So the smallest order is free whenever some place is: no legal place for the
// rounded size is missed.
//
// The cost is logarithmic in the number of blocks if alignment and boundary are
// powers of two times the granule, or divide it. Others, and rules, may make it
// visit free blocks, of each order, that hold no legal start.
type buddy struct {
	nodes  []buddyNode // node 0 is not used
	spare  uint32      // unused nodes, linked by left
	serial uint32      // of the last block that was handed out

	arena   mem.RangeSet
	hull    mem.Range
	granule uint64

	orders uint64     // bit k: roots[k] is not 0
	roots  [64]uint32 // the free blocks of each order
}

// buddyNode is a block, live or free, or is spare.
//
// The free blocks of an order are a treap: a search tree by start and a heap by
// priority (Seidel and Aragon, "Randomized search trees", Algorithmica 16,
// 1996). The priority is how well the start is aligned, and among equals a hash
// of it, so that the blocks above some alignment are the top of the tree.
type buddyNode struct {
	start       uint64 // in granules
	left, right uint32 // in the tree of the order; left is the serial of a live block
	priority    uint32 // trailing zeros of start in the top 6 bits, then a hash
	state       uint32
}

// State of a node: the order of a free block, or that of a live one with
// buddyLive added, or buddySpare.
const (
	buddyLive  = 64
	buddySpare = 128
)

func newBuddy(cfg Config) (Strategy, error) {
	b := &buddy{
		nodes:   make([]buddyNode, 1, 64),
		arena:   cfg.Usable(),
		granule: max(cfg.Granule, 1),
	}
	b.hull = b.arena.Hull()
	for _, r := range b.arena {
		start, end := r.Lo/b.granule, r.Hi/b.granule
		for start < end {
			order := bits.Len64(end-start) - 1
			if start != 0 {
				order = min(order, bits.TrailingZeros64(start))
			}
			b.insert(b.newNode(start), uint32(order))
			start += 1 << order
		}
	}
	return b, nil
}

func (b *buddy) Alloc(req Request) (Block, bool) {
	if req.Size == 0 {
		return Block{}, false
	}
	order := uint32(bits.Len64((req.Size - 1) / b.granule))
	if b.orders>>order == 0 || !req.AlignTo(b.granule<<order) {
		return Block{}, false
	}
	n, from, start := b.find(&req, order)
	if n == 0 {
		return Block{}, false
	}
	b.remove(n, from)
	for half := from; half > order; {
		half--
		other := b.nodes[n].start
		if start>>half&1 == 0 {
			other |= 1 << half
		} else {
			b.nodes[n].start |= 1 << half
		}
		b.insert(b.newNode(other), half)
	}
	b.serial++
	b.nodes[n].state = buddyLive + order
	b.nodes[n].left = b.serial
	return Block{Addr: start * b.granule, Size: b.granule << order, Ref: uint64(b.serial)<<32 | uint64(n)}, true
}

// find returns the free block that serves the request, its order and the start
// in it. The request is aligned to blocks of the given order.
func (b *buddy) find(req *Request, order uint32) (n, from uint32, start uint64) {
	high := req.Dir == High
	first, ok := req.Place(b.hull.Lo, b.hull.Hi, high)
	if !ok {
		return 0, 0, 0
	}
	level := min(uint32(bits.TrailingZeros64(req.Align/b.granule)), 63)
	for orders := b.orders >> order << order; orders != 0; orders &= orders - 1 {
		from = uint32(bits.TrailingZeros64(orders))
		// From legal start to free block of this order and from block to start,
		// away from the wanted end, until a block holds a start.
		for next, ok := first, true; ok; {
			if high {
				n = b.highest(from, next/b.granule, level)
			} else {
				n = b.lowest(from, next/b.granule>>from<<from, level)
			}
			if n == 0 {
				break
			}
			lo := b.nodes[n].start * b.granule
			hi := lo + b.granule<<from
			if at, ok := req.Place(lo, hi, high); ok {
				return n, from, at / b.granule
			}
			if high {
				next, ok = req.Place(b.hull.Lo, lo, high)
			} else {
				next, ok = req.Place(hi, b.hull.Hi, high)
			}
		}
	}
	return 0, 0, 0
}

// Free tells a block that was freed from one that was never handed out by the
// number of its hand-out, which is part of Ref.
func (b *buddy) Free(block Block) error {
	n := uint32(block.Ref)
	if n == 0 || uint64(n) >= uint64(len(b.nodes)) {
		return &FreeError{block, ErrForeign}
	}
	node := &b.nodes[n]
	order := node.state - buddyLive
	if order >= 64 || node.left != uint32(block.Ref>>32) ||
		node.start*b.granule != block.Addr || b.granule<<order != block.Size {
		return b.notLive(block)
	}
	for {
		other := b.removeAt(node.start^1<<order, order)
		if other == 0 {
			break
		}
		b.nodes[other].state = buddySpare
		b.nodes[other].left = b.spare
		b.spare = other
		node.start &^= 1 << order
		order++
	}
	b.insert(n, order)
	return nil
}

// notLive says why a block whose Ref names a node cannot be freed.
func (b *buddy) notLive(block Block) error {
	node := &b.nodes[uint32(block.Ref)]
	serial := uint32(block.Ref >> 32)
	forged := node.state-buddyLive < 64 && node.left == serial
	if forged || serial == 0 || serial > b.serial || !b.arena.Contains(mem.Range{Lo: block.Addr, Hi: block.Addr + block.Size}) {
		return &FreeError{block, ErrForeign}
	}
	return &FreeError{block, ErrDoubleFree}
}

// newNode returns a node for a block at start.
func (b *buddy) newNode(start uint64) uint32 {
	n := b.spare
	if n != 0 {
		b.spare = b.nodes[n].left
	} else {
		b.nodes = append(b.nodes, buddyNode{})
		n = uint32(len(b.nodes) - 1)
	}
	b.nodes[n].start = start
	return n
}

// level returns the number of trailing zeros of a free block's start, 63 for 0.
func (n *buddyNode) level() uint32 { return n.priority >> 26 }

// lowest returns the free block of the order with the lowest start, at least
// from, that has level trailing zeros or more; 0 if there is none.
func (b *buddy) lowest(order uint32, from uint64, level uint32) uint32 {
	best := uint32(0)
	for t := b.roots[order&63]; t != 0; {
		n := &b.nodes[t]
		switch {
		case n.level() < level:
			return best
		case n.start >= from:
			best, t = t, n.left
		default:
			t = n.right
		}
	}
	return best
}

// highest returns the free block of the order with the highest start, at most
// to, that has level trailing zeros or more; 0 if there is none.
func (b *buddy) highest(order uint32, to uint64, level uint32) uint32 {
	best := uint32(0)
	for t := b.roots[order&63]; t != 0; {
		n := &b.nodes[t]
		switch {
		case n.level() < level:
			return best
		case n.start <= to:
			best, t = t, n.right
		default:
			t = n.left
		}
	}
	return best
}

// insert adds a free block to the tree of its order.
func (b *buddy) insert(n, order uint32) {
	node := &b.nodes[n]
	zeros := min(uint32(bits.TrailingZeros64(node.start)), 63)
	node.priority = zeros<<26 | uint32(node.start*0x9e3779b97f4a7c15>>38)
	node.state = order
	b.orders |= 1 << order

	link := &b.roots[order&63]
	for *link != 0 && b.nodes[*link].priority > node.priority {
		link = b.nodes[*link].side(node.start)
	}
	// What is below becomes two trees, of the starts on either side.
	below := *link
	*link = n
	left, right := &node.left, &node.right
	for below != 0 {
		t := &b.nodes[below]
		if t.start < node.start {
			*left, left, below = below, &t.right, t.right
		} else {
			*right, right, below = below, &t.left, t.left
		}
	}
	*left, *right = 0, 0
}

// side returns the link below which that start is, or would be.
func (n *buddyNode) side(start uint64) *uint32 {
	if start < n.start {
		return &n.left
	}
	return &n.right
}

// remove takes a free block out of the tree of its order.
func (b *buddy) remove(n, order uint32) { b.removeAt(b.nodes[n].start, order) }

// removeAt takes the free block at start out of the tree of its order and
// returns it, or 0 if there is none.
func (b *buddy) removeAt(start uint64, order uint32) uint32 {
	link := &b.roots[order&63]
	for *link != 0 && b.nodes[*link].start != start {
		link = b.nodes[*link].side(start)
	}
	found := *link
	if found == 0 {
		return 0
	}
	left, right := b.nodes[found].left, b.nodes[found].right
	for left != 0 && right != 0 {
		if b.nodes[left].priority > b.nodes[right].priority {
			*link, link = left, &b.nodes[left].right
			left = *link
		} else {
			*link, link = right, &b.nodes[right].left
			right = *link
		}
	}
	*link = left | right
	if b.roots[order&63] == 0 {
		b.orders &^= 1 << order
	}
	return found
}
