package allocator

import (
	"math/bits"

	"dmasim/mem"
)

func init() {
	Register(Spec{
		Name:    "segregated-fit",
		Summary: "a hole from the list of its size, else of the next longer ones: constant time, the fastest for frees in any order",
		Honours: HonoursAll,
		Params: []Param{
			{Name: "lists", Summary: "lists per power of two, rounded up to a power of two", Default: 64, Min: 1, Max: 64},
			{Name: "candidates", Summary: "holes looked at in each step of a search", Default: 32, Min: 1, Max: 1 << 20},
		},
		New: func(cfg Config) (Strategy, error) {
			return newSegregated(cfg, segregatedPolicy{
				lists: cfg.Params["lists"], candidates: int(cfg.Params["candidates"]), ownFirst: 4, ownLast: true,
			}), nil
		},
	})
}

// segregated is what the strategies share that keep their holes in lists by
// size: segregated-fit, tlsf and half-fit, which differ in how many lists there
// are and in which of them they look.
//
// The lists are spaced like floating-point numbers: a power of two is divided
// evenly into so many lists, and sizes of fewer granules than that have a list
// each. A bitmap in two levels finds the next list that is not empty. A list is
// last in, first out, but see lowFirst. What is freed is merged with its free neighbours at once.
// What is left of a hole, also before an aligned start, is a hole again. So all
// costs are constant. Nothing is kept in the memory that is managed.
//
// Alloc takes the first hole that fits out of these:
//
//  1. with ownFirst, that many holes of the list of the size itself, some of
//     which are shorter than it: a tighter fit than what comes next,
//  2. the lists of holes that are all long enough for the size,
//  3. the lists of holes that are all so long that they hold an aligned start,
//     and with a boundary also the size twice: without a window or a rule, and
//     if alignment and granule divide the boundary, the first of them always fits,
//  4. with ownLast, the list of the size itself.
//
// For a request with nothing but a size and an alignment that is a power of two,
// that is one hole in step 2 and one in step 3. Only if these are empty, and for
// all other requests, it is up to "candidates" holes in each of steps 2 to 4. A
// place can be missed only behind the candidates: in a hole that is shorter than
// step 3 wants, or in any if a window or a rule rejects those that are looked at.
//
// In the hole, the request gets its lowest legal start, with Dir High its
// highest; which hole it is does not depend on the direction.
//
// As segregated-fit, the structure is that of OffsetAllocator by Sebastian
// Aaltonen (github.com/sebbbi/OffsetAllocator), which has 8 lists per power of
// two and no alignment: its users ask for more than they need and waste it.
type segregated struct {
	nodes  []segregatedNode // the heads of the lists, then blocks
	heads  uint32           // the first node behind the heads
	spare  uint32           // unused nodes, linked by nextFree
	serial uint32           // of the last block that was handed out
	shift  uint8            // lists are made of sizes in units of 2^shift bytes
	log    uint8            // 2^log lists for each power of two

	granule uint64
	unit    uint64 // the granule if that is a power of two, else 0
	largest uint64 // bytes of the largest range
	hull    mem.Range
	policy  segregatedPolicy
	arena   mem.RangeSet

	words uint64     // bit i: used[i] is not 0
	used  [64]uint64 // bit j of word i: list i<<6|j is not empty
}

// segregatedPolicy is what distinguishes the strategies.
type segregatedPolicy struct {
	lists      uint64 // for each power of two
	candidates int
	ownFirst   int
	ownLast    bool
	lowFirst   bool // lists are not last in, first out: see insert
}

// segregatedNode is a block, live or free, or the head of a list, or is spare.
// Two of them share a cache line. Fields that end in Free are the links of a
// list, which its head, the node with the number of the list, makes a ring. List
// 0 does not exist; node 0 stands for what lies beyond the ends of a range.
type segregatedNode struct {
	addr, size         uint64
	prev, next         uint32 // neighbours by address; 0 at the end of a range
	prevFree, nextFree uint32 // if prevFree is nodeLive, nextFree is the serial of the block
}

// Values of prevFree in nodes that are on no list.
const (
	nodeLive  = ^uint32(0)
	nodeSpare = nodeLive - 1
)

func (n *segregatedNode) free() bool { return n.prevFree < nodeSpare }

func newSegregated(cfg Config, policy segregatedPolicy) *segregated {
	granule := max(cfg.Granule, 1)
	s := &segregated{
		granule: granule,
		shift:   uint8(bits.Len64(granule) - 1),
		log:     uint8(bits.Len64(policy.lists - 1)),
		arena:   cfg.Usable(),
		policy:  policy,
	}
	if granule&(granule-1) == 0 {
		s.unit = granule
	}
	s.hull = s.arena.Hull()
	for _, r := range s.arena {
		s.largest = max(s.largest, r.Size())
	}
	s.heads = s.list(s.largest) + 1
	s.nodes = make([]segregatedNode, s.heads)
	for i := range s.heads {
		s.nodes[i].prevFree, s.nodes[i].nextFree = i, i
	}
	s.nodes[0].prevFree = nodeLive
	for _, r := range s.arena {
		n := s.newNode()
		s.nodes[n] = segregatedNode{addr: r.Lo, size: r.Size()}
		s.insert(n)
	}
	return s
}

// list returns the list of holes of that size.
func (s *segregated) list(size uint64) uint32 {
	units := size >> (s.shift & 63)
	log := s.log & 31
	exponent := uint32(bits.Len64(units|1<<log)) - uint32(log) - 1
	return exponent<<log + uint32(units>>(exponent&63))
}

// listAbove returns the first list whose holes are all at least that long.
func (s *segregated) listAbove(size uint64) uint32 {
	before := (size - 1) >> (s.shift & 63) // the units of size, rounded up, less 1
	log := s.log & 31
	exponent := uint32(bits.Len64((before+1)|1<<log)) - uint32(log) - 1
	return exponent<<log + uint32(before>>(exponent&63)) + 1
}

// firstFrom returns the first list from that one on that is not empty, or 0.
func (s *segregated) firstFrom(list uint32) uint32 {
	w := list >> 6 & 63
	word := s.used[w] >> (list & 63) << (list & 63)
	if word == 0 {
		words := s.words & (^uint64(1) << w)
		if words == 0 {
			return 0
		}
		w = uint32(bits.TrailingZeros64(words)) & 63
		word = s.used[w]
	}
	return w<<6 | uint32(bits.TrailingZeros64(word))
}

// Alloc implements Strategy.
func (s *segregated) Alloc(req Request) (Block, bool) {
	if s.unit != 0 && req.Align&(req.Align-1) == 0 && req.Boundary == 0 && req.Rule == nil && req.Dir != High &&
		req.Lo <= s.hull.Lo && req.Hi-1 >= s.hull.Hi-1 {
		if b, ok := s.allocPlain(req.Size, req.Align); ok {
			return b, true
		}
	}
	return s.allocPlaced(&req)
}

// allocPlain is Alloc for most requests that have only a size and an alignment.
func (s *segregated) allocPlain(size, align uint64) (Block, bool) {
	size = (size + s.unit - 1) &^ (s.unit - 1)
	if size-1 >= s.largest { // 0 wraps: it was 0, or too large to be rounded
		return Block{}, false
	}
	align = max(align, s.unit)
	if s.policy.ownFirst > 0 {
		own := s.list(size)
		n := s.nodes[own].nextFree
		for i := s.policy.ownFirst; i > 0 && n != own; i-- {
			hole := &s.nodes[n]
			if gap := -hole.addr & (align - 1); size <= hole.size && gap <= hole.size-size {
				return s.take(n, gap, size), true
			}
			n = hole.nextFree
		}
	}
	list := s.firstFrom(s.listAbove(size))
	if list == 0 {
		return Block{}, false
	}
	n := s.nodes[list].nextFree
	gap := -s.nodes[n].addr & (align - 1)
	if gap > s.nodes[n].size-size {
		roomy, over := bits.Add64(size, align-s.unit, 0)
		if over != 0 || roomy > s.largest {
			return Block{}, false
		}
		if list = s.firstFrom(s.listAbove(roomy)); list == 0 {
			return Block{}, false
		}
		n = s.nodes[list].nextFree
		gap = -s.nodes[n].addr & (align - 1)
	}
	return s.take(n, gap, size), true
}

// allocPlaced is Alloc for every request.
func (s *segregated) allocPlaced(req *Request) (Block, bool) {
	size, ok := alignUp(req.Size, s.granule)
	if !ok || size-1 >= s.largest || !req.AlignTo(s.granule) {
		return Block{}, false
	}
	own, above := s.list(size), s.listAbove(size)
	n, start := s.search(req, own, own, s.policy.ownFirst)
	if n == 0 {
		n, start = s.search(req, above, s.heads, s.policy.candidates)
	}
	if n == 0 {
		if roomy, ok := req.roomy(size, s.granule); ok && roomy > size && roomy <= s.largest {
			n, start = s.search(req, s.listAbove(roomy), s.heads, s.policy.candidates)
		}
	}
	if n == 0 && s.policy.ownLast && own != above {
		n, start = s.search(req, own, own, s.policy.candidates)
	}
	if n == 0 {
		return Block{}, false
	}
	return s.take(n, start-s.nodes[n].addr, size), true
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

// search looks at so many holes in the lists from first to last. It returns the
// first in which the request has a place, and that place, or 0.
func (s *segregated) search(req *Request, first, last uint32, candidates int) (uint32, uint64) {
	for list := s.firstFrom(first); list != 0 && list <= last; list = s.firstFrom(list + 1) {
		for n := s.nodes[list].nextFree; n != list; n = s.nodes[n].nextFree {
			if candidates == 0 {
				return 0, 0
			}
			candidates--
			hole := &s.nodes[n]
			if start, ok := req.Place(hole.addr, hole.addr+hole.size, req.Dir == High); ok {
				return n, start
			}
		}
	}
	return 0, 0
}

// take hands out size bytes of the hole n, after a gap that stays free.
func (s *segregated) take(n uint32, gap, size uint64) Block {
	s.unlink(n)
	if gap > 0 {
		before := n
		n = s.split(before, gap)
		s.insert(before)
	}
	if s.nodes[n].size > size {
		s.insert(s.split(n, size))
	}
	block := &s.nodes[n]
	s.serial++
	block.prevFree, block.nextFree = nodeLive, s.serial
	return Block{Addr: block.addr, Size: size, Ref: uint64(s.serial)<<32 | uint64(n)}
}

// split cuts a block that is on no list behind size bytes and returns the rest.
func (s *segregated) split(n uint32, size uint64) uint32 {
	rest := s.newNode()
	nodes := s.nodes
	block, behind := &nodes[n], &nodes[rest]
	next := block.next
	behind.addr, behind.size, behind.prev, behind.next = block.addr+size, block.size-size, n, next
	nodes[next].prev = rest
	block.size, block.next = size, rest
	return rest
}

// Free tells a block that was freed from one that was never handed out by the
// number of its hand-out, which is part of Ref.
func (s *segregated) Free(b Block) error {
	n := uint32(b.Ref)
	if n < s.heads || uint64(n) >= uint64(len(s.nodes)) {
		return &FreeError{b, ErrForeign}
	}
	block := &s.nodes[n]
	if block.prevFree != nodeLive || block.nextFree != uint32(b.Ref>>32) || block.addr != b.Addr || block.size != b.Size {
		return s.notLive(b)
	}
	if prev := block.prev; s.nodes[prev].free() {
		s.unlink(prev)
		s.absorb(prev, n)
		n = prev
	}
	if next := s.nodes[n].next; s.nodes[next].free() {
		s.unlink(next)
		s.absorb(n, next)
	}
	s.insert(n)
	return nil
}

// absorb makes the block behind n part of it.
func (s *segregated) absorb(n, behind uint32) {
	block, gone := &s.nodes[n], &s.nodes[behind]
	block.size += gone.size
	block.next = gone.next
	s.nodes[gone.next].prev = n
	gone.prevFree, gone.nextFree = nodeSpare, s.spare
	s.spare = behind
}

// notLive says why a block whose Ref names a node cannot be freed.
func (s *segregated) notLive(b Block) error {
	serial, n := uint32(b.Ref>>32), &s.nodes[uint32(b.Ref)]
	forged := n.prevFree == nodeLive && n.nextFree == serial
	if forged || serial == 0 || serial > s.serial || !s.arena.Contains(mem.Range{Lo: b.Addr, Hi: b.Addr + b.Size}) {
		return &FreeError{b, ErrForeign}
	}
	return &FreeError{b, ErrDoubleFree}
}

func (s *segregated) newNode() uint32 {
	if n := s.spare; n != 0 {
		s.spare = s.nodes[n].nextFree
		return n
	}
	return s.growNodes()
}

// growNodes appends a node. The capacity grows by an eighth, because what append
// leaves unused would be a good part of the memory per block.
func (s *segregated) growNodes() uint32 {
	n := len(s.nodes)
	if n == cap(s.nodes) {
		s.nodes = append(make([]segregatedNode, 0, n+n/8+8), s.nodes...)
	}
	s.nodes = append(s.nodes, segregatedNode{})
	return uint32(n)
}

// insert puts a hole at the front of its list. With lowFirst, a hole above the
// first goes to the back instead, which keeps low holes in front without sorting.
func (s *segregated) insert(n uint32) {
	nodes := s.nodes
	hole := &nodes[n]
	list := s.list(hole.size)
	prev := list
	if s.policy.lowFirst && nodes[nodes[list].nextFree].addr < hole.addr {
		prev = nodes[list].prevFree
	}
	next := nodes[prev].nextFree
	nodes[prev].nextFree = n
	hole.prevFree, hole.nextFree = prev, next
	nodes[next].prevFree = n
	w := list >> 6 & 63
	s.words |= 1 << w
	s.used[w] |= 1 << (list & 63)
}

// unlink takes a hole off its list.
func (s *segregated) unlink(n uint32) {
	nodes := s.nodes
	hole := &nodes[n]
	prev, next := hole.prevFree, hole.nextFree
	nodes[prev].nextFree = next
	nodes[next].prevFree = prev
	if prev == next { // both are the head
		s.markEmpty(prev)
	}
}

func (s *segregated) markEmpty(list uint32) {
	w := list >> 6 & 63
	s.used[w] &^= 1 << (list & 63)
	if s.used[w] == 0 {
		s.words &^= 1 << w
	}
}
