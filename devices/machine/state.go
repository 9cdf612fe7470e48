package machine

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"dmasim/mem"
)

// State is what a Linux machine says of its memory at one time. It holds plain
// figures, as the kernel counts them: pages where nothing else is said.
type State struct {
	// PageSize is not in any of the files: it is the power of two that makes
	// the same lists as long in meminfo, in kB, as in zoneinfo, in pages.
	PageSize mem.Size
	// PagesPerBlock is the number of pages in a pageblock, which has one
	// migrate type; 0 where there is no pagetypeinfo.
	PagesPerBlock uint64
	Memory        Meminfo
	// Zones are those that have memory, in the kernel's order: by node, then
	// from the lowest zone up.
	Zones []ZoneState
	// RAM is where memory is, with what the kernel reserved in it; nil where
	// there is no iomem.
	RAM mem.RangeSet
	// Warnings say where the files disagree by more than reading one after the
	// other explains, and what is not known for lack of one.
	Warnings []string
}

// ZoneState is what a machine says of one zone of one node.
type ZoneState struct {
	Node  int
	Name  string  // DMA, DMA32, Normal, HighMem, Movable or Device
	Start mem.PFN // the zone spans [Start, Start+Spanned)

	Spanned uint64 // with holes
	Present uint64 // without holes
	Managed uint64 // without what was reserved at boot: what the page allocator has
	CMA     uint64 // in areas of the contiguous memory allocator; 0 where the kernel does not say

	// Min, Low and High are the watermarks, with what they are boosted by at the
	// moment.
	Min, Low, High uint64
	Boost          uint64 // 0 where the kernel does not say
	// Protection is how many pages more must be free for a request that could
	// use a higher zone (lowmem_reserve), by the highest zone that the request
	// allows, in the kernel's order of zones, with those without memory.
	Protection []uint64

	// FreeBlocks are the free blocks of each order, of 2^order pages.
	FreeBlocks []uint64
	// Types are the migrate types in the kernel's order; nil where there is no
	// pagetypeinfo.
	Types []MigrateType
	Pages Pages
}

// MigrateType is what a machine says of one migrate type in one zone.
type MigrateType struct {
	Name       string   // Unmovable, Movable, Reclaimable, HighAtomic, CMA or Isolate
	FreeBlocks []uint64 // of each order, of 2^order pages
	// Capped are the orders of which there are at least as many free blocks as
	// FreeBlocks says: the kernel stopped counting.
	Capped     []int
	Pageblocks uint64
}

// Pages is what a zone's managed pages are used for. FreeCMA is part of Free;
// the others together are the managed pages, unless a warning says otherwise.
type Pages struct {
	Free        uint64 // in the free lists
	FreeCMA     uint64
	PerCPU      uint64 // in the lists of free pages that each CPU keeps
	Anonymous   uint64 // with shared memory: movable, and can be swapped
	PageCache   uint64 // of files: movable, and can be dropped or written back
	Unevictable uint64 // locked or in a ramfs: movable, and stays in memory
	// Kernel is the rest: slab, page tables, kernel stacks, huge pages, buffers
	// of drivers and pinned dma-bufs, which have no counter of their own.
	Kernel uint64
}

// zoneID names a zone.
type zoneID struct {
	node int
	name string
}

func (id zoneID) String() string { return fmt.Sprintf("node %d, zone %s", id.node, id.name) }

func (z *ZoneState) id() zoneID { return zoneID{z.Node, z.Name} }

// ReadProc reads meminfo, zoneinfo and buddyinfo from a directory that is /proc
// or holds copies of these files, and pagetypeinfo and iomem where they are
// there. Only root may read pagetypeinfo; where it may not be read, it counts as
// not there.
//
// What it can't read is an error that names the file, the line and often the
// column; [ErrHiddenAddresses] is one. What the files disagree about is in the
// warnings of the state.
func ReadProc(dir fs.FS) (*State, error) {
	memory, err := read(dir, "meminfo", parseMeminfo)
	if err != nil {
		return nil, failed(err)
	}
	ram, err := read(dir, "iomem", parseIomem)
	if err != nil && !absent(err) {
		return nil, failed(err)
	}
	// The free lists change all the time, so these are read without anything
	// between them.
	buddy, err := read(dir, "buddyinfo", parseBuddyinfo)
	if err != nil {
		return nil, failed(err)
	}
	types, typesErr := read(dir, "pagetypeinfo", parsePagetypeinfo)
	if typesErr != nil && !absent(typesErr) {
		return nil, failed(typesErr)
	}
	zones, err := read(dir, "zoneinfo", parseZoneinfo)
	if err != nil {
		return nil, failed(err)
	}

	s := &State{Memory: memory, RAM: ram, PagesPerBlock: types.pagesPerBlock}
	if s.PageSize, err = pageSize(memory, zones); err != nil {
		return nil, failed(err)
	}
	for _, z := range zones.zones {
		s.Zones = append(s.Zones, z.ZoneState)
	}
	if err := s.addFreeBlocks(buddy); err != nil {
		return nil, failed(err)
	}
	if typesErr != nil {
		s.warn("%v: free blocks are known by order, not by migrate type", typesErr)
	} else if err := s.addTypes(types.zones); err != nil {
		return nil, failed(err)
	}
	for i := range s.Zones {
		s.settle(&s.Zones[i])
	}
	s.check(zones)
	return s, nil
}

func failed(err error) error { return fmt.Errorf("read the state of a machine: %w", err) }

func absent(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission)
}

func (s *State) warn(format string, args ...any) {
	s.Warnings = append(s.Warnings, fmt.Sprintf(format, args...))
}

// zones returns where each zone is in s.
func (s *State) zones() map[zoneID]*ZoneState {
	at := make(map[zoneID]*ZoneState, len(s.Zones))
	for i := range s.Zones {
		at[s.Zones[i].id()] = &s.Zones[i]
	}
	return at
}

func (s *State) addFreeBlocks(lines []zoneBlocks) error {
	zones := s.zones()
	for _, line := range lines {
		zone := zones[line.zone]
		switch {
		case zone == nil:
			return fmt.Errorf("buddyinfo: %s has no memory in zoneinfo", line.zone)
		case zone.FreeBlocks != nil:
			return fmt.Errorf("buddyinfo: %s is given twice", line.zone)
		}
		zone.FreeBlocks = line.blocks
	}
	for i := range s.Zones {
		if s.Zones[i].FreeBlocks == nil {
			return fmt.Errorf("buddyinfo: %s is missing", s.Zones[i].id())
		}
	}
	return nil
}

func (s *State) addTypes(lines []zoneTypes) error {
	zones := s.zones()
	for _, line := range lines {
		zone := zones[line.zone]
		switch {
		case zone == nil:
			return fmt.Errorf("pagetypeinfo: %s has no memory in zoneinfo", line.zone)
		case len(line.types[0].FreeBlocks) != len(zone.FreeBlocks):
			return fmt.Errorf("pagetypeinfo: %s has %d orders, and %d in buddyinfo",
				line.zone, len(line.types[0].FreeBlocks), len(zone.FreeBlocks))
		}
		zone.Types = line.types
	}
	for i := range s.Zones {
		if s.Zones[i].Types == nil {
			return fmt.Errorf("pagetypeinfo: %s is missing", s.Zones[i].id())
		}
	}
	return nil
}

// settle computes what no file says: the pages that are the kernel's, and the
// counts that the kernel capped, where only one type's is.
func (s *State) settle(z *ZoneState) {
	p := &z.Pages
	counted := p.Free + p.PerCPU + p.Anonymous + p.PageCache + p.Unevictable
	if counted > z.Managed {
		s.warn("%s: %d pages are free or on a list, of %d managed", z.id(), counted, z.Managed)
	} else {
		p.Kernel = z.Managed - counted
	}
	for order, total := range z.FreeBlocks {
		var known uint64
		var capped []*MigrateType
		for i := range z.Types {
			if t := &z.Types[i]; slices.Contains(t.Capped, order) {
				capped = append(capped, t)
			} else {
				known += t.FreeBlocks[order]
			}
		}
		if len(capped) == 1 {
			t := capped[0]
			if total >= known+t.FreeBlocks[order] {
				t.FreeBlocks[order] = total - known
				t.Capped = slices.DeleteFunc(t.Capped, func(o int) bool { return o == order })
			}
		} else if len(capped) > 1 {
			s.warn("%s: at order %d the kernel stopped counting %d migrate types, of which there are %d blocks more than it says",
				z.id(), order, len(capped), total-min(total, z.freeOfTypes(order)))
		}
	}
}

// freeOfTypes returns the free blocks of all types at an order.
func (z *ZoneState) freeOfTypes(order int) uint64 {
	var n uint64
	for _, t := range z.Types {
		n += t.FreeBlocks[order]
	}
	return n
}
