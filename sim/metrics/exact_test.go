package metrics_test

import (
	"context"
	"fmt"
	"math"
	"strings"
	"testing"

	"gonum.org/v1/gonum/stat"

	"dmasim/sim"
	"dmasim/sim/metrics"
	"dmasim/sim/scenario"
)

// simulate runs one variant with a seed of its own.
func simulate(t testing.TB, v *scenario.Variant, seed uint64, check bool) metrics.Run {
	t.Helper()
	cfg, err := v.Build(seed)
	if err != nil {
		t.Fatal(err)
	}
	if check {
		cfg.CheckEvery = 1
	}
	s, err := sim.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	collector := metrics.NewCollector(cfg, s)
	if err := s.Run(context.Background()); err != nil {
		t.Fatal(err)
	}
	return collector.Run()
}

// smallSystem is a heap of pages, with clients that arrive as Poisson processes
// and hold a fixed number of pages for an exponential time of mean 1 s.
func smallSystem(pages int, allocator string, clients ...smallClient) string {
	var b strings.Builder
	fmt.Fprintf(&b, "name: small\nseed: 1\nduration: 3h\nmemory: [{base: 0x0, size: %dKiB}]\n", 4*pages)
	fmt.Fprintf(&b, "heaps: [{name: main, allocator: %s, aware: true}]\n", allocator)
	fmt.Fprintf(&b, "devices:\n  - {name: any}\n  - {name: window, reach: [{lo: 0x0, size: 16KiB}]}\n  - {name: aligned, reach: [{lo: 0x0, size: 16KiB}], align: 8KiB}\n  - {name: natural, natural: true}\nworkloads:\n")
	for i, c := range clients {
		fmt.Fprintf(&b, "  - name: size%d-%d\n    heap: main\n    devices: [%s]\n    placement: %s\n", c.pages, i, c.device, c.placement)
		fmt.Fprintf(&b, "    churn: {every: {exponential: {mean: %gs}}, size: {fixed: %dKiB}, lifetime: {exponential: {mean: 1s}}}\n", 1/c.rate, 4*c.pages)
	}
	return b.String()
}

type smallClient struct {
	pages             int
	rate              float64 // per second
	device, placement string
}

// TestExactBlocking holds the whole simulation to the exact blocking
// probabilities of small systems: the stationary distribution of the Markov
// chain over all layouts, computed by two independent programs. Arrivals see
// autocorrelated states, so independent replications give the standard error;
// with 20 of them, 4 standard errors are passed by chance in less than one of a
// thousand cases, and the seeds are fixed.
func TestExactBlocking(t *testing.T) {
	const replications = 20
	mixed := func(a, b float64) []smallClient {
		return []smallClient{{1, a, "any", "natural"}, {2, b, "any", "natural"}}
	}
	windows := func(device, a, b string) []smallClient {
		return []smallClient{{2, 0.5, device, a}, {1, 2, "any", b}}
	}
	tests := []struct {
		name      string
		pages     int
		allocator string
		clients   []smallClient
		want      []float64
		window    float64 // first client: blocked because its window is full
		broken    float64 // first client: blocked because its window is fragmented
	}{
		{"first fit in 4", 4, "first-fit", mixed(1, 0.5), []float64{0.090528264, 0.310990024}, 0, 0},
		{"best fit in 4", 4, "best-fit", mixed(1, 0.5), []float64{0.092638126, 0.302082843}, 0, 0},
		{"worst fit in 4", 4, "worst-fit", mixed(1, 0.5), []float64{0.087723102, 0.323017196}, 0, 0},
		{"naturally aligned first fit in 4", 4, "first-fit", []smallClient{{1, 1, "natural", "low"}, {2, 0.5, "natural", "low"}}, []float64{0.094603794, 0.296917077}, 0, 0},
		{"first fit in 8", 8, "first-fit", mixed(2, 1), []float64{0.031425971, 0.153955315}, 0, 0},
		{"best fit in 8", 8, "best-fit", mixed(2, 1), []float64{0.033943398, 0.142200105}, 0, 0},
		{"worst fit in 8", 8, "worst-fit", mixed(2, 1), []float64{0.025295904, 0.186201923}, 0, 0},
		{"window, others low", 8, "first-fit", windows("window", "low", "low"), []float64{0.499372421, 0.002174874}, 0.402344988, 0.087027321},
		{"window, others high", 8, "first-fit", windows("window", "low", "high"), []float64{0.117823227, 0.009532711}, 0.079227313, 0.003871866},
		{"window from above, others low", 8, "first-fit", windows("window", "high", "low"), []float64{0.489915840, 0.002229831}, 0.403790639, 0.075907930},
		{"aligned window, others low", 8, "first-fit", windows("aligned", "low", "low"), []float64{0.506048477, 0.002154298}, 0, 0},
		{"aligned window, others high", 8, "first-fit", windows("aligned", "low", "high"), []float64{0.117883237, 0.009527046}, 0, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			sc, err := scenario.Parse("small.yaml", []byte(smallSystem(test.pages, test.allocator, test.clients...)))
			if err != nil {
				t.Fatal(err)
			}
			blocked := make([][]float64, len(test.want))
			var window, broken []float64
			for seed := range uint64(replications) {
				run := simulate(t, &sc.Variants[0], seed, seed == 0 && testing.Short())
				for i, c := range run.Summary.Clients {
					blocked[i] = append(blocked[i], float64(c.Failures)/float64(c.Requests))
				}
				first := run.Summary.Clients[0]
				window = append(window, float64(first.Causes["window"])/float64(first.Requests))
				broken = append(broken, float64(first.Causes["fragmented"])/float64(first.Requests))
			}
			agree := func(what string, got []float64, want float64) {
				mean, sd := stat.MeanStdDev(got, nil)
				if se := sd / math.Sqrt(replications); math.Abs(mean-want) > 4*se {
					t.Errorf("%s: %.6f ± %.6f, exactly %.6f", what, mean, se, want)
				}
			}
			for i, want := range test.want {
				agree(fmt.Sprintf("client %d blocked", i), blocked[i], want)
			}
			if test.window > 0 {
				agree("window full", window, test.window)
				agree("window fragmented", broken, test.broken)
			}
		})
	}
}

// TestEmbeddedExactScenario holds the scenario that ships to the same values.
func TestEmbeddedExactScenario(t *testing.T) {
	sc, err := scenario.Open("blocking-exact")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string][]float64{
		"b-low":  {0.499372421, 0.002174874},
		"b-high": {0.117823227, 0.009532711},
	}
	for i := range sc.Variants {
		v := &sc.Variants[i]
		run := simulate(t, v, v.Spec.Seed, false)
		for j, c := range run.Summary.Clients {
			got := float64(c.Failures) / float64(c.Requests)
			// One long run: 180,000 and 720,000 requests, whose outcomes are
			// correlated over a few seconds.
			if tolerance := 0.02*want[v.Name][j] + 0.0003; math.Abs(got-want[v.Name][j]) > tolerance {
				t.Errorf("%s: %s blocked %.6f, exactly %.6f", v.Name, c.Name, got, want[v.Name][j])
			}
		}
	}
}
