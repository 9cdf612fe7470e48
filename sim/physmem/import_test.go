package physmem_test

import (
	"errors"
	"testing"

	"pgregory.net/rapid"

	"dmasim/allocator/kernel/buddy"
	"dmasim/mem"
	"dmasim/sim/metrics"
	"dmasim/sim/physmem"
)

var types = []buddy.Type{buddy.Unmovable, buddy.Movable, buddy.Reclaimable, buddy.CMA}

// TestImport reads the counts of a memory with a past, and brings another one
// into that state.
func TestImport(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		blocks := rapid.Uint64Range(2, 60).Draw(t, "pageblocks")
		cfg := physmem.Config{
			Page: page, PageblockOrder: 5, MinFree: page, Swap: 100 * page,
			Zones: []physmem.Zone{
				{Name: "DMA32", Ranges: mem.RangeSet{pages(64, 64+blocks*32)}},
				{Name: "Normal", Ranges: mem.RangeSet{pages(4096, 4096+blocks*32), pages(4096+blocks*32+64, 4096+blocks*64)}},
			},
		}
		if rapid.Bool().Draw(t, "area") {
			cfg.CMA = []physmem.Area{{Name: "cma", Range: pages(64, 64+blocks/2*32)}}
		}
		old := newMemory(t, cfg)
		o := addOwner(t, old, physmem.OwnerConfig{Unkillable: true})
		for range rapid.IntRange(0, 15).Draw(t, "steps") {
			n := rapid.Uint64Range(0, 1000).Draw(t, "pages")
			kind := rapid.SampledFrom([]physmem.Kind{physmem.Kernel, physmem.Anonymous, physmem.PageCache}).Draw(t, "kind")
			var err error
			if rapid.Bool().Draw(t, "release") {
				_, err = old.Release(o, kind, n)
			} else {
				_, _, err = old.Populate(o, kind, n)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		state := physmem.State{Seed: rapid.Uint64().Draw(t, "seed")}
		for i := range cfg.Zones {
			var c physmem.FreeCounts
			for _, kind := range types {
				c.ByType[kind] = old.FreeBlocks(i, kind)
			}
			state.Zones = append(state.Zones, c)
		}
		u := old.Usage(o)
		state.Used = []physmem.Population{
			{Owner: 1, Kind: physmem.Kernel, Pages: u.Kernel / 2},
			{Owner: 1, Kind: physmem.Anonymous, Pages: u.Anonymous},
			{Owner: 1, Kind: physmem.PageCache, Pages: u.PageCache},
		}
		m := newMemory(t, cfg)
		addOwner(t, m, physmem.OwnerConfig{})
		if err := m.Import(state); err != nil {
			t.Fatalf("%+v: %v", state, err)
		}
		if err := m.Check(); err != nil {
			t.Fatal(err)
		}
		for i := range cfg.Zones {
			for _, kind := range types {
				if got, want := m.FreeBlocks(i, kind), old.FreeBlocks(i, kind); got != want {
					t.Fatalf("zone %d has free %s blocks %v, want %v", i, kind, got, want)
				}
			}
		}
		got, kernel := m.Usage(1), m.Usage(0)
		if got.Kernel != u.Kernel/2 || got.Anonymous != u.Anonymous || got.PageCache != u.PageCache || kernel.Kernel != u.Kernel-u.Kernel/2 {
			t.Fatalf("%+v and %+v of the kernel: want %+v", got, kernel, u)
		}
		if err := m.Import(state); u.Kernel+u.Anonymous+u.PageCache > 0 && !errors.Is(err, physmem.ErrState) {
			t.Fatalf("imported twice: %v", err)
		}
	})
}

// TestImportPinned has more pages in use in a CMA area, and in a zone for movable
// pages, than there are movable ones.
func TestImportPinned(t *testing.T) {
	for name, cfg := range map[string]physmem.Config{
		"area": {Zones: normal(8192), CMA: []physmem.Area{{Name: "cma", Range: pages(4096, 8192)}}},
		"zone": {Zones: []physmem.Zone{{Name: "Normal", Ranges: mem.RangeSet{pages(0, 4096)}}, {Name: "Movable", Ranges: mem.RangeSet{pages(4096, 8192)}}}},
	} {
		m := newMemory(t, cfg)
		o := addOwner(t, m, physmem.OwnerConfig{})
		state := physmem.State{
			Zones: make([]physmem.FreeCounts, len(cfg.Zones)),
			Used:  []physmem.Population{{Owner: o, Kind: physmem.Anonymous, Pages: 1000}, {Owner: o, Kind: physmem.PageCache, Pages: 500}},
		}
		state.Zones[0].ByType[buddy.Movable][10] = 3
		if err := m.Import(state); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		check(t, m)
		of := map[physmem.Owner]uint64{}
		for pfn := uint64(4096); pfn < 8192; pfn++ {
			kind, owner := m.At(pfn)
			of[owner]++
			if (owner == 0) != (kind == physmem.Kernel) {
				t.Fatalf("%s: page %d is %s of %d", name, pfn, kind, owner)
			}
		}
		if of[o] != 1500 || of[0] != 4096-1500 {
			t.Errorf("%s: has pages by owner %v", name, of)
		}
	}
}

// TestImportBuddyinfo knows the orders only.
func TestImportBuddyinfo(t *testing.T) {
	cfg := pc(2 << 30)
	cfg.CMA = []physmem.Area{{Name: "reserved", Range: mem.Range{Lo: 1 << 30, Hi: 1<<30 + 64<<20}}}
	m := newMemory(t, cfg)
	o := addOwner(t, m, physmem.OwnerConfig{})
	want := [][physmem.NumOrders]uint64{{1, 0, 0, 0, 0, 1, 0, 1, 0, 1, 2}, {3000, 1200, 800, 500, 300, 200, 90, 40, 20, 8, 30}}
	state := physmem.State{
		Zones: []physmem.FreeCounts{{Untyped: want[0]}, {Untyped: want[1]}},
		Used:  []physmem.Population{{Owner: o, Kind: physmem.Anonymous, Pages: 200_000}, {Owner: o, Kind: physmem.PageCache, Pages: 100_000}},
	}
	if err := m.Import(state); err != nil {
		t.Fatal(err)
	}
	check(t, m)
	for i, counts := range want {
		for order, n := range counts {
			sum, kinds := uint64(0), 0
			for _, kind := range types {
				blocks := m.FreeBlocks(i, kind)[order]
				sum += blocks
				if blocks > 0 {
					kinds++
				}
			}
			if sum != n || n > 1000 && kinds < 3 {
				t.Errorf("zone %d has %d blocks of order %d, want %d; %d types", i, sum, order, n, kinds)
			}
		}
	}
	populate(t, m, o, physmem.Anonymous, 1000)
	check(t, m)
}

func TestAge(t *testing.T) {
	reached := 0
	rapid.Check(t, func(t *rapid.T) {
		cfg := pc(rapid.Uint64Range(64, 256).Draw(t, "MiB") << 20)
		cfg.CMA = []physmem.Area{{Name: "reserved", Range: mem.Range{Lo: 32 << 20, Hi: 48 << 20}}}
		m := newMemory(t, cfg)
		o := addOwner(t, m, physmem.OwnerConfig{})
		managed := m.Counters().Managed
		age := physmem.AgeConfig{
			Seed:   rapid.Uint64().Draw(t, "seed"),
			Order:  rapid.UintRange(1, 10).Draw(t, "order"),
			Free:   rapid.Uint64Range(managed/20, managed/3).Draw(t, "free"),
			Target: rapid.Float64Range(0, 1).Draw(t, "target"),
			Used:   []physmem.Population{{Owner: o, Kind: physmem.Anonymous, Pages: managed / 2}},
		}
		if err := m.Age(age); err != nil {
			t.Fatalf("%+v: %v", age, err)
		}
		reached++
		if err := m.Check(); err != nil {
			t.Fatal(err)
		}
		total := uint64(0)
		for i := range m.NumZones() {
			var blocks metrics.FreeBlocks = make([]uint64, physmem.NumOrders)
			for _, kind := range types {
				for order, n := range m.FreeBlocks(i, kind) {
					blocks[order] += n
				}
			}
			free := m.Zone(i).Free
			total += free
			index := float64(blocks.UnusableFreeIndex(int(age.Order))) / 1000
			if tolerance := float64(uint64(1)<<age.Order)/float64(free) + 0.001; index < age.Target-tolerance || index > age.Target+tolerance {
				t.Fatalf("zone %d: index %g, want %g within %g", i, index, age.Target, tolerance)
			}
		}
		if total != age.Free {
			t.Fatalf("%d pages are free, want %d", total, age.Free)
		}
	})
	if reached == 0 {
		t.Error("no target was reached")
	}
}

func TestImpossibleStates(t *testing.T) {
	var all [physmem.NumOrders]uint64
	all[0] = 4000
	var large [physmem.NumOrders]uint64
	large[10] = 9
	for name, err := range map[string]func(*physmem.Memory) error{
		"half free in single pages": func(m *physmem.Memory) error { return m.Age(physmem.AgeConfig{Order: 1, Free: 5000, Target: 1}) },
		"target":                    func(m *physmem.Memory) error { return m.Age(physmem.AgeConfig{Order: 1, Free: 5000, Target: 1.1}) },
		"order":                     func(m *physmem.Memory) error { return m.Age(physmem.AgeConfig{Order: 11, Free: 5000}) },
		"free":                      func(m *physmem.Memory) error { return m.Age(physmem.AgeConfig{Free: 9000}) },
		"zones":                     func(m *physmem.Memory) error { return m.Import(physmem.State{}) },
		"too many": func(m *physmem.Memory) error {
			return m.Import(physmem.State{Zones: []physmem.FreeCounts{{Untyped: large}}})
		},
		"CMA without area": func(m *physmem.Memory) error {
			return m.Import(physmem.State{Zones: []physmem.FreeCounts{{ByType: [4][physmem.NumOrders]uint64{buddy.CMA: all}}}})
		},
		"in use": func(m *physmem.Memory) error {
			return m.Import(physmem.State{Zones: make([]physmem.FreeCounts, 1), Used: []physmem.Population{{Kind: physmem.Kernel, Pages: 9000}}})
		},
	} {
		m := newMemory(t, physmem.Config{Zones: normal(8192)})
		if err := err(m); !errors.Is(err, physmem.ErrState) {
			t.Errorf("%s: %v", name, err)
		}
		if c := m.Counters(); c.Free != 8192 {
			t.Errorf("%s: changed to %+v", name, c)
		}
		check(t, m)
	}
}
