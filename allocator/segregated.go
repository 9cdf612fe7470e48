package allocator

import "math/bits"

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
// The lists are those of sizeClasses. A list is last in, first out, but see
// lowFirst. What is freed is merged with its free neighbours at once, which tiles
// knows. What is left of a hole, also before an aligned start, is a hole again.
// So all costs are constant.
//
// The head of a list is the node with the number of its class; prevFree and
// nextFree make a ring of it and its holes. Class 0 does not exist.
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
	tiles // the first are the heads of the lists
	sizeClasses
	policy segregatedPolicy
}

// segregatedPolicy is what distinguishes the strategies.
type segregatedPolicy struct {
	lists      uint64 // for each power of two
	candidates int
	ownFirst   int
	ownLast    bool
	lowFirst   bool // lists are not last in, first out: see insert
}

func newSegregated(cfg Config, policy segregatedPolicy) *segregated {
	t := newTiles(cfg)
	s := &segregated{tiles: t, sizeClasses: newSizeClasses(t.granule, bits.Len64(policy.lists-1)), policy: policy}
	s.start(s.list(s.largest) + 1)
	for i := range s.nodes {
		s.nodes[i].prevFree, s.nodes[i].nextFree = uint32(i), uint32(i)
	}
	s.nodes[0].prevFree = nodeLive
	for _, r := range s.arena {
		s.insert(s.add(r), r.Size())
	}
	return s
}

// Alloc implements Strategy.
func (s *segregated) Alloc(req Request) (Block, bool) {
	if s.unit != 0 && req.Align&(req.Align-1) == 0 && req.Boundary == 0 && req.Rule == nil && req.Dir != High &&
		s.everywhere(&req) {
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
			if gap, held := -hole.addr&(align-1), s.end(n)-hole.addr; size <= held && gap <= held-size {
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
	if gap > 0 && gap > s.size(n)-size {
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
	size, ok := s.prepare(req)
	if !ok {
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
			if start, ok := req.Place(hole.addr, s.end(n), req.Dir == High); ok {
				return n, start
			}
		}
	}
	return 0, 0
}

// take hands out size bytes of the hole n, after a gap that stays free.
func (s *segregated) take(n uint32, gap, size uint64) Block {
	s.unlink(n)
	rest := s.size(n) - gap - size
	if gap > 0 {
		before := n
		n = s.split(before, gap)
		s.insert(before, gap)
	}
	if rest > 0 {
		s.insert(s.split(n, size), rest)
	}
	return s.handOut(n, size)
}

// Free implements Strategy.
func (s *segregated) Free(b Block) error {
	if !s.isLive(b) {
		return s.notLive(b)
	}
	n, size := uint32(b.Ref), b.Size
	if prev := s.nodes[n].prev; s.nodes[prev].free() {
		size += b.Addr - s.nodes[prev].addr
		s.unlink(prev)
		s.absorb(prev, n)
		n = prev
	}
	if next := s.nodes[n].next; s.nodes[next].free() {
		size += s.size(next)
		s.unlink(next)
		s.absorb(n, next)
	}
	s.insert(n, size)
	return nil
}

// insert puts a hole of that size at the front of its list. With lowFirst, a hole above the
// first goes to the back instead, which keeps low holes in front without sorting.
func (s *segregated) insert(n uint32, size uint64) {
	nodes := s.nodes
	hole := &nodes[n]
	list := s.list(size)
	prev := list
	if s.policy.lowFirst && nodes[nodes[list].nextFree].addr < hole.addr {
		prev = nodes[list].prevFree
	}
	next := nodes[prev].nextFree
	nodes[prev].nextFree = n
	hole.prevFree, hole.nextFree = prev, next
	nodes[next].prevFree = n
	s.mark(list)
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
