package coherent_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"dmasim/allocator/kernel/coherent"
)

// The kernel's answers for a pool of 64 pages.
func ExamplePool() {
	pool := coherent.New(64)
	for _, order := range []uint{0, 2, 1, 0, 3, 4, 5, 0} {
		fmt.Println(pool.Alloc(order))
	}
	fmt.Println(pool.Release(4, 2))
	fmt.Println(pool.Alloc(1))
	fmt.Println(pool.Alloc(2))
	// Output:
	// 0 true
	// 4 true
	// 2 true
	// 1 true
	// 8 true
	// 16 true
	// 32 true
	// 0 false
	// <nil>
	// 4 true
	// 0 false
}

func TestReleaseRefuses(t *testing.T) {
	pool := coherent.New(64)
	if _, ok := pool.Alloc(3); !ok {
		t.Fatal("no room")
	}
	for _, r := range []struct {
		page  uint64
		order uint
	}{{8, 0}, {0, 4}, {60, 3}, {0, 64}, {^uint64(0), 0}} {
		if err := pool.Release(r.page, r.order); !errors.Is(err, coherent.ErrNotAllocated) {
			t.Errorf("Release(%d, %d) = %v", r.page, r.order, err)
		}
	}
	if pool.Free() != 56 {
		t.Errorf("%d pages free, want 56", pool.Free())
	}
}

func TestSamePlacesAsTheBitmap(t *testing.T) {
	type block struct {
		page  uint64
		order uint
	}
	rapid.Check(t, func(t *rapid.T) {
		pages := rapid.Uint64Range(1, 300).Draw(t, "pages")
		pool := coherent.New(pages)
		used := make([]bool, pages)
		var live []block
		for range rapid.IntRange(1, 100).Draw(t, "steps") {
			if len(live) > 0 && rapid.IntRange(0, 4).Draw(t, "free") < 2 {
				i := rapid.IntRange(0, len(live)-1).Draw(t, "which")
				b := live[i]
				if err := pool.Release(b.page, b.order); err != nil {
					t.Fatal(err)
				}
				clear(used[b.page : b.page+1<<b.order])
				live = slices.Delete(live, i, i+1)
				continue
			}
			order := rapid.UintRange(0, 6).Draw(t, "order")
			n, want, wantOK := uint64(1)<<order, uint64(0), false
			for page := uint64(0); page+n <= pages && !wantOK; page += n {
				if !slices.Contains(used[page:page+n], true) {
					want, wantOK = page, true
				}
			}
			got, ok := pool.Alloc(order)
			if got != want || ok != wantOK {
				t.Fatalf("Alloc(%d) = %d, %t; the bitmap says %d, %t", order, got, ok, want, wantOK)
			}
			if ok {
				for i := got; i < got+n; i++ {
					used[i] = true
				}
				live = append(live, block{got, order})
			}
		}
	})
}
