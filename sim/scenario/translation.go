package scenario

import (
	"math/bits"
	"slices"

	"go.yaml.in/yaml/v4"

	"dmasim/devices"
	"dmasim/devices/machine"
	"dmasim/devices/machine/probe"
	"dmasim/internal/strictyaml"
	"dmasim/mem"
	"dmasim/sim"
	"dmasim/sim/dmamap"
)

// Swiotlb is memory to which the kernel copies what a device cannot reach: bounce buffers.
type Swiotlb struct {
	// Number of slots of 2 KiB, as the kernel takes it (swiotlb=), rounded up to a multiple of 128. 0: there is no default pool. A buffer takes a slot for each 2 KiB of each piece that is copied, and no piece may be longer than 256 KiB.
	Slots uint64 `yaml:"slots" jsonschema:"maximum=2097152" jsonschema_extras:"default=32768"`
	// Where the default pool is. By default at the top of the memory that every device reaches: below 4 GiB, or below the machine's dma_limit.
	Base mem.Addr `yaml:"base,omitempty" jsonschema:"exclusiveMinimum=0"`
	// When the default pool is used: for what a device cannot reach (normal), for everything (force), or never (noforce): then such a map fails, with the cause unreachable.
	Mode BounceMode `yaml:"mode" jsonschema_extras:"default=normal"`
	// Pools of devices that may use nothing else, whatever they reach (restricted-dma-pool, since Linux 5.15).
	Restricted []RestrictedPool `yaml:"restricted,omitempty"`
}

// RestrictedPool is a pool of bounce buffers for some devices.
type RestrictedPool struct {
	// Name, unique among the pools.
	Name  string `yaml:"name"`
	Range `yaml:",inline"`
	// Devices that may use nothing else.
	Devices []string `yaml:"devices"`
}

// BounceMode says when the default pool is used.
type BounceMode string

// The modes.
const (
	BounceNormal  BounceMode = "normal"
	BounceForce   BounceMode = "force"
	BounceNoForce BounceMode = "noforce"
)

// Options returns the names of the modes.
func (BounceMode) Options() []string {
	return []string{string(BounceNormal), string(BounceForce), string(BounceNoForce)}
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (m *BounceMode) UnmarshalText(text []byte) error {
	return strictyaml.OneOf(m, "mode", text, m.Options())
}

// IOMMUGroup is devices whose addresses an IOMMU translates, in one address space. What the devices say of addresses (address_bits, align, boundary, segments, a reach in bus or iova space) holds for I/O virtual addresses then; of memory they reach what the IOMMU does.
type IOMMUGroup struct {
	// Name, unique among the groups.
	Name string `yaml:"name"`
	// Devices of the group.
	Devices []string `yaml:"devices"`
	// Smallest page of the IOMMU, at most a page of the machine. Each piece of a buffer is widened to whole pages.
	Page mem.Size `yaml:"page" jsonschema_extras:"default=4KiB"`
	// Width of the addresses that the IOMMU translates: its input.
	AddressBits uint8 `yaml:"address_bits" jsonschema:"minimum=13,maximum=64" jsonschema_extras:"default=48"`
	// Width of the addresses that it emits: memory from 2^output_bits on is out of reach.
	OutputBits uint8 `yaml:"output_bits" jsonschema:"minimum=13,maximum=64" jsonschema_extras:"default=48"`
	// The part of the input that is translated; by default all of it. The first page is never used.
	Aperture *Range `yaml:"aperture,omitempty"`
	// Addresses that are not handed out, such as those of interrupts.
	Reserved []Range `yaml:"reserved,omitempty"`
	// When what was unmapped can be used again: at once (strict), or when the IOTLB is flushed next (lazy): after 255 more unmaps, or 10 ms after the first. By default what Linux has for the machine's architecture: lazy on x86, strict elsewhere.
	Mode FlushMode `yaml:"mode,omitempty"`
	// Whether the devices are on PCI: addresses below 4 GiB are tried first.
	PCI bool `yaml:"pci,omitempty"`
}

// FlushMode says when what was unmapped can be used again.
type FlushMode string

// The modes.
const (
	FlushStrict FlushMode = "strict"
	FlushLazy   FlushMode = "lazy"
)

// Options returns the names of the modes.
func (FlushMode) Options() []string { return []string{string(FlushStrict), string(FlushLazy)} }

// UnmarshalText implements encoding.TextUnmarshaler.
func (m *FlushMode) UnmarshalText(text []byte) error {
	return strictyaml.OneOf(m, "mode", text, m.Options())
}

// isX86 reports whether the machine is a PC.
func (s *Spec) isX86() bool {
	return s.Machine != nil && (machine.Arch(s.Machine.Arch) == machine.AMD64 || machine.Arch(s.Machine.Arch) == machine.I386)
}

// completeTranslation fills in what depends on the machine.
func (s *Spec) completeTranslation() {
	s.IOMMUGroups = nilIfEmpty(s.IOMMUGroups)
	for i := range s.IOMMUGroups {
		if g := &s.IOMMUGroups[i]; g.Mode == "" {
			g.Mode = FlushStrict
			if s.isX86() {
				g.Mode = FlushLazy
			}
		}
	}
}

// swiotlbLike returns the bounce buffers of a machine as a probe found it, nil where
// none are known.
func swiotlbLike(r *probe.Report, note func(string, ...any)) *Swiotlb {
	if n := len(r.IOMMU); n > 0 {
		note("The machine has %d IOMMU groups; add those of the devices that you simulate (iommu_groups).", n)
	}
	if r.Bounce == nil || r.Bounce.Size == 0 {
		return nil
	}
	note("Where the bounce buffers are is not known; they are simulated at the top of the memory that they may lie in.")
	return &Swiotlb{Slots: uint64(r.Bounce.Size) / dmamap.SlotSize, Mode: BounceNormal}
}

// bounce makes the pools of bounce buffers, and takes their memory from the page
// allocator. Zones end where they would without them. Where copies of /proc say what
// the allocator has, it does not have them already.
func (c *checker) bounce(cfg *sim.Config, memory mem.RangeSet) {
	if c.spec.Machine == nil || c.spec.Machine.Swiotlb == nil {
		return
	}
	free := memory
	if c.spec.Machine.Proc != "" {
		free = nil
		for _, z := range cfg.Machine.Zones {
			free = free.Union(z.Ranges)
		}
	}
	for _, h := range c.spec.Heaps {
		for _, r := range h.Arena {
			free = free.Subtract(mem.NewRangeSet(r.Range()))
		}
	}
	for _, area := range c.spec.Machine.CMA {
		free = free.Subtract(mem.NewRangeSet(area.Range.Range()))
	}
	for _, r := range c.spec.Machine.Reserved {
		free = free.Subtract(mem.NewRangeSet(r.Range.Range()))
	}
	taken := c.pools(cfg, free)
	if c.spec.Machine.Proc != "" {
		return
	}
	var zones []machine.Zone
	for _, z := range cfg.Machine.Zones {
		if z.Ranges = z.Ranges.Subtract(taken); len(z.Ranges) > 0 {
			zones = append(zones, z)
		}
	}
	cfg.Machine.Zones = zones
}

// pools makes the pools, and returns their memory. free is where they may lie.
func (c *checker) pools(cfg *sim.Config, free mem.RangeSet) mem.RangeSet {
	s := c.spec.Machine.Swiotlb
	at := strictyaml.At(c.root, "machine", "swiotlb")
	var taken mem.RangeSet
	if s.Slots > 0 && s.Mode != BounceNoForce {
		if place, ok := c.swiotlbPlace(s, free, at); ok {
			taken = mem.NewRangeSet(place)
			cfg.Bounce = append(cfg.Bounce, sim.BouncePool{Name: "swiotlb", Place: place, Force: s.Mode == BounceForce})
		}
	}
	checkNames(c.Decoder, at, "restricted", len(s.Restricted))
	if len(s.Restricted) > 0 && c.spec.Machine.Kernel.Before(5, 15) {
		c.Fail(strictyaml.At(at, "restricted"), "Linux "+c.spec.Machine.Kernel.String()+" has no restricted pools, they came with 5.15")
	}
	for i := range s.Restricted {
		r := &s.Restricted[i]
		place := strictyaml.At(at, "restricted", i)
		switch mine := r.Range.Range(); {
		case r.Name == "swiotlb":
			c.Fail(strictyaml.At(place, "name"), "that is the name of the default pool")
		case uint64(r.Base)%dmamap.SlotSize != 0 || r.Size < dmamap.SlotSize || uint64(r.Size) > maxPool:
			c.Fail(place, "a pool is whole slots of 2KiB, and at most "+mem.Size(maxPool).String())
		case !free.Contains(mine):
			c.Fail(place, mine.String()+" is not all memory, or a heap's")
		case len(taken.Intersect(mem.NewRangeSet(mine))) > 0:
			c.Fail(place, mine.String()+" overlaps another pool")
		default:
			taken = taken.Union(mem.NewRangeSet(mine))
			cfg.Bounce = append(cfg.Bounce, sim.BouncePool{Name: r.Name, Place: mine, Devices: c.deviceList(r.Devices, strictyaml.At(place, "devices"))})
		}
	}
	return taken
}

// maxPool bounds a pool of bounce buffers, in bytes.
const maxPool = uint64(4 * mem.GiB)

// swiotlbPlace returns where the default pool is.
func (c *checker) swiotlbPlace(s *Swiotlb, free mem.RangeSet, at *yaml.Node) (mem.Range, bool) {
	const segment = 128
	size := (s.Slots + segment - 1) / segment * dmamap.MaxBounce
	if s.Slots > maxPool/dmamap.SlotSize {
		c.Fail(strictyaml.At(at, "slots"), "want at most 2097152 slots, which are "+mem.Size(maxPool).String())
		return mem.Range{}, false
	}
	page := uint64(c.spec.Page)
	if s.Base != 0 {
		place := mem.Range{Lo: uint64(s.Base), Hi: uint64(s.Base) + size}
		switch {
		case place.Lo%page != 0:
			c.Fail(strictyaml.At(at, "base"), "want the start of a page")
		case !free.Contains(place):
			c.Fail(strictyaml.At(at, "base"), place.String()+" is not all memory, or a heap's")
		default:
			return place, true
		}
		return mem.Range{}, false
	}
	limit := uint64(4 * mem.GiB)
	if end := uint64(c.spec.Machine.DMALimit); end != 0 {
		limit = min(limit, end)
	}
	for _, r := range slices.Backward(free.Intersect(mem.RangeSet{{Lo: 0, Hi: limit}})) {
		if lo := (r.Hi - min(size, r.Hi)) &^ (page - 1); lo >= r.Lo && r.Hi >= size {
			return mem.Range{Lo: lo, Hi: lo + size}, true
		}
	}
	c.Fail(at, "there is no room for "+mem.Size(size).Short()+" of bounce buffers below "+mem.Addr(limit).String())
	return mem.Range{}, false
}

// deviceList returns the numbers of devices that a list names.
func (c *checker) deviceList(list []string, at *yaml.Node) []int {
	var numbers []int
	if len(list) == 0 {
		c.Fail(at, "no device")
	}
	for i, name := range list {
		number := slices.IndexFunc(c.spec.Devices, func(d Device) bool { return d.Name == name })
		switch {
		case number < 0:
			c.FailNear(strictyaml.At(at, i), "unknown device "+strictyaml.Quote(name), name, names(strictyaml.At(c.root, "devices")))
		case c.routed[number]:
			c.Fail(strictyaml.At(at, i), "device "+strictyaml.Quote(name)+" is in another IOMMU group or restricted pool, or there twice")
		default:
			if c.routed == nil {
				c.routed = map[int]bool{}
			}
			c.routed[number] = true
			numbers = append(numbers, number)
		}
	}
	return numbers
}

// iommus makes the IOMMU groups. Of their devices, the configuration has what they
// demand of memory.
func (c *checker) iommus(cfg *sim.Config) {
	checkNames(c.Decoder, c.root, "iommu_groups", len(c.spec.IOMMUGroups))
	for i := range c.spec.IOMMUGroups {
		g := &c.spec.IOMMUGroups[i]
		at := strictyaml.At(c.root, "iommu_groups", i)
		switch {
		case bits.OnesCount64(uint64(g.Page)) != 1 || g.Page < 4*mem.KiB || g.Page > 64*mem.KiB:
			c.Fail(strictyaml.At(at, "page"), "want a power of two from 4KiB to 64KiB")
			continue
		case g.Page > c.spec.Page:
			c.Fail(strictyaml.At(at, "page"), "Linux does not use an IOMMU whose pages are larger than its own, "+c.spec.Page.String())
			continue
		case g.AddressBits < 13 || g.AddressBits > 64:
			c.Fail(strictyaml.At(at, "address_bits"), "want 13 to 64 bits")
			continue
		case g.OutputBits < 13 || g.OutputBits > 64:
			c.Fail(strictyaml.At(at, "output_bits"), "want 13 to 64 bits")
			continue
		}
		all := mem.Everywhere
		if g.AddressBits < 64 {
			all.Hi = 1 << g.AddressBits
		}
		made := sim.IOMMUGroup{Name: g.Name, Page: uint64(g.Page), Aperture: all, Lazy: g.Mode == FlushLazy}
		if g.Aperture != nil {
			made.Aperture = g.Aperture.Range()
			if made.Aperture.Empty() || !(mem.RangeSet{all}).Contains(made.Aperture) {
				c.Fail(strictyaml.At(at, "aperture"), "want a part of the addresses that the IOMMU translates, "+all.String())
				continue
			}
		}
		made.Reserved = c.ranges(g.Reserved, mem.RangeSet{mem.Everywhere}, "iommu_groups", i, "reserved")
		usable := mem.RangeSet{made.Aperture}
		for n, number := range c.deviceList(g.Devices, strictyaml.At(at, "devices")) {
			d := &cfg.Devices[number]
			if d.IOMMU == devices.NoIOMMU || d.IOMMU == devices.IsIOMMU {
				c.Fail(strictyaml.At(at, "devices", n), "the description of device "+strictyaml.Quote(d.Name)+" says that there is no IOMMU (iommu: "+string(d.IOMMU)+")")
			}
			usable = usable.Intersect(d.Emits())
			memory, emitted := d.BehindIOMMU(g.OutputBits)
			*d = memory
			made.Masters = append(made.Masters, sim.Master{Device: number, Emitted: emitted, LowFirst: g.PCI})
		}
		made.Reserved = made.Reserved.Union(mem.RangeSet{made.Aperture}.Subtract(usable))
		if _, err := dmamap.NewDomain(dmamap.DomainConfig{Page: made.Page, Aperture: made.Aperture}); err != nil {
			c.Fail(at, strictyaml.Clip(err.Error()))
		}
		cfg.IOMMUs = append(cfg.IOMMUs, made)
	}
}
