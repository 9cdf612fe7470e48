package drmbuddy_test

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"dmasim/allocator/kernel/drmbuddy"
)

const kib = 1024

// blocks returns blocks by offset and size in KiB.
func blocks(pairs ...uint64) []drmbuddy.Block {
	var list []drmbuddy.Block
	for i := 0; i < len(pairs); i += 2 {
		list = append(list, drmbuddy.Block{Offset: pairs[i] * kib, Size: pairs[i+1] * kib})
	}
	return list
}

// TestPlacement repeats sequences run on the kernel's code. Hi is the size of
// the memory where it is 0.
func TestPlacement(t *testing.T) {
	type step struct {
		size, min, lo, hi uint64 // KiB
		flags             drmbuddy.Request
		want              []drmbuddy.Block
		err               error
	}
	topDown, inRange := drmbuddy.Request{TopDown: true}, drmbuddy.Request{InRange: true}
	for _, test := range []struct {
		size  uint64 // KiB
		steps []step
	}{
		{256, []step{
			{size: 4, want: blocks(252, 4)},
			{size: 12, want: blocks(240, 8, 248, 4)},
			{size: 4, flags: topDown, want: blocks(236, 4)},
			{size: 16, hi: 64, flags: inRange, want: blocks(0, 16)},
			{size: 8, lo: 20, hi: 28, want: blocks(20, 4, 24, 4)},
			{size: 100, want: blocks(128, 64, 192, 32, 232, 4)},
			{size: 128, min: 64, err: drmbuddy.ErrNoSpace},
			{size: 260, err: drmbuddy.ErrInvalid},
			{size: 4, min: 12, err: drmbuddy.ErrInvalid},
			{size: 2, err: drmbuddy.ErrInvalid},
			{size: 4, hi: 260, err: drmbuddy.ErrInvalid},
			{size: 8, min: 8, lo: 4, hi: 12, err: drmbuddy.ErrInvalid},
		}},
		{52, []step{
			{size: 4, want: blocks(48, 4)},
			{size: 4, want: blocks(44, 4)},
			{size: 8, min: 8, flags: topDown, want: blocks(32, 8)},
			{size: 48, err: drmbuddy.ErrNoSpace},
			{size: 32, want: blocks(0, 32)},
		}},
	} {
		m, err := drmbuddy.New(test.size*kib, 4*kib)
		if err != nil {
			t.Fatal(err)
		}
		unused := m.Unused()
		var live []drmbuddy.Block
		for _, s := range test.steps {
			r := s.flags
			r.Size, r.MinBlock, r.Lo, r.Hi = s.size*kib, max(s.min, 4)*kib, s.lo*kib, s.hi*kib
			if s.hi == 0 {
				r.Hi = test.size * kib
			}
			got, err := m.Alloc(nil, r)
			if !errors.Is(err, s.err) || !slices.Equal(got, s.want) {
				t.Errorf("%+v: %v, %v; want %v, %v", r, got, err, s.want, s.err)
			}
			live = append(live, got...)
		}
		for _, b := range live {
			if err := m.Free(b); err != nil {
				t.Error(err)
			}
			if err := m.Free(b); !errors.Is(err, drmbuddy.ErrNotLive) {
				t.Errorf("second free of %v: %v", b, err)
			}
		}
		if m.Unused() != unused {
			t.Errorf("%d bytes unused after all, want %d", m.Unused(), unused)
		}
	}
}

// TestTryHarder has no free power of two that holds the request, but a place.
func TestTryHarder(t *testing.T) {
	m, err := drmbuddy.New(64*kib, 4*kib)
	if err != nil {
		t.Fatal(err)
	}
	for _, at := range []uint64{0, 60} {
		if _, err := m.Alloc(nil, drmbuddy.Request{Size: 4 * kib, MinBlock: 4 * kib, Lo: at * kib, Hi: (at + 4) * kib}); err != nil {
			t.Fatal(err)
		}
	}
	r := drmbuddy.Request{Size: 36 * kib, MinBlock: 4 * kib, Hi: 64 * kib, Contiguous: true}
	if got, err := m.Alloc(nil, r); !errors.Is(err, drmbuddy.ErrNoSpace) {
		t.Errorf("no block of 32 KiB is free, but %v, %v", got, err)
	}
	r.Size = 28 * kib
	got, err := m.Alloc(nil, r)
	if want := blocks(32, 16, 48, 8, 56, 4); err != nil || !slices.Equal(got, want) {
		t.Errorf("%v, %v; want %v", got, err, want)
	}
}

func TestRefuses(t *testing.T) {
	for _, test := range []struct{ size, chunk uint64 }{
		{0, 4096}, {4095, 4096}, {1 << 20, 0}, {1 << 20, 12288}, {math.MaxUint64, 1},
	} {
		if _, err := drmbuddy.New(test.size, test.chunk); err == nil {
			t.Errorf("%d bytes in chunks of %d are accepted", test.size, test.chunk)
		}
	}
	m, err := drmbuddy.New(13*4*kib, 4*kib)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range []drmbuddy.Block{
		{}, {Offset: 0, Size: 4 * kib}, {Offset: 2 * kib, Size: 4 * kib}, {Offset: 0, Size: 2 * kib},
		{Offset: 48 * kib, Size: 8 * kib}, {Offset: 1 << 40, Size: 1 << 40}, {Offset: 1 << 63, Size: 1 << 63},
	} {
		if err := m.Free(b); !errors.Is(err, drmbuddy.ErrNotLive) {
			t.Errorf("free of %v: %v", b, err)
		}
	}
}

// oracle has a flag for each chunk. A block is free if it is the largest around
// its chunks that is free as a whole.
type oracle struct {
	used     []bool
	maxOrder int
}

func (o *oracle) clear(at, n int) bool {
	return at >= 0 && at+n <= len(o.used) && !slices.Contains(o.used[at:at+n], true)
}

// free returns the offsets of the free blocks of an order, from low to high.
func (o *oracle) free(order int) (list []int) {
	n := 1 << order
	for at := 0; at+n <= len(o.used); at += n {
		if o.clear(at, n) && !o.clear(at&^(2*n-1), 2*n) {
			list = append(list, at)
		}
	}
	return list
}

type piece struct{ at, n int }

func fill(lo, hi int) (list []piece) {
	for lo < hi {
		n := 1
		for lo%(2*n) == 0 && lo+2*n <= hi {
			n *= 2
		}
		list = append(list, piece{lo, n})
		lo += n
	}
	return list
}

func (o *oracle) mark(list []piece, used bool) {
	for _, p := range list {
		for i := range p.n {
			o.used[p.at+i] = used
		}
	}
}

func (o *oracle) place(r drmbuddy.Request, order int) (best int) {
	n := 1 << order
	best = -1
	if r.InRange {
		for at := (int(r.Lo) + n - 1) / n * n; at+n <= int(r.Hi); at += n {
			if o.clear(at, n) {
				return at
			}
		}
		return -1
	}
	for from := order; from <= o.maxOrder; from++ {
		if list := o.free(from); len(list) > 0 {
			best = max(best, list[len(list)-1]+1<<from-n)
			if !r.TopDown {
				break
			}
		}
	}
	return best
}

// alloc restates the rules; sizes are in chunks, and the request is valid.
func (o *oracle) alloc(r drmbuddy.Request) (list []piece, err error) {
	size, low, lo := int(r.Size), int(r.MinBlock), int(r.Lo)
	if lo+size == int(r.Hi) {
		if lo%low != 0 || int(r.Hi)%low != 0 {
			return nil, drmbuddy.ErrInvalid
		}
		if !o.clear(lo, size) {
			return nil, drmbuddy.ErrNoSpace
		}
		return fill(lo, lo+size), nil
	}
	rounded := (size + low - 1) / low * low
	if r.Contiguous {
		for rounded = 1; rounded < size; {
			rounded *= 2
		}
		low = rounded
	}
	if rounded > len(o.used) {
		if r.Contiguous && !r.InRange {
			return o.tryHarder(size, int(r.MinBlock))
		}
		return nil, drmbuddy.ErrInvalid
	}
	order := o.maxOrder
	for missing := rounded; missing > 0; {
		for 1<<order > missing {
			order--
		}
		at := o.place(r, order)
		for ; at < 0 && 1<<order > low; at = o.place(r, order) {
			order--
		}
		if at < 0 {
			o.mark(list, false)
			if r.Contiguous && !r.InRange {
				return o.tryHarder(size, int(r.MinBlock))
			}
			return nil, drmbuddy.ErrNoSpace
		}
		list = append(list, piece{at, 1 << order})
		o.mark(list, true)
		missing -= 1 << order
	}
	o.mark(list, false)
	if !r.NoTrim {
		last := list[len(list)-1]
		list = append(list[:len(list)-1], fill(last.at, last.at+last.n-(rounded-size))...)
	}
	return list, nil
}

func (o *oracle) tryHarder(size, align int) ([]piece, error) {
	order := 0
	for 2<<order <= size {
		order++
	}
	if order > 0 {
		for _, at := range slices.Backward(o.free(order)) {
			gathered := 0
			for _, p := range fill(at, min(at+size, len(o.used))) {
				if !o.clear(p.at, p.n) {
					break
				}
				gathered += p.n
			}
			start := at - (size - gathered)
			if start < 0 {
				continue
			}
			if start -= start % align; o.clear(start, size) {
				return fill(start, start+size), nil
			}
		}
	}
	return nil, drmbuddy.ErrNoSpace
}

func TestSamePlacesAsTheOracle(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		total := rapid.IntRange(1, 600).Draw(t, "chunks")
		m, err := drmbuddy.New(uint64(total), 1)
		if err != nil {
			t.Fatal(err)
		}
		o := &oracle{used: make([]bool, total)}
		for 2<<o.maxOrder <= total {
			o.maxOrder++
		}
		var live [][]piece
		t.Repeat(map[string]func(*rapid.T){
			"alloc": func(t *rapid.T) {
				r := drmbuddy.Request{
					Size:       rapid.Uint64Range(1, min(uint64(total), 1<<rapid.IntRange(0, 10).Draw(t, "log2"))).Draw(t, "size"),
					MinBlock:   1 << rapid.SampledFrom([]int{0, 0, 0, 1, 2, 5}).Draw(t, "min"),
					Hi:         uint64(total),
					InRange:    rapid.IntRange(0, 2).Draw(t, "range") == 0,
					TopDown:    rapid.Bool().Draw(t, "topdown"),
					Contiguous: rapid.Bool().Draw(t, "contiguous"),
					NoTrim:     rapid.IntRange(0, 3).Draw(t, "notrim") == 0,
				}
				if r.InRange {
					r.Lo = rapid.Uint64Range(0, uint64(total)-r.Size).Draw(t, "lo")
					r.Hi = rapid.Uint64Range(r.Lo, uint64(total)).Draw(t, "hi")
				}
				want, wantErr := o.alloc(r)
				got, err := m.Alloc(nil, r)
				var list []piece
				for _, b := range got {
					list = append(list, piece{int(b.Offset), int(b.Size)})
				}
				if !errors.Is(err, wantErr) || !slices.Equal(list, want) {
					t.Fatalf("%+v: %v, %v; want %v, %v", r, list, err, want, wantErr)
				}
				if err == nil {
					o.mark(want, true)
					live = append(live, want)
				}
			},
			"free": func(t *rapid.T) {
				if len(live) == 0 {
					t.Skip("nothing is live")
				}
				i := rapid.IntRange(0, len(live)-1).Draw(t, "victim")
				for _, p := range live[i] {
					if err := m.Free(drmbuddy.Block{Offset: uint64(p.at), Size: uint64(p.n)}); err != nil {
						t.Fatal(err)
					}
				}
				o.mark(live[i], false)
				live = slices.Delete(live, i, i+1)
			},
			"": func(t *rapid.T) {
				unused := uint64(0)
				for _, used := range o.used {
					if !used {
						unused++
					}
				}
				if m.Unused() != unused {
					t.Fatalf("%d unused, want %d", m.Unused(), unused)
				}
			},
		})
	})
}

func ExampleManager_Alloc() {
	vram, err := drmbuddy.New(256<<20, 4096)
	if err != nil {
		fmt.Println(err)
		return
	}
	blocks, err := vram.Alloc(nil, drmbuddy.Request{Size: 5 << 20, MinBlock: 64 << 10, Hi: 256 << 20})
	for _, b := range blocks {
		fmt.Printf("%d MiB at %d MiB\n", b.Size>>20, b.Offset>>20)
	}
	fmt.Println(err)
	// Output:
	// 4 MiB at 252 MiB
	// 1 MiB at 251 MiB
	// <nil>
}

// BenchmarkManager allocates and frees 1 to 64 KiB of contiguous memory in 4
// GiB. One operation is both.
func BenchmarkManager(b *testing.B) {
	m, err := drmbuddy.New(4<<30, 4096)
	if err != nil {
		b.Fatal(err)
	}
	live := make([][]drmbuddy.Block, 10000)
	i := 0
	b.ReportAllocs()
	for b.Loop() {
		slot := &live[i*7919%len(live)]
		for _, block := range *slot {
			if err := m.Free(block); err != nil {
				b.Fatal(err)
			}
		}
		if *slot, err = m.Alloc((*slot)[:0], drmbuddy.Request{Size: uint64(i%16+1) << 12, MinBlock: 4096, Hi: 4 << 30, Contiguous: true}); err != nil {
			b.Fatal(err)
		}
		i++
	}
}
