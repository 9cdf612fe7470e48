package dmesg

import (
	"math/bits"
	"slices"
	"strings"

	"dmasim/allocator"
)

// GFP flags that decide where a request may look: the same bits in all kernels
// since 2.6 (include/linux/gfp_types.h).
const (
	gfpDMA     = 0x1
	gfpHighmem = 0x2
	gfpDMA32   = 0x4
	gfpMovable = 0x8
	gfpHigh    = 0x20
)

// zoneOrder is the order in which zones lie, from the lowest.
var zoneOrder = map[string]int{"DMA": 0, "DMA32": 1, "Normal": 2, "HighMem": 3, "Movable": 4, "Device": 5}

// highestZone returns the number in zoneOrder of the highest zone that a request
// may take (gfp_zone).
func highestZone(mode uint64) int {
	switch {
	case mode&gfpDMA != 0:
		return 0
	case mode&gfpDMA32 != 0:
		return 1
	case mode&gfpHighmem != 0 && mode&gfpMovable != 0:
		return 4
	case mode&gfpHighmem != 0:
		return 3
	}
	return 2
}

// judgePages fills in what a Mem-Info says about a request to the page allocator.
func (f *Failure) judgePages(m *memInfo) {
	page := m.pageSize()
	f.PageBytes = page << 10
	report := &Memory{Order: f.order, Flags: f.flags, Zones: []ZoneReport{}}
	f.Pages = report
	needed := uint64(1) << f.order
	var free, largest, elsewhere uint64
	passes, found, cut := false, false, false
	for _, info := range m.zones {
		z := f.zoneReport(info, page, m.zones)
		report.Zones = append(report.Zones, z)
		free += z.Free
		report.FreeCMA += info.figures["free_cma"] / page
		report.Managed += z.Managed
		report.LargestFree = max(report.LargestFree, largestBlock(z.Blocks))
		if !z.InReach {
			elsewhere = max(elsewhere, z.Free-min(z.Free, z.Min))
			continue
		}
		report.FreeInReach += z.Usable
		elsewhere = max(elsewhere, z.Free-z.Usable)
		largest = max(largest, largestBlock(z.UsableBlocks))
		if z.Passes {
			passes = true
			fits := f.order == 0 || largestBlock(z.UsableBlocks) >= needed
			found = found || fits && z.keepsKnown
			cut = cut || !info.hasLists || fits && !z.keepsKnown
		}
	}
	if counted, ok := m.counters["free"]; ok {
		free = counted
	}
	if len(m.zones) > 0 || m.counters["free"] > 0 {
		f.FreePages = pages(free)
	}
	if report.LargestFree > 0 || listed(m.zones) {
		f.LargestRunPages = pages(largest)
	}
	if m.ram > m.reserved {
		report.Managed = m.ram - m.reserved
	}
	f.explainAll(m, report)
	switch {
	case f.FreePages == nil:
		f.Cause = Unknown
	case free < needed, f.Kind == OOM && f.order == 0 && len(m.zones) == 0:
		f.Cause = cause(allocator.Exhausted)
	case len(m.zones) == 0, !found && cut: // what decides is not in the log
		f.Cause = Unknown
	case !passes && elsewhere >= needed && elsewhere >= report.Managed/64:
		f.Cause = cause(allocator.WindowFull)
	case !passes:
		f.Cause = cause(allocator.Exhausted)
	case !found:
		f.Cause = cause(allocator.Fragmented)
	default:
		f.Cause = cause(allocator.Policy)
	}
}

func listed(zones []*zoneInfo) bool {
	for _, z := range zones {
		if z.hasLists {
			return true
		}
	}
	return false
}

// zoneReport judges a zone as the request meets it (zone_watermark_ok,
// __zone_watermark_unusable_free).
func (f *Failure) zoneReport(info *zoneInfo, page uint64, zones []*zoneInfo) ZoneReport {
	kB := func(name string) uint64 { return info.figures[name] / page }
	z := ZoneReport{
		Node: info.node, Name: info.name, InReach: zoneOrder[info.name] <= highestZone(f.mode),
		Free: kB("free"), Min: kB("min"), Managed: kB("managed"),
	}
	_, z.keepsKnown = info.figures["min"]
	if len(info.figures) == 0 {
		for _, b := range info.blocks {
			z.Free += b.n * b.kB / page
		}
	}
	z.Usable = z.Free
	if f.mode&gfpMovable == 0 {
		z.Usable -= min(z.Usable, kB("free_cma"))
	}
	if f.mode&gfpHigh == 0 {
		z.Usable -= min(z.Usable, kB("reserved_highatomic"))
	}
	z.Reserve = f.reserve(info, zones)
	for _, b := range info.blocks {
		order := bits.TrailingZeros64(b.kB / page)
		if b.kB < page || order > maxBlocks {
			continue
		}
		for len(z.Blocks) <= order {
			z.Blocks, z.UsableBlocks = append(z.Blocks, 0), append(z.UsableBlocks, 0)
		}
		z.Blocks[order] = b.n
		if f.mayTake(b.types) {
			z.UsableBlocks[order] = b.n
		}
	}
	z.Passes = z.InReach && z.Usable >= z.Min+z.Reserve+1<<f.order
	return z
}

// reserve returns what a zone keeps from a request that might be served by higher
// ones (lowmem_reserve). The row has a number for each zone that the kernel was
// built with, empty ones included, by the highest that a request may take; those of
// no zone that exists are as large as the last.
func (f *Failure) reserve(info *zoneInfo, zones []*zoneInfo) uint64 {
	highest := highestZone(f.mode)
	if zoneOrder[info.name] >= highest || len(info.reserve) == 0 {
		return 0
	}
	has := func(name string) bool {
		return slices.ContainsFunc(zones, func(z *zoneInfo) bool { return z.name == name })
	}
	low := 0 // zones below the highest
	if has("DMA") {
		low++
	}
	belowHighMem := highest == zoneOrder["Normal"] && has("HighMem") // without a DMA32 zone
	if (highest == zoneOrder["DMA32"] || belowHighMem) && low < len(info.reserve) {
		return info.reserve[low]
	}
	return slices.Max(info.reserve)
}

// mayTake says whether blocks of these migrate types are for the request
// (show_migration_types): U, M and E anybody may take, C movable pages, H urgent
// requests.
func (f *Failure) mayTake(types string) bool {
	return types == "" || strings.ContainsAny(types, "UME") ||
		strings.Contains(types, "C") && f.mode&gfpMovable != 0 ||
		strings.Contains(types, "H") && f.mode&gfpHigh != 0
}

// largestBlock returns the pages of the largest block.
func largestBlock(blocks []uint64) uint64 {
	for order := len(blocks) - 1; order >= 0; order-- {
		if blocks[order] > 0 {
			return 1 << order
		}
	}
	return 0
}

// explainAll works out which pages no counter accounts for. File pages and shared
// memory are on the lists of anonymous and file pages; what is mapped, dirty or
// written back is counted there too.
func (f *Failure) explainAll(m *memInfo, report *Memory) {
	c := m.counters
	if _, ok := c["free"]; !ok || report.Managed == 0 {
		return
	}
	page := m.pageSize()
	add := func(what string, n uint64) {
		if n > 0 {
			report.Explained = append(report.Explained, Count{what, n})
		}
	}
	add("programs (anonymous)", c["active_anon"]+c["inactive_anon"]+c["isolated_anon"])
	add("page cache", c["active_file"]+c["inactive_file"]+c["isolated_file"])
	add("unevictable", c["unevictable"])
	add("slab", c["slab_reclaimable"]+c["slab_unreclaimable"])
	add("page tables", c["pagetables"]+c["sec_pagetables"])
	add("kernel stacks", m.stackKB/page)
	add("huge pages", m.hugeKB/page)
	add("other kernel", c["bounce"]+c["kernel_misc_reclaimable"])
	add("free", c["free"])
	add("free, on lists of CPUs", c["free_pcp"])
	add("defective", m.poisoned)
	var sum uint64
	for _, e := range report.Explained {
		sum += e.Pages
	}
	report.UnexplainedPages = report.Managed - min(sum, report.Managed)
	report.UnexplainedKiB = report.UnexplainedPages * page
}
