package fit

import (
	"cmp"
	"errors"
	"math"
	"slices"

	"gonum.org/v1/gonum/optimize"

	"dmasim/workloads"
)

// Candidate is a family with its best parameters.
type Candidate struct {
	Distribution workloads.Distribution
	// Empirical: these are the data, as a histogram, and not a family; AIC is not given.
	Empirical bool
	Free      int     // parameters that were estimated
	AIC       float64 // of the sample, per unit
	KS        float64 // greatest distance from the sample
}

// Fit is what was found for a quantity.
type Fit struct {
	Seen, Censored int         // values in the sample
	Unit           float64     // divides all values that were seen
	Candidates     []Candidate // by AIC
	Chosen         Candidate
}

// ErrNothing is a sample in which no value was seen.
var ErrNothing = errors.New("no value was seen")

const (
	// maxChoices bounds the values of a list, and 1/maxBins what a bin has of the data.
	maxChoices = 64
	maxBins    = 64
	// farKS is the distance from the sample from which on a family will not do.
	farKS = 0.1
)

// Choose fits every family to a sample and chooses one.
func Choose(s Sample) (Fit, error) {
	if len(s.Values) == 0 {
		return Fit{}, ErrNothing
	}
	p := newPoints(s)
	f := Fit{Seen: len(s.Values), Censored: len(s.Censored), Unit: p.unit}
	lists := p.lists()
	if len(lists.values) == 1 {
		f.Candidates = []Candidate{{
			Distribution: workloads.Distribution{Kind: "fixed", Parameters: map[string]float64{"value": math.Max(math.Round(lists.values[0]), 1)}},
			Free:         1, KS: 0,
		}}
		f.Chosen = f.Candidates[0]
		return f, nil
	}
	if n := len(lists.values); n <= maxChoices {
		c := Candidate{Distribution: lists.distribution(), Free: 2*n - 1, KS: p.kolmogorov(lists)}
		c.AIC = 2*float64(c.Free) - 2*(p.logLikelihood(lists)-p.seen*math.Log(p.unit)) // shares are per value already
		f.add(c)
	}
	for i := range families {
		if c, ok := families[i].fit(&p); ok {
			f.add(c)
		}
	}
	slices.SortStableFunc(f.Candidates, func(a, b Candidate) int { return cmp.Compare(a.AIC, b.AIC) })
	if i := slices.IndexFunc(f.Candidates, func(c Candidate) bool { return c.KS <= farKS }); i >= 0 {
		f.Chosen = f.Candidates[i]
		return f, nil
	}
	bins := lists.bins(p.unit)
	f.Chosen = Candidate{
		Distribution: workloads.Distribution{Kind: "empirical", Bins: bins}, Empirical: true, Free: 2*len(bins) - 1, KS: p.kolmogorov(histogram(bins)),
	}
	return f, nil
}

func (f *Fit) add(c Candidate) {
	if !math.IsNaN(c.AIC) && !math.IsInf(c.AIC, 0) && c.Distribution.Validate() == nil {
		f.Candidates = append(f.Candidates, c)
	}
}

// fit finds the best parameters of a family.
func (f *family) fit(p *points) (Candidate, bool) {
	x := f.start(p)
	for _, v := range x {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return Candidate{}, false
		}
	}
	if f.search {
		problem := optimize.Problem{Func: func(x []float64) float64 {
			_, l := f.of(x)
			if v := -p.logLikelihood(l) / p.seen; !math.IsNaN(v) {
				return v
			}
			return math.Inf(1)
		}}
		best, err := optimize.Minimize(problem, x, &optimize.Settings{
			FuncEvaluations: 400, Converger: &optimize.FunctionConverge{Absolute: 1e-9, Iterations: 15},
		}, &optimize.NelderMead{})
		if best == nil || err != nil && math.IsInf(best.F, 0) {
			return Candidate{}, false
		}
		x = best.X
	}
	parameters, l := f.of(x)
	for _, k := range workloads.DistributionKinds() {
		for _, parameter := range k.Parameters {
			if k.Name == f.kind && parameter.Scaled { // as scenarios write them
				parameters[parameter.Name] = math.Max(math.Round(parameters[parameter.Name]), 1)
			}
		}
	}
	return Candidate{
		Distribution: workloads.Distribution{Kind: f.kind, Parameters: parameters},
		Free:         f.free, AIC: 2*float64(f.free) - 2*p.logLikelihood(l), KS: p.kolmogorov(l),
	}, true
}

// lists returns the values that were seen with their shares. What is known only to
// be larger than all of them becomes the greatest bound.
func (p *points) lists() list {
	var l list
	before := 1.0
	for _, q := range p.list {
		if q.seen > 0 {
			l.values = append(l.values, q.value)
			l.shares = append(l.shares, before-q.survival)
			before = q.survival
		}
	}
	if before > 1e-9 {
		_, hi := p.ends()
		l.values, l.shares = append(l.values, hi), append(l.shares, before)
	}
	return l
}

// bins returns a histogram: a value that is often seen is a bin alone, others share one.
// A bin begins a unit below its first value: what is drawn in it and rounded up to whole
// units is equally often each of the values that are possible.
func (l list) bins(unit float64) []workloads.Bin {
	var made []workloads.Bin
	var open *workloads.Bin
	for i, v := range l.values {
		v, share := math.Round(v), max(math.Round(l.shares[i]*1e6), 1)
		if share >= 1e6/maxBins || v < unit {
			made, open = append(made, workloads.Bin{Lo: v, Hi: v, Count: share}), nil
			continue
		}
		if open == nil {
			made = append(made, workloads.Bin{Lo: v - unit})
			open = &made[len(made)-1]
		}
		open.Hi = v
		if open.Count += share; open.Count >= 1e6/maxBins {
			open = nil
		}
	}
	return made
}

// distribution returns the list as a churn takes it, with whole values.
func (l list) distribution() workloads.Distribution {
	d := workloads.Distribution{Kind: "choice"}
	for i, v := range l.values {
		d.Choices = append(d.Choices, workloads.Choice{Value: math.Max(math.Round(v), 1), Weight: max(math.Round(l.shares[i]*1e6), 1) / 1e6})
	}
	return d
}
