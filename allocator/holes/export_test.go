package holes

import (
	"fmt"
	"slices"
)

// Check returns what is wrong with the shape of the tree.
func (x *Index) Check() error {
	entries, largest, err := x.check(x.root, x.height, 0, absent.key)
	switch {
	case err != nil:
		return err
	case entries != x.entries:
		return fmt.Errorf("%d entries, counted %d", entries, x.entries)
	case largest != x.most:
		return fmt.Errorf("largest %d, kept %d", largest, x.most)
	}
	return nil
}

// check visits the node id of a level, whose starts belong in [lo, hi).
func (t *tree) check(id uint32, level int, lo, hi uint64) (entries int, largest uint64, err error) {
	n := t.node(level, id)
	if level < t.height && n.n < sparse || level > 0 && n.n < 2 && id == t.root {
		return 0, 0, fmt.Errorf("level %d of %d: node with %d entries", level, t.height, n.n)
	}
	for i := range width {
		if i >= n.n {
			if n.entry[i] != absent || level > 0 && t.inners[id].most[i] != 0 {
				return 0, 0, fmt.Errorf("level %d: entry %d of %d is not absent", level, i, n.n)
			}
			continue
		}
		if level == 0 {
			if n.entry[i].key < lo || n.entry[i].key >= hi || n.entry[i].value == 0 {
				return 0, 0, fmt.Errorf("start %#x outside [%#x, %#x)", n.entry[i].key, lo, hi)
			}
			entries++
			lo = n.entry[i].key + n.entry[i].value
			if lo > hi {
				return 0, 0, fmt.Errorf("end %#x above the bound %#x", lo, hi)
			}
		} else {
			if n.entry[0] != (entry{}) {
				return 0, 0, fmt.Errorf("level %d: first bound %#x", level, n.entry[0].key)
			}
			below, above := lo, hi
			if i > 0 {
				below = n.entry[i].key
			}
			if i+1 < n.n {
				above = n.entry[i+1].key
			}
			e, m, err := t.check(t.inners[id].child[i], level-1, below, above)
			if err != nil {
				return 0, 0, err
			}
			for _, c := range t.columns {
				if longest := t.longest(&c, level-1, t.inners[id].child[i]); c.longest[id][i] < longest {
					return 0, 0, fmt.Errorf("level %d: fit %d bound by %d, but %d fits", level, c.fit, c.longest[id][i], longest)
				}
			}
			if m != t.inners[id].most[i] {
				return 0, 0, fmt.Errorf("level %d: most %d, kept %d", level, m, t.inners[id].most[i])
			}
			entries += e
		}
	}
	if level > 0 && t.tallies != nil {
		if err := t.checkTallies(level, id); err != nil {
			return 0, 0, err
		}
	}
	return entries, t.greatest(level, id), nil
}

// checkTallies counts the holes below an inner node again.
func (t *tree) checkTallies(level int, id uint32) error {
	c := t.tallies
	count, sum := make([]uint32, c.classes), make([]uint64, c.classes)
	var outside error
	var walk func(level int, id uint32)
	walk = func(level int, id uint32) {
		n := t.node(level, id)
		for i, e := range n.entry[:n.n] {
			if level > 0 {
				walk(level-1, t.inners[id].child[i])
				continue
			}
			class := c.class(e.value)
			if least := c.smallest(class); e.value < least || c.class(least) != class {
				outside = fmt.Errorf("class %d of sizes from %d on has %d", class, least, e.value)
			}
			count[class]++
			sum[class] += e.value
		}
	}
	walk(level, id)
	if kept, bytes := c.of(id); !slices.Equal(kept, count) || !slices.Equal(bytes, sum) {
		return fmt.Errorf("level %d: tallies %v %v, kept %v %v", level, count, sum, kept, bytes)
	}
	return outside
}

// Check returns what is wrong with the shape of the trees.
func (s *Sizes) Check() error {
	for i := range s.classes {
		t := &s.classes[i]
		if (t.entries > 0) != (s.used[i/64]>>(i%64)&1 == 1) {
			return fmt.Errorf("class %d: %d entries, but the bit says otherwise", i, t.entries)
		}
		if t.entries > 0 {
			if err := t.checkShape(); err != nil {
				return err
			}
		}
	}
	return nil
}

// Len returns the number of holes.
func (s *Sizes) Len() (n int) {
	for i := range s.classes {
		n += s.classes[i].entries
	}
	return n
}

func (t *tree) checkShape() error {
	var walk func(id uint32, level int) (int, error)
	walk = func(id uint32, level int) (int, error) {
		n := t.node(level, id)
		if level < t.height && n.n < sparse || level > 0 && n.n < 2 {
			return 0, fmt.Errorf("level %d of %d: node with %d entries", level, t.height, n.n)
		}
		entries := n.n
		if level > 0 {
			entries = 0
			for _, child := range t.inners[id].child[:n.n] {
				e, err := walk(child, level-1)
				if err != nil {
					return 0, err
				}
				entries += e
			}
		}
		return entries, nil
	}
	entries, err := walk(t.root, t.height)
	if err == nil && entries != t.entries {
		err = fmt.Errorf("%d entries, kept %d", entries, t.entries)
	}
	return err
}

// Height returns the number of levels above the leaves.
func (x *Index) Height() int { return x.height }
