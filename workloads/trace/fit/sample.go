package fit

import (
	"math"
	"slices"
)

// Sample is a quantity as it was recorded, in bytes or nanoseconds.
type Sample struct {
	Values   []float64 // whole numbers, at least 0
	Censored []float64 // values of which is known only that they are larger
}

// point is a value and how often it was seen, or was known to be larger.
type point struct {
	value           float64
	seen, censored  float64
	below, survival float64 // share of the values less than it, and larger, by Kaplan and Meier
}

// points are a sample by value.
type points struct {
	list           []point
	unit           float64
	seen, censored float64
	mean, variance float64 // of what was seen
	total          float64 // seen and censored, summed
}

func newPoints(s Sample) points {
	p := points{unit: unit(s.Values)}
	add := func(values []float64, count func(*point) *float64) {
		sorted := slices.Sorted(slices.Values(values))
		for _, v := range sorted {
			if v == 0 {
				v = p.unit / 2 // not quite nothing: it was rounded
			}
			if n := len(p.list); n == 0 || p.list[n-1].value != v {
				p.list = append(p.list, point{value: v})
			}
			*count(&p.list[len(p.list)-1])++
			p.total += v
		}
	}
	add(s.Values, func(p *point) *float64 { return &p.seen })
	add(s.Censored, func(p *point) *float64 { return &p.censored })
	slices.SortStableFunc(p.list, func(a, b point) int {
		switch {
		case a.value < b.value:
			return -1
		case a.value > b.value:
			return 1
		}
		return 0
	})
	// A value that was seen counts before one that was censored there.
	p.seen, p.censored = float64(len(s.Values)), float64(len(s.Censored))
	risk, survival := p.seen+p.censored, 1.0
	for i := range p.list {
		q := &p.list[i]
		q.below = 1 - survival
		if q.seen > 0 {
			survival *= 1 - q.seen/risk
		}
		q.survival = survival
		risk -= q.seen + q.censored
		p.mean += q.value * q.seen / p.seen
	}
	for _, q := range p.list {
		p.variance += (q.value - p.mean) * (q.value - p.mean) * q.seen / p.seen
	}
	return p
}

// unit returns the greatest common divisor of the values, at least 1.
func unit(values []float64) float64 {
	var divisor uint64
	for _, v := range values {
		for a, b := divisor, uint64(v); ; a, b = b, a%b {
			if b == 0 {
				divisor = a
				break
			}
		}
		if divisor == 1 {
			break
		}
	}
	return float64(max(divisor, 1))
}

// kolmogorov returns the greatest distance between a distribution and the sample.
func (p *points) kolmogorov(l law) float64 {
	var most float64
	for _, q := range p.list {
		if q.seen == 0 {
			continue
		}
		below := 1 - l.Survival(math.Nextafter(q.value, 0))
		most = max(most, math.Abs(below-q.below), math.Abs(l.Survival(q.value)-q.survival))
	}
	return most
}

// logLikelihood returns that of the sample, per unit.
func (p *points) logLikelihood(l law) float64 {
	var sum float64
	for _, q := range p.list {
		if q.seen > 0 {
			sum += q.seen * l.LogProb(q.value)
		}
		if q.censored > 0 {
			sum += q.censored * math.Log(l.Survival(q.value))
		}
	}
	if math.IsNaN(sum) {
		return math.Inf(-1)
	}
	return sum + p.seen*math.Log(p.unit)
}
