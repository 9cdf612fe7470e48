package fit

import (
	"math"

	"gonum.org/v1/gonum/stat/distuv"

	"dmasim/workloads"
)

// law is a distribution as a likelihood needs it.
type law interface {
	LogProb(x float64) float64
	Survival(x float64) float64 // P(X > x)
}

// family is a kind of workloads.Distribution that can be fitted. Its parameters
// have coordinates, any numbers, of which a search looks for the best.
type family struct {
	kind string
	free int // parameters that are estimated
	// start returns coordinates from where to search, the best ones where search is
	// false; none if the sample can't be of this kind.
	start  func(*points) []float64
	search bool
	// of returns the parameters, by their names in the kind, and the distribution.
	of func(x []float64) (map[string]float64, law)
}

// families is sorted by kind. Kinds without a row are not tried: of fixed and
// choice takes care who asks.
var families = []family{
	{
		kind: "exponential", free: 1,
		start: func(p *points) []float64 { return []float64{math.Log(p.total / p.seen)} },
		of: func(x []float64) (map[string]float64, law) {
			mean := math.Exp(x[0])
			return map[string]float64{"mean": mean}, distuv.Exponential{Rate: 1 / mean}
		},
	}, {
		kind: "gamma", free: 2, search: true,
		start: func(p *points) []float64 {
			return []float64{math.Log(p.total / p.seen), logOf(p.mean*p.mean/p.variance, 1e-2, 1e5)}
		},
		of: func(x []float64) (map[string]float64, law) {
			mean, shape := math.Exp(x[0]), math.Exp(clamp(x[1], math.Log(1e-3), math.Log(1e6)))
			return map[string]float64{"mean": mean, "shape": shape}, distuv.Gamma{Alpha: shape, Beta: shape / mean}
		},
	}, {
		kind: "gumbel_right", free: 2, search: true,
		start: func(p *points) []float64 { return p.locationAndScale(math.Sqrt(6)/math.Pi, 0.5772) },
		of: func(x []float64) (map[string]float64, law) {
			location, scale := math.Exp(x[0]), math.Exp(x[1])
			return map[string]float64{"location": location, "scale": scale}, notNegative{distuv.GumbelRight{Mu: location, Beta: scale}}
		},
	}, {
		kind: "hyper_exponential", free: 2, search: true,
		start: func(p *points) []float64 {
			return []float64{math.Log(p.total / p.seen), logOf(math.Sqrt(p.variance)/p.mean-1, 1e-2, 500)}
		},
		of: func(x []float64) (map[string]float64, law) {
			mean, cv := math.Exp(x[0]), min(1+math.Exp(x[1]), 1000)
			cv2 := cv * cv
			short := (1 + math.Sqrt((cv2-1)/(cv2+1))) / 2
			return map[string]float64{"mean": mean, "cv": cv}, hyperExponential{short, mean / (2 * short), mean / (2 * (1 - short))}
		},
	}, {
		kind: "inverse_gamma", free: 2, search: true,
		start: func(p *points) []float64 {
			// The reciprocal has a gamma distribution.
			shape := clamp(2+p.mean*p.mean/p.variance, 0.2, 1e4)
			return []float64{math.Log(p.mean * (shape - 1)), math.Log(shape)}
		},
		of: func(x []float64) (map[string]float64, law) {
			scale, shape := math.Exp(x[0]), math.Exp(clamp(x[1], math.Log(0.1), math.Log(1e5)))
			return map[string]float64{"scale": scale, "shape": shape}, distuv.InverseGamma{Alpha: shape, Beta: scale}
		},
	}, {
		kind: "laplace", free: 2, search: true,
		start: func(p *points) []float64 { return p.locationAndScale(math.Sqrt2/2, 0) },
		of: func(x []float64) (map[string]float64, law) {
			location, scale := math.Exp(x[0]), math.Exp(x[1])
			return map[string]float64{"location": location, "scale": scale}, notNegative{distuv.Laplace{Mu: location, Scale: scale}}
		},
	}, {
		kind: "log_normal", free: 2, search: true,
		start: func(p *points) []float64 {
			mean, sd := p.logMoments()
			return []float64{mean, logOf(sd, 1e-3, 9)}
		},
		of: func(x []float64) (map[string]float64, law) {
			sigma := math.Exp(clamp(x[1], math.Log(1e-6), math.Log(10)))
			return map[string]float64{"median": math.Exp(x[0]), "sigma": sigma}, distuv.LogNormal{Mu: x[0], Sigma: sigma}
		},
	}, {
		kind: "log_uniform", free: 2,
		start: func(p *points) []float64 { lo, hi := p.ends(); return []float64{lo, hi} },
		of: func(x []float64) (map[string]float64, law) {
			return map[string]float64{"min": x[0], "max": x[1]}, logUniform{x[0], x[1]}
		},
	}, {
		kind: "logistic", free: 2, search: true,
		start: func(p *points) []float64 { return p.locationAndScale(math.Sqrt(3)/math.Pi, 0) },
		of: func(x []float64) (map[string]float64, law) {
			location, scale := math.Exp(x[0]), math.Exp(x[1])
			return map[string]float64{"location": location, "scale": scale}, notNegative{logistic{location, scale}}
		},
	}, {
		kind: "normal", free: 2, search: true,
		start: func(p *points) []float64 {
			return []float64{math.Log(p.total / p.seen), math.Log(math.Sqrt(p.variance))}
		},
		of: func(x []float64) (map[string]float64, law) {
			mean, sd := math.Exp(x[0]), math.Exp(x[1])
			return map[string]float64{"mean": mean, "sd": sd}, notNegative{distuv.Normal{Mu: mean, Sigma: sd}}
		},
	}, {
		kind: "pareto", free: 2,
		start: func(p *points) []float64 {
			lo, _ := p.ends()
			var logs float64
			for _, q := range p.list {
				logs += (q.seen + q.censored) * math.Max(math.Log(q.value/lo), 0)
			}
			return []float64{lo, clamp(p.seen/logs, 1e-3, 1e6)}
		},
		of: func(x []float64) (map[string]float64, law) {
			return map[string]float64{"min": x[0], "shape": x[1]}, distuv.Pareto{Xm: x[0], Alpha: x[1]}
		},
	}, {
		kind: "students_t", free: 3, search: true,
		start: func(p *points) []float64 { return append(p.locationAndScale(0.7, 0), math.Log(4)) },
		of: func(x []float64) (map[string]float64, law) {
			location, scale, degrees := math.Exp(x[0]), math.Exp(x[1]), math.Exp(clamp(x[2], math.Log(0.2), math.Log(1e4)))
			return map[string]float64{"location": location, "scale": scale, "degrees": degrees},
				notNegative{distuv.StudentsT{Mu: location, Sigma: scale, Nu: degrees}}
		},
	}, {
		kind: "uniform", free: 2,
		start: func(p *points) []float64 { lo, hi := p.ends(); return []float64{lo, hi} },
		of: func(x []float64) (map[string]float64, law) {
			return map[string]float64{"min": x[0], "max": x[1]}, uniform{distuv.Uniform{Min: x[0], Max: x[1]}}
		},
	}, {
		kind: "weibull", free: 2, search: true,
		start: func(p *points) []float64 {
			mean, sd := p.logMoments() // of a Weibull's logarithm: the mean is ln(scale)-0.577/shape
			shape := clamp(math.Pi/math.Sqrt(6)/sd, 0.05, 1e4)
			return []float64{mean + 0.5772/shape, math.Log(shape)}
		},
		of: func(x []float64) (map[string]float64, law) {
			scale, shape := math.Exp(x[0]), math.Exp(clamp(x[1], math.Log(1e-2), math.Log(1e4)))
			return map[string]float64{"scale": scale, "shape": shape}, distuv.Weibull{K: shape, Lambda: scale}
		},
	},
}

func clamp(x, lo, hi float64) float64 { return min(max(x, lo), hi) }

func logOf(x, lo, hi float64) float64 { return math.Log(clamp(x, lo, hi)) }

// ends returns the least and the greatest value of the sample. A censored value is
// less than the greatest.
func (p *points) ends() (lo, hi float64) {
	lo = math.Inf(1)
	for _, q := range p.list {
		if q.seen > 0 {
			lo = min(lo, q.value)
		}
	}
	last := p.list[len(p.list)-1]
	if hi = last.value; last.censored > 0 {
		hi += p.unit
	}
	return lo, hi
}

// locationAndScale returns the logarithms of a scale, in standard deviations, and of the
// location that so many scales are below the mean.
func (p *points) locationAndScale(scale, below float64) []float64 {
	scale *= math.Sqrt(p.variance)
	return []float64{math.Log(max(p.mean-below*scale, scale/100)), math.Log(scale)}
}

// logMoments returns mean and standard deviation of the logarithms of what was
// seen.
func (p *points) logMoments() (mean, sd float64) {
	for _, q := range p.list {
		mean += math.Log(q.value) * q.seen / p.seen
	}
	for _, q := range p.list {
		d := math.Log(q.value) - mean
		sd += d * d * q.seen / p.seen
	}
	return mean, max(math.Sqrt(sd), 1e-3)
}

// uniform has its ends among its values.
type uniform struct{ distuv.Uniform }

func (u uniform) Survival(x float64) float64 {
	return clamp((u.Max-x)/(u.Max-u.Min), 0, 1)
}

type logUniform struct{ min, max float64 }

func (l logUniform) LogProb(x float64) float64 {
	if x < l.min || x > l.max {
		return math.Inf(-1)
	}
	return -math.Log(x) - math.Log(math.Log(l.max/l.min))
}

func (l logUniform) Survival(x float64) float64 {
	return clamp(math.Log(l.max/max(x, l.min))/math.Log(l.max/l.min), 0, 1)
}

// hyperExponential is short with probability p.
type hyperExponential struct{ p, short, long float64 }

func (h hyperExponential) LogProb(x float64) float64 {
	return math.Log(h.p/h.short*math.Exp(-x/h.short) + (1-h.p)/h.long*math.Exp(-x/h.long))
}

func (h hyperExponential) Survival(x float64) float64 {
	return h.p*math.Exp(-max(x, 0)/h.short) + (1-h.p)*math.Exp(-max(x, 0)/h.long)
}

// logistic has logarithms where the density of distuv's is 0 in float64.
type logistic struct{ location, scale float64 }

func (l logistic) LogProb(x float64) float64 {
	z := math.Abs(x-l.location) / l.scale
	return -z - 2*math.Log1p(math.Exp(-z)) - math.Log(l.scale)
}

func (l logistic) Survival(x float64) float64 { return 1 / (1 + math.Exp((x-l.location)/l.scale)) }

// notNegative is a distribution under the condition that it is not negative.
type notNegative struct{ law }

func (n notNegative) LogProb(x float64) float64 {
	return n.law.LogProb(x) - math.Log(n.law.Survival(0))
}

func (n notNegative) Survival(x float64) float64 {
	return n.law.Survival(max(x, 0)) / n.law.Survival(0)
}

// list is a discrete distribution, by value.
type list struct{ values, shares []float64 }

func (l list) LogProb(x float64) float64 {
	for i, v := range l.values {
		if v == x {
			return math.Log(l.shares[i])
		}
	}
	return math.Inf(-1)
}

func (l list) Survival(x float64) float64 {
	var sum float64
	for i, v := range l.values {
		if v > x {
			sum += l.shares[i]
		}
	}
	return sum
}

// histogram is bins in ascending order.
type histogram []workloads.Bin

// LogProb is not that of a sample.
func (histogram) LogProb(float64) float64 { return math.NaN() }

func (h histogram) Survival(x float64) float64 {
	var above, all float64
	for _, b := range h {
		all += b.Count
		switch {
		case x < b.Lo:
			above += b.Count
		case x < b.Hi:
			above += b.Count * (b.Hi - x) / (b.Hi - b.Lo)
		}
	}
	return above / all
}
