package probe

import (
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"

	"dmasim/allocator/dmaheap"
	"dmasim/devices/machine"
	"dmasim/mem"
)

// Report is what a machine offers. Sizes are in bytes.
type Report struct {
	Kernel      string       `json:"kernel"` // release, as uname -r prints it; "" unknown
	Arch        string       `json:"arch"`   // as uname -m prints it; "" unknown
	User        *User        `json:"user"`   // who asked; null unknown
	Heaps       []Heap       `json:"heaps"`
	Memory      *Memory      `json:"memory"` // null unknown
	CMA         []CMAArea    `json:"cma"`
	Bounce      *Bounce      `json:"bounce"` // null unknown
	IOMMU       []Group      `json:"iommu_groups"`
	Descriptors *Descriptors `json:"descriptors"` // null unknown
	// DMABufs are those that live.
	DMABufs Accounting `json:"dma_bufs"`
	// Warnings say where files disagree.
	Warnings []string      `json:"warnings"`
	Gaps     []dmaheap.Gap `json:"gaps"`
	// Proc are the files of /proc that Memory was read from.
	Proc Proc `json:"-"`
}

// User is by what the kernel decides what may be opened: the effective user and
// group, and the others that it belongs to.
type User struct {
	UID    uint32   `json:"uid"`
	GID    uint32   `json:"gid"`
	Groups []uint32 `json:"groups"`
}

// Heap is a dma-buf heap.
type Heap struct {
	Name    string `json:"name"`
	Path    string `json:"path"`
	UID     uint32 `json:"uid"`
	GID     uint32 `json:"gid"`
	Mode    string `json:"mode"` // octal, such as "0660"
	MayOpen bool   `json:"may_open"`
}

// Memory is what the files of /proc tell of memory.
type Memory struct {
	PageSize  mem.Size `json:"page_size"`
	Total     mem.Size `json:"total"` // of the page allocator
	Free      mem.Size `json:"free"`
	Available mem.Size `json:"available"` // without swapping, as the kernel estimates
	SwapTotal mem.Size `json:"swap_total"`
	SwapFree  mem.Size `json:"swap_free"`
	CMATotal  mem.Size `json:"cma_total"`
	CMAFree   mem.Size `json:"cma_free"`
	Zones     []Zone   `json:"zones"`
	// Ranges is where RAM is; empty where the kernel does not tell.
	Ranges mem.RangeSet `json:"ranges"`
}

// Zone is a zone of the page allocator.
type Zone struct {
	Node    int      `json:"node"`
	Name    string   `json:"name"`
	Lo      mem.Addr `json:"lo"`
	Hi      mem.Addr `json:"hi"`      // behind its last page
	Managed mem.Size `json:"managed"` // of the page allocator
	Free    mem.Size `json:"free"`
	CMA     mem.Size `json:"cma"`
	// LargestFree is the size of the largest free block; a system heap asks for
	// blocks of 1 MiB first.
	LargestFree mem.Size `json:"largest_free_block"`
}

// CMAArea is an area of the contiguous memory allocator. Where debugfs does not
// tell, only the name is known.
type CMAArea struct {
	Name         string   `json:"name"`
	Base         mem.Addr `json:"base"`
	Size         mem.Size `json:"size"` // 0 unknown
	Used         mem.Size `json:"used"`
	LargestFree  mem.Size `json:"largest_free"` // longest run, whatever its alignment
	OrderPerBit  uint64   `json:"order_per_bit"`
	AllocSuccess uint64   `json:"alloc_pages_success"` // pages, since boot; 0 also unknown
	AllocFail    uint64   `json:"alloc_pages_fail"`
	// Taken is what is in use; of the places and sizes of dma-bufs in it the kernel
	// tells no more.
	Taken mem.RangeSet `json:"taken"`
}

// Bounce is the pool of bounce buffers, swiotlb; of size 0 where the kernel made
// none.
type Bounce struct {
	Size mem.Size `json:"size"`
	Used mem.Size `json:"used"`
	// HighWater is the most that was used at a time; 0 also where the kernel does
	// not tell.
	HighWater mem.Size `json:"high_water"`
}

// Group is an IOMMU group: devices that the IOMMU cannot tell apart.
type Group struct {
	ID      int      `json:"id"`
	Type    string   `json:"type"` // DMA, DMA-FQ, identity…; "" unknown
	Devices []string `json:"devices"`
}

// Descriptors are limits on open files, each of which may hold a dma-buf.
type Descriptors struct {
	// Soft and Hard are those of the process that started this one; a process may
	// raise its soft limit to its hard one. "unlimited" is the largest number.
	Soft uint64 `json:"soft"`
	Hard uint64 `json:"hard"`
	// Open and Most are those of the whole system.
	Open uint64 `json:"system_open"`
	Most uint64 `json:"system_limit"`
}

// Accounting is what is known of dma-bufs, but for the gaps, which are those of
// the report.
type Accounting struct {
	Complete bool                 `json:"complete"` // the kernel listed all
	Total    mem.Size             `json:"total"`
	Buffers  []dmaheap.BufferInfo `json:"buffers"`
}

// Read finds out what the machine offers whose file system has this root; see
// [os.DirFS].
func Read(root fs.FS) *Report {
	p := &prober{root: root, Report: Report{
		Heaps: []Heap{}, CMA: []CMAArea{}, IOMMU: []Group{}, Warnings: []string{}, Gaps: []dmaheap.Gap{},
	}}
	p.kernel()
	parent := p.user()
	p.heaps()
	p.memory()
	p.cma()
	p.buffers()
	p.bounce()
	p.iommu()
	p.descriptors(parent)
	return &p.Report
}

// prober reads the parts of a report.
type prober struct {
	root fs.FS
	Report
}

// gap notes what could not be read. Remedy is what would help where the file is
// not there; where it may not be read, being root would.
func (p *prober) gap(what, path string, err error, remedy string) {
	if errors.Is(err, fs.ErrPermission) {
		remedy = "run as root, outside of containers"
	}
	reason := err.Error()
	var of *fs.PathError
	if errors.As(err, &of) {
		reason = of.Err.Error()
	}
	p.Gaps = append(p.Gaps, dmaheap.Gap{What: what, Path: "/" + path, Reason: reason, Remedy: remedy})
}

// text reads a small file without the spaces around it.
func (p *prober) text(path string) (string, error) {
	data, err := fs.ReadFile(p.root, path)
	return strings.TrimSpace(string(data)), err
}

// number reads a file that holds a number.
func (p *prober) number(path string) (uint64, error) {
	text, err := p.text(path)
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseUint(text, 0, 64)
	if err != nil {
		return 0, fmt.Errorf("%q is no number", text)
	}
	return n, nil
}

const mountProc = "mount proc: mount -t proc proc /proc"

func (p *prober) kernel() {
	const release, arch = "proc/sys/kernel/osrelease", "proc/sys/kernel/arch"
	var err error
	if p.Kernel, err = p.text(release); err != nil {
		p.gap("kernel release", release, err, mountProc)
	}
	if p.Arch, err = p.text(arch); err != nil {
		p.gap("architecture", arch, err, "Linux 6.1 or later")
	}
}

func (p *prober) heaps() {
	files, err := dmaheap.List(p.root)
	if err != nil {
		p.gap("dma-buf heaps", "dev/dma_heap", err, "a kernel with CONFIG_DMABUF_HEAPS (Linux 5.6 and later); a container needs --device /dev/dma_heap")
		if errors.Is(err, dmaheap.ErrUnsupported) {
			p.Gaps[len(p.Gaps)-1].Reason = "no such folder"
		}
	}
	for _, file := range files {
		heap := Heap{Name: file.Name, Path: file.Path(), UID: file.UID, GID: file.GID, Mode: fmt.Sprintf("%04o", file.Mode.Perm())}
		opened, err := p.root.Open(strings.TrimPrefix(file.Path(), "/"))
		if err == nil {
			heap.MayOpen = true
			opened.Close()
		} else {
			denied := dmaheap.PermissionError{Path: file.Path(), Mode: file.Mode, UID: file.UID, GID: file.GID, Err: err}
			p.gap("heap "+file.Name+" may not be opened", strings.TrimPrefix(file.Path(), "/"), err, "")
			p.Gaps[len(p.Gaps)-1].Remedy = denied.Remedy()
		}
		p.Heaps = append(p.Heaps, heap)
	}
}

func (p *prober) memory() {
	proc, gaps := readProc(p.root)
	p.Proc = proc
	p.Gaps = append(p.Gaps, gaps...)
	state, err := machine.ReadProc(proc)
	if err != nil {
		p.gap("memory and zones", "proc", err, "mount proc, on Linux 4.8 or later")
		return
	}
	p.setMemory(state)
}

func (p *prober) setMemory(state *machine.State) {
	p.Warnings = append(p.Warnings, state.Warnings...)
	m := state.Memory
	page := uint64(state.PageSize)
	p.Memory = &Memory{
		PageSize: state.PageSize, Total: m.MemTotal, Free: m.MemFree, Available: m.MemAvailable,
		SwapTotal: m.SwapTotal, SwapFree: m.SwapFree, CMATotal: m.CmaTotal, CMAFree: m.CmaFree, Zones: []Zone{},
	}
	for i := range state.Zones {
		z := &state.Zones[i]
		zone := Zone{
			Node: z.Node, Name: z.Name, Lo: mem.Addr(uint64(z.Start) * page), Hi: mem.Addr((uint64(z.Start) + z.Spanned) * page),
			Managed: mem.Size(z.Managed * page), Free: mem.Size(z.Pages.Free * page), CMA: mem.Size(z.CMA * page),
		}
		for order, n := range z.FreeBlocks {
			if n > 0 {
				zone.LargestFree = mem.Size(page << order)
			}
		}
		p.Memory.Zones = append(p.Memory.Zones, zone)
	}
	p.Memory.Ranges = state.RAM
}

func (p *prober) buffers() {
	a := dmaheap.ReadAccounting(p.root)
	p.DMABufs = Accounting{Complete: a.Complete, Buffers: a.Buffers}
	for _, b := range a.Buffers {
		p.DMABufs.Total += mem.Size(b.Size)
	}
	p.Gaps = append(p.Gaps, a.Gaps...)
}
