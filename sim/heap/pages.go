package heap

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"dmasim/allocator"
	"dmasim/allocator/kernel/buddy"
	"dmasim/allocator/kernel/cma"
	"dmasim/allocator/kernel/version"
	"dmasim/allocator/ledger"
	"dmasim/mem"
	"dmasim/sim/physmem"
)

// ErrEmpty is returned for a request of no bytes, which the kernel's heaps refuse
// as invalid (EINVAL; dma-heap.c, dma_heap_ioctl_allocate).
var ErrEmpty = errors.New("a buffer of no bytes")

// PageKind says how a heap takes pages.
type PageKind uint8

// The kinds of page heaps.
const (
	// System fills a buffer with blocks of pages, the largest orders first, and
	// never goes back to a larger one within a buffer (system_heap.c,
	// alloc_largest_available).
	System PageKind = iota
	// CMA takes one run of pages from a CMA area, aligned to its own size, at most
	// to 2^8 pages (cma_heap.c, cma_heap_allocate; CONFIG_CMA_ALIGNMENT).
	CMA
	// Pooled is System with pools of freed blocks, one for each order, and frees
	// later than it is told. Linux does not have it; the kernels of Android do
	// (android12-5.10, drivers/dma-buf/heaps: system_heap.c, page_pool.c,
	// deferred-free-helper.c). See the package's documentation.
	Pooled
)

// PageConfig describes a heap that takes pages of a machine.
type PageConfig struct {
	Name    string
	Kind    PageKind
	Memory  *physmem.Memory
	Kernel  version.Version
	Area    int           // of CMA: the number of the area
	Guard   uint64        // bytes behind every buffer
	Pool    uint64        // of Pooled: bytes that the pools keep at most; 0: no limit
	Delay   time.Duration // of Pooled: time until a freed buffer is in the pools
	Clients int
}

// Pages is a heap whose buffers are pages of a machine. It is told a size and
// nothing else, as the kernel's heaps are.
type Pages struct {
	PageConfig
	behaviour
	lowZones int // that hold memory which the kernel maps, from the lowest up

	records   []record // by the lower half of Block.Ref
	spare     []uint32 // records that no buffer has
	total     ledger.Usage
	clients   []ledger.Usage
	peak      uint64
	requested uint64 // peak
	blocks    [buddy.MaxOrder + 1]uint64
	fallbacks uint64 // buffers that needed a smaller order although a larger would have fit

	pools  []queue[uint64] // by order rule: page frames, in the order in which they came
	pooled uint64          // bytes in the pools
	put    queue[deferred] // freed, and not yet in a pool
	late   uint64          // bytes of these
	taking uint64          // bytes of the buffer that is being made
}

// record is what the heap knows of a buffer. The upper half of Block.Ref is the
// number of the buffers that the record was for, so that a stale reference shows.
type record struct {
	Buffer
	blocks []physmem.Block
	uses   uint32
	live   bool
}

// deferred is a buffer that was freed and whose pages were not given back yet.
type deferred struct {
	due    time.Duration
	record uint32
}

// NewPages makes a heap without buffers.
func NewPages(cfg PageConfig) *Pages {
	h := &Pages{PageConfig: cfg, clients: make([]ledger.Usage, cfg.Clients)}
	switch cfg.Kind {
	case System:
		h.behaviour = systemHeap(cfg.Kernel)
	case CMA:
		h.behaviour = behaviour{pointers: true}
	case Pooled:
		h.behaviour = pooledHeap(cfg.Kernel)
		h.pools = make([]queue[uint64], len(h.orders))
		cfg.Memory.OnPressure(h.shrink)
	}
	for h.lowZones < cfg.Memory.NumZones() && cfg.Memory.Zone(h.lowZones).Name != "HighMem" {
		h.lowZones++
	}
	return h
}

// Failure says why a page heap gave no buffer.
type Failure struct {
	Cause    allocator.Cause // None: it did
	Killed   bool            // the process that asked was killed for want of memory
	Deadlock bool            // memory ran out and nobody was left to kill
	Migrated uint64          // pages moved out of the way
}

// Alloc makes a buffer of payload bytes for a client, in memory that counts as
// owner's. The pages are pinned until Free. The error is of misuse: ErrEmpty, or
// an owner that does not exist.
func (h *Pages) Alloc(client int, owner physmem.Owner, payload uint64) (Buffer, Failure, error) {
	if payload == 0 {
		return Buffer{}, Failure{}, fmt.Errorf("heap %s: %w", h.Name, ErrEmpty)
	}
	page := h.Memory.PageSize()
	guarded := payload + min(h.Guard, math.MaxUint64-payload)
	pages := guarded / page
	if guarded%page != 0 {
		pages++
	}
	i := h.newRecord()
	take := h.fill
	if h.Kind == CMA {
		take = h.run
	}
	failure, err := take(i, owner, pages)
	if err != nil || failure.Cause != allocator.None {
		h.dropRecord(i)
		if err != nil {
			err = fmt.Errorf("heap %s: %w", h.Name, err)
		}
		return Buffer{}, failure, err
	}
	size := pages * page
	r := &h.records[i]
	r.uses++
	r.live = true
	r.Buffer = Buffer{
		Block: allocator.Block{Addr: r.blocks[0].PFN * page, Size: size, Ref: uint64(r.uses)<<32 | uint64(i)},
		Owner: int32(client), Payload: payload,
	}
	for _, u := range []*ledger.Usage{&h.total, &h.clients[client]} {
		u.Blocks++
		u.Reserved += size
		u.Requested += payload
	}
	h.peak, h.requested = max(h.peak, h.total.Reserved), max(h.requested, h.total.Requested)
	return r.Buffer, failure, nil
}

// Waste says what a buffer of the heap reserves beyond its payload.
func (h *Pages) Waste(b *Buffer) Waste {
	return Waste{Padding: h.Guard, Granule: b.Block.Size - b.Payload - h.Guard}
}

func (h *Pages) newRecord() uint32 {
	if n := len(h.spare); n > 0 {
		i := h.spare[n-1]
		h.spare = h.spare[:n-1]
		return i
	}
	h.records = append(h.records, record{})
	return uint32(len(h.records) - 1)
}

func (h *Pages) dropRecord(i uint32) {
	h.records[i].blocks = h.records[i].blocks[:0]
	h.spare = append(h.spare, i)
}

// run takes one run of pages from the CMA area (cma_heap_allocate).
func (h *Pages) run(i uint32, owner physmem.Owner, pages uint64) (Failure, error) {
	if pages > h.Memory.Counters().Managed {
		return Failure{Cause: allocator.Exhausted}, nil
	}
	const maxAlign = 8 // CONFIG_CMA_ALIGNMENT
	run, contig, err := h.Memory.AllocContig(h.Area, owner, pages, cma.AlignOrder(pages, maxAlign))
	failure := Failure{Cause: contig.Cause, Migrated: contig.Migrated}
	if err != nil || failure.Cause != allocator.None {
		return failure, err
	}
	if pages > maxPages(h.Memory.PageSize()) {
		failure.Cause = allocator.Limit
		return failure, h.Memory.FreeContig(h.Area, run)
	}
	h.records[i].blocks = append(h.records[i].blocks, physmem.Block{PFN: run.Lo})
	return failure, nil
}

// fill takes blocks of pages (system_heap_allocate).
func (h *Pages) fill(i uint32, owner physmem.Owner, pages uint64) (Failure, error) {
	if h.pointers && pages > maxPages(h.Memory.PageSize()) {
		return Failure{Cause: allocator.Limit}, nil
	}
	first := 0 // of the orders that are still tried
	fell := false
	defer func() { h.taking = 0 }()
	for rest := pages; rest > 0; {
		block, rule, res, err := h.block(rest, first, owner)
		if err != nil || res.Cause != allocator.None || res.Killed || res.Deadlock {
			failure := Failure{Cause: res.Cause, Killed: res.Killed, Deadlock: res.Deadlock}
			if failure.Cause == allocator.None {
				failure.Cause = allocator.Exhausted
			}
			if h.backwards {
				slices.Reverse(h.records[i].blocks)
			}
			return failure, errors.Join(err, h.release(i))
		}
		fell = fell || rule > 0 && rest>>h.orders[rule-1].order > 0
		first = rule
		h.records[i].blocks = append(h.records[i].blocks, block)
		h.blocks[block.Order]++
		h.taking += h.Memory.PageSize() << block.Order
		rest -= 1 << block.Order
	}
	if fell {
		h.fallbacks++
	}
	return Failure{}, nil
}

// block takes the largest block that is to be had (alloc_largest_available), and
// says by which rule. Of a pool, it is the one that is in it for longest
// (dmabuf_page_pool_remove).
func (h *Pages) block(rest uint64, first int, owner physmem.Owner) (b physmem.Block, rule int, res physmem.Result, err error) {
	for i := first; i < len(h.orders); i++ {
		r := h.orders[i]
		if rest>>r.order == 0 {
			continue
		}
		if h.Kind == Pooled && h.pools[i].len() > 0 {
			b = physmem.Block{PFN: h.pools[i].first(), Order: r.order}
			if err := h.Memory.Reassign(b, owner); err != nil {
				return b, i, res, err
			}
			h.pools[i].dropFirst()
			h.pooled -= h.Memory.PageSize() << r.order
			return b, i, physmem.Result{}, nil
		}
		request := physmem.Request{Order: r.order, Kind: physmem.DMABuf, Owner: owner, Effort: r.effort}
		if h.lowMemory {
			request.Zones = h.lowZones
		}
		b, res, err = h.Memory.Alloc(request)
		if err != nil || res.Cause == allocator.None || res.Killed || res.Deadlock {
			return b, i, res, err
		}
	}
	return b, 0, res, err
}

// find returns the record of a live buffer. The error is allocator.ErrDoubleFree
// for one that was freed, and allocator.ErrForeign for one that never was.
func (h *Pages) find(b Buffer) (uint32, error) {
	i, uses := uint32(b.Block.Ref), uint32(b.Block.Ref>>32)
	if uint64(i) < uint64(len(h.records)) && uses > 0 {
		switch r := &h.records[i]; {
		case r.live && r.Buffer == b:
			return i, nil
		case uses < r.uses, !r.live && r.Buffer == b:
			return 0, fmt.Errorf("heap %s: %w", h.Name, allocator.ErrDoubleFree)
		}
	}
	return 0, fmt.Errorf("heap %s: %w", h.Name, allocator.ErrForeign)
}

// Free gives a buffer back: at once, or later where frees are put off. The error
// is allocator.ErrDoubleFree or allocator.ErrForeign if it is not live; nothing
// is changed then.
func (h *Pages) Free(b Buffer, now time.Duration) error {
	i, err := h.find(b)
	if err != nil {
		return err
	}
	h.records[i].live = false
	for _, u := range []*ledger.Usage{&h.total, &h.clients[b.Owner]} {
		u.Blocks--
		u.Reserved -= b.Block.Size
		u.Requested -= b.Payload
	}
	switch {
	case h.Kind == CMA:
		first := b.Block.Addr / h.Memory.PageSize()
		err = h.Memory.FreeContig(h.Area, mem.Range{Lo: first, Hi: first + b.Block.Size/h.Memory.PageSize()})
		h.dropRecord(i)
	case h.Kind == System:
		err = h.release(i)
		h.dropRecord(i)
	default:
		err = h.abandon(i)
		if h.Delay > 0 {
			h.put.push(deferred{now + h.Delay, i})
			h.late += b.Block.Size
		} else {
			err = errors.Join(err, h.keep(i))
		}
	}
	if err != nil {
		return fmt.Errorf("heap %s: %w", h.Name, err)
	}
	return nil
}

// release gives the pages of a buffer back, in the order in which it has them.
func (h *Pages) release(i uint32) error {
	for _, block := range h.records[i].blocks {
		if err := h.Memory.Free(block); err != nil {
			return err
		}
	}
	h.records[i].blocks = h.records[i].blocks[:0]
	return nil
}

// abandon makes the pages of a buffer nobody's.
func (h *Pages) abandon(i uint32) error {
	for _, block := range h.records[i].blocks {
		if err := h.Memory.Reassign(block, 0); err != nil {
			return err
		}
	}
	return nil
}

// keep puts the pages of a buffer into the pools, as far as these may grow.
func (h *Pages) keep(i uint32) error {
	for _, block := range h.records[i].blocks {
		size := h.Memory.PageSize() << block.Order
		if h.Pool > 0 && size > h.Pool-min(h.pooled, h.Pool) {
			if err := h.Memory.Free(block); err != nil {
				return err
			}
			continue
		}
		rule := slices.IndexFunc(h.orders, func(r orderRule) bool { return r.order == block.Order })
		h.pools[rule].push(block.PFN)
		h.pooled += size
	}
	h.dropRecord(i)
	return nil
}

// Due returns when the next buffer whose free was put off is to be freed; false
// if there is none.
func (h *Pages) Due() (time.Duration, bool) {
	if h.put.len() == 0 {
		return 0, false
	}
	return h.put.first().due, true
}

// Work frees the buffers whose time has come.
func (h *Pages) Work(now time.Duration) error {
	for h.put.len() > 0 && h.put.first().due <= now {
		i := h.put.first().record
		h.put.dropFirst()
		h.late -= h.records[i].Block.Size
		if err := h.keep(i); err != nil {
			return fmt.Errorf("heap %s: %w", h.Name, err)
		}
	}
	return nil
}

// shrink gives back pages that the heap can do without, and says how many:
// buffers whose free was put off, the last one first and each as a whole
// (freelist_shrink_scan), then what is in the pools, the smallest orders first
// and what is there for longest (dmabuf_page_pool_shrink).
func (h *Pages) shrink(pages uint64) (freed uint64) {
	for freed < pages && h.put.len() > 0 {
		i := h.put.last().record
		h.put.dropLast()
		size := h.records[i].Block.Size
		h.late -= size
		if h.release(i) != nil {
			return freed
		}
		h.dropRecord(i)
		freed += size / h.Memory.PageSize()
	}
	for i := len(h.pools) - 1; i >= 0; i-- {
		order := h.orders[i].order
		for freed < pages && h.pools[i].len() > 0 {
			block := physmem.Block{PFN: h.pools[i].first(), Order: order}
			h.pools[i].dropFirst()
			h.pooled -= h.Memory.PageSize() << order
			if h.Memory.Free(block) != nil {
				return freed
			}
			freed += 1 << order
		}
	}
	return freed
}

// Extents appends the pieces of a live buffer to dst, in the order of its bytes: a
// piece for each block of pages, as heaps hand them to devices, also where one
// lies behind the other (system_heap_attach, dup_sg_table).
func (h *Pages) Extents(dst []mem.Range, b Buffer) []mem.Range {
	if h.Kind == CMA {
		return append(dst, mem.Range{Lo: b.Block.Addr, Hi: b.Block.Addr + b.Block.Size})
	}
	page := h.Memory.PageSize()
	for _, block := range h.Blocks(b) {
		dst = append(dst, mem.Range{Lo: block.PFN * page, Hi: (block.PFN + 1<<block.Order) * page})
	}
	return dst
}

// Blocks returns the blocks of pages of a live buffer, in its order, until the
// next operation; nil for one that is not live. Of CMA it is the first page.
func (h *Pages) Blocks(b Buffer) []physmem.Block {
	i, err := h.find(b)
	if err != nil {
		return nil
	}
	return h.records[i].blocks
}

// IsCMA reports whether the heap takes runs of a CMA area.
func (h *Pages) IsCMA() bool { return h.Kind == CMA }

// Usage returns what all live buffers hold.
func (h *Pages) Usage() ledger.Usage { return h.total }

// ClientUsage returns what the live buffers of a client hold.
func (h *Pages) ClientUsage(client int) ledger.Usage { return h.clients[client] }

// Peaks returns the most bytes that were reserved and requested at once.
func (h *Pages) Peaks() (reserved, requested uint64) { return h.peak, h.requested }

// Kept returns the bytes that no buffer has and that are not free either: in the
// pools, of buffers whose free was put off, and of one that is being made while
// somebody is killed for it.
func (h *Pages) Kept() uint64 { return h.pooled + h.late + h.taking }

// Taken returns how many blocks of each order were taken, from the pools and from
// the page allocator.
func (h *Pages) Taken() [buddy.MaxOrder + 1]uint64 { return h.blocks }

// Fallbacks returns how many buffers needed smaller blocks although a larger one
// would have fit.
func (h *Pages) Fallbacks() uint64 { return h.fallbacks }
