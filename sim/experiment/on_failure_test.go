package experiment_test

import (
	"context"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"dmasim/sim/experiment"
)

// refused is 10 s in which 1 MiB is free for the second half: one buffer is wanted every
// second, and served at once or dropped after a retry half a second later.
const refused = `
name: refused
duration: 10s
memory: [{base: 0x0, size: 1MiB}]
heaps: [{name: main, allocator: first-fit}]
workloads:
  - name: block
    heap: main
    churn: {every: {fixed: 1ms}, count: 1, size: {fixed: 1MiB}, lifetime: {fixed: 5300ms}}
  - name: work
    heap: main
    on_failure: {retries: 1, backoff: {initial: 500ms}}
    churn: {every: {fixed: 1s}, size: {fixed: 64KiB}, lifetime: {fixed: 100ms}, clients: [{name: one}, {name: never, weight: 0}]}
variants: [{name: a}, {name: b}]
`

// TestDropped: of nine buffers, wanted after 1 s to 9 s, the first four are dropped, the
// fifth waits half a second. Warm-up leaves out what was wanted in it.
func TestDropped(t *testing.T) {
	for _, c := range []struct {
		warmUp        time.Duration
		dropped, wait float64
	}{
		{0, 4.0 / 9, 0.5 / 5},
		{2500 * time.Millisecond, 2.0 / 7, 0.5 / 5},
		{6 * time.Second, 0, 0},
	} {
		p := plan(t, refused)
		p.Replications, p.WarmUp, p.Metric = 2, c.warmUp, "dropped"
		got := compare(t, p)
		for name, want := range map[string]float64{"dropped": c.dropped, "wait": c.wait} {
			m := got.Metric(name)
			if mean := got.Cells[0][m].Mean.Estimate; math.Abs(mean-want) > 1e-12 {
				t.Errorf("warm-up %v: %s is %v, want %v", c.warmUp, name, mean, want)
			}
			if got.Metrics[m].Better != experiment.Lower || experiment.BetterOf(name) != experiment.Lower {
				t.Errorf("%s: more is better", name)
			}
		}
		v := &p.Variants[0]
		list, err := experiment.Measure(context.Background(), v, 7, c.warmUp, experiment.Options{Jobs: 1})
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(list, func(m experiment.Measurement) bool { return m.Name == "dropped" })
		if i < 0 || math.Abs(list[i].Value-c.dropped) > 1e-12 {
			t.Errorf("warm-up %v: measured %+v", c.warmUp, list)
		}
	}
	// Nobody asks again: there is no such metric.
	list, err := experiment.Measure(context.Background(), &plan(t, small).Variants[0], 7, 0, experiment.Options{Jobs: 1})
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range list {
		if strings.HasPrefix(m.Name, "dropped") || m.Name == "wait" {
			t.Errorf("%+v", m)
		}
	}
}
