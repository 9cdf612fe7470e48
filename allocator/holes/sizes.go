package holes

import (
	"math"
	"math/bits"

	"dmasim/mem"
)

// SizeOrder says which holes come first.
type SizeOrder uint64

// The orders.
const (
	LargestFirst  SizeOrder = 0
	SmallestFirst SizeOrder = math.MaxUint64
)

// Sizes is a set of holes ordered by size, those of equal size by rising
// address. It answers "the smallest hole of at least this size", or the
// largest hole, and can leave out holes that start too high. It is the caller's
// part to keep it in step with an [Index].
//
// Sizes are divided into classes, sixteen for each power of two, and each class
// that is not empty has a tree: most of them are a single node. A tree has the
// size as key, complemented where small holes come first, and the complemented
// start as value: walking down, one meets holes in the order promised, and a
// low start is a great value.
type Sizes struct {
	nodes   nodes
	classes []tree   // in the order of the set
	used    []uint64 // bit i%64 of word i/64: classes[i] is not empty
	flip    uint64
	lowest  int // the class of the smallest holes
}

// NewSizes returns an empty set for holes of about the given sizes: others are
// found more slowly.
func NewSizes(order SizeOrder, smallest, largest uint64) *Sizes {
	s := &Sizes{flip: uint64(order), lowest: sizeClass(smallest)}
	s.classes = make([]tree, sizeClass(max(largest, smallest))-s.lowest+1)
	s.used = make([]uint64, (len(s.classes)+63)/64)
	for i := range s.classes {
		s.classes[i].nodes = &s.nodes
	}
	return s
}

// sizeClass returns the number of the class of a size: below 32 the size, then
// 16 for each power of two.
func sizeClass(size uint64) int {
	const classesLog = 5
	power := bits.Len64(size >> classesLog)
	if power == 0 {
		return int(size)
	}
	return power<<classesLog + int(size>>(power-1)&(1<<classesLog-1))
}

// class returns the index of the tree for a size.
func (s *Sizes) class(size uint64) int {
	i := min(max(sizeClass(size)-s.lowest, 0), len(s.classes)-1)
	if s.flip == uint64(LargestFirst) {
		i = len(s.classes) - 1 - i
	}
	return i
}

// Insert adds a hole, which must not be in the set or empty.
func (s *Sizes) Insert(hole mem.Range) {
	i := s.class(hole.Size())
	t := &s.classes[i]
	if t.entries == 0 {
		t.root = t.newNode(0)
		s.used[i/64] |= 1 << (i % 64)
	}
	var p path
	key := hole.Size() ^ s.flip
	t.descendPair(&p, key, ^hole.Lo)
	t.insert(&p, key, ^hole.Lo)
}

// Remove takes a hole out. It returns false if it is not in the set.
func (s *Sizes) Remove(hole mem.Range) bool {
	i := s.class(hole.Size())
	if s.classes[i].entries == 0 {
		return false
	}
	var p path
	s.classes[i].descendPair(&p, hole.Size()^s.flip, ^hole.Lo)
	if p.slot[0] < 0 || s.at(&p) != hole {
		return false
	}
	s.remove(i, &p)
	return true
}

// remove takes out the hole at a path in the tree of a class.
func (s *Sizes) remove(class int, p *path) {
	t := &s.classes[class]
	t.remove(p)
	if t.entries == 0 {
		t.discard(0, t.root)
		s.used[class/64] &^= 1 << (class % 64)
	}
}

// at returns the hole at p.
func (s *Sizes) at(p *path) mem.Range {
	e := s.nodes.leaves[p.node[0]].entry[p.slot[0]]
	return mem.Range{Lo: ^e.value, Hi: ^e.value + (e.key ^ s.flip)}
}

// SizeCursor walks over a set of holes in its order. Any change of the set ends
// its use.
type SizeCursor struct {
	sizes   *Sizes
	class   int
	path    path
	falling bool
	size    uint64 // of the hole at path, where falling
}

// All points the cursor before the first hole. Where falling is true, holes of
// equal size are visited by falling address.
func (c *SizeCursor) All(s *Sizes, falling bool) {
	*c = SizeCursor{sizes: s, class: -1, falling: falling}
}

// From is All from the holes of the given size on.
func (c *SizeCursor) From(s *Sizes, size uint64, falling bool) {
	c.sizes, c.class, c.falling, c.size = s, s.class(size), falling, 0
	if t := &s.classes[c.class]; t.entries > 0 {
		t.descendPair(&c.path, size^s.flip, math.MaxUint64)
		c.path.slot[0]++
	}
}

// Next returns the next hole that starts at or below last, which must be the
// same in every call.
func (c *SizeCursor) Next(last uint64) (mem.Range, bool) {
	s := c.sizes
	for {
		if c.class >= 0 && s.classes[c.class].entries > 0 && c.nextInClass(last) {
			return s.at(&c.path), true
		}
		if c.class = s.classAfter(c.class); c.class < 0 {
			return mem.Range{}, false
		}
		s.classes[c.class].behind(&c.path)
		c.size = 0
	}
}

// classAfter returns the first class behind i that is not empty, or -1.
func (s *Sizes) classAfter(i int) int {
	i++
	for word := i / 64; word < len(s.used); word++ {
		if used := s.used[word] &^ (1<<(i%64) - 1); used != 0 {
			return word*64 + bits.TrailingZeros64(used)
		}
		i = 0
	}
	return -1
}

func (c *SizeCursor) nextInClass(last uint64) bool {
	t := &c.sizes.classes[c.class]
	if !c.falling {
		return t.prev(&c.path, ^last)
	}
	// Holes of one size by falling address is up the tree.
	if c.size != 0 {
		if t.next(&c.path, 0) && c.sizes.at(&c.path).Size() == c.size {
			return true
		}
		t.descendPair(&c.path, c.size^c.sizes.flip, 0)
		c.path.slot[0]++
	}
	if !t.prev(&c.path, ^last) {
		return false
	}
	c.size = c.sizes.at(&c.path).Size()
	t.descendPair(&c.path, c.size^c.sizes.flip, max(^last, 1)-1)
	return t.next(&c.path, 0)
}

// Remove takes out the hole that Next returned last.
func (c *SizeCursor) Remove() { c.sizes.remove(c.class, &c.path) }
