package devicetree

import (
	"fmt"
	"slices"

	"github.com/u-root/u-root/pkg/dt"

	"dmasim/devices/machine"
	"dmasim/mem"
)

// maxRegions bounds the regions that are read. Linux before 6.12 has room for 64
// (MAX_RESERVED_REGIONS).
const (
	maxRegions   = 1 << 8
	kernelsSpace = 64
	maxPlaces    = 64 // of alloc-ranges
)

// reservations is memory as the kernel's boot allocator sees it.
type reservations struct {
	*tree
	platform machine.Platform
	ram      mem.RangeSet
	taken    mem.RangeSet
	list     []machine.Region
	address  int // cells of the root
	size     int
}

// regions returns the tree's regions, those that the kernel places included.
func (t *tree) regions(entries []dt.ReserveEntry, ram mem.RangeSet, platform machine.Platform) ([]machine.Region, error) {
	r := &reservations{tree: t, platform: platform, ram: ram, list: []machine.Region{}}
	r.address, r.size = t.cells(t.root)
	if len(entries) > maxRegions {
		return nil, fmt.Errorf("%d entries of /memreserve/: at most %d are read", len(entries), maxRegions)
	}
	for i, e := range entries {
		if e.Size == 0 {
			continue
		}
		if e.Address+e.Size < e.Address {
			return nil, fmt.Errorf("/memreserve/ entry %d at 0x%x ends beyond 64 bits", i, e.Address)
		}
		r.add(machine.Region{Name: "memreserve", Kind: machine.Firmware, Range: mem.Range{Lo: e.Address, Hi: e.Address + e.Size}})
	}
	node := t.root.child("reserved-memory")
	if node == nil || !node.enabled {
		return r.list, nil
	}
	address, _ := node.number("#address-cells")
	size, _ := node.number("#size-cells")
	if int(address) != r.address || int(size) != r.size || !node.has("ranges") {
		t.warn("%s has no ranges, or other cells than the root: Linux ignores all %d regions in it", node.path(), len(node.children))
		return r.list, nil
	}
	if len(node.children) > maxRegions {
		return nil, fmt.Errorf("node %s: %d regions, at most %d are read", node.path(), len(node.children), maxRegions)
	}
	if n := len(node.children); n > kernelsSpace && platform.Kernel.Before(6, 12) {
		t.warn("%s has %d regions; Linux before 6.12 keeps the first %d", node.path(), n, kernelsSpace)
	}
	for _, n := range node.children {
		if n.enabled && n.has("reg") {
			r.static(n)
		}
	}
	r.overlaps()
	for _, n := range node.children {
		if n.enabled && !n.has("reg") && n.has("size") {
			r.dynamic(n)
		}
	}
	return r.list, r.users()
}

func (r *reservations) add(region machine.Region) {
	region.Users = []string{}
	r.list = append(r.list, region)
	r.taken = r.taken.Union(mem.RangeSet{region.Range})
}

// static adds a region that has its place.
func (r *reservations) static(n *node) {
	value, _ := n.value("reg")
	list, whole := pairs(value, r.address, r.size)
	if !whole {
		r.warn("%s: reg has %d bytes, want a few entries of %d and %d cells; Linux skips it", n.path(), len(value), r.address, r.size)
		return
	}
	if len(list) > 1 && n.has("compatible") {
		r.warn("%s has %d pieces; Linux makes a pool of the first only", n.path(), len(list))
	}
	for i, p := range list {
		if p.size == 0 {
			continue
		}
		if !p.fits || p.base+p.size < p.base {
			r.warn("%s: reg: memory from 0x%x on ends beyond 64 bits and is left out", n.path(), p.base)
			continue
		}
		region := machine.Region{Name: clip(n.Name), Range: mem.Range{Lo: p.base, Hi: p.base + p.size}}
		refused := ""
		if region.Kind, region.Default, refused = r.kind(n, region.Range); i > 0 && region.Kind.Pool() {
			region.Kind, region.Default = plain(n), false
		}
		if refused != "" && i == 0 {
			// The kernel's setup fails, and it gives the memory back.
			r.warn("%s is no pool to Linux, and its memory not reserved: %s", n.path(), refused)
			continue
		}
		r.add(region)
	}
}

// dynamic adds a region that the kernel places. Source: __reserved_mem_alloc_size.
func (r *reservations) dynamic(n *node) {
	value, _ := n.value("size")
	if len(value) != 4*r.size {
		r.warn("%s: size has %d bytes, want %d cells; Linux skips it", n.path(), len(value), r.size)
		return
	}
	size, _ := (&cellReader{value}).next(r.size)
	align := uint64(64) // SMP_CACHE_BYTES
	if value, ok := n.value("alignment"); ok {
		if len(value) != 4*r.address {
			r.warn("%s: alignment has %d bytes; Linux wants %d, the cells of an address, where the specification has %d, those of a size: Linux makes no pool of it",
				n.path(), len(value), 4*r.address, 4*r.size)
			return
		}
		if align, _ = (&cellReader{value}).next(r.address); align == 0 {
			align = 64
		}
	}
	if isCMA(n) {
		align = max(align, r.pageblock())
	}
	if size == 0 || align&(align-1) != 0 {
		r.warn("%s: a size of 0x%x with an alignment of 0x%x cannot be placed", n.path(), size, align)
		return
	}
	windows, named := []mem.Range{mem.Everywhere}, false
	if value, ok := n.value("alloc-ranges"); ok {
		list, whole := pairs(value, r.address, r.size)
		if !whole || len(list) > maxPlaces {
			r.warn("%s: alloc-ranges has %d bytes, want a few entries of %d and %d cells; Linux skips it", n.path(), len(value), r.address, r.size)
			return
		}
		windows, named = nil, true
		for _, p := range list {
			windows = append(windows, mem.Range{Lo: p.base, Hi: max(p.base, p.base+p.size)})
		}
	}
	for _, w := range windows {
		base, ok := r.place(size, align, w, named && r.fromBelow(w))
		if !ok {
			continue
		}
		region := machine.Region{Name: clip(n.Name), Range: mem.Range{Lo: base, Hi: base + size}, Placed: true}
		var refused string
		if region.Kind, region.Default, refused = r.kind(n, region.Range); refused != "" {
			r.warn("%s is no pool to Linux, and its memory not reserved: %s", n.path(), refused)
			return
		}
		r.add(region)
		return
	}
	r.warn("%s: no room for its %s in %s: Linux makes no pool of it", n.path(), mem.Size(size), mem.NewRangeSet(windows...))
}

// fromBelow reports whether a region is placed from below, so that it lies beside
// one that is there, as Linux does from 6.5 on (__reserved_mem_alloc_in_range, commit
// 83ba7361e168).
func (r *reservations) fromBelow(w mem.Range) bool {
	if r.platform.Kernel.Before(6, 5) {
		return false
	}
	below, above := false, false
	for _, region := range r.list {
		if region.Kind == machine.Firmware {
			continue
		}
		below = below || w.Lo >= region.Range.Lo && w.Lo <= region.Range.Hi
		above = above || w.Hi >= region.Range.Lo && w.Hi <= region.Range.Hi
	}
	return below && !above
}

// place finds room in the free memory of a window, from its top down or from
// below. Page 0 is never given away (memblock_find_in_range_node).
func (r *reservations) place(size, align uint64, w mem.Range, fromBelow bool) (base uint64, ok bool) {
	w.Lo = max(w.Lo, uint64(r.platform.PageSize))
	free := r.ram.Subtract(r.taken).Intersect(mem.RangeSet{w})
	if w.Empty() {
		return 0, false
	}
	free = slices.Clone(free)
	if !fromBelow {
		slices.Reverse(free)
	}
	for _, f := range free {
		if f.Size() < size {
			continue
		}
		base := (f.Hi - size) &^ (align - 1)
		if fromBelow {
			base = (f.Lo + align - 1) &^ (align - 1)
		}
		if base >= f.Lo && base <= f.Hi-size {
			return base, true
		}
	}
	return 0, false
}

// pageblock is what a CMA area's place and size must be multiples of
// (CMA_MIN_ALIGNMENT_BYTES): a pageblock, which is the largest block where the
// kernel has no huge pages, as on arm without LPAE; and before Linux 5.18 the
// larger of the two.
func (r *reservations) pageblock() uint64 {
	switch p := r.platform; {
	case p.PageSize == 16*mem.KiB:
		return uint64(32 * mem.MiB)
	case p.PageSize == 64*mem.KiB:
		return uint64(512 * mem.MiB)
	case p.Arch == machine.ARM || p.Kernel.Before(5, 18):
		return uint64(4 * mem.MiB)
	}
	return uint64(2 * mem.MiB)
}

// isCMA reports whether the node asks for a CMA area.
func isCMA(n *node) bool {
	return n.compatible("shared-dma-pool") && n.has("reusable") && !n.has("no-map")
}

// plain is the kind of a region that is no pool.
func plain(n *node) machine.RegionKind {
	if n.has("no-map") {
		return machine.NoMap
	}
	return machine.Reserved
}

// kind returns what the kernel makes of a region, and why it refuses to make a
// pool of one that asks for it.
func (r *reservations) kind(n *node, at mem.Range) (kind machine.RegionKind, isDefault bool, refused string) {
	noMap, reusable := n.has("no-map"), n.has("reusable")
	switch {
	case n.compatible("restricted-dma-pool"):
		for _, key := range []string{"no-map", "reusable", "linux,cma-default", "linux,dma-default"} {
			if n.has(key) {
				return plain(n), false, "a restricted-dma-pool must not be " + key
			}
		}
		return machine.Restricted, false, ""
	case !n.compatible("shared-dma-pool"):
		return plain(n), false, ""
	case reusable && noMap:
		return plain(n), false, "reusable and no-map exclude each other"
	case reusable:
		if unit := r.pageblock(); at.Lo%unit != 0 || at.Size()%unit != 0 {
			return plain(n), false, "place and size of a CMA area have to be multiples of " + mem.Size(unit).String()
		}
		return machine.CMA, n.has("linux,cma-default"), ""
	case r.platform.Arch == machine.ARM && !noMap:
		return plain(n), false, "on arm, a shared-dma-pool that is not reusable has to be no-map"
	}
	return machine.Coherent, n.has("linux,dma-default"), ""
}

// overlaps warns of regions that share memory, as the kernel does, which goes on.
func (r *reservations) overlaps() {
	sorted := slices.Clone(r.list)
	slices.SortStableFunc(sorted, func(a, b machine.Region) int { return compare(a.Range, b.Range) })
	for i := 1; i < len(sorted); i++ {
		a, b := sorted[i-1], sorted[i]
		if a.Range.Overlaps(b.Range) {
			r.warn("reserved regions overlap: %s %s and %s %s", a.Name, a.Range, b.Name, b.Range)
		}
	}
}

// users adds to each region the devices that name it.
func (r *reservations) users() error {
	byNode := map[*node]int{}
	if reserved := r.root.child("reserved-memory"); reserved != nil {
		for _, n := range reserved.children {
			byNode[n] = slices.IndexFunc(r.list, func(g machine.Region) bool {
				return g.Kind != machine.Firmware && g.Name == clip(n.Name)
			})
		}
	}
	named := 0
	for _, n := range r.nodes {
		value, _ := n.value("memory-region")
		if !n.enabled || len(value) == 0 {
			continue
		}
		if named += len(value) / 4; named > maxRegions*16 {
			return fmt.Errorf("node %s: more memory-regions than any machine has", n.path())
		}
		for cell := range len(value) / 4 {
			if i, ok := byNode[r.handle(value, cell)]; ok && i >= 0 {
				r.list[i].Users = append(r.list[i].Users, n.path())
			}
		}
	}
	return nil
}
