package fit

import (
	"cmp"
	"math"
	"slices"

	"gonum.org/v1/gonum/stat"
)

// spearman returns the rank correlation of pairs, equal values having their mean rank,
// and whether it is further from 0 than that of one in 370 samples of independent ones
// (Kendall and Gibbons, "Rank Correlation Methods", 5th edition, section 4.10: the
// variance is 1/(n-1)).
func spearman(a, b []float64) (rho float64, significant bool) {
	const few = 10
	if len(a) < few {
		return 0, false
	}
	rho = stat.Correlation(ranks(a), ranks(b), nil)
	if math.IsNaN(rho) { // one of them is always the same
		return 0, false
	}
	return rho, math.Abs(rho)*math.Sqrt(float64(len(a)-1)) > 3
}

// ranks returns the ranks of values.
func ranks(values []float64) []float64 {
	order := make([]int, len(values))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(i, j int) int { return cmp.Compare(values[i], values[j]) })
	made := make([]float64, len(values))
	for i := 0; i < len(order); {
		end := i + 1
		for end < len(order) && values[order[end]] == values[order[i]] {
			end++
		}
		for _, of := range order[i:end] {
			made[of] = float64(i+end-1) / 2
		}
		i = end
	}
	return made
}
