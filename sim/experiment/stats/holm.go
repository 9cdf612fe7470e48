package stats

import (
	"cmp"
	"math"
	"slices"
)

// Holm adjusts the p of many tests, so that the probability that any difference
// is claimed which does not exist stays below the level against which they are
// then held (S. Holm, Scandinavian J. Statistics 6, 1979). It holds whatever the
// tests have in common. A NaN is no test and stays one.
func Holm(p []float64) []float64 {
	adjusted := slices.Clone(p)
	var order []int
	for i := range p {
		if !math.IsNaN(p[i]) {
			order = append(order, i)
		}
	}
	slices.SortStableFunc(order, func(i, j int) int { return cmp.Compare(p[i], p[j]) })
	least := 0.0
	for rank, i := range order {
		least = max(least, min(p[i]*float64(len(order)-rank), 1))
		adjusted[i] = least
	}
	return adjusted
}
