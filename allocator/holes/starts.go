package holes

import (
	"math"
	"math/bits"

	"dmasim/mem"
)

// Starts is the set of addresses at which a block of Size bytes can start: the
// multiples of Align from which on so many bytes are free and in Window. Size and
// Align are not 0.
type Starts struct {
	Size, Align uint64
	Window      mem.Range
}

// in returns the lowest of the starts in a hole, and how many there are, one each
// Align bytes.
func (s *Starts) in(hole mem.Range) (first, count uint64) {
	hole = hole.Intersect(s.Window)
	gap := hole.Lo % s.Align
	if gap > 0 {
		gap = s.Align - gap
	}
	if room := hole.Size(); hole.Empty() || room < s.Size || room-s.Size < gap {
		return 0, 0
	}
	return hole.Lo + gap, (hole.Size()-s.Size-gap)/s.Align + 1
}

// tallies has for every inner node the number of holes below it, and the sum of
// their sizes, by class of size. There are two classes for each power of two.
//
// From these follows a bound of the number of starts below a node: a hole of n
// bytes that is long enough has at most (n - Size + Align) / Align of them. What is
// not known is which holes of the class of Size are long enough, and where a hole
// lies to the multiples of Align.
type tallies struct {
	classes int
	unit    uint // sizes are multiples of more than 2^unit bytes, or of that
	count   []uint32
	sum     []uint64
}

// KeepTallies makes Draw cheap, for an arena whose holes are multiples of a
// granule. Every change of the index costs a little more from then on.
func (x *Index) KeepTallies(granule uint64) {
	granule = max(granule, 1)
	c := &tallies{unit: uint(bits.Len64(granule) - 1)}
	c.classes = c.class(max(x.arena.Hull().Size(), granule)) + 1
	x.tallies = c
	c.grow(len(x.inners))
	x.tallyAll(x.height, x.root)
}

// class returns the number of the class of a size.
func (c *tallies) class(size uint64) int {
	units := size >> (c.unit & 63)
	power := bits.Len64(units)
	return 2*(power-1) + int(units<<1>>(power-1)&1)
}

// smallest returns the smallest size that may be in a class.
func (c *tallies) smallest(class int) uint64 {
	if class < 2 {
		return 1 << (c.unit & 63)
	}
	return uint64(2+class&1) << (class/2 - 1) << (c.unit & 63)
}

// grow makes room for as many nodes. The capacity grows as theirs.
func (c *tallies) grow(nodes int) {
	if n := nodes * c.classes; n > cap(c.count) {
		room := (nodes + nodes/32 + 1) * c.classes
		c.count = append(make([]uint32, 0, room), c.count...)
		c.sum = append(make([]uint64, 0, room), c.sum...)
	}
	c.count, c.sum = c.count[:nodes*c.classes], c.sum[:nodes*c.classes]
}

// count counts a hole of a size below all nodes of a path, uncount takes one back,
// and recount changes the size of one.
func (t *tree) count(p *path, size uint64) {
	if c := t.tallies; c != nil {
		class := c.class(size)
		for _, id := range p.node[1 : t.height+1] {
			at := int(id)*c.classes + class
			c.count[at]++
			c.sum[at] += size
		}
	}
}

func (t *tree) uncount(p *path, size uint64) {
	if c := t.tallies; c != nil {
		class := c.class(size)
		for _, id := range p.node[1 : t.height+1] {
			at := int(id)*c.classes + class
			c.count[at]--
			c.sum[at] -= size
		}
	}
}

func (t *tree) recount(p *path, was, now uint64) {
	if t.tallies != nil {
		t.uncount(p, was)
		t.count(p, now)
	}
}

// tallyAll counts the holes below a node and all nodes below it.
func (t *nodes) tallyAll(level int, id uint32) {
	if level == 0 {
		return
	}
	for _, child := range t.inners[id].child[:t.inners[id].n] {
		t.tallyAll(level-1, child)
	}
	t.tally(level, id)
}

// tally counts the holes below an inner node, from what is kept of its children.
func (t *nodes) tally(level int, id uint32) {
	c := t.tallies
	if c == nil || level == 0 {
		return
	}
	count, sum := c.of(id)
	clear(count)
	clear(sum)
	in := &t.inners[id]
	for _, child := range in.child[:in.n] {
		if level == 1 {
			l := &t.leaves[child]
			for i := range l.n {
				class := c.class(l.entry[i].value)
				count[class]++
				sum[class] += l.entry[i].value
			}
			continue
		}
		n, bytes := c.of(child)
		for i := range n {
			count[i] += n[i]
			sum[i] += bytes[i]
		}
	}
}

// of returns the tallies of an inner node.
func (c *tallies) of(id uint32) (count []uint32, sum []uint64) {
	at := int(id) * c.classes
	return c.count[at : at+c.classes], c.sum[at : at+c.classes]
}

// draw is what Draw looks for.
type draw struct {
	Starts
	class int    // of Size
	least uint64 // the smallest size in it
	step  uint64 // what a start weighs: Align, or less where that is more than any hole has
	over  bool   // weights do not fit in 64 bits
}

// Draw returns one of the starts, each with the same probability. Random returns a
// number less than its argument, each with the same probability. Found is false if
// there is no start; known is false if that is not known after so many draws, each
// of which costs a logarithm of the number of holes.
//
// A node just above the leaves is drawn, with a weight that is at least that of the
// starts below it. Its starts are counted, and one is chosen or, in the proportion
// that the weight was too high, none, in which case Draw begins again. So what is
// chosen is exact.
func (x *Index) Draw(s Starts, draws int, random func(uint64) uint64) (start uint64, found, known bool) {
	c := x.tallies
	d := draw{Starts: s, step: min(s.Align, x.most)}
	if x.most < s.Size {
		return 0, false, true
	}
	d.class = c.class(s.Size)
	d.least = min(c.smallest(d.class), s.Size)
	total := x.weigh(&d, x.height, x.root, x.most, x.arena.Hull())
	if d.over || total == 0 {
		return 0, false, !d.over
	}
	for range draws {
		if start, found = x.pick(&d, random(total)); found {
			return start, true, true
		}
	}
	return 0, false, false
}

// weigh returns the weight of a node, whose holes lie in a range and have at most
// so many bytes.
func (x *Index) weigh(d *draw, level int, id uint32, most uint64, in mem.Range) (weight uint64) {
	if most < d.Size {
		return 0
	}
	if level > 1 && !d.Window.Contains(in) {
		node := &x.inners[id]
		for i := range node.n {
			if below := node.bounds(i, in); below.Overlaps(d.Window) {
				weight = d.add(weight, x.weigh(d, level-1, node.child[i], node.most[i], below))
			}
		}
		return weight
	}
	if level <= 1 && (level == 0 || !d.Window.Contains(in)) {
		_, count, _ := x.nth(d, level, id, math.MaxUint64)
		over, weight := bits.Mul64(count, d.step)
		d.over = d.over || over != 0
		return weight
	}
	count, sum := x.tallies.of(id)
	var holes, bytes uint64
	for i := x.tallies.class(most); i > d.class; i-- {
		holes += uint64(count[i])
		bytes += sum[i]
	}
	own := uint64(count[d.class])
	bytes += sum[d.class] - own*d.least - holes*d.Size
	over, gaps := bits.Mul64(own+holes, d.step)
	d.over = d.over || over != 0
	return d.add(bytes, gaps)
}

func (d *draw) add(a, b uint64) uint64 {
	sum, carry := bits.Add64(a, b, 0)
	d.over = d.over || carry != 0
	return sum
}

// bounds returns the range in which holes below a child lie.
func (in *inner) bounds(i int, all mem.Range) mem.Range {
	if i > 0 {
		all.Lo = in.entry[i].key
	}
	if i+1 < in.n {
		all.Hi = in.entry[i+1].key
	}
	return all
}

// pick returns the start to which a weight leads, or false if it is more than that
// of the starts in the node to which it leads.
func (x *Index) pick(d *draw, weight uint64) (uint64, bool) {
	level, id, in := x.height, x.root, x.arena.Hull()
	for level > 1 {
		node := &x.inners[id]
		for i := range node.n {
			below := node.bounds(i, in)
			if !below.Overlaps(d.Window) {
				continue
			}
			child := node.child[i]
			w := x.weigh(d, level-1, child, node.most[i], below)
			if weight < w {
				level, id, in = level-1, child, below
				break
			}
			weight -= w
		}
	}
	start, _, found := x.nth(d, level, id, weight/d.step)
	return start, found
}

// nth returns the start of that number of those in a leaf, or in the leaves below a
// node; or else how many there are.
func (x *Index) nth(d *draw, level int, id uint32, n uint64) (start, count uint64, found bool) {
	if level > 0 {
		in := &x.inners[id]
		for i, child := range in.child[:in.n] {
			if in.most[i] < d.Size {
				continue
			}
			start, below, found := x.nth(d, level-1, child, n-count)
			if found {
				return start, 0, true
			}
			count += below
		}
		return 0, count, false
	}
	l := &x.leaves[id]
	for i := range l.n {
		if e := &l.entry[i]; e.value >= d.Size {
			first, starts := d.in(holeOf(*e))
			if n-count < starts {
				return first + (n-count)*d.Align, 0, true
			}
			count += starts
		}
	}
	return 0, count, false
}
