package devicetree

import (
	"math"

	"dmasim/devices"
	"dmasim/mem"
)

// The most buses with windows that are read, of which real trees have ten, and
// windows of a bus, of which they have three.
const (
	maxBuses   = 1 << 8
	maxWindows = 16
)

// bus is a node with dma-ranges and what they come to.
type bus struct {
	at      *node
	windows []devices.Translation
}

// dmaParent returns the node that the device's transfers go through: the provider
// of the interconnect named dma-mem, else the parent. Source: drivers/of/address.c,
// __of_get_dma_parent.
func (t *tree) dmaParent(n *node) *node {
	names := n.texts("interconnect-names")
	value, _ := n.value("interconnects")
	// Each entry is a handle with as many cells as its provider wants.
	for cell := 0; cell < len(value)/4 && len(names) > 0; names = names[1:] {
		provider := t.handle(value, cell)
		if provider == nil {
			break
		}
		if names[0] == "dma-mem" {
			return provider
		}
		arguments, _ := provider.number("#interconnect-cells")
		cell += 1 + int(min(arguments, math.MaxInt16))
	}
	return n.parent
}

// busOf returns the bus whose windows hold for a device whose transfers go
// through the node, and nil where none do. Source: of_dma_get_range. An empty
// dma-ranges is identity, and the search goes on above; from the second node on, a
// missing one ends it.
func (t *tree) busOf(through *node) *bus {
	for level := 0; through != nil && level < maxDepth; level++ {
		value, ok := through.value("dma-ranges")
		switch {
		case ok && len(value) > 0:
			return t.bus(through)
		case !ok && level > 0:
			return nil
		}
		through = t.dmaParent(through)
	}
	return nil
}

// bus returns the windows of a node's dma-ranges in CPU-physical addresses.
func (t *tree) bus(n *node) *bus {
	if b := t.buses[n]; b != nil {
		return b
	}
	b := &bus{at: n}
	t.buses[n] = b
	value, _ := n.value("dma-ranges")
	child, size := t.cells(n)
	parent, _ := t.parentCells(n)
	step := 4 * (child + parent + size)
	if len(value) == 0 {
		return b
	}
	if child > maxCells || parent > maxCells || size > maxCells || step == 0 || len(value)%step != 0 || len(value)/step > maxWindows {
		t.warn("%s: dma-ranges has %d bytes, want a few entries of %d, %d and %d cells; read as having no windows", n.path(), len(value), child, parent, size)
		return b
	}
	for r := (cellReader{value}); len(r.rest) > 0; {
		cells := child
		if child == 3 { // a PCI bus, whose first cell are flags
			r.rest = r.rest[4:]
			cells = 2
		}
		var w struct{ bus, parent, size uint64 }
		var fits [3]bool
		w.bus, fits[0] = r.next(cells)
		w.parent, fits[1] = r.next(parent)
		w.size, fits[2] = r.next(size)
		if w.size&1 != 0 {
			t.warn("%s: a dma-ranges of 0x%x bytes is taken for a mask, one byte more is read", n.path(), w.size)
			w.size++
		}
		cpu, reached := t.translate(n, w.parent)
		if w.size == 0 {
			continue
		}
		if !reached || fits != [3]bool{true, true, true} || w.bus+w.size-1 < w.bus || cpu+w.size-1 < cpu {
			t.warn("%s: the window of 0x%x bytes at 0x%x of dma-ranges does not lead to memory and is left out", n.path(), w.size, w.bus)
			continue
		}
		b.add(cpu, w.bus, w.size)
	}
	for i, w := range b.windows {
		for _, o := range b.windows[:i] {
			if w.Memory().Overlaps(o.Memory()) || w.OnBus().Overlaps(o.OnBus()) {
				t.warn("%s: windows of dma-ranges overlap; the first one counts", n.path())
			}
		}
	}
	b.windows = apart(b.windows)
	return b
}

// add adds a window, or makes the last one longer if it goes on there, whatever
// the flags.
func (b *bus) add(cpu, onBus, size uint64) {
	// A window up to the end of the 64 bits loses its last byte.
	size = min(size, math.MaxUint64-cpu, math.MaxUint64-onBus)
	if len(b.windows) > 0 {
		last := &b.windows[len(b.windows)-1]
		if last.Memory().Hi == cpu && last.OnBus().Hi == onBus {
			last.Size += mem.Size(size)
			return
		}
	}
	b.windows = append(b.windows, devices.Translation{CPU: mem.Addr(cpu), Bus: mem.Addr(onBus), Size: mem.Size(size)})
}

// apart leaves out windows that overlap one before them.
func apart(windows []devices.Translation) []devices.Translation {
	var kept []devices.Translation
	for _, w := range windows {
		free := true
		for _, o := range kept {
			free = free && !w.Memory().Overlaps(o.Memory()) && !w.OnBus().Overlaps(o.OnBus())
		}
		if free {
			kept = append(kept, w)
		}
	}
	return kept
}

// parentCells returns the cells of the bus that the node itself is on.
func (t *tree) parentCells(n *node) (address, size int) {
	if n.parent == nil {
		return t.cells(n)
	}
	return t.cells(n.parent)
}

// translate returns the CPU-physical address of an address on the bus that the
// node is on, through all dma-ranges above; those that are missing or empty are
// identity. Source: __of_translate_address.
func (t *tree) translate(n *node, address uint64) (cpu uint64, reached bool) {
	up := t.dmaParent(n)
	for level := 0; up != nil; level++ {
		if level == maxDepth {
			t.warn("%s: its transfers go in a circle", n.path())
			return 0, false
		}
		value, _ := up.value("dma-ranges")
		child, size := t.cells(up)
		parent, _ := t.parentCells(up)
		if step := 4 * (child + parent + size); len(value) > 0 {
			if child > maxCells || parent > maxCells || size > maxCells || len(value)%step != 0 || len(value)/step > maxWindows {
				return 0, false
			}
			inside := false
			for r := (cellReader{value}); len(r.rest) > 0 && !inside; {
				cells := child
				if child == 3 {
					r.rest = r.rest[4:]
					cells = 2
				}
				from, _ := r.next(cells)
				to, _ := r.next(parent)
				length, _ := r.next(size)
				if address >= from && address-from < length {
					address, inside = to+(address-from), true
				}
			}
			if !inside {
				return 0, false
			}
		}
		up = t.dmaParent(up)
	}
	return address, true
}

// maxCPU returns where the memory ends that every enabled bus of the tree reaches,
// and 0 where no bus says anything. Source: of_dma_get_max_cpu_address.
func (t *tree) maxCPU() uint64 {
	least := uint64(math.MaxUint64)
	for _, n := range t.nodes {
		if !n.enabled {
			continue
		}
		if value, _ := n.value("dma-ranges"); len(value) == 0 {
			continue
		}
		end := uint64(0)
		for _, w := range t.bus(n).windows {
			end = max(end, w.Memory().Hi)
		}
		if end > 0 {
			least = min(least, end)
		}
	}
	if least == math.MaxUint64 {
		return 0
	}
	return least
}
