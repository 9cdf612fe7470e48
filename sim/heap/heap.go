package heap

import (
	"fmt"
	"math"

	"dmasim/allocator"
	"dmasim/allocator/ledger"
	"dmasim/devices"
	"dmasim/mem"
)

// Config describes a heap.
type Config struct {
	Name      string
	Arena     mem.RangeSet
	Granule   uint64 // bytes; every buffer is rounded up to it
	Guard     uint64 // bytes behind every buffer of a heap that is not aware
	Allocator string // as allocator.New reads it
	Placement allocator.Dir
	Aware     bool           // the strategy is told what the devices demand
	Windows   []mem.RangeSet // of an aware heap's clients; see allocator.Config
	Owners    int            // how many clients there are; the ledger counts for each
	Check     bool           // verify every placement; see Heap.Check
}

// Heap hands out buffers.
type Heap struct {
	Config
	Ledger   *ledger.Ledger
	strategy allocator.Strategy
	honours  allocator.Honours
	trusted  bool             // all places are usable: the strategy is told everything, and honours it
	failure  ledger.Diagnosis // of what failed last
	broken   error            // the first placement that broke its request
}

// New makes a heap whose whole arena is free.
func New(cfg Config) (*Heap, error) {
	cfg.Granule = max(cfg.Granule, 1)
	strategy, err := allocator.New(cfg.Allocator, allocator.Config{Arena: cfg.Arena, Granule: cfg.Granule, Windows: cfg.Windows})
	if err != nil {
		return nil, fmt.Errorf("heap %s: %w", cfg.Name, err)
	}
	spec, _, err := allocator.Parse(cfg.Allocator)
	if err != nil {
		return nil, fmt.Errorf("heap %s: %w", cfg.Name, err)
	}
	return &Heap{
		Config: cfg, Ledger: ledger.New(cfg.Arena, cfg.Owners), strategy: strategy,
		honours: spec.Honours, trusted: cfg.Aware && spec.Honours&demands == demands,
	}, nil
}

// Buffer is a live buffer.
type Buffer struct {
	Block   allocator.Block
	Payload uint64
	Owner   int32
	handle  ledger.Handle
}

// Waste is what a buffer reserves beyond its payload, in bytes, by origin.
type Waste struct {
	Padding     uint64 // behind the payload, because the hardware overshoots
	Granularity uint64 // rounding that the devices ask for
	Granule     uint64 // rounding to the heap's unit
	Allocator   uint64 // what the strategy adds
}

// Request asks a heap for a buffer.
type Request struct {
	Owner     int
	Plan      *devices.Plan // what the owner's devices demand; never nil
	Placement allocator.Dir // Natural: the heap's
	Payload   uint64        // bytes
	// Align and Limit are demands of the request itself, which every heap tells
	// its strategy: the address is a multiple of Align, and the block ends at most
	// Limit bytes behind the start of the arena. 0: anything will do.
	Align, Limit uint64
	// MapsLater: whether the devices can use the place is found out when they map
	// the buffer, and not here.
	MapsLater bool
	plainIn   *Heap // there, only its size and alignment have to be looked at
}

// Prepare makes the requests of a client in this heap quicker, which differ in their
// payloads and in what they demand themselves.
func (h *Heap) Prepare(r *Request) {
	r.plainIn = nil
	if h.Granule&(h.Granule-1) == 0 && h.Padding(r.Plan) == 0 && (!h.Aware || r.Plan.Indifferent()) {
		r.plainIn = h
	}
	if r.Placement == allocator.Natural {
		r.Placement = h.Placement
	}
}

// Alloc places a buffer and describes it in b. The cause is allocator.None where
// it was served; otherwise the diagnosis says why not, and nothing changed. A place that the
// devices cannot use, because the strategy was not told of them or does not
// honour everything, is found out when they map the buffer: the cause is
// allocator.Unreachable. So it is beyond the limit where the strategy honours no
// windows. The diagnosis is for reading, and good until the next failure.
func (h *Heap) Alloc(r *Request, b *Buffer) *ledger.Diagnosis {
	var req allocator.Request
	possible := h.ask(&req, r)
	if !possible {
		return h.misaligned(req)
	}
	block, ok := h.strategy.Alloc(req)
	if !ok {
		return h.diagnose(req)
	}
	if h.Config.Check && h.broken == nil {
		h.broken = h.verify(req, block)
	}
	if !h.trusted && !h.usable(r, &req, block) {
		h.failure = h.Ledger.Diagnose(req)
		h.failure.Cause = allocator.Unreachable
		h.mustFree(block)
		return &h.failure
	}
	b.Block, b.Owner, b.Payload = block, int32(r.Owner), r.Payload
	b.handle = h.Ledger.Alloc(block, r.Payload, r.Owner)
	return &served
}

// ask builds what the strategy is asked. It is not possible if no address is
// aligned as the request and the devices demand together. Sizes that do not fit in 64
// bits become the largest there is, which no arena holds.
func (h *Heap) ask(req *allocator.Request, r *Request) (possible bool) {
	if unit := h.Granule - 1; r.plainIn == h && r.Limit == 0 && (r.Payload-1)|unit < 1<<62 {
		req.Size, req.Align, req.Dir = (r.Payload+unit)&^unit, r.Align, r.Placement
		return true
	}
	if h.Aware {
		r.Plan.Fill(req, r.Payload, h.Granule)
	} else {
		req.Size = roundUp(r.Payload+min(h.Guard, math.MaxUint64-r.Payload), h.Granule)
	}
	req.Dir = r.Placement
	if r.Placement == allocator.Natural {
		req.Dir = h.Placement
	}
	if r.Limit != 0 {
		h.limit(req, r.Limit)
	}
	return r.Align <= 1 || req.AlignTo(r.Align)
}

// Demand returns what a buffer needs of a place in the heap, whether or not the
// heap is told of the devices. Starts off the granule are no places. False means
// that no address is aligned as everybody demands.
func (h *Heap) Demand(r *Request) (allocator.Request, bool) {
	told := Heap{Config: h.Config}
	told.Aware = true
	return told.Asked(r)
}

// Asked returns what the strategy is asked for a buffer. Starts off the granule
// are no places. False means that no address is aligned as it is asked for.
func (h *Heap) Asked(r *Request) (req allocator.Request, possible bool) {
	possible = h.ask(&req, r)
	return req, req.AlignTo(h.Granule) && possible
}

// Padding returns the bytes that the heap adds to the payload of a buffer, before it
// rounds.
func (h *Heap) Padding(plan *devices.Plan) uint64 {
	if h.Aware {
		return plan.Padding
	}
	return h.Guard
}

// Try asks the strategy for a block and gives it back at once. It is for trials
// on heaps that are not used any more: a strategy may remember where it looked
// last.
func (h *Heap) Try(req allocator.Request) (allocator.Block, bool) {
	block, ok := h.strategy.Alloc(req)
	if ok {
		h.mustFree(block)
	}
	return block, ok
}

// served is the diagnosis of requests that were served. Nobody writes to it.
var served ledger.Diagnosis

// limit makes req end at most bytes behind the start of the arena.
func (h *Heap) limit(req *allocator.Request, bytes uint64) {
	start := h.Arena.Hull().Lo
	end := start + min(bytes, math.MaxUint64-start)
	if req.Hi == 0 || end < req.Hi {
		req.Hi = end
	}
}

// usable says whether block is what was asked for, where the strategy is not trusted.
func (h *Heap) usable(r *Request, req *allocator.Request, block allocator.Block) bool {
	if r.Limit != 0 && h.honours&allocator.HonoursWindow == 0 && block.Addr+req.Size > req.Hi {
		return false
	}
	return r.MapsLater || r.Plan.Judge(block.Addr, r.Payload).Usable()
}

// diagnose says why req failed. Starts off the granule are no places.
func (h *Heap) diagnose(req allocator.Request) *ledger.Diagnosis {
	if !req.AlignTo(h.Granule) {
		return h.misaligned(req)
	}
	h.failure = h.Ledger.Diagnose(req)
	return &h.failure
}

// misaligned is the diagnosis of a request that no address is aligned for.
func (h *Heap) misaligned(req allocator.Request) *ledger.Diagnosis {
	h.failure = h.Ledger.Diagnose(req)
	h.failure.Cause = min(h.failure.Cause, allocator.Alignment)
	return &h.failure
}

// demands are the parts of a request by which devices make themselves heard.
const demands = allocator.HonoursAll &^ allocator.HonoursDirection

// Free gives a buffer back. The error is the strategy's or the ledger's: the
// buffer was not live.
func (h *Heap) Free(b *Buffer) error {
	if err := h.strategy.Free(b.Block); err != nil {
		return fmt.Errorf("heap %s: %w", h.Name, err)
	}
	if err := h.Ledger.FreeBlock(b.handle, b.Block, b.Payload, int(b.Owner)); err != nil {
		return fmt.Errorf("heap %s: %w", h.Name, err)
	}
	return nil
}

// Check walks the ledger and returns the first violation of an invariant:
// overlapping blocks, a block outside the arena, sums that do not agree, or,
// if Config.Check is set, a placement that broke a request which the strategy
// declares to honour. It costs time in proportion to the live buffers.
func (h *Heap) Check() error {
	if h.broken != nil {
		return h.broken
	}
	return h.Ledger.Check()
}

// verify says how block breaks the parts of req that the strategy honours.
func (h *Heap) verify(req allocator.Request, block allocator.Block) error {
	if block.Size < req.Size {
		return fmt.Errorf("allocator %s: block of %s for a request of %s", h.Allocator, mem.Size(block.Size), mem.Size(req.Size))
	}
	kept := allocator.Request{Size: req.Size}
	if h.honours&allocator.HonoursAlign != 0 {
		kept.Align = req.Align
	}
	if h.honours&allocator.HonoursWindow != 0 {
		kept.Lo, kept.Hi = req.Lo, req.Hi
	}
	if h.honours&allocator.HonoursBoundary != 0 {
		kept.Boundary = req.Boundary
	}
	if h.honours&allocator.HonoursRule != 0 {
		kept.Rule, kept.Slack = req.Rule, req.Slack
	}
	if at, ok := kept.Place(block.Addr, block.Addr+req.Size, false); !ok || at != block.Addr {
		return fmt.Errorf("allocator %s: block at %s breaks the request %+v", h.Allocator, mem.Addr(block.Addr), kept)
	}
	return nil
}

// Waste says what a buffer of the heap reserves beyond its payload. The plan is
// the one with which it was asked for.
func (h *Heap) Waste(b *Buffer, plan *devices.Plan) Waste {
	padded := b.Payload + h.Padding(plan)
	whole := padded
	if h.Aware {
		whole = plan.Size(b.Payload)
	}
	asked := roundUp(whole, h.Granule)
	return Waste{Padding: padded - b.Payload, Granularity: whole - padded, Granule: asked - whole, Allocator: b.Block.Size - asked}
}

func roundUp(n, unit uint64) uint64 {
	if unit <= 1 || n&(unit-1) == 0 && unit&(unit-1) == 0 || n%unit == 0 {
		return n
	}
	if n > math.MaxUint64-unit {
		return math.MaxUint64
	}
	return n + unit - n%unit
}

// mustFree undoes an allocation of this very call.
func (h *Heap) mustFree(block allocator.Block) {
	if err := h.strategy.Free(block); err != nil {
		panic(fmt.Sprintf("heap %s: allocator %s does not take back the block it just gave: %v", h.Name, h.Allocator, err))
	}
}
