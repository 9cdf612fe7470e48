package physmem_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"

	"dmasim/allocator"
	"dmasim/mem"
	"dmasim/sim/physmem"
)

// pc returns an x86-64 machine with an amount of memory: 3 GiB of it, or all,
// below 4 GiB.
func pc(bytes uint64) physmem.Config {
	cfg := physmem.Config{Page: page, PerCPU: true, Seed: 1, Zones: []physmem.Zone{
		{Name: "DMA", Ranges: mem.RangeSet{{Lo: 0x1000, Hi: 0x9f000}, {Lo: 1 << 20, Hi: 16 << 20}}},
		{Name: "DMA32", Ranges: mem.RangeSet{{Lo: 16 << 20, Hi: min(bytes, 3<<30)}}},
	}}
	if bytes > 3<<30 {
		cfg.Zones = append(cfg.Zones, physmem.Zone{Name: "Normal", Ranges: mem.RangeSet{{Lo: 4 << 30, Hi: 1<<30 + bytes}}})
	}
	return cfg
}

// BenchmarkPages is one operation on a machine of 16 GiB: one page that comes
// or goes, or one block.
func BenchmarkPages(b *testing.B) {
	b.Run("blocks of order 0", func(b *testing.B) { benchmarkBlocks(b, 1) })
	b.Run("blocks of mixed orders", func(b *testing.B) { benchmarkBlocks(b, 5) })
	b.Run("anonymous", func(b *testing.B) { benchmarkPages(b, physmem.Anonymous) })
	b.Run("page cache", func(b *testing.B) { benchmarkPages(b, physmem.PageCache) })
	b.Run("under pressure", benchmarkPressure)
	b.Run("swapping", benchmarkSwap)
}

// benchmarkBlocks keeps memory about half full with blocks.
func benchmarkBlocks(b *testing.B, orders uint64) {
	m := newMemory(b, pc(16<<30))
	r := rand.New(rand.NewPCG(1, 2))
	live := make([]physmem.Block, 0, 1<<20)
	step := func() {
		n := r.Uint64()
		if len(live) < cap(live)/2 || n&1 == 0 && len(live) < cap(live) {
			q := physmem.Request{Order: uint(n >> 1 % orders), Kind: physmem.DMABuf}
			if n>>8&1 == 0 {
				q.Kind = physmem.Kernel
			}
			block, res, err := m.Alloc(q)
			if err != nil || res.Cause != allocator.None {
				b.Fatal(res, err)
			}
			live = append(live, block)
			return
		}
		i, last := int(n>>20%uint64(len(live))), len(live)-1
		if err := m.Free(live[i]); err != nil {
			b.Fatal(err)
		}
		live[i], live = live[last], live[:last]
	}
	for range cap(live) {
		step()
	}
	b.ReportAllocs()
	for b.Loop() {
		step()
	}
	report(b)
}

func report(b *testing.B) {
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds()/1e6, "Mops/s")
}

// benchmarkPages gives and takes single pages of owners that hold about half of
// memory.
func benchmarkPages(b *testing.B, kind physmem.Kind) {
	m := newMemory(b, pc(16<<30))
	r := rand.New(rand.NewPCG(1, 2))
	var owners [64]physmem.Owner
	for i := range owners {
		owners[i], _ = m.AddOwner(physmem.OwnerConfig{})
		populate(b, m, owners[i], kind, 1<<15)
	}
	b.ReportAllocs()
	for b.Loop() {
		o := owners[r.Uint64()%64]
		if r.Uint64()&1 == 0 {
			populate(b, m, o, kind, 1)
		} else if _, err := m.Release(o, kind, 1); err != nil {
			b.Fatal(err)
		}
	}
	report(b)
}

// benchmarkPressure reads files into memory that is full of them: every page
// takes the place of another.
func benchmarkPressure(b *testing.B) {
	m := newMemory(b, pc(16<<30))
	populate(b, m, 0, physmem.PageCache, 1<<22)
	b.ReportAllocs()
	for b.Loop() {
		populate(b, m, 0, physmem.PageCache, 1)
	}
	report(b)
}

// benchmarkSwap touches the memory of a process that is twice as large as
// memory.
func benchmarkSwap(b *testing.B) {
	cfg := pc(16 << 30)
	cfg.Swap = 32 << 30
	m := newMemory(b, cfg)
	o, _ := m.AddOwner(physmem.OwnerConfig{Name: "large"})
	populate(b, m, o, physmem.Anonymous, 1<<23)
	b.ReportAllocs()
	for b.Loop() {
		if _, res, err := m.Touch(o, physmem.Anonymous, 1); err != nil || res.Cause != allocator.None {
			b.Fatal(res, err)
		}
	}
	report(b)
}

func populate(t testing.TB, m *physmem.Memory, o physmem.Owner, kind physmem.Kind, pages uint64) {
	t.Helper()
	if got, res, err := m.Populate(o, kind, pages); err != nil || got != pages {
		t.Fatalf("%d of %d pages: %+v %v", got, pages, res, err)
	}
}

// BenchmarkBytesPerFrame fills a machine of 4 GiB and reports how much of the
// simulator's memory a page frame takes.
func BenchmarkBytesPerFrame(b *testing.B) {
	for b.Loop() {
		b.ReportMetric(bytesPerFrame(b, 4<<30), "B/frame")
	}
}

func bytesPerFrame(t testing.TB, bytes uint64) float64 {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	m := newMemory(t, pc(bytes))
	o, _ := m.AddOwner(physmem.OwnerConfig{})
	managed := m.Counters().Managed
	populate(t, m, o, physmem.PageCache, managed)
	runtime.GC()
	runtime.ReadMemStats(&after)
	runtime.KeepAlive(m)
	return float64(after.HeapAlloc-before.HeapAlloc) / float64(managed)
}

func TestBytesPerFrame(t *testing.T) {
	if got := bytesPerFrame(t, 1<<30); got > 18 {
		t.Errorf("%.1f bytes for each page frame", got)
	}
}

// TestTebibyte fills 1 TiB. It takes gigabytes, and runs where
// PHYSMEM_TEBIBYTE is set.
func TestTebibyte(t *testing.T) {
	if os.Getenv("PHYSMEM_TEBIBYTE") == "" {
		t.Skip("PHYSMEM_TEBIBYTE is not set")
	}
	m := newMemory(t, pc(1<<40))
	o, err := m.AddOwner(physmem.OwnerConfig{Name: "large"})
	if err != nil {
		t.Fatal(err)
	}
	managed := m.Counters().Managed
	populate(t, m, o, physmem.Anonymous, managed/2)
	populate(t, m, o, physmem.PageCache, managed/2+managed/4)
	debug.FreeOSMemory()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Skip(err)
	}
	for line := range strings.Lines(string(status)) {
		var resident uint64
		if n, _ := fmt.Sscanf(line, "VmRSS: %d kB", &resident); n == 1 {
			t.Logf("%.2f GiB resident", float64(resident)/(1<<20))
			if resident > 12<<20 {
				t.Error("more than 12 GiB")
			}
		}
	}
	runtime.KeepAlive(m)
}
