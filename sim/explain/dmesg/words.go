package dmesg

import (
	"fmt"
	"strconv"
	"strings"

	"dmasim/allocator"
	"dmasim/mem"
)

// say adds a sentence to the explanation.
func (f *Failure) say(format string, args ...any) {
	f.Explanation = append(f.Explanation, fmt.Sprintf(format, args...))
}

// advise adds what would help.
func (f *Failure) advise(format string, args ...any) {
	f.Help = append(f.Help, fmt.Sprintf(format, args...))
}

// size prints a number of pages with their bytes.
func (f *Failure) size(n uint64) string {
	unit := "pages"
	if n == 1 {
		unit = "page"
	}
	return fmt.Sprintf("%s %s (%s)", grouped(n), unit, mem.Size(n*f.PageBytes).Short())
}

// bytes prints a number of pages as bytes.
func (f *Failure) bytes(n uint64) string { return mem.Size(n * f.PageBytes).Short() }

// grouped prints a number with commas between thousands.
func grouped(n uint64) string {
	text := strconv.FormatUint(n, 10)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

// describe puts the failure into words.
func (f *Failure) describe() {
	f.Explanation, f.Help = []string{}, []string{}
	switch f.Kind {
	case CMA:
		f.describeCMA()
	case CMAReserve:
		f.say("At boot, no free range of %s was found for the area. Every later request to it fails.", f.asked())
		f.advise("a smaller cma=, or an area elsewhere (cma=SIZE@START, alloc-ranges in the device tree); the kernel's part of the first zone has to hold it whole")
	case PageAlloc, OOM:
		f.describePages()
	case MemcgOOM:
		f.say("A memory cgroup reached its limit, and a process in it was killed%s. The machine may have had memory left.", f.victim())
		f.say("dma-bufs are charged to no memory cgroup: what the limit counts are the programs' own pages, page cache and kernel objects.")
		f.advise("a higher memory.max, or less memory used by the programs of the group")
	case SWIOTLB:
		f.describeBounce()
	case DMAMask:
		f.describeMask()
	case IOVA:
		f.say("%s asked its IOMMU for %s of contiguous I/O addresses; there were none left below its DMA mask.", f.who(), f.asked())
		f.advise("fewer or smaller mappings at once; without deferred flushing (iommu.strict=1) freed addresses come back at once; a wider DMA mask, if the device has one")
	case DMAAlloc:
		f.say("%s did not get a buffer of %s; the log does not hold the kernel's own message about it.", f.who(), f.asked())
		f.advise("the lines around this one, or the same with CONFIG_CMA_DEBUG before Linux 6.12, would show what was free")
	case DMAMap:
		f.say("%s could not map memory for DMA; the log does not say why (no bounce buffer, no I/O address, or an address beyond its mask).", f.who())
	case DMAHeap:
		if f.Cause == cause(allocator.Permission) {
			f.say("The caller may not open the heap.")
			f.advise("the heap's device file belongs to a user and a group (often root and video): run as one of these, or change the udev rule")
			return
		}
		f.say("%s did not get a buffer of a dma-heap. A heap of a CMA area fails when no contiguous run is free; the kernel's own message would say more.", f.who())
		f.advise("the kernel's log of the same moment (dmesg); a larger cma=, fewer or smaller buffers at once, or the system heap if the device does not need contiguous memory")
	}
}

// asked prints what was asked for.
func (f *Failure) asked() string {
	switch {
	case f.RequestedPages != nil:
		return f.size(*f.RequestedPages)
	case f.requestedBytes > 0:
		return mem.Size(f.requestedBytes).Short()
	}
	return "a size that is not known"
}

// who names who asked.
func (f *Failure) who() string {
	switch {
	case f.Device != "":
		return f.Device
	case f.Process != "":
		return f.Process
	}
	return "A driver"
}

// victim names who was killed.
func (f *Failure) victim() string {
	k := f.killed
	if k == nil {
		return ""
	}
	return fmt.Sprintf(": %s (pid %d), which had %s of its own", k.Name, k.PID, (k.AnonRSS + k.FileRSS + k.Shmem).Short())
}

func (f *Failure) describeCMA() {
	a := f.Area
	name := "A CMA area"
	if a.Name != "" {
		name = "The CMA area " + a.Name
	}
	if a.TotalPages != nil {
		name += fmt.Sprintf(" of %s", f.size(*a.TotalPages))
	}
	asked := f.asked()
	if a.AlignPages > 1 {
		asked += fmt.Sprintf(" from a multiple of %s", f.size(a.AlignPages))
	}
	by := ""
	if f.Device != "" {
		by = " by " + f.Device
	}
	f.say("%s was asked%s for %s.", name, by, asked)
	if f.FreePages != nil {
		cut := ""
		if a.Cut {
			cut = "; the list of them is cut"
		}
		f.say("Free: %s in %d runs, the longest of %s%s.", f.size(*f.FreePages), a.Runs, f.size(*f.LargestRunPages), cut)
	}
	for _, h := range f.Objects {
		f.say("The driver listed %d buffers (%s) with %s together.", h.Buffers, h.What, h.Bytes.Short())
	}
	f.causeOfCMA()
	if f.refused {
		f.say("The driver then tried the page allocator, which has no blocks that large, and warned of that.")
	}
	if n := len(f.Unlogged); n > 0 {
		f.say("Then came %d more failures whose requests the kernel did not print (it limits their rate); it printed what was free.", n)
	}
}

func (f *Failure) causeOfCMA() {
	a := f.Area
	n, free := f.RequestedPages, f.FreePages
	switch {
	case n != nil && a.TotalPages != nil && *n > *a.TotalPages:
		f.say("The request is larger than the whole area: it can never be served.")
		f.advise("an area of at least %s, for this buffer alone: %s", f.size(*n), f.larger(*n-*a.TotalPages))
	case f.Cause == cause(allocator.Exhausted) && free == nil:
		f.say("With what the driver holds the request does not fit into the area.")
		f.advise("a larger area, or fewer and smaller buffers at once")
	case f.Cause == cause(allocator.Exhausted):
		f.say("Less is free than was asked for, wherever it lies: the area is exhausted.")
		f.adviseRoom()
	case f.Cause == cause(allocator.Fragmented):
		f.say("Enough is free, but no run is as long as the request: the area is fragmented.")
		f.adviseRoom()
	case f.Cause == cause(allocator.Alignment):
		f.say("A run is long enough, but holds no aligned start: the alignment of CMA requests (CONFIG_CMA_ALIGNMENT) killed it.")
		f.adviseRoom()
	case f.Cause == cause(allocator.Busy):
		f.describeBusy()
	case n == nil && free != nil:
		f.say("The kernel did not print the request, only what was free: it limits the rate of the former.")
	case a.Cut && free != nil:
		f.say("The list of free pages is cut: what is missing of it may have held a place, or not.")
		f.advise("the whole line of the log")
	default:
		f.say("The log does not show what was free: the area may have been exhausted, or fragmented, or its pages aligned badly.")
		f.advise("Linux from 6.12 on, or CONFIG_CMA_DEBUG, prints what is free; /sys/kernel/debug/cma/ shows it at any time (CONFIG_CMA_DEBUGFS)")
		f.advise("a larger cma=, fewer or smaller buffers at once")
	}
}

func (f *Failure) describeBusy() {
	switch {
	case f.LargestRunPages != nil && f.errno == -12:
		f.say("A run was long enough when the list was printed. So the pages in it, which the area had lent to programs, found no memory to move to; or somebody freed a buffer in between.")
		f.advise("free memory outside of the area; a request early, before memory is full")
	case f.LargestRunPages != nil:
		f.say("A run was long enough (error %d), but pages in it that the area had lent could not be moved away: they were under I/O, pinned by a driver, or written back.", f.errno)
	default:
		f.say("Places were found (error %d), but pages there that the area had lent to programs could not be moved away.", f.errno)
	}
	if f.busyRanges > 0 {
		f.say("alloc_contig_range gave up on %d places one after the other.", f.busyRanges)
	}
	f.advise("take the buffers early and keep them; do not pin other memory for long (long transfers, io_uring, RDMA, VFIO) where programs' pages may lie in the area")
	f.advise("a memory region of the device's own that is not lent out (no-map instead of reusable)")
}

// adviseRoom says what makes room, with figures that were tried.
func (f *Failure) adviseRoom() {
	need := f.Area.Need
	if need == nil {
		f.advise("a larger cma=, fewer or smaller buffers at once")
		return
	}
	if need.VacatePages > 0 {
		f.advise("fewer buffers at once: at least %s must go, if it is those between pages %s and %s of the area",
			f.size(need.VacatePages), grouped(need.VacateAt), grouped(need.VacateAt+*f.RequestedPages))
	}
	if need.GrowPages > 0 {
		f.advise("an area larger by %s with the same buffers in it: %s", f.size(need.GrowPages), f.larger(need.GrowPages))
	}
	if need.FitsAlign > 0 {
		f.advise("an alignment of %s at most: CONFIG_CMA_ALIGNMENT=%d, or a size of which the next power of two is smaller", f.size(need.FitsAlign), log2(need.FitsAlign))
	}
	if need.FitsPages > 0 {
		f.advise("a buffer of %s at most, or several smaller ones if the device takes a list of pieces", f.size(need.FitsPages))
	}
}

func log2(n uint64) int {
	order := 0
	for ; n > 1; n >>= 1 {
		order++
	}
	return order
}

// larger returns the cma= that gives an area so many more pages. Areas are made
// of whole pageblocks.
func (f *Failure) larger(more uint64) string {
	if f.Area.TotalPages == nil {
		return "a larger cma="
	}
	const block = 4 << 20
	bytes := (*f.Area.TotalPages + more) * f.PageBytes
	if bytes > 1<<50 {
		return "more than any area has"
	}
	return fmt.Sprintf("cma=%dM", (bytes+block-1)/block*(block>>20))
}

// Bar draws the area as a line of characters: how full each of width equal parts
// is, from "." for free to "#" for used. It is "" where the log does not say.
func (a *Area) Bar(width int) string {
	if a == nil || a.TotalPages == nil || len(a.Free) == 0 || a.Cut || width <= 0 || *a.TotalPages < uint64(width) {
		return ""
	}
	total := float64(*a.TotalPages)
	free := make([]float64, width)
	for _, r := range a.Free {
		lo, hi := float64(r.At)/total*float64(width), float64(uint64(r.At)+r.Pages)/total*float64(width)
		if r.At < 0 || hi > float64(width)+1e-9 {
			return ""
		}
		for i := int(lo); i < width && float64(i) < hi; i++ {
			free[i] += min(hi, float64(i+1)) - max(lo, float64(i))
		}
	}
	var bar strings.Builder
	for _, share := range free {
		switch {
		case share > 0.999:
			bar.WriteByte('.')
		case share < 0.001:
			bar.WriteByte('#')
		case share < 0.5:
			bar.WriteByte('+')
		default:
			bar.WriteByte('-')
		}
	}
	return bar.String()
}

func (f *Failure) describeBounce() {
	b := f.Bounce
	f.say("%s had to bounce %s: its address is beyond what the device reaches, so it is copied to and from a buffer below.", f.who(), f.asked())
	if b.TotalSlots != nil {
		f.say("Bounce buffers: %s of %s in use (%s of %s).", grouped(*b.UsedSlots), grouped(*b.TotalSlots),
			mem.Size(*b.UsedSlots*slotBytes).Short(), mem.Size(*b.TotalSlots*slotBytes).Short())
	}
	switch {
	case f.requestedBytes > maxSlots*slotBytes:
		f.say("The mapping is larger than the largest that can be bounced, %s (%d slots): no size of the pool helps.", mem.Size(maxSlots*slotBytes), maxSlots)
		f.advise("smaller segments: the driver should ask dma_max_mapping_size; memory that the device reaches (GFP_DMA32, dma_alloc_coherent, a heap in its window), or an IOMMU")
		return
	case b.TotalSlots != nil && *b.TotalSlots-min(*b.UsedSlots, *b.TotalSlots) >= (f.requestedBytes+slotBytes-1)/slotBytes:
		f.say("Enough slots are free, but not side by side: a mapping takes contiguous slots.")
	case b.TotalSlots != nil:
		f.say("Fewer slots are free than the mapping takes.")
	}
	f.advise("buffers that the device reaches need no bouncing: memory below its limit, or an IOMMU")
	if b.TotalSlots != nil {
		f.advise("a larger pool: swiotlb=%d (slots) doubles it; if it fills again, the driver leaks mappings or has too many in flight", 2**b.TotalSlots)
	} else {
		f.advise("a larger pool: swiotlb=SLOTS, of %d bytes each; if it fills again, the driver leaks mappings or has too many in flight", slotBytes)
	}
}

func (f *Failure) describeMask() {
	a := f.Address
	if a == nil {
		f.say("%s got no DMA mask that the machine could serve: its addresses would lie beyond what the device or its bus can emit.", f.who())
		f.advise("check dma-ranges of the bus in the device tree, and the driver's dma_set_mask")
		return
	}
	limit, rules := a.Mask, fmt.Sprintf("DMA mask %s", a.Mask)
	if a.BusLimit != 0 {
		limit = min(limit, a.BusLimit)
		rules += fmt.Sprintf(", bus limit %s", a.BusLimit)
	}
	size := ""
	if a.Bytes > 0 {
		size = " with " + a.Bytes.Short()
	}
	f.say("%s was given a buffer at %s%s; it emits addresses up to %s (%s).", f.who(), a.At, size, limit, rules)
	f.say("The buffer is out of reach, and could not be bounced.")
	f.advise("memory below %s: a heap or CMA area in the device's window, GFP_DMA32 or GFP_DMA in the driver", limit+1)
	f.advise("a wider mask, if the hardware has the address lines; dma-ranges that describe the bus; an IOMMU")
}
