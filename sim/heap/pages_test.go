package heap_test

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"dmasim/allocator"
	"dmasim/allocator/kernel/buddy"
	"dmasim/allocator/kernel/version"
	"dmasim/mem"
	"dmasim/sim/heap"
	"dmasim/sim/physmem"
)

const (
	mib = uint64(mem.MiB)
	gib = uint64(mem.GiB)
	ms  = time.Millisecond
)

var (
	v57  = version.Version{Major: 5, Minor: 7}
	v510 = version.Version{Major: 5, Minor: 10}
	v515 = version.Version{Major: 5, Minor: 15}
	v63  = version.Version{Major: 6, Minor: 3}
	v64  = version.Version{Major: 6, Minor: 4}
	v612 = version.Modelled
)

// machine is memory of one zone from 0 on, with an owner that can be killed.
func machine(t testing.TB, size uint64, areas ...physmem.Area) (*physmem.Memory, physmem.Owner) {
	t.Helper()
	return machineOf(t, physmem.Config{
		Page: 4096, CMA: areas, Seed: 1, Zones: []physmem.Zone{{Name: "Normal", Ranges: mem.NewRangeSet(mem.Range{Lo: 0, Hi: size})}},
	})
}

func machineOf(t testing.TB, cfg physmem.Config) (*physmem.Memory, physmem.Owner) {
	t.Helper()
	m, err := physmem.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return m, addOwner(t, m, physmem.OwnerConfig{Name: "hog"})
}

func addOwner(t testing.TB, m *physmem.Memory, cfg physmem.OwnerConfig) physmem.Owner {
	t.Helper()
	owner, err := m.AddOwner(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return owner
}

func pages(m *physmem.Memory, kind heap.PageKind, kernel version.Version) heap.PageConfig {
	return heap.PageConfig{Name: "main", Kind: kind, Memory: m, Kernel: kernel, Clients: 2}
}

// take allocates a buffer that must be served.
func take(t testing.TB, h *heap.Pages, owner physmem.Owner, payload uint64) heap.Buffer {
	t.Helper()
	b, failure, err := h.Alloc(0, owner, payload)
	if err != nil || failure.Cause != allocator.None {
		t.Fatalf("%d bytes: %+v, %v", payload, failure, err)
	}
	return b
}

// refuse asks for a buffer that must not be served.
func refuse(t testing.TB, h *heap.Pages, owner physmem.Owner, payload uint64, want heap.Failure) {
	t.Helper()
	usage, frames := h.Usage(), h.Memory.Counters().DMABuf
	b, failure, err := h.Alloc(0, owner, payload)
	failure.Migrated = 0
	if err != nil || failure != want || b != (heap.Buffer{}) {
		t.Fatalf("%d bytes: %+v, %+v, %v, want %+v", payload, b, failure, err, want)
	}
	if h.Usage() != usage || h.Memory.Counters().DMABuf > frames {
		t.Errorf("%d bytes: %+v and %d frames are held, before %+v and %d", payload, h.Usage(), h.Memory.Counters().DMABuf, usage, frames)
	}
	check(t, h)
}

func check(t testing.TB, h *heap.Pages) {
	t.Helper()
	if err := h.Memory.Check(); err != nil {
		t.Error(err)
	}
}

// orders returns how many blocks of each order a buffer has, as "8x11 4x13".
func orders(h *heap.Pages, b heap.Buffer) string {
	text := ""
	for blocks := h.Blocks(b); len(blocks) > 0; {
		n := slices.IndexFunc(blocks, func(o physmem.Block) bool { return o.Order != blocks[0].Order })
		if n < 0 {
			n = len(blocks)
		}
		if text != "" {
			text += " "
		}
		text += fmt.Sprintf("%dx%d", blocks[0].Order, n)
		blocks = blocks[n:]
	}
	return text
}

// TestOrdersOnFreshMemory are the blocks that a buffer is made of where all are to
// be had: n/256 of order 8, of the rest n/16 of order 4, then single pages. The
// requests of 4 KiB to 4 MiB are recorded from Linux 6.12.
func TestOrdersOnFreshMemory(t *testing.T) {
	tests := []struct {
		payload uint64
		want    string
	}{
		{1, "0x1"}, {4096, "0x1"}, {4097, "0x2"}, {65535, "4x1"}, {65536, "4x1"}, {65537, "4x1 0x1"},
		{61440, "0x15"},
		{1048576, "8x1"}, {1118576, "8x1 4x1 0x2"}, {4194304, "8x4"},
		{3110400, "8x2 4x15 0x8"}, {12441600, "8x11 4x13 0x14"}, {12533760, "8x11 4x15 0x4"}, {33177600, "8x31 4x10 0x4"},
	}
	for _, test := range tests {
		for _, kind := range []heap.PageKind{heap.System, heap.Pooled} {
			m, owner := machine(t, 128*mib)
			h := heap.NewPages(pages(m, kind, v612))
			b := take(t, h, owner, test.payload)
			if got := orders(h, b); got != test.want {
				t.Errorf("%d bytes: %s, want %s", test.payload, got, test.want)
			}
			if h.Fallbacks() != 0 {
				t.Errorf("%d bytes: %d fallbacks", test.payload, h.Fallbacks())
			}
		}
		m, owner := machine(t, 128*mib)
		h := heap.NewPages(pages(m, heap.System, v57))
		if got, want := orders(h, take(t, h, owner, test.payload)), fmt.Sprintf("0x%d", (test.payload+4095)/4096); got != want {
			t.Errorf("%d bytes in 5.7: %s, want %s", test.payload, got, want)
		}
	}
}

// TestReleasesOnAgedMemory: memory whose free pages make no block of order 4, and
// much page cache in movable blocks that order 4 could have if somebody made an
// effort. That is what up to 6.3 the system heap did.
func TestReleasesOnAgedMemory(t *testing.T) {
	tests := []struct {
		kernel version.Version
		want   string
		effort bool
	}{
		{v57, "0x256", false}, {v510, "0x256", false},
		{v515, "4x16", true}, {v63, "4x16", true},
		{v64, "0x256", false}, {v612, "0x256", false},
	}
	for _, test := range tests {
		m, owner := machine(t, 256*mib)
		cache := addOwner(t, m, physmem.OwnerConfig{Name: "page cache", Unkillable: true})
		managed := m.Counters().Managed
		err := m.Age(physmem.AgeConfig{
			Seed: 1, Order: 4, Free: managed / 4, Target: 1,
			Used: []physmem.Population{{Owner: cache, Kind: physmem.PageCache, Pages: managed / 2}},
		})
		if err != nil {
			t.Fatal(err)
		}
		h := heap.NewPages(pages(m, heap.System, test.kernel))
		b := take(t, h, owner, mib)
		if got := orders(h, b); got != test.want {
			t.Errorf("%v: %s, want %s", test.kernel, got, test.want)
		}
		if effort := m.Counters().Compaction > 0; effort != test.effort {
			t.Errorf("%v: compacted %v, want %v", test.kernel, effort, test.effort)
		}
		if fell := h.Fallbacks() == 1; fell != !test.kernel.Before(5, 11) {
			t.Errorf("%v: fell back %v", test.kernel, fell)
		}
		check(t, h)
	}
}

// TestOrdersNeverRiseWithinABuffer, although larger blocks become free meanwhile.
func TestOrdersNeverRiseWithinABuffer(t *testing.T) {
	m, owner := machine(t, 64*mib)
	h := heap.NewPages(pages(m, heap.System, v612))
	victim := addOwner(t, m, physmem.OwnerConfig{Name: "victim", OOMScoreAdj: 1000})
	if got, _, err := m.Populate(victim, physmem.Anonymous, m.Counters().Free-3000); err != nil || got == 0 {
		t.Fatal(got, err)
	}
	b := take(t, h, owner, 24*mib) // kills the victim when all but the reserve is taken
	blocks := h.Blocks(b)
	if m.Counters().Kills != 1 {
		t.Fatalf("%d killed", m.Counters().Kills)
	}
	for i := 1; i < len(blocks); i++ {
		if blocks[i].Order > blocks[i-1].Order {
			t.Fatalf("block %d has order %d, the one before %d", i, blocks[i].Order, blocks[i-1].Order)
		}
	}
	if m.FreeBlocks(0, buddy.Movable)[10] == 0 {
		t.Error("the victim's memory is not free in large blocks: the test shows nothing")
	}
	// The next buffer begins anew.
	if got := orders(h, take(t, h, owner, mib)); got != "8x1" {
		t.Errorf("next buffer: %s", got)
	}
	check(t, h)
}

// TestFailuresGiveEverythingBack, whether the process that asked is killed or the
// machine has nobody to kill.
func TestFailuresGiveEverythingBack(t *testing.T) {
	for _, kernel := range []version.Version{v57, v515, v612} {
		t.Run(kernel.String(), func(t *testing.T) {
			t.Run("killed", func(t *testing.T) {
				m, owner := machine(t, 64*mib)
				h := heap.NewPages(pages(m, heap.System, kernel))
				before := m.Counters().Free
				refuse(t, h, owner, 65*mib, heap.Failure{Cause: allocator.Exhausted, Killed: true})
				if free := m.Counters().Free; free != before {
					t.Errorf("%d pages free, before %d", free, before)
				}
			})
			t.Run("nobody left to kill", func(t *testing.T) {
				m, hog := machine(t, 64*mib)
				init := addOwner(t, m, physmem.OwnerConfig{Name: "init", Unkillable: true})
				if err := m.ReleaseOwner(hog); err != nil {
					t.Fatal(err)
				}
				h := heap.NewPages(pages(m, heap.System, kernel))
				refuse(t, h, init, 64*mib, heap.Failure{Cause: allocator.Exhausted, Deadlock: true})
			})
		})
	}
}

// TestTheFirstSystemHeapGivesUpBackwards: the page that it took first is given
// back last, and so is the next to be handed out.
func TestTheFirstSystemHeapGivesUpBackwards(t *testing.T) {
	m, owner := machineOf(t, physmem.Config{
		Page: 4096, Seed: 1, PerCPU: true, Zones: []physmem.Zone{{Name: "Normal", Ranges: mem.NewRangeSet(mem.Range{Lo: 0, Hi: 64 * mib})}},
	})
	second := addOwner(t, m, physmem.OwnerConfig{Name: "second", OOMScoreAdj: -1000})
	h := heap.NewPages(pages(m, heap.System, v57))
	probe := take(t, h, owner, 4096)
	if err := h.Free(probe, 0); err != nil {
		t.Fatal(err)
	}
	refuse(t, h, owner, 65*mib, heap.Failure{Cause: allocator.Exhausted, Killed: true})
	if b := take(t, h, second, 4096); b.Block.Addr != probe.Block.Addr {
		t.Errorf("the next page is at %#x, want %#x", b.Block.Addr, probe.Block.Addr)
	}
	check(t, h)
}

// TestPointersBoundABuffer: kmalloc gives arrays of at most 4 MiB, so 2 GiB of
// 4 KiB pages.
func TestPointersBoundABuffer(t *testing.T) {
	const most = 2 * gib
	t.Run("system", func(t *testing.T) {
		m, owner := machine(t, 64*mib)
		for _, kernel := range []version.Version{v57, v510} {
			h := heap.NewPages(pages(m, heap.System, kernel))
			refuse(t, h, owner, most+1, heap.Failure{Cause: allocator.Limit})
			refuse(t, h, owner, math.MaxUint64, heap.Failure{Cause: allocator.Limit})
			if m.Counters().Kills > 0 {
				t.Errorf("%v: somebody was killed", kernel)
			}
		}
		h := heap.NewPages(pages(m, heap.System, v612))
		refuse(t, h, owner, most+1, heap.Failure{Cause: allocator.Exhausted, Killed: true})
	})
	t.Run("cma", func(t *testing.T) {
		m, owner := machine(t, 5*gib, physmem.Area{Name: "reserved", Range: mem.Range{Lo: 1 * gib, Hi: 4 * gib}})
		for _, kernel := range []version.Version{v57, v612} {
			h := heap.NewPages(pages(m, heap.CMA, kernel))
			refuse(t, h, owner, most+1, heap.Failure{Cause: allocator.Limit})
			refuse(t, h, owner, 3*gib+1, heap.Failure{Cause: allocator.Exhausted})
			refuse(t, h, owner, math.MaxUint64, heap.Failure{Cause: allocator.Exhausted})
			b := take(t, h, owner, most)
			if b.Block != (allocator.Block{Addr: 1 * gib, Size: most, Ref: b.Block.Ref}) {
				t.Errorf("%+v", b.Block)
			}
			if err := h.Free(b, 0); err != nil || m.Area(0).Used != 0 {
				t.Errorf("%d pages used, %v", m.Area(0).Used, err)
			}
		}
	})
}

// TestHighMemory: up to 5.10 the system heap took only what the kernel maps.
func TestHighMemory(t *testing.T) {
	zones := []physmem.Zone{
		{Name: "Normal", Ranges: mem.NewRangeSet(mem.Range{Lo: 0, Hi: 64 * mib})},
		{Name: "HighMem", Ranges: mem.NewRangeSet(mem.Range{Lo: 64 * mib, Hi: 128 * mib})},
		{Name: "Movable", Ranges: mem.NewRangeSet(mem.Range{Lo: 128 * mib, Hi: 192 * mib})},
	}
	for _, test := range []struct {
		kernel version.Version
		want   mem.Range
	}{
		{v57, zones[0].Ranges[0]}, {v510, zones[0].Ranges[0]}, {v515, zones[1].Ranges[0]}, {v612, zones[1].Ranges[0]},
	} {
		m, owner := machineOf(t, physmem.Config{Page: 4096, Seed: 1, Zones: zones})
		h := heap.NewPages(pages(m, heap.System, test.kernel))
		for _, piece := range h.Extents(nil, take(t, h, owner, 20*mib)) {
			if !test.want.Contains(piece) {
				t.Fatalf("%v: %s, want %s", test.kernel, piece, test.want)
			}
		}
	}
}

// TestCMAAlignment is the order of the size, at most 8. Pages are those of the
// area, from its base on.
func TestCMAAlignment(t *testing.T) {
	m, owner := machine(t, 64*mib, physmem.Area{Name: "reserved", Range: mem.Range{Lo: 32 * mib, Hi: 48 * mib}})
	h := heap.NewPages(pages(m, heap.CMA, v612))
	for _, test := range []struct{ pages, want uint64 }{
		{1, 0}, {2, 2}, {1, 1}, {3, 4}, {5, 8}, {17, 32}, {100, 128}, {257, 256}, {512, 768}, {1, 7},
	} {
		b := take(t, h, owner, test.pages*4096)
		want := []mem.Range{{Lo: 32*mib + test.want*4096, Hi: 32*mib + (test.want+test.pages)*4096}}
		if got := h.Extents(nil, b); !slices.Equal(got, want) {
			t.Errorf("%d pages: %v, want %v", test.pages, got, want)
		}
	}
	if !h.IsCMA() || h.Usage().Blocks != 10 {
		t.Errorf("%+v", h.Usage())
	}
	check(t, h)
}

// TestCMATakesBackWhatItLent, and is refused what somebody holds in place.
func TestCMATakesBackWhatItLent(t *testing.T) {
	m, owner := machine(t, 64*mib, physmem.Area{Name: "reserved", Range: mem.Range{Lo: 32 * mib, Hi: 48 * mib}})
	h := heap.NewPages(pages(m, heap.CMA, v612))
	tenant := addOwner(t, m, physmem.OwnerConfig{Name: "tenant"})
	if _, _, err := m.Populate(tenant, physmem.Anonymous, m.Counters().Free*2/3); err != nil {
		t.Fatal(err)
	}
	b, failure, err := h.Alloc(0, owner, 16*mib)
	if err != nil || failure.Cause != allocator.None || failure.Migrated == 0 {
		t.Fatalf("%+v, %v", failure, err)
	}
	if err := h.Free(b, 0); err != nil {
		t.Fatal(err)
	}
	if _, _, err := m.Populate(tenant, physmem.Anonymous, 2048); err != nil {
		t.Fatal(err)
	}
	area := m.Area(0).Pages
	for pfn := area.Lo; pfn < area.Hi; pfn++ {
		if kind, _ := m.At(pfn); kind == physmem.Anonymous {
			if err := m.Pin(pfn, physmem.HoldPinned); err != nil {
				t.Fatal(err)
			}
			break
		}
	}
	refuse(t, h, owner, 16*mib, heap.Failure{Cause: allocator.Pinned})
}

// TestGuard is reserved behind every buffer, and rounded up with it.
func TestGuard(t *testing.T) {
	m, owner := machine(t, 64*mib)
	cfg := pages(m, heap.System, v612)
	cfg.Guard = 256
	h := heap.NewPages(cfg)
	for _, test := range []struct {
		payload, size uint64
		want          heap.Waste
	}{
		{4096, 8192, heap.Waste{Padding: 256, Granule: 3840}},
		{3840, 4096, heap.Waste{Padding: 256}},
		{3841, 8192, heap.Waste{Padding: 256, Granule: 4095}},
	} {
		b := take(t, h, owner, test.payload)
		if h.Waste(&b) != test.want || b.Block.Size != test.size || b.Payload != test.payload {
			t.Errorf("%d bytes: %+v", test.payload, b)
		}
	}
	if got := h.Usage(); got.Requested != 4096+3840+3841 || got.Reserved != 8192+4096+8192 {
		t.Errorf("%+v", got)
	}
}

// TestUsage counts what lives, for each client, and the peaks.
func TestUsage(t *testing.T) {
	m, owner := machine(t, 64*mib)
	h := heap.NewPages(pages(m, heap.System, v612))
	a := take(t, h, owner, 3*mib)
	b, _, err := h.Alloc(1, owner, 5000)
	if err != nil {
		t.Fatal(err)
	}
	if got := h.ClientUsage(1); got.Blocks != 1 || got.Requested != 5000 || got.Reserved != 8192 {
		t.Errorf("%+v", got)
	}
	if err := h.Free(a, 0); err != nil {
		t.Fatal(err)
	}
	take(t, h, owner, mib)
	if got := h.Usage(); got.Blocks != 2 || got.Requested != mib+5000 || got.Reserved != mib+8192 {
		t.Errorf("%+v", got)
	}
	if reserved, requested := h.Peaks(); reserved != 3*mib+8192 || requested != 3*mib+5000 {
		t.Errorf("at most %d reserved, %d requested", reserved, requested)
	}
	if got := h.Taken(); got[8] != 4 || got[4] != 0 || got[0] != 2 {
		t.Errorf("taken %v", got)
	}
	if b.Owner != 1 {
		t.Errorf("client %d", b.Owner)
	}
}

// TestFreeOfWhatIsNotLive is an error, and changes nothing.
func TestFreeOfWhatIsNotLive(t *testing.T) {
	for _, kind := range []heap.PageKind{heap.System, heap.CMA, heap.Pooled} {
		m, owner := machine(t, 64*mib, physmem.Area{Name: "reserved", Range: mem.Range{Lo: 32 * mib, Hi: 48 * mib}})
		cfg := pages(m, kind, v612)
		cfg.Delay = ms
		h := heap.NewPages(cfg)
		stale := take(t, h, owner, mib)
		if err := h.Free(stale, 0); err != nil {
			t.Fatal(err)
		}
		wrong := func(b heap.Buffer, want error) {
			t.Helper()
			usage, counters, kept := h.Usage(), m.Counters(), h.Kept()
			if err := h.Free(b, 0); !errors.Is(err, want) {
				t.Errorf("kind %d: %v, want %v", kind, err, want)
			}
			if h.Usage() != usage || m.Counters() != counters || h.Kept() != kept {
				t.Errorf("kind %d: something changed", kind)
			}
			if h.Blocks(b) != nil {
				t.Errorf("kind %d: it has blocks", kind)
			}
		}
		wrong(stale, allocator.ErrDoubleFree)
		if err := h.Work(ms); err != nil {
			t.Fatal(err)
		}
		wrong(stale, allocator.ErrDoubleFree)
		live := take(t, h, owner, mib) // takes the record, and the place
		if live.Block.Addr != stale.Block.Addr {
			t.Fatalf("at %#x, before at %#x: the test shows nothing", live.Block.Addr, stale.Block.Addr)
		}
		wrong(stale, allocator.ErrDoubleFree)
		wrong(heap.Buffer{}, allocator.ErrForeign)
		for _, change := range []func(*heap.Buffer){
			func(b *heap.Buffer) { b.Block.Size++ },
			func(b *heap.Buffer) { b.Block.Addr += 4096 },
			func(b *heap.Buffer) { b.Owner = 7 },
			func(b *heap.Buffer) { b.Payload-- },
			func(b *heap.Buffer) { b.Block.Ref++ },
			func(b *heap.Buffer) { b.Block.Ref += 1 << 32 },
			func(b *heap.Buffer) { b.Block.Ref = math.MaxUint64 },
		} {
			b := live
			change(&b)
			wrong(b, allocator.ErrForeign)
		}
		if err := h.Free(live, 0); err != nil {
			t.Error(err)
		}
		check(t, h)
	}
}

func TestMisuse(t *testing.T) {
	m, owner := machine(t, 64*mib)
	h := heap.NewPages(pages(m, heap.Pooled, v612))
	if _, _, err := h.Alloc(0, owner, 0); !errors.Is(err, heap.ErrEmpty) {
		t.Errorf("no bytes: %v", err)
	}
	if err := h.Free(take(t, h, owner, mib), 0); err != nil {
		t.Fatal(err)
	}
	kept := h.Kept()
	for _, payload := range []uint64{4096, mib, 2 * mib} { // from the page allocator, from a pool, from both
		if _, _, err := h.Alloc(0, 99, payload); !errors.Is(err, physmem.ErrOwner) {
			t.Errorf("%d bytes for nobody: %v", payload, err)
		}
	}
	if h.Kept() != kept || h.Usage().Blocks != 0 {
		t.Errorf("%d bytes kept, before %d; %+v", h.Kept(), kept, h.Usage())
	}
	check(t, h)
}
