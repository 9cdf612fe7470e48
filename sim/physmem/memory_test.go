package physmem_test

import (
	"errors"
	"testing"

	"pgregory.net/rapid"

	"dmasim/allocator"
	"dmasim/mem"
	"dmasim/sim/physmem"
)

const page = 4096

func pages(lo, hi uint64) mem.Range { return mem.Range{Lo: lo * page, Hi: hi * page} }

func newMemory(t fataler, cfg physmem.Config) *physmem.Memory {
	t.Helper()
	if cfg.Page == 0 {
		cfg.Page = page
	}
	m, err := physmem.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func drawConfig(t *rapid.T) physmem.Config {
	cfg := physmem.Config{
		Page:           page,
		PageblockOrder: rapid.UintRange(3, 6).Draw(t, "pageblock"),
		Swap:           rapid.Uint64Range(0, 400).Draw(t, "swap") * page,
		PerCPU:         rapid.Bool().Draw(t, "per-cpu"),
		MinFree:        rapid.Uint64Range(1, 100).Draw(t, "min free") * page,
		Seed:           rapid.Uint64().Draw(t, "seed"),
	}
	names := []string{"DMA", "DMA32", "Normal", "HighMem", "Movable"}
	at := uint64(0)
	for _, name := range names[rapid.IntRange(0, 2).Draw(t, "first"):rapid.IntRange(3, 5).Draw(t, "last")] {
		lo := at + rapid.Uint64Range(0, 40).Draw(t, "lo")
		n := rapid.Uint64Range(100, 1500).Draw(t, "pages")
		z := physmem.Zone{Name: name, Ranges: mem.RangeSet{pages(lo, lo+n)}}
		if rapid.Bool().Draw(t, "hole") {
			h := lo + rapid.Uint64Range(1, n-1).Draw(t, "at")
			z.Ranges = z.Ranges.Subtract(mem.RangeSet{pages(h, h+rapid.Uint64Range(1, 30).Draw(t, "length"))})
		}
		cfg.Zones = append(cfg.Zones, z)
		at = (lo + n + 1023) / 1024 * 1024
	}
	block := uint64(1) << cfg.PageblockOrder
	for _, z := range cfg.Zones[:rapid.IntRange(0, min(2, len(cfg.Zones))).Draw(t, "areas")] {
		for _, r := range z.Ranges {
			lo := (r.Lo/page + block - 1) / block * block
			hi := lo + rapid.Uint64Range(1, 6).Draw(t, "blocks")*block
			if hi*page <= r.Hi {
				cfg.CMA = append(cfg.CMA, physmem.Area{Name: "area", Range: pages(lo, hi), OrderPerBit: rapid.UintRange(0, 1).Draw(t, "bits")})
				break
			}
		}
	}
	return cfg
}

// owner is what the oracle knows of an owner. Which of its pages are resident
// is the memory's own affair.
type owner struct {
	id                 physmem.Owner
	kernel, anon, file uint64
}

// TestCounts runs random programs and audits the memory after each step.
func TestCounts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cfg := drawConfig(t)
		m, err := physmem.New(cfg)
		if err != nil {
			t.Fatalf("%+v: %v", cfg, err)
		}
		var blocks []physmem.Block
		blockPages := uint64(0)
		type contig struct {
			area int
			r    mem.Range
		}
		var ranges []contig
		var owners []*owner
		byID := map[physmem.Owner]*owner{}
		kernel := &owner{}
		byID[0] = kernel
		lost := map[physmem.Owner]bool{}
		m.OnOutOfMemory(func(o physmem.OutOfMemory) {
			if _, ok := byID[o.Victim]; !ok || o.Victim == 0 {
				t.Fatalf("victim %d", o.Victim)
			}
			lost[o.Victim] = true
			if rapid.Bool().Draw(t, "closes") && len(blocks) > 0 {
				b := blocks[len(blocks)-1]
				if err := m.Free(b); err != nil {
					t.Fatal(err)
				}
				blocks = blocks[:len(blocks)-1]
				blockPages -= 1 << b.Order
			}
		})
		forget := func() {
			for i := 0; i < len(owners); i++ {
				if lost[owners[i].id] {
					delete(byID, owners[i].id)
					owners = append(owners[:i], owners[i+1:]...)
					i--
				}
			}
		}
		kindOf := func() physmem.Kind {
			return rapid.SampledFrom([]physmem.Kind{physmem.Kernel, physmem.Anonymous, physmem.PageCache}).Draw(t, "kind")
		}
		count := func(o *owner, k physmem.Kind) *uint64 {
			return map[physmem.Kind]*uint64{physmem.Kernel: &o.kernel, physmem.Anonymous: &o.anon, physmem.PageCache: &o.file}[k]
		}
		someone := func() *owner {
			if len(owners) == 0 {
				return kernel
			}
			return rapid.SampledFrom(owners).Draw(t, "owner")
		}
		t.Repeat(map[string]func(*rapid.T){
			"owner": func(t *rapid.T) {
				id, err := m.AddOwner(physmem.OwnerConfig{
					OOMScoreAdj: rapid.IntRange(-1000, 1000).Draw(t, "adj"),
					Unkillable:  rapid.IntRange(0, 3).Draw(t, "unkillable") == 0,
				})
				if err != nil {
					t.Fatal(err)
				}
				o := &owner{id: id}
				owners, byID[id] = append(owners, o), o
			},
			"populate": func(t *rapid.T) {
				o, k := someone(), kindOf()
				n := rapid.Uint64Range(0, 700).Draw(t, "pages")
				got, res, err := m.Populate(o.id, k, n)
				if err != nil {
					t.Fatal(err)
				}
				if got > n || (got < n) != (res.Cause != allocator.None) {
					t.Fatalf("%d of %d pages, %+v", got, n, res)
				}
				if res.Killed != lost[o.id] {
					t.Fatalf("%+v, requester killed %t", res, lost[o.id])
				}
				*count(o, k) += got
				forget()
			},
			"release": func(t *rapid.T) {
				o, k := someone(), kindOf()
				n := rapid.Uint64Range(0, 700).Draw(t, "pages")
				u := m.Usage(o.id)
				has := map[physmem.Kind]uint64{physmem.Kernel: u.Kernel, physmem.Anonymous: u.Anonymous + u.Swapped, physmem.PageCache: u.PageCache}[k]
				got, err := m.Release(o.id, k, n)
				if err != nil || got != min(n, has) {
					t.Fatalf("%d of %d pages: %v, has %d", got, n, err, has)
				}
				*count(o, k) -= got
			},
			"touch": func(t *rapid.T) {
				o := someone()
				k := rapid.SampledFrom([]physmem.Kind{physmem.Anonymous, physmem.PageCache}).Draw(t, "kind")
				if _, _, err := m.Touch(o.id, k, rapid.Uint64Range(0, 200).Draw(t, "pages")); err != nil {
					t.Fatal(err)
				}
				forget()
			},
			"exit": func(t *rapid.T) {
				o := someone()
				if o.id == 0 {
					return
				}
				if err := m.ReleaseOwner(o.id); err != nil {
					t.Fatal(err)
				}
				lost[o.id] = true
				forget()
			},
			"pin": func(t *rapid.T) {
				hold := rapid.SampledFrom([]physmem.Hold{physmem.HoldBusy, physmem.HoldPinned}).Draw(t, "hold")
				pfn, ok := m.PinAny(someone().id, physmem.Anonymous, hold)
				if ok && m.Pin(pfn, hold) == nil {
					t.Fatal("pinned twice")
				}
				if ok && rapid.Bool().Draw(t, "unpin") {
					if err := m.Unpin(pfn); err != nil {
						t.Fatal(err)
					}
				}
			},
			"alloc": func(t *rapid.T) {
				q := physmem.Request{
					Order:  rapid.UintRange(0, 6).Draw(t, "order"),
					Kind:   rapid.SampledFrom([]physmem.Kind{physmem.Kernel, physmem.DMABuf}).Draw(t, "kind"),
					Owner:  someone().id,
					Zones:  rapid.IntRange(0, len(cfg.Zones)).Draw(t, "zones"),
					Effort: rapid.SampledFrom([]physmem.Effort{physmem.EffortFull, physmem.EffortOnce, physmem.EffortNone}).Draw(t, "effort"),
				}
				before := m.Counters()
				b, res, err := m.Alloc(q)
				if err != nil {
					t.Fatal(err)
				}
				after := m.Counters()
				if q.Effort == physmem.EffortNone && (after.Reclaimed != before.Reclaimed || after.SwappedOut != before.SwappedOut) ||
					q.Effort != physmem.EffortFull && res.Kills > 0 {
					t.Fatalf("%+v: %+v", q, res)
				}
				if res.Cause == allocator.None {
					blocks = append(blocks, b)
					blockPages += 1 << b.Order
					if kind, who := m.At(b.PFN + 1<<b.Order - 1); kind != q.Kind || who != q.Owner {
						t.Fatalf("%s of %d at the end of a block", kind, who)
					}
				}
				forget()
			},
			"free": func(t *rapid.T) {
				if len(blocks) == 0 {
					return
				}
				i := rapid.IntRange(0, len(blocks)-1).Draw(t, "block")
				if m.Free(physmem.Block{PFN: blocks[i].PFN, Order: blocks[i].Order + 1}) == nil {
					t.Fatal("freed with another order")
				}
				if err := m.Free(blocks[i]); err != nil {
					t.Fatal(err)
				}
				if m.Free(blocks[i]) == nil {
					t.Fatal("freed twice")
				}
				blockPages -= 1 << blocks[i].Order
				blocks[i] = blocks[len(blocks)-1]
				blocks = blocks[:len(blocks)-1]
			},
			"contig": func(t *rapid.T) {
				if m.NumAreas() == 0 {
					return
				}
				a := rapid.IntRange(0, m.NumAreas()-1).Draw(t, "area")
				n := rapid.Uint64Range(1, 100).Draw(t, "pages")
				kills := m.Counters().Kills
				r, c, err := m.AllocContig(a, 0, n, rapid.UintRange(0, 3).Draw(t, "align"))
				if err != nil || m.Counters().Kills != kills {
					t.Fatal(err)
				}
				if c.Cause == allocator.None {
					if !m.Area(a).Pages.Contains(r) || r.Size() != n {
						t.Fatalf("%s for %d pages", r, n)
					}
					ranges = append(ranges, contig{a, r})
					if m.Free(physmem.Block{PFN: r.Lo}) == nil {
						t.Fatal("freed as a block")
					}
				}
			},
			"free contig": func(t *rapid.T) {
				if len(ranges) == 0 {
					return
				}
				i := rapid.IntRange(0, len(ranges)-1).Draw(t, "range")
				if err := m.FreeContig(ranges[i].area, ranges[i].r); err != nil {
					t.Fatal(err)
				}
				if m.FreeContig(ranges[i].area, ranges[i].r) == nil {
					t.Fatal("freed twice")
				}
				ranges[i] = ranges[len(ranges)-1]
				ranges = ranges[:len(ranges)-1]
			},
			"": func(t *rapid.T) {
				if err := m.Check(); err != nil {
					t.Fatal(err)
				}
				want := blockPages
				for _, c := range ranges {
					want += c.r.Size()
				}
				c := m.Counters()
				want += kernel.kernel
				anon := kernel.anon
				for _, o := range owners {
					want += o.kernel
					anon += o.anon
					u := m.Usage(o.id)
					if u.Kernel != o.kernel || u.Anonymous+u.Swapped != o.anon || u.PageCache > o.file+u.Dropped {
						t.Fatalf("owner %d: %+v, want %+v", o.id, u, *o)
					}
				}
				if c.Kernel+c.DMABuf != want || c.Anonymous+c.SwapUsed != anon {
					t.Fatalf("%+v: want %d pages in place, %d anonymous", c, want, anon)
				}
			},
		})
	})
}

// fataler is what *testing.T, *testing.B and *rapid.T have in common.
type fataler interface {
	Helper()
	Fatal(...any)
}

// TestReassign gives a block to another owner, whole, and nothing else.
func TestReassign(t *testing.T) {
	m, err := physmem.New(physmem.Config{
		Page: 4096, Zones: []physmem.Zone{{Name: "Normal", Ranges: mem.NewRangeSet(mem.Range{Lo: 0, Hi: 64 << 20})}},
		CMA: []physmem.Area{{Name: "reserved", Range: mem.Range{Lo: 32 << 20, Hi: 40 << 20}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	first, _ := m.AddOwner(physmem.OwnerConfig{Name: "first"})
	second, _ := m.AddOwner(physmem.OwnerConfig{Name: "second"})
	b, _, err := m.Alloc(physmem.Request{Order: 4, Kind: physmem.DMABuf, Owner: first})
	if err != nil {
		t.Fatal(err)
	}
	counters := m.Counters()
	run, _, err := m.AllocContig(0, first, 16, 4)
	if err != nil {
		t.Fatal(err)
	}
	for _, wrong := range []struct {
		block physmem.Block
		to    physmem.Owner
		want  error
	}{
		{physmem.Block{PFN: b.PFN, Order: 3}, second, physmem.ErrNotAllocated},
		{physmem.Block{PFN: b.PFN + 1, Order: 0}, second, physmem.ErrNotAllocated},
		{physmem.Block{PFN: b.PFN + 16, Order: 4}, second, physmem.ErrNotAllocated},
		{physmem.Block{PFN: 1 << 40}, second, physmem.ErrNotAllocated},
		{physmem.Block{PFN: run.Lo}, second, physmem.ErrNotAllocated},
		{b, 99, physmem.ErrOwner},
	} {
		if err := m.Reassign(wrong.block, wrong.to); !errors.Is(err, wrong.want) {
			t.Errorf("%+v to %d: %v, want %v", wrong.block, wrong.to, err, wrong.want)
		}
	}
	if err := m.FreeContig(0, run); err != nil {
		t.Fatal(err)
	}
	for _, owner := range []physmem.Owner{second, 0} {
		if err := m.Reassign(b, owner); err != nil {
			t.Fatal(err)
		}
		for pfn := b.PFN; pfn < b.PFN+16; pfn++ {
			if kind, got := m.At(pfn); kind != physmem.DMABuf || got != owner {
				t.Errorf("page frame %#x: %v of owner %d, want %d", pfn, kind, got, owner)
			}
		}
	}
	if m.Counters() != counters {
		t.Errorf("counters %+v, before %+v", m.Counters(), counters)
	}
	if err := m.Check(); err != nil {
		t.Error(err)
	}
	if err := m.Free(b); err != nil {
		t.Error(err)
	}
}
