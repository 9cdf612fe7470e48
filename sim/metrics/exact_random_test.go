package metrics_test

import (
	"math"
	"testing"

	"gonum.org/v1/gonum/stat"

	"dmasim/sim/scenario"
)

// TestExactBlockingOfRandomFit is TestExactBlocking for random-fit: uniform over
// all feasible starts.
func TestExactBlockingOfRandomFit(t *testing.T) {
	const replications = 20
	for _, test := range []struct {
		pages int
		rates [2]float64 // of arrivals of one and of two pages, per second
		want  [2]float64
	}{
		{4, [2]float64{1, 0.5}, [2]float64{0.082225660, 0.344345883}},
		{6, [2]float64{1, 0.5}, [2]float64{0.015542647, 0.133527447}},
		{8, [2]float64{2, 1}, [2]float64{0.024814913, 0.191557797}},
	} {
		clients := []smallClient{{1, test.rates[0], "any", "natural"}, {2, test.rates[1], "any", "natural"}}
		sc, err := scenario.Parse("small.yaml", []byte(smallSystem(test.pages, "random-fit", clients...)))
		if err != nil {
			t.Fatal(err)
		}
		var blocked [2][]float64
		for seed := range uint64(replications) {
			run := simulate(t, &sc.Variants[0], seed, false)
			for i, c := range run.Summary.Clients {
				blocked[i] = append(blocked[i], float64(c.Failures)/float64(c.Requests))
			}
		}
		for i, want := range test.want {
			mean, sd := stat.MeanStdDev(blocked[i], nil)
			if se := sd / math.Sqrt(replications); math.Abs(mean-want) > 4*se {
				t.Errorf("%d pages, size %d: blocked %.6f ± %.6f, exactly %.6f", test.pages, i+1, mean, se, want)
			}
		}
	}
}
