package heap

import (
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

// PageKind says how a heap takes pages.
type PageKind uint8

// The kinds of page heaps.
const (
	// System fills a buffer with blocks of pages, the largest orders first, and
	// never goes back to a larger one within a buffer (system_heap.c,
	// alloc_largest_available).
	System PageKind = iota
	// CMA takes one run of pages from a CMA area, aligned to its own size, at most
	// to 2^8 pages (cma_heap.c; CONFIG_CMA_ALIGNMENT).
	CMA
	// Pooled is System with pools of freed blocks, one for each order, and frees
	// later than it is told. Linux has it not; Android's kernels do (android12-5.10,
	// drivers/dma-buf/heaps: page_pool.c, deferred-free-helper.c). Under pressure
	// the pools give their pages back, the largest orders last.
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
	Pool    uint64        // of Pooled: bytes kept at most; 0: no limit
	Delay   time.Duration // of Pooled: time until a freed buffer is in the pool
	Zones   int           // how many zones GFP_KERNEL may use, from the lowest up
	Clients int
}

// Pages is a heap whose buffers are pages of a machine. It is told a size and
// nothing else, as the kernel's heaps are.
type Pages struct {
	PageConfig
	behaviour

	extents   [][]physmem.Block // by Block.Ref
	spare     []uint64          // extents that no buffer has
	total     ledger.Usage
	clients   []ledger.Usage
	peak      uint64
	requested uint64 // peak
	blocks    [buddy.MaxOrder + 1]uint64
	fallbacks uint64 // buffers that needed a smaller order although a larger would have fit

	pools  [][]uint64 // by order rule: page frames, the last freed at the end
	pooled uint64     // bytes in the pools
	taking uint64     // bytes of the buffer that is being made
	put    []deferred // freed, not yet in a pool
}

// deferred is a buffer that was freed and not yet given back.
type deferred struct {
	due time.Duration
	ref uint64
}

// NewPages makes a heap without buffers.
func NewPages(cfg PageConfig) *Pages {
	h := &Pages{PageConfig: cfg, behaviour: systemHeap(cfg.Kernel), clients: make([]ledger.Usage, cfg.Clients)}
	switch cfg.Kind {
	case CMA:
		h.behaviour = behaviour{maxPages: pointersPerArray}
	case Pooled:
		h.pools = make([][]uint64, len(h.orders))
		cfg.Memory.OnPressure(h.shrink)
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
// owner's. The pages are pinned until Free.
func (h *Pages) Alloc(client int, owner physmem.Owner, payload uint64) (Buffer, Failure, error) {
	page := h.Memory.PageSize()
	guarded := payload + min(h.Guard, math.MaxUint64-payload)
	pages := guarded / page
	if guarded%page != 0 {
		pages++
	}
	// The CMA heap finds out after it took the memory; the outcome is the same.
	if h.maxPages > 0 && pages > h.maxPages {
		return Buffer{}, Failure{Cause: allocator.Limit}, nil
	}
	if pages > h.Memory.Counters().Managed && h.Kind == CMA {
		return Buffer{}, Failure{Cause: allocator.Exhausted}, nil
	}
	ref := h.newExtents()
	var failure Failure
	var err error
	if h.Kind == CMA {
		failure, err = h.run(ref, owner, pages)
	} else {
		failure, err = h.fill(ref, owner, pages)
	}
	if err != nil {
		return Buffer{}, failure, fmt.Errorf("heap %s: %w", h.Name, err)
	}
	if failure.Cause != allocator.None {
		h.dropExtents(ref)
		return Buffer{}, failure, nil
	}
	size := pages * page
	b := Buffer{
		Block: allocator.Block{Addr: h.extents[ref][0].PFN * page, Size: size, Ref: ref},
		Owner: client, Payload: payload, Waste: Waste{Padding: guarded - payload, Granule: size - guarded},
	}
	for _, u := range []*ledger.Usage{&h.total, &h.clients[client]} {
		u.Blocks++
		u.Reserved += size
		u.Requested += payload
	}
	h.peak, h.requested = max(h.peak, h.total.Reserved), max(h.requested, h.total.Requested)
	return b, Failure{Migrated: failure.Migrated}, nil
}

func (h *Pages) newExtents() uint64 {
	if n := len(h.spare); n > 0 {
		ref := h.spare[n-1]
		h.spare = h.spare[:n-1]
		return ref
	}
	h.extents = append(h.extents, nil)
	return uint64(len(h.extents) - 1)
}

func (h *Pages) dropExtents(ref uint64) {
	h.extents[ref] = h.extents[ref][:0]
	h.spare = append(h.spare, ref)
}

// run takes one run of pages from the CMA area (cma_heap_allocate).
func (h *Pages) run(ref uint64, owner physmem.Owner, pages uint64) (Failure, error) {
	const maxAlign = 8 // CONFIG_CMA_ALIGNMENT
	run, contig, err := h.Memory.AllocContig(h.Area, owner, pages, cma.AlignOrder(pages, maxAlign))
	if err != nil || contig.Cause != allocator.None {
		return Failure{Cause: contig.Cause, Migrated: contig.Migrated}, err
	}
	h.extents[ref] = append(h.extents[ref], physmem.Block{PFN: run.Lo})
	return Failure{Migrated: contig.Migrated}, nil
}

// fill takes blocks of pages (system_heap_allocate).
func (h *Pages) fill(ref uint64, owner physmem.Owner, pages uint64) (Failure, error) {
	first := 0 // of the orders that are still tried
	fell := false
	defer func() { h.taking = 0 }()
	for rest := pages; rest > 0; {
		block, rule, res, err := h.block(rest, first, owner)
		if err != nil || res.Cause != allocator.None || res.Killed || res.Deadlock {
			if err := h.release(ref); err != nil {
				return Failure{}, err
			}
			cause := res.Cause
			if cause == allocator.None {
				cause = allocator.Exhausted
			}
			return Failure{Cause: cause, Killed: res.Killed, Deadlock: res.Deadlock}, err
		}
		fell = fell || rule > 0 && rest>>h.orders[rule-1].order > 0
		first = rule
		h.extents[ref] = append(h.extents[ref], block)
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
// says by which rule.
func (h *Pages) block(rest uint64, first int, owner physmem.Owner) (b physmem.Block, rule int, res physmem.Result, err error) {
	for i := first; i < len(h.orders); i++ {
		r := h.orders[i]
		if rest>>r.order == 0 {
			continue
		}
		if h.Kind == Pooled && len(h.pools[i]) > 0 {
			last := len(h.pools[i]) - 1
			b = physmem.Block{PFN: h.pools[i][last], Order: r.order}
			h.pools[i] = h.pools[i][:last]
			h.pooled -= h.Memory.PageSize() << r.order
			return b, i, physmem.Result{}, nil
		}
		request := physmem.Request{Order: r.order, Kind: physmem.DMABuf, Owner: owner, Effort: r.effort}
		if h.lowMemory {
			request.Zones = h.Zones
		}
		b, res, err = h.Memory.Alloc(request)
		if err != nil || res.Cause == allocator.None || res.Killed || res.Deadlock {
			return b, i, res, err
		}
	}
	return b, 0, res, err
}

// Free gives a buffer back: at once, or later where frees are put off.
func (h *Pages) Free(b Buffer, now time.Duration) error {
	ref := b.Block.Ref
	if ref >= uint64(len(h.extents)) || len(h.extents[ref]) == 0 {
		return fmt.Errorf("heap %s: %w", h.Name, allocator.ErrForeign)
	}
	for _, u := range []*ledger.Usage{&h.total, &h.clients[b.Owner]} {
		u.Blocks--
		u.Reserved -= b.Block.Size
		u.Requested -= b.Payload
	}
	switch {
	case h.Kind == CMA:
		first := h.extents[ref][0].PFN
		run := mem.Range{Lo: first, Hi: first + b.Block.Size/h.Memory.PageSize()}
		h.dropExtents(ref)
		return h.Memory.FreeContig(h.Area, run)
	case h.Kind == Pooled && h.Delay > 0:
		h.put = append(h.put, deferred{now + h.Delay, ref})
		h.pooled += b.Block.Size
		return nil
	case h.Kind == Pooled:
		return h.keep(ref)
	}
	err := h.release(ref)
	h.dropExtents(ref)
	return err
}

// release gives the pages of a buffer back, in the order in which it has them.
func (h *Pages) release(ref uint64) error {
	for _, block := range h.extents[ref] {
		if err := h.Memory.Free(block); err != nil {
			return fmt.Errorf("heap %s: %w", h.Name, err)
		}
	}
	h.extents[ref] = h.extents[ref][:0]
	return nil
}

// keep puts the pages of a buffer into the pools, as far as these may grow.
func (h *Pages) keep(ref uint64) error {
	for _, block := range h.extents[ref] {
		size := h.Memory.PageSize() << block.Order
		if h.Pool > 0 && h.pooled+size > h.Pool {
			if err := h.Memory.Free(block); err != nil {
				return fmt.Errorf("heap %s: %w", h.Name, err)
			}
			continue
		}
		i := slices.IndexFunc(h.orders, func(r orderRule) bool { return r.order == block.Order })
		h.pools[i] = append(h.pools[i], block.PFN)
		h.pooled += size
	}
	h.dropExtents(ref)
	return nil
}

// Due returns when the next buffer whose free was put off is to be freed; false
// if there is none.
func (h *Pages) Due() (time.Duration, bool) {
	if len(h.put) == 0 {
		return 0, false
	}
	return h.put[0].due, true
}

// Work frees the buffers whose time has come.
func (h *Pages) Work(now time.Duration) error {
	done := 0
	for ; done < len(h.put) && h.put[done].due <= now; done++ {
		if err := h.undefer(h.put[done].ref, h.keep); err != nil {
			return err
		}
	}
	h.put = append(h.put[:0], h.put[done:]...)
	return nil
}

// undefer does with the pages of a buffer what was put off.
func (h *Pages) undefer(ref uint64, do func(uint64) error) error {
	for _, block := range h.extents[ref] {
		h.pooled -= h.Memory.PageSize() << block.Order
	}
	return do(ref)
}

// shrink gives back pages that the heap can do without: buffers whose free was
// put off, then the pools, the smallest orders first.
func (h *Pages) shrink(pages uint64) (freed uint64) {
	for freed < pages && len(h.put) > 0 {
		ref := h.put[0].ref
		for _, block := range h.extents[ref] {
			freed += 1 << block.Order
		}
		h.put = h.put[1:]
		if h.undefer(ref, h.release) != nil {
			return freed
		}
		h.dropExtents(ref)
	}
	for i := len(h.pools) - 1; i >= 0; i-- {
		order := h.orders[i].order
		for freed < pages && len(h.pools[i]) > 0 {
			last := len(h.pools[i]) - 1
			if h.Memory.Free(physmem.Block{PFN: h.pools[i][last], Order: order}) != nil {
				return freed
			}
			h.pools[i] = h.pools[i][:last]
			h.pooled -= h.Memory.PageSize() << order
			freed += 1 << order
		}
	}
	return freed
}

// Extents appends the pieces of a live buffer to dst, in the order of its bytes: a
// piece for each block of pages, as heaps hand them to devices, also where one
// lies behind the other.
func (h *Pages) Extents(dst []mem.Range, b Buffer) []mem.Range {
	if h.Kind == CMA {
		return append(dst, mem.Range{Lo: b.Block.Addr, Hi: b.Block.Addr + b.Block.Size})
	}
	page := h.Memory.PageSize()
	for _, block := range h.extents[b.Block.Ref] {
		dst = append(dst, mem.Range{Lo: block.PFN * page, Hi: (block.PFN + 1<<block.Order) * page})
	}
	return dst
}

// Blocks returns the blocks of pages of a live buffer, in its order.
func (h *Pages) Blocks(b Buffer) []physmem.Block { return h.extents[b.Block.Ref] }

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
func (h *Pages) Kept() uint64 { return h.pooled + h.taking }

// Taken returns how many blocks of each order were taken, from the pools and from
// the page allocator.
func (h *Pages) Taken() [buddy.MaxOrder + 1]uint64 { return h.blocks }

// Fallbacks returns how many buffers needed smaller blocks although a larger one
// would have fit.
func (h *Pages) Fallbacks() uint64 { return h.fallbacks }
