package devicetree

import (
	"fmt"
	"math"

	"dmasim/mem"
)

// ram returns where RAM is: in the banks given, else where the tree says.
func (t *tree) ram(banks []Bank) (mem.RangeSet, error) {
	declared, first, hasFirst, err := t.declaredRAM()
	if err != nil {
		return nil, err
	}
	if len(banks) == 0 {
		if len(declared) == 0 {
			return nil, ErrNoRAM
		}
		return mem.NewRangeSet(declared...), nil
	}
	var ranges []mem.Range
	for _, b := range banks {
		base := uint64(b.Base)
		if !b.HasBase {
			if !hasFirst {
				if first, hasFirst = t.guessBase(); !hasFirst {
					return nil, ErrNoBase
				}
				t.warn("the tree does not say where RAM starts: 0x%x is taken, where its pools or bus windows lie", first)
			}
			base = first
		}
		if b.Size == 0 || base > math.MaxUint64-uint64(b.Size) {
			return nil, fmt.Errorf("%s of RAM at %s: empty, or beyond 64 bits", b.Size, mem.Addr(base))
		}
		ranges = append(ranges, mem.Range{Lo: base, Hi: base + uint64(b.Size)})
	}
	ram := mem.NewRangeSet(ranges...)
	if len(declared) > 0 {
		t.warn("the tree's own RAM %s is replaced by %s", mem.NewRangeSet(declared...), ram)
	}
	return ram, nil
}

// declaredRAM returns the ranges of memory below the root, and where the first of
// them starts, which is known even where firmware is to fill in its size.
func (t *tree) declaredRAM() (ranges []mem.Range, first uint64, hasFirst bool, err error) {
	address, size := t.cells(t.root)
	for _, n := range t.root.children {
		if n.text("device_type") != "memory" {
			if n.generic() == "memory" && n.has("reg") {
				t.warn("%s is called memory but has not the device_type: it is no RAM", n.path())
			}
			continue
		}
		if !n.enabled {
			continue
		}
		key := "linux,usable-memory"
		if !n.has(key) {
			key = "reg"
		}
		value, _ := n.value(key)
		list, whole := pairs(value, address, size)
		if !whole {
			return nil, 0, false, fmt.Errorf("node %s: %s has %d bytes, want a few entries of %d and %d cells", n.path(), key, len(value), address, size)
		}
		for _, p := range list {
			if !p.fits || p.size > 0 && p.base > math.MaxUint64-p.size {
				return nil, 0, false, fmt.Errorf("node %s: %s: memory from 0x%x on ends beyond 64 bits", n.path(), key, p.base)
			}
			if !hasFirst {
				first, hasFirst = p.base, true
			}
			if p.size > 0 {
				ranges = append(ranges, mem.Range{Lo: p.base, Hi: p.base + p.size})
			}
		}
	}
	return ranges, first, hasFirst, nil
}

// guessBase returns the lowest address in which the tree allows pools, else the
// lowest that a bus window moves elsewhere, which begins with RAM on boards that say
// nothing else. Windows that move nothing begin anywhere.
func (t *tree) guessBase() (uint64, bool) {
	lowest, found := uint64(math.MaxUint64), false
	address, size := t.cells(t.root)
	if reserved := t.root.child("reserved-memory"); reserved != nil {
		for _, n := range reserved.children {
			value, _ := n.value("alloc-ranges")
			list, _ := pairs(value, address, size)
			for _, p := range list {
				lowest, found = min(lowest, p.base), true
			}
		}
	}
	if found {
		return lowest, true
	}
	for _, n := range t.nodes {
		if !n.enabled || !n.has("dma-ranges") {
			continue
		}
		for _, w := range t.bus(n).windows {
			if w.CPU != w.Bus {
				lowest, found = min(lowest, uint64(w.CPU)), true
			}
		}
	}
	return lowest, found
}
