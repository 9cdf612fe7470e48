package buddy_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"dmasim/allocator/kernel/buddy"
)

const none = ^uint64(0)

func newZone(t testing.TB, cfg buddy.Config) *buddy.Zone {
	t.Helper()
	z, err := buddy.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

func alloc(t *testing.T, z *buddy.Zone, order uint, kind buddy.Type, want uint64) {
	t.Helper()
	pfn, ok := z.Alloc(buddy.Request{Order: order, Type: kind, LRU: kind == buddy.Movable})
	if !ok {
		pfn = none
	}
	if pfn != want {
		t.Errorf("%s block of order %d: %#x, want %#x", kind, order, pfn, want)
	}
}

func free(t *testing.T, z *buddy.Zone, pfns ...uint64) {
	t.Helper()
	for _, pfn := range pfns {
		if err := z.Free(pfn); err != nil {
			t.Error(err)
		}
	}
}

// wantList checks a free list from head to tail.
func wantList(t *testing.T, z *buddy.Zone, kind buddy.Type, order uint, want ...uint64) {
	t.Helper()
	if got := slices.Collect(z.Blocks(kind, order)); !slices.Equal(got, want) {
		t.Errorf("%s blocks of order %d: %#x, want %#x", kind, order, got, want)
	}
}

// TestSplitAndMerge and TestTail repeat sequences run on the kernel's code.
func TestSplitAndMerge(t *testing.T) {
	z := newZone(t, buddy.Config{Pages: 64, PageblockOrder: 9})
	alloc(t, z, 0, buddy.Movable, 0)
	alloc(t, z, 0, buddy.Movable, 1)
	alloc(t, z, 1, buddy.Movable, 2)
	alloc(t, z, 3, buddy.Movable, 8)
	alloc(t, z, 2, buddy.Movable, 4)
	wantList(t, z, buddy.Movable, 4, 0x10)
	wantList(t, z, buddy.Movable, 5, 0x20)
	free(t, z, 0)
	alloc(t, z, 0, buddy.Movable, 0)
	free(t, z, 2, 1, 0)
	wantList(t, z, buddy.Movable, 2, 0)
	free(t, z, 4, 8)
	wantList(t, z, buddy.Movable, 6, 0)
}

func TestTail(t *testing.T) {
	z := newZone(t, buddy.Config{Pages: 32, PageblockOrder: 9})
	for pfn := range uint64(32) {
		alloc(t, z, 0, buddy.Movable, pfn)
	}
	free(t, z, 2, 20, 8, 3)
	wantList(t, z, buddy.Movable, 0, 8, 20)
	free(t, z, 0, 12)
	wantList(t, z, buddy.Movable, 0, 12, 8, 20, 0)
	for _, pfn := range []uint64{12, 8, 20, 0, 2} {
		alloc(t, z, 0, buddy.Movable, pfn)
	}
	wantList(t, z, buddy.Movable, 0, 3)
}

func TestClaim(t *testing.T) {
	z := newZone(t, buddy.Config{Pages: 64, PageblockOrder: 4})
	alloc(t, z, 0, buddy.Unmovable, 0)
	alloc(t, z, 0, buddy.Movable, 0x20)
	alloc(t, z, 0, buddy.Reclaimable, 0x10)
	want := []buddy.Type{buddy.Unmovable, buddy.Reclaimable, buddy.Movable, buddy.Movable}
	if got := z.PageblockTypes(); !slices.Equal(got, want) {
		t.Errorf("pageblocks %v, want %v", got, want)
	}
}

// TestSteal has no pageblock that is free enough to be claimed. The smallest
// block is taken; 6.1 takes the largest, 0x28.
func TestSteal(t *testing.T) {
	z := newZone(t, buddy.Config{Pages: 64, PageblockOrder: 4})
	for pfn := range uint64(64) {
		if pfn != 0x29 {
			order := uint(0)
			if pfn == 0x28 {
				order = 1
			}
			alloc(t, z, order, buddy.Movable, pfn)
		}
	}
	free(t, z, 0xa, 0x28, 0x36)
	wantList(t, z, buddy.Movable, 0, 0x36, 0xa)
	alloc(t, z, 0, buddy.Unmovable, 0x36)
	for b, got := range z.PageblockTypes() {
		if got != buddy.Movable {
			t.Errorf("pageblock %d is %s", b, got)
		}
	}
}

func TestCMA(t *testing.T) {
	z := newZone(t, buddy.Config{Pages: 64, PageblockOrder: 4, Types: []buddy.Type{buddy.Movable, buddy.Movable, buddy.CMA, buddy.CMA}})
	for _, test := range []struct {
		kind      buddy.Type
		want      uint64
		free, cma uint64
	}{
		{buddy.Movable, 0, 63, 32}, // 32 of 64 pages are not more than half
		{buddy.Unmovable, 0x10, 62, 32},
		{buddy.Movable, 0x20, 61, 31},
		{buddy.Movable, 0x21, 60, 30},
		{buddy.Movable, 0x1, 59, 30},
	} {
		alloc(t, z, 0, test.kind, test.want)
		if all, cma := z.FreePages(); all != test.free || cma != test.cma {
			t.Errorf("%d pages free, %d of them CMA, want %d, %d", all, cma, test.free, test.cma)
		}
	}
}

func TestRefuses(t *testing.T) {
	for _, cfg := range []buddy.Config{
		{PageblockOrder: 9},
		{Pages: buddy.MaxPages + 1, PageblockOrder: 9},
		{Base: none, Pages: 2, PageblockOrder: 9},
		{Pages: 1024},
		{Pages: 1024, PageblockOrder: buddy.MaxOrder + 1},
		{Pages: 1024, PageblockOrder: 9, Types: []buddy.Type{buddy.Movable}},
		{Pages: 512, PageblockOrder: 9, Types: []buddy.Type{buddy.CMA + 1}},
	} {
		if _, err := buddy.New(cfg); err == nil {
			t.Errorf("%+v is accepted", cfg)
		}
	}
	z := newZone(t, buddy.Config{Base: 0x1000, Pages: 1024, PageblockOrder: 9})
	for _, r := range []buddy.Request{{Order: buddy.MaxOrder + 1}, {Type: buddy.CMA}} {
		if _, ok := z.Alloc(r); ok {
			t.Errorf("%+v is served", r)
		}
		if _, ok := buddy.NewPerCPU(z, buddy.Sizing{}.Limits()).Alloc(r); ok {
			t.Errorf("%+v is served from a per-CPU list", r)
		}
	}
	alloc(t, z, 1, buddy.Movable, 0x1000)
	free(t, z, 0x1000)
	for _, pfn := range []uint64{0x1000, 0x1001, 0, none, 0x1400} {
		if err := z.Free(pfn); !errors.Is(err, buddy.ErrNotAllocated) {
			t.Errorf("free of %#x: %v", pfn, err)
		}
	}
}

func ExampleZone() {
	zone, err := buddy.New(buddy.Config{
		Base: 0x1000, Pages: 1024, PageblockOrder: 9,
		Types: []buddy.Type{buddy.Unmovable, buddy.CMA},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	kernel, _ := zone.Alloc(buddy.Request{Order: 4, Type: buddy.Unmovable})
	user, _ := zone.Alloc(buddy.Request{Order: 0, Type: buddy.Movable, LRU: true})
	_, ok := zone.Alloc(buddy.Request{Order: 9, Type: buddy.Unmovable})
	all, cma := zone.FreePages()
	fmt.Printf("%#x %#x %t, %d pages free, %d of them CMA\n", kernel, user, ok, all, cma)
	// Output: 0x1000 0x1200 false, 1007 pages free, 511 of them CMA
}
