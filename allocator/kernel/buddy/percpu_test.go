package buddy_test

import (
	"testing"

	"pgregory.net/rapid"

	"dmasim/allocator/kernel/buddy"
)

func TestSizing(t *testing.T) {
	const mib = 256 // pages
	for _, test := range []struct {
		sizing buddy.Sizing
		want   buddy.Limits
	}{
		{buddy.Sizing{Managed: 175 * mib}, buddy.Limits{Batch: 7, HighMin: 28, HighMax: 5600}},
		{buddy.Sizing{Managed: 176 * mib}, buddy.Limits{Batch: 15, HighMin: 60, HighMax: 5632}},
		{buddy.Sizing{Managed: 352 * mib}, buddy.Limits{Batch: 31, HighMin: 124, HighMax: 11264}},
		{buddy.Sizing{Managed: 688 * mib, LowWatermark: 1000}, buddy.Limits{Batch: 63, HighMin: 1000, HighMax: 22016}},
		{buddy.Sizing{Managed: 4096 * mib, LowWatermark: 3096, CPUs: 4}, buddy.Limits{Batch: 63, HighMin: 774, HighMax: 32768}},
		{buddy.Sizing{Managed: 30000, LowWatermark: 90, HighFraction: 60}, buddy.Limits{Batch: 7, HighMin: 500, HighMax: 500}},
		{buddy.Sizing{Managed: 1 << 20, PageSize: 64 << 10}, buddy.Limits{Batch: 3, HighMin: 12, HighMax: 131072}},
		{buddy.Sizing{}, buddy.Limits{Batch: 1, HighMin: 4, HighMax: 4}},
	} {
		if got := test.sizing.Limits(); got != test.want {
			t.Errorf("%+v: %+v, want %+v", test.sizing, got, test.want)
		}
	}
}

func TestLastFreedFirstUsed(t *testing.T) {
	z := newZone(t, buddy.Config{Pages: 4096, PageblockOrder: 9})
	p := buddy.NewPerCPU(z, buddy.Sizing{Managed: 16384, LowWatermark: 200}.Limits())
	page := buddy.Request{Type: buddy.Movable}
	var pfns []uint64
	for range 3 {
		pfn, ok := p.Alloc(page)
		if !ok {
			t.Fatal("no page")
		}
		pfns = append(pfns, pfn)
	}
	before, _ := z.FreePages()
	for _, pfn := range pfns {
		if err := p.Free(pfn); err != nil {
			t.Fatal(err)
		}
		if err := p.Free(pfn); err == nil {
			t.Errorf("page %#x is freed twice", pfn)
		}
		if err := z.Free(pfn); err == nil {
			t.Errorf("page %#x on a per-CPU list is freed", pfn)
		}
	}
	for i := len(pfns) - 1; i >= 0; i-- {
		if pfn, ok := p.Alloc(page); !ok || pfn != pfns[i] {
			t.Errorf("got %#x, want %#x", pfn, pfns[i])
		}
	}
	if after, _ := z.FreePages(); after != before {
		t.Errorf("the zone has %d pages, had %d", after, before)
	}
}

// TestPressure checks that the lists shrink, and do not grow, where the zone is
// short of pages.
func TestPressure(t *testing.T) {
	for _, test := range []struct {
		name string
		set  func(*buddy.Zone)
	}{
		{"below high", func(z *buddy.Zone) { z.BelowHigh = true }},
		{"reclaiming", func(z *buddy.Zone) { z.Reclaiming = true }},
	} {
		t.Run(test.name, func(t *testing.T) {
			z := newZone(t, buddy.Config{Pages: 1 << 16, PageblockOrder: 9})
			limits := buddy.Sizing{Managed: 1 << 16, LowWatermark: 100}.Limits()
			p := buddy.NewPerCPU(z, limits)
			var pfns []uint64
			for range 5000 {
				pfn, _ := p.Alloc(buddy.Request{Type: buddy.Movable})
				pfns = append(pfns, pfn)
			}
			calm := p.State().High
			test.set(z)
			for _, pfn := range pfns {
				if err := p.Free(pfn); err != nil {
					t.Fatal(err)
				}
			}
			if s := p.State(); calm <= limits.HighMin || s.High != limits.HighMin || s.Count > limits.HighMin {
				t.Errorf("high %d before and %d after, %d pages kept; want above %d, and that", calm, s.High, s.Count, limits.HighMin)
			}
		})
	}
}

// TestPagesAreConserved runs two CPUs on a zone.
func TestPagesAreConserved(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cfg := drawConfig(t)
		z, err := buddy.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		total, _ := z.FreePages()
		if total != cfg.Pages {
			t.Fatalf("%d pages free at first", total)
		}
		var cpus [2]*buddy.PerCPU
		for i := range cpus {
			cpus[i] = buddy.NewPerCPU(z, buddy.Sizing{
				Managed:      rapid.Uint64Range(0, 1<<20).Draw(t, "managed"),
				LowWatermark: rapid.Uint64Range(0, 400).Draw(t, "watermark"),
				HighFraction: rapid.SampledFrom([]uint64{0, 0, 8, 100}).Draw(t, "fraction"),
				LargeCache:   rapid.Bool().Draw(t, "large cache"),
			}.Limits())
		}
		owner := make(map[uint64]bool) // pages in use
		var live []uint64
		inUse := uint64(0)
		cpu := rapid.SampledFrom(cpus[:])
		t.Repeat(map[string]func(*rapid.T){
			"alloc": func(t *rapid.T) {
				p, r := cpu.Draw(t, "cpu"), drawRequest(t)
				for range rapid.IntRange(1, 100).Draw(t, "count") {
					pfn, ok := p.Alloc(r)
					if !ok {
						return
					}
					if pfn%(1<<r.Order) != 0 || pfn < cfg.Base || pfn+1<<r.Order > cfg.Base+cfg.Pages {
						t.Fatalf("block of order %d at %#x", r.Order, pfn)
					}
					for page := pfn; page < pfn+1<<r.Order; page++ {
						if owner[page] {
							t.Fatalf("page %#x is handed out twice", page)
						}
						owner[page] = true
					}
					live = append(live, pfn)
					inUse += 1 << r.Order
				}
			},
			"free": func(t *rapid.T) {
				p := cpu.Draw(t, "cpu")
				for range rapid.IntRange(1, 200).Draw(t, "count") {
					if len(live) == 0 {
						return
					}
					i := rapid.IntRange(0, len(live)-1).Draw(t, "victim")
					order, ok := z.Order(live[i])
					if !ok {
						t.Fatalf("block %#x is not live", live[i])
					}
					for page := live[i]; page < live[i]+1<<order; page++ {
						delete(owner, page)
					}
					if err := p.Free(live[i]); err != nil {
						t.Fatal(err)
					}
					inUse -= 1 << order
					live[i] = live[len(live)-1]
					live = live[:len(live)-1]
				}
			},
			"decay": func(t *rapid.T) { cpu.Draw(t, "cpu").Decay() },
			"drain": func(t *rapid.T) {
				p := cpu.Draw(t, "cpu")
				p.Drain()
				if p.State().Count != 0 {
					t.Fatalf("drained: %+v", p.State())
				}
			},
			"": func(t *rapid.T) {
				all, _ := z.FreePages()
				if cached := cpus[0].State().Count + cpus[1].State().Count; all+uint64(cached)+inUse != total {
					t.Fatalf("%d pages free, %d on per-CPU lists, %d in use: want %d together", all, cached, inUse, total)
				}
			},
		})
		for _, pfn := range live {
			if err := cpus[0].Free(pfn); err != nil {
				t.Fatal(err)
			}
		}
		for _, p := range cpus {
			p.Drain()
		}
		if all, _ := z.FreePages(); all != total {
			t.Fatalf("%d pages free after all, want %d", all, total)
		}
	})
}
