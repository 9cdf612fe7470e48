package workloads_test

import (
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"gonum.org/v1/gonum/stat"
	"gonum.org/v1/gonum/stat/distuv"
	"pgregory.net/rapid"

	"dmasim/workloads"
)

func near(got, want, relative float64) bool {
	return math.Abs(got-want) <= relative*math.Abs(want)
}

// anyDistribution draws distributions of every kind, with and without clamps,
// over the whole range of what is allowed.
func anyDistribution() *rapid.Generator[workloads.Distribution] {
	return rapid.Custom(func(t *rapid.T) workloads.Distribution {
		kind := rapid.SampledFrom(workloads.DistributionKinds()).Draw(t, "kind")
		scaled := rapid.OneOf(rapid.Float64Range(1, 1e10), rapid.Float64Range(1e-300, 1e29))
		d := workloads.Distribution{Kind: kind.Name, Parameters: parameters{}}
		var values []float64
		for range kind.Parameters {
			values = append(values, scaled.Draw(t, "value"))
		}
		slices.Sort(values)
		for i, p := range kind.Parameters {
			if p.Scaled {
				// min < mode < max come in this order.
				d.Parameters[p.Name] = values[i] * (1 + float64(i))
			} else {
				d.Parameters[p.Name] = rapid.Float64Range(p.Min, p.Max).Draw(t, p.Name)
			}
			if p.Whole {
				d.Parameters[p.Name] = math.Trunc(d.Parameters[p.Name])
			}
		}
		if kind.Choices {
			for range rapid.IntRange(1, 5).Draw(t, "choices") {
				d.Choices = append(d.Choices, workloads.Choice{Value: scaled.Draw(t, "value"), Weight: rapid.Float64Range(0.1, 10).Draw(t, "weight")})
			}
		}
		if kind.Bins {
			var lo float64
			for range rapid.IntRange(1, 5).Draw(t, "bins") {
				hi := lo + rapid.Float64Range(1e-3, 1e9).Draw(t, "width")
				d.Bins = append(d.Bins, workloads.Bin{Lo: lo, Hi: hi, Count: rapid.Float64Range(0.1, 10).Draw(t, "count")})
				lo = hi + rapid.SampledFrom([]float64{0, 7}).Draw(t, "gap")
			}
		}
		if rapid.Bool().Draw(t, "clamped") {
			d.AtLeast = rapid.Float64Range(0, 1e9).Draw(t, "at least")
			d.AtMost = d.AtLeast + rapid.Float64Range(0, 1e9).Draw(t, "at most")
		}
		return d
	})
}

func TestSamplerStaysInRange(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := anyDistribution().Draw(t, "distribution")
		if err := d.Validate(); err != nil {
			t.Fatal(err)
		}
		sampler, err := d.Sampler(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		if err != nil {
			t.Fatal(err)
		}
		for range 20 {
			x := sampler.Float64()
			if x < d.AtLeast || (d.AtMost > 0 && x > d.AtMost) || math.IsNaN(x) {
				t.Fatalf("drew %v", x)
			}
			if n := sampler.Size(); n < 1 || n > workloads.MaxSize {
				t.Fatalf("drew size %d", n)
			}
			if n := sampler.Duration(); n < 1 || n > workloads.MaxDuration {
				t.Fatalf("drew duration %d", n)
			}
		}
		mean := d.Mean()
		if math.IsNaN(mean) && d.Kind == "alpha_stable" {
			return
		}
		if !(mean >= d.AtLeast) || (d.AtMost > 0 && mean > d.AtMost) {
			t.Fatalf("mean %v of %+v", mean, d)
		}
	})
}

type distributionCase struct {
	d        workloads.Distribution
	mean, sd float64
	cdf      func(float64) float64 // nil where discrete
}

// cases holds one distribution of each kind or more, with its moments and its
// distribution function, worked out by hand or by gonum from other parameters.
var cases = []distributionCase{
	{workloads.Distribution{Kind: "fixed", Parameters: parameters{"value": 4096}}, 4096, 0, nil},
	{workloads.Distribution{Kind: "uniform", Parameters: parameters{"min": 10, "max": 30}}, 20, 20 / math.Sqrt(12),
		distuv.Uniform{Min: 10, Max: 30}.CDF},
	{workloads.Distribution{Kind: "exponential", Parameters: parameters{"mean": 50}}, 50, 50,
		distuv.Exponential{Rate: 0.02}.CDF},
	{workloads.Distribution{Kind: "log_normal", Parameters: parameters{"median": 100, "sigma": 0.5}},
		100 * math.Exp(0.125), 100 * math.Exp(0.125) * math.Sqrt(math.Expm1(0.25)),
		func(x float64) float64 { return distuv.UnitNormal.CDF(math.Log(x/100) / 0.5) }},
	{workloads.Distribution{Kind: "log_uniform", Parameters: parameters{"min": 1, "max": 1000}},
		999 / math.Log(1000), math.Sqrt((1e6-1)/(2*math.Log(1000)) - math.Pow(999/math.Log(1000), 2)),
		func(x float64) float64 { return math.Log(x) / math.Log(1000) }},
	{workloads.Distribution{Kind: "gamma", Parameters: parameters{"mean": 30, "shape": 3}}, 30, 30 / math.Sqrt(3),
		func(x float64) float64 { x /= 10; return 1 - math.Exp(-x)*(1+x+x*x/2) }},
	{workloads.Distribution{Kind: "hyper_exponential", Parameters: parameters{"mean": 10, "cv": 2}}, 10, 20,
		func(x float64) float64 {
			p := (1 + math.Sqrt(0.6)) / 2
			return 1 - p*math.Exp(-2*p*x/10) - (1-p)*math.Exp(-2*(1-p)*x/10)
		}},
	{workloads.Distribution{Kind: "weibull", Parameters: parameters{"scale": 20, "shape": 2}},
		20 * math.Sqrt(math.Pi) / 2, 20 * math.Sqrt(1-math.Pi/4),
		func(x float64) float64 { return -math.Expm1(-(x / 20) * (x / 20)) }},
	{workloads.Distribution{Kind: "pareto", Parameters: parameters{"min": 8, "shape": 5}},
		10, 8.0 / 4 * math.Sqrt(5.0/3), func(x float64) float64 { return 1 - math.Pow(8/x, 5) }},
	{workloads.Distribution{Kind: "triangle", Parameters: parameters{"min": 0, "mode": 3, "max": 12}},
		5, math.Sqrt((144.0 + 9 - 36) / 18), distuv.NewTriangle(0, 12, 3, nil).CDF},
	// 80 ± 20 is never below 0 in practice; the half-normal distribution has
	// mean σ√(2/π) and variance σ²(1-2/π).
	{workloads.Distribution{Kind: "normal", Parameters: parameters{"mean": 80, "sd": 10}}, 80, 10,
		distuv.Normal{Mu: 80, Sigma: 10}.CDF},
	{workloads.Distribution{Kind: "normal", Parameters: parameters{"mean": 0, "sd": 10}},
		10 * math.Sqrt(2/math.Pi), 10 * math.Sqrt(1-2/math.Pi), func(x float64) float64 { return math.Erf(x / 10 / math.Sqrt2) }},
	{workloads.Distribution{Kind: "choice", Choices: []workloads.Choice{{4, 5}, {8, 3}, {16, 2}}}, 7.6, math.Sqrt(78.4 - 7.6*7.6), nil},
	{workloads.Distribution{Kind: "empirical", Bins: []workloads.Bin{{2, 2, 1}, {4, 10, 2}, {12, 20, 0}, {20, 22, 1}}},
		0.25*2 + 0.5*7 + 0.25*21, math.Sqrt(0.25*4 + 0.5*(49+3) + 0.25*(441+1./3) - 9.25*9.25), nil},
	{workloads.Distribution{Kind: "bernoulli", Parameters: parameters{"min": 2, "max": 12, "p": 0.3}}, 5, 10 * math.Sqrt(0.21), nil},
	{workloads.Distribution{Kind: "binomial", Parameters: parameters{"min": 4, "step": 2, "trials": 10, "p": 0.3}}, 10, 2 * math.Sqrt(2.1), nil},
	{workloads.Distribution{Kind: "poisson", Parameters: parameters{"min": 1, "step": 3, "lambda": 6.5}}, 20.5, 3 * math.Sqrt(6.5), nil},
	// Uniform numbers: the larger of two of them is Beta(2, 1).
	{workloads.Distribution{Kind: "beta", Parameters: parameters{"min": 3, "max": 9, "alpha": 2, "beta": 1}}, 7, 6 / math.Sqrt(18),
		func(x float64) float64 { x = min(max((x-3)/6, 0), 1); return x * x }},
	// Rayleigh.
	{workloads.Distribution{Kind: "chi", Parameters: parameters{"scale": 20, "degrees": 2}}, 20 * math.Sqrt(math.Pi/2), 20 * math.Sqrt(2-math.Pi/2),
		func(x float64) float64 { return -math.Expm1(-x * x / 800) }},
	// Erlang of two exponentials of mean 6.
	{workloads.Distribution{Kind: "chi_squared", Parameters: parameters{"scale": 3, "degrees": 4}}, 12, 6 * math.Sqrt2,
		func(x float64) float64 { return 1 - math.Exp(-x/6)*(1+x/6) }},
	// F(2, d2) is 1 - (1 + 2x/d2)^(-d2/2); var = d2²·2(d2+d1-2)/(d1(d2-2)²(d2-4)).
	{workloads.Distribution{Kind: "f", Parameters: parameters{"scale": 8, "d1": 2, "d2": 10}}, 10, 8 * math.Sqrt(100*2*10/(2*64*6.)),
		func(x float64) float64 { return 1 - math.Pow(1+x/40, -5) }},
	{workloads.Distribution{Kind: "inverse_gamma", Parameters: parameters{"scale": 40, "shape": 5}}, 10, 10 / math.Sqrt(3),
		func(x float64) float64 {
			y := 40 / x
			return math.Exp(-y) * (1 + y + y*y/2 + y*y*y/6 + y*y*y*y/24)
		}},
	// Far from 0 nothing is drawn again.
	{workloads.Distribution{Kind: "gumbel_right", Parameters: parameters{"location": 100, "scale": 10}}, 100 + 10*0.5772156649015329, 10 * math.Pi / math.Sqrt(6),
		func(x float64) float64 { return math.Exp(-math.Exp(-(x - 100) / 10)) }},
	{workloads.Distribution{Kind: "laplace", Parameters: parameters{"location": 200, "scale": 8}}, 200, 8 * math.Sqrt2,
		distuv.Laplace{Mu: 200, Scale: 8}.CDF},
	{workloads.Distribution{Kind: "logistic", Parameters: parameters{"location": 300, "scale": 10}}, 300, 10 * math.Pi / math.Sqrt(3),
		func(x float64) float64 { return 1 / (1 + math.Exp(-(x-300)/10)) }},
	{workloads.Distribution{Kind: "students_t", Parameters: parameters{"location": 1e6, "scale": 10, "degrees": 5}}, 1e6, 10 * math.Sqrt(5./3),
		distuv.StudentsT{Mu: 1e6, Sigma: 10, Nu: 5}.CDF},
	// Half of them are below 0 and drawn again: the mean of the upper half.
	{workloads.Distribution{Kind: "laplace", Parameters: parameters{"location": 0, "scale": 8}}, 8, 8, distuv.Exponential{Rate: 1. / 8}.CDF},
	{workloads.Distribution{Kind: "logistic", Parameters: parameters{"location": 0, "scale": 10}}, 20 * math.Ln2, 10 * math.Sqrt(math.Pi*math.Pi/3-4*math.Ln2*math.Ln2),
		func(x float64) float64 { return math.Tanh(x / 20) }},
	{workloads.Distribution{Kind: "students_t", Parameters: parameters{"location": 0, "scale": 10, "degrees": 5}},
		10 * 2 * math.Sqrt(5) / (4 * betaFunction(0.5, 2.5)), 10 * math.Sqrt(5./3-math.Pow(2*math.Sqrt(5)/(4*betaFunction(0.5, 2.5)), 2)),
		func(x float64) float64 { return 2*distuv.StudentsT{Sigma: 10, Nu: 5}.CDF(x) - 1 }},
	{workloads.Distribution{Kind: "gumbel_right", Parameters: parameters{"location": 0, "scale": 1}},
		// Of Ein(1) and, for the second moment, 2∫₀¹ Ein(y)/y dy.
		0.7965995992970532 / (1 - math.Exp(-1)), math.Sqrt(2*0.8912127981113023/(1-math.Exp(-1)) - math.Pow(0.7965995992970532/(1-math.Exp(-1)), 2)),
		func(x float64) float64 { return (math.Exp(-math.Exp(-x)) - math.Exp(-1)) / (1 - math.Exp(-1)) }},
	{workloads.Distribution{Kind: "noncentral_t", Parameters: parameters{"location": 1000, "scale": 10, "degrees": 6, "noncentrality": 2}},
		1000 + 10*distuv.NoncentralT{Nu: 6, Mu: 2}.Mean(), 10 * math.Sqrt(distuv.NoncentralT{Nu: 6, Mu: 2}.Variance()),
		func(x float64) float64 { return distuv.NoncentralT{Nu: 6, Mu: 2}.CDF((x - 1000) / 10) }},
}

// alphaStableCases have distribution functions, though no finite mean: Cauchy's and
// Lévy's.
var alphaStableCases = []distributionCase{
	{d: workloads.Distribution{Kind: "alpha_stable", Parameters: parameters{"location": 0, "scale": 5, "alpha": 1, "beta": 0}},
		cdf: func(x float64) float64 { return 2 / math.Pi * math.Atan(x/5) }},
	{d: workloads.Distribution{Kind: "alpha_stable", Parameters: parameters{"location": 3, "scale": 5, "alpha": 0.5, "beta": 1}},
		cdf: func(x float64) float64 { return math.Erfc(math.Sqrt(5 / 2. / (x - 3))) }},
}

func TestEveryKindHasACase(t *testing.T) {
	for _, kind := range workloads.DistributionKinds() {
		if !slices.ContainsFunc(slices.Concat(cases, alphaStableCases), func(c distributionCase) bool { return c.d.Kind == kind.Name }) {
			t.Errorf("no case for %s", kind.Name)
		}
		if kind.Meaning == "" || slices.ContainsFunc(kind.Parameters, func(p workloads.Parameter) bool { return p.Name == "" || p.Meaning == "" }) {
			t.Errorf("%s: a name or a meaning is missing", kind.Name)
		}
	}
	if !slices.IsSortedFunc(workloads.DistributionKinds(), func(a, b workloads.DistributionKind) int { return strings.Compare(a.Name, b.Name) }) {
		t.Error("not sorted by name")
	}
}

func TestDistributionMoments(t *testing.T) {
	const n = 200000
	for _, test := range cases {
		t.Run(test.d.Kind, func(t *testing.T) {
			digits := 1e-9
			if test.d.Kind == "noncentral_t" { // which is integrated
				digits = 1e-8
			}
			if got := test.d.Mean(); !near(got, test.mean, digits) {
				t.Errorf("Mean is %v, want %v", got, test.mean)
			}
			sample := draw(t, test.d, n)
			mean, sd := stat.MeanStdDev(sample, nil)
			if math.Abs(mean-test.mean) > 4*test.sd/math.Sqrt(n) {
				t.Errorf("mean of the sample is %v, want %v", mean, test.mean)
			}
			if !near(sd, test.sd, 0.03) {
				t.Errorf("standard deviation of the sample is %v, want %v", sd, test.sd)
			}
			if test.cdf != nil {
				checkDistance(t, sample, test.cdf)
			}
		})
	}
	for _, test := range alphaStableCases {
		checkDistance(t, draw(t, test.d, n), test.cdf)
		if mean := test.d.Mean(); !math.IsInf(mean, 1) {
			t.Errorf("%+v: the mean is %v, want +Inf", test.d, mean)
		}
	}
}

// checkDistance compares a sample with a distribution function after Kolmogorov and
// Smirnov: D√n > 1.95 has probability 0.001.
func checkDistance(t *testing.T, sample []float64, cdf func(float64) float64) {
	t.Helper()
	sorted := slices.Sorted(slices.Values(sample))
	n := float64(len(sorted))
	var most float64
	for i, x := range sorted {
		most = max(most, math.Abs(cdf(x)-(float64(i)+0.5)/n))
	}
	if most*math.Sqrt(n) > 1.95 {
		t.Errorf("Kolmogorov-Smirnov distance is %v, times √n %v", most, most*math.Sqrt(n))
	}
}

// TestDistributionMeanOfClamped compares the closed forms with the mean of a
// sample and with a numeric integral of the distribution function.
func TestDistributionMeanOfClamped(t *testing.T) {
	const n = 50000
	for _, test := range cases {
		for _, at := range [][2]float64{{0.7, 1.2}, {0, 0.9}, {1.1, 0}, {0, 2.5}, {0.2, 0.3}, {3, 4}} {
			d := test.d
			d.AtLeast, d.AtMost = at[0]*test.mean, at[1]*test.mean
			got := d.Mean()
			mean, sd := stat.MeanStdDev(draw(t, d, n), nil)
			if math.Abs(mean-got) > 4.5*sd/math.Sqrt(n)+1e-6*test.mean {
				t.Errorf("%+v: Mean is %v, that of a sample %v", d, got, mean)
			}
			if test.cdf == nil || d.AtMost == 0 {
				continue
			}
			const steps = 100000
			want, step := d.AtLeast, (d.AtMost-d.AtLeast)/steps
			for i := range steps {
				x := d.AtLeast + (float64(i)+0.5)*step
				want += step * (1 - min(max(test.cdf(x), 0), 1))
			}
			if !near(got, want, 1e-6) {
				t.Errorf("%+v: Mean is %v, by integration %v", d, got, want)
			}
		}
	}
}

// betaFunction is Euler's.
func betaFunction(a, b float64) float64 { return math.Gamma(a) * math.Gamma(b) / math.Gamma(a+b) }

// TestDistributionMeanOfHeavyTails compares clamped means of distributions without a
// finite one with closed forms.
func TestDistributionMeanOfHeavyTails(t *testing.T) {
	cauchy := func(c float64) float64 { return 2 / math.Pi * (c*math.Atan(1/c) + math.Log1p(c*c)/2) } // ∫₀ᶜ 2/π·atan(1/x) dx
	for _, test := range []struct {
		d    workloads.Distribution
		want func(c float64) float64 // E[min(X, c)]
	}{
		{workloads.Distribution{Kind: "students_t", Parameters: parameters{"location": 0, "scale": 1, "degrees": 1}}, cauchy},
		{workloads.Distribution{Kind: "noncentral_t", Parameters: parameters{"location": 0, "scale": 1, "degrees": 1, "noncentrality": 0}}, cauchy},
		// ∫₀ᶜ 1/(1+x) dx.
		{workloads.Distribution{Kind: "f", Parameters: parameters{"scale": 1, "d1": 2, "d2": 2}}, math.Log1p},
		// P(X > x) = 1 - exp(-1/x), whose integral is c(1-exp(-1/c)) + E₁(1/c).
		{workloads.Distribution{Kind: "inverse_gamma", Parameters: parameters{"scale": 1, "shape": 1}}, func(c float64) float64 {
			const euler = 0.5772156649015329
			return -c*math.Expm1(-1/c) - euler + math.Log(c) + 1/c - 1/(4*c*c) + 1/(18*c*c*c) - 1/(96*c*c*c*c)
		}},
	} {
		if mean := test.d.Mean(); !math.IsInf(mean, 1) {
			t.Errorf("%+v: the mean is %v, want +Inf", test.d, mean)
		}
		for _, c := range []float64{30, 1e4, 1e12} {
			d := test.d
			d.AtMost = c
			if got, want := d.Mean(), test.want(c); !near(got, want, 1e-6) {
				t.Errorf("%+v: the mean is %v, want %v", d, got, want)
			}
		}
	}
}

func TestDistributionMeanWithoutEnd(t *testing.T) {
	d := workloads.Distribution{Kind: "pareto", Parameters: parameters{"min": 2, "shape": 1}}
	if got := d.Mean(); !math.IsInf(got, 1) {
		t.Errorf("mean is %v, want +Inf", got)
	}
	d.AtMost = 2 * math.E
	if got := d.Mean(); !near(got, 4, 1e-12) {
		t.Errorf("mean is %v, want 4", got)
	}
	d.Parameters["min"] = -2
	if got := d.Mean(); !math.IsNaN(got) {
		t.Errorf("mean is %v, want NaN", got)
	}
}

func draw(t *testing.T, d workloads.Distribution, n int) []float64 {
	t.Helper()
	sampler, err := d.Sampler(rand.NewPCG(1, 2))
	if err != nil {
		t.Fatal(err)
	}
	sample := make([]float64, n)
	for i := range sample {
		sample[i] = sampler.Float64()
	}
	return sample
}

func TestSamplerRounds(t *testing.T) {
	for _, test := range []struct {
		value    float64
		size     uint64
		duration time.Duration
	}{
		{0, 1, 1},
		{0.2, 1, 1},
		{4096, 4096, 4096},
		{4096.4, 4097, 4096},
		{1e30, workloads.MaxSize, workloads.MaxDuration},
	} {
		sampler, err := workloads.Distribution{Kind: "fixed", Parameters: parameters{"value": test.value}}.Sampler(rand.NewPCG(0, 0))
		if err != nil {
			t.Fatal(err)
		}
		if size, duration := sampler.Size(), sampler.Duration(); size != test.size || duration != test.duration {
			t.Errorf("%v: size %d, duration %d, want %d and %d", test.value, size, duration, test.size, test.duration)
		}
	}
}

func TestDistributionErrors(t *testing.T) {
	choices := func(c ...workloads.Choice) workloads.Distribution {
		return workloads.Distribution{Kind: "choice", Choices: c}
	}
	bins := func(b ...workloads.Bin) workloads.Distribution {
		return workloads.Distribution{Kind: "empirical", Bins: b}
	}
	with := func(kind string, p parameters) workloads.Distribution {
		return workloads.Distribution{Kind: kind, Parameters: p}
	}
	for _, test := range []struct {
		d                  workloads.Distribution
		parameter, problem string
	}{
		{with("", nil), "kind", "there is no such kind of distribution"},
		{with("lognormal", nil), "kind", "there is no such kind of distribution"},
		{with("exponential", nil), "mean", "is missing: mean"},
		{with("exponential", parameters{"mean": 0}), "mean", "is 0, want a number above 0"},
		{with("exponential", parameters{"mean": -3}), "mean", "is -3, want a number above 0"},
		{with("exponential", parameters{"mean": math.NaN()}), "mean", "is NaN, want a number above 0"},
		{with("exponential", parameters{"mean": math.Inf(1)}), "mean", "is +Inf, want a number at most 1e+30"},
		{with("weibull", parameters{"scale": 1, "shape": 0}), "shape", "is 0, want a number at least 0.01"},
		{with("exponential", parameters{"mean": 1, "rate": 1, "max": 3}), "max", "is not a parameter of this kind"},
		{with("gamma", parameters{"mean": 1, "shape": 1e7}), "shape", "is 1e+07, want a number at most 1e+06"},
		{with("hyper_exponential", parameters{"mean": 1, "cv": 0.5}), "cv", "is 0.5, want a number at least 1"},
		{with("uniform", parameters{"min": 2, "max": 2}), "max", "is 2, not more than min, which is 2"},
		{with("log_uniform", parameters{"min": 0, "max": 2}), "min", "is 0, want a number above 0"},
		{with("log_uniform", parameters{"min": 3, "max": 2}), "max", "is 2, not more than min, which is 3"},
		{with("triangle", parameters{"min": 3, "mode": 3, "max": 3}), "max", "is 3, not more than min, which is 3"},
		{with("triangle", parameters{"min": 3, "mode": 2, "max": 9}), "mode", "is 2, not between min and max, which are 3 and 9"},
		{workloads.Distribution{Kind: "fixed", Parameters: parameters{"value": 1}, Choices: []workloads.Choice{{1, 1}}}, "choices", "are not for this kind"},
		{workloads.Distribution{Kind: "fixed", Parameters: parameters{"value": 1}, AtLeast: -1}, "at_least", "is -1, want a number at least 0"},
		{workloads.Distribution{Kind: "fixed", Parameters: parameters{"value": 1}, AtMost: math.Inf(1)}, "at_most", "is +Inf, want a number at least 0"},
		{workloads.Distribution{Kind: "fixed", Parameters: parameters{"value": 1}, AtLeast: 2, AtMost: 1}, "at_most", "is 1, below at_least, which is 2"},
		{with("binomial", parameters{"min": 0, "step": 1, "trials": 2.5, "p": 0.5}), "trials", "is 2.5, want a number without a fraction"},
		{with("beta", parameters{"min": 3, "max": 3, "alpha": 1, "beta": 1}), "max", "is 3, not more than min, which is 3"},
		{with("bernoulli", parameters{"min": 4, "max": 3, "p": 1}), "max", "is 3, not more than min, which is 4"},
		{with("alpha_stable", parameters{"location": 1, "scale": 1, "alpha": 2.1, "beta": 0}), "alpha", "is 2.1, want a number at most 2"},
		{with("empirical", nil), "bins", "are missing"},
		{bins(workloads.Bin{1, 2, 0}), "bins", "the counts sum to 0, want a number above 0"},
		{bins(workloads.Bin{1, 2, 1}, workloads.Bin{1.5, 3, 1}), "bins", "bin 2 does not come after the one before it"},
		{bins(workloads.Bin{3, 2, 1}), "bins", "bin 1 is from 3 to 2 with a count of 1, want numbers at least 0 in order"},
		{workloads.Distribution{Kind: "fixed", Parameters: parameters{"value": 1}, Bins: []workloads.Bin{{1, 1, 1}}}, "bins", "are not for this kind"},
		{choices(), "choices", "are missing: values with their weights"},
		{choices(workloads.Choice{1, 0}, workloads.Choice{2, 0}), "choices", "the weights sum to 0, want a number above 0"},
		{choices(workloads.Choice{1, math.MaxFloat64}, workloads.Choice{2, math.MaxFloat64}), "choices", "the weights sum to +Inf, want a number above 0"},
		{choices(workloads.Choice{1, 1}, workloads.Choice{-2, 1}), "choices", "value 2 is -2, want a number at least 0"},
		{choices(workloads.Choice{1, 1}, workloads.Choice{2, -1}), "choices", "weight 2 is -1, want a number at least 0"},
	} {
		err := test.d.Validate()
		var got *workloads.ParameterError
		if !errors.As(err, &got) {
			t.Errorf("%+v: %v, want a ParameterError", test.d, err)
			continue
		}
		want := test.d.Kind + " distribution: " + test.parameter + ": " + test.problem
		if got.Kind != test.d.Kind || got.Parameter != test.parameter || got.Error() != want {
			t.Errorf("%+v:\n got %+v: %v\nwant %s", test.d, *got, got, want)
		}
	}
	if _, err := (workloads.Distribution{Kind: "fixed", Parameters: parameters{"value": 1}}).Sampler(nil); err == nil {
		t.Error("a sampler without random numbers was made")
	}
}

func TestChoiceNeverDrawsWeightZero(t *testing.T) {
	d := workloads.Distribution{Kind: "choice", Choices: []workloads.Choice{{1, 0}, {2, 1}, {3, 0}, {4, 1}, {5, 0}}}
	for _, x := range draw(t, d, 10000) {
		if x != 2 && x != 4 {
			t.Fatalf("drew %v", x)
		}
	}
}
