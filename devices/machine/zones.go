package machine

import (
	"fmt"
	"math"
	"math/bits"

	"dmasim/allocator/kernel/version"
	"dmasim/mem"
)

// Arch is an architecture whose zones are known.
type Arch string

const (
	AMD64   Arch = "x86-64"
	I386    Arch = "x86-32"
	ARM64   Arch = "arm64"
	ARM     Arch = "arm" // of 32 bits
	RISCV64 Arch = "riscv64"
)

// Platform is what Linux decides by where the zones of a machine end.
type Platform struct {
	Arch Arch `json:"arch"`
	// Kernel is the release; the zero value is [version.Modelled]. Rules that
	// stable updates took from later releases are not told apart: late updates of
	// 5.10 do on arm64 what 5.11 does.
	Kernel version.Version `json:"kernel"`
	// PageSize is 4 KiB, or on arm64 also 16 KiB or 64 KiB; 0 is 4 KiB.
	PageSize mem.Size `json:"page_size"`
	// DMALimit is where the memory ends that every device reaches, in
	// CPU-physical addresses. On arm64 firmware says so: it is the least of the
	// ends of the buses' dma-ranges, or of what the IORT table of ACPI says
	// (1 GiB on a Raspberry Pi 4), and 0 where it says nothing; kernels before
	// 5.11 don't look. On arm it is the
	// start of RAM plus the dma_zone_size of the machine's descriptor, or 4 GiB
	// where the kernel has ZONE_DMA and the descriptor no size, and 0 for a
	// kernel without ZONE_DMA. Other architectures ignore it.
	DMALimit mem.Addr `json:"dma_limit"`
	// LowMemory is how much memory from its start a 32-bit kernel maps
	// permanently; what is above is HighMem. 0 is 896 MiB on x86-32 (1 GiB less
	// 128 MiB for vmalloc; fixed mappings take some MiB more, so that kernels
	// print 883 to 887) and 768 MiB on arm (1 GiB less 240 MiB for vmalloc and
	// what is above it). Kernels with another split, or vmalloc= on the command
	// line, differ.
	LowMemory mem.Size `json:"low_memory"`
}

// Zone is a zone of the page allocator and its memory.
type Zone struct {
	Name   string
	Ranges mem.RangeSet // CPU-physical
}

// Zones divides RAM into the zones of a machine, from the lowest up, and leaves
// out those without memory. What is no whole page belongs to none, nor does what
// a 32-bit kernel can't use. It does not know of the zones Movable and Device,
// which depend on the command line and on drivers, nor of NUMA nodes, each of
// which has its own part of every zone.
//
// Sources, Linux 6.12 where nothing else is said:
//   - x86: arch/x86/mm/init.c, zone_sizes_init. DMA ends at 16 MiB; on x86-64
//     DMA32 ends at 4 GiB; on x86-32 Normal ends where low memory does. HighMem
//     ends at 64 GiB, as with CONFIG_HIGHMEM64G, and since Linux 6.15, which
//     has no such option, at 4 GiB.
//   - arm64: arch/arm64/mm/init.c, zone_sizes_init and max_zone_phys; see
//     [Platform.DMALimit] and the function arm64Limits.
//   - arm: arch/arm/mm/init.c, setup_dma_zone and zone_sizes_init;
//     arch/arm/mm/mmu.c, adjust_lowmem_bounds.
//   - riscv64: arch/riscv/mm/init.c, zone_sizes_init. DMA32 ends at 4 GiB.
func Zones(p Platform, ram mem.RangeSet) ([]Zone, error) {
	if p.Kernel == (version.Version{}) {
		p.Kernel = version.Modelled
	}
	if p.PageSize == 0 {
		p.PageSize = 4 * mem.KiB
	}
	switch p.PageSize {
	case 4 * mem.KiB:
	case 16 * mem.KiB, 64 * mem.KiB:
		if p.Arch != ARM64 {
			return nil, fmt.Errorf("zones: %s has no pages of %s", p.Arch, p.PageSize)
		}
	default:
		return nil, fmt.Errorf("zones: a page size of %s, want 4KiB, 16KiB or 64KiB", p.PageSize)
	}
	ram = wholePages(ram, uint64(p.PageSize))
	if len(ram) == 0 {
		return nil, nil
	}

	var limits []zoneLimit
	switch p.Arch {
	case AMD64:
		limits = []zoneLimit{{"DMA", 16 << 20}, {"DMA32", 4 << 30}, {"Normal", everything}}
	case I386:
		limits = p.i386Limits()
	case ARM64:
		limits = p.arm64Limits(ram.Hull())
	case ARM:
		limits = p.armLimits(ram.Hull().Lo)
	case RISCV64:
		limits = []zoneLimit{{"DMA32", 4 << 30}, {"Normal", everything}}
	default:
		return nil, fmt.Errorf("zones: unknown architecture %q, want x86-64, x86-32, arm64, arm or riscv64", p.Arch)
	}

	var zones []Zone
	var start uint64
	for _, l := range limits {
		// A zone that would end below the one before it is empty.
		end := max(start, l.end&^uint64(p.PageSize-1))
		part := ram.Intersect(mem.RangeSet{{Lo: start, Hi: end}})
		if len(part) > 0 {
			zones = append(zones, Zone{l.name, part})
		}
		start = end
	}
	return zones, nil
}

// zoneLimit is a zone and where it ends, or everything; it starts where the one
// before it ends.
type zoneLimit struct {
	name string
	end  uint64
}

const everything = math.MaxUint64

// wholePages returns the pages that lie in ram whole.
func wholePages(ram mem.RangeSet, page uint64) mem.RangeSet {
	var whole mem.RangeSet
	for _, r := range ram {
		if r.Lo > everything-page {
			continue
		}
		r = mem.Range{Lo: (r.Lo + page - 1) &^ (page - 1), Hi: r.Hi &^ (page - 1)}
		if !r.Empty() {
			whole = append(whole, r)
		}
	}
	return whole
}

func (p Platform) i386Limits() []zoneLimit {
	low := p.LowMemory
	if low == 0 {
		low = 896 * mem.MiB
	}
	high := uint64(64 << 30)
	if !p.Kernel.Before(6, 15) {
		high = 4 << 30
	}
	return []zoneLimit{{"DMA", 16 << 20}, {"Normal", uint64(low)}, {"HighMem", high}}
}

// arm64Limits follows what became of one rule:
//   - Before Linux 4.16 there is one zone for devices of 32 bits, named DMA. It
//     has the 4 GiB that RAM starts in, as if buses had an offset.
//   - From 4.16 (commit ad67f5a6545f) it is named DMA32.
//   - From 5.5 (1a8e1cef7603) DMA lies below it with the 1 GiB that RAM starts
//     in, on every machine, because of the Raspberry Pi 4.
//   - From 5.11 (9804f8c69b04, 2b8652936f0c) firmware says what DMA is, in bits
//     of an address: a limit that is no power of two is rounded up. RAM that
//     starts above it, or above 4 GiB, widens it (791ab8b2e3db), to 4 GiB or to
//     all memory.
//   - From 6.12 (ba0fb44aed47, 122c234ef4e1) the limit is an address. It is
//     at most 4 GiB where RAM starts below that, and nothing is widened.
func (p Platform) arm64Limits(ram mem.Range) []zoneLimit {
	inFirst := func(size uint64) uint64 { return ram.Lo&^(size-1) + size }
	switch {
	case p.Kernel.Before(4, 16):
		return []zoneLimit{{"DMA", inFirst(4 << 30)}, {"Normal", everything}}
	case p.Kernel.Before(5, 5):
		return []zoneLimit{{"DMA32", inFirst(4 << 30)}, {"Normal", everything}}
	case p.Kernel.Before(5, 11):
		return []zoneLimit{{"DMA", inFirst(1 << 30)}, {"DMA32", inFirst(4 << 30)}, {"Normal", everything}}
	}
	dma := uint64(everything)
	if p.DMALimit != 0 {
		dma = uint64(p.DMALimit)
	}
	dma32 := uint64(4 << 30)
	if !p.Kernel.Before(6, 12) {
		if ram.Lo < dma32-1 {
			dma = min(dma, dma32)
		}
		return []zoneLimit{{"DMA", dma}, {"DMA32", dma32}, {"Normal", everything}}
	}
	dma = 1 << min(32, bits.Len64(dma-1))
	switch {
	case ram.Lo >= dma32:
		dma = everything
	case ram.Lo >= dma:
		dma = dma32
	}
	return []zoneLimit{{"DMA", dma}, {"DMA32", dma32}, {"Normal", everything}}
}

// armLimits: since Linux 5.8 (a32c1c61212d) DMA ends one page early, because
// the number of its last page is taken for that of the page behind it.
func (p Platform) armLimits(start uint64) []zoneLimit {
	low := p.LowMemory
	if low == 0 {
		low = 768 * mem.MiB
	}
	normal := start + uint64(low)
	limits := []zoneLimit{{"Normal", normal}, {"HighMem", everything}}
	if p.DMALimit == 0 {
		return limits
	}
	dma := uint64(p.DMALimit)
	if !p.Kernel.Before(5, 8) {
		dma--
	}
	return append([]zoneLimit{{"DMA", min(dma, normal)}}, limits...)
}
