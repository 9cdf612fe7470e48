package stats

import "math"

// WarmUp is the beginning of a series that is not typical of the rest.
type WarmUp struct {
	Drop     int  // values to leave out
	TooShort bool // the best cut is the last that was looked at: the series may never settle
}

// MSER finds the beginning of a series whose removal makes the mean of the rest
// most precise: over means of batches of the given size, it minimises
//
//	Σ(z_i - z̄)² / (n - d)²   over those after the first d
//
// for d up to half of the batches, and takes the smallest d of equals. With
// batches of 5 this is MSER-5 (K. P. White, M. J. Cobb and S. C. Spratt, Winter
// Simulation Conference 2000). A last batch that is not full is left out. A
// series that oscillates or drifts slowly can fool it.
func MSER(x []float64, batch int) WarmUp {
	n := len(x) / batch
	if n < 2 {
		return WarmUp{TooShort: true}
	}
	means := make([]float64, n)
	for i := range means {
		for _, v := range x[i*batch : (i+1)*batch] {
			means[i] += v / float64(batch)
		}
	}
	best, least := 0, math.Inf(1)
	for d := 0; d <= n/2; d++ {
		if score := standardError(means[d:]); score < least {
			best, least = d, score
		}
	}
	return WarmUp{Drop: best * batch, TooShort: best == n/2}
}

// standardError is the statistic that MSER minimises.
func standardError(z []float64) float64 {
	n := float64(len(z))
	var mean, sum float64
	for _, v := range z {
		mean += v / n
	}
	for _, v := range z {
		sum += (v - mean) * (v - mean)
	}
	return sum / (n * n)
}
