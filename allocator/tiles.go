package allocator

import "dmasim/mem"

// tiles is an arena cut into blocks, live ones and holes, each of which knows
// its neighbours by address: what is given back is merged with them in constant
// time (boundary tags; Knuth, The Art of Computer Programming, volume 1, section
// 2.5). Nothing is kept in the memory that is managed. In which order holes are
// found is the strategy's part, which has two fields of each hole for it.
type tiles struct {
	nodes  []tile
	heads  uint32 // the first node that is a block; those before it are the strategy's
	spare  uint32 // unused nodes, linked by nextFree
	serial uint32 // of the last block that was handed out

	granule uint64
	unit    uint64 // the granule if that is a power of two, else 0
	largest uint64 // bytes of the largest range
	hull    mem.Range
	arena   mem.RangeSet
}

// tile is a block, live or free, or belongs to the strategy, or is spare. It ends
// where the next one begins, which is a wall behind the last block of a range.
// What is before the first is node 0, which is live.
type tile struct {
	addr               uint64
	prev, next         uint32 // neighbours by address
	prevFree, nextFree uint32 // the strategy's in a hole; in a live block nodeLive and its serial
}

// Values of prevFree in nodes that are no holes.
const (
	nodeLive  = ^uint32(0)
	nodeWall  = nodeLive - 1
	nodeSpare = nodeLive - 2
)

func (t *tile) free() bool { return t.prevFree < nodeSpare }

// newTiles returns an arena without any blocks yet.
func newTiles(cfg Config) tiles {
	granule := max(cfg.Granule, 1)
	t := tiles{granule: granule, arena: cfg.Usable()}
	if granule&(granule-1) == 0 {
		t.unit = granule
	}
	t.hull = t.arena.Hull()
	for _, r := range t.arena {
		t.largest = max(t.largest, r.Size())
	}
	return t
}

// start makes the nodes that belong to the strategy, at least one.
func (t *tiles) start(heads uint32) {
	t.heads = heads
	t.nodes = make([]tile, heads)
	t.nodes[0].prevFree = nodeLive
}

// add makes one block of a range.
func (t *tiles) add(r mem.Range) uint32 {
	n, wall := t.newNode(), t.newNode()
	t.nodes[n] = tile{addr: r.Lo, next: wall}
	t.nodes[wall] = tile{addr: r.Hi, prev: n, prevFree: nodeWall}
	return n
}

// end returns where a block ends.
func (t *tiles) end(n uint32) uint64 { return t.nodes[t.nodes[n].next].addr }

// size returns the size of a block.
func (t *tiles) size(n uint32) uint64 { return t.end(n) - t.nodes[n].addr }

// everywhere reports whether the request's window holds the whole arena.
func (t *tiles) everywhere(r *Request) bool { return r.Lo <= t.hull.Lo && r.Hi-1 >= t.hull.Hi-1 }

// prepare puts the request on the granule and returns the bytes that its block
// takes, or false if it can be nowhere.
func (t *tiles) prepare(r *Request) (size uint64, ok bool) {
	size, ok = alignUp(r.Size, t.granule)
	return size, ok && size-1 < t.largest && r.AlignTo(t.granule)
}

// split cuts a block that is on no list behind size bytes and returns the rest.
func (t *tiles) split(n uint32, size uint64) uint32 {
	rest := t.newNode()
	nodes := t.nodes
	block, behind := &nodes[n], &nodes[rest]
	next := block.next
	behind.addr, behind.prev, behind.next = block.addr+size, n, next
	nodes[next].prev = rest
	block.next = rest
	return rest
}

// absorb makes the block behind n part of it.
func (t *tiles) absorb(n, behind uint32) {
	block, gone := &t.nodes[n], &t.nodes[behind]
	block.next = gone.next
	t.nodes[gone.next].prev = n
	gone.prevFree, gone.nextFree = nodeSpare, t.spare
	t.spare = behind
}

// handOut makes a block live, which has that size.
func (t *tiles) handOut(n uint32, size uint64) Block {
	block := &t.nodes[n]
	t.serial++
	block.prevFree, block.nextFree = nodeLive, t.serial
	return Block{Addr: block.addr, Size: size, Ref: uint64(t.serial)<<32 | uint64(n)}
}

// isLive reports whether a block is live. Its node is the low half of Ref; the
// number of its hand-out is the high half, and tells it from earlier blocks.
func (t *tiles) isLive(b Block) bool {
	n := uint32(b.Ref)
	if n < t.heads || uint64(n) >= uint64(len(t.nodes)) {
		return false
	}
	block := &t.nodes[n]
	return block.prevFree == nodeLive && block.nextFree == uint32(b.Ref>>32) && block.addr == b.Addr && t.size(n) == b.Size
}

// notLive says why a block that is not live cannot be freed. A forged one may be
// taken for one that is free already.
func (t *tiles) notLive(b Block) error {
	serial, n := uint32(b.Ref>>32), uint32(b.Ref)
	if n < t.heads || uint64(n) >= uint64(len(t.nodes)) {
		return &FreeError{b, ErrForeign}
	}
	// The node of a live block has had earlier blocks, but none later.
	forged := t.nodes[n].prevFree == nodeLive && t.nodes[n].nextFree <= serial
	if forged || t.nodes[n].prevFree == nodeWall || serial == 0 || serial > t.serial || !t.arena.Contains(mem.Range{Lo: b.Addr, Hi: b.Addr + b.Size}) {
		return &FreeError{b, ErrForeign}
	}
	return &FreeError{b, ErrDoubleFree}
}

func (t *tiles) newNode() uint32 {
	if n := t.spare; n != 0 {
		t.spare = t.nodes[n].nextFree
		return n
	}
	return t.grow()
}

// grow appends a node. The capacity grows by a sixteenth, because what append
// leaves unused would be a good part of the memory per block.
func (t *tiles) grow() uint32 {
	n := len(t.nodes)
	if n == cap(t.nodes) {
		t.nodes = append(make([]tile, 0, n+n/16+8), t.nodes...)
	}
	t.nodes = append(t.nodes, tile{})
	return uint32(n)
}
