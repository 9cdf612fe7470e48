package genalloc_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"dmasim/allocator/kernel/genalloc"
)

func newPool(t testing.TB, order uint, chunks ...[2]uint64) *genalloc.Pool {
	t.Helper()
	pool, err := genalloc.New(order)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range chunks {
		if err := pool.Add(c[0], c[1]); err != nil {
			t.Fatal(err)
		}
	}
	return pool
}

const failed = ^uint64(0)

// TestAlgorithms holds the places, in units, that the kernel's algorithms chose
// one after the other in a pool of 64 units with five holes.
func TestAlgorithms(t *testing.T) {
	const base, unit = 0x100000, 4096
	sizes := []uint64{3, 3, 2, 8, 1, 4, 16, 5, 12, 6}
	tests := []struct {
		name  string
		alloc func(*genalloc.Pool, uint64) (uint64, bool)
		want  []uint64
		left  uint64
	}{
		{"first fit", (*genalloc.Pool).FirstFit, []uint64{2, 10, 5, 20, 33, 48, failed, 52, failed, 57}, 3},
		{"best fit", (*genalloc.Pool).BestFit, []uint64{10, 33, 2, 20, 4, 48, failed, 52, failed, 57}, 3},
		{"order align", (*genalloc.Pool).FirstFitOrderAlign, []uint64{4, 20, 2, 48, 10, 24, failed, 56, failed, failed}, 9},
		{"align", func(p *genalloc.Pool, size uint64) (uint64, bool) { return p.FirstFitAlign(size, 4*unit) },
			[]uint64{4, 20, 24, 48, 12, 56, failed, failed, failed, failed}, 14},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			pool := newPool(t, 12, [2]uint64{base, 64 * unit})
			pool.FirstFit(64 * unit)
			for _, hole := range [][2]uint64{{2, 7}, {10, 13}, {20, 28}, {33, 36}, {48, 64}} {
				if err := pool.Free(base+hole[0]*unit, (hole[1]-hole[0])*unit); err != nil {
					t.Fatal(err)
				}
			}
			for i, size := range sizes {
				addr, ok := test.alloc(pool, size*unit)
				if want := test.want[i]; ok != (want != failed) || ok && addr != base+want*unit {
					t.Errorf("%d units: %#x, %t; want unit %d", size, addr, ok, want)
				}
			}
			if pool.Available() != test.left*unit {
				t.Errorf("%d bytes left, want %d units", pool.Available(), test.left)
			}
		})
	}
}

// Alignment is by address for one algorithm, and by distance from the start of
// the chunk for the other.
func ExamplePool_FirstFitAlign() {
	for _, alloc := range []func(*genalloc.Pool) (uint64, bool){
		func(p *genalloc.Pool) (uint64, bool) { return p.FirstFitAlign(16<<10, 16<<10) },
		func(p *genalloc.Pool) (uint64, bool) { return p.FirstFitOrderAlign(16 << 10) },
	} {
		pool, err := genalloc.New(12)
		if err != nil {
			panic(err)
		}
		if err := pool.Add(0x103000, 256<<10); err != nil {
			panic(err)
		}
		addr, _ := alloc(pool)
		fmt.Printf("%#x\n", addr)
	}
	// Output:
	// 0x104000
	// 0x103000
}

func TestNewestChunkFirst(t *testing.T) {
	pool := newPool(t, 12, [2]uint64{0x100000, 0x10000}, [2]uint64{0x200000, 0x10000})
	if addr, ok := pool.FirstFit(1); !ok || addr != 0x200000 {
		t.Errorf("FirstFit = %#x, %t", addr, ok)
	}
	for _, want := range []uint64{0x204000, 0x104000} {
		if addr, ok := pool.Fixed(1, 0x4000); !ok || addr != want {
			t.Errorf("Fixed = %#x, %t; want %#x", addr, ok, want)
		}
	}
	for _, offset := range []uint64{0x4000, 0x4800, 0x10000, 1 << 63} {
		if addr, ok := pool.Fixed(1, offset); ok {
			t.Errorf("Fixed(1, %#x) = %#x", offset, addr)
		}
	}
}

func TestRefuses(t *testing.T) {
	pool := newPool(t, 8, [2]uint64{0x1000, 0x10ff})
	for _, c := range [][2]uint64{{0x2000, 1}, {0x2000, ^uint64(0)}} {
		if err := pool.Add(c[0], c[1]); err == nil {
			t.Errorf("Add(%#x, %#x) was not refused", c[0], c[1])
		}
	}
	if _, ok := pool.FirstFit(0); ok {
		t.Error("0 bytes were allocated")
	}
	if _, ok := pool.FirstFitAlign(1, 3); ok {
		t.Error("an alignment of 3 was accepted")
	}
	if _, ok := pool.FirstFit(0x1001); ok {
		t.Error("the ragged tail was used")
	}
	if _, ok := pool.FirstFit(0x1000); !ok {
		t.Error("the whole chunk was refused")
	}
	if err := pool.Free(0x1000, 0x1000); err != nil {
		t.Error(err)
	}
	for _, f := range [][2]uint64{{0x1000, 0x1000}, {0x5000, 1}, {0x1000, 0}} {
		if err := pool.Free(f[0], f[1]); !errors.Is(err, genalloc.ErrNotAllocated) {
			t.Errorf("Free(%#x, %#x) = %v", f[0], f[1], err)
		}
	}
}

// bitmap is one chunk, searched bit by bit.
type bitmap []bool

func (b bitmap) free(at, n uint64) bool {
	return at+n <= uint64(len(b)) && !slices.Contains(b[at:at+n], true)
}

// aligned returns the lowest place where (place+offset) is a multiple of align.
func (b bitmap) aligned(n, align, offset uint64) (uint64, bool) {
	for at := uint64(0); at+n <= uint64(len(b)); at++ {
		if (at+offset)%align == 0 && b.free(at, n) {
			return at, true
		}
	}
	return 0, false
}

func (b bitmap) best(n uint64) (place uint64, ok bool) {
	shortest := uint64(len(b)) + 1
	for at := uint64(0); at < uint64(len(b)); {
		run := uint64(0)
		for b.free(at, run+1) {
			run++
		}
		if run >= n && run < shortest {
			shortest, place, ok = run, at, true
		}
		at += run + 1
	}
	return place, ok
}

func TestSamePlacesAsTheBitmap(t *testing.T) {
	type block struct{ addr, size uint64 }
	const order, granule = 4, 16
	rapid.Check(t, func(t *rapid.T) {
		base := rapid.Uint64Range(1, 1000).Draw(t, "base") * granule
		naive := make(bitmap, rapid.IntRange(1, 200).Draw(t, "granules"))
		pool, err := genalloc.New(order)
		if err != nil {
			t.Fatal(err)
		}
		if err := pool.Add(base, uint64(len(naive))*granule+rapid.Uint64Range(0, granule-1).Draw(t, "tail")); err != nil {
			t.Fatal(err)
		}
		var live []block
		for range rapid.IntRange(1, 120).Draw(t, "steps") {
			if len(live) > 0 && rapid.IntRange(0, 4).Draw(t, "free") < 2 {
				i := rapid.IntRange(0, len(live)-1).Draw(t, "which")
				if err := pool.Free(live[i].addr, live[i].size); err != nil {
					t.Fatal(err)
				}
				at := (live[i].addr - base) / granule
				clear(naive[at : at+(live[i].size+granule-1)/granule])
				live = slices.Delete(live, i, i+1)
				continue
			}
			size := rapid.Uint64Range(1, 20*granule).Draw(t, "size")
			n := (size + granule - 1) / granule
			var got, want uint64
			var ok, wantOK bool
			switch algorithm := rapid.IntRange(0, 4).Draw(t, "algorithm"); algorithm {
			case 0:
				got, ok = pool.FirstFit(size)
				want, wantOK = naive.aligned(n, 1, 0)
			case 1:
				got, ok = pool.BestFit(size)
				want, wantOK = naive.best(n)
			case 2:
				align := uint64(1) << rapid.IntRange(0, 9).Draw(t, "align")
				got, ok = pool.FirstFitAlign(size, align)
				want, wantOK = naive.aligned(n, max(align/granule, 1), base%align/granule)
			case 3:
				align := uint64(1)
				for align < n {
					align *= 2
				}
				got, ok = pool.FirstFitOrderAlign(size)
				want, wantOK = naive.aligned(n, align, 0)
			case 4:
				want = rapid.Uint64Range(0, 220).Draw(t, "offset")
				got, ok = pool.Fixed(size, want*granule)
				wantOK = naive.free(want, n)
			}
			if ok != wantOK || ok && got != base+want*granule {
				t.Fatalf("%d bytes: %#x, %t; the bitmap says %#x, %t", size, got, ok, base+want*granule, wantOK)
			}
			if ok {
				for i := want; i < want+n; i++ {
					naive[i] = true
				}
				live = append(live, block{got, size})
			}
		}
	})
}
