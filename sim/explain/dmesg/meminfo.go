package dmesg

import (
	"regexp"
	"slices"
	"strings"
)

// memInfo is a Mem-Info report as it is read, in the units of the log.
type memInfo struct {
	counters   map[string]uint64 // pages
	zones      []*zoneInfo
	stackKB    uint64 // kernel stacks
	hugeKB     uint64 // huge pages that were set aside
	ram        uint64 // pages
	reserved   uint64
	poisoned   uint64
	cmaPages   uint64
	hasRAM     bool
	swapFreeKB uint64
	swapKB     uint64
	hasSwap    bool
	pageKB     uint64 // smallest block of the lists
	last       *zoneInfo
}

// zoneInfo is a zone of it.
type zoneInfo struct {
	node     int
	name     string
	figures  map[string]uint64 // kB
	reserve  []uint64          // pages
	blocks   []blockCount
	hasLists bool
}

// blockCount are the free blocks of one size.
type blockCount struct {
	kB, n uint64
	types string // letters of the migrate types among them; "" in old kernels
}

// Bounds of what is kept of one report.
const (
	maxZones  = 256
	maxBlocks = 32
)

var (
	zoneFree   = regexp.MustCompile(`(?:Node (\d+) )?\b(DMA32|DMA|Normal|HighMem|Movable|Device) free:(\d+)kB`)
	zoneLists  = regexp.MustCompile(`(?:Node (\d+) )?\b(DMA32|DMA|Normal|HighMem|Movable|Device): (\d+\*\d+kB.*)`)
	block      = regexp.MustCompile(`(\d+)\*(\d+)kB(?: \(([A-Z]+)\))?`)
	kiloFigure = regexp.MustCompile(`([a-z_]+(?:\([a-z]+\))?):\s?(\d+)\s?[kK]B`)
	pageFigure = regexp.MustCompile(`\b([a-z_]+):(\d+)(?:\s|$)`)
	reserveRow = regexp.MustCompile(`lowmem_reserve\[\]:((?: \d+)+)`)
	hugePages  = regexp.MustCompile(`hugepages_total=(\d+).*hugepages_size=(\d+)kB`)
	pageTotal  = regexp.MustCompile(`(\d+) (pages RAM|pages of RAM|pages reserved|reserved pages|pages hwpoisoned|pages cma reserved)\b`)
	swapLine   = regexp.MustCompile(`(Free|Total) swap\s*= ?(\d+)kB`)
)

// pageCounters are the counters of the whole machine in a Mem-Info. Others are
// parts of these, or no memory.
var pageCounters = []string{
	"active_anon", "inactive_anon", "isolated_anon", "active_file", "inactive_file", "isolated_file", "unevictable",
	"slab_reclaimable", "slab_unreclaimable", "pagetables", "sec_pagetables", "bounce", "kernel_misc_reclaimable",
	"free", "free_pcp", "free_cma",
}

// zoneFigures are what is of use of a zone.
var zoneFigures = []string{"free", "min", "managed", "reserved_highatomic", "free_cma", "kernel_stack"}

// read takes from a line what belongs to the report. It returns whether it was
// anything.
func (m *memInfo) read(line string) bool {
	switch {
	case strings.Contains(line, " free:") && zoneFree.MatchString(line):
		m.readZone(line)
	case strings.Contains(line, "*") && zoneLists.MatchString(line):
		m.readLists(line)
	case strings.Contains(line, "lowmem_reserve[]:"):
		m.readReserve(line)
	case strings.Contains(line, "hugepages_total="):
		if f := hugePages.FindStringSubmatch(line); f != nil {
			total, _ := number(f[1])
			size, _ := number(f[2])
			if size <= 1<<24 && total <= 1<<32 {
				m.hugeKB += total * size
			}
		}
	case strings.Contains(line, " swap ") && swapLine.MatchString(line):
		f := swapLine.FindStringSubmatch(line)
		kB, _ := number(f[2])
		m.hasSwap = true
		if f[1] == "Free" {
			m.swapFreeKB = kB
		} else {
			m.swapKB = kB
		}
	case strings.Contains(line, "kernel_stack:"): // of a node
		m.addStacks(line)
	case pageTotal.MatchString(line):
		m.readTotals(line)
	default:
		return m.readCounters(line)
	}
	return true
}

// complete says whether the end of the report was seen.
func (m *memInfo) complete() bool { return m.hasRAM }

func (m *memInfo) readZone(line string) {
	f := zoneFree.FindStringSubmatch(line)
	z := m.zone(f[1], f[2])
	if z == nil {
		return
	}
	m.last = z
	for _, f := range kiloFigure.FindAllStringSubmatch(line, 64) {
		if kB, ok := number(f[2]); ok && slices.Contains(zoneFigures, f[1]) {
			z.figures[f[1]] = kB
		}
	}
	m.stackKB += z.figures["kernel_stack"]
}

// zone returns a zone, which it adds where it is new.
func (m *memInfo) zone(node, name string) *zoneInfo {
	n, _ := number(node)
	n = min(n, 1<<16)
	for _, z := range m.zones {
		if z.node == int(n) && z.name == name {
			return z
		}
	}
	if len(m.zones) == maxZones {
		return nil
	}
	z := &zoneInfo{node: int(n), name: name, figures: map[string]uint64{}}
	m.zones = append(m.zones, z)
	return z
}

func (m *memInfo) readLists(line string) {
	f := zoneLists.FindStringSubmatch(line)
	z := m.zone(f[1], f[2])
	if z == nil {
		return
	}
	z.blocks, z.hasLists = z.blocks[:0], true
	for _, f := range block.FindAllStringSubmatch(f[3], maxBlocks) {
		n, ok := number(f[1])
		kB, sized := number(f[2])
		if !ok || !sized || kB == 0 || kB&(kB-1) != 0 || n > 1<<32 || kB > 1<<24 {
			continue
		}
		z.blocks = append(z.blocks, blockCount{kB: kB, n: n, types: f[3]})
		if m.pageKB == 0 || kB < m.pageKB {
			m.pageKB = kB
		}
	}
}

func (m *memInfo) readReserve(line string) {
	f := reserveRow.FindStringSubmatch(line)
	if f == nil || m.last == nil || m.last.reserve != nil {
		return
	}
	for _, field := range strings.Fields(f[1]) {
		if n, ok := number(field); ok && len(m.last.reserve) < 16 {
			m.last.reserve = append(m.last.reserve, n)
		}
	}
}

func (m *memInfo) addStacks(line string) {
	for _, f := range kiloFigure.FindAllStringSubmatch(line, 64) {
		if kB, ok := number(f[2]); ok && f[1] == "kernel_stack" {
			m.stackKB += kB
		}
	}
}

func (m *memInfo) readTotals(line string) {
	for _, f := range pageTotal.FindAllStringSubmatch(line, 8) {
		n, ok := number(f[1])
		switch {
		case !ok:
		case f[2] == "pages RAM" || f[2] == "pages of RAM":
			m.ram, m.hasRAM = n, true
		case f[2] == "pages reserved" || f[2] == "reserved pages":
			m.reserved = n
		case f[2] == "pages hwpoisoned":
			m.poisoned = n
		default:
			m.cmaPages = n
		}
	}
}

// readCounters reads those of the machine. Those of single nodes and zones are in
// kB, and look different.
func (m *memInfo) readCounters(line string) bool {
	found := false
	for _, f := range pageFigure.FindAllStringSubmatch(line, 64) {
		n, ok := number(f[2])
		if !ok {
			continue
		}
		for _, known := range pageCounters {
			if f[1] == known {
				if m.counters == nil {
					m.counters = map[string]uint64{}
				}
				m.counters[known] = n
				found = true
			}
		}
	}
	return found
}

// empty says that nothing was read yet.
func (m *memInfo) empty() bool { return len(m.zones) == 0 && m.counters == nil && !m.hasRAM }

// pageSize returns the size of a page in kB, as far as the lists tell.
func (m *memInfo) pageSize() uint64 {
	if m.pageKB == 0 {
		return 4
	}
	return m.pageKB
}
