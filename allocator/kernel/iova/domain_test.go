package iova_test

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"dmasim/allocator/kernel/iova"
)

const failed = math.MaxUint64

func newDomain(t testing.TB) *iova.Domain {
	t.Helper()
	d, err := iova.New(4096, 1)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// alloc allocates and checks the first pfn.
func alloc(t *testing.T, d *iova.Domain, size, limit uint64, aligned bool, want uint64) {
	t.Helper()
	got, ok := d.Alloc(size, limit, aligned)
	if ok != (want != failed) || ok && got.Lo != want {
		t.Errorf("Alloc(%d, %#x, %t) = %#x, %t; want %#x", size, limit, aligned, got, ok, want)
	}
}

func allocFast(t *testing.T, d *iova.Domain, size, limit, want uint64) {
	t.Helper()
	if got, ok := d.AllocFast(size, limit, true); !ok || got != want {
		t.Errorf("AllocFast(%d, %#x) = %#x, %t; want %#x", size, limit, got, ok, want)
	}
}

func free(t *testing.T, d *iova.Domain, pfn uint64) {
	t.Helper()
	if err := d.Free(pfn); err != nil {
		t.Error(err)
	}
}

// The sequences of these tests were answered by the kernel.

func TestTopDownNextFit(t *testing.T) {
	d := newDomain(t)
	const limit = 0xfffff
	alloc(t, d, 1, limit, true, 0xfffff)
	alloc(t, d, 3, limit, true, 0xffffc)
	alloc(t, d, 1, limit, true, 0xffffb)
	alloc(t, d, 16, limit, true, 0xfffe0)
	alloc(t, d, 5, limit, true, 0xfffd8) // the hole at 0xffff0 is passed over
	alloc(t, d, 1, limit, false, 0xfffd7)
	free(t, d, 0xffffc)
	alloc(t, d, 1, limit, true, 0xffffe)
	alloc(t, d, 2, limit, true, 0xffffc)
	alloc(t, d, 4, limit, true, 0xffff4)
	free(t, d, 0xfffff)
	alloc(t, d, 1, limit, true, 0xfffff)
}

func TestLowLimitAndCeiling(t *testing.T) {
	d := newDomain(t)
	alloc(t, d, 4, 0xf, true, 0xc)
	alloc(t, d, 4, 0xf, true, 0x8)
	alloc(t, d, 4, 0xf, true, 0x4)
	alloc(t, d, 4, 0xf, true, failed)
	alloc(t, d, 3, 0xf, false, 0x1)
	alloc(t, d, 3, 0xf, false, failed)
	free(t, d, 0xc)
	alloc(t, d, 4, 0xf, true, 0xc)
	alloc(t, d, 8, 0xf, true, failed)
	// The failure is remembered for every limit below 4 GiB.
	alloc(t, d, 8, 0xfffff, true, failed)
	free(t, d, 0xc)
	alloc(t, d, 8, 0xfffff, true, 0xffff8)
}

func TestCaches(t *testing.T) {
	d := newDomain(t)
	const limit = 0xfffff
	allocFast(t, d, 3, limit, 0xffffc)
	allocFast(t, d, 4, limit, 0xffff8)
	allocFast(t, d, 5, limit, 0xffff0)
	allocFast(t, d, 33, limit, 0xfffc0)
	allocFast(t, d, 31, limit, 0xfffa0)
	allocFast(t, d, 32, limit, 0xfff80)
	for _, f := range []struct{ pfn, size uint64 }{{0xffffc, 3}, {0xffff8, 4}} {
		if err := d.FreeFast(f.pfn, f.size); err != nil {
			t.Fatal(err)
		}
	}
	allocFast(t, d, 4, limit, 0xffff8)
	allocFast(t, d, 3, limit, 0xffffc)
	if err := d.FreeFast(0xfffc0, 33); err != nil { // too large for the caches
		t.Fatal(err)
	}
	allocFast(t, d, 33, limit, 0xfffc0)
}

func TestTwoLimits(t *testing.T) {
	d := newDomain(t)
	allocFast(t, d, 16, 0xfffffffff, 0xffffffff0)
	allocFast(t, d, 16, 0xfffff, 0xffff0)
	allocFast(t, d, 16, 0xfffffffff, 0xfffffffe0)
}

func TestReserve(t *testing.T) {
	d := newDomain(t)
	const limit = 0xfffff
	if r, ok := d.Reserve(0xfee00, 0xfeeff); !ok || r != (iova.Range{Lo: 0xfee00, Hi: 0xfeeff}) {
		t.Fatalf("Reserve = %#x, %t", r, ok)
	}
	alloc(t, d, 1, limit, true, 0xfffff)
	alloc(t, d, 4096, limit, true, 0xfd000)
	alloc(t, d, 256, limit, true, 0xfcf00)
	alloc(t, d, 512, limit, true, 0xfcc00)
	alloc(t, d, 2048, limit, true, 0xfc000)
	alloc(t, d, 1024, limit, true, 0xfbc00)
}

func TestReserveOverExisting(t *testing.T) {
	tests := []struct {
		name   string
		lo, hi uint64
		want   iova.Range
		live   []iova.Range // afterwards, by first pfn
	}{
		{"apart", 0x300, 0x3ff, iova.Range{Lo: 0x300, Hi: 0x3ff}, []iova.Range{{Lo: 0x100, Hi: 0x1ff}, {Lo: 0x200, Hi: 0x2ff}, {Lo: 0x300, Hi: 0x3ff}}},
		{"inside", 0x110, 0x120, iova.Range{Lo: 0x100, Hi: 0x1ff}, []iova.Range{{Lo: 0x100, Hi: 0x1ff}, {Lo: 0x200, Hi: 0x2ff}}},
		{"below", 0x80, 0x120, iova.Range{Lo: 0x80, Hi: 0x1ff}, []iova.Range{{Lo: 0x80, Hi: 0x1ff}, {Lo: 0x200, Hi: 0x2ff}}},
		{"above", 0x280, 0x320, iova.Range{Lo: 0x300, Hi: 0x320}, []iova.Range{{Lo: 0x100, Hi: 0x1ff}, {Lo: 0x200, Hi: 0x2ff}, {Lo: 0x300, Hi: 0x320}}},
		{"both", 0x80, 0x320, iova.Range{Lo: 0x300, Hi: 0x320}, []iova.Range{{Lo: 0x80, Hi: 0x1ff}, {Lo: 0x200, Hi: 0x2ff}, {Lo: 0x300, Hi: 0x320}}},
		{"one to the other", 0x180, 0x280, iova.Range{Lo: 0x200, Hi: 0x2ff}, []iova.Range{{Lo: 0x100, Hi: 0x1ff}, {Lo: 0x200, Hi: 0x2ff}}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			d := newDomain(t)
			d.Reserve(0x100, 0x1ff)
			d.Reserve(0x200, 0x2ff)
			got, ok := d.Reserve(test.lo, test.hi)
			if !ok || got != test.want {
				t.Errorf("Reserve(%#x, %#x) = %#x, %t; want %#x", test.lo, test.hi, got, ok, test.want)
			}
			for _, want := range test.live {
				if r, ok := d.Find(want.Lo); !ok || r != want {
					t.Errorf("Find(%#x) = %#x, %t; want %#x", want.Lo, r, ok, want)
				}
			}
		})
	}
	d := newDomain(t)
	for _, r := range []iova.Range{{Lo: 2, Hi: 1}, {Lo: 0, Hi: math.MaxUint64}, {Lo: 0, Hi: 1 << 52}} {
		if _, ok := d.Reserve(r.Lo, r.Hi); ok {
			t.Errorf("Reserve(%#x, %#x) succeeded", r.Lo, r.Hi)
		}
	}
}

func TestFreeUnknown(t *testing.T) {
	d := newDomain(t)
	alloc(t, d, 4, 0xfff, true, 0xffc)
	for _, err := range []error{d.Free(0xffb), d.FreeFast(0xffb, 4), d.Free(0x1000), d.Free(math.MaxUint64)} {
		if !errors.Is(err, iova.ErrNotLive) {
			t.Errorf("error %v, want ErrNotLive", err)
		}
	}
}

// A range that a reservation has stretched is freed as a whole.
func TestFreeStretched(t *testing.T) {
	d := newDomain(t)
	alloc(t, d, 16, 0x10f, true, 0x100)
	if r, ok := d.Reserve(0xf0, 0x105); !ok || r != (iova.Range{Lo: 0xf0, Hi: 0x10f}) {
		t.Fatalf("Reserve = %#x, %t", r, ok)
	}
	free(t, d, 0x100)
	alloc(t, d, 32, 0x10f, false, 0xf0)
}

func TestDepotTrimming(t *testing.T) {
	d := newDomain(t)
	var pfns []uint64
	for range 127*5 + 1 {
		pfn, ok := d.AllocFast(1, 0xfffff, false)
		if !ok {
			t.Fatal("domain is full")
		}
		pfns = append(pfns, pfn)
	}
	for _, pfn := range pfns {
		if err := d.FreeFast(pfn, 1); err != nil {
			t.Fatal(err)
		}
	}
	// One pfn is in the loaded magazine, 127 are in the other, and four full
	// ones in the depot, which work takes down to one.
	live := func() int {
		n := 0
		for _, pfn := range pfns {
			if _, ok := d.Find(pfn); ok {
				n++
			}
		}
		return n
	}
	for work, want := range []int{636, 509, 382, 255, 255} {
		if got := live(); got != want {
			t.Errorf("%d cached after %d rounds of work, want %d", got, work, want)
		}
		d.TrimDepots()
	}
	d.Flush()
	if got := live(); got != 0 {
		t.Errorf("%d cached after a flush", got)
	}
}

// TestBoundedDepots: with room for two magazines in the depot, the loaded and the
// other one, a fifth full one is freed.
func TestBoundedDepots(t *testing.T) {
	d := newDomain(t)
	d.BoundDepots(2)
	const limit, n = 0xfffff, 127*5 + 1
	before, _ := d.Room(limit)
	var pfns []uint64
	for range n {
		pfn, ok := d.AllocFast(1, limit, false)
		if !ok {
			t.Fatal("domain is full")
		}
		pfns = append(pfns, pfn)
	}
	for _, pfn := range pfns {
		if err := d.FreeFast(pfn, 1); err != nil {
			t.Fatal(err)
		}
	}
	if d.TrimDue() {
		t.Error("there is work that trims depots")
	}
	// One pfn in the loaded magazine, 127 in the other, two full ones in the depot.
	if free, _ := d.Room(limit); before-free != 1+3*127 {
		t.Errorf("%d pfns are cached, want %d", before-free, 1+3*127)
	}
}

func TestRoom(t *testing.T) {
	d := newDomain(t)
	alloc(t, d, 4, 0xf, true, 0xc)
	alloc(t, d, 2, 0x9, true, 0x8)
	for limit, want := range map[uint64][2]uint64{0: {0, 0}, 0xf: {9, 7}, 0xa: {8, 7}, 0x12: {12, 7}, 0x1f: {25, 16}, math.MaxUint64: {0, 0}} {
		if free, longest := d.Room(limit); free != want[0] || longest != want[1] {
			t.Errorf("up to %#x: %d free, %d in a run, want %d", limit, free, longest, want)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	for _, c := range [][2]uint64{{0, 1}, {3000, 1}, {1 << 33, 1}, {4096, 0}} {
		if _, err := iova.New(c[0], c[1]); err == nil {
			t.Errorf("New(%d, %d) was not refused", c[0], c[1])
		}
	}
}

// list is the domain as a plain list of ranges from low to high, the sentinel
// last, walked range by range.
type list struct {
	ranges         []iova.Range
	start, below4G uint64
	near32, near64 int // indices into ranges
	ceiling        uint64
}

func newList(granule, start uint64) *list {
	below4G := (1 << 32) / granule
	return &list{ranges: []iova.Range{{Lo: math.MaxUint64, Hi: math.MaxUint64}}, start: start, below4G: below4G, ceiling: below4G}
}

func (l *list) alloc(size, limit uint64, aligned bool) (uint64, bool) {
	end := limit + 1
	near := &l.near64
	if end <= l.below4G {
		if size >= l.ceiling {
			return 0, false
		}
		near = &l.near32
	}
	align := uint64(1)
	for aligned && align < size {
		align *= 2
	}
	pfn, ok := l.walk(*near, end, size, align, l.start)
	if !ok && l.ranges[*near].Hi < end {
		from := slices.IndexFunc(l.ranges, func(r iova.Range) bool { return r.Lo >= end })
		pfn, ok = l.walk(from, end, size, align, l.ranges[*near].Hi+1)
	}
	if !ok {
		l.ceiling = size
		return 0, false
	}
	at := slices.IndexFunc(l.ranges, func(r iova.Range) bool { return r.Lo > pfn })
	l.ranges = slices.Insert(l.ranges, at, iova.Range{Lo: pfn, Hi: pfn + size - 1})
	for _, near := range []*int{&l.near32, &l.near64} {
		if *near >= at {
			*near++
		}
	}
	if pfn+size-1 < l.below4G {
		l.near32 = at
	} else {
		l.near64 = at
	}
	return pfn, true
}

func (l *list) walk(from int, top, size, align, floor uint64) (uint64, bool) {
	for i := from; ; i-- {
		top = min(top, l.ranges[i].Lo)
		if top < size {
			return 0, false
		}
		pfn := (top - size) / align * align
		if pfn < floor {
			return 0, false
		}
		if i == 0 || pfn > l.ranges[i-1].Hi {
			return pfn, true
		}
	}
}

func (l *list) free(pfn uint64) {
	at := slices.IndexFunc(l.ranges, func(r iova.Range) bool { return r.Lo == pfn })
	freed := l.ranges[at]
	next32 := at == l.near32 || freed.Hi < l.below4G && freed.Lo >= l.ranges[l.near32].Lo
	next64 := freed.Lo >= l.ranges[l.near64].Lo
	if freed.Lo < l.below4G {
		l.ceiling = l.below4G
	}
	l.ranges = slices.Delete(l.ranges, at, at+1)
	for near, next := range map[*int]bool{&l.near32: next32, &l.near64: next64} {
		switch {
		case next:
			*near = at // the one behind has moved here
		case *near > at:
			*near--
		}
	}
}

func TestSamePlacesAsTheList(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		// With this granule 4 GiB is pfn 256, so that few requests cover both sides.
		const granule = 1 << 24
		start := rapid.Uint64Range(1, 20).Draw(t, "start")
		d, err := iova.New(granule, start)
		if err != nil {
			t.Fatal(err)
		}
		naive := newList(granule, start)
		var live []uint64
		for range rapid.IntRange(1, 150).Draw(t, "steps") {
			if len(live) > 0 && rapid.IntRange(0, 4).Draw(t, "free") < 2 {
				i := rapid.IntRange(0, len(live)-1).Draw(t, "which")
				if err := d.Free(live[i]); err != nil {
					t.Fatal(err)
				}
				naive.free(live[i])
				live = slices.Delete(live, i, i+1)
				continue
			}
			size := rapid.Uint64Range(1, 60).Draw(t, "size")
			limit := rapid.OneOf(rapid.Uint64Range(0, 500), rapid.SampledFrom([]uint64{100, 255, 256, 400})).Draw(t, "limit")
			aligned := rapid.Bool().Draw(t, "aligned")
			got, gotOK := d.Alloc(size, limit, aligned)
			want, wantOK := naive.alloc(size, limit, aligned)
			if gotOK != wantOK || got.Lo != want {
				t.Fatalf("Alloc(%d, %d, %t) = %d, %t; the list says %d, %t", size, limit, aligned, got.Lo, gotOK, want, wantOK)
			}
			if gotOK {
				live = append(live, want)
			}
		}
	})
}

// A request with a low limit drags later ones with a higher limit down.
func ExampleDomain_Alloc() {
	d, err := iova.New(4096, 1)
	if err != nil {
		panic(err)
	}
	for _, limit := range []uint64{0xfffff, 0xfff, 0xfffff} {
		r, _ := d.Alloc(2, limit, true)
		fmt.Printf("limit %#x: %#x to %#x\n", limit, r.Lo, r.Hi)
	}
	// Output:
	// limit 0xfffff: 0xffffe to 0xfffff
	// limit 0xfff: 0xffe to 0xfff
	// limit 0xfffff: 0xffc to 0xffd
}
