package heap_test

import (
	"errors"
	"math"
	"testing"

	"dmasim/allocator"
	"dmasim/allocator/ledger"
	"dmasim/devices"
	"dmasim/mem"
	"dmasim/sim/heap"
)

func plan(t *testing.T, list ...devices.Device) *devices.Plan {
	t.Helper()
	p, err := devices.Merge(list...)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func newHeap(t *testing.T, cfg heap.Config) *heap.Heap {
	t.Helper()
	cfg.Name, cfg.Owners, cfg.Check = "main", 1, true
	if cfg.Arena == nil {
		cfg.Arena = mem.NewRangeSet(mem.Range{Lo: 0x100000, Hi: 0x200000})
	}
	if cfg.Allocator == "" {
		cfg.Allocator = "first-fit"
	}
	h, err := heap.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func alloc(h *heap.Heap, r heap.Request) (b heap.Buffer, d *ledger.Diagnosis) {
	d = h.Alloc(&r, &b)
	return b, d
}

var ring = devices.Device{Name: "ring", Padding: 0x810, Granularity: 768, Align: 512}

// TestWasteByOrigin follows one size through padding, the device's granularity
// and the heap's granule, in this order.
func TestWasteByOrigin(t *testing.T) {
	tests := []struct {
		name      string
		allocator string
		granule   uint64
		aware     bool
		payload   uint64
		size      uint64
		want      heap.Waste
	}{
		// 8192 + 2064 = 10256, up to a multiple of 768: 10752, of 4096: 12288.
		{"aware", "first-fit", 4096, true, 8192, 12288, heap.Waste{Padding: 2064, Granularity: 496, Granule: 1536}},
		{"aware, no granule", "first-fit", 0, true, 8192, 10752, heap.Waste{Padding: 2064, Granularity: 496}},
		{"buddy", "buddy", 4096, true, 8192, 16384, heap.Waste{Padding: 2064, Granularity: 496, Granule: 1536, Allocator: 4096}},
		{"not aware", "first-fit", 4096, false, 8191, 8192, heap.Waste{Granule: 1}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			h := newHeap(t, heap.Config{Allocator: test.allocator, Granule: test.granule, Aware: test.aware})
			b, d := alloc(h, heap.Request{Plan: plan(t, ring), Payload: test.payload})
			if waste := h.Waste(&b, plan(t, ring)); d.Cause != allocator.None || waste != test.want || b.Block.Size != test.size {
				t.Errorf("got %d bytes with %+v (%v), want %d with %+v", b.Block.Size, waste, d.Cause, test.size, test.want)
			}
			if err := h.Check(); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestUnawareHeapFailsAtMap is what the kernel does: the buffer is placed
// anywhere, and the device that cannot reach it finds out when it maps it.
func TestUnawareHeapFailsAtMap(t *testing.T) {
	low := devices.Device{Name: "low", Spans: []devices.Span{{Lo: 0x100000, Hi: 0x110000}}}
	h := newHeap(t, heap.Config{Granule: 4096})
	if _, d := alloc(h, heap.Request{Plan: plan(t, low), Placement: allocator.Low, Payload: 0x8000}); d.Cause != allocator.None {
		t.Fatalf("in reach: %v", d.Cause)
	}
	if _, d := alloc(h, heap.Request{Plan: plan(t, low), Placement: allocator.High, Payload: 0x8000}); d.Cause != allocator.Unreachable {
		t.Errorf("out of reach: %v", d.Cause)
	}
	if got := h.Ledger.Reserved(); got != 0x8000 {
		t.Errorf("%#x bytes are reserved after the failed map, want 0x8000", got)
	}
	if _, d := alloc(h, heap.Request{Plan: plan(t, low), Payload: 1 << 20}); d.Cause != allocator.Exhausted {
		t.Errorf("too large: %v", d.Cause)
	}
}

func init() {
	allocator.Register(allocator.Spec{
		Name: "deaf", Honours: allocator.HonoursAlign,
		New: func(cfg allocator.Config) (allocator.Strategy, error) { return liar{cfg.Arena[0].Lo + 65536}, nil },
	})
	allocator.Register(allocator.Spec{
		Name: "liar", Honours: allocator.HonoursAlign,
		New: func(cfg allocator.Config) (allocator.Strategy, error) { return liar{cfg.Arena[0].Lo + 4096}, nil },
	})
}

// TestStrategyThatIgnoresWindows is an aware heap with a strategy that does not
// listen.
func TestStrategyThatIgnoresWindows(t *testing.T) {
	low := devices.Device{Name: "low", Spans: []devices.Span{{Lo: 0x100000, Hi: 0x110000}}}
	h := newHeap(t, heap.Config{Allocator: "deaf", Granule: 4096, Aware: true})
	if _, d := alloc(h, heap.Request{Plan: plan(t, low), Payload: 4096}); d.Cause != allocator.Unreachable {
		t.Errorf("got %v", d.Cause)
	}
}

func TestPlacementOfTheClientComesBeforeTheHeaps(t *testing.T) {
	h := newHeap(t, heap.Config{Granule: 4096, Placement: allocator.High, Aware: true})
	for _, test := range []struct {
		dir  allocator.Dir
		want uint64
	}{{allocator.Natural, 0x1ff000}, {allocator.Low, 0x100000}, {allocator.High, 0x1fe000}} {
		b, d := alloc(h, heap.Request{Plan: plan(t), Placement: test.dir, Payload: 1})
		if d.Cause != allocator.None || b.Block.Addr != test.want {
			t.Errorf("%v: at %#x (%v), want %#x", test.dir, b.Block.Addr, d.Cause, test.want)
		}
	}
}

func TestSizesThatDoNotFitInMemoryOrIn64Bits(t *testing.T) {
	for _, aware := range []bool{false, true} {
		h := newHeap(t, heap.Config{Granule: 4096, Aware: aware})
		for _, payload := range []uint64{1<<20 + 1, 1 << 63, math.MaxUint64 - 4096, math.MaxUint64} {
			if _, d := alloc(h, heap.Request{Plan: plan(t, ring), Payload: payload}); d.Cause != allocator.Exhausted {
				t.Errorf("aware %v, %d bytes: %v", aware, payload, d.Cause)
			}
		}
	}
}

// TestAlignmentOfTheBuffer is that of the buffer and of the device at once.
func TestAlignmentOfTheBuffer(t *testing.T) {
	odd := devices.Device{Name: "odd", Align: 3 * 4096, Spans: []devices.Span{{Lo: 4096, Size: 1 << 30}}}
	h := newHeap(t, heap.Config{Granule: 4096, Aware: true})
	b, d := alloc(h, heap.Request{Plan: plan(t, odd), Payload: 1, Align: 16384})
	if want := uint64(22 * 3 * 16384); d.Cause != allocator.None || b.Block.Addr != want {
		t.Errorf("at %#x (%v), want %#x", b.Block.Addr, d.Cause, want)
	}
	if _, d := alloc(h, heap.Request{Plan: plan(t, odd), Payload: 1, Align: 1 << 63}); d.Cause != allocator.Alignment {
		t.Errorf("impossible: %v", d.Cause)
	}
}

func TestFreeingTwiceIsAnError(t *testing.T) {
	h := newHeap(t, heap.Config{Granule: 4096})
	b, _ := alloc(h, heap.Request{Plan: plan(t), Payload: 1})
	if err := h.Free(&b); err != nil {
		t.Fatal(err)
	}
	if err := h.Free(&b); !errors.Is(err, allocator.ErrDoubleFree) {
		t.Errorf("got %v", err)
	}
	if err := h.Check(); err != nil || h.Ledger.Blocks() != 0 {
		t.Errorf("%d blocks, %v", h.Ledger.Blocks(), err)
	}
}

// liar places every block at the same address, whatever is asked for.
type liar struct{ at uint64 }

func (l liar) Alloc(r allocator.Request) (allocator.Block, bool) {
	return allocator.Block{Addr: l.at, Size: r.Size}, true
}

func (liar) Free(allocator.Block) error { return nil }

func TestCheckFindsAStrategyThatBreaksItsWord(t *testing.T) {
	h := newHeap(t, heap.Config{Allocator: "liar", Granule: 4096, Aware: true})
	wide := devices.Device{Name: "wide", Align: 65536}
	alloc(h, heap.Request{Plan: plan(t), Payload: 1})
	if err := h.Check(); err != nil {
		t.Errorf("one block: %v", err)
	}
	alloc(h, heap.Request{Plan: plan(t, wide), Payload: 1})
	if err := h.Check(); err == nil {
		t.Error("a misaligned block was not found")
	}
}

// TestLimit holds requests to ends that they demand themselves, from the start
// of the arena, whatever the heap tells its strategy of devices.
func TestLimit(t *testing.T) {
	low := devices.Device{Name: "low", Spans: []devices.Span{{Lo: 0, Hi: 0x180000}}}
	for _, test := range []struct {
		allocator      string
		aware          bool
		devices        []devices.Device
		limit, highest uint64
		served         int
	}{
		{"first-fit", false, nil, 0x20000, 0x120000, 2},
		{"first-fit", true, nil, 0x20000, 0x120000, 2},
		{"first-fit", true, nil, 0x1ffff, 0x110000, 1},
		{"first-fit", true, nil, math.MaxUint64, 0x200000, 16},
		{"stack", false, nil, 0x30000, 0x130000, 3},
		{"tlsf", true, nil, 0x8000, 0, 0},
		{"first-fit", true, []devices.Device{low}, 0xa0000, 0x180000, 8}, // the device's is lower
	} {
		h := newHeap(t, heap.Config{Granule: 4096, Allocator: test.allocator, Aware: test.aware})
		var highest uint64
		served := 0
		for range 16 {
			b, d := alloc(h, heap.Request{Plan: plan(t, test.devices...), Placement: allocator.Low, Payload: 0x10000, Limit: test.limit})
			if d.Cause == allocator.None {
				served++
				highest = max(highest, b.Block.Addr+b.Block.Size)
			}
		}
		if served != test.served || highest != test.highest || h.Check() != nil {
			t.Errorf("%s below %#x: %d served, up to %#x, %v; want %d, %#x",
				test.allocator, test.limit, served, highest, h.Check(), test.served, test.highest)
		}
	}
}
