package allocator_test

import (
	"fmt"
	"os"
	"sync"
	"testing"

	"dmasim/allocator"
	"dmasim/internal/shareddata"
	"dmasim/mem"
	"dmasim/workloads/trace"
)

// placementTrace is a whole placement trace in memory.
type placementTrace struct {
	trace.PlacementHeader
	records []trace.Placement
}

// arena returns the arena in which the live bytes of the trace fill that many
// percent on average.
func (p *placementTrace) arena(percent uint64) mem.RangeSet {
	const unit = uint64(mem.MiB)
	size := p.MeanLive * 100 / percent
	return mem.NewRangeSet(mem.Range{Lo: 0, Hi: (size + unit - 1) / unit * unit})
}

var (
	randomTraceOnce sync.Once
	randomTrace     *placementTrace
	randomTraceErr  error
)

// randomPlacements returns the random placement trace, which it loads once. It
// skips the test where the recordings are absent.
func randomPlacements(tb testing.TB) *placementTrace {
	tb.Helper()
	path := shareddata.Path(tb, "placement", "random.bin.gz")
	randomTraceOnce.Do(func() { randomTrace, randomTraceErr = loadPlacements(path) })
	if randomTraceErr != nil {
		tb.Fatal(randomTraceErr)
	}
	return randomTrace
}

func loadPlacements(path string) (*placementTrace, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	r, err := trace.NewPlacementReader(f)
	if err != nil {
		return nil, err
	}
	p := &placementTrace{r.Header, make([]trace.Placement, 0, r.Header.Records)}
	for record, ok := r.Next(); ok; record, ok = r.Next() {
		p.records = append(p.records, record)
	}
	return p, r.Err()
}

// replay runs records on s. Blocks are kept by slot in live; a Size of 0 means
// that there is none.
func replay(s allocator.Strategy, records []trace.Placement, live []allocator.Block) (failures int, sum uint64, err error) {
	for i := range records {
		p := &records[i]
		slot := &live[p.Slot]
		if !p.Free {
			block, ok := s.Alloc(allocator.Request{Size: p.Size, Align: p.Align, Hi: p.Limit})
			if !ok {
				failures++
				continue
			}
			*slot = block
			sum += block.Addr
			continue
		}
		if slot.Size == 0 {
			continue
		}
		if err := s.Free(*slot); err != nil {
			return failures, sum, fmt.Errorf("record %d: %w", i+1, err)
		}
		slot.Size = 0
	}
	return failures, sum, nil
}

// BenchmarkPlacementTrace replays the random placement trace on every
// registered strategy, in arenas that are filled to 85 and 95 percent. One
// operation is one allocation or one free; about 10,000 blocks are live. It
// reports the failures of one whole replay.
func BenchmarkPlacementTrace(b *testing.B) {
	p := randomPlacements(b)
	for _, name := range allocator.Names() {
		for _, percent := range []uint64{85, 95} {
			b.Run(fmt.Sprintf("%s/%d", name, percent), func(b *testing.B) {
				benchmarkTrace(b, p, name, allocator.Config{Arena: p.arena(percent), Granule: p.Unit})
			})
		}
	}
}

// benchmarkTrace runs b.N operations, starting over with a new strategy at the
// end of the trace.
func benchmarkTrace(b *testing.B, p *placementTrace, name string, cfg allocator.Config) {
	b.ReportAllocs()
	failures := 0
	for left := b.N; left > 0; {
		b.StopTimer()
		s, err := allocator.New(name, cfg)
		if err != nil {
			b.Fatal(err)
		}
		live := make([]allocator.Block, p.Slots)
		records := p.records[:min(left, len(p.records))]
		b.StartTimer()
		n, _, err := replay(s, records, live)
		if err != nil {
			b.Fatal(err)
		}
		left -= len(records)
		if len(records) == len(p.records) {
			failures = n
		}
	}
	b.ReportMetric(float64(failures), "failures")
}
