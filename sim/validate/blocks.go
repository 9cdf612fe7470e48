package validate

import (
	"fmt"
	"math/bits"
	"slices"
	"strings"

	"dmasim/allocator"
	"dmasim/allocator/kernel/buddy"
	"dmasim/allocator/kernel/version"
	"dmasim/devices/machine"
	"dmasim/mem"
	"dmasim/sim/heap"
	"dmasim/sim/physmem"
)

// Memory is what has to be known of a machine's memory to model it.
type Memory struct {
	*machine.State
	MinFree mem.Size // min_free_kbytes
	Areas   []physmem.Area
}

// at returns the same memory in another state.
func (m Memory) at(s *machine.State) Memory {
	m.State = s
	return m
}

// model returns the model of a machine's memory in its state.
func (s Memory) model() (*physmem.Memory, error) {
	m, err := s.fresh()
	if err != nil {
		return nil, err
	}
	return m, importState(m, s.State)
}

// fresh returns the model of a machine's memory, all of it free. Where the pages
// are that a zone lacks is not known, nor does it matter for what is counted as long
// as its large blocks have room: on a PC they are below 1 MiB, else at the end, but
// CMA areas lack none.
func (s Memory) fresh() (*physmem.Memory, error) {
	page := uint64(s.PageSize)
	cfg := physmem.Config{Page: page, MinFree: uint64(s.MinFree), CMA: s.Areas}
	if s.PagesPerBlock > 0 {
		cfg.PageblockOrder = uint(bits.Len64(s.PagesPerBlock) - 1)
	}
	var areas mem.RangeSet
	for _, a := range s.Areas {
		areas = areas.Union(mem.RangeSet{a.Range})
	}
	for _, z := range s.Zones {
		lo, lacking := uint64(z.Start)*page, (z.Spanned-z.Managed)*page
		if legacy := uint64(mem.MiB); lo < legacy {
			low := min(lacking, legacy-lo)
			lo, lacking = lo+low, lacking-low
		}
		spanned := mem.NewRangeSet(mem.Range{Lo: lo, Hi: uint64(z.Start)*page + z.Spanned*page})
		rest := spanned.Subtract(areas)
		for i := len(rest) - 1; i >= 0 && lacking > 0; i-- {
			cut := min(lacking, rest[i].Size())
			rest[i].Hi -= cut
			lacking -= cut
		}
		cfg.Zones = append(cfg.Zones, physmem.Zone{Name: z.Name, Ranges: rest.Union(spanned.Intersect(areas))})
	}
	return physmem.New(cfg)
}

// typeNames are the migrate types of pagetypeinfo that pageblocks keep.
var typeNames = []string{buddy.Unmovable: "Unmovable", buddy.Movable: "Movable", buddy.Reclaimable: "Reclaimable", buddy.CMA: "CMA"}

// importState puts memory into the state that a machine counts. Pages on the lists of
// its CPUs come from blocks of any type, as movable pages do, and count as those.
func importState(m *physmem.Memory, s *machine.State) error {
	used, err := m.AddOwner(physmem.OwnerConfig{Name: "programs", Unkillable: true})
	if err != nil {
		return err
	}
	state := physmem.State{Seed: 1}
	movable := uint64(0)
	for _, z := range s.Zones {
		var counts physmem.FreeCounts
		for _, t := range z.Types {
			known := slices.Index(typeNames, t.Name)
			for order, n := range t.FreeBlocks {
				switch {
				case n == 0:
				case known < 0:
					return fmt.Errorf("zone %s has free blocks of type %s", z.Name, t.Name)
				default:
					counts.ByType[known][order] = n
				}
			}
			if known >= 0 {
				counts.Pageblocks[known] = t.Pageblocks
			}
		}
		state.Zones = append(state.Zones, counts)
		movable += z.Pages.Anonymous + z.Pages.PageCache + z.Pages.Unevictable + z.Pages.PerCPU
	}
	state.Used = []physmem.Population{{Owner: used, Kind: physmem.Anonymous, Pages: movable}}
	return m.Import(state)
}

// blocks returns the blocks that a request gets.
func (s Memory) blocks(bytes uint64) (string, error) {
	m, err := s.model()
	if err != nil {
		return "", err
	}
	h := heap.NewPages(heap.PageConfig{Name: "system", Kind: heap.System, Memory: m, Kernel: version.Modelled, Clients: 1})
	owner, err := m.AddOwner(physmem.OwnerConfig{Name: "client"})
	if err != nil {
		return "", err
	}
	b, failure, err := h.Alloc(0, owner, bytes)
	if err != nil || failure.Cause != allocator.None {
		return failure.Cause.String(), err
	}
	var list []PageBlock
	for _, block := range h.Blocks(b) {
		list = append(list, PageBlock{Zone: ZoneOf(s.State, block.PFN), Order: block.Order, Type: buddy.Unmovable})
	}
	return describeBlocks(list), nil
}

// ZoneOf returns the name of the zone that a page frame lies in.
func ZoneOf(s *machine.State, pfn uint64) string {
	for _, z := range s.Zones {
		if pfn >= uint64(z.Start) && pfn < uint64(z.Start)+z.Spanned {
			return z.Name
		}
	}
	return "nowhere"
}

// describeBlocks returns blocks as "DMA32 unmovable 8*3 4 0*2": orders, with how
// many follow each other.
func describeBlocks(list []PageBlock) string {
	var text strings.Builder
	for i := 0; i < len(list); {
		b := list[i]
		n := 1
		for i+n < len(list) && list[i+n].like(b) {
			n++
		}
		if i == 0 || list[i-1].Zone != b.Zone || list[i-1].Type != b.Type {
			fmt.Fprintf(&text, " %s %s", b.Zone, b.Type)
		}
		fmt.Fprintf(&text, " %d", b.Order)
		if n > 1 {
			fmt.Fprintf(&text, "*%d", n)
		}
		i += n
	}
	return strings.TrimPrefix(text.String(), " ")
}

// lists returns what is free after blocks were taken.
func (s Memory) lists(takes []Take) (string, error) {
	m, err := s.model()
	if err != nil {
		return "", err
	}
	owner, err := m.AddOwner(physmem.OwnerConfig{Name: "client"})
	if err != nil {
		return "", err
	}
	for _, t := range takes {
		got := true
		if t.Movable {
			var pages uint64
			pages, _, err = m.Populate(owner, physmem.Anonymous, 1)
			got = pages == 1
		} else {
			var res physmem.Result
			_, res, err = m.Alloc(physmem.Request{Order: t.Order, Kind: physmem.DMABuf, Owner: owner, Effort: physmem.EffortNone})
			got = res.Cause == allocator.None
		}
		if err != nil || !got {
			return fmt.Sprintf("no block of order %d", t.Order), err
		}
	}
	var text strings.Builder
	for i, z := range s.Zones {
		text.WriteString(z.Name + ":")
		for t, name := range typeNames {
			describeType(&text, name, m.FreeBlocks(i, buddy.Type(t)))
		}
		text.WriteString("; ")
	}
	return text.String(), nil
}

// describeLists returns what is free in a state, by zone, type and order.
func describeLists(s *machine.State) string {
	var text strings.Builder
	for _, z := range s.Zones {
		text.WriteString(z.Name + ":")
		for _, name := range typeNames {
			var counts [physmem.NumOrders]uint64
			for _, t := range z.Types {
				if t.Name == name {
					copy(counts[:], t.FreeBlocks)
				}
			}
			describeType(&text, name, counts)
		}
		text.WriteString("; ")
	}
	return text.String()
}

func describeType(text *strings.Builder, name string, counts [physmem.NumOrders]uint64) {
	if counts == [physmem.NumOrders]uint64{} {
		return
	}
	fmt.Fprintf(text, " %s", name)
	for _, n := range counts {
		fmt.Fprintf(text, " %d", n)
	}
}

// describeTakes returns what was taken as " 8*3 4 0*63": orders, with how many
// follow each other; "m" marks movable ones.
func describeTakes(list []Take) string {
	var text strings.Builder
	for i := 0; i < len(list); {
		n := 1
		for i+n < len(list) && list[i+n] == list[i] {
			n++
		}
		fmt.Fprintf(&text, " %d", list[i].Order)
		if list[i].Movable {
			text.WriteString("m")
		}
		if n > 1 {
			fmt.Fprintf(&text, "*%d", n)
		}
		i += n
	}
	return text.String()
}
