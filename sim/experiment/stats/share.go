package stats

import (
	"math"

	"gonum.org/v1/gonum/stat/distuv"
)

// Wilson returns the share k of n with Wilson's score interval (E. B. Wilson, J.
// American Statistical Association 22, 1927). n is at least 1.
func Wilson(k, n int, level float64) Interval {
	z := distuv.UnitNormal.Quantile((1 + level) / 2)
	p, count := float64(k)/float64(n), float64(n)
	scale := 1 + z*z/count
	middle := (p + z*z/(2*count)) / scale
	half := z / scale * math.Sqrt(p*(1-p)/count+z*z/(4*count*count))
	return Interval{p, max(middle-half, 0), min(middle+half, 1)}
}

// ClopperPearson returns the share k of n with the exact interval (C. J. Clopper
// and E. S. Pearson, Biometrika 26, 1934), which covers the true share with at
// least the probability level. n is at least 1. Where k is 0 or n the interval is
// still two-sided.
func ClopperPearson(k, n int, level float64) Interval {
	i := Interval{float64(k) / float64(n), 0, 1}
	tail := (1 - level) / 2
	if k > 0 {
		i.Lo = distuv.Beta{Alpha: float64(k), Beta: float64(n - k + 1)}.Quantile(tail)
	}
	if k < n {
		i.Hi = distuv.Beta{Alpha: float64(k + 1), Beta: float64(n - k)}.Quantile(1 - tail)
	}
	return i
}
