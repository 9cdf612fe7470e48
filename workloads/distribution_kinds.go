package workloads

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sort"

	"gonum.org/v1/gonum/mathext"
	"gonum.org/v1/gonum/stat/distuv"
)

// DistributionKind tells what a kind of distribution is called and what it
// takes: for help texts, schemas and readers of scenarios.
type DistributionKind struct {
	Name       string
	Meaning    string
	Parameters []Parameter
	Choices    bool // takes Distribution.Choices
	Bins       bool // takes Distribution.Bins
}

// Parameter is a number that a kind of distribution takes.
type Parameter struct {
	Name    string
	Meaning string
	// Scaled parameters carry the unit of the quantity, such as bytes or
	// nanoseconds. The others are plain numbers.
	Scaled bool
	// Min and Max are the limits. With Above, the value must be more than Min,
	// else at least Min.
	Min, Max float64
	Above    bool
	Whole    bool // a number without a fraction
}

func (p Parameter) allows(value float64) bool {
	return finite(value) && value <= p.Max && (value > p.Min || (value == p.Min && !p.Above)) && (!p.Whole || value == math.Trunc(value))
}

// limit returns in words the limit that value breaks.
func (p Parameter) limit(value float64) string {
	switch {
	case value > p.Max:
		return fmt.Sprintf("at most %v", p.Max)
	case p.Whole && value >= p.Min:
		return "without a fraction"
	case p.Above:
		return fmt.Sprintf("above %v", p.Min)
	}
	return fmt.Sprintf("at least %v", p.Min)
}

// DistributionKinds returns every kind of distribution, sorted by name.
func DistributionKinds() []DistributionKind {
	list := make([]DistributionKind, len(kinds))
	for i, k := range kinds {
		list[i] = k.DistributionKind
		list[i].Parameters = slices.Clone(k.Parameters)
	}
	return list
}

// law is a distribution with its parameters and its random numbers.
type law interface {
	Rand() float64
	Mean() float64 // NaN: nobody knows
	// limited returns E[min(X, d)] for 0 < d < +Inf, the limited expected value.
	// Klugman, Panjer and Willmot, "Loss Models", appendix A, has those of the
	// common families; the others are the integral of P(X > x) from 0 to d.
	limited(d float64) float64
}

// quantiler is a law that can tell the least value that is reached with a probability
// above 0 and below 1.
type quantiler interface {
	Quantile(p float64) float64
}

type kind struct {
	DistributionKind
	// law may rely on each parameter being there and within its limits.
	law func(Distribution, rand.Source) (law, error)
}

// maxScaled bounds the parameters with a unit, far beyond MaxSize and
// MaxDuration and far from where a mean would overflow.
const maxScaled = 1e30

// notNegative and positive return parameters with the unit of the quantity,
// number one without.
func notNegative(name, meaning string) Parameter {
	return Parameter{Name: name, Meaning: meaning, Scaled: true, Max: maxScaled}
}

func positive(name, meaning string) Parameter {
	return Parameter{Name: name, Meaning: meaning, Scaled: true, Max: maxScaled, Above: true}
}

func number(name, meaning string, least, most float64) Parameter {
	return Parameter{Name: name, Meaning: meaning, Min: least, Max: most}
}

func wholeNumber(name, meaning string, least, most float64) Parameter {
	return Parameter{Name: name, Meaning: meaning, Min: least, Max: most, Whole: true}
}

// kinds is sorted by name. The limits of the numbers without a unit keep the
// samplers and the formulas away from where float64 fails them.
var kinds = []kind{
	{DistributionKind{
		Name: "alpha_stable", Meaning: "limit of sums of what has no variance, in Nolan's first form; what falls below 0 is drawn again, 100 times at most, then 0",
		Parameters: []Parameter{
			notNegative("location", "location, before drawing again"), positive("scale", "scale"),
			number("alpha", "tail exponent: 2 is normal, 1 with beta 0 is Cauchy; the mean is infinite at 1 and below", 0.1, 2), number("beta", "skewness: 1 has the longer tail above, -1 below", -1, 1),
		},
	}, newAlphaStable},
	{DistributionKind{
		Name: "bernoulli", Meaning: "one of two values",
		Parameters: []Parameter{notNegative("min", "smaller value"), notNegative("max", "larger value"), number("p", "probability of the larger", 0, 1)},
	}, newBernoulli},
	{DistributionKind{
		Name: "beta", Meaning: "between two ends, leaning to either or to both",
		Parameters: []Parameter{notNegative("min", "smallest value"), notNegative("max", "largest value, more than min"), number("alpha", "more leans to max", 1e-2, 1e4), number("beta", "more leans to min", 1e-2, 1e4)},
	}, newBeta},
	{DistributionKind{
		Name: "binomial", Meaning: "min and a step for each of so many trials that succeeds",
		Parameters: []Parameter{notNegative("min", "smallest value"), positive("step", "what a success adds"), wholeNumber("trials", "trials", 1, 1e9), number("p", "probability that one succeeds", 0, 1)},
	}, newBinomial},
	{DistributionKind{
		Name: "chi", Meaning: "length of a vector of normal numbers: Rayleigh's for 2 degrees, Maxwell's for 3",
		Parameters: []Parameter{positive("scale", "standard deviation of the numbers"), number("degrees", "degrees of freedom", 0.1, 1e6)},
	}, newChi},
	{DistributionKind{
		Name: "chi_squared", Meaning: "sum of squared normal numbers",
		Parameters: []Parameter{positive("scale", "variance of the numbers: the mean is scale times degrees"), number("degrees", "degrees of freedom", 0.1, 1e6)},
	}, newChiSquared},
	{DistributionKind{
		Name: "choice", Meaning: "one of several values, by weight", Choices: true,
	}, newChoice},
	{DistributionKind{
		Name: "empirical", Meaning: "as counted, by a histogram; within a bin every value is equally likely", Bins: true,
	}, newEmpirical},
	{DistributionKind{
		Name: "exponential", Meaning: "memoryless: of times between independent events",
		Parameters: []Parameter{positive("mean", "mean")},
	}, newExponential},
	{DistributionKind{
		Name: "f", Meaning: "ratio of two variances that were estimated",
		Parameters: []Parameter{positive("scale", "scale: the mean is scale times d2/(d2-2)"), number("d1", "degrees of freedom of the numerator", 0.1, 1e6), number("d2", "those of the denominator: the mean is infinite at 2 and below", 0.1, 1e6)},
	}, newF},
	{DistributionKind{
		Name: "fixed", Meaning: "always the same value",
		Parameters: []Parameter{notNegative("value", "the value")},
	}, newFixed},
	{DistributionKind{
		Name: "gamma", Meaning: "sum of exponential steps, as many as the shape says",
		Parameters: []Parameter{positive("mean", "mean"), number("shape", "1/cv²: 1 is exponential, more is steadier", 1e-3, 1e6)},
	}, newGamma},
	{DistributionKind{
		Name: "gumbel_right", Meaning: "largest of many; what falls below 0 is drawn again",
		Parameters: []Parameter{notNegative("location", "most likely value"), positive("scale", "scale")},
	}, newGumbelRight},
	{DistributionKind{
		Name: "hyper_exponential", Meaning: "mostly short and rarely long: two exponentials, each half of the total",
		Parameters: []Parameter{positive("mean", "mean"), number("cv", "coefficient of variation: standard deviation / mean", 1, 1000)},
	}, newHyperExponential},
	{DistributionKind{
		Name: "inverse_gamma", Meaning: "reciprocal of a gamma distribution: a power law with a soft lower end",
		Parameters: []Parameter{positive("scale", "scale: the mean is scale/(shape-1)"), number("shape", "tail exponent: the mean is infinite at 1 and below", 0.1, 1e5)},
	}, newInverseGamma},
	{DistributionKind{
		Name: "laplace", Meaning: "exponential on both sides; what falls below 0 is drawn again",
		Parameters: []Parameter{notNegative("location", "peak"), positive("scale", "mean distance from the peak, before drawing again")},
	}, newLaplace},
	{DistributionKind{
		Name: "log_normal", Meaning: "product of many factors: its logarithm is normal",
		Parameters: []Parameter{positive("median", "median"), number("sigma", "standard deviation of the natural logarithm", 1e-6, 10)},
	}, newLogNormal},
	{DistributionKind{
		Name: "log_uniform", Meaning: "every order of magnitude equally likely",
		Parameters: []Parameter{positive("min", "smallest value"), positive("max", "largest value, more than min")},
	}, newLogUniform},
	{DistributionKind{
		Name: "logistic", Meaning: "a bell with longer tails; what falls below 0 is drawn again",
		Parameters: []Parameter{notNegative("location", "peak"), positive("scale", "scale")},
	}, newLogistic},
	{DistributionKind{
		Name: "noncentral_t", Meaning: "Student's t of what is shifted, so skewed; what falls below 0 is drawn again",
		Parameters: []Parameter{notNegative("location", "location"), positive("scale", "scale"), number("degrees", "degrees of freedom: the mean is infinite at 1 and below", 0.5, 1e4), number("noncentrality", "shift in standard deviations", 0, 30)},
	}, newNoncentralT},
	{DistributionKind{
		Name: "normal", Meaning: "bell curve; what falls below 0 is drawn again",
		Parameters: []Parameter{notNegative("mean", "mean, before drawing again"), positive("sd", "standard deviation, before drawing again")},
	}, newNormal},
	{DistributionKind{
		Name: "pareto", Meaning: "power law: P(X > x) = (min/x)^shape",
		Parameters: []Parameter{positive("min", "smallest value"), number("shape", "tail exponent: the mean is infinite at 1 and below", 1e-3, 1e6)},
	}, newPareto},
	{DistributionKind{
		Name: "poisson", Meaning: "min and a step for each of the independent events in a span of time",
		Parameters: []Parameter{notNegative("min", "smallest value"), positive("step", "what an event adds"), number("lambda", "mean number of events", 1e-3, 1e9)},
	}, newPoisson},
	{DistributionKind{
		Name: "students_t", Meaning: "a bell whose tails are power laws; what falls below 0 is drawn again",
		Parameters: []Parameter{notNegative("location", "peak"), positive("scale", "scale"), number("degrees", "degrees of freedom, the tail exponent: the mean is infinite at 1 and below", 0.1, 1e5)},
	}, newStudentsT},
	{DistributionKind{
		Name: "triangle", Meaning: "rising from min to mode, falling to max",
		Parameters: []Parameter{notNegative("min", "smallest value"), notNegative("mode", "most likely value"), notNegative("max", "largest value, more than min")},
	}, newTriangle},
	{DistributionKind{
		Name: "uniform", Meaning: "every value from min to max equally likely",
		Parameters: []Parameter{notNegative("min", "smallest value"), notNegative("max", "largest value, more than min")},
	}, newUniform},
	{DistributionKind{
		Name: "weibull", Meaning: "lives with wear (shape above 1) or early failures (below 1)",
		Parameters: []Parameter{positive("scale", "the 63.2 % quantile"), number("shape", "1 is exponential", 1e-2, 1e6)},
	}, newWeibull},
}

// fixed is a value.
type fixed float64

func newFixed(d Distribution, _ rand.Source) (law, error) { return fixed(d.Parameters["value"]), nil }

func (f fixed) Rand() float64             { return float64(f) }
func (f fixed) Quantile(float64) float64  { return float64(f) }
func (f fixed) Mean() float64             { return float64(f) }
func (f fixed) limited(d float64) float64 { return min(float64(f), d) }

type uniform struct{ distuv.Uniform }

func newUniform(d Distribution, src rand.Source) (law, error) {
	lo, hi := d.Parameters["min"], d.Parameters["max"]
	if lo >= hi {
		return nil, d.problem("max", "is %v, not more than min, which is %v", quantity(hi), quantity(lo))
	}
	return uniform{distuv.Uniform{Min: lo, Max: hi, Src: src}}, nil
}

func (u uniform) limited(d float64) float64 {
	switch {
	case d <= u.Min:
		return d
	case d >= u.Max:
		return u.Mean()
	}
	x := d - u.Min
	return u.Min + x - x*(x/(u.Max-u.Min))/2
}

type exponential struct{ distuv.Exponential }

func newExponential(d Distribution, src rand.Source) (law, error) {
	return exponential{distuv.Exponential{Rate: 1 / d.Parameters["mean"], Src: src}}, nil
}

func (e exponential) limited(d float64) float64 { return limitedExponential(e.Mean(), d) }

func limitedExponential(mean, d float64) float64 { return -mean * math.Expm1(-d/mean) }

// hyperExponential is the mixture of two exponentials that gives a mean and a
// coefficient of variation with balanced means: both phases contribute half of
// the mean (Tijms, "A First Course in Stochastic Models", appendix B).
type hyperExponential struct {
	p           float64 // of the short phase
	short, long float64 // means
	src         rand.Source
}

func newHyperExponential(d Distribution, src rand.Source) (law, error) {
	mean, cv2 := d.Parameters["mean"], d.Parameters["cv"]*d.Parameters["cv"]
	p := (1 + math.Sqrt((cv2-1)/(cv2+1))) / 2
	return hyperExponential{p: p, short: mean / (2 * p), long: mean / (2 * (1 - p)), src: src}, nil
}

func (h hyperExponential) Rand() float64 {
	rnd := rand.New(h.src)
	if rnd.Float64() < h.p {
		return h.short * rnd.ExpFloat64()
	}
	return h.long * rnd.ExpFloat64()
}

// Quantile halves the interval, of which the quantile of the longer phase is the end.
func (h hyperExponential) Quantile(p float64) float64 {
	lo, hi := 0.0, -h.long*math.Log1p(-p)
	for range 200 {
		middle := lo + (hi-lo)/2
		if middle == lo || middle == hi {
			break
		}
		if h.p*math.Exp(-middle/h.short)+(1-h.p)*math.Exp(-middle/h.long) > 1-p {
			lo = middle
		} else {
			hi = middle
		}
	}
	return hi
}

func (h hyperExponential) Mean() float64 { return h.p*h.short + (1-h.p)*h.long }

func (h hyperExponential) limited(d float64) float64 {
	return h.p*limitedExponential(h.short, d) + (1-h.p)*limitedExponential(h.long, d)
}

type gamma struct{ distuv.Gamma }

func newGamma(d Distribution, src rand.Source) (law, error) {
	shape := d.Parameters["shape"]
	return gamma{distuv.Gamma{Alpha: shape, Beta: shape / d.Parameters["mean"], Src: src}}, nil
}

func (g gamma) limited(d float64) float64 {
	x := g.Beta * d
	return g.Mean()*lowerGamma(g.Alpha+1, x) + d*(1-lowerGamma(g.Alpha, x))
}

// lowerGamma returns the regularised lower incomplete gamma function P(a, x).
func lowerGamma(a, x float64) float64 {
	if math.IsInf(x, 1) {
		return 1
	}
	return mathext.GammaIncReg(a, x)
}

type weibull struct{ distuv.Weibull }

func newWeibull(d Distribution, src rand.Source) (law, error) {
	return weibull{distuv.Weibull{K: d.Parameters["shape"], Lambda: d.Parameters["scale"], Src: src}}, nil
}

func (w weibull) limited(d float64) float64 {
	x := math.Pow(d/w.Lambda, w.K)
	return w.Mean()*lowerGamma(1+1/w.K, x) + d*math.Exp(-x)
}

type logNormal struct{ distuv.LogNormal }

func newLogNormal(d Distribution, src rand.Source) (law, error) {
	return logNormal{distuv.LogNormal{Mu: math.Log(d.Parameters["median"]), Sigma: d.Parameters["sigma"], Src: src}}, nil
}

func (l logNormal) limited(d float64) float64 {
	z := (math.Log(d) - l.Mu) / l.Sigma
	return l.Mean()*distuv.UnitNormal.CDF(z-l.Sigma) + d*distuv.UnitNormal.Survival(z)
}

// logUniform is the exponential of a uniform distribution.
type logUniform struct {
	logs     distuv.Uniform
	min, max float64
}

func newLogUniform(d Distribution, src rand.Source) (law, error) {
	lo, hi := d.Parameters["min"], d.Parameters["max"]
	if lo >= hi {
		return nil, d.problem("max", "is %v, not more than min, which is %v", quantity(hi), quantity(lo))
	}
	return logUniform{logs: distuv.Uniform{Min: math.Log(lo), Max: math.Log(hi), Src: src}, min: lo, max: hi}, nil
}

func (l logUniform) Rand() float64 { return min(max(math.Exp(l.logs.Rand()), l.min), l.max) }

func (l logUniform) Quantile(p float64) float64 {
	return min(max(math.Exp(l.logs.Quantile(p)), l.min), l.max)
}

func (l logUniform) Mean() float64 { return l.limited(l.max) }

func (l logUniform) limited(d float64) float64 {
	if d <= l.min {
		return d
	}
	d = min(d, l.max)
	return ((d - l.min) + d*logRatio(l.max, d)) / logRatio(l.max, l.min)
}

// logRatio returns ln(a/b) for a >= b, also where a/b is beyond float64.
func logRatio(a, b float64) float64 {
	if ratio := a / b; !math.IsInf(ratio, 1) {
		return math.Log(ratio)
	}
	return math.Log(a) - math.Log(b)
}

type pareto struct{ distuv.Pareto }

func newPareto(d Distribution, src rand.Source) (law, error) {
	return pareto{distuv.Pareto{Xm: d.Parameters["min"], Alpha: d.Parameters["shape"], Src: src}}, nil
}

func (p pareto) limited(d float64) float64 {
	if d <= p.Xm {
		return d
	}
	if p.Alpha == 1 {
		return p.Xm * (1 + logRatio(d, p.Xm))
	}
	return p.Xm * (1 + math.Expm1((1-p.Alpha)*logRatio(d, p.Xm))/(1-p.Alpha))
}

type triangle struct {
	distuv.Triangle
	min, mode, max float64
}

func newTriangle(d Distribution, src rand.Source) (law, error) {
	lo, mode, hi := d.Parameters["min"], d.Parameters["mode"], d.Parameters["max"]
	if lo >= hi {
		return nil, d.problem("max", "is %v, not more than min, which is %v", quantity(hi), quantity(lo))
	}
	if mode < lo || mode > hi {
		return nil, d.problem("mode", "is %v, not between min and max, which are %v and %v", quantity(mode), quantity(lo), quantity(hi))
	}
	return triangle{distuv.NewTriangle(lo, hi, mode, src), lo, mode, hi}, nil
}

func (t triangle) limited(d float64) float64 {
	switch {
	case d <= t.min:
		return d
	case d >= t.max:
		return t.Mean()
	case d <= t.mode:
		x := d - t.min
		return d - x*(x/(t.max-t.min))*(x/(t.mode-t.min))/3
	}
	x := t.max - d
	return t.Mean() - x*(x/(t.max-t.min))*(x/(t.max-t.mode))/3
}

// normal is a normal distribution under the condition that it is not negative.
// Its mean is never negative, so half of the draws or more are kept.
type normal struct{ distuv.Normal }

func newNormal(d Distribution, src rand.Source) (law, error) {
	return normal{distuv.Normal{Mu: d.Parameters["mean"], Sigma: d.Parameters["sd"], Src: src}}, nil
}

func (n normal) Rand() float64 {
	for {
		if x := n.Normal.Rand(); x >= 0 {
			return x
		}
	}
}

func (n normal) Quantile(p float64) float64 {
	return max(n.Mu-n.Sigma*mathext.NormalQuantile((1-p)*n.Survival(0)), 0)
}

func (n normal) Mean() float64 { return n.excess(0) / n.Survival(0) }

func (n normal) limited(d float64) float64 { return (n.excess(0) - n.excess(d)) / n.Survival(0) }

// excess returns E[max(X-d, 0)] of the unconditioned normal distribution.
func (n normal) excess(d float64) float64 {
	z := (d - n.Mu) / n.Sigma
	return n.Sigma*distuv.UnitNormal.Prob(z) - (d-n.Mu)*distuv.UnitNormal.Survival(z)
}

// choice is a discrete distribution.
type choice struct {
	values    []float64
	pick      picker
	ascending []float64 // the values that have a probability
	reached   []float64 // probabilities of it or less
}

func newChoice(d Distribution, src rand.Source) (law, error) {
	if len(d.Choices) == 0 {
		return nil, d.problem("choices", "are missing: values with their weights")
	}
	values, weights := make([]float64, len(d.Choices)), make([]float64, len(d.Choices))
	for i, o := range d.Choices {
		if !finite(o.Value) || o.Value < 0 {
			return nil, d.problem("choices", "value %d is %v, want a number at least 0", i+1, quantity(o.Value))
		}
		if !finite(o.Weight) || o.Weight < 0 {
			return nil, d.problem("choices", "weight %d is %v, want a number at least 0", i+1, o.Weight)
		}
		values[i], weights[i] = o.Value, o.Weight
	}
	c := choiceOf(values, weights, src)
	if sum := c.pick.sum(); !(sum > 0) || !finite(sum) {
		return nil, d.problem("choices", "the weights sum to %v, want a number above 0", sum)
	}
	return c, nil
}

func choiceOf(values, weights []float64, src rand.Source) choice {
	c := choice{values: values, pick: newPicker(weights, src)}
	order := make([]int, len(values))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(values[a], values[b]) })
	var sum float64
	for _, i := range order {
		if share := c.pick.probability(i); share > 0 {
			sum += share
			c.ascending, c.reached = append(c.ascending, values[i]), append(c.reached, sum)
		}
	}
	return c
}

// newBernoulli is a choice of two.
func newBernoulli(d Distribution, src rand.Source) (law, error) {
	lo, hi, p := d.Parameters["min"], d.Parameters["max"], d.Parameters["p"]
	if lo >= hi {
		return nil, d.problem("max", "is %v, not more than min, which is %v", quantity(hi), quantity(lo))
	}
	return choiceOf([]float64{lo, hi}, []float64{1 - p, p}, src), nil
}

func (c choice) Rand() float64 { return c.values[c.pick.next()] }

func (c choice) Quantile(p float64) float64 {
	return c.ascending[sort.Search(len(c.reached)-1, func(i int) bool { return c.reached[i] >= p })]
}

func (c choice) Mean() float64 { return c.limited(math.Inf(1)) }

func (c choice) limited(d float64) float64 {
	var mean float64
	for i, v := range c.values {
		mean += min(v, d) * c.pick.probability(i)
	}
	return mean
}
