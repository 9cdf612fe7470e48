package experiment_test

import (
	"context"
	"errors"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"dmasim/allocator"
	_ "dmasim/allocator/kernel"
	"dmasim/devices"
	"dmasim/mem"
	"dmasim/sim"
	"dmasim/sim/experiment"
	"dmasim/sim/scenario"
	"dmasim/workloads/bufferlist"
)

const small = `
name: small
seed: 7
duration: 20s
memory: [{base: 0x0, size: 1MiB}]
heaps: [{name: main, allocator: first-fit, aware: true}]
workloads:
  - name: work
    heap: main
    churn: {every: {exponential: {mean: 10ms}}, size: {uniform: {min: 1KiB, max: 64KiB}}, lifetime: {exponential: {mean: 180ms}}}
variants:
  - {name: first-fit}
  - {name: same}
  - {name: best-fit, set: {heaps.main.allocator: best-fit}}
`

func plan(t *testing.T, text string) experiment.Plan {
	t.Helper()
	sc, err := scenario.Parse("test.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return experiment.Plan{Variants: sc.Variants, Seed: 7, Replications: 12, Metric: "failed", Options: experiment.Options{Jobs: 2}}
}

func compare(t *testing.T, p experiment.Plan) *experiment.Comparison {
	t.Helper()
	c, err := experiment.Compare(context.Background(), p)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// The blocking probabilities of this system are known exactly, from a Markov chain
// over all layouts of its memory (embedded/blocking-exact.yaml).
func TestCompareAgreesWithTheory(t *testing.T) {
	sc, err := scenario.Open("blocking-exact")
	if err != nil {
		t.Fatal(err)
	}
	p := experiment.Plan{Seed: 1, Replications: 20, Options: experiment.Options{Jobs: 2}}
	for i := range sc.Variants {
		v, err := sc.Variants[i].With("duration", "5h")
		if err != nil {
			t.Fatal(err)
		}
		p.Variants = append(p.Variants, v)
	}
	c := compare(t, p)
	const standardErrors = 4
	for v, want := range [][2]float64{{0.499372421, 0.002174874}, {0.117823227, 0.009532711}} {
		for i, metric := range []string{"failed:a", "failed:b"} {
			got := c.Cells[v][c.Metric(metric)].Mean
			if within := standardErrors * got.HalfWidth() / 2.093024; math.Abs(got.Estimate-want[i]) > within {
				t.Errorf("%s of %s = %v ± %v, want %v", metric, c.Variants[v], got.Estimate, within, want[i])
			}
		}
	}
	if d := c.Cells[1][c.Metric("failed:a")].Difference; !d.Supported() || d.Difference.Hi > -0.37 {
		t.Errorf("difference of failed:a: %+v", d)
	}
}

func TestComparisonIsTheSameForAnyJobs(t *testing.T) {
	p := plan(t, small)
	one := compare(t, p)
	p.Jobs = 8
	if diff := cmp.Diff(one, compare(t, p), cmpopts.EquateNaNs()); diff != "" {
		t.Error(diff)
	}
}

// Variants that are the same get the same work and differ in nothing; those that
// are not are compared in pairs.
func TestCommonRandomNumbers(t *testing.T) {
	c := compare(t, plan(t, small))
	for m, metric := range c.Metrics {
		if d := c.Cells[1][m].Difference; d.Difference.Estimate != 0 || d.P != 1 || d.A12 < 0.5 || d.A12 > 0.5 {
			t.Errorf("%s of equal variants: %+v", metric.Name, d)
		}
		if d := c.Cells[2][m].Difference; d.LogRank || d.Holm < d.P {
			t.Errorf("%s: %+v", metric.Name, d)
		}
	}
	for i, run := range c.Runs[2] {
		if run.Seed != 7+uint64(i) {
			t.Errorf("replication %d has the seed %d", i, run.Seed)
		}
	}
	paired := c.Cells[2][c.Metric("failed")].Difference
	p := plan(t, small)
	p.Independent = true
	independent := compare(t, p)
	d := independent.Cells[2][c.Metric("failed")].Difference
	if d.Difference.HalfWidth() < 2*paired.Difference.HalfWidth() {
		t.Errorf("pairs have ± %v, independent runs ± %v", paired.Difference.HalfWidth(), d.Difference.HalfWidth())
	}
	if free := independent.Cells[2][c.Metric(experiment.FailureFree)].Difference; !free.LogRank {
		t.Errorf("independent lifetimes are not compared by the log-rank test: %+v", free)
	}
	if independent.Runs[0][0].Seed == independent.Runs[1][0].Seed {
		t.Error("independent variants share a seed")
	}
}

func TestCompareUntilPrecise(t *testing.T) {
	p := plan(t, small)
	p.Replications, p.Precision = 400, 0.04
	c := compare(t, p)
	if n := len(c.Runs[0]); !c.Precise || n < 10 || n == 400 {
		t.Errorf("%d replications, precise: %v", n, c.Precise)
	}
	for v, cells := range c.Cells {
		if mean := cells[c.Metric("failed")].Mean; mean.HalfWidth() > 0.04*mean.Estimate {
			t.Errorf("%s: %+v", c.Variants[v], mean)
		}
	}
	p.Replications, p.Precision = 12, 0.001
	if c := compare(t, p); c.Precise || len(c.Runs[0]) != 12 {
		t.Errorf("%d replications, precise: %v", len(c.Runs[0]), c.Precise)
	}
}

func TestWarmUp(t *testing.T) {
	p := plan(t, small)
	p.FindWarmUp = true
	c := compare(t, p)
	if c.WarmUp <= 0 || c.WarmUp > 5*time.Second {
		t.Errorf("warm-up %v of 20 s with lifetimes of 180 ms", c.WarmUp)
	}
	whole := compare(t, plan(t, small))
	if m := c.Metric("used"); c.Cells[0][m].Mean.Estimate <= whole.Cells[0][m].Mean.Estimate {
		t.Error("without the beginning, no more memory is in use")
	}
	if m := c.Metric(experiment.FailureFree); c.Cells[0][m].Mean != whole.Cells[0][m].Mean {
		t.Error("warm-up changed the failure-free time")
	}
}

func TestUnknownMetric(t *testing.T) {
	p := plan(t, small)
	p.Metric = "faild"
	if _, err := experiment.Compare(context.Background(), p); !errors.Is(err, experiment.ErrMetric) {
		t.Errorf("error %v", err)
	}
}

func TestCompareStopsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := experiment.Compare(ctx, plan(t, small)); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

// recorder keeps what a simulation did.
type recorder struct {
	places []uint64
	causes []allocator.Cause
}

func (*recorder) Advance(time.Duration) {}

func (r *recorder) Event(e *sim.Event) {
	r.places, r.causes = append(r.places, e.Buffer.Block.Addr), append(r.causes, e.Diagnosis.Cause)
}

// Where two variants part ways is found as well by recording both whole.
func TestDiverge(t *testing.T) {
	p := plan(t, small)
	a, b := &p.Variants[0], &p.Variants[2]
	var logs [2]recorder
	for i, v := range []*scenario.Variant{a, b} {
		if _, err := experiment.Simulate(context.Background(), v, 7, experiment.Options{}, &logs[i]); err != nil {
			t.Fatal(err)
		}
	}
	outcome := slices.IndexFunc(logs[0].causes, func(allocator.Cause) bool { return false })
	place := -1
	for i := range logs[0].causes {
		if place < 0 && logs[0].places[i] != logs[1].places[i] {
			place = i
		}
		if logs[0].causes[i] != logs[1].causes[i] {
			outcome = i
			break
		}
	}
	d, err := experiment.Diverge(context.Background(), a, b, 7)
	if err != nil {
		t.Fatal(err)
	}
	if d.Place == nil || d.Outcome == nil || int(d.Place.Event) != place+1 || int(d.Outcome.Event) != outcome+1 {
		t.Fatalf("%+v, want events %d and %d", d, place+1, outcome+1)
	}
	for _, side := range d.Outcome.Sides {
		if len(side.Map) == 0 || side.Free == 0 {
			t.Errorf("side %+v", side)
		}
	}
	same, err := experiment.Diverge(context.Background(), a, &p.Variants[1], 7)
	if err != nil || same.Place != nil || same.Outcome != nil || int(same.Events) != len(logs[0].causes) {
		t.Errorf("equal variants: %+v, %v", same, err)
	}
}

func list(t require, text, strategy string, restarts int) experiment.Sizing {
	groups, err := bufferlist.Parse(text)
	if err != nil {
		t.Fatalf("%v", err)
	}
	none, err := devices.Merge()
	if err != nil {
		t.Fatalf("%v", err)
	}
	return experiment.Sizing{
		Step: 4 * mem.KiB, Most: mem.MiB, Seed: 1, Runs: 3, Jobs: 2,
		Build: func(size mem.Size, seed uint64) (sim.Config, error) {
			cfg := sim.Config{
				Heaps:  []sim.Heap{{Name: "heap", Arena: mem.NewRangeSet(mem.Range{Hi: uint64(size)}), Granule: 4096, Allocator: strategy}},
				Inputs: []sim.Input{{Name: "list", Source: bufferlist.NewSource(groups, restarts, seed)}},
			}
			for i, g := range groups {
				cfg.Clients = append(cfg.Clients, sim.Client{Name: g.Label, Plan: none})
				cfg.Inputs[0].Clients = append(cfg.Inputs[0].Clients, i)
			}
			return cfg, nil
		},
	}
}

// require is what tests and properties have in common.
type require interface{ Fatalf(string, ...any) }

// Whatever the search skips, what it claims holds when every size is tried.
func TestSmallestAgainstAllSizes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.SampledFrom([]string{"3x 12KiB, 2x 20KiB, 4KiB", "8x 4KiB, 3x 28KiB, 2x 8KiB", "2x 64KiB", "5x 16KiB, 7x 12KiB"}).Draw(t, "list")
		strategy := rapid.SampledFrom([]string{"first-fit", "best-fit", "buddy", "tlsf", "cma", "worst-fit"}).Draw(t, "strategy")
		z := list(t, text, strategy, rapid.IntRange(0, 20).Draw(t, "restarts"))
		found, err := experiment.Smallest(context.Background(), z)
		if err != nil {
			t.Fatalf("%v", err)
		}
		exact := z
		least := mem.Size(0)
		for size := z.Step; size <= found.Enough; size += z.Step {
			exact.Floor, exact.Most = size, size
			one, err := experiment.Smallest(context.Background(), exact)
			if err != nil {
				t.Fatalf("%v", err)
			}
			if one.Enough > 0 && least == 0 {
				least = size
			}
			if size == found.Enough && one.Enough == 0 {
				t.Fatalf("%v is not enough", size)
			}
			if size == found.TooSmall && one.Enough > 0 {
				t.Fatalf("%v is not too small", size)
			}
		}
		if found.Enough == 0 || found.TooSmall >= found.Enough || found.Least > found.Enough || found.Least < least {
			t.Fatalf("%+v; the least is %v", found, least)
		}
		if found.All && found.Least != least {
			t.Fatalf("%+v claims to have tried all; the least is %v", found, least)
		}
		cfg, err := z.Build(mem.MiB, 1)
		if err != nil {
			t.Fatalf("%v", err)
		}
		floor, known, err := experiment.FindFloor(context.Background(), cfg, 0, nil)
		if err != nil || !known || floor.Bound > least || floor.Load > floor.Bound || (floor.Packed > 0 && floor.Packed < floor.Bound) {
			t.Fatalf("floor %+v, %v, %v; the least is %v", floor, known, err, least)
		}
	})
}

func TestSmallestFindsNone(t *testing.T) {
	z := list(t, "2x 64KiB", "first-fit", 0)
	z.Most = 100 * mem.KiB
	found, err := experiment.Smallest(context.Background(), z)
	if err != nil || found.Enough != 0 || found.TooSmall != 100*mem.KiB || found.Cause != allocator.Exhausted {
		t.Errorf("%+v, %v", found, err)
	}
}
