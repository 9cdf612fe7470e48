package workloads

import (
	"math"
	"math/rand/v2"

	"gonum.org/v1/gonum/integrate/quad"
	"gonum.org/v1/gonum/mathext"
	"gonum.org/v1/gonum/stat/distuv"
)

// standard is a distribution in its standard form, of location 0 and scale 1. Those of
// distuv are.
type standard interface {
	CDF(z float64) float64
	Survival(z float64) float64 // P(Z > z)
	Quantile(p float64) float64
}

// located is location + scale·Z of a standard distribution, under the condition that
// it is not negative. A draw is the quantile of one uniform number, so it grows with
// that number, and a change of parameters moves it as little as can be.
type located struct {
	standard
	location, scale float64
	below           float64 // P(location + scale·Z < 0), at most 1/2
	mean            float64 // of Z
	tail            float64 // P(Z > z) falls with the power -tail of z, if mean is +Inf or both forms are nil
	// One of the two is the closed form, of a Z that is never negative or of one that
	// may be; without any, limited integrates.
	partial func(z float64) float64 // E[min(Z, z)] for z > 0
	excess  func(z float64) float64 // E[max(Z-z, 0)]
	src     rand.Source
}

func (l located) Rand() float64 { return l.Quantile(uniformOf(l.src)) }

// uniformOf returns a number above 0 and below 1.
func uniformOf(src rand.Source) float64 { return (float64(src.Uint64()>>12) + 0.5) / (1 << 52) }

func (l located) Quantile(p float64) float64 {
	return max(l.location+l.scale*l.standard.Quantile(min(l.below+p*(1-l.below), 1)), 0)
}

func (l located) survival(x float64) float64 {
	return min(l.Survival((x-l.location)/l.scale)/(1-l.below), 1)
}

func (l located) excessOver(x float64) float64 {
	z := (x - l.location) / l.scale
	if z < -1e100 { // where a formula would overflow, and nothing is as far below
		return l.location - x + l.scale*l.mean
	}
	return l.scale * l.excess(z)
}

func (l located) Mean() float64 {
	switch {
	case math.IsInf(l.mean, 1):
		return l.mean
	case l.partial != nil:
		return l.location + l.scale*l.mean
	case l.excess != nil:
		return l.excessOver(0) / (1 - l.below)
	}
	return l.integral(math.Inf(1))
}

func (l located) limited(d float64) float64 {
	switch {
	case l.partial != nil && d <= l.location:
		return d
	case l.partial != nil:
		return l.location + l.scale*l.partial((d-l.location)/l.scale)
	case l.excess != nil:
		return (l.excessOver(0) - l.excessOver(d)) / (1 - l.below)
	}
	return l.integral(d)
}

// integral returns that of P(X > x) from 0 to d: by Gauss's rule between quantiles, and
// beyond the last, where there is little left, of the power law that the tail has.
func (l located) integral(d float64) float64 {
	var sum, from float64
	for _, p := range [...]float64{1e-8, 1e-5, 1e-3, .02, .1, .25, .5, .75, .9, .98, .999, 1 - 1e-4, 1 - 1e-5, 1 - 1e-6, 1 - 1e-7, 1 - 1e-8} {
		to := min(l.Quantile(p), d)
		if to > from {
			sum += quad.Fixed(l.survival, from, to, 24, quad.Legendre{}, 0)
			from = to
		}
	}
	switch left := l.survival(from) * from; {
	case from >= d || left == 0:
		return sum
	case math.Abs(l.tail-1) < 1e-9:
		return sum + left*(math.Log(d)-math.Log(from))
	default:
		return sum + left*-math.Expm1((1-l.tail)*(math.Log(d)-math.Log(from)))/(l.tail-1)
	}
}

// newLocated returns the conditioned distribution of a Z that may be negative.
func newLocated(d Distribution, z standard, mean float64, excess func(float64) float64, src rand.Source) located {
	l := located{standard: z, location: d.Parameters["location"], scale: d.Parameters["scale"], mean: mean, excess: excess, src: src}
	l.below = z.CDF(-l.location / l.scale)
	return l
}

// newScaled returns the distribution of scale times a Z that is never negative.
func newScaled(d Distribution, z standard, mean float64, partial func(float64) float64, src rand.Source) located {
	return located{standard: z, scale: d.Parameters["scale"], mean: mean, partial: partial, src: src}
}

// upperGamma returns the regularised upper incomplete gamma function Q(a, x).
func upperGamma(a, x float64) float64 {
	if math.IsInf(x, 1) {
		return 0
	}
	return mathext.GammaIncRegComp(a, x)
}

func newBeta(d Distribution, src rand.Source) (law, error) {
	lo, hi := d.Parameters["min"], d.Parameters["max"]
	if lo >= hi {
		return nil, d.problem("max", "is %v, not more than min, which is %v", quantity(hi), quantity(lo))
	}
	a, b := d.Parameters["alpha"], d.Parameters["beta"]
	mean := a / (a + b)
	return located{
		standard: distuv.Beta{Alpha: a, Beta: b}, location: lo, scale: hi - lo, mean: mean,
		partial: func(z float64) float64 {
			if z >= 1 {
				return mean
			}
			return mean*mathext.RegIncBeta(a+1, b, z) + z*(1-mathext.RegIncBeta(a, b, z))
		},
		src: src,
	}, nil
}

func newChi(d Distribution, src rand.Source) (law, error) {
	k := d.Parameters["degrees"]
	mean := math.Sqrt2 * gammaRatio((k+1)/2, k/2)
	return newScaled(d, distuv.Chi{K: k}, mean, func(z float64) float64 {
		return mean*lowerGamma((k+1)/2, z*z/2) + z*upperGamma(k/2, z*z/2)
	}, src), nil
}

// gammaRatio returns Γ(a)/Γ(b).
func gammaRatio(a, b float64) float64 {
	above, _ := math.Lgamma(a)
	below, _ := math.Lgamma(b)
	return math.Exp(above - below)
}

func newChiSquared(d Distribution, src rand.Source) (law, error) {
	k := d.Parameters["degrees"]
	return newScaled(d, distuv.ChiSquared{K: k}, k, func(z float64) float64 {
		return k*lowerGamma(k/2+1, z/2) + z*upperGamma(k/2, z/2)
	}, src), nil
}

func newF(d Distribution, src rand.Source) (law, error) {
	d1, d2 := d.Parameters["d1"], d.Parameters["d2"]
	f := newScaled(d, distuv.F{D1: d1, D2: d2}, math.Inf(1), nil, src)
	f.tail = d2 / 2
	if d2 > 2.01 { // else I has a parameter that is too near to 0
		f.mean = d2 / (d2 - 2)
		f.partial = func(z float64) float64 {
			u := 1 / (1 + d2/(d1*z))
			return f.mean*mathext.RegIncBeta(d1/2+1, d2/2-1, u) + z*mathext.RegIncBeta(d2/2, d1/2, 1/(1+d1*z/d2))
		}
	} else if d2 > 2 {
		f.mean = d2 / (d2 - 2)
	}
	return f, nil
}

func newInverseGamma(d Distribution, src rand.Source) (law, error) {
	shape := d.Parameters["shape"]
	g := newScaled(d, distuv.InverseGamma{Alpha: shape, Beta: 1}, math.Inf(1), nil, src)
	g.tail = shape
	if shape > 1 {
		g.mean = 1 / (shape - 1)
		g.partial = func(z float64) float64 {
			return g.mean*upperGamma(shape-1, 1/z) + z*lowerGamma(shape, 1/z)
		}
	}
	return g, nil
}

func newGumbelRight(d Distribution, src rand.Source) (law, error) {
	const euler = 0.57721566490153286060651209008240243
	return newLocated(d, distuv.GumbelRight{Beta: 1}, euler, func(z float64) float64 { return ein(math.Exp(-z), -z) }, src), nil
}

// ein returns ∫₀ʸ (1-e⁻ᵗ)/t dt = γ + ln y + E₁(y) for y = exp(log) (Abramowitz and
// Stegun, "Handbook of Mathematical Functions", 5.1.39; the series 5.1.11 and, of E₁,
// the continued fraction 5.1.22).
func ein(y, log float64) float64 {
	const euler = 0.57721566490153286060651209008240243
	if y <= 1 {
		sum, term := 0.0, -1.0
		for k := 1.0; math.Abs(term) > 1e-18; k++ {
			term *= -y / k
			sum += term / k
		}
		return sum
	}
	// From the end: E₁(y) = e⁻ʸ/(y + 1/(1 + 1/(y + 2/(1 + 2/(y + …))))).
	tail := y
	for k := 100.0; k >= 1; k-- {
		tail = y + k/(1+k/tail)
	}
	return euler + log + math.Exp(-y)/tail
}

func newLaplace(d Distribution, src rand.Source) (law, error) {
	return newLocated(d, distuv.Laplace{Scale: 1}, 0, func(z float64) float64 {
		return math.Exp(-math.Abs(z))/2 + max(-z, 0)
	}, src), nil
}

func newLogistic(d Distribution, src rand.Source) (law, error) {
	return newLocated(d, distuv.Logistic{S: 1}, 0, func(z float64) float64 {
		return math.Log1p(math.Exp(-math.Abs(z))) + max(-z, 0)
	}, src), nil
}

func newStudentsT(d Distribution, src rand.Source) (law, error) {
	degrees := d.Parameters["degrees"]
	z := distuv.StudentsT{Sigma: 1, Nu: degrees}
	l := newLocated(d, z, math.Inf(1), nil, src)
	l.tail = degrees
	if degrees > 1 {
		l.mean = 0
		l.excess = func(t float64) float64 {
			return (degrees+t*t)/(degrees-1)*z.Prob(t) - t*z.Survival(t)
		}
	}
	return l, nil
}

// newNoncentralT draws as distuv does, by rejection of what is below 0: a quantile is
// found by search, hundreds of times slower.
func newNoncentralT(d Distribution, src rand.Source) (law, error) {
	degrees, delta := d.Parameters["degrees"], d.Parameters["noncentrality"]
	z := distuv.NoncentralT{Nu: degrees, Mu: delta, Src: src}
	l := newLocated(d, farNoncentralT{z, z.Quantile(1 - farTail)}, math.Inf(1), nil, src)
	l.tail = degrees
	if degrees > 1 {
		l.mean = z.Mean()
	}
	return noncentralT{l, z}, nil
}

type noncentralT struct {
	located
	z distuv.NoncentralT
}

func (n noncentralT) Rand() float64 {
	for {
		if x := n.location + n.scale*n.z.Rand(); x >= 0 {
			return x
		}
	}
}

// farTail is the probability from which on the sum that distuv computes has no digits
// left that are right.
const farTail = 1e-6

// farNoncentralT continues the upper tail with its power law.
type farNoncentralT struct {
	distuv.NoncentralT
	far float64 // the quantile from which on
}

func (n farNoncentralT) Survival(z float64) float64 {
	if z > n.far {
		return farTail * math.Pow(z/n.far, -n.Nu)
	}
	return 1 - n.CDF(z)
}

func (n farNoncentralT) CDF(z float64) float64 {
	return min(max(n.NoncentralT.CDF(z), 0), 1)
}

func (n farNoncentralT) Quantile(p float64) float64 {
	if p > 1-farTail {
		return n.far * math.Pow((1-p)/farTail, -1/n.Nu)
	}
	return n.NoncentralT.Quantile(p)
}

// alphaStable has neither a distribution function nor, conditioned, a mean that
// distuv could compute.
type alphaStable struct{ distuv.AlphaStable }

func newAlphaStable(d Distribution, src rand.Source) (law, error) {
	return alphaStable{distuv.AlphaStable{
		Alpha: d.Parameters["alpha"], Beta: d.Parameters["beta"], C: d.Parameters["scale"], Mu: d.Parameters["location"], Src: src,
	}}, nil
}

// mostRedraws bounds the draws of a distribution that may be all below 0.
const mostRedraws = 100

func (a alphaStable) Rand() float64 {
	for range mostRedraws {
		if x := a.AlphaStable.Rand(); x >= 0 {
			return x
		}
	}
	return 0
}

func (a alphaStable) Mean() float64 {
	if a.Alpha <= 1 && a.Beta > -1 {
		return math.Inf(1)
	}
	return math.NaN()
}

func (a alphaStable) limited(float64) float64 { return math.NaN() }

// counted is min + step·K of a number K.
type counted struct {
	min, step float64
	mean      float64 // of K
	most      float64 // of K
	survival  func(k float64) float64
	below     func(k float64) float64 // E[K; K <= k]
	src       rand.Source
}

func newBinomial(d Distribution, src rand.Source) (law, error) {
	n, p := d.Parameters["trials"], d.Parameters["p"]
	k := distuv.Binomial{N: n, P: p}
	rest := distuv.Binomial{N: n - 1, P: p} // K·P(K) is n·p times that of one trial less
	return counted{
		min: d.Parameters["min"], step: d.Parameters["step"], mean: n * p, most: n,
		survival: k.Survival,
		below: func(k float64) float64 {
			switch {
			case k < 1:
				return 0
			case k >= n:
				return n * p
			}
			return n * p * rest.CDF(k-1)
		},
		src: src,
	}, nil
}

func newPoisson(d Distribution, src rand.Source) (law, error) {
	lambda := d.Parameters["lambda"]
	k := distuv.Poisson{Lambda: lambda}
	return counted{
		min: d.Parameters["min"], step: d.Parameters["step"], mean: lambda, most: math.Inf(1),
		survival: k.Survival,
		below: func(n float64) float64 {
			if n < 1 {
				return 0
			}
			return lambda * k.CDF(n-1)
		},
		src: src,
	}, nil
}

func (c counted) Rand() float64 { return c.Quantile(uniformOf(c.src)) }

// Quantile looks for the least number that P(K <= k) reaches p at, from the mean on
// with growing steps.
func (c counted) Quantile(p float64) float64 {
	enough := func(k float64) bool { return c.survival(k) <= 1-p }
	lo, hi := -1.0, math.Floor(c.mean) // enough(lo) is false, enough(hi) is to be true
	width := 1 + math.Floor(math.Sqrt(c.mean))
	if enough(hi) {
		for lo = hi - width; lo > -1 && enough(lo); lo -= width {
			hi = lo
			width *= 2
		}
		lo = max(lo, -1)
	} else {
		for lo, hi = hi, hi+width; hi < c.most && !enough(hi); hi += width {
			lo = hi
			width *= 2
		}
		hi = min(hi, c.most)
	}
	for hi-lo > 1 {
		if middle := math.Floor(lo + (hi-lo)/2); enough(middle) {
			hi = middle
		} else {
			lo = middle
		}
	}
	return c.min + c.step*hi
}

func (c counted) Mean() float64 { return c.min + c.step*c.mean }

func (c counted) limited(d float64) float64 {
	if d <= c.min {
		return d
	}
	k := (d - c.min) / c.step
	whole := math.Floor(k)
	if whole >= c.most || math.IsInf(k, 1) {
		return c.Mean()
	}
	return c.min + c.step*c.below(whole) + (d-c.min)*c.survival(whole)
}
