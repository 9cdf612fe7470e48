package heap_test

import (
	"errors"
	"testing"
	"time"

	"pgregory.net/rapid"

	"dmasim/allocator"
	"dmasim/allocator/kernel/version"
	"dmasim/allocator/ledger"
	"dmasim/mem"
	"dmasim/sim/heap"
	"dmasim/sim/physmem"
)

// oracle knows of the heaps on a machine what any of them has to know, byte by
// byte and frame by frame.
type oracle struct {
	t      *rapid.T
	memory *physmem.Memory
	heaps  []*heap.Pages
	live   []owned
	stale  []owned
	peaks  [][2]uint64
	now    time.Duration
}

type owned struct {
	heap  int
	owner physmem.Owner
	heap.Buffer
	blocks []physmem.Block
}

func (o *oracle) alloc(number, client int, owner physmem.Owner, payload uint64) {
	h := o.heaps[number]
	b, failure, err := h.Alloc(client, owner, payload)
	if err != nil {
		o.t.Fatal(err)
	}
	if failure.Cause != allocator.None {
		if b != (heap.Buffer{}) {
			o.t.Fatalf("a failure gave %+v", b)
		}
		return
	}
	made := owned{number, owner, b, append([]physmem.Block(nil), h.Blocks(b)...)}
	o.live = append(o.live, made)
	guarded := payload + h.Guard
	if size := (guarded + 4095) / 4096 * 4096; b.Block.Size != size || b.Payload != payload || int(b.Owner) != client ||
		h.Waste(&b) != (heap.Waste{Padding: h.Guard, Granule: size - guarded}) {
		o.t.Fatalf("%d bytes: %+v", payload, b)
	}
	o.shape(made)
	usage := o.usage(number, -1)
	o.peaks[number] = [2]uint64{max(o.peaks[number][0], usage.Reserved), max(o.peaks[number][1], usage.Requested)}
}

// shape checks that a buffer is made of what its heap takes.
func (o *oracle) shape(b owned) {
	h := o.heaps[b.heap]
	pages := b.Block.Size / 4096
	pieces := h.Extents(nil, b.Buffer)
	if h.IsCMA() {
		align := uint64(1)
		for align < pages && align < 256 {
			align *= 2
		}
		area := o.memory.Area(h.Area).Pages
		run := mem.Range{Lo: b.Block.Addr / 4096, Hi: b.Block.Addr/4096 + pages}
		if len(pieces) != 1 || run.Lo%align != 0 || !area.Contains(run) {
			o.t.Fatalf("%d pages at %v of area %v", pages, pieces, area)
		}
		return
	}
	sum, last := uint64(0), uint(8)
	for i, block := range b.blocks {
		size := uint64(1) << block.Order
		known := block.Order == 0 || (block.Order == 4 || block.Order == 8) && (h.Kind == heap.Pooled || !h.Kernel.Before(5, 11))
		if !known || block.Order > last || size > pages-sum || block.PFN%size != 0 {
			o.t.Fatalf("block %d of %d pages: %+v after %d pages of order %d", i, pages, block, sum, last)
		}
		if pieces[i] != (mem.Range{Lo: block.PFN * 4096, Hi: (block.PFN + size) * 4096}) {
			o.t.Fatalf("piece %d is %v of block %+v", i, pieces[i], block)
		}
		sum, last = sum+size, block.Order
	}
	if sum != pages || b.Block.Addr != b.blocks[0].PFN*4096 {
		o.t.Fatalf("%d pages in %d: %+v", sum, pages, b)
	}
}

func (o *oracle) usage(number, client int) (u ledger.Usage) {
	for _, b := range o.live {
		if b.heap == number && (client < 0 || int(b.Owner) == client) {
			u.Blocks++
			u.Reserved += b.Block.Size
			u.Requested += b.Payload
		}
	}
	return u
}

func (o *oracle) check() {
	if err := o.memory.Check(); err != nil {
		o.t.Fatal(err)
	}
	held, kept := uint64(0), uint64(0)
	for i, h := range o.heaps {
		for client := -1; client < 2; client++ {
			got := h.Usage()
			if client >= 0 {
				got = h.ClientUsage(client)
			}
			if want := o.usage(i, client); got != want {
				o.t.Fatalf("heap %d, client %d: %+v, want %+v", i, client, got, want)
			}
		}
		if reserved, requested := h.Peaks(); [2]uint64{reserved, requested} != o.peaks[i] {
			o.t.Fatalf("heap %d: peaks %d and %d, want %v", i, reserved, requested, o.peaks[i])
		}
		if h.Kind != heap.Pooled && h.Kept() != 0 {
			o.t.Fatalf("heap %d keeps %d bytes", i, h.Kept())
		}
		if _, late := h.Due(); h.Pool > 0 && !late && h.Kept() > h.Pool {
			o.t.Fatalf("heap %d keeps %d bytes of %d", i, h.Kept(), h.Pool)
		}
		held += h.Usage().Reserved
		kept += h.Kept()
	}
	mine := map[uint64]physmem.Owner{}
	for _, b := range o.live {
		for _, piece := range o.heaps[b.heap].Extents(nil, b.Buffer) {
			for pfn := piece.Lo / 4096; pfn < piece.Hi/4096; pfn++ {
				if _, twice := mine[pfn]; twice {
					o.t.Fatalf("frame %#x is in two buffers", pfn)
				}
				mine[pfn] = b.owner
			}
		}
	}
	frames, nobodys := uint64(0), uint64(0)
	for pfn := range uint64(16 * mib / 4096) {
		kind, owner := o.memory.At(pfn)
		if kind != physmem.DMABuf {
			continue
		}
		if want, ok := mine[pfn]; ok && want == owner {
			frames++
		} else if !ok && owner == 0 {
			nobodys++
		} else {
			o.t.Fatalf("frame %#x is of owner %d, want %d", pfn, owner, want)
		}
	}
	if frames*4096 != held || nobodys*4096 != kept {
		o.t.Fatalf("%d and %d frames for %d and %d bytes", frames, nobodys, held, kept)
	}
}

// TestPageHeapsKeepAccount runs random programs on a small machine: buffers,
// frees of live and of stale ones, want of memory, and processes that are killed
// for it, whose buffers go.
func TestPageHeapsKeepAccount(t *testing.T) {
	releases := []version.Version{v57, v515, v63, v612}
	rapid.Check(t, func(rt *rapid.T) {
		memory, err := physmem.New(physmem.Config{
			Page: 4096, Seed: 1, PerCPU: rapid.Bool().Draw(rt, "per-CPU lists"), Swap: 1 * mib,
			Zones: []physmem.Zone{
				{Name: "DMA", Ranges: mem.NewRangeSet(mem.Range{Lo: 0, Hi: 4 * mib})},
				{Name: "Normal", Ranges: mem.NewRangeSet(mem.Range{Lo: 4 * mib, Hi: 16 * mib})},
			},
			CMA: []physmem.Area{{Name: "reserved", Range: mem.Range{Lo: 8 * mib, Hi: 12 * mib}}},
		})
		if err != nil {
			rt.Fatal(err)
		}
		kernel := rapid.SampledFrom(releases).Draw(rt, "kernel")
		o := &oracle{t: rt, memory: memory}
		for _, kind := range []heap.PageKind{heap.System, heap.CMA, heap.Pooled} {
			cfg := heap.PageConfig{Kind: kind, Memory: memory, Kernel: kernel, Clients: 2, Guard: rapid.SampledFrom([]uint64{0, 0, 100, 8192}).Draw(rt, "guard")}
			if kind == heap.Pooled {
				cfg.Pool = rapid.SampledFrom([]uint64{0, 300000, 2 * mib}).Draw(rt, "pool")
				cfg.Delay = rapid.SampledFrom([]time.Duration{0, 3}).Draw(rt, "delay")
			}
			o.heaps = append(o.heaps, heap.NewPages(cfg))
			o.peaks = append(o.peaks, [2]uint64{})
		}
		add := func(cfg physmem.OwnerConfig) physmem.Owner {
			owner, err := memory.AddOwner(cfg)
			if err != nil {
				rt.Fatal(err)
			}
			return owner
		}
		files := add(physmem.OwnerConfig{Unkillable: true})
		user := add(physmem.OwnerConfig{})
		free := func(i int) {
			b := o.live[i]
			if err := o.heaps[b.heap].Free(b.Buffer, o.now); err != nil {
				rt.Fatal(err)
			}
			o.live = append(o.live[:i], o.live[i+1:]...)
			o.stale = append(o.stale, b)
		}
		memory.OnOutOfMemory(func(report physmem.OutOfMemory) {
			for i := len(o.live) - 1; i >= 0; i-- {
				if o.live[i].owner == report.Victim {
					free(i)
				}
			}
			if report.Victim == user {
				user = 0
			}
		})
		for range rapid.IntRange(1, 60).Draw(rt, "steps") {
			if user == 0 {
				user = add(physmem.OwnerConfig{})
			}
			switch op := rapid.IntRange(0, 9).Draw(rt, "op"); {
			case op < 4:
				size := rapid.OneOf(rapid.Uint64Range(1, 70000), rapid.Uint64Range(1, 3*mib), rapid.Just(17*mib)).Draw(rt, "size")
				o.alloc(rapid.IntRange(0, 2).Draw(rt, "heap"), rapid.IntRange(0, 1).Draw(rt, "client"), user, size)
			case op < 6 && len(o.live) > 0:
				free(rapid.IntRange(0, len(o.live)-1).Draw(rt, "buffer"))
			case op == 6 && len(o.stale) > 0:
				b := rapid.SampledFrom(o.stale).Draw(rt, "stale")
				if err := o.heaps[b.heap].Free(b.Buffer, o.now); !errors.Is(err, allocator.ErrDoubleFree) {
					rt.Fatalf("a buffer was freed twice: %v", err)
				}
			case op == 7:
				o.now++
				if err := o.heaps[2].Work(o.now); err != nil {
					rt.Fatal(err)
				}
				if due, ok := o.heaps[2].Due(); ok && due <= o.now {
					rt.Fatalf("due at %d, after the work of %d", due, o.now)
				}
			case op == 8:
				pages := rapid.Uint64Range(1, 2000).Draw(rt, "pages")
				owner, kind := files, physmem.PageCache
				if rapid.Bool().Draw(rt, "anonymous") {
					owner, kind = user, physmem.Anonymous
				}
				if _, _, err := memory.Populate(owner, kind, pages); err != nil {
					rt.Fatal(err)
				}
			case op == 9:
				if _, err := memory.Release(files, physmem.PageCache, 500); err != nil {
					rt.Fatal(err)
				}
			}
			o.check()
		}
		for len(o.live) > 0 {
			free(len(o.live) - 1)
		}
		o.check()
	})
}
