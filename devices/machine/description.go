package machine

import (
	"slices"

	"dmasim/devices"
	"dmasim/mem"
)

// Description is a machine as far as it is known: from a device tree, from
// /proc, or from both. Addresses are CPU-physical; a part that is not known is
// empty.
type Description struct {
	Model      string   `json:"model"`      // in words
	Compatible []string `json:"compatible"` // the device tree's names of the board, the most specific first
	Platform   Platform `json:"platform"`   // what the zones follow from

	RAM mem.RangeSet `json:"ram"`
	// Regions are parts of memory that the page allocator does not get, or lends,
	// by address.
	Regions []Region     `json:"regions"`
	Zones   []ZoneMemory `json:"zones"`
	Memory  *Meminfo     `json:"memory"` // nil where /proc/meminfo was not read
	Buses   []Bus        `json:"buses"`
	Devices []Device     `json:"devices"`
	// Warnings say what was read one way and could be read another, and what is
	// not known.
	Warnings []string `json:"warnings"`
}

// RegionKind says what becomes of a region.
type RegionKind string

// The kinds of regions.
const (
	Firmware   RegionKind = "firmware"   // kept from the kernel by /memreserve/
	Reserved   RegionKind = "reserved"   // kept from the page allocator
	NoMap      RegionKind = "no-map"     // the same, and not mapped by the kernel either
	CMA        RegionKind = "cma"        // an area of the contiguous memory allocator, lent to movable pages
	Coherent   RegionKind = "coherent"   // a pool that its devices allocate from (shared-dma-pool)
	Restricted RegionKind = "restricted" // a pool that its devices allocate from and bounce through (restricted-dma-pool)
)

// Pool reports whether the kernel hands out memory of such a region.
func (k RegionKind) Pool() bool { return k == CMA || k == Coherent || k == Restricted }

// Region is a part of memory with a use of its own.
type Region struct {
	Name  string     `json:"name"`
	Kind  RegionKind `json:"kind"`
	Range mem.Range  `json:"range"`
	// Placed says that the kernel chose the place at boot, here by its rules for a
	// machine on which nothing else is taken yet.
	Placed  bool     `json:"placed"`
	Default bool     `json:"default"` // the pool of devices that have none of their own
	Users   []string `json:"users"`   // paths of the devices that name it
}

// ZoneMemory is a zone. Sizes are in bytes; Free and LargestFree are 0 where only
// the zone's place is known.
type ZoneMemory struct {
	Node        int          `json:"node"`
	Name        string       `json:"name"`
	Ranges      mem.RangeSet `json:"ranges"`  // RAM in it, or what it spans where that is not known
	Managed     mem.Size     `json:"managed"` // what the page allocator has, areas of CMA included
	Free        mem.Size     `json:"free"`
	LargestFree mem.Size     `json:"largest_free"` // the largest free block, of 2^order pages
}

// Bus is what the devices behind it share: where memory appears for them.
type Bus struct {
	Path string `json:"path"` // of the node whose dma-ranges count; "/" where there are none
	// Windows are where memory appears on the bus; none: at its own addresses.
	Windows []devices.Translation `json:"windows"`
	Reach   mem.RangeSet          `json:"reach"` // RAM that devices behind the bus reach
	Devices int                   `json:"devices"`
}

// Device is a device with what the machine says of it: the windows of its bus,
// its IOMMU, its coherence. How wide its addresses are only its driver knows.
type Device struct {
	devices.Device
	Path  string       `json:"path"`
	Bus   string       `json:"bus"`   // path of a Bus
	PCI   bool         `json:"pci"`   // a host bridge: it stands for the functions behind it
	Pools []string     `json:"pools"` // names of the Regions it is tied to
	Reach mem.RangeSet `json:"reach"` // RAM that its bus carries it to; by way of the IOMMU all of it
}

// Taken returns the RAM that neither the page allocator gets nor CMA lends.
func (d *Description) Taken() mem.RangeSet {
	var taken []mem.Range
	for _, r := range d.Regions {
		if r.Kind != CMA {
			taken = append(taken, r.Range)
		}
	}
	return d.RAM.Intersect(mem.NewRangeSet(taken...))
}

// SetZones divides RAM by the platform's rules. Linux looks at all RAM for where
// zones end, and then keeps from them what is taken.
func (d *Description) SetZones() error {
	zones, err := Zones(d.Platform, d.RAM)
	if err != nil {
		return err
	}
	taken := d.Taken()
	d.Zones = []ZoneMemory{}
	for _, z := range zones {
		d.Zones = append(d.Zones, ZoneMemory{
			Name: z.Name, Ranges: z.Ranges, Managed: mem.Size(z.Ranges.Subtract(taken).Size()),
		})
	}
	return nil
}

// Describe returns what a state says of its machine, without devices. Where iomem
// is missing, a zone's ranges are what it spans.
func (s *State) Describe() *Description {
	d := &Description{
		Compatible: []string{}, Platform: Platform{PageSize: s.PageSize}, RAM: s.RAM,
		Regions: []Region{}, Zones: []ZoneMemory{}, Buses: []Bus{}, Devices: []Device{},
		Warnings: slices.Clone(s.Warnings),
	}
	if s.Memory != (Meminfo{}) {
		memory := s.Memory
		d.Memory = &memory
	}
	page := uint64(s.PageSize)
	if page == 0 {
		page = uint64(minPage)
		if len(s.Zones) > 0 {
			d.Warnings = append(d.Warnings, "one file alone does not tell the size of pages: sizes are for pages of "+minPage.String())
		}
	}
	for i := range s.Zones {
		z := &s.Zones[i]
		zone := ZoneMemory{Node: z.Node, Name: z.Name, Managed: mem.Size(z.Managed * page), Free: mem.Size(z.Pages.Free * page)}
		if z.Spanned > 0 {
			span := mem.NewRangeSet(mem.Range{Lo: uint64(z.Start) * page, Hi: (uint64(z.Start) + z.Spanned) * page})
			zone.Ranges = span
			if s.RAM != nil {
				zone.Ranges = span.Intersect(s.RAM)
			}
		}
		for order, n := range z.FreeBlocks {
			if n > 0 {
				zone.LargestFree = mem.Size(page << order)
			}
		}
		if z.Spanned == 0 {
			zone.Free = mem.Size(freePages(z.FreeBlocks) * page)
		}
		d.Zones = append(d.Zones, zone)
	}
	return d
}
