package drmmm

import "fmt"

// Check returns an error if a tree of the manager is not a red-black tree, is
// out of order, or has a wrong greatest value.
func (m *Manager) Check() error {
	for _, t := range []*tree{&m.byAddr, &m.bySize} {
		if t.nodes[0] != (treeNode{}) {
			return fmt.Errorf("node 0 is %+v", t.nodes[0])
		}
		if t.nodes[t.root].red || t.nodes[t.root].parent != 0 {
			return fmt.Errorf("root %d is %+v", t.root, t.nodes[t.root])
		}
		if _, err := t.check(t.root); err != nil {
			return err
		}
	}
	return nil
}

func (t *tree) check(n uint32) (blacks int, err error) {
	if n == 0 {
		return 1, nil
	}
	p := t.nodes[n]
	for _, child := range []uint32{p.left, p.right} {
		c := t.nodes[child]
		if child == 0 {
			continue
		}
		before := c.key < p.key || c.key == p.key && c.tie < p.tie
		if c.parent != n || c.red && p.red || before != (child == p.left) {
			return 0, fmt.Errorf("%d below %d: %+v below %+v", child, n, c, p)
		}
	}
	if p.most != max(p.value, t.nodes[p.left].most, t.nodes[p.right].most) {
		return 0, fmt.Errorf("%d: greatest value %d", n, p.most)
	}
	left, err := t.check(p.left)
	if err != nil {
		return 0, err
	}
	right, err := t.check(p.right)
	if err != nil {
		return 0, err
	}
	if left != right {
		return 0, fmt.Errorf("%d: %d black nodes to the left, %d to the right", n, left, right)
	}
	if !p.red {
		left++
	}
	return left, nil
}
