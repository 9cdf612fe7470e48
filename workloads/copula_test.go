package workloads_test

import (
	"math"
	"slices"
	"strings"
	"testing"

	"gonum.org/v1/gonum/stat"

	"dmasim/workloads"
)

// magnified returns a distribution of values a million times as large, so that the
// rounding to whole bytes and nanoseconds does not show.
func magnified(d workloads.Distribution) workloads.Distribution {
	const by = 1e6
	made := d
	made.Parameters = parameters{}
	for _, kind := range workloads.DistributionKinds() {
		for _, p := range kind.Parameters {
			if v, ok := d.Parameters[p.Name]; ok && kind.Name == d.Kind && p.Scaled {
				made.Parameters[p.Name] = by * v
			} else if ok && kind.Name == d.Kind {
				made.Parameters[p.Name] = v
			}
		}
	}
	made.Choices, made.Bins = slices.Clone(d.Choices), slices.Clone(d.Bins)
	for i := range made.Choices {
		made.Choices[i].Value *= by
	}
	for i := range made.Bins {
		made.Bins[i].Lo, made.Bins[i].Hi = by*made.Bins[i].Lo, by*made.Bins[i].Hi
	}
	return made
}

func correlated(size, lifetime workloads.Distribution, rho float64, n uint64) workloads.ChurnConfig {
	return workloads.ChurnConfig{
		Name: "correlated", Seed: 3, Interarrival: workloads.Distribution{Kind: "fixed", Parameters: parameters{"value": 1}},
		Size: size, Lifetime: lifetime, Count: n, Correlation: rho,
	}
}

func sizesAndLifetimes(ops []workloads.Op) (sizes, lifetimes []float64) {
	for _, op := range ops {
		sizes, lifetimes = append(sizes, float64(op.Size)), append(lifetimes, float64(op.Lifetime))
	}
	return sizes, lifetimes
}

// ranks of values, of which no two are equal.
func ranks(values []float64) []float64 {
	order := make([]int, len(values))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int {
		if values[a] < values[b] {
			return -1
		}
		return 1
	})
	made := make([]float64, len(values))
	for rank, i := range order {
		made[i] = float64(rank)
	}
	return made
}

// TestCorrelatedMarginals holds sizes and lifetimes that go together to the
// distributions that they have alone, of all kinds.
func TestCorrelatedMarginals(t *testing.T) {
	const n = 20000
	for _, test := range cases {
		t.Run(test.d.Kind, func(t *testing.T) {
			n := n
			if test.d.Kind == "noncentral_t" { // whose quantiles are slow
				n = 2000
			}
			d := magnified(test.d)
			sizes, lifetimes := sizesAndLifetimes(churn(t, correlated(d, d, -0.7, uint64(n))))
			for i := range n {
				sizes[i], lifetimes[i] = sizes[i]/1e6, lifetimes[i]/1e6
			}
			for _, sample := range [][]float64{sizes, lifetimes} {
				if test.cdf != nil {
					checkDistance(t, sample, test.cdf)
				}
				if mean := stat.Mean(sample, nil); math.Abs(mean-test.mean) > 4*test.sd/math.Sqrt(float64(n))+1e-5 {
					t.Errorf("the mean is %v, want %v", mean, test.mean)
				}
			}
		})
	}
}

func TestRankCorrelation(t *testing.T) {
	const n = 20000
	size := workloads.Distribution{Kind: "log_normal", Parameters: parameters{"median": 1e9, "sigma": 2}}
	lifetime := workloads.Distribution{Kind: "hyper_exponential", Parameters: parameters{"mean": 1e12, "cv": 3}}
	for _, rho := range []float64{-1, -0.95, -0.3, 0.001, 0.6, 0.99, 1} {
		sizes, lifetimes := sizesAndLifetimes(churn(t, correlated(size, lifetime, rho, n)))
		// The error of Spearman's coefficient is at most 1.06 times that of Pearson's
		// (Bonett and Wright, "Sample size requirements", Psychometrika 65, 2000).
		if got := stat.Correlation(ranks(sizes), ranks(lifetimes), nil); math.Abs(got-rho) > 4*1.06*(1-rho*rho)/math.Sqrt(n)+1e-6 {
			t.Errorf("the rank correlation is %v, want %v", got, rho)
		}
	}
}

// TestCorrelationMovesLifetimesOnly: sizes are the same for every correlation, and for
// saturated work.
func TestCorrelationMovesLifetimesOnly(t *testing.T) {
	config := twoClients()
	config.Correlation = 0.2
	a := churn(t, config)
	config.Correlation = -0.9
	b := churn(t, config)
	all := func(workloads.Op) bool { return true }
	same(t, "arrival and client and size", a, b, func(op workloads.Op) workloads.Op {
		op.Lifetime = 0
		return op
	}, all)
	if slices.Equal(a, b) {
		t.Error("the correlation changed nothing")
	}
	saturated, err := workloads.NewSaturated(config)
	if err != nil {
		t.Fatal(err)
	}
	var last *workloads.Outcome
	for i := range b {
		op, ok := saturated.Next(last)
		if !ok || op.Size != b[i].Size || op.Lifetime != b[i].Lifetime {
			t.Fatalf("buffer %d of saturated work is %+v, want the size and lifetime of %+v", i, op, b[i])
		}
		last = &workloads.Outcome{Op: op}
	}
}

func TestOfferedOfCorrelated(t *testing.T) {
	logNormal := func(median, sigma float64) workloads.Distribution {
		return workloads.Distribution{Kind: "log_normal", Parameters: parameters{"median": median, "sigma": sigma}}
	}
	pareto := workloads.Distribution{Kind: "pareto", Parameters: parameters{"min": 1, "shape": 1.5}}
	endless := workloads.Distribution{Kind: "pareto", Parameters: parameters{"min": 1, "shape": 1}}
	choice := workloads.Distribution{Kind: "choice", Choices: []workloads.Choice{{10, 1}, {2, 1}}}
	fixed := workloads.Distribution{Kind: "fixed", Parameters: parameters{"value": 7}}
	r := func(rho float64) float64 { return 2 * math.Sin(math.Pi*rho/6) }
	for name, test := range map[string]struct {
		size, lifetime workloads.Distribution
		rho, want      float64
	}{
		// The product of log-normals is log-normal.
		"log-normal":     {logNormal(100, 1), logNormal(50, 0.5), 0.6, 5000 * math.Exp((1+0.25)/2+r(0.6)*0.5)},
		"log-normal, -1": {logNormal(100, 1), logNormal(50, 0.5), -1, 5000 * math.Exp((1+0.25)/2-0.5)},
		// Both are large with probability 1/4 + asin(r)/2π.
		"choice":             {choice, choice, 0.5, (0.25+math.Asin(r(0.5))/(2*math.Pi))*(100+4) + (0.25-math.Asin(r(0.5))/(2*math.Pi))*40},
		"nothing to go with": {fixed, logNormal(100, 1), 0.9, 700 * math.Exp(0.5)},
		"infinite":           {fixed, endless, 0.5, math.Inf(1)},
		"unknown":            {pareto, pareto, 0.9, math.NaN()},
		"infinite or not":    {logNormal(1, 1), endless, -0.5, math.NaN()},
	} {
		source, err := workloads.NewChurn(correlated(test.size, test.lifetime, test.rho, 0))
		if err != nil {
			t.Fatal(err)
		}
		if _, got := source.Offered(); !near(got, test.want, 0.003) && got != test.want && !(math.IsNaN(got) && math.IsNaN(test.want)) {
			t.Errorf("%s: offered are %v bytes, want %v", name, got, test.want)
		}
	}
}

func TestCorrelationErrors(t *testing.T) {
	fixed := workloads.Distribution{Kind: "fixed", Parameters: parameters{"value": 7}}
	stable := workloads.Distribution{Kind: "alpha_stable", Parameters: parameters{"location": 9, "scale": 1, "alpha": 1.5, "beta": 0}}
	for want, config := range map[string]workloads.ChurnConfig{
		"the correlation is 1.1, want a number from -1 to 1":                           correlated(fixed, fixed, 1.1, 0),
		"the correlation is NaN, want a number from -1 to 1":                           correlated(fixed, fixed, math.NaN(), 0),
		"client 0: lifetime: alpha_stable has no quantiles, which a correlation needs": correlated(fixed, stable, 0.5, 0),
		"client 0: size: alpha_stable has no quantiles, which a correlation needs":     correlated(stable, fixed, 0.5, 0),
	} {
		if _, err := workloads.NewChurn(config); err == nil || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}
