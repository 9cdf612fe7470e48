package physmem

import (
	"fmt"
	"math"
	"math/bits"
	"slices"

	"dmasim/allocator/kernel/buddy"
	"dmasim/allocator/kernel/cma"
	"dmasim/mem"
)

// Config describes the memory of a machine.
type Config struct {
	Page  uint64 // bytes: 4, 16 or 64 KiB
	Zones []Zone // from the lowest up
	// PageblockOrder is log2 of the pages of a pageblock. 0 means 9 for pages of
	// 4 KiB, as on x86-64 and arm64, and 10 for larger ones.
	PageblockOrder uint
	CMA            []Area
	Swap           uint64 // bytes of swap space
	// PerCPU puts the per-CPU lists of one CPU in front of each zone. Without
	// them every page comes straight from the zone's lists.
	PerCPU bool
	// MinFree is min_free_kbytes, in bytes. 0 means what the kernel computes at
	// boot (init_per_zone_wmark_min).
	MinFree uint64
	// WatermarkScale is watermark_scale_factor, in ten-thousandths of a zone. 0
	// means the kernel's default of 10.
	WatermarkScale uint64
	Seed           uint64 // of every random draw
}

// Zone is the part of memory that some requests must come from.
type Zone struct {
	// Name is that of /proc/zoneinfo, and says how the zone is used: DMA, DMA32,
	// Normal, HighMem (not for the kernel), Movable (only for movable pages).
	Name string
	// Ranges are the bytes that the page allocator manages, areas of CMA
	// included. What firmware, the kernel's image or a carveout keeps is no part
	// of them. Pages that are not wholly inside are not used.
	Ranges mem.RangeSet
}

// Area is a CMA area: memory that movable pages may use until a contiguous
// buffer needs it.
type Area struct {
	Name        string
	Range       mem.Range // bytes: whole pageblocks in one zone
	OrderPerBit uint      // log2 of the pages for each bit of its bitmap
}

// class is what the kernel knows of a zone by its number (enum zone_type).
type class uint8

const (
	classDMA class = iota
	classDMA32
	classNormal
	classHighMem
	classMovable
)

var classes = []string{"DMA", "DMA32", "Normal", "HighMem", "Movable"}

// maxSpan is the largest number of page frames between the lowest and the
// highest: frames are numbered in 32 bits.
const maxSpan = math.MaxUint32

// New returns memory that is all free, as at the end of boot.
func New(cfg Config) (*Memory, error) {
	if cfg.Page != 4<<10 && cfg.Page != 16<<10 && cfg.Page != 64<<10 {
		return nil, fmt.Errorf("pages of %s: want 4KiB, 16KiB or 64KiB", mem.Size(cfg.Page))
	}
	if cfg.PageblockOrder == 0 {
		cfg.PageblockOrder = 9
		if cfg.Page > 4<<10 {
			cfg.PageblockOrder = buddy.MaxOrder
		}
	}
	if len(cfg.Zones) == 0 {
		return nil, fmt.Errorf("memory without zones")
	}
	m := &Memory{
		page:      cfg.Page,
		pageShift: uint(bits.TrailingZeros64(cfg.Page)),
		seed:      cfg.Seed,
		swapPages: cfg.Swap / cfg.Page,
		pageblock: cfg.PageblockOrder,
	}
	m.owners = []owner{{OwnerConfig: OwnerConfig{Name: "kernel", Unkillable: true}}}
	m.roster.init()
	if err := m.addAreas(cfg); err != nil {
		return nil, err
	}
	if err := m.addZones(cfg); err != nil {
		return nil, err
	}
	for i := range m.areas {
		if err := m.openArea(&m.areas[i]); err != nil {
			return nil, err
		}
	}
	m.setWatermarks(cfg)
	for i := range m.zones {
		z := &m.zones[i]
		if cfg.PerCPU {
			z.cache = buddy.NewPerCPU(z.buddy, buddy.Sizing{PageSize: cfg.Page, Managed: z.managed, LowWatermark: z.mark[low]}.Limits())
		}
	}
	return m, nil
}

// pages returns the numbers of the frames that are wholly inside of bytes.
func (m *Memory) pages(bytes mem.RangeSet) mem.RangeSet {
	list := make([]mem.Range, 0, len(bytes))
	for _, r := range bytes {
		lo := r.Lo >> m.pageShift
		if lo<<m.pageShift != r.Lo {
			lo++
		}
		list = append(list, mem.Range{Lo: lo, Hi: r.Hi >> m.pageShift})
	}
	return mem.NewRangeSet(list...)
}

func (m *Memory) addAreas(cfg Config) error {
	block := uint64(1) << cfg.PageblockOrder
	for _, a := range cfg.CMA {
		r := mem.Range{Lo: a.Range.Lo >> m.pageShift, Hi: a.Range.Hi >> m.pageShift}
		if r.Empty() || a.Range.Lo%(block*m.page) != 0 || a.Range.Hi%(block*m.page) != 0 {
			return fmt.Errorf("CMA area %s at %s: want whole pageblocks of %s", a.Name, a.Range, mem.Size(block*m.page))
		}
		for _, other := range m.areas {
			if other.pages.Overlaps(r) {
				return fmt.Errorf("CMA areas %s and %s overlap", other.name, a.Name)
			}
		}
		bitmap, err := cma.New(r.Lo, r.Size(), a.OrderPerBit)
		if err != nil {
			return fmt.Errorf("CMA area %s: %w", a.Name, err)
		}
		m.areas = append(m.areas, area{name: a.Name, pages: r, bitmap: bitmap})
	}
	return nil
}

func (m *Memory) addZones(cfg Config) error {
	var areas mem.RangeSet
	for _, a := range m.areas {
		areas = areas.Union(mem.RangeSet{a.pages})
	}
	const block = 1 << buddy.MaxOrder
	m.zones = make([]zone, len(cfg.Zones))
	for i, c := range cfg.Zones {
		z := &m.zones[i]
		n := slices.Index(classes, c.Name)
		if n < 0 || i > 0 && class(n) <= m.zones[i-1].class {
			return fmt.Errorf("zone %q: want some of %v, in this order", c.Name, classes)
		}
		z.name, z.class, z.ranges = c.Name, class(n), m.pages(c.Ranges)
		z.managed = z.ranges.Size()
		if z.managed == 0 {
			return fmt.Errorf("zone %s has no page: leave it out", c.Name)
		}
		z.hull = z.ranges.Hull()
		for _, other := range m.zones[:i] {
			if z.hull.Lo/block <= (other.hull.Hi-1)/block && other.hull.Lo/block <= (z.hull.Hi-1)/block {
				return fmt.Errorf("zones %s and %s share a block of %d pages, or are interleaved", other.name, c.Name, block)
			}
		}
		all := mem.RangeSet{z.hull}
		var err error
		z.buddy, err = buddy.New(buddy.Config{
			Base: z.hull.Lo, Pages: z.hull.Size(), PageblockOrder: cfg.PageblockOrder,
			Holes: all.Subtract(z.ranges.Subtract(areas)),
		})
		if err != nil {
			return fmt.Errorf("zone %s: %w", c.Name, err)
		}
		for k := range z.lru {
			z.lru[k] = buddy.NewQueue()
		}
		m.managed += z.managed
	}
	lo, hi := uint64(math.MaxUint64), uint64(0)
	for _, z := range m.zones {
		lo, hi = min(lo, z.hull.Lo), max(hi, z.hull.Hi)
	}
	if hi-lo > maxSpan {
		return fmt.Errorf("memory spans %d page frames: want at most %d", hi-lo, uint64(maxSpan))
	}
	m.base = lo
	m.entry = make([]entry, hi-lo)
	m.kinds[Free] = m.managed
	for i := range m.zones {
		m.zones[i].kinds[Free] = m.zones[i].managed
	}
	return nil
}

func (m *Memory) openArea(a *area) error {
	i, ok := m.zoneOf(a.pages.Lo)
	if !ok || !m.zones[i].ranges.Contains(a.pages) {
		return fmt.Errorf("CMA area %s is not inside one zone", a.name)
	}
	a.zone = i
	if err := m.zones[i].buddy.AddCMA(a.pages); err != nil {
		return fmt.Errorf("CMA area %s: %w", a.name, err)
	}
	a.migrate = func(r mem.Range) error { return m.evacuate(a, r) }
	return nil
}
