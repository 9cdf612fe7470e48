package holes

import (
	"math"
	"math/bits"

	"dmasim/mem"
)

// Sizes is a set of holes ordered by size, those of equal size by rising
// address. It answers "the smallest hole of at least this size". It is the
// caller's part to keep it in step with an [Index].
//
// Sizes are divided into classes, sixteen for each power of two, and each class
// that is not empty has a tree: most of them are a single node. A tree has the
// complemented size as key and the complemented start as value: walking down,
// one meets holes in that order.
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
	t := &s.classes[i]
	if t.entries == 0 {
		return false
	}
	var p path
	t.descendPair(&p, ^hole.Size(), ^hole.Lo)
	if p.slot[0] < 0 || s.at(&p) != hole {
		return false
	}
	t.remove(&p)
	if t.entries == 0 {
		t.discard(0, t.root)
		s.used[i/64] &^= 1 << (i % 64)
	}
	return true
}

// AtLeast returns the smallest hole of at least size bytes, the lowest if
// several are equally small.
func (s *Sizes) AtLeast(size uint64) (mem.Range, bool) {
	var p path
	i := s.class(size)
	if t := &s.classes[i]; t.entries > 0 {
		t.descendPair(&p, ^size, math.MaxUint64)
		p.slot[0]++
		if t.prev(&p, 0) {
			return s.at(&p), true
		}
	}
	if i = s.classAfter(i); i < 0 {
		return mem.Range{}, false
	}
	s.classes[i].behind(&p)
	s.classes[i].prev(&p, 0)
	return s.at(&p), true
}

// at returns the hole at p.
func (s *Sizes) at(p *path) mem.Range {
	e := s.nodes.leaves[p.node[0]].entry[p.slot[0]]
	return mem.Range{Lo: ^e.value, Hi: ^e.value + ^e.key}
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
