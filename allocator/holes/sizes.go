package holes

import (
	"math"
	"math/bits"

	"dmasim/mem"
)

// Sizes is a set of holes ordered by size, those of equal size by rising
// address. It answers "the smallest hole of at least this size", and can leave
// out holes that start too high. It is the caller's part to keep it in step with
// an [Index].
//
// Sizes are divided into classes, sixteen for each power of two, and each class
// that is not empty has a tree: most of them are a single node. A tree has the
// complemented size as key and the complemented start as value: walking down,
// one meets holes in the order promised, and a low start is a great value.
type Sizes struct {
	nodes   nodes
	classes []tree
	used    []uint64 // bit i%64 of word i/64: classes[i] is not empty
	lowest  int      // the class of the smallest holes
}

// NewSizes returns an empty set for holes of the given sizes. Smaller and larger
// ones share the first and the last class.
func NewSizes(smallest, largest uint64) *Sizes {
	s := &Sizes{lowest: sizeClass(smallest)}
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
	const classesLog = 4
	power := bits.Len64(size >> classesLog)
	if power == 0 {
		return int(size)
	}
	return power<<classesLog + int(size>>(power-1)&(1<<classesLog-1))
}

// class returns the index of the tree for a size.
func (s *Sizes) class(size uint64) int {
	return min(max(sizeClass(size)-s.lowest, 0), len(s.classes)-1)
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
	t.descendPair(&p, ^hole.Size(), ^hole.Lo)
	t.insert(&p, ^hole.Size(), ^hole.Lo)
}

// Remove takes a hole out. It returns false if it is not in the set.
func (s *Sizes) Remove(hole mem.Range) bool {
	i := s.class(hole.Size())
	if s.classes[i].entries == 0 {
		return false
	}
	var p path
	s.classes[i].descendPair(&p, ^hole.Size(), ^hole.Lo)
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
	return sizedHole(s.nodes.leaves[p.node[0]].entry[p.slot[0]])
}

func sizedHole(e entry) mem.Range { return mem.Range{Lo: ^e.value, Hi: ^e.value + ^e.key} }

// SizeCursor walks over a set of holes in its order. Any change of the set ends
// its use.
type SizeCursor struct {
	sizes   *Sizes
	class   int
	path    path
	leaf    *node // at the end of path
	falling bool
	size    uint64 // of the hole at path, where falling
}

// From points the cursor before the first hole of at least size bytes. Where
// falling is true, holes of equal size are visited by falling address.
func (c *SizeCursor) From(s *Sizes, size uint64, falling bool) {
	c.sizes, c.class, c.falling, c.size = s, s.class(size), falling, 0
	t := &s.classes[c.class]
	if t.entries == 0 {
		c.leaf = nil
		return
	}
	t.descendPair(&c.path, ^size, math.MaxUint64)
	c.path.slot[0]++
	c.leaf = &s.nodes.leaves[c.path.node[0]]
}

// Next returns the next hole that starts at or below last, which must be the
// same in every call.
func (c *SizeCursor) Next(last uint64) (mem.Range, bool) {
	// Mostly it is the neighbour.
	if slot := c.path.slot[0] - 1; slot >= 0 && c.leaf != nil && !c.falling && c.leaf.entry[slot].value >= ^last {
		c.path.slot[0] = slot
		return sizedHole(c.leaf.entry[slot]), true
	}
	return c.search(last)
}

func (c *SizeCursor) search(last uint64) (mem.Range, bool) {
	s := c.sizes
	for c.leaf == nil || !c.searchClass(last) {
		if c.class = s.classAfter(c.class); c.class < 0 {
			return mem.Range{}, false
		}
		c.size = 0
		t := &s.classes[c.class]
		t.behind(&c.path)
		c.leaf = &s.nodes.leaves[0] // not nil: the class is not empty
	}
	c.leaf = &s.nodes.leaves[c.path.node[0]]
	return s.at(&c.path), true
}

// searchClass leads the path to the next hole in its class.
func (c *SizeCursor) searchClass(last uint64) bool {
	t := &c.sizes.classes[c.class]
	if !c.falling {
		return t.prev(&c.path, ^last)
	}
	// Holes of one size by falling address is up the tree.
	if c.size != 0 {
		if t.next(&c.path, 0) && c.sizes.at(&c.path).Size() == c.size {
			return true
		}
		t.descendPair(&c.path, ^c.size, 0)
		c.path.slot[0]++
	}
	if !t.prev(&c.path, ^last) {
		return false
	}
	c.size = c.sizes.at(&c.path).Size()
	t.descendPair(&c.path, ^c.size, max(^last, 1)-1)
	return t.next(&c.path, 0)
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

// Remove takes out the hole that Next returned last.
func (c *SizeCursor) Remove() { c.sizes.remove(c.class, &c.path) }
