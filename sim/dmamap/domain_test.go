package dmamap_test

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"dmasim/allocator/kernel/version"
	"dmasim/mem"
	"dmasim/sim/dmamap"
)

const page = 4096

func newDomain(t rapid.TB, size mem.Size, change func(*dmamap.DomainConfig)) *dmamap.Domain {
	cfg := dmamap.DomainConfig{Kernel: version.Modelled, Page: page, Aperture: mem.Range{Hi: uint64(size)}}
	if change != nil {
		change(&cfg)
	}
	d, err := dmamap.NewDomain(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func lazy(cfg *dmamap.DomainConfig) { cfg.Lazy = true }

var anywhere = dmamap.Master{Limit: math.MaxUint64}

// TestStrictAndLazy: the same work, map and unmap of 1 MiB in an aperture of 16, goes
// on for ever in strict mode. In lazy mode there is no room from the 16th map on,
// since page 0 is never used, until the timer comes.
func TestStrictAndLazy(t *testing.T) {
	d := newDomain(t, 16*mem.MiB, nil)
	for i := range 100 {
		at, ok := d.Map(1, &anywhere, uint64(mem.MiB))
		if !ok {
			t.Fatalf("strict: no room at map %d", i)
		}
		if e, err := d.Unmap(at); err != nil || e != (dmamap.Effect{}) {
			t.Fatalf("strict: %+v, %v", e, err)
		}
	}
	d = newDomain(t, 16*mem.MiB, lazy)
	for i := range 15 {
		at, ok := d.Map(1, &anywhere, uint64(mem.MiB))
		if !ok {
			t.Fatalf("lazy: no room at map %d", i)
		}
		if e, err := d.Unmap(at); err != nil || e != (dmamap.Effect{Arm: i == 0}) {
			t.Fatalf("lazy: unmap %d: %+v, %v", i, e, err)
		}
	}
	if _, ok := d.Map(1, &anywhere, uint64(mem.MiB)); ok {
		t.Error("lazy: what waits was handed out")
	}
	if u := d.Usage(); u.Waiting != 15<<20 || u.Used != 0 || u.Mappings != 0 || u.Free != 1<<20-page {
		t.Errorf("lazy: %+v", u)
	}
	if _, err := d.Timer(); err != nil {
		t.Fatal(err)
	}
	if _, ok := d.Map(1, &anywhere, uint64(mem.MiB)); !ok {
		t.Error("lazy: no room after the flush")
	}
}

// TestQueueFull: the 256th unmap flushes the queue first.
func TestQueueFull(t *testing.T) {
	d := newDomain(t, mem.GiB, lazy)
	for i := range 600 {
		at, ok := d.Map(1, &anywhere, 64*page)
		if !ok {
			t.Fatal("no room")
		}
		e, err := d.Unmap(at)
		if err != nil {
			t.Fatal(err)
		}
		if full := i > 0 && i%255 == 0; e.Flushed != full {
			t.Errorf("unmap %d: flushed %v", i, e.Flushed)
		}
	}
}

// TestLowFirst: below 4 GiB first; once that has failed, later kernels don't try
// any more, and earlier ones do.
func TestLowFirst(t *testing.T) {
	for kernel, again := range map[version.Version]bool{{Major: 6, Minor: 1}: true, {Major: 6, Minor: 12}: false} {
		d := newDomain(t, 16*mem.GiB, func(cfg *dmamap.DomainConfig) { cfg.Kernel = kernel })
		m := dmamap.Master{Limit: 1<<34 - 1, LowFirst: true}
		var places []string
		var first uint64
		for i := range 6 {
			at, ok := d.Map(1, &m, uint64(mem.GiB))
			if !ok {
				t.Fatal("no room")
			}
			if i == 0 {
				first = at
			}
			place := "low"
			if at >= 1<<32 {
				place = "high"
			}
			places = append(places, place)
		}
		if _, err := d.Unmap(first); err != nil {
			t.Fatal(err)
		}
		at, _ := d.Map(1, &m, uint64(mem.GiB))
		want := "[low low low high high high]"
		if got := fmt.Sprint(places); got != want || (at < 1<<32) != again {
			t.Errorf("Linux %v: %s, want %s; then at %#x", kernel, got, want, at)
		}
	}
}

// TestHoles: reserved addresses and those that a device cannot emit are not handed
// out.
func TestHoles(t *testing.T) {
	d := newDomain(t, 16*mem.MiB, func(cfg *dmamap.DomainConfig) {
		cfg.Aperture.Lo = uint64(2 * mem.MiB)
		cfg.Reserved = mem.NewRangeSet(mem.Range{Lo: 8 << 20, Hi: 15 << 20})
	})
	narrow := dmamap.Master{Limit: 4<<20 - 1}
	for _, m := range []struct {
		master *dmamap.Master
		want   string
	}{{&anywhere, "15 7 6 5 4 3 2"}, {&narrow, "3 2"}} {
		var got []int
		for {
			at, ok := d.Map(1, m.master, uint64(mem.MiB))
			if !ok {
				break
			}
			got = append(got, int(at>>20))
		}
		if text := fmt.Sprint(got); text != "["+m.want+"]" {
			t.Errorf("limit %#x: got %s, want %s", m.master.Limit, text, m.want)
		}
		for _, at := range got {
			if _, err := d.Unmap(uint64(at) << 20); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestDomainRefuses(t *testing.T) {
	for name, cfg := range map[string]dmamap.DomainConfig{
		"page":     {Page: 3000, Aperture: mem.Range{Hi: 1 << 30}},
		"aperture": {Page: page, Aperture: mem.Range{Hi: page}},
	} {
		if _, err := dmamap.NewDomain(cfg); err == nil {
			t.Errorf("%s: not refused", name)
		}
	}
	d := newDomain(t, mem.MiB, nil)
	if _, err := d.Unmap(page); err == nil {
		t.Error("unmapped what is not mapped")
	}
}

// TestLayout: pieces are widened to IOMMU pages, and kept from crossing the
// device's boundary.
func TestLayout(t *testing.T) {
	r := func(lo, hi uint64) mem.Range { return mem.Range{Lo: lo, Hi: hi} }
	for name, test := range map[string]struct {
		pieces         []mem.Range
		page, boundary uint64
		offsets        []uint64
		length         uint64
	}{
		"one":             {[]mem.Range{r(0x10000, 0x13000)}, 0x1000, 0, []uint64{0}, 0x3000},
		"within a page":   {[]mem.Range{r(0x10100, 0x10200)}, 0x1000, 0, []uint64{0}, 0x1000},
		"across a page":   {[]mem.Range{r(0x10f00, 0x11100)}, 0x1000, 0, []uint64{0}, 0x2000},
		"larger pages":    {[]mem.Range{r(0x11000, 0x12000), r(0x20000, 0x24000)}, 0x4000, 0, []uint64{0, 0x4000}, 0x8000},
		"a boundary":      {[]mem.Range{r(0x10000, 0x13000), r(0x20000, 0x23000)}, 0x1000, 0x4000, []uint64{0, 0x4000}, 0x7000},
		"in the way of 1": {[]mem.Range{r(0x10000, 0x11000), r(0x20000, 0x21000)}, 0x1000, 0x4000, []uint64{0, 0x1000}, 0x2000},
	} {
		var offsets []uint64
		for p := range dmamap.Layout(test.pieces, test.page, test.boundary) {
			offsets = append(offsets, p.Offset)
		}
		length := dmamap.Length(test.pieces, test.page, test.boundary)
		if !slices.Equal(offsets, test.offsets) || length != test.length {
			t.Errorf("%s: got %#x and %#x, want %#x and %#x", name, offsets, length, test.offsets, test.length)
		}
	}
}

// naive is a domain as a list of ranges that cannot be handed out.
type naive struct {
	mapped  map[uint64]mem.Range // by base
	waiting []mem.Range
}

// TestDomainAccounting compares a domain with the plain lists, in both modes.
func TestDomainAccounting(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		isLazy := rapid.Bool().Draw(t, "lazy")
		reserved := mem.NewRangeSet(mem.Range{Lo: 40 * page, Hi: 60 * page})
		d := newDomain(t, 300*page, func(cfg *dmamap.DomainConfig) {
			cfg.Lazy, cfg.Reserved = isLazy, reserved
			if rapid.Bool().Draw(t, "old") {
				cfg.Kernel = version.Version{Major: 6, Minor: 1}
			}
		})
		plain := naive{mapped: map[uint64]mem.Range{}}
		users := map[uint64]uint32{}
		for step := range uint32(rapid.IntRange(1, 100).Draw(t, "steps")) {
			switch bases := slices.Sorted(maps.Keys(plain.mapped)); rapid.IntRange(0, 4).Draw(t, "what") {
			case 0, 1:
				size := rapid.Uint64Range(1, 40*page).Draw(t, "size")
				m := dmamap.Master{Limit: rapid.SampledFrom([]uint64{math.MaxUint64, 200*page - 1, 30*page - 1}).Draw(t, "limit")}
				at, ok := d.Map(step, &m, size)
				if !ok {
					break
				}
				r := mem.Range{Lo: at, Hi: at + (size+page-1)/page*page}
				for _, other := range append(slices.Collect(maps.Values(plain.mapped)), append(plain.waiting, reserved...)...) {
					if r.Overlaps(other) {
						t.Fatalf("%s overlaps %s", r, other)
					}
				}
				if at == 0 || at%page != 0 || r.Hi > 300*page || r.Hi-1 > m.Limit {
					t.Fatalf("%s with limit %#x", r, m.Limit)
				}
				plain.mapped[at], users[at] = r, step
			case 2, 3:
				if len(bases) == 0 {
					break
				}
				base := rapid.SampledFrom(bases).Draw(t, "which")
				e, err := d.Unmap(base)
				if err != nil {
					t.Fatal(err)
				}
				if e.Flushed {
					plain.waiting = nil
				}
				if isLazy {
					plain.waiting = append(plain.waiting, plain.mapped[base])
				}
				delete(plain.mapped, base)
			default:
				if !isLazy {
					break
				}
				if _, err := d.Timer(); err != nil {
					t.Fatal(err)
				}
				plain.waiting = nil
			}
			live := func(yield func(uint32, uint64) bool) {
				for _, base := range slices.Sorted(maps.Keys(plain.mapped)) {
					if !yield(users[base], base) {
						return
					}
				}
			}
			if err := d.Check(live); err != nil {
				t.Fatal(err)
			}
			u := d.Usage()
			if u.Mappings != len(plain.mapped) || (len(plain.mapped) == 0 && u.Used != 0) || (len(plain.waiting) == 0) != (u.Waiting == 0) {
				t.Fatalf("usage %+v, with %d mapped and %d waiting", u, len(plain.mapped), len(plain.waiting))
			}
			if u.Used+u.Waiting+u.Cached+u.Free != u.Capacity || u.Cached > u.Capacity || u.Capacity != (300-1-20)*page {
				t.Fatalf("usage %+v does not add up", u)
			}
			probe := rapid.Uint64Range(0, 300*page).Draw(t, "probe")
			user, base, ok := d.At(probe)
			want := false
			for at, r := range plain.mapped {
				if r.Lo <= probe && probe < r.Hi {
					want = true
					if !ok || user != users[at] || base != at {
						t.Fatalf("%#x is said to be of %d at %#x (%v), not of %d at %#x", probe, user, base, ok, users[at], at)
					}
				}
			}
			if ok && !want {
				t.Fatalf("%#x is said to be of %d", probe, user)
			}
		}
	})
}
