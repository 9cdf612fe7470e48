package scenario

import (
	"os"
	"slices"

	"go.yaml.in/yaml/v4"

	"dmasim/devices/machine"
	"dmasim/internal/strictyaml"
	"dmasim/mem"
	"dmasim/sim"
)

// machine makes the machine of the configuration, if there is one.
func (c *checker) machine(cfg *sim.Config, memory mem.RangeSet) {
	m := c.spec.Machine
	if m == nil {
		return
	}
	if m.Kernel.Before(5, 6) || !m.Kernel.Before(6, 13) {
		c.failAt("dma-buf heaps of Linux "+m.Kernel.String()+" are not modelled, only those of 5.6 to 6.12", "machine", "kernel")
	}
	made := &sim.Machine{
		Kernel: m.Kernel, Page: uint64(c.spec.Page), Swap: uint64(m.Swap), MinFree: uint64(m.MinFree), PerCPULists: m.PerCPULists,
		KernelMemory: uint64(m.KernelMemory), PageCache: uint64(m.PageCache), Seed: c.spec.Seed,
	}
	cfg.Machine = made
	if m.Proc != "" {
		c.proc(made)
		memory = nil
		for _, z := range made.Zones {
			memory = memory.Union(z.Ranges)
		}
	}
	checkNames(c.Decoder, strictyaml.At(c.root, "machine"), "cma", len(m.CMA))
	var areas []Range
	for _, area := range m.CMA {
		areas = append(areas, area.Range)
		made.CMA = append(made.CMA, sim.CMAArea{Name: area.Name, Range: area.Range.Range()})
	}
	c.ranges(areas, memory, "machine", "cma")
	for i, area := range m.CMA {
		// A pageblock, below which areas cannot begin or end.
		if unit := pageblock(c.spec.Page); uint64(area.Base)%unit != 0 || uint64(area.Size)%unit != 0 {
			c.failAt("area and size have to be multiples of "+mem.Size(unit).String()+", a pageblock", "machine", "cma", i)
		}
	}
	if a := m.Aged; a != nil {
		if a.Order < 1 || a.Order > 10 || a.Unusable < 0 || a.Unusable > 1 {
			c.failAt("want an order from 1 to 10 and a share from 0 to 1", "machine", "aged")
		}
		made.Aged = &sim.Aged{Order: a.Order, Unusable: a.Unusable}
	}
	if m.Proc != "" {
		return
	}
	taken := c.reserved(memory)
	for i := range c.spec.Heaps {
		for _, r := range c.spec.Heaps[i].Arena {
			taken = taken.Union(mem.NewRangeSet(r.Range()))
		}
	}
	zones, err := machine.Zones(machine.Platform{
		Arch: machine.Arch(m.Arch), Kernel: m.Kernel, PageSize: c.spec.Page, DMALimit: m.DMALimit, LowMemory: m.LowMemory,
	}, memory)
	if err != nil {
		c.failAt(strictyaml.Clip(err.Error()), "machine", "arch")
	}
	// Linux finds the ends of zones first, and then keeps from the page allocator
	// what is not its.
	for _, z := range zones {
		if z.Ranges = z.Ranges.Subtract(taken); len(z.Ranges) > 0 {
			made.Zones = append(made.Zones, z)
		}
	}
}

// reserved returns the memory that is kept from the page allocator for good.
func (c *checker) reserved(memory mem.RangeSet) mem.RangeSet {
	var kept []Range
	for i, r := range c.spec.Machine.Reserved {
		kept = append(kept, r.Range)
		for _, a := range c.spec.Machine.CMA {
			if a.Range.Range().Overlaps(r.Range.Range()) {
				c.failAt(r.Range.Range().String()+" overlaps CMA area "+strictyaml.Quote(a.Name), "machine", "reserved", i)
			}
		}
	}
	return c.ranges(kept, memory, "machine", "reserved")
}

// proc makes the machine that copies of files of /proc describe.
func (c *checker) proc(made *sim.Machine) {
	m := c.spec.Machine
	at := strictyaml.At(c.root, "machine", "proc")
	if m.Aged != nil || m.KernelMemory != 0 || m.PageCache != 0 || m.Swap != 0 || len(m.Reserved) > 0 {
		c.Fail(at, "proc says what memory holds: aged, kernel_memory, page_cache, reserved and swap do not go with it")
	}
	state, err := machine.ReadProc(os.DirFS(m.Proc))
	if err != nil {
		c.Fail(at, strictyaml.Clip(err.Error()))
		return
	}
	if state.PageSize != c.spec.Page {
		c.Fail(at, "the pages there have "+state.PageSize.String()+", those of the scenario "+c.spec.Page.String())
	}
	made.State, made.Swap = state, uint64(state.Memory.SwapFree)
	page := uint64(state.PageSize)
	for _, z := range state.Zones {
		if z.Node != 0 {
			c.Fail(at, "the machine has several nodes, which are not modelled")
			return
		}
		start := uint64(z.Start) * page
		var ranges mem.RangeSet
		if state.RAM != nil {
			ranges = state.RAM.Intersect(mem.NewRangeSet(mem.Range{Lo: start, Hi: start + z.Spanned*page}))
		} else {
			ranges = likelyRanges(machine.Arch(m.Arch), mem.Range{Lo: start, Hi: start + z.Spanned*page}, (z.Spanned-z.Present)*page)
		}
		made.Zones = append(made.Zones, machine.Zone{Name: z.Name, Ranges: ranges})
	}
}

// likelyRanges returns where the memory of a zone is, of whose span some bytes are
// missing, when nothing says where: on a PC below 1 MiB, where graphics and
// firmware are, as far as that explains it, and else at the end.
func likelyRanges(arch machine.Arch, span mem.Range, missing uint64) mem.RangeSet {
	const legacy = uint64(mem.MiB)
	pc := arch == machine.AMD64 || arch == machine.I386
	if pc && span.Lo < legacy && legacy < span.Hi && missing < legacy-span.Lo {
		return mem.NewRangeSet(mem.Range{Lo: span.Lo, Hi: legacy - missing}, mem.Range{Lo: legacy, Hi: span.Hi})
	}
	return mem.NewRangeSet(mem.Range{Lo: span.Lo, Hi: span.Hi - missing})
}

// pageblock returns the size in bytes of the blocks whose pages Linux keeps of
// one migrate type: 2 MiB with 4 KiB pages.
func pageblock(page mem.Size) uint64 {
	switch page {
	case 16 * mem.KiB:
		return uint64(32 * mem.MiB)
	case 64 * mem.KiB:
		return uint64(512 * mem.MiB)
	}
	return uint64(2 * mem.MiB)
}

// common is what every kind of heap has.
func (h *Heap) common() sim.Heap {
	return sim.Heap{
		Name: h.Name, UnusableSize: uint64(h.UnusableSize), Guard: uint64(h.Guard),
		Limit: uint64(h.Limit), LimitPerClient: uint64(h.LimitPerProcess), User: h.User, Group: h.Group, Mode: uint16(h.Mode),
	}
}

// pageHeap makes a heap that takes pages of the machine.
func (c *checker) pageHeap(h *Heap, place *yaml.Node) sim.Heap {
	made := h.common()
	switch {
	case c.spec.Machine == nil:
		c.Fail(strictyaml.At(place, "kind"), "a "+string(h.Kind)+" heap needs a machine")
		return made
	case len(h.Arena) > 0 || h.Allocator != "" || h.Aware || h.Placement != 0:
		c.Fail(place, "arena, allocator, placement and aware are for carveouts")
	case h.Kind != PooledHeap && (h.PoolSize != 0 || h.FreeDelay != 0):
		c.Fail(place, "pool_size and free_delay are for pooled heaps")
	case h.Kind != CMAHeap && h.Area != "":
		c.Fail(strictyaml.At(place, "area"), "only a cma heap has an area")
	}
	made.Granule = uint64(c.spec.Page)
	made.PoolSize, made.FreeDelay = uint64(h.PoolSize), h.FreeDelay
	switch h.Kind {
	case SystemHeap:
		made.Kind = sim.SystemHeap
	case PooledHeap:
		made.Kind = sim.PooledHeap
	case CMAHeap:
		made.Kind = sim.CMAHeap
		made.Area = slices.IndexFunc(c.spec.Machine.CMA, func(a CMAArea) bool { return a.Name == h.Area })
		if len(c.spec.Machine.CMA) == 0 {
			c.Fail(place, "a cma heap needs a CMA area of the machine")
		} else if made.Area < 0 {
			at := strictyaml.At(c.root, "machine", "cma")
			c.FailNear(strictyaml.At(place, "area"), "unknown CMA area "+strictyaml.Quote(h.Area), h.Area, names(at))
		}
	}
	return made
}
