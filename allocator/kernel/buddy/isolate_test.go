package buddy_test

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"dmasim/allocator/kernel/buddy"
	"dmasim/mem"
)

// TestIsolation holds every step of a contiguous allocation to what must come
// out: the pages that are free, and that no block is left unmerged.
func TestIsolation(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cfg := drawConfig(t)
		z, err := buddy.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		free := make(map[uint64]bool)
		for pfn := cfg.Base; pfn < cfg.Base+cfg.Pages; pfn++ {
			free[pfn] = true
		}
		var live []uint64
		for range rapid.IntRange(0, 60).Draw(t, "allocs") {
			r := drawRequest(t)
			if pfn, ok := z.Alloc(r); ok {
				live = append(live, pfn)
				for i := range uint64(1) << r.Order {
					delete(free, pfn+i)
				}
			}
		}
		lo := rapid.Uint64Range(cfg.Base, cfg.Base+cfg.Pages-1).Draw(t, "lo")
		r := mem.Range{Lo: lo, Hi: rapid.Uint64Range(lo+1, cfg.Base+cfg.Pages).Draw(t, "hi")}
		before, _ := z.FreePages()
		if err := z.Isolate(r); err != nil {
			t.Fatal(err)
		}
		if z.Isolate(r) == nil {
			t.Fatal("two ranges are isolated")
		}
		for range rapid.IntRange(0, 20).Draw(t, "frees") {
			if len(live) == 0 {
				break
			}
			i := rapid.IntRange(0, len(live)-1).Draw(t, "victim")
			order, _ := z.Order(live[i])
			if err := z.Free(live[i]); err != nil {
				t.Fatal(err)
			}
			for j := range uint64(1) << order {
				free[live[i]+j] = true
			}
			live = slices.Delete(live, i, i+1)
			before += 1 << order
		}
		all := true
		for pfn := r.Lo; pfn < r.Hi; pfn++ {
			all = all && free[pfn]
		}
		taken := z.TakeIsolated(r)
		if taken != all {
			t.Fatalf("taken %t, all free %t", taken, all)
		}
		z.Restore()
		if taken {
			if now, _ := z.FreePages(); now != before-r.Size() {
				t.Fatalf("%d pages free, want %d", now, before-r.Size())
			}
			for pfn := r.Lo; pfn < r.Hi; pfn++ {
				if err := z.Free(pfn); err != nil {
					t.Fatal(err)
				}
			}
		}
		if now, _ := z.FreePages(); now != before || now != uint64(len(free)) {
			t.Fatalf("%d pages free, want %d, %d", now, before, len(free))
		}
		wantMerged(t, z, cfg)
		for order := range uint(buddy.MaxOrder + 1) {
			for _, kind := range []buddy.Type{buddy.Unmovable, buddy.Movable, buddy.Reclaimable, buddy.CMA} {
				for pfn := range z.Blocks(kind, order) {
					for i := range uint64(1) << order {
						if !free[pfn+i] {
							t.Fatalf("%#x is on a list", pfn+i)
						}
					}
				}
			}
		}
	})
}

// wantMerged checks that no two free blocks are buddies that could be one.
func wantMerged(t *rapid.T, z *buddy.Zone, cfg buddy.Config) {
	for order := range uint(buddy.MaxOrder) {
		for pfn := cfg.Base &^ (1<<order - 1); pfn < cfg.Base+cfg.Pages; pfn += 1 << order {
			other := pfn ^ 1<<order
			a, ok := z.FreeBlock(pfn)
			b, ok2 := z.FreeBlock(other)
			if !ok || !ok2 || a != order || b != order {
				continue
			}
			if ta, tb := z.Pageblock(pfn).Type, z.Pageblock(other).Type; ta == tb || ta != buddy.CMA && tb != buddy.CMA {
				t.Fatalf("blocks of order %d at %#x and %#x are apart", order, pfn, other)
			}
		}
	}
}

func TestTakeFree(t *testing.T) {
	z := newZone(t, buddy.Config{Pages: 64, PageblockOrder: 4})
	if _, ok := z.TakeFree(1); ok {
		t.Error("a page within a block is taken")
	}
	order, ok := z.TakeFree(0)
	if all, _ := z.FreePages(); !ok || order != 6 || all != 0 {
		t.Fatalf("order %d, %d pages free", order, all)
	}
	z.SetLRU(3)
	z.SetLRU(3)
	if got, want := z.Pageblock(3), (buddy.Pageblock{Type: buddy.Movable, LRU: 1}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	for pfn := range uint64(64) {
		free(t, z, pfn)
	}
	wantList(t, z, buddy.Movable, 6, 0)
}

func TestHolesAndCMA(t *testing.T) {
	z := newZone(t, buddy.Config{
		Base: 5, Pages: 123, PageblockOrder: 4,
		Holes: mem.RangeSet{{Lo: 0, Hi: 6}, {Lo: 20, Hi: 21}, {Lo: 64, Hi: 96}},
	})
	if all, _ := z.FreePages(); all != 123-1-1-32 {
		t.Errorf("%d pages free", all)
	}
	for _, r := range []mem.Range{{Lo: 64, Hi: 64}, {Lo: 65, Hi: 96}, {Lo: 32, Hi: 64}, {Lo: 112, Hi: 128}, {Lo: 128, Hi: 144}} {
		if z.AddCMA(r) == nil {
			t.Errorf("%s becomes CMA", r)
		}
	}
	if err := z.AddCMA(mem.Range{Lo: 64, Hi: 96}); err != nil {
		t.Fatal(err)
	}
	wantList(t, z, buddy.CMA, 5, 64)
	if all, cma := z.FreePages(); all != 123-2 || cma != 32 {
		t.Errorf("%d pages free, %d of them CMA", all, cma)
	}
}

func TestQueue(t *testing.T) {
	z := newZone(t, buddy.Config{Base: 1024, Pages: 64, PageblockOrder: 4})
	q := buddy.NewQueue()
	for range 3 {
		pfn, _ := z.Alloc(buddy.Request{Type: buddy.Movable, LRU: true})
		z.Push(&q, pfn)
	}
	z.Remove(&q, 1025)
	oldest, ok := z.Oldest(&q)
	next, ok2 := z.Younger(oldest)
	if _, more := z.Younger(next); !ok || !ok2 || more || oldest != 1024 || next != 1026 || q.Len() != 2 {
		t.Errorf("%d %d, length %d", oldest, next, q.Len())
	}
}

// TestTakeAllAndRetype gives a zone a state of one free block in a pageblock of
// another type.
func TestTakeAllAndRetype(t *testing.T) {
	z := newZone(t, buddy.Config{Pages: 64, PageblockOrder: 4})
	if z.Retype(16, buddy.Unmovable) == nil {
		t.Error("the pageblock of free pages is retyped")
	}
	z.TakeAll()
	if all, _ := z.FreePages(); all != 0 || z.Suitable(0, true) {
		t.Errorf("%d pages are free", all)
	}
	if err := z.Retype(16, buddy.CMA); err != nil {
		t.Fatal(err)
	}
	free(t, z, 18, 19)
	wantList(t, z, buddy.CMA, 1, 18)
	if z.Suitable(0, false) || !z.Suitable(1, true) || z.Suitable(2, true) {
		t.Error("one CMA block of order 1 is free")
	}
}
