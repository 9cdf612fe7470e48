package buddy_test

import (
	"math/rand/v2"
	"testing"

	"dmasim/allocator/kernel/buddy"
)

// BenchmarkZone allocates and frees blocks of mixed orders in a zone of 16 GiB
// that is about half full. One operation is one allocation or one free.
func BenchmarkZone(b *testing.B) {
	z := newZone(b, buddy.Config{Pages: 1 << 22, PageblockOrder: 9})
	benchmark(b, z.Alloc, z.Free)
}

// BenchmarkPerCPU is BenchmarkZone with per-CPU lists.
func BenchmarkPerCPU(b *testing.B) {
	z := newZone(b, buddy.Config{Pages: 1 << 22, PageblockOrder: 9})
	p := buddy.NewPerCPU(z, buddy.Sizing{Managed: 1 << 22, LowWatermark: 10000}.Limits())
	benchmark(b, p.Alloc, p.Free)
}

func benchmark(b *testing.B, alloc func(buddy.Request) (uint64, bool), free func(uint64) error) {
	r := rand.New(rand.NewPCG(1, 2))
	live := make([]uint64, 0, 1<<19)
	step := func() {
		n := r.Uint64()
		if len(live) < cap(live)/2 || n&1 == 0 && len(live) < cap(live) {
			request := buddy.Request{Order: uint(n >> 1 % 5), Type: buddy.Type(n >> 8 % 3), LRU: n>>16&1 == 0}
			if pfn, ok := alloc(request); ok {
				live = append(live, pfn)
			}
			return
		}
		i, last := int(n>>20%uint64(len(live))), len(live)-1
		if err := free(live[i]); err != nil {
			b.Fatal(err)
		}
		live[i] = live[last]
		live = live[:last]
	}
	for range cap(live) {
		step()
	}
	b.ReportAllocs()
	for b.Loop() {
		step()
	}
}

// BenchmarkNew boots a zone of 64 GiB.
func BenchmarkNew(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		newZone(b, buddy.Config{Pages: 1 << 24, PageblockOrder: 9})
	}
}
