package probe

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"math/bits"
	"path"
	"slices"
	"strconv"
	"strings"

	"dmasim/allocator/dmaheap"
	"dmasim/mem"
)

// user reads who asks, and returns which process started this one; 0 unknown.
func (p *prober) user() (parent int) {
	const path = "proc/self/status"
	text, err := p.text(path)
	if err != nil {
		p.gap("user and groups", path, err, mountProc)
		return 0
	}
	var u User
	for line := range strings.Lines(text) {
		key, value, _ := strings.Cut(line, ":")
		numbers, err := parseIDs(value)
		switch {
		case key == "PPid" && err == nil && len(numbers) == 1:
			parent = int(numbers[0])
		case key == "Uid" && err == nil && len(numbers) > 1:
			u.UID = numbers[1] // the effective one
		case key == "Gid" && err == nil && len(numbers) > 1:
			u.GID = numbers[1]
		case key == "Groups" && err == nil:
			u.Groups = numbers
		case slices.Contains([]string{"PPid", "Uid", "Gid", "Groups"}, key):
			p.gap("user and groups", path, fmt.Errorf("%q is not understood", strings.TrimSpace(line)), "report it")
			return parent
		}
	}
	p.User = &u
	return parent
}

func parseIDs(text string) ([]uint32, error) {
	ids := []uint32{}
	for field := range strings.FieldsSeq(text) {
		n, err := strconv.ParseUint(field, 10, 32)
		if err != nil {
			return nil, err
		}
		ids = append(ids, uint32(n))
	}
	return ids, nil
}

const (
	cmaDebug = "sys/kernel/debug/cma"
	cmaStats = "sys/kernel/mm/cma"
)

// cma reads areas from debugfs, and their names and counts from sysfs. Sources:
// mm/cma_debug.c and mm/cma_sysfs.c, Linux 6.12; Linux 6.14 keeps the old files.
func (p *prober) cma() {
	areas := map[string]*CMAArea{}
	area := func(name string) *CMAArea {
		if areas[name] == nil {
			areas[name] = &CMAArea{Name: name}
		}
		return areas[name]
	}
	debug, debugErr := fs.ReadDir(p.root, cmaDebug)
	for _, entry := range debug {
		// Before Linux 5.4 the folder has a prefix.
		a := area(strings.TrimPrefix(entry.Name(), "cma-"))
		if err := p.debugArea(path.Join(cmaDebug, entry.Name()), a); err != nil {
			p.gap("CMA area "+a.Name, path.Join(cmaDebug, entry.Name()), err, "report it")
		}
	}
	stats, statsErr := fs.ReadDir(p.root, cmaStats)
	for _, entry := range stats {
		a := area(entry.Name())
		folder := path.Join(cmaStats, entry.Name())
		var err, failErr error
		a.AllocSuccess, err = p.number(path.Join(folder, "alloc_pages_success"))
		a.AllocFail, failErr = p.number(path.Join(folder, "alloc_pages_fail"))
		if err = errors.Join(err, failErr); err != nil {
			p.gap("counts of CMA area "+a.Name, folder, err, "report it")
		}
	}
	hasCMA := p.Memory == nil || p.Memory.CMATotal > 0 || len(areas) > 0
	if debugErr != nil && hasCMA {
		p.gap("where CMA areas are and what is free in them", cmaDebug, debugErr, dmaheap.DebugfsRemedy(p.root, "CONFIG_CMA_DEBUGFS"))
	}
	if statsErr != nil && hasCMA && debugErr != nil {
		p.gap("names of CMA areas", cmaStats, statsErr, "a kernel with CONFIG_CMA_SYSFS")
	}
	for _, a := range areas {
		p.CMA = append(p.CMA, *a)
	}
	slices.SortFunc(p.CMA, func(a, b CMAArea) int { return strings.Compare(a.Name, b.Name) })
}

func (p *prober) debugArea(folder string, a *CMAArea) error {
	if p.Memory == nil {
		return errors.New("it counts pages, whose size is unknown")
	}
	page := uint64(p.Memory.PageSize)
	var figures [5]uint64
	for i, name := range []string{"base_pfn", "count", "used", "maxchunk", "order_per_bit"} {
		n, err := p.number(path.Join(folder, name))
		if err != nil {
			return err
		}
		if n > math.MaxUint64/page {
			return fmt.Errorf("%s %d is more than any machine has", name, n)
		}
		figures[i] = n
	}
	a.Base = mem.Addr(figures[0] * page)
	a.Size, a.Used, a.LargestFree = mem.Size(figures[1]*page), mem.Size(figures[2]*page), mem.Size(figures[3]*page)
	// Some kernels print the word beside it in the upper half.
	a.OrderPerBit = figures[4] & math.MaxUint32
	if a.OrderPerBit >= 32 {
		return fmt.Errorf("order_per_bit %d is more than any machine has", a.OrderPerBit)
	}
	text, err := p.text(path.Join(folder, "bitmap"))
	if err != nil {
		return err
	}
	words, err := ParseCMABitmap(text)
	if err != nil {
		return err
	}
	a.Taken = taken(words, uint64(a.Base), page<<a.OrderPerBit).Intersect(mem.NewRangeSet(mem.Range{Lo: uint64(a.Base), Hi: uint64(a.Base) + uint64(a.Size)}))
	return nil
}

// ParseCMABitmap reads the file bitmap of an area's debugfs: a bit for each unit that
// is taken, in decimal words of 32 bits (mm/cma_debug.c, cma_debugfs_add_one, Linux
// 6.12).
func ParseCMABitmap(text string) ([]uint32, error) {
	var words []uint32
	for _, field := range strings.Fields(text) {
		n, err := strconv.ParseUint(field, 10, 32)
		if err != nil {
			return nil, fmt.Errorf("bitmap: %w", err)
		}
		words = append(words, uint32(n))
	}
	return words, nil
}

// taken returns the addresses of the bits that are set.
func taken(words []uint32, base, unit uint64) mem.RangeSet {
	var runs []mem.Range
	for i, word := range words {
		for ; word != 0; word &= word - 1 {
			lo := base + (uint64(i)*32+uint64(bits.TrailingZeros32(word)))*unit
			if last := len(runs) - 1; last >= 0 && runs[last].Hi == lo {
				runs[last].Hi += unit
			} else {
				runs = append(runs, mem.Range{Lo: lo, Hi: lo + unit})
			}
		}
	}
	return mem.NewRangeSet(runs...)
}

// bounce reads the default pool of swiotlb, in slots of 2 KiB. Source:
// kernel/dma/swiotlb.c, swiotlb_create_debugfs_files, Linux 6.12.
func (p *prober) bounce() {
	const folder, slot = "sys/kernel/debug/swiotlb", 2 * mem.KiB
	files, err := fs.ReadDir(p.root, folder)
	if err == nil && len(files) == 0 {
		p.Bounce = &Bounce{} // every device reaches all of memory
		return
	}
	size, err := p.number(path.Join(folder, "io_tlb_nslabs"))
	var used uint64
	if err == nil {
		used, err = p.number(path.Join(folder, "io_tlb_used"))
	}
	if err != nil {
		remedy := dmaheap.DebugfsRemedy(p.root, "CONFIG_SWIOTLB and CONFIG_DEBUG_FS")
		p.gap("bounce buffers (swiotlb)", folder, err, remedy)
		return
	}
	most, err := p.number(path.Join(folder, "io_tlb_used_hiwater"))
	if err != nil {
		p.gap("most bounce buffers used", path.Join(folder, "io_tlb_used_hiwater"), err, "Linux 6.3 or later")
	}
	p.Bounce = &Bounce{Size: mem.Size(size) * slot, Used: mem.Size(used) * slot, HighWater: mem.Size(most) * slot}
}

func (p *prober) iommu() {
	const folder = "sys/kernel/iommu_groups"
	entries, err := fs.ReadDir(p.root, folder)
	if err != nil {
		p.gap("IOMMU groups", folder, err, "a kernel with CONFIG_IOMMU_API and sysfs mounted")
		return
	}
	for _, entry := range entries {
		id, err := strconv.Atoi(entry.Name())
		if err != nil {
			p.gap("IOMMU group "+entry.Name(), path.Join(folder, entry.Name()), err, "report it")
			continue
		}
		g := Group{ID: id, Devices: []string{}}
		if g.Type, err = p.text(path.Join(folder, entry.Name(), "type")); err != nil {
			p.gap(fmt.Sprintf("type of IOMMU group %d", id), path.Join(folder, entry.Name(), "type"), err, "Linux 5.11 or later")
		}
		members, err := fs.ReadDir(p.root, path.Join(folder, entry.Name(), "devices"))
		if err != nil {
			p.gap(fmt.Sprintf("devices of IOMMU group %d", id), path.Join(folder, entry.Name(), "devices"), err, "report it")
		}
		for _, d := range members {
			g.Devices = append(g.Devices, d.Name())
		}
		p.IOMMU = append(p.IOMMU, g)
	}
	slices.SortFunc(p.IOMMU, func(a, b Group) int { return a.ID - b.ID })
}

// descriptors reads limits of the parent, since the Go runtime raises the soft one
// of its own process.
func (p *prober) descriptors(parent int) {
	limits, system := fmt.Sprintf("proc/%d/limits", parent), "proc/sys/fs/file-nr"
	const what = "limits on open files"
	text, err := p.text(limits)
	if err != nil {
		p.gap(what, limits, err, "a process that may see its parent: not in a PID namespace of its own")
		return
	}
	var d Descriptors
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, "Max open files"); ok {
			if field := strings.Fields(rest); len(field) >= 2 {
				var softErr, hardErr error
				d.Soft, softErr = parseLimit(field[0])
				d.Hard, hardErr = parseLimit(field[1])
				err = errors.Join(softErr, hardErr)
			}
		}
	}
	if err != nil || d.Hard == 0 {
		p.gap(what, limits, errors.New("not understood"), "report it")
		return
	}
	p.Descriptors = &d
	if text, err = p.text(system); err == nil {
		var unused uint64
		_, err = fmt.Sscan(text, &d.Open, &unused, &d.Most)
	}
	if err != nil {
		p.gap("open files of the whole system", system, err, mountProc)
	}
}

func parseLimit(text string) (uint64, error) {
	if text == "unlimited" {
		return math.MaxUint64, nil
	}
	return strconv.ParseUint(text, 10, 64)
}
