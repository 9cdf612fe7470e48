package allocator

import (
	"math"
	"math/bits"

	"dmasim/allocator/holes"
	"dmasim/mem"
)

func init() {
	Register(Spec{
		Name:    "slab",
		Summary: "small blocks in slabs of one size each, slabs and all else by first fit: constant time where a slab has room, else logarithmic in the number of holes",
		Honours: HonoursAll,
		Params: []Param{
			{Name: "slab", Summary: "granules per slab; what is larger than half a slab is not placed in one", Default: 64, Min: 2, Max: 64},
		},
		New: newSlab,
	})
}

// slab is the slab allocator of Bonwick, "The Slab Allocator: An Object-Caching
// Kernel Memory Allocator" (USENIX Summer 1994), as far as it places blocks.
// Sizes are rounded up to a class: 1, 2, 3, 4, 6, 8, 12, … granules, two per
// power of two as Linux's kmalloc has them for small sizes. The blocks of a
// class are cut from slabs, and a slab that has room is used before another is
// made. So small blocks do not scatter over memory that large ones need; instead
// they waste up to a third of themselves, and what is free in their slabs.
//
// A slab goes back when its last block is freed, as in Linux's SLUB for all but
// the few that it keeps (min_partial; mm/slub.c), and as after a shrink. To keep
// some saves time, which is not what is simulated here.
//
// A request that a slab cannot serve as it serves others, because it is large,
// wants the high end, or has a boundary, a rule, a window that leaves out a part
// of the arena or an alignment that no class has, is placed by first fit. So is
// one for which there is no room for another slab. What is free in a slab serves
// its class only.
type slab struct {
	addressOrdered
	hull    mem.Range
	size    uint64 // bytes of a slab
	classes []slabClass
	slabs   []slabNode // the first stands for none
	spare   uint32     // slabs not in use, linked by next
	home    []uint32   // by row of the live blocks: the slab, or 0
}

// slabClass is a size of blocks.
type slabClass struct {
	size    uint64 // bytes
	whole   uint64 // room of a slab that is free
	partial uint32 // slabs with room, linked by next and prev
}

type slabNode struct {
	addr       uint64
	room       uint64 // bit i: block i is free
	prev, next uint32
	class      uint32
}

func newSlab(cfg Config) (Strategy, error) {
	a := newAddressOrdered(cfg)
	s := &slab{addressOrdered: a, hull: cfg.Usable().Hull(), slabs: make([]slabNode, 1)}
	granules := cfg.Params["slab"]
	if granules > a.holes.Largest()/a.granule {
		return s, nil // no slab fits: all is placed by first fit
	}
	s.size = granules * a.granule
	for power := uint64(1); power <= granules/2; power *= 2 {
		s.addClass(power, granules)
		if power > 1 && power+power/2 <= granules/2 {
			s.addClass(power+power/2, granules)
		}
	}
	return s, nil
}

func (s *slab) addClass(n, granules uint64) {
	blocks := granules / n
	s.classes = append(s.classes, slabClass{size: n * s.granule, whole: math.MaxUint64 >> (64 - blocks)})
}

// Alloc implements Strategy.
func (s *slab) Alloc(r Request) (Block, bool) {
	reserved, ok := s.round(&r)
	if !ok {
		return Block{}, false
	}
	if class, ok := s.classOf(&r, reserved); ok {
		if n := s.slabOf(class); n != 0 {
			return s.cut(n), true
		}
	}
	if reserved > s.holes.Largest() {
		return Block{}, false
	}
	var b Block
	if r.Dir == High {
		b, ok = s.allocHigh(&r, reserved, math.MaxUint64)
	} else {
		b, ok = s.allocLow(&r, reserved, 0)
	}
	if ok {
		s.settle(b, 0)
	}
	return b, ok
}

// round puts the request on the granule.
func (s *slab) round(r *Request) (reserved uint64, ok bool) {
	reserved, ok = alignUp(r.Size, s.granule)
	return reserved, ok && reserved > 0 && r.windows() > 0 && r.AlignTo(s.granule)
}

// classOf returns the class whose blocks serve a request wherever their slab is.
func (s *slab) classOf(r *Request, reserved uint64) (uint32, bool) {
	if reserved > s.size/2 || r.Dir == High || r.Boundary != 0 || r.Rule != nil || s.size%r.Align != 0 || !r.covers(s.hull) {
		return 0, false
	}
	for i := s.firstClass(reserved); i < uint32(len(s.classes)); i++ {
		if s.classes[i].size%r.Align == 0 {
			return i, true
		}
	}
	return 0, false
}

// firstClass returns the smallest class of at least that many bytes, of which
// there may be none.
func (s *slab) firstClass(reserved uint64) uint32 {
	n := reserved / s.granule
	if n <= 2 {
		return uint32(n - 1)
	}
	power := uint32(bits.Len64(n - 1)) // 2^(power-1) < n <= 2^power
	if n <= 3<<power>>2 {
		return 2*power - 2
	}
	return 2*power - 1
}

// slabOf returns a slab of a class that has room, if need be a new one at the
// lowest place, or 0.
func (s *slab) slabOf(class uint32) uint32 {
	c := &s.classes[class]
	if c.partial != 0 {
		return c.partial
	}
	r := Request{Size: s.size, Align: s.size}
	var cursor holes.Cursor
	cursor.From(s.holes, 0)
	for hole, ok := cursor.Next(s.size); ok; hole, ok = cursor.Next(s.size) {
		if start, ok := r.Place(hole.Lo, hole.Hi, false); ok {
			cursor.Take(start, start+s.size)
			n := s.newNode()
			s.slabs[n] = slabNode{addr: start, room: c.whole, class: class}
			s.link(n)
			return n
		}
	}
	return 0
}

// cut hands out the lowest free block of a slab that has room.
func (s *slab) cut(n uint32) Block {
	slab := &s.slabs[n]
	i := bits.TrailingZeros64(slab.room)
	slab.room &^= 1 << i
	if slab.room == 0 {
		s.unlink(n)
	}
	size := s.classes[slab.class].size
	b := s.live.add(slab.addr+uint64(i)*size, size)
	s.settle(b, n)
	return b
}

// settle notes where a block lives.
func (s *slab) settle(b Block, n uint32) {
	row := int(uint32(b.Ref))
	for row >= len(s.home) {
		s.home = append(s.home, 0)
	}
	s.home[row] = n
}

// Free implements Strategy.
func (s *slab) Free(b Block) error {
	if err := s.live.remove(b); err != nil {
		return &FreeError{b, err}
	}
	n := s.home[uint32(b.Ref)]
	if n == 0 {
		s.holes.Give(b.Addr, b.Addr+b.Size)
		return nil
	}
	slab := &s.slabs[n]
	if slab.room == 0 {
		s.link(n)
	}
	class := &s.classes[slab.class]
	slab.room |= 1 << ((b.Addr - slab.addr) / class.size)
	if slab.room == class.whole {
		s.unlink(n)
		s.holes.Give(slab.addr, slab.addr+s.size)
		slab.next, s.spare = s.spare, n
	}
	return nil
}

func (s *slab) newNode() uint32 {
	if n := s.spare; n != 0 {
		s.spare = s.slabs[n].next
		return n
	}
	s.slabs = append(s.slabs, slabNode{})
	return uint32(len(s.slabs) - 1)
}

// link puts a slab at the head of the list of its class.
func (s *slab) link(n uint32) {
	slab := &s.slabs[n]
	head := &s.classes[slab.class].partial
	slab.prev, slab.next = 0, *head
	s.slabs[*head].prev = n
	*head = n
}

// unlink takes a slab off the list of its class.
func (s *slab) unlink(n uint32) {
	slab := &s.slabs[n]
	s.slabs[slab.next].prev = slab.prev
	if slab.prev != 0 {
		s.slabs[slab.prev].next = slab.next
	} else {
		s.classes[slab.class].partial = slab.next
	}
}
