package allocator

import (
	"math/bits"

	"dmasim/mem"
)

func init() {
	Register(Spec{
		Name:    "tlsf",
		Summary: "two-level segregated fit: a good fit in constant time, wherever in memory",
		Honours: HonoursAll,
		Params: []Param{
			{Name: "second-level", Summary: "free lists per power of two, rounded up to a power of two", Default: 32, Min: 2, Max: 64},
			{Name: "candidates", Summary: "free blocks looked at in each step of a search", Default: 32, Min: 1, Max: 1 << 20},
		},
		New: newTLSF,
	})
}

// tlsf is the two-level segregated fit of Masmano, Ripoll, Crespo and Real,
// "TLSF: a new dynamic memory allocator for real-time systems" (ECRTS 2004),
// over memory that it does not touch: what the paper writes into the blocks is
// kept beside them.
//
// Free blocks are in lists by size. The first level is the power of two, the
// second divides it evenly; sizes of less than second-level granules have a
// list each. A bitmap per level finds the next list that holds a block. A list
// is last in, first out. A freed block is merged with its free neighbours at
// once. What is left of a block, also before an aligned start, is free again.
//
// Alloc takes the first block that fits out of these, at most "candidates" of
// them in each step:
//
//  1. the lists of blocks that are all long enough for the size (the paper's
//     search, whose first block always fits if there is no other constraint),
//  2. the lists of blocks that are all so long that they hold an aligned start,
//     and with a boundary also the size twice: without a window or a rule, and
//     if alignment and granule divide the boundary, the first of them always fits,
//  3. the list of the size itself, whose blocks may be shorter than it.
//
// In the block, the request gets its lowest legal start, with Dir High its
// highest; which block it is does not depend on the direction. A place can be
// missed only behind the candidates: in a block that is shorter than the second
// step wants, or in any if a window or a rule rejects those that are looked at.
type tlsf struct {
	nodes      []tlsfNode // node 0 stands for what lies beyond the ends of a range
	spare      uint32     // unused nodes, linked by nextFree
	serial     uint32     // of the last block that was handed out
	candidates int

	arena      mem.RangeSet
	hull       mem.Range
	largest    uint64 // bytes of the largest range
	granule    uint64
	unit       uint64 // the granule if that is a power of two, else 0
	classShift uint8  // classes are made of sizes in units of 2^classShift bytes
	secondLog  uint8  // second-level lists: 2^secondLog

	first  uint64     // bit i: second[i] is not 0
	second [64]uint64 // bit j of word i: list i<<6|j is not empty
	heads  [64 << 6]uint32
}

// tlsfNode is a block, live or free, or is spare. Two of them share a cache
// line. Fields that end in Free are the links of the free list; 0 ends it.
type tlsfNode struct {
	addr, size         uint64
	prev, next         uint32 // neighbours by address; 0 at the end of a range
	prevFree, nextFree uint32 // if prevFree is tlsfLive, nextFree is the serial of the block
}

// Values of prevFree in nodes that are on no free list.
const (
	tlsfLive  = ^uint32(0)
	tlsfSpare = tlsfLive - 1
)

func (n *tlsfNode) free() bool { return n.prevFree < tlsfSpare }

func newTLSF(cfg Config) (Strategy, error) {
	granule := max(cfg.Granule, 1)
	t := &tlsf{
		nodes:      make([]tlsfNode, 1, 64),
		candidates: int(cfg.Params["candidates"]),
		arena:      cfg.Usable(),
		granule:    granule,
		classShift: uint8(bits.Len64(granule) - 1),
		secondLog:  uint8(bits.Len64(cfg.Params["second-level"] - 1)),
	}
	if granule&(granule-1) == 0 {
		t.unit = granule
	}
	t.hull = t.arena.Hull()
	t.nodes[0].prevFree = tlsfLive
	for _, r := range t.arena {
		t.largest = max(t.largest, r.Size())
		n := t.newNode()
		t.nodes[n] = tlsfNode{addr: r.Lo, size: r.Size()}
		t.insert(n)
	}
	return t, nil
}

// class returns the list of free blocks of that many units.
func (t *tlsf) class(units uint64) uint32 {
	fl := bits.Len64(units >> (t.secondLog & 63))
	shift := max(fl, 1) - 1
	sl := units >> (shift & 63) & (1<<(t.secondLog&63) - 1)
	return uint32(fl)<<6 | uint32(sl)
}

// classAbove returns the first list whose blocks all have at least that many
// bytes, unless this is the last list.
func (t *tlsf) classAbove(size uint64) uint32 {
	shift := t.classShift & 63
	units := size >> shift
	if units<<shift != size {
		units++
	}
	fl := bits.Len64(units >> (t.secondLog & 63))
	up := units + (1<<((max(fl, 1)-1)&63) - 1)
	if up < units {
		up = ^uint64(0)
	}
	return t.class(up)
}

// firstFrom returns the first block of the first list from that one on that
// has any, or 0.
func (t *tlsf) firstFrom(list uint32) uint32 {
	fl := list >> 6 & 63
	lists := t.second[fl] >> (list & 63) << (list & 63)
	if lists == 0 {
		levels := t.first & (^uint64(1) << fl)
		if levels == 0 {
			return 0
		}
		fl = uint32(bits.TrailingZeros64(levels)) & 63
		lists = t.second[fl]
	}
	return t.heads[fl<<6|uint32(bits.TrailingZeros64(lists))&63]
}

func (t *tlsf) Alloc(req Request) (Block, bool) {
	if t.unit == 0 || req.Align&(req.Align-1) != 0 || req.Boundary != 0 || req.Rule != nil || req.Dir == High ||
		req.Lo > t.hull.Lo || req.Hi-1 < t.hull.Hi-1 {
		return t.allocPlaced(req)
	}
	size := (req.Size + t.unit - 1) &^ (t.unit - 1)
	if size-1 >= t.largest { // 0 wraps: Size was 0, or too large to be rounded
		return Block{}, false
	}
	n := t.firstFrom(t.classAbove(size))
	if n != 0 {
		free := &t.nodes[n]
		gap := -free.addr & (max(req.Align, t.unit) - 1)
		if free.size >= size && gap <= free.size-size {
			return t.take(n, gap, size), true
		}
	}
	return t.allocPlaced(req)
}

// allocPlaced is Alloc for every request.
func (t *tlsf) allocPlaced(req Request) (Block, bool) {
	size, ok := alignUp(req.Size, t.granule)
	if !ok || size-1 >= t.largest || !req.onGranule(t.granule) {
		return Block{}, false
	}
	above, own := t.classAbove(size), t.class(size>>(t.classShift&63))
	n, start := t.search(&req, t.firstFrom(above), true)
	if n == 0 {
		if roomy, ok := req.roomy(size, t.granule); ok && roomy > size {
			n, start = t.search(&req, t.firstFrom(t.classAbove(roomy)), true)
		}
	}
	if n == 0 && own != above {
		n, start = t.search(&req, t.heads[own], false)
	}
	if n == 0 {
		return Block{}, false
	}
	return t.take(n, start-t.nodes[n].addr, size), true
}

// roomy returns the size of free ranges that an alignment, and a boundary that
// it divides, cannot make too short for size bytes, or false if that is beyond
// 64 bits. The ranges start on the granule.
func (r *Request) roomy(size, granule uint64) (uint64, bool) {
	n, over := bits.Add64(size, r.Align-granule, 0)
	if r.Boundary != 0 {
		n, over = bits.Add64(n, size, over)
	}
	return n, over == 0
}

// search looks at blocks from n on, in the list of n and, if onward, in those
// of longer blocks. It returns the first in which the request has a place, and
// that place, or 0.
func (t *tlsf) search(req *Request, n uint32, onward bool) (uint32, uint64) {
	for range t.candidates {
		if n == 0 {
			break
		}
		free := &t.nodes[n]
		if start, ok := req.Place(free.addr, free.addr+free.size, req.Dir == High); ok {
			return n, start
		}
		n = free.nextFree
		if n == 0 && onward {
			n = t.firstFrom(t.class(free.size>>(t.classShift&63)) + 1)
		}
	}
	return 0, 0
}

// take hands out size bytes of the free block n, after a gap that stays free.
func (t *tlsf) take(n uint32, gap, size uint64) Block {
	t.unlink(n)
	if gap > 0 {
		before := n
		n = t.split(before, gap)
		t.insert(before)
	}
	if t.nodes[n].size > size {
		t.insert(t.split(n, size))
	}
	block := &t.nodes[n]
	t.serial++
	block.prevFree, block.nextFree = tlsfLive, t.serial
	return Block{Addr: block.addr, Size: size, Ref: uint64(t.serial)<<32 | uint64(n)}
}

// split cuts a block that is in no list behind size bytes and returns the rest.
func (t *tlsf) split(n uint32, size uint64) uint32 {
	rest := t.newNode()
	block := &t.nodes[n]
	t.nodes[rest] = tlsfNode{addr: block.addr + size, size: block.size - size, prev: n, next: block.next}
	t.nodes[block.next].prev = rest
	block.size, block.next = size, rest
	return rest
}

// Free tells a block that was freed from one that was never handed out by the
// number of its hand-out, which is part of Ref.
func (t *tlsf) Free(b Block) error {
	n := uint32(b.Ref)
	if n == 0 || uint64(n) >= uint64(len(t.nodes)) {
		return &FreeError{b, ErrForeign}
	}
	block := &t.nodes[n]
	if block.prevFree != tlsfLive || block.nextFree != uint32(b.Ref>>32) || block.addr != b.Addr || block.size != b.Size {
		return t.notLive(b)
	}
	if prev := block.prev; t.nodes[prev].free() {
		t.unlink(prev)
		t.absorb(prev, n)
		n = prev
	}
	if next := t.nodes[n].next; t.nodes[next].free() {
		t.unlink(next)
		t.absorb(n, next)
	}
	t.insert(n)
	return nil
}

// absorb makes the block behind n part of it.
func (t *tlsf) absorb(n, behind uint32) {
	block, gone := &t.nodes[n], &t.nodes[behind]
	block.size += gone.size
	block.next = gone.next
	t.nodes[gone.next].prev = n
	gone.prevFree, gone.nextFree = tlsfSpare, t.spare
	t.spare = behind
}

// notLive says why a block whose Ref names a node cannot be freed.
func (t *tlsf) notLive(b Block) error {
	serial := uint32(b.Ref >> 32)
	forged := t.nodes[uint32(b.Ref)].prevFree == tlsfLive && t.nodes[uint32(b.Ref)].nextFree == serial
	if forged || serial == 0 || serial > t.serial || !t.arena.Contains(mem.Range{Lo: b.Addr, Hi: b.Addr + b.Size}) {
		return &FreeError{b, ErrForeign}
	}
	return &FreeError{b, ErrDoubleFree}
}

func (t *tlsf) newNode() uint32 {
	if n := t.spare; n != 0 {
		t.spare = t.nodes[n].nextFree
		return n
	}
	t.nodes = append(t.nodes, tlsfNode{})
	return uint32(len(t.nodes) - 1)
}

// insert puts a free block at the head of its list.
func (t *tlsf) insert(n uint32) {
	block := &t.nodes[n]
	list := t.class(block.size >> (t.classShift & 63))
	head := &t.heads[list]
	block.prevFree, block.nextFree = 0, *head
	if *head != 0 {
		t.nodes[*head].prevFree = n
	} else {
		fl := list >> 6
		t.first |= 1 << (fl & 63)
		t.second[fl] |= 1 << (list & 63)
	}
	*head = n
}

// unlink takes a free block off its list.
func (t *tlsf) unlink(n uint32) {
	block := &t.nodes[n]
	if block.nextFree != 0 {
		t.nodes[block.nextFree].prevFree = block.prevFree
	}
	if block.prevFree != 0 {
		t.nodes[block.prevFree].nextFree = block.nextFree
		return
	}
	list := t.class(block.size >> (t.classShift & 63))
	t.heads[list] = block.nextFree
	if block.nextFree == 0 {
		fl := list >> 6
		t.second[fl] &^= 1 << (list & 63)
		if t.second[fl] == 0 {
			t.first &^= 1 << (fl & 63)
		}
	}
}
