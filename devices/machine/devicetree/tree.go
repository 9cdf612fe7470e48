package devicetree

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"github.com/u-root/u-root/pkg/dt"
)

// node is a node of a tree with the way up.
type node struct {
	*dt.Node
	parent   *node
	children []*node
	enabled  bool // its own status and those above it
	cells    *childCells
}

// childCells is how many cells addresses and sizes of a node's children have.
type childCells struct{ address, size int }

// tree is a blob's tree.
type tree struct {
	root     *node
	nodes    []*node // in the order of the blob
	handles  map[uint32]*node
	warnings []string
	warned   map[string]bool
	buses    map[*node]*bus
}

func newTree(fdt *dt.FDT) *tree {
	t := &tree{handles: map[uint32]*node{}, warned: map[string]bool{}, buses: map[*node]*bus{}}
	var add func(n *dt.Node, parent *node) *node
	add = func(n *dt.Node, parent *node) *node {
		made := &node{Node: n, parent: parent, enabled: parent == nil || parent.enabled}
		made.enabled = made.enabled && made.available()
		t.nodes = append(t.nodes, made)
		for _, key := range []string{"phandle", "linux,phandle"} {
			if handle, ok := made.number(key); ok && t.handles[handle] == nil {
				t.handles[handle] = made
			}
		}
		for _, child := range n.Children {
			made.children = append(made.children, add(child, made))
		}
		return made
	}
	t.root = add(fdt.RootNode, nil)
	return t
}

// Bounds on what a strange tree has to say.
const (
	mostWarnings   = 100
	longestWarning = 500
)

func (t *tree) warn(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if len(text) > longestWarning {
		text = strings.ToValidUTF8(text[:longestWarning], "") + "…"
	}
	if !t.warned[text] && len(t.warnings) < mostWarnings {
		t.warned[text] = true
		t.warnings = append(t.warnings, text)
	}
}

// path returns the names from the root down.
func (n *node) path() string {
	if n.parent == nil {
		return "/"
	}
	var names []string
	for ; n.parent != nil; n = n.parent {
		names = append(names, n.Name)
	}
	slices.Reverse(names)
	return clip("/" + strings.Join(names, "/"))
}

// generic returns the name without the unit address.
func (n *node) generic() string {
	name, _, _ := strings.Cut(n.Name, "@")
	return name
}

func (n *node) value(key string) ([]byte, bool) {
	p, ok := n.LookProperty(key)
	if !ok {
		return nil, false
	}
	return p.Value, true
}

func (n *node) has(key string) bool {
	_, ok := n.LookProperty(key)
	return ok
}

// number reads a property of one cell.
func (n *node) number(key string) (uint32, bool) {
	v, ok := n.value(key)
	if !ok || len(v) != 4 {
		return 0, false
	}
	return binary.BigEndian.Uint32(v), true
}

// texts reads a property that is a list of strings.
func (n *node) texts(key string) []string {
	v, ok := n.value(key)
	if !ok || len(v) == 0 {
		return nil
	}
	var list []string
	for _, text := range bytes.Split(bytes.TrimSuffix(v, []byte{0}), []byte{0}) {
		list = append(list, clip(string(text)))
	}
	return list
}

func (n *node) text(key string) string {
	if list := n.texts(key); len(list) > 0 {
		return list[0]
	}
	return ""
}

func (n *node) compatible(with string) bool { return slices.Contains(n.texts("compatible"), with) }

// available reports whether its status says that the node is in use.
func (n *node) available() bool {
	if !n.has("status") {
		return true
	}
	status := n.text("status")
	return status == "okay" || status == "ok"
}

func (n *node) child(name string) *node {
	for _, c := range n.children {
		if c.Name == name {
			return c
		}
	}
	return nil
}

// handle returns the node that the property's cell points to, by its index.
func (t *tree) handle(value []byte, cell int) *node {
	if len(value) < 4*(cell+1) {
		return nil
	}
	return t.handles[binary.BigEndian.Uint32(value[4*cell:])]
}

// maxCells is the most cells that an address can have (OF_MAX_ADDR_CELLS).
const maxCells = 4

// cells returns how many cells the addresses and sizes of the node's children
// have, as the kernel reads it: where the node does not say, the nearest one
// above that does decides. The specification has 2 and 1 there.
func (t *tree) cells(n *node) (address, size int) {
	if n.cells != nil {
		return n.cells.address, n.cells.size
	}
	read := func(key string, standard int) int {
		for up := n; up != nil; up = up.parent {
			if c, ok := up.number(key); ok {
				if up != n && int(c) != standard {
					t.warn("%s has no %s: Linux takes the %d of %s, the specification %d; read as Linux does",
						n.path(), key, c, up.path(), standard)
				}
				return int(min(c, maxCells+1))
			}
		}
		return maxCells + 1
	}
	n.cells = &childCells{read("#address-cells", 2), read("#size-cells", 1)}
	return n.cells.address, n.cells.size
}

// cellReader takes numbers of several cells off a property.
type cellReader struct{ rest []byte }

// next returns a number of that many cells, of which the lowest 64 bits count,
// and whether the others are zero.
func (r *cellReader) next(cells int) (n uint64, fits bool) {
	fits = true
	for range cells {
		fits = fits && n>>32 == 0
		n = n<<32 | uint64(binary.BigEndian.Uint32(r.rest))
		r.rest = r.rest[4:]
	}
	return n, fits
}

// maxPairs is the most entries of a property that are read.
const maxPairs = 1 << 10

// pairs reads a list of addresses with sizes, such as reg. It returns false
// where the length of the property is no multiple of a pair's, or beyond all measure.
func pairs(value []byte, address, size int) (list []pair, whole bool) {
	step := 4 * (address + size)
	if step == 0 || len(value)%step != 0 || len(value)/step > maxPairs || address > maxCells || size > maxCells {
		return nil, false
	}
	for r := (cellReader{value}); len(r.rest) > 0; {
		var p pair
		var fit [2]bool
		p.base, fit[0] = r.next(address)
		p.size, fit[1] = r.next(size)
		p.fits = fit[0] && fit[1] && (p.size == 0 || p.base+p.size-1 >= p.base)
		list = append(list, p)
	}
	return list, true
}

// pair is an address with a size.
type pair struct {
	base, size uint64
	fits       bool // in 64 bits
}
