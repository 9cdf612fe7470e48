package kernel_test

import (
	"os"
	"sync"
	"testing"

	"dmasim/allocator"
	"dmasim/internal/shareddata"
	"dmasim/mem"
	"dmasim/workloads/trace"
)

// placements is the random placement trace. Its path must exist.
var placements = sync.OnceValues(func() (records []trace.Placement, err error) {
	f, err := os.Open(placementPath)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	r, err := trace.NewPlacementReader(f)
	if err != nil {
		return nil, err
	}
	for op, ok := r.Next(); ok; op, ok = r.Next() {
		placementSlots = max(placementSlots, int(op.Slot)+1)
		records = append(records, op)
	}
	return records, r.Err()
})

var (
	placementPath  string
	placementSlots int
)

func newOnTrace(tb testing.TB, name string, arena mem.Size) allocator.Strategy {
	s, err := allocator.New(name, allocator.Config{Arena: mem.NewRangeSet(mem.Range{Hi: uint64(arena)}), Granule: 4096})
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

func replay(tb testing.TB, s allocator.Strategy, records []trace.Placement) (failures int, sum uint64) {
	live := make([]allocator.Block, placementSlots)
	for i := range records {
		op := &records[i]
		at := &live[op.Slot]
		if !op.Free {
			var ok bool
			if *at, ok = s.Alloc(allocator.Request{Size: op.Size, Align: op.Align, Hi: op.Limit}); !ok {
				failures++
			}
			sum += at.Addr
		} else if at.Size != 0 {
			if err := s.Free(*at); err != nil {
				tb.Fatal(err)
			}
		}
	}
	return failures, sum
}

// TestDRMMMTrace replays the random placement trace. The sums of all addresses
// modulo 2^64 are those of the kernel's own drm_mm in mode Low, with which other
// programs for exact first fit agree.
func TestDRMMMTrace(t *testing.T) {
	placementPath = shareddata.Path(t, "placement", "random.bin.gz")
	records, err := placements()
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		arena    mem.Size
		sum      uint64
		failures int
	}{
		{6789 * mem.MiB, 0x390d63f125000, 0},
		{6075 * mem.MiB, 0x3622d3b432000, 7815},
	} {
		failures, sum := replay(t, newOnTrace(t, "drm-mm-low", test.arena), records)
		if failures != test.failures || sum != test.sum {
			t.Errorf("%s: %d failures, sum %#x; want %d, %#x", test.arena, failures, sum, test.failures, test.sum)
		}
	}
}

// BenchmarkDRMTrace replays the whole trace in each operation.
func BenchmarkDRMTrace(b *testing.B) {
	placementPath = shareddata.Path(b, "placement", "random.bin.gz")
	records, err := placements()
	if err != nil {
		b.Fatal(err)
	}
	for _, name := range []string{"drm-mm-low", "drm-mm-best", "drm-buddy", "page-buddy"} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			failures, done := 0, 0
			for b.Loop() {
				failures, _ = replay(b, newOnTrace(b, name, 6789*mem.MiB), records)
				done += len(records)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(done), "ns/record")
			b.ReportMetric(float64(failures), "failures")
		})
	}
}
