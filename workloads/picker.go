package workloads

import (
	"math/rand/v2"
	"sort"
)

// picker draws indices by weight. Unlike distuv.Categorical it grows with its
// one random number, so a change of weights moves as few draws as it can.
type picker struct {
	cumulative []float64
	src        rand.Source
}

func newPicker(weights []float64, src rand.Source) picker {
	cumulative := make([]float64, len(weights))
	var sum float64
	for i, w := range weights {
		sum += w
		cumulative[i] = sum
	}
	return picker{cumulative, src}
}

func (p picker) sum() float64 { return p.cumulative[len(p.cumulative)-1] }

func (p picker) probability(i int) float64 {
	if i == 0 {
		return p.cumulative[0] / p.sum()
	}
	return (p.cumulative[i] - p.cumulative[i-1]) / p.sum()
}

// next returns the first index whose cumulative weight is above a uniform
// number below the sum, so never one of weight 0.
func (p picker) next() int {
	x := rand.New(p.src).Float64() * p.sum()
	return sort.Search(len(p.cumulative)-1, func(i int) bool { return p.cumulative[i] > x })
}
