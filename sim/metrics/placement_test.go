package metrics_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"dmasim/allocator"
	"dmasim/internal/shareddata"
	"dmasim/mem"
	"dmasim/sim"
	"dmasim/sim/metrics"
	"dmasim/sim/scenario"
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
