package cma_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"dmasim/allocator/kernel/cma"
	"dmasim/mem"
)

const failed = ^uint64(0)

func newArea(t testing.TB, base, count uint64, order uint) *cma.Area {
	t.Helper()
	area, err := cma.New(base, count, order)
	if err != nil {
		t.Fatal(err)
	}
	return area
}

// TestPlacement holds sequences that the kernel's cma_alloc answered, as offsets
// from the base.
func TestPlacement(t *testing.T) {
	type step struct {
		count  uint64
		align  uint
		offset uint64
	}
	tests := []struct {
		name           string
		base, count    uint64
		order          uint
		steps          []step
		used, maxchunk uint64
	}{
		{"first fit", 0x400, 256, 0, []step{
			{1, 0, 0}, {4, 2, 4}, {3, 2, 8}, {64, 6, 64}, {2, 1, 2}, {256, 0, failed},
			{128, 8, failed}, {128, 0, 128}, {60, 0, failed}, {52, 0, 11},
		}, 254, 1},
		{"offset base", 0x401, 64, 0, []step{{4, 2, 3}, {4, 2, 7}, {1, 0, 0}, {8, 3, 15}}, 17, 41},
		{"four pages per bit", 0x400, 64, 2, []step{{1, 0, 0}, {5, 0, 4}, {4, 4, 16}, {3, 1, 12}}, 20, 44},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			area := newArea(t, test.base, test.count, test.order)
			for _, s := range test.steps {
				pfn, err := area.Alloc(s.count, s.align, nil)
				if err != nil && s.offset != failed || err == nil && pfn != test.base+s.offset {
					t.Fatalf("Alloc(%d, %d) = %#x, %v; want offset %d", s.count, s.align, pfn, err, s.offset)
				}
			}
			if area.Used() != test.used || area.LargestFree() != test.maxchunk {
				t.Errorf("used %d, largest free %d; want %d and %d", area.Used(), area.LargestFree(), test.used, test.maxchunk)
			}
		})
	}
}

func TestReleaseMakesRoom(t *testing.T) {
	area := newArea(t, 0x400, 16, 0)
	for range 4 {
		if _, err := area.Alloc(4, 0, nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := area.Release(0x404, 4); err != nil {
		t.Fatal(err)
	}
	if _, err := area.Alloc(5, 0, nil); !errors.Is(err, cma.ErrNoMemory) {
		t.Errorf("Alloc(5) = %v, want ErrNoMemory", err)
	}
	if err := area.Release(0x404, 4); !errors.Is(err, cma.ErrNotAllocated) {
		t.Errorf("second release: %v", err)
	}
	if pfn, err := area.Alloc(4, 0, nil); err != nil || pfn != 0x404 {
		t.Errorf("Alloc(4) = %#x, %v", pfn, err)
	}
	want := []mem.Range(nil)
	if got := slices.Collect(area.Free()); !slices.Equal(got, want) {
		t.Errorf("free %v", got)
	}
}

// pinned returns a Migrate that fails where the page frames pages lie, and the
// places that it was asked for.
func pinned(pages mem.Range) (cma.Migrate, *[]uint64) {
	var tried []uint64
	return func(r mem.Range) error {
		if r.Overlaps(pages) {
			tried = append(tried, r.Lo)
			return cma.ErrBusy
		}
		return nil
	}, &tried
}

func TestBusyPages(t *testing.T) {
	area := newArea(t, 0x400, 32, 0)
	migrate, tried := pinned(mem.Range{Lo: 0x405, Hi: 0x406})
	if pfn, err := area.Alloc(8, 0, migrate); err != nil || pfn != 0x406 {
		t.Errorf("Alloc(8, 0) = %#x, %v; want 0x406", pfn, err)
	}
	if want := []uint64{0x400, 0x401, 0x402, 0x403, 0x404, 0x405}; !slices.Equal(*tried, want) {
		t.Errorf("busy at %#x, want %#x", *tried, want)
	}
	*tried = nil
	if pfn, err := area.Alloc(8, 2, migrate); err != nil || pfn != 0x410 || len(*tried) != 0 {
		t.Errorf("Alloc(8, 2) = %#x, %v, busy at %#x; want 0x410", pfn, err, *tried)
	}

	area = newArea(t, 0x400, 32, 0)
	migrate, tried = pinned(mem.Range{Lo: 0x410, Hi: 0x420})
	if _, err := area.Alloc(20, 0, migrate); !errors.Is(err, cma.ErrBusy) || len(*tried) != 13 {
		t.Errorf("Alloc(20) = %v after %d tries, want busy after 13", err, len(*tried))
	}
	if pfn, err := area.Alloc(16, 0, migrate); err != nil || pfn != 0x400 {
		t.Errorf("Alloc(16) = %#x, %v; want 0x400", pfn, err)
	}
	*tried = nil
	if _, err := area.Alloc(1, 0, migrate); !errors.Is(err, cma.ErrBusy) || len(*tried) != 16 {
		t.Errorf("Alloc(1) = %v after %d tries, want busy after 16", err, len(*tried))
	}
	if area.Used() != 16 {
		t.Errorf("used %d, want 16", area.Used())
	}
}

func TestMigrationEndsTheCall(t *testing.T) {
	interrupted := errors.New("interrupted")
	area := newArea(t, 0, 32, 0)
	if _, err := area.Alloc(4, 0, func(mem.Range) error { return interrupted }); !errors.Is(err, interrupted) {
		t.Errorf("Alloc = %v", err)
	}
	if area.Used() != 0 {
		t.Errorf("used %d after a failure", area.Used())
	}
}

func TestDebugfs(t *testing.T) {
	area := newArea(t, 0, 64, 0)
	files := cma.NewDebugfs(area)
	check := func(used, maxchunk uint64, held ...cma.Held) {
		t.Helper()
		if area.Used() != used || area.LargestFree() != maxchunk {
			t.Errorf("used %d, maxchunk %d; want %d, %d", area.Used(), area.LargestFree(), used, maxchunk)
		}
		if diff := cmp.Diff(held, files.Held()); diff != "" {
			t.Errorf("held (-want +got):\n%s", diff)
		}
	}
	alloc := func(count uint64) {
		t.Helper()
		if err := files.Alloc(count, nil); err != nil {
			t.Fatal(err)
		}
	}
	alloc(8)
	alloc(4)
	alloc(16)
	check(28, 36, cma.Held{PFN: 12, Count: 16}, cma.Held{PFN: 8, Count: 4}, cma.Held{PFN: 0, Count: 8})
	files.Free(10)
	check(18, 36, cma.Held{PFN: 22, Count: 6}, cma.Held{PFN: 8, Count: 4}, cma.Held{PFN: 0, Count: 8})
	files.Free(6)
	check(12, 52, cma.Held{PFN: 8, Count: 4}, cma.Held{PFN: 0, Count: 8})
	alloc(3)
	check(15, 49, cma.Held{PFN: 12, Count: 3}, cma.Held{PFN: 8, Count: 4}, cma.Held{PFN: 0, Count: 8})
	files.Free(5)
	check(10, 52, cma.Held{PFN: 10, Count: 2}, cma.Held{PFN: 0, Count: 8})
	files.Free(4294967295)
	check(0, 64, []cma.Held{}...)
}

func TestDebugfsTwoPagesPerBit(t *testing.T) {
	area := newArea(t, 0, 64, 1)
	files := cma.NewDebugfs(area)
	if err := files.Alloc(5, nil); err != nil || area.Used() != 6 {
		t.Fatalf("alloc 5: %v, used %d", err, area.Used())
	}
	files.Free(3)
	if area.Used() != 6 {
		t.Errorf("a part was released: used %d", area.Used())
	}
	files.Free(5)
	if area.Used() != 0 {
		t.Errorf("used %d", area.Used())
	}
	for _, count := range []uint64{0, 65, 4294967295} {
		if err := files.Alloc(count, nil); !errors.Is(err, cma.ErrSize) {
			t.Errorf("alloc %d: %v, want ErrSize", count, err)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	for _, c := range []struct {
		base, count uint64
		order       uint
	}{{0, 0, 0}, {0, 3, 2}, {^uint64(0), 1, 0}, {0, 1, 64}} {
		if _, err := cma.New(c.base, c.count, c.order); err == nil {
			t.Errorf("New(%#x, %d, %d) was not refused", c.base, c.count, c.order)
		}
	}
}

func TestAlignOrder(t *testing.T) {
	for _, test := range []struct {
		count uint64
		limit uint
		want  uint
	}{{0, 8, 0}, {1, 8, 0}, {2, 8, 1}, {3, 8, 2}, {256, 8, 8}, {257, 8, 8}, {257, 12, 9}} {
		if got := cma.AlignOrder(test.count, test.limit); got != test.want {
			t.Errorf("AlignOrder(%d, %d) = %d, want %d", test.count, test.limit, got, test.want)
		}
	}
}

func TestSamePlacesAsTheBitmap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		base := rapid.Uint64Range(0, 5000).Draw(t, "base")
		count := rapid.Uint64Range(1, 600).Draw(t, "count")
		order := rapid.UintRange(0, 3).Draw(t, "order")
		if count>>order == 0 {
			count = 1 << order
		}
		area, err := cma.New(base, count, order)
		if err != nil {
			t.Fatal(err)
		}
		naive := newBitmap(base, count, order)
		busyLo := base + rapid.Uint64Range(0, count).Draw(t, "busy")
		busy := mem.Range{Lo: busyLo, Hi: busyLo + rapid.Uint64Range(0, 20).Draw(t, "busy pages")}
		migrate, _ := pinned(busy)

		var live []mem.Range
		for range rapid.IntRange(1, 120).Draw(t, "steps") {
			if len(live) > 0 && rapid.IntRange(0, 4).Draw(t, "free") < 2 {
				i := rapid.IntRange(0, len(live)-1).Draw(t, "which")
				if err := area.Release(live[i].Lo, live[i].Size()); err != nil {
					t.Fatal(err)
				}
				naive.release(live[i].Lo, live[i].Size())
				live = slices.Delete(live, i, i+1)
				continue
			}
			n := rapid.Uint64Range(0, 40).Draw(t, "n")
			align := rapid.UintRange(0, 7).Draw(t, "align")
			got, gotErr := area.Alloc(n, align, migrate)
			want, wantErr := naive.alloc(n, align, migrate)
			if got != want || !errors.Is(gotErr, wantErr) {
				t.Fatalf("Alloc(%d, %d) = %#x, %v; the bitmap says %#x, %v", n, align, got, gotErr, want, wantErr)
			}
			if gotErr == nil {
				live = append(live, mem.Range{Lo: got, Hi: got + n})
			}
		}
	})
}
