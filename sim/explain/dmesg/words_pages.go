package dmesg

import (
	"fmt"
	"strings"

	"dmasim/allocator"
)

func (f *Failure) describePages() {
	block := fmt.Sprintf("a block of order %d, %s", f.order, f.asked())
	flags := ""
	if f.flags != "" {
		flags = " (" + f.flags + ")"
	}
	via := ""
	if f.Via != "" {
		via = " for " + f.Via
	}
	who := "Somebody"
	if f.Process != "" {
		who = f.Process
	}
	if f.Device != "" {
		via += " of " + f.Device
	}
	m := f.Pages
	if m == nil {
		m = &Memory{}
	}
	f.say("%s asked the page allocator for %s%s%s.", who, block, flags, via)
	f.describeMemory(m)
	f.causeOfPages(m)
	if f.Kind == OOM {
		f.describeKill(m)
	}
	f.describeUnexplained(m)
}

func (f *Failure) describeMemory(m *Memory) {
	if f.FreePages == nil {
		f.say("The log holds no account of memory (Mem-Info) for it.")
		return
	}
	of := ""
	if m.Managed > 0 {
		of = " of " + f.bytes(m.Managed)
	}
	f.say("Free: %s%s; %s of them in zones and of migrate types that the request may take.", f.size(*f.FreePages), of, f.bytes(m.FreeInReach))
	for _, z := range m.Zones {
		if !z.InReach {
			f.say("Zone %s: %s free, out of reach of these flags.", z.Name, f.bytes(z.Free))
			continue
		}
		aside := ""
		if z.Usable < z.Free {
			aside = fmt.Sprintf(", %s of it set aside for others (CMA, urgent requests)", f.bytes(z.Free-z.Usable))
		}
		verdict := ""
		if z.keepsKnown {
			verdict = ", below what it keeps"
			if z.Passes {
				verdict = ", above what it keeps"
			}
			verdict += " (" + f.bytes(z.Min)
			if z.Reserve > 0 {
				verdict += " and " + f.bytes(z.Reserve) + " for requests that fit nowhere else"
			}
			verdict += ")"
		}
		largest := ""
		if n := largestBlock(z.UsableBlocks); n > 0 {
			largest = "; largest usable block " + f.bytes(n)
		} else if len(z.UsableBlocks) > 0 {
			largest = "; no usable block"
		}
		f.say("Zone %s: %s free%s%s%s.", z.Name, f.bytes(z.Free), aside, verdict, largest)
	}
}

func (f *Failure) causeOfPages(m *Memory) {
	switch f.Cause {
	case cause(allocator.Exhausted):
		f.say("No zone that the request may use had memory left above what it keeps: memory is exhausted.")
		if m.UnexplainedPages*5 < m.Managed {
			f.advise("less memory in use; more RAM or swap")
		}
	case cause(allocator.WindowFull):
		f.describeReach(m)
	case cause(allocator.Fragmented):
		f.say("Enough is free, but in pieces smaller than the request: memory is fragmented.")
		if largest := largestBlock(allBlocks(m)); largest >= 1<<f.order {
			f.say("There are free blocks that large, but of migrate types (CMA, highatomic) or in zones that this request may not take.")
		}
		f.advise("smaller blocks (several pieces instead of one), a fallback to vmalloc, or an IOMMU, which makes pieces look contiguous")
		f.advise("memory from a CMA area or a carveout; the allocation early, at boot; compaction (vm.compact_memory) and a higher vm.min_free_kbytes")
	case Unknown:
		if len(m.Zones) > 0 && largestBlock(allBlocks(m)) >= 1<<f.order {
			f.say("There are blocks that large; what the zones keep back is not in the log.")
		}
	case cause(allocator.Policy):
		f.say("When the account was printed, a block was there. The request did not wait for it: memory was freed in between, or it was one that must not sleep.")
		if strings.Contains(f.flags, "ATOMIC") || strings.Contains(f.flags, "NOWAIT") || f.mode&gfpHigh != 0 {
			f.advise("a higher vm.min_free_kbytes keeps more for requests that must not sleep")
		} else {
			f.advise("another try: the driver may repeat the request")
		}
	}
}

// allBlocks adds up the free blocks of all zones.
func allBlocks(m *Memory) []uint64 {
	sum := make([]uint64, maxBlocks+1)
	for _, z := range m.Zones {
		for order, n := range z.Blocks {
			sum[order] += n
		}
	}
	return sum
}

// describeReach is for memory that is free where the request may not look.
func (f *Failure) describeReach(m *Memory) {
	var outside uint64
	for _, z := range m.Zones {
		if !z.InReach {
			outside += z.Free
		}
	}
	f.say("There is free memory, but not for this request: what it may take is used up.")
	if m.FreeCMA > 0 && f.mode&gfpMovable == 0 {
		f.say("%s of the free memory lie in CMA areas, which only movable pages of programs may use.", f.bytes(m.FreeCMA))
		f.advise("a smaller CMA area (cma=), or one in a higher zone, leaves more for the kernel itself")
	}
	if outside > 0 {
		f.say("%s are free in zones above.", f.bytes(outside))
		f.advise("fewer buffers from the low zones; a request without GFP_DMA or GFP_DMA32 if the device reaches all of memory (a wider DMA mask), or a 64-bit kernel where HighMem is what is free")
	}
}

func (f *Failure) describeKill(m *Memory) {
	if f.killed == nil {
		return
	}
	f.say("To get memory, the kernel killed a process%s.", f.victim())
	own := f.killed.AnonRSS + f.killed.FileRSS + f.killed.Shmem
	if m.UnexplainedKiB > 4*uint64(own)>>10 && m.UnexplainedPages > m.Managed/8 {
		f.say("The choice counts what programs have of their own, not the dma-bufs that they hold, so it may fall on somebody else than the one who holds them.")
	}
}

// describeUnexplained says what the memory is that no counter explains.
func (f *Failure) describeUnexplained(m *Memory) {
	if m.Managed == 0 || len(m.Explained) == 0 {
		return
	}
	var largest Count
	var sum uint64
	for _, e := range m.Explained {
		sum += e.Pages
		if !strings.HasPrefix(e.What, "free") && e.Pages > largest.Pages {
			largest = e
		}
	}
	f.say("Of %s KiB of RAM that the kernel manages, its counters explain %s KiB; %s KiB (%.0f %%) are in no counter.",
		grouped(m.Managed*f.PageBytes>>10), grouped(sum*f.PageBytes>>10), grouped(m.UnexplainedKiB), 100*float64(m.UnexplainedPages)/float64(m.Managed))
	switch {
	case m.UnexplainedPages*5 >= m.Managed:
		text := "So much is what drivers took for devices and nobody is charged for: pinned dma-bufs above all (a heap's or GPU's buffers), also CMA allocations and other pages of drivers. They are never swapped or reclaimed."
		if f.Via != "" && strings.Contains(f.Via, "heap") {
			text += " The request itself came through " + f.Via + "."
		}
		f.say("%s", text)
		f.advise("find who holds dma-bufs: /sys/kernel/debug/dma_buf/bufinfo, /proc/*/fdinfo (size, exp_name); a limit on buffers per program; a closed descriptor for every buffer")
	case largest.Pages > 0 && f.Cause == cause(allocator.Exhausted):
		f.say("Most of the rest is %s: %s.", largest.What, f.bytes(largest.Pages))
	}
}
