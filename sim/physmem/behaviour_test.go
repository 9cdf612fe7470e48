package physmem_test

import (
	"errors"
	"fmt"
	"testing"

	"dmasim/allocator"
	"dmasim/allocator/kernel/cma"
	"dmasim/mem"
	"dmasim/sim/physmem"
)

func normal(pages uint64) []physmem.Zone {
	return []physmem.Zone{{Name: "Normal", Ranges: mem.RangeSet{{Lo: 0, Hi: pages * page}}}}
}

func addOwner(t fataler, m *physmem.Memory, cfg physmem.OwnerConfig) physmem.Owner {
	t.Helper()
	o, err := m.AddOwner(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func check(t testing.TB, m *physmem.Memory) {
	t.Helper()
	if err := m.Check(); err != nil {
		t.Error(err)
	}
}

// exhaust takes dma-buf pages for an owner until it gets no more.
func exhaust(t *testing.T, m *physmem.Memory, o physmem.Owner, effort physmem.Effort, order uint) (blocks []physmem.Block, last physmem.Result) {
	t.Helper()
	for {
		b, res, err := m.Alloc(physmem.Request{Kind: physmem.DMABuf, Owner: o, Effort: effort, Order: order})
		if err != nil {
			t.Fatal(err)
		}
		if res.Cause != allocator.None {
			return blocks, res
		}
		blocks = append(blocks, b)
	}
}

func TestDMABufsAreInvisible(t *testing.T) {
	m := newMemory(t, physmem.Config{Zones: normal(8192), PerCPU: true, Swap: 200 * page})
	initial := addOwner(t, m, physmem.OwnerConfig{Name: "init", Unkillable: true})
	hog := addOwner(t, m, physmem.OwnerConfig{Name: "hog"})
	browser := addOwner(t, m, physmem.OwnerConfig{Name: "browser"})
	editor := addOwner(t, m, physmem.OwnerConfig{Name: "editor"})
	shielded := addOwner(t, m, physmem.OwnerConfig{Name: "shielded", OOMScoreAdj: -1000})
	populate(t, m, initial, physmem.Anonymous, 2000)
	populate(t, m, shielded, physmem.Anonymous, 1500)
	populate(t, m, browser, physmem.Anonymous, 1000)
	populate(t, m, editor, physmem.Anonymous, 500)
	populate(t, m, hog, physmem.Anonymous, 100)
	populate(t, m, 0, physmem.PageCache, 400)

	var blocks []physmem.Block
	var killed []physmem.Owner
	m.OnOutOfMemory(func(o physmem.OutOfMemory) {
		killed = append(killed, o.Victim)
		if o.Unexplained != uint64(len(blocks)) || o.Memory.DMABuf != o.Unexplained {
			t.Errorf("%d pages unexplained, %d handed out", o.Unexplained, len(blocks))
		}
		if o.Memory.PageCache != 0 || o.Memory.SwapUsed != 200 {
			t.Errorf("killed with %d pages of page cache, %d swapped", o.Memory.PageCache, o.Memory.SwapUsed)
		}
		if o.Victim == hog { // its descriptors close
			for _, b := range blocks {
				if err := m.Free(b); err != nil {
					t.Error(err)
				}
			}
			blocks = nil
		}
	})
	for {
		b, res, err := m.Alloc(physmem.Request{Kind: physmem.DMABuf, Owner: hog})
		if err != nil {
			t.Fatal(err)
		}
		ended := res.Cause != allocator.None
		if ended != res.Killed || res.Deadlock {
			t.Fatalf("%+v", res)
		}
		if ended {
			break
		}
		blocks = append(blocks, b)
	}
	if want := []physmem.Owner{browser, editor, hog}; fmt.Sprint(killed) != fmt.Sprint(want) {
		t.Errorf("killed %v, want %v: the largest by what the kernel sees", killed, want)
	}
	if _, _, err := m.Alloc(physmem.Request{Kind: physmem.DMABuf, Owner: hog}); !errors.Is(err, physmem.ErrOwner) {
		t.Errorf("the dead asks: %v", err)
	}
	if c := m.Counters(); c.DMABuf != 0 || c.Kills != 3 {
		t.Errorf("%+v", c)
	}
	check(t, m)
	last := addOwner(t, m, physmem.OwnerConfig{Name: "driver", Unkillable: true})
	if _, res := exhaust(t, m, last, physmem.EffortFull, 0); !res.Deadlock || res.Cause != allocator.Exhausted {
		t.Errorf("no process is left: %+v", res)
	}
	check(t, m)
}

func TestBadness(t *testing.T) {
	m := newMemory(t, physmem.Config{Zones: normal(100_000), Swap: 10_500 * page})
	for _, test := range []struct {
		cfg      physmem.OwnerConfig
		want     int64
		killable bool
	}{
		{physmem.OwnerConfig{}, 70, true},
		{physmem.OwnerConfig{OOMScoreAdj: 500}, 70 + 500*110, true},
		{physmem.OwnerConfig{OOMScoreAdj: -999}, 70 - 999*110, true},
		{physmem.OwnerConfig{OOMScoreAdj: -1000}, 0, false},
		{physmem.OwnerConfig{Unkillable: true}, 0, false},
	} {
		o := addOwner(t, m, test.cfg)
		populate(t, m, o, physmem.Anonymous, 60)
		populate(t, m, o, physmem.Kernel, 10)
		populate(t, m, o, physmem.PageCache, 30)
		if _, res, err := m.Alloc(physmem.Request{Order: 8, Kind: physmem.DMABuf, Owner: o}); err != nil || res.Cause != allocator.None {
			t.Fatal(res, err)
		}
		if got, killable := m.Badness(o); got != test.want || killable != test.killable {
			t.Errorf("%+v: %d %t, want %d %t", test.cfg, got, killable, test.want, test.killable)
		}
	}
}

// TestNoEffort: the large orders of the system heap take what is free down to
// the min watermark, and disturb nobody.
func TestNoEffort(t *testing.T) {
	m := newMemory(t, physmem.Config{Zones: normal(8192), PerCPU: true, Swap: 1000 * page, MinFree: 256 * page})
	o := addOwner(t, m, physmem.OwnerConfig{})
	populate(t, m, o, physmem.Anonymous, 1000)
	populate(t, m, o, physmem.PageCache, 1000)
	for _, order := range []uint{8, 4} {
		_, res := exhaust(t, m, o, physmem.EffortNone, order)
		if res.Kills != 0 || res.Reclaimed != 0 || res.Swapped != 0 || res.Migrated != 0 {
			t.Errorf("order %d: %+v", order, res)
		}
	}
	c, z := m.Counters(), m.Zone(0)
	if c.Anonymous != 1000 || c.PageCache != 1000 || c.KswapdRuns != 0 {
		t.Errorf("%+v", c)
	}
	if z.Free <= z.Min || z.Free > z.Min+16+300 {
		t.Errorf("%d pages free, min watermark %d", z.Free, z.Min)
	}
	check(t, m)
}

func TestReclaimTakesTheOldest(t *testing.T) {
	m := newMemory(t, physmem.Config{Zones: normal(4096), Swap: 4096 * page})
	old := addOwner(t, m, physmem.OwnerConfig{})
	young := addOwner(t, m, physmem.OwnerConfig{})
	anon := addOwner(t, m, physmem.OwnerConfig{})
	populate(t, m, old, physmem.PageCache, 1000)
	populate(t, m, young, physmem.PageCache, 1000)
	populate(t, m, anon, physmem.Anonymous, 2500)
	if u := m.Usage(old); u.Dropped == 0 || u.PageCache+u.Dropped != 1000 {
		t.Errorf("the oldest cache: %+v", u)
	}
	if u := m.Usage(young); u.Dropped != 0 {
		t.Errorf("younger cache: %+v", u)
	}
	if c := m.Counters(); c.SwapUsed != 0 {
		t.Errorf("%d pages are in swap while there is page cache", c.SwapUsed)
	}
	populate(t, m, anon, physmem.Anonymous, 2000)
	u := m.Usage(anon)
	if c := m.Counters(); c.PageCache != 0 || u.Swapped == 0 || u.Swapped != c.SwapUsed || u.Anonymous+u.Swapped != 4500 {
		t.Errorf("%+v %+v", u, c)
	}
	faults, res, err := m.Touch(anon, physmem.Anonymous, 1000)
	if after := m.Usage(anon); err != nil || res.Kills > 0 || faults == 0 || after.Anonymous+after.Swapped != 4500 {
		t.Errorf("%d faults, %+v %v", faults, after, err)
	}
	check(t, m)
}

// TestLending has movable pages in a CMA area give way to a contiguous buffer,
// and dma-bufs of the system heap stay out of it.
func TestLending(t *testing.T) {
	const lo, hi = 8192, 12288
	for _, perCPU := range []bool{false, true} {
		m := newMemory(t, physmem.Config{
			Zones: normal(16384), PerCPU: perCPU, Swap: 16384 * page,
			CMA: []physmem.Area{{Name: "reserved", Range: pages(lo, hi)}},
		})
		o := addOwner(t, m, physmem.OwnerConfig{})
		populate(t, m, o, physmem.Anonymous, 6000)
		populate(t, m, o, physmem.PageCache, 6000)
		inArea := map[physmem.Kind]uint64{}
		for pfn := uint64(lo); pfn < hi; pfn++ {
			k, _ := m.At(pfn)
			inArea[k]++
		}
		if inArea[physmem.Anonymous]+inArea[physmem.PageCache] == 0 {
			t.Fatal("nothing was lent")
		}
		r, c, err := m.AllocContig(0, 0, 4096, 8)
		if err != nil || c.Cause != allocator.None || r != (mem.Range{Lo: lo, Hi: hi}) {
			t.Fatalf("%s %+v %v", r, c, err)
		}
		if c.Migrated+c.Dropped == 0 || c.Migrated > inArea[physmem.Anonymous] || c.Retries != 0 {
			t.Errorf("%+v of %v", c, inArea)
		}
		check(t, m)
		if _, c, _ := m.AllocContig(0, 0, 1, 0); c.Cause != allocator.Exhausted {
			t.Errorf("the area is taken: %s", c.Cause)
		}
		if err := m.FreeContig(0, mem.Range{Lo: lo, Hi: lo + 100}); err != nil {
			t.Error(err)
		}
		if err := m.FreeContig(0, r); !errors.Is(err, physmem.ErrNotAllocated) {
			t.Errorf("a part was free: %v", err)
		}
		if err := m.FreeContig(0, mem.Range{Lo: lo + 100, Hi: hi}); err != nil {
			t.Error(err)
		}
		blocks, _ := exhaust(t, m, 0, physmem.EffortOnce, 0)
		for _, b := range blocks {
			if b.PFN >= lo && b.PFN < hi {
				t.Fatalf("dma-buf page %#x is in the CMA area", b.PFN)
			}
		}
		check(t, m)
	}
}

// TestPinnedPage is a recording of cma_alloc: an area of 32 pages whose page 5
// cannot move.
func TestPinnedPage(t *testing.T) {
	for _, test := range []struct {
		hold physmem.Hold
		want allocator.Cause
	}{{physmem.HoldBusy, allocator.Busy}, {physmem.HoldPinned, allocator.Pinned}} {
		m := newMemory(t, physmem.Config{
			Zones: normal(2048), PageblockOrder: 5, MinFree: 4 * page,
			CMA: []physmem.Area{{Name: "cma", Range: pages(1024, 1056)}},
		})
		o := addOwner(t, m, physmem.OwnerConfig{})
		populate(t, m, o, physmem.Anonymous, 2030)
		kind, _ := m.At(1029)
		if kind != physmem.Anonymous {
			t.Fatal("page 5 of the area is not in use")
		}
		if err := m.Pin(1029, test.hold); err != nil {
			t.Fatal(err)
		}
		if _, err := m.Release(o, physmem.Anonymous, 500); err != nil {
			t.Fatal(err)
		}
		if _, c, err := m.AllocContig(0, 0, 32, 0); err != nil || c.Cause != test.want || c.Retries != 1 {
			t.Errorf("%+v %v", c, err)
		}
		r, c, err := m.AllocContig(0, 0, 8, 0)
		if err != nil || r.Lo != 1030 || c.Retries != 6 {
			t.Errorf("%s %+v %v: want 6 retries, then 1030", r, c, err)
		}
		if r, c, err := m.AllocContig(0, 0, 8, 2); err != nil || r.Lo != 1040 || c.Retries != 0 {
			t.Errorf("%s %+v %v: want 1040 at once", r, c, err)
		}
		check(t, m)
		if err := m.FreeContig(0, mem.Range{Lo: 1030, Hi: 1038}); err != nil {
			t.Fatal(err)
		}
		if err := m.FreeContig(0, mem.Range{Lo: 1040, Hi: 1048}); err != nil {
			t.Fatal(err)
		}
		if err := m.Unpin(1029); err != nil {
			t.Fatal(err)
		}
		if r, c, err := m.AllocContig(0, 0, 32, 0); err != nil || r != (mem.Range{Lo: 1024, Hi: 1056}) {
			t.Errorf("after unpinning: %s %+v %v", r, c, err)
		}
		check(t, m)
	}
}

// TestBuffersStay takes contiguous memory from under pressure while dma-bufs
// are everywhere: they must be where they were.
func TestBuffersStay(t *testing.T) {
	m := newMemory(t, physmem.Config{
		Zones: normal(8192), Swap: 8192 * page, PerCPU: true,
		CMA: []physmem.Area{{Name: "cma", Range: pages(4096, 5120)}},
	})
	o := addOwner(t, m, physmem.OwnerConfig{})
	var blocks []physmem.Block
	for i := range uint(1000) {
		b, res, err := m.Alloc(physmem.Request{Order: i % 3, Kind: physmem.DMABuf, Owner: o})
		if err != nil || res.Cause != allocator.None {
			t.Fatal(res, err)
		}
		blocks = append(blocks, b)
		populate(t, m, o, physmem.Anonymous, 2)
	}
	for _, b := range blocks[:500] {
		if err := m.Free(b); err != nil {
			t.Fatal(err)
		}
	}
	blocks = blocks[500:]
	if _, err := m.Release(o, physmem.Anonymous, 1000); err != nil {
		t.Fatal(err)
	}
	populate(t, m, o, physmem.Anonymous, 3000)
	for range 20 {
		if _, _, err := m.Alloc(physmem.Request{Order: 9, Kind: physmem.Kernel}); err != nil {
			t.Fatal(err)
		}
	}
	if _, c, err := m.AllocContig(0, 0, 1024, 0); err != nil || c.Cause != allocator.None {
		t.Fatal(c, err)
	}
	c := m.Counters()
	if c.Migrated == 0 || c.SwapUsed == 0 || c.Compaction == 0 {
		t.Errorf("nothing moved: %+v", c)
	}
	for _, b := range blocks {
		for pfn := b.PFN; pfn < b.PFN+1<<b.Order; pfn++ {
			if k, who := m.At(pfn); k != physmem.DMABuf || who != o {
				t.Fatalf("page frame %#x is %s of %d", pfn, k, who)
			}
		}
	}
	check(t, m)
}

func TestCompaction(t *testing.T) {
	m := newMemory(t, physmem.Config{Zones: normal(8192), MinFree: 64 * page})
	o := addOwner(t, m, physmem.OwnerConfig{})
	populate(t, m, o, physmem.Anonymous, 7900)
	if _, err := m.Release(o, physmem.Anonymous, 4000); err != nil {
		t.Fatal(err)
	}
	q := physmem.Request{Order: 9, Kind: physmem.DMABuf, Effort: physmem.EffortNone}
	if _, res, err := m.Alloc(q); err != nil || res.Cause != allocator.Fragmented {
		t.Errorf("without effort: %+v %v", res, err)
	}
	q.Effort = physmem.EffortFull
	if _, res, err := m.Alloc(q); err != nil || res.Cause != allocator.None || res.Migrated == 0 || res.Swapped != 0 {
		t.Errorf("with compaction: %+v %v", res, err)
	}
	check(t, m)
}

func TestZones(t *testing.T) {
	m := newMemory(t, pc(4<<30))
	for _, test := range []struct{ zones, want int }{{0, 2}, {3, 2}, {2, 1}, {1, 0}} {
		b, res, err := m.Alloc(physmem.Request{Kind: physmem.Kernel, Zones: test.zones})
		want := []uint64{0, 4096, 1 << 20}[test.want]
		if err != nil || res.Cause != allocator.None || b.PFN < want || test.want < 2 && b.PFN >= []uint64{4096, 1 << 20}[test.want] {
			t.Errorf("%d zones: %+v %+v %v", test.zones, b, res, err)
		}
	}
	// What can't be had in DMA32 comes from DMA, but for the reserve.
	cfg := pc(2 << 30)
	cfg.PerCPU = false
	m = newMemory(t, cfg)
	blocks, _ := exhaust(t, m, 0, physmem.EffortNone, 0)
	low := uint64(0)
	for _, b := range blocks {
		if b.PFN < 4096 {
			low++
		}
	}
	if z := m.Zone(0); low == 0 || z.Free != z.Min+z.Reserve[1] {
		t.Errorf("%d pages from DMA, %d left: the reserve is %d", low, z.Free, z.Reserve[1])
	}
	check(t, m)
}

func TestSameSeedSameMemory(t *testing.T) {
	run := func(seed uint64) string {
		cfg := pc(64 << 20)
		cfg.Seed, cfg.Swap = seed, 8<<20
		m := newMemory(t, cfg)
		o := addOwner(t, m, physmem.OwnerConfig{})
		populate(t, m, o, physmem.Anonymous, 9000)
		populate(t, m, o, physmem.PageCache, 9000)
		_, _ = m.Release(o, physmem.Anonymous, 3000)
		_, _, _ = m.Touch(o, physmem.PageCache, 3000)
		where := ""
		for range 20 {
			b, _, _ := m.Alloc(physmem.Request{Order: 3, Kind: physmem.DMABuf})
			where += fmt.Sprintf("%x ", b.PFN)
		}
		return where + fmt.Sprint(m.Counters())
	}
	first, again, other := run(1), run(1), run(2)
	if first != again {
		t.Error("the same seed gives another memory")
	}
	if first == other {
		t.Error("seeds make no difference")
	}
}

func TestRefuses(t *testing.T) {
	for name, cfg := range map[string]physmem.Config{
		"page size":  {Page: 8192, Zones: normal(100)},
		"no zones":   {Page: page},
		"zone name":  {Page: page, Zones: []physmem.Zone{{Name: "High", Ranges: mem.RangeSet{pages(0, 10)}}}},
		"zone order": {Page: page, Zones: []physmem.Zone{{Name: "Normal", Ranges: mem.RangeSet{pages(0, 10)}}, {Name: "DMA", Ranges: mem.RangeSet{pages(1024, 2048)}}}},
		"shared":     {Page: page, Zones: []physmem.Zone{{Name: "DMA", Ranges: mem.RangeSet{pages(0, 10)}}, {Name: "Normal", Ranges: mem.RangeSet{pages(10, 2048)}}}},
		"empty zone": {Page: page, Zones: []physmem.Zone{{Name: "DMA"}}},
		"pageblock":  {Page: page, Zones: normal(100), PageblockOrder: 11},
		"area":       {Page: page, Zones: normal(2048), CMA: []physmem.Area{{Range: pages(0, 100)}}},
		"area away":  {Page: page, Zones: normal(2048), CMA: []physmem.Area{{Range: pages(4096, 4608)}}},
		"areas":      {Page: page, Zones: normal(2048), CMA: []physmem.Area{{Range: pages(0, 512)}, {Range: pages(0, 512)}}},
		"span":       {Page: page, Zones: []physmem.Zone{{Name: "DMA", Ranges: mem.RangeSet{pages(0, 10)}}, {Name: "Normal", Ranges: mem.RangeSet{pages(1<<33, 1<<33+10)}}}},
	} {
		if _, err := physmem.New(cfg); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
	m := newMemory(t, physmem.Config{Zones: normal(2048)})
	for name, err := range map[string]error{
		"kind":     second(m.Alloc(physmem.Request{Kind: physmem.Anonymous})),
		"zones":    second(m.Alloc(physmem.Request{Kind: physmem.DMABuf, Zones: 2})),
		"owner":    second(m.Alloc(physmem.Request{Kind: physmem.DMABuf, Owner: 7})),
		"area":     second(m.AllocContig(0, 0, 1, 0)),
		"populate": second(m.Populate(0, physmem.DMABuf, 1)),
		"touch":    second(m.Touch(0, physmem.Kernel, 1)),
		"free":     m.Free(physmem.Block{PFN: 1 << 40}),
		"pin":      m.Pin(0, physmem.HoldBusy),
		"unpin":    m.Unpin(1 << 40),
		"kernel":   m.ReleaseOwner(0),
	} {
		if err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, res, err := m.Alloc(physmem.Request{Kind: physmem.DMABuf, Order: 11}); err != nil || res.Cause != allocator.Limit {
		t.Errorf("order 11: %+v %v", res, err)
	}
}

func second[A, B any](_ A, _ B, err error) error { return err }

func ExampleMemory() {
	m, err := physmem.New(physmem.Config{
		Page:  4096,
		Zones: []physmem.Zone{{Name: "Normal", Ranges: mem.RangeSet{{Lo: 0, Hi: 64 << 20}}}},
		CMA:   []physmem.Area{{Name: "reserved", Range: mem.Range{Lo: 16 << 20, Hi: 32 << 20}}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	browser, _ := m.AddOwner(physmem.OwnerConfig{Name: "browser"})
	_, _, _ = m.Populate(browser, physmem.Anonymous, 12000)
	frames, contig, _ := m.AllocContig(0, 0, 4096, cma.AlignOrder(4096, 8))
	fmt.Printf("%s %s, %d pages moved\n", frames, contig.Cause, contig.Migrated)
	kind, owner := m.At(frames.Lo)
	fmt.Println(kind, owner)
	// Output:
	// [0x1000,0x2000) none, 1904 pages moved
	// dma-buf 0
}

// TestKillLeavesPerCPULists has what a kernel logs when dma-bufs alone use up its
// memory: reclaim got nowhere, so nobody drained the lists of the CPUs (free_pcp:242
// of a machine with 256 MiB, found by dmasim validate).
func TestKillLeavesPerCPULists(t *testing.T) {
	m := newMemory(t, physmem.Config{Zones: normal(65536), PerCPU: true})
	hog := addOwner(t, m, physmem.OwnerConfig{Name: "hog"})
	var left []uint64
	m.OnOutOfMemory(func(o physmem.OutOfMemory) { left = append(left, o.Memory.PerCPU) })
	// A page of another type leaves the rest of its refill on the lists.
	populate(t, m, hog, physmem.Anonymous, 1)
	exhaust(t, m, hog, physmem.EffortFull, 0)
	if len(left) != 1 || left[0] < 14 {
		t.Errorf("pages on the lists at each kill: %v; want one kill, and those of one refill or more", left)
	}
	check(t, m)
}
