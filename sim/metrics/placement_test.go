package metrics_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"math"
	"os"
	"runtime"
	"testing"
	"time"

	"dmasim/allocator"
	"dmasim/internal/shareddata"
	"dmasim/mem"
	"dmasim/sim"
	"dmasim/sim/metrics"
	"dmasim/sim/scenario"
	"dmasim/workloads/bench"
	"dmasim/workloads/trace"
)

// placements is a scenario around a placement trace.
func placements(tb testing.TB, file, strategy string, arena mem.Size) *scenario.Variant {
	tb.Helper()
	text := fmt.Sprintf(`name: placements
duration: 2s
memory: [{base: 0x0, size: %v}]
heaps: [{name: main, allocator: %s, aware: true}]
workloads: [{name: trace, heap: main, trace: {file: %q, format: placement}}]
`, arena, strategy, file)
	sc, err := scenario.Parse("placements.yaml", []byte(text))
	if err != nil {
		tb.Fatal(err)
	}
	return &sc.Variants[0]
}

// addresses adds up where buffers are placed.
type addresses struct{ sum uint64 }

func (*addresses) Advance(time.Duration) {}

func (a *addresses) Event(e *sim.Event) {
	if e.Kind == sim.Alloc && e.Diagnosis.Cause == allocator.None {
		a.sum += e.Buffer.Block.Addr
	}
}

// TestPlacementTrace streams the random placement trace through the whole
// simulation. The sums of all placed addresses modulo 2^64 are those of
// independent programs, as in the allocator's own test.
func TestPlacementTrace(t *testing.T) {
	path := shareddata.Path(t, "placement", "random.bin.gz")
	for _, test := range []struct {
		strategy string
		arena    mem.Size
		sum      uint64
		failures uint64
	}{
		{"first-fit", 6789 * mem.MiB, 0x390d63f125000, 0},
		{"first-fit", 6075 * mem.MiB, 0x3622d3b432000, 7815},
		{"best-fit", 6789 * mem.MiB, 0x5d134a6165000, 0},
		{"best-fit", 6075 * mem.MiB, 0x5c3447e87f000, 1575},
	} {
		t.Run(fmt.Sprint(test.strategy, test.arena), func(t *testing.T) {
			t.Parallel()
			cfg, err := placements(t, path, test.strategy, test.arena).Build(1)
			if err != nil {
				t.Fatal(err)
			}
			s, err := sim.New(cfg)
			if err != nil {
				t.Fatal(err)
			}
			collector := metrics.NewCollector(cfg, s)
			var got addresses
			s.Observe(&got)
			if err := s.Run(context.Background()); err != nil {
				t.Fatal(err)
			}
			summary := collector.Run().Summary
			if failures := summary.Clients[0].Failures; got.sum != test.sum || failures != test.failures {
				t.Errorf("sum %#x, %d failures; want %#x, %d", got.sum, failures, test.sum, test.failures)
			}
		})
	}
}

// recorded is the random placement trace in memory, unzipped: once as the file
// has it and once as records.
type recorded struct {
	trace.PlacementHeader
	raw     []byte
	records []trace.Placement
}

func loadRecorded(tb testing.TB, path string) *recorded {
	tb.Helper()
	f, err := os.Open(path)
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	unzipped, err := gzip.NewReader(f)
	if err != nil {
		tb.Fatal(err)
	}
	raw, err := io.ReadAll(unzipped)
	if err != nil {
		tb.Fatal(err)
	}
	r := &recorded{raw: raw}
	reader := r.reader(tb)
	r.PlacementHeader = reader.Header
	for p, ok := reader.Next(); ok; p, ok = reader.Next() {
		r.records = append(r.records, p)
	}
	if err := reader.Err(); err != nil {
		tb.Fatal(err)
	}
	return r
}

func (r *recorded) reader(tb testing.TB) *trace.PlacementReader {
	reader, err := trace.NewPlacementReader(bytes.NewReader(r.raw))
	if err != nil {
		tb.Fatal(err)
	}
	return reader
}

// replay runs the trace on a bare strategy.
func (r *recorded) replay(b *testing.B, strategy string, arena mem.Size) {
	s, err := allocator.New(strategy, allocator.Config{Arena: mem.NewRangeSet(mem.Range{Hi: uint64(arena)}), Granule: r.Unit})
	if err != nil {
		b.Fatal(err)
	}
	live := make([]allocator.Block, r.Slots)
	for i := range r.records {
		p := &r.records[i]
		slot := &live[p.Slot]
		switch {
		case !p.Free:
			*slot, _ = s.Alloc(allocator.Request{Size: p.Size, Align: p.Align, Hi: p.Limit})
		case slot.Size != 0:
			if err := s.Free(*slot); err != nil {
				b.Fatal(err)
			}
			slot.Size = 0
		}
	}
}

// BenchmarkPlacementTrace streams the random placement trace, unzipped, through
// whole simulations with all metrics. ns/event is one of its allocations or
// frees, and times-bare its ratio to that on the bare strategy, which takes turns
// with it; both are times by the clock of package bench, each of the round that was
// disturbed least: of ten or so (-benchtime 10x).
func BenchmarkPlacementTrace(b *testing.B) {
	path := shareddata.Path(b, "placement", "random.bin.gz")
	r := loadRecorded(b, path)
	arena := mem.Size(r.Arena())
	for _, strategy := range []string{"first-fit", "best-fit", "tlsf"} {
		b.Run(strategy, func(b *testing.B) {
			v := placements(b, path, strategy, arena)
			bare, whole := time.Duration(math.MaxInt64), time.Duration(math.MaxInt64)
			for b.Loop() {
				bare = min(bare, timed(b, func() { r.replay(b, strategy, arena) }))
				cfg, err := v.Build(1)
				if err != nil {
					b.Fatal(err)
				}
				cfg.Inputs[0].Source = trace.NewPlacementSource(r.reader(b), time.Microsecond)
				whole = min(whole, timed(b, func() { measure(b, cfg) }))
			}
			reportEvents(b, r.Records, time.Duration(b.N)*whole)
			b.ReportMetric(float64(whole)/float64(bare), "times-bare")
		})
	}
}

// measure runs a simulation with all metrics.
func measure(b *testing.B, cfg sim.Config, observers ...sim.Observer) metrics.Run {
	s, err := sim.New(cfg, observers...)
	if err != nil {
		b.Fatal(err)
	}
	collector := metrics.NewCollector(cfg, s)
	if err := s.Run(context.Background()); err != nil {
		b.Fatal(err)
	}
	return collector.Run()
}

// timed returns the time that f takes, by the clock of package bench.
func timed(b *testing.B, f func()) time.Duration {
	b.Helper()
	runtime.GC()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	start, err := bench.Now()
	if err != nil {
		b.Fatal(err)
	}
	f()
	end, err := bench.Now()
	if err != nil {
		b.Fatal(err)
	}
	return end - start
}

// reportEvents reports what one of the events of each iteration cost.
func reportEvents(b *testing.B, events uint64, took time.Duration) {
	total := float64(events) * float64(b.N)
	b.ReportMetric(float64(took)/total, "ns/event")
	b.ReportMetric(total/took.Seconds(), "events/s")
	b.ReportMetric(0, "ns/op")
}
