package dmesg

import (
	"dmasim/allocator"
	"dmasim/mem"
)

// Kinds of failures.
const (
	CMA        = "cma"         // a request to a contiguous memory area
	CMAReserve = "cma-reserve" // the area itself, at boot
	PageAlloc  = "page-alloc"  // a request to the page allocator
	OOM        = "oom"         // memory ran out, and a process was killed
	MemcgOOM   = "oom-memcg"   // a memory cgroup reached its limit
	SWIOTLB    = "swiotlb"     // no bounce buffer
	DMAMask    = "dma-mask"    // an address that the device cannot emit
	IOVA       = "iova"        // an IOMMU's address space
	DMAAlloc   = "dma-alloc"   // a driver's buffer, for reasons that the log does not hold
	DMAMap     = "dma-map"     // a driver's mapping, likewise
	DMAHeap    = "dma-heap"    // a buffer of a dma-heap, as a program reports it
)

// Unknown is the cause of a failure that the log does not decide.
const Unknown = "unknown"

// Failure is one failed request. Counts that the log does not give are nil.
type Failure struct {
	Kind string `json:"kind"`
	Line int    `json:"line"`           // of the log, from 1
	Time string `json:"time,omitempty"` // as the log has it

	// RequestedPages, FreePages and LargestRunPages say what was asked, what was
	// free in all, and how long the longest run was that the request could have
	// used.
	RequestedPages  *uint64 `json:"requested_pages"`
	FreePages       *uint64 `json:"free_pages"`
	LargestRunPages *uint64 `json:"largest_run_pages"`
	PageBytes       uint64  `json:"page_bytes"`
	// Cause is the name of an allocator.Cause, or Unknown.
	Cause string `json:"cause"`

	Device  string `json:"device,omitempty"`  // that asked, or its driver
	Process string `json:"process,omitempty"` // in whose name
	Via     string `json:"via,omitempty"`     // the interface, from the call trace

	Area    *Area    `json:"area,omitempty"`    // of a CMA failure
	Pages   *Memory  `json:"memory,omitempty"`  // of a page allocation or an out-of-memory kill
	Bounce  *Bounce  `json:"swiotlb,omitempty"` // of a swiotlb failure
	Address *Address `json:"address,omitempty"` // of a DMA mask
	Objects []Held   `json:"held,omitempty"`    // what a driver said that it holds

	// Unlogged are later failures of the area whose request the kernel did not
	// print, because it prints but ten in five seconds: it went on printing what
	// was free.
	Unlogged []Unlogged `json:"unlogged,omitempty"`

	Explanation []string `json:"explanation"` // in plain words
	Help        []string `json:"help"`        // what would help

	requestedBytes uint64 // where a driver gave bytes; 0: nobody did
	errno          int
	order          int
	flags          string // names of the GFP flags, or ""
	mode           uint64 // GFP flags
	traceRank      int
	refused        bool // the page allocator has no blocks that large
	killed         *Killed
	busyRanges     int
	seconds        float64
}

// Area is the state of a CMA area.
type Area struct {
	Name       string  `json:"name,omitempty"`
	TotalPages *uint64 `json:"total_pages"`
	AlignPages uint64  `json:"align_pages"` // the start must be a multiple
	Runs       int     `json:"free_runs"`   // how many
	// Free are the free runs by position, in pages from the start of the area;
	// nil where the log does not give them, or has too many of them.
	Free []Run `json:"free,omitempty"`
	// Cut says that the list ended before its sum did.
	Cut  bool      `json:"cut,omitempty"`
	Base *mem.Addr `json:"base,omitempty"` // where the log gives it
	Need *Vacancy  `json:"need,omitempty"` // the smallest change; nil: none is known
}

// Run is a free run of pages. At is -1 where the log does not give it.
type Run struct {
	At    int64  `json:"at"`
	Pages uint64 `json:"pages"`
}

// Vacancy is the smallest change to an area that would have let a request
// succeed. Each was tried on a copy of the area.
type Vacancy struct {
	// VacatePages is the smallest number of used pages that have to be given back:
	// those in the aligned place that begins VacateAt pages behind the start.
	VacatePages uint64 `json:"vacate_pages"`
	VacateAt    uint64 `json:"vacate_at"`
	// GrowPages is by how much the area would have to be larger, with the same
	// buffers in it.
	GrowPages uint64 `json:"grow_pages"`
	// FitsAlign is the largest alignment, in pages, with which the request would
	// have fitted; 0: none.
	FitsAlign uint64 `json:"fits_align_pages"`
	// FitsPages is the largest request that would have fitted.
	FitsPages uint64 `json:"fits_pages"`
}

// Bounce is the state of the bounce buffers.
type Bounce struct {
	SlotBytes  uint64  `json:"slot_bytes"`
	TotalSlots *uint64 `json:"total_slots"`
	UsedSlots  *uint64 `json:"used_slots"`
}

// Address is a buffer that a device cannot reach.
type Address struct {
	At       mem.Addr `json:"at"`
	Bytes    mem.Size `json:"bytes"`
	Mask     mem.Addr `json:"mask"`
	BusLimit mem.Addr `json:"bus_limit"`
}

// Held is what a driver said that it holds.
type Held struct {
	What    string   `json:"what"`
	Bytes   mem.Size `json:"bytes"`
	Buffers uint64   `json:"buffers"`
}

// Unlogged is the state of an area at a failure whose request was not printed.
type Unlogged struct {
	Line            int    `json:"line"`
	FreePages       uint64 `json:"free_pages"`
	LargestRunPages uint64 `json:"largest_run_pages"`
}

// Memory is what a Mem-Info says. Counts are pages.
type Memory struct {
	Order int    `json:"order"`
	Flags string `json:"gfp_flags,omitempty"`
	// FreeInReach are the free pages of zones and migrate types that the request
	// may take.
	FreeInReach uint64       `json:"free_in_reach_pages"`
	LargestFree uint64       `json:"largest_free_block_pages"` // whoever may take it
	FreeCMA     uint64       `json:"free_cma_pages"`
	Managed     uint64       `json:"managed_pages"`
	Zones       []ZoneReport `json:"zones"`
	// Explained are the pages that counters account for, by what they hold.
	Explained        []Count `json:"explained,omitempty"`
	UnexplainedPages uint64  `json:"unexplained_pages"`
	UnexplainedKiB   uint64  `json:"unexplained_kib"`
	Killed           *Killed `json:"killed,omitempty"`
}

// Count is a number of pages.
type Count struct {
	What  string `json:"what"`
	Pages uint64 `json:"pages"`
}

// ZoneReport is a zone as a request meets it, in pages.
type ZoneReport struct {
	Node    int    `json:"node"`
	Name    string `json:"name"`
	InReach bool   `json:"in_reach"`
	Free    uint64 `json:"free"`
	Usable  uint64 `json:"usable"` // free, and not set aside for others
	Min     uint64 `json:"min"`
	Reserve uint64 `json:"reserve"` // kept from requests that could be served elsewhere
	Managed uint64 `json:"managed"`
	// Blocks are the free blocks by order, and Usable those whose migrate types
	// the request may take.
	Blocks       []uint64 `json:"free_blocks,omitempty"`
	UsableBlocks []uint64 `json:"usable_blocks,omitempty"`
	// Passes says that the watermark let the request through.
	Passes bool `json:"passes_watermark"`

	keepsKnown bool // the log has the line with Min
}

// Killed is the process that the out-of-memory killer chose.
type Killed struct {
	PID     uint64   `json:"pid"`
	Name    string   `json:"name"`
	AnonRSS mem.Size `json:"anon_rss_bytes"`
	FileRSS mem.Size `json:"file_rss_bytes"`
	Shmem   mem.Size `json:"shmem_rss_bytes"`
}

func pages(n uint64) *uint64 { return &n }

// cause returns the name of c.
func cause(c allocator.Cause) string { return c.String() }

// Like reports whether two failures say the same but for the figures of what was
// free.
func (f *Failure) Like(o *Failure) bool {
	same := func(a, b *uint64) bool { return a == nil && b == nil || a != nil && b != nil && *a == *b }
	return f.Kind == o.Kind && f.Cause == o.Cause && f.Device == o.Device && f.Process == o.Process &&
		same(f.RequestedPages, o.RequestedPages) && f.killed == nil && o.killed == nil
}
