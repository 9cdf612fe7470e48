package cma_test

import (
	"errors"
	"math/bits"
	"os"
	"slices"
	"testing"

	"dmasim/allocator/kernel/cma"
	"dmasim/internal/shareddata"
	"dmasim/workloads/trace"
)

// placements are the first operations of the random placement trace, in pages.
type placements struct {
	ops   []placement
	slots uint64
	pages uint64 // of an area that they fill to 85 percent on average
}

type placement struct {
	free       bool
	slot       uint32
	count      uint64
	alignOrder uint
}

func readPlacements(tb testing.TB, limit int) placements {
	tb.Helper()
	f, err := os.Open(shareddata.Path(tb, "placement", "random.bin.gz"))
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	r, err := trace.NewPlacementReader(f)
	if err != nil {
		tb.Fatal(err)
	}
	unit := r.Header.Unit
	p := placements{slots: r.Header.Slots, pages: r.Header.MeanLive * 100 / 85 / unit}
	for op, ok := r.Next(); ok && len(p.ops) < limit; op, ok = r.Next() {
		p.ops = append(p.ops, placement{
			op.Free, op.Slot, op.Size / unit, uint(bits.TrailingZeros64(max(op.Align/unit, 1))),
		})
	}
	if err := r.Err(); err != nil {
		tb.Fatal(err)
	}
	return p
}

// alignedByHeap returns the placements with the alignments that the CMA heap asks
// for by default.
func (p placements) alignedByHeap() placements {
	p.ops = slices.Clone(p.ops)
	for i := range p.ops {
		p.ops[i].alignOrder = cma.AlignOrder(p.ops[i].count, 8)
	}
	return p
}

type block struct{ pfn, count uint64 }

// TestSamePlacesOnTrace holds the area against the bitmap where it matters for
// speed: 10,000 blocks in 6.6 GiB, with the alignments of the trace and with those
// of the CMA heap.
func TestSamePlacesOnTrace(t *testing.T) {
	p := readPlacements(t, 40_000)
	t.Run("trace", func(t *testing.T) { samePlaces(t, p) })
	t.Run("heap", func(t *testing.T) { samePlaces(t, p.alignedByHeap()) })
}

func samePlaces(t *testing.T, p placements) {
	area, naive := newArea(t, 0, p.pages, 0), newBitmap(0, p.pages, 0)
	live := make([]block, p.slots)
	for i, op := range p.ops {
		b := &live[op.slot]
		if op.free {
			if b.count == 0 {
				continue
			}
			if err := area.Release(b.pfn, b.count); err != nil {
				t.Fatalf("operation %d: %v", i, err)
			}
			naive.release(b.pfn, b.count)
			b.count = 0
			continue
		}
		got, err := area.Alloc(op.count, op.alignOrder, nil)
		want, wantErr := naive.alloc(op.count, op.alignOrder, nil)
		if got != want || !errors.Is(err, wantErr) {
			t.Fatalf("operation %d: Alloc(%d, %d) = %#x, %v; the bitmap says %#x, %v", i, op.count, op.alignOrder, got, err, want, wantErr)
		}
		if err == nil {
			*b = block{got, op.count}
		}
	}
}

// BenchmarkTrace compares the area with the bitmap on the placement trace, after
// 40,000 operations, with the alignments of the trace and with those of the CMA
// heap. One operation is one allocation or one release.
func BenchmarkTrace(b *testing.B) {
	const ramp = 40_000
	p := readPlacements(b, ramp+100_000)
	for _, alignments := range []struct {
		name string
		placements
	}{{"trace", p}, {"heap", p.alignedByHeap()}} {
		b.Run(alignments.name+"/area", func(b *testing.B) {
			area := newArea(b, 0, p.pages, 0)
			benchmark(b, alignments.placements, ramp, area.Alloc, func(pfn, count uint64) { _ = area.Release(pfn, count) })
		})
		b.Run(alignments.name+"/bitmap", func(b *testing.B) {
			naive := newBitmap(0, p.pages, 0)
			benchmark(b, alignments.placements, ramp, naive.alloc, naive.release)
		})
	}
}

// benchmark runs the operations, and those after the ramp again and again: from
// the second time on, an allocation of a slot that is in use releases it first.
func benchmark(b *testing.B, p placements, ramp int, alloc func(uint64, uint, cma.Migrate) (uint64, error), release func(pfn, count uint64)) {
	b.ReportAllocs()
	live := make([]block, p.slots)
	run := func(op *placement) {
		at := &live[op.slot]
		if at.count != 0 {
			release(at.pfn, at.count)
			at.count = 0
		}
		if op.free {
			return
		}
		if pfn, err := alloc(op.count, op.alignOrder, nil); err == nil {
			*at = block{pfn, op.count}
		}
	}
	for i := range ramp {
		run(&p.ops[i])
	}
	rest := p.ops[ramp:]
	b.ResetTimer()
	for i := range b.N {
		run(&rest[i%len(rest)])
	}
}
