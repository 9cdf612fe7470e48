package metrics_test

import (
	"context"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"gonum.org/v1/gonum/stat"

	"dmasim/allocator"
	"dmasim/sim"
	"dmasim/sim/metrics"
	"dmasim/sim/scenario"
)

// lossSystem is a heap of pages that serves Poisson arrivals.
type lossSystem struct {
	pages     int
	allocator string
	duration  time.Duration
	natural   bool // blocks are aligned to their size rounded up to a power of two
	classes   []lossClass
}

// lossClass is a kind of buffer, which lives for 1 s on average.
type lossClass struct {
	pages    int
	rate     float64 // per second
	lifetime string  // "": exponential
}

func (s lossSystem) parse(t *testing.T) *scenario.Variant {
	t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "name: loss\nseed: 1\nduration: %v\nmemory: [{base: 0x0, size: %dKiB}]\n", s.duration, 4*s.pages)
	fmt.Fprintf(&b, "heaps: [{name: main, allocator: %s, aware: true}]\n", s.allocator)
	fmt.Fprintf(&b, "devices: [{name: plain, natural: %v}]\nworkloads:\n", s.natural)
	for i, c := range s.classes {
		lifetime := c.lifetime
		if lifetime == "" {
			lifetime = "exponential: {mean: 1s}"
		}
		fmt.Fprintf(&b, "  - name: class%d\n    heap: main\n    devices: [plain]\n", i)
		fmt.Fprintf(&b, "    churn: {every: {exponential: {mean: %gs}}, size: {fixed: %dKiB}, lifetime: {%s}}\n", 1/c.rate, 4*c.pages, lifetime)
	}
	sc, err := scenario.Parse("loss.yaml", []byte(b.String()))
	if err != nil {
		t.Fatal(err)
	}
	return &sc.Variants[0]
}

// blocked returns the share of its requests that a class did not get.
func blocked(c metrics.ClientTotals) float64 { return float64(c.Failures) / float64(c.Requests) }

// checkMean allows four standard errors between the mean of independent values
// and what it should be.
func checkMean(t *testing.T, what string, got []float64, want float64) {
	t.Helper()
	mean, sd := stat.MeanStdDev(got, nil)
	if se := sd / math.Sqrt(float64(len(got))); math.Abs(mean-want) > 4*se {
		t.Errorf("%s: %.6f ± %.6f, want %.6f", what, mean, se, want)
	}
}

// kaufmanRoberts returns the blocking of each class in a system without
// fragmentation: Kaufman, "Blocking in a shared resource environment" (IEEE
// Transactions on Communications 29(10), 1981). With one class of single pages
// it is Erlang's formula B.
func kaufmanRoberts(pages int, classes []lossClass) []float64 {
	q := make([]float64, pages+1)
	q[0] = 1
	sum := 1.0
	for j := 1; j <= pages; j++ {
		for _, c := range classes {
			if c.pages <= j {
				q[j] += c.rate * float64(c.pages) * q[j-c.pages] / float64(j)
			}
		}
		sum += q[j]
	}
	blocking := make([]float64, len(classes))
	for i, c := range classes {
		for j := max(pages-c.pages+1, 0); j <= pages; j++ {
			blocking[i] += q[j] / sum
		}
	}
	return blocking
}

func TestLossFormulas(t *testing.T) {
	for _, test := range []struct {
		pages   int
		classes []lossClass
		want    []float64
	}{
		{1, []lossClass{{1, 1, ""}}, []float64{0.5}},
		{2, []lossClass{{1, 1, ""}}, []float64{0.2}},
		{5, []lossClass{{1, 3, ""}}, []float64{0.110054347826}},
		{16, []lossClass{{1, 12, ""}}, []float64{0.060412592463}},
		{256, []lossClass{{1, 240, ""}}, []float64{0.017273516308}},
		{4, []lossClass{{1, 1, ""}, {2, 0.5, ""}}, []float64{0.102040816327, 0.265306122449}},
		{8, []lossClass{{1, 1, ""}, {2, 0.5, ""}, {4, 0.25, ""}}, []float64{0.027951426313, 0.066465473881, 0.215348135374}},
		{64, []lossClass{{1, 10, ""}, {4, 5, ""}, {16, 1, ""}}, []float64{0.012974615279, 0.056028028127, 0.290307714127}},
	} {
		for i, got := range kaufmanRoberts(test.pages, test.classes) {
			if math.Abs(got-test.want[i]) > 1e-12 {
				t.Errorf("%d pages, %v: class %d blocked %.12f, want %.12f", test.pages, test.classes, i, got, test.want[i])
			}
		}
	}
}

// TestErlangLoss holds the simulation to Erlang's formula B, which is exact for
// buffers of one size, and whatever the distribution of their lifetimes is.
func TestErlangLoss(t *testing.T) {
	const replications = 20
	for _, c := range []struct {
		pages int
		rate  float64
	}{{1, 1}, {5, 3}, {16, 12}} {
		for _, lifetime := range []string{
			"exponential: {mean: 1s}", "fixed: 1s", "gamma: {mean: 1s, shape: 0.1}",
		} {
			classes := []lossClass{{1, c.rate, lifetime}}
			v := lossSystem{pages: c.pages, allocator: "first-fit", duration: 15 * time.Minute, classes: classes}.parse(t)
			var got []float64
			for seed := range uint64(replications) {
				got = append(got, blocked(simulate(t, v, seed, false).Summary.Clients[0]))
			}
			checkMean(t, fmt.Sprintf("%d pages, rate %v, lifetime %s", c.pages, c.rate, lifetime), got, kaufmanRoberts(c.pages, classes)[0])
		}
	}
}

// TestErlangLossOfEveryStrategy gives every strategy the same work in single
// pages. Those that refuse nothing for which there is a place can differ only in
// where they put it, and lose the same. So do strategies that keep to a grid of
// their own accord with larger buffers.
func TestErlangLossOfEveryStrategy(t *testing.T) {
	lose := func(name string, pages, size int) (failures, missed uint64) {
		v := lossSystem{
			pages: pages * size, allocator: name, duration: 10 * time.Minute, classes: []lossClass{{size, 12, ""}},
		}.parse(t)
		client := simulate(t, v, 1, false).Summary.Clients[0]
		return client.Failures, client.Causes["policy"]
	}
	want, missed := lose("first-fit", 16, 1)
	if want == 0 || missed != 0 {
		t.Errorf("first-fit: %d failures, %d of them missed", want, missed)
	}
	for _, name := range allocator.Names() {
		got, missed := lose(name, 16, 1)
		if missed == 0 && got != want {
			t.Errorf("%s: %d failures, none of them missed; first-fit: %d", name, got, want)
		}
	}
	for _, name := range []string{"first-fit", "best-fit", "worst-fit", "next-fit", "last-fit"} {
		if got, _ := lose(name, 16, 3); got != want {
			t.Errorf("%s with buffers of 3 pages: %d failures, want %d", name, got, want)
		}
	}
}

// TestKaufmanRobertsLoss uses two sizes that cannot suffer from fragmentation: a
// page, which every hole holds, and all of the memory.
func TestKaufmanRobertsLoss(t *testing.T) {
	const replications = 20
	classes := []lossClass{{1, 1, ""}, {6, 0.5, ""}}
	want := kaufmanRoberts(6, classes)
	for _, name := range []string{"first-fit", "best-fit", "worst-fit", "next-fit", "last-fit"} {
		v := lossSystem{pages: 6, allocator: name, duration: 15 * time.Minute, classes: classes}.parse(t)
		got := make([][]float64, len(classes))
		for seed := range uint64(replications) {
			for i, c := range simulate(t, v, seed, false).Summary.Clients {
				got[i] = append(got[i], blocked(c))
			}
		}
		for i := range classes {
			checkMean(t, fmt.Sprintf("%s, class %d", name, i), got[i], want[i])
		}
	}
}

var (
	lossPair   = []lossClass{{1, 1, ""}, {2, 0.5, ""}}
	lossTriple = []lossClass{{1, 1, ""}, {2, 0.5, ""}, {4, 0.25, ""}}
	lossOdd    = []lossClass{{1, 1, ""}, {3, 0.5, ""}}
)

// TestExactLossAndLayout adds to TestExactBlocking the mean layout: the share of
// the requests for the second size that fragmentation alone refused, and the
// time means of the pages in use and of the holes. The values are those of the
// stationary distribution of the Markov chain over all layouts.
func TestExactLossAndLayout(t *testing.T) {
	const replications = 20
	for _, test := range []struct {
		pages                   int
		allocator               string
		natural                 bool
		classes                 []lossClass
		blocked                 []float64
		fragmented, used, holes float64
	}{
		{4, "first-fit", false, lossPair, []float64{0.090528264, 0.310990024}, 0.058492907, 1.598481712, 1.038953},
		{4, "last-fit", false, lossPair, []float64{0.090528264, 0.310990024}, 0.058492907, 1.598481712, 1.038953}, // first fit from the other end
		{6, "first-fit", false, lossPair, []float64{0.019510972, 0.101141898}, 0.034106547, 1.879347130, 1.242379},
		{6, "best-fit", false, lossPair, []float64{0.020339707, 0.095213893}, 0.026812524, 1.884446401, 1.220080},
		{6, "worst-fit", false, lossPair, []float64{0.017504812, 0.115991248}, 0.052392747, 1.866503940, 1.322178},
		{6, "first-fit", true, lossPair, []float64{0.021211902, 0.091144552}, 0.022167168, 1.887643546, 1.242033},
		{8, "first-fit", false, lossTriple, []float64{0.019372836, 0.077010577, 0.295179503}, 0.023528075, 2.608437083, 1.315588},
		{8, "best-fit", false, lossTriple, []float64{0.020631789, 0.074688915, 0.279809776}, 0.018748406, 2.624869520, 1.286241},
		{8, "worst-fit", false, lossTriple, []float64{0.016839370, 0.080412062, 0.337976646}, 0.033005503, 2.564771923, 1.427093},
		{8, "first-fit", true, lossTriple, []float64{0.022991144, 0.069062154, 0.278155138}, 0.011945431, 2.629791564, 1.301027},
		{8, "first-fit", false, lossOdd, []float64{0.011503567, 0.128007355}, 0.040607204, 2.296485400, 1.277332},
		{8, "best-fit", false, lossOdd, []float64{0.012434981, 0.118151651}, 0.027983637, 2.310337543, 1.256587},
		{8, "worst-fit", false, lossOdd, []float64{0.009582590, 0.147992122}, 0.066062863, 2.268429227, 1.376995},
	} {
		name := fmt.Sprintf("%s of %d classes in %d, natural %v", test.allocator, len(test.classes), test.pages, test.natural)
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := lossSystem{
				pages: test.pages, allocator: test.allocator, duration: 30 * time.Minute,
				natural: test.natural, classes: test.classes,
			}.parse(t)
			loss := make([][]float64, len(test.classes))
			var fragmented, used, holes []float64
			for seed := range uint64(replications) {
				summary := simulate(t, v, seed, false).Summary
				for i, c := range summary.Clients {
					loss[i] = append(loss[i], blocked(c))
				}
				second := summary.Clients[1]
				noPlace := second.Causes["fragmented"] + second.Causes["alignment"]
				fragmented = append(fragmented, float64(noPlace)/float64(second.Requests))
				used = append(used, summary.Heaps[0].MeanReserved/4096)
				holes = append(holes, summary.Heaps[0].MeanHoles)
			}
			for i, want := range test.blocked {
				checkMean(t, fmt.Sprintf("class %d blocked", i), loss[i], want)
			}
			checkMean(t, "blocked by fragmentation", fragmented, test.fragmented)
			checkMean(t, "pages in use", used, test.used)
			checkMean(t, "holes", holes, test.holes)
		})
	}
}

// firstFailure notes when the first allocation failed, and the number of
// allocations until then, that one included.
type firstFailure struct {
	at       time.Duration
	arrivals int
	failed   bool
}

func (f *firstFailure) Advance(time.Duration) {}

func (f *firstFailure) Event(e *sim.Event) {
	if f.failed || e.Kind != sim.Alloc {
		return
	}
	f.arrivals++
	if e.Diagnosis.Cause != allocator.None {
		f.at, f.failed = e.At, true
	}
}

// TestTimeToFirstFailure starts from empty memory. The values are those of the
// Markov chain over all layouts that stops at the first failure.
func TestTimeToFirstFailure(t *testing.T) {
	const replications = 300
	times := []time.Duration{2 * time.Second, 5 * time.Second, 10 * time.Second, 20 * time.Second}
	for _, test := range []struct {
		pages          int
		allocator      string
		natural        bool
		mean, arrivals float64    // s, allocations
		survival       [4]float64 // at times
	}{
		{4, "first-fit", false, 6.722400518, 10.083600778, [4]float64{.823243282, .496770259, .211428497, .038292346}},
		{4, "best-fit", false, 6.806743958, 10.210115937, [4]float64{.824703979, .501454223, .216257997, .040214014}},
		{4, "worst-fit", false, 6.585418041, 9.878127061, [4]float64{.820608864, .488898063, .203530796, .035268130}},
		{4, "first-fit", true, 6.873569986, 10.310354979, [4]float64{.827975299, .505946047, .219699639, .041420202}},
		{6, "first-fit", false, 21.513560096, 32.270340144, [4]float64{.962811820, .835906159, .652226322, .396961651}},
		{6, "best-fit", false, 22.159354757, 33.239032136, [4]float64{.963432283, .839889359, .660542445, .408458397}},
		{6, "worst-fit", false, 19.655710190, 29.483565285, [4]float64{.960291321, .821803121, .625013130, .361409031}},
		{6, "first-fit", true, 22.716029063, 34.074043595, [4]float64{.964923290, .844602924, .668244397, .418181962}},
	} {
		t.Run(fmt.Sprintf("%s in %d, natural %v", test.allocator, test.pages, test.natural), func(t *testing.T) {
			t.Parallel()
			v := lossSystem{
				pages: test.pages, allocator: test.allocator, natural: test.natural, classes: lossPair,
				duration: time.Duration(15 * test.mean * float64(time.Second)), // long enough for all of them
			}.parse(t)
			var mean, arrivals []float64
			survived := make([][]float64, len(times))
			for seed := range uint64(replications) {
				cfg, err := v.Build(seed)
				if err != nil {
					t.Fatal(err)
				}
				s, err := sim.New(cfg)
				if err != nil {
					t.Fatal(err)
				}
				var first firstFailure
				s.Observe(&first)
				if err := s.Run(context.Background()); err != nil {
					t.Fatal(err)
				}
				if !first.failed {
					t.Fatalf("seed %d: nothing failed in %v", seed, cfg.Duration)
				}
				mean = append(mean, first.at.Seconds())
				arrivals = append(arrivals, float64(first.arrivals))
				for i, at := range times {
					alive := 0.0
					if first.at > at {
						alive = 1
					}
					survived[i] = append(survived[i], alive)
				}
			}
			checkMean(t, "time to the first failure", mean, test.mean)
			checkMean(t, "allocations to the first failure", arrivals, test.arrivals)
			for i, want := range test.survival {
				checkMean(t, fmt.Sprintf("no failure in %v", times[i]), survived[i], want)
			}
		})
	}
}
