package swiotlb_test

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"dmasim/allocator/kernel/swiotlb"
)

var plain = swiotlb.Device{BoundaryMask: math.MaxUint32}

func newPool(t testing.TB, size uint64, areas int) *swiotlb.Pool {
	t.Helper()
	pool, err := swiotlb.New(0x80000000, size, areas)
	if err != nil {
		t.Fatal(err)
	}
	return pool
}

// Frees do not move the cursor back: the slot of the first buffer is not used
// again at once.
func ExamplePool_Map() {
	pool, err := swiotlb.New(0x80000000, 512<<10, 1)
	if err != nil {
		panic(err)
	}
	dev := swiotlb.Device{BoundaryMask: math.MaxUint32}
	first, _ := pool.Map(dev, 0x1234, 100, 0)
	for _, size := range []uint64{2049, 4096, 1500} {
		m, _ := pool.Map(dev, 0x5000, size, 0)
		fmt.Println(size, "bytes in slot", m.First)
	}
	if err := pool.Unmap(first); err != nil {
		panic(err)
	}
	m, _ := pool.Map(dev, 0x1, 100, 0)
	fmt.Println(100, "bytes in slot", m.First)
	// Output:
	// 2049 bytes in slot 1
	// 4096 bytes in slot 4
	// 1500 bytes in slot 6
	// 100 bytes in slot 7
}

// TestMinAlignMask holds what the kernel answered where the low bits of the
// address must be kept.
func TestMinAlignMask(t *testing.T) {
	pool := newPool(t, 512<<10, 1)
	dev := swiotlb.Device{MinAlignMask: 0xfff, BoundaryMask: math.MaxUint32}
	for _, test := range []struct {
		orig, size, mask uint64
		slot             int
		offset           uint64
	}{
		{0x12345678, 100, 0, 0, 0x678},
		{0x12345678, 5000, 0, 2, 0x1678},
		{0x12345e78, 5000, 0xfff, 6, 0x3e78},
	} {
		m, ok := pool.Map(dev, test.orig, test.size, test.mask)
		if !ok || m.First != test.slot || m.Addr != 0x80000000+test.offset {
			t.Errorf("%d bytes at %#x: %+v, %t; want slot %d, offset %#x", test.size, test.orig, m, ok, test.slot, test.offset)
		}
	}
	if pool.Used() != 11 {
		t.Errorf("%d slots used, want 11", pool.Used())
	}
}

func TestLongestMapping(t *testing.T) {
	pool := newPool(t, 512<<10, 1)
	for i, test := range []struct {
		size uint64
		slot int
	}{{262144, 0}, {262145, -1}, {262144, 128}, {1, -1}} {
		m, ok := pool.Map(plain, 0x1000, test.size, 0)
		if ok != (test.slot >= 0) || ok && m.First != test.slot {
			t.Errorf("mapping %d of %d bytes: %+v, %t; want slot %d", i, test.size, m, ok, test.slot)
		}
	}
}

func TestAllocAlignMask(t *testing.T) {
	pool := newPool(t, 512<<10, 1)
	for _, test := range []struct {
		orig, size, mask uint64
		slot             int
	}{{0x1000, 2048, 0, 0}, {0, 4096, 0x3fff, 8}, {0, 20480, 0x3fff, 16}} {
		m, ok := pool.Map(plain, test.orig, test.size, test.mask)
		if !ok || m.First != test.slot {
			t.Errorf("%d bytes, mask %#x: %+v, %t; want slot %d", test.size, test.mask, m, ok, test.slot)
		}
	}
}

func TestRefuses(t *testing.T) {
	for _, c := range []struct {
		base, size uint64
		areas      int
	}{{1, 1 << 20, 1}, {0, 1 << 20, 0}, {0, 2048, 2}, {math.MaxUint64 - 2047, 1 << 20, 1}, {0, 1 << 60, 1}} {
		if _, err := swiotlb.New(c.base, c.size, c.areas); err == nil {
			t.Errorf("New(%#x, %d, %d) was not refused", c.base, c.size, c.areas)
		}
	}
	pool := newPool(t, 512<<10, 2)
	for _, m := range []struct{ orig, size, mask uint64 }{{0, 0, 0}, {0, 1, 4}, {0, math.MaxUint64, 0xfff}, {0, 1, math.MaxUint64}} {
		if got, ok := pool.Map(plain, m.orig, m.size, m.mask); ok {
			t.Errorf("Map(%#x, %d, %#x) = %+v", m.orig, m.size, m.mask, got)
		}
	}
	for _, m := range []swiotlb.Mapping{{}, {First: -1, Slots: 1}, {First: 1 << 20, Slots: 1}, {First: 3, Slots: 1}} {
		if err := pool.Unmap(m); !errors.Is(err, swiotlb.ErrNotMapped) {
			t.Errorf("Unmap(%+v) = %v", m, err)
		}
	}
}

// TestInvariants checks what holds for every buffer, and that the cursor and the
// run lengths stay consistent: an empty pool has room for whole segments again.
func TestInvariants(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		areas := rapid.SampledFrom([]int{1, 2, 4}).Draw(t, "areas")
		segments := 4
		base := 0x10000000 + rapid.Uint64Range(0, 9).Draw(t, "base")*swiotlb.SlotSize
		pool, err := swiotlb.New(base, uint64(segments)*swiotlb.SegmentSlots*swiotlb.SlotSize, areas)
		if err != nil {
			t.Fatal(err)
		}
		dev := swiotlb.Device{
			MinAlignMask: rapid.SampledFrom([]uint64{0, 0x1ff, 0xfff, 0x3fff}).Draw(t, "min align"),
			BoundaryMask: rapid.SampledFrom([]uint64{0x3fff, 0xffff, math.MaxUint32}).Draw(t, "boundary"),
		}
		var live []swiotlb.Mapping
		for range rapid.IntRange(1, 150).Draw(t, "steps") {
			if len(live) > 0 && rapid.IntRange(0, 4).Draw(t, "free") < 2 {
				i := rapid.IntRange(0, len(live)-1).Draw(t, "which")
				if err := pool.Unmap(live[i]); err != nil {
					t.Fatal(err)
				}
				if err := pool.Unmap(live[i]); err == nil {
					t.Fatal("unmapped twice")
				}
				live = slices.Delete(live, i, i+1)
				continue
			}
			orig := rapid.Uint64Range(1, 1<<20).Draw(t, "orig")
			size := rapid.Uint64Range(1, 60000).Draw(t, "size")
			mask := rapid.SampledFrom([]uint64{0, 0xfff, 0x3fff}).Draw(t, "mask")
			m, ok := pool.Map(dev, orig, size, mask)
			if !ok {
				continue
			}
			start := base + uint64(m.First)*swiotlb.SlotSize
			end := start + uint64(m.Slots)*swiotlb.SlotSize
			switch {
			case m.Addr < start || m.Addr+size > end:
				t.Fatalf("%+v does not hold %d bytes", m, size)
			case m.Addr&dev.MinAlignMask != orig&dev.MinAlignMask:
				t.Fatalf("%+v does not keep the low bits of %#x", m, orig)
			case start&mask != 0:
				t.Fatalf("%+v is not aligned to %#x", m, mask+1)
			case m.First/swiotlb.SegmentSlots != (m.First+m.Slots-1)/swiotlb.SegmentSlots:
				t.Fatalf("%+v leaves its segment", m)
			case start&^dev.BoundaryMask != (end-1)&^dev.BoundaryMask:
				t.Fatalf("%+v crosses a boundary", m)
			}
			for _, other := range live {
				if m.First < other.First+other.Slots && other.First < m.First+m.Slots {
					t.Fatalf("%+v overlaps %+v", m, other)
				}
			}
			live = append(live, m)
		}
		for _, m := range live {
			if err := pool.Unmap(m); err != nil {
				t.Fatal(err)
			}
		}
		for range segments {
			if _, ok := pool.Map(plain, 0, swiotlb.SegmentSlots*swiotlb.SlotSize, 0); !ok && base%4096 == 0 {
				t.Fatal("an empty pool has no whole segment")
			}
		}
	})
}
