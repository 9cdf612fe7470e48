package machine

import (
	"fmt"
	"strings"

	"dmasim/mem"
)

// Meminfo is what /proc/meminfo says of the whole machine, in bytes. A figure
// that the kernel does not give, as it was built or because it is too old, is
// 0. Source: fs/proc/meminfo.c, meminfo_proc_show, Linux 6.12.
type Meminfo struct {
	MemTotal     mem.Size // what the page allocator manages
	MemFree      mem.Size // free in its lists; what is in per-CPU lists is not
	MemAvailable mem.Size // the kernel's estimate of what can be had without swapping

	Buffers      mem.Size // page cache of block devices
	Cached       mem.Size // other page cache, with shared memory, without SwapCached
	SwapCached   mem.Size // pages in memory that also have a place in swap
	Active       mem.Size // on the active lists, anonymous and of files
	Inactive     mem.Size // on the inactive ones
	ActiveAnon   mem.Size
	InactiveAnon mem.Size
	ActiveFile   mem.Size
	InactiveFile mem.Size
	Unevictable  mem.Size // on no list that is reclaimed: locked pages, ramfs
	AnonPages    mem.Size // anonymous pages that a process has mapped
	Shmem        mem.Size // shared memory and tmpfs: in Cached, but swapped like AnonPages

	Slab         mem.Size // SReclaimable + SUnreclaim
	SReclaimable mem.Size
	SUnreclaim   mem.Size
	KernelStack  mem.Size
	PageTables   mem.Size

	SwapTotal mem.Size
	SwapFree  mem.Size
	CmaTotal  mem.Size // in areas of the contiguous memory allocator
	CmaFree   mem.Size // of these, free in the page allocator
	Hugetlb   mem.Size // taken out of the page allocator for huge pages
}

// figures returns where the figure of each name goes.
func (m *Meminfo) figures() map[string]*mem.Size {
	return map[string]*mem.Size{
		"MemTotal": &m.MemTotal, "MemFree": &m.MemFree, "MemAvailable": &m.MemAvailable,
		"Buffers": &m.Buffers, "Cached": &m.Cached, "SwapCached": &m.SwapCached,
		"Active": &m.Active, "Inactive": &m.Inactive,
		"Active(anon)": &m.ActiveAnon, "Inactive(anon)": &m.InactiveAnon,
		"Active(file)": &m.ActiveFile, "Inactive(file)": &m.InactiveFile,
		"Unevictable": &m.Unevictable, "AnonPages": &m.AnonPages, "Shmem": &m.Shmem,
		"Slab": &m.Slab, "SReclaimable": &m.SReclaimable, "SUnreclaim": &m.SUnreclaim,
		"KernelStack": &m.KernelStack, "PageTables": &m.PageTables,
		"SwapTotal": &m.SwapTotal, "SwapFree": &m.SwapFree,
		"CmaTotal": &m.CmaTotal, "CmaFree": &m.CmaFree, "Hugetlb": &m.Hugetlb,
	}
}

// parseMeminfo skips names that it does not know: kernels and vendors add
// lines.
func parseMeminfo(f *file) (Meminfo, error) {
	var m Meminfo
	figures := m.figures()
	for {
		more, err := f.next()
		if err != nil {
			return Meminfo{}, err
		}
		if !more {
			break
		}
		if len(f.words) == 0 {
			continue
		}
		name, found := strings.CutSuffix(f.words[0].text, ":")
		figure, known := figures[name]
		if !found || !known {
			continue
		}
		if figure == nil {
			return Meminfo{}, f.errorf("%s is given twice", name)
		}
		if len(f.words) != 3 || f.words[2].text != "kB" {
			return Meminfo{}, f.errorf("want %s as a number of kB", name)
		}
		kB, err := f.number(f.words[1], maxPages*uint64(minPage/mem.KiB))
		if err != nil {
			return Meminfo{}, err
		}
		*figure = mem.Size(kB) * mem.KiB
		figures[name] = nil
	}
	for _, name := range []string{"MemTotal", "MemFree"} {
		if figures[name] != nil {
			return Meminfo{}, fmt.Errorf("%s: %s is missing", f.name, name)
		}
	}
	return m, nil
}
