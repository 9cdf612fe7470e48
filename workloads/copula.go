package workloads

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/gonum/integrate/quad"
	"gonum.org/v1/gonum/mathext"
	"gonum.org/v1/gonum/stat/distuv"
)

// copula makes two uniform numbers dependent as two normal ones of correlation r are
// (Nelsen, "An Introduction to Copulas", 2nd edition, section 2.3). Quantiles of them
// have the distributions that they had, and, where both are continuous, Spearman's rank
// correlation 6/π·asin(r/2) (Kruskal, "Ordinal Measures of Association", JASA 53, 1958,
// section 5).
type copula struct{ r, rest float64 } // rest² + r² = 1

func newCopula(spearman float64) copula {
	r := min(max(2*math.Sin(math.Pi*spearman/6), -1), 1)
	return copula{r, math.Sqrt((1 - r) * (1 + r))}
}

// second returns the probability whose quantile goes with the normal numbers of the
// first value and of the second one's own.
func (c copula) second(first, own float64) float64 { return normalProbability(c.r*first + c.rest*own) }

// normalProbability returns P(Z <= z), but neither 0 nor 1.
func normalProbability(z float64) float64 {
	return min(max(distuv.UnitNormal.CDF(z), 0x1p-60), 1-0x1p-53)
}

// correlate checks that a client's size and lifetime have quantiles.
func (c *churnClient) correlate() error {
	if _, ok := c.size.quantile(0.5); !ok {
		return fmt.Errorf("size: %s has no quantiles, which a correlation needs", c.size.kind)
	}
	if _, ok := c.lifetime.quantile(0.5); !ok {
		return fmt.Errorf("lifetime: %s has no quantiles, which a correlation needs", c.lifetime.kind)
	}
	return nil
}

// reach is the normal number beyond which there is less than float64 can tell from
// nothing.
const reach = 8.2

// lives is a discrete stand-in for the joint distribution of sizes and lifetimes.
type lives struct {
	lifetimes   []float64 // ascending
	byteTime    []float64 // sum of probability·size·lifetime up to each
	bytesBeyond []float64 // sum of probability·size from each on
}

// lives returns a stand-in for a client's buffers: Gauss's rule over normal numbers up
// to a reach, with quantiles of lifetimes from a table.
func (c copula) lives(size, lifetime *Sampler, reach float64) *lives {
	const (
		nodes  = 300
		points = 4096
	)
	at, weight := make([]float64, nodes), make([]float64, nodes)
	quad.Legendre{}.FixedLocations(at, weight, -reach, reach)
	var sum float64
	for i := range weight {
		weight[i] *= math.Exp(-at[i] * at[i] / 2)
		sum += weight[i]
	}
	table := make([]float64, points+1)
	for i := range table {
		table[i], _ = lifetime.quantile(normalProbability(reach * (2*float64(i)/points - 1)))
	}
	type life struct{ lifetime, bytes float64 }
	all := make([]life, 0, nodes*nodes)
	for i := range at {
		s, _ := size.quantile(normalProbability(at[i]))
		for j := range at {
			x := min(max((c.r*at[i]+c.rest*at[j])/reach+1, 0), 2) / 2 * points
			k := min(int(x), points-1)
			l := table[k] + (table[k+1]-table[k])*(x-float64(k))
			all = append(all, life{l, s * weight[i] / sum * weight[j] / sum})
		}
	}
	slices.SortFunc(all, func(a, b life) int { return cmp.Compare(a.lifetime, b.lifetime) })
	made := &lives{make([]float64, len(all)), make([]float64, len(all)), make([]float64, len(all)+1)}
	var byteTime float64
	for i, l := range all {
		byteTime += l.bytes * l.lifetime
		made.lifetimes[i], made.byteTime[i] = l.lifetime, byteTime
	}
	for i := len(all) - 1; i >= 0; i-- {
		made.bytesBeyond[i] = made.bytesBeyond[i+1] + all[i].bytes
	}
	return made
}

// held returns E[size·min(lifetime, x)].
func (l *lives) held(x float64) float64 {
	n, _ := slices.BinarySearch(l.lifetimes, x)
	held := 0.0
	if n > 0 {
		held = l.byteTime[n-1]
	}
	if n < len(l.lifetimes) {
		held += x * l.bytesBeyond[n]
	}
	return held
}

// byteTimeOf returns E[size·lifetime], or NaN where the integral does not tell, because
// far ends matter to it that hardly any draw reaches.
func (c copula) byteTimeOf(size, lifetime *Sampler) float64 {
	s, l := size.mean(), lifetime.mean()
	switch {
	case math.IsNaN(s) || math.IsNaN(l):
		return math.NaN()
	case math.IsInf(s, 1) || math.IsInf(l, 1):
		if c.r >= 0 { // then it is no less than of independent ones
			return math.Inf(1)
		}
		return math.NaN()
	}
	whole, nearer := c.lives(size, lifetime, reach).held(math.Inf(1)), c.lives(size, lifetime, 0.83*reach).held(math.Inf(1))
	if math.Abs(whole-nearer) > 0.005*whole {
		return math.NaN()
	}
	return whole
}

// normalOf returns the normal number of a uniform one.
func normalOf(uniform float64) float64 { return mathext.NormalQuantile(uniform) }
