package pack

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
)

// feature is a property of a buffer by which buffers can be ordered.
type feature uint8

const (
	size     feature = iota
	duration         // from start to end
	area             // size times duration
	sections         // how many sections the buffer is in
	busiest          // the largest load of a section the buffer is in
	featureCount
)

// order is a list of features: the buffers with the largest value of the first
// come first, the second decides between equal ones, and so on.
type order []feature

// searchOrders are those that a search tries. The first three are the ones that
// MiniMalloc's solver tries (TWA, WAT and TAW in src/solver.h at commit 9f5cf81).
var searchOrders = [...]order{
	{busiest, duration, area},
	{duration, area, busiest},
	{busiest, area, duration},
	{area, duration, busiest},
	{sections, area, busiest},
	{size, duration, area},
}

// mixture is an order by a product of powers of the features, each buffer's
// times a log-normal factor.
type mixture struct {
	power [featureCount]float64
	noise float64 // the standard deviation of the factor's logarithm
}

// randomMixture returns a mixture of size, duration, sections and load. With even
// odds, the load dominates.
func randomMixture(random *rand.Rand) mixture {
	const power, dominant, noise = 3, 10, 0.03
	m := mixture{noise: noise}
	for _, f := range [...]feature{busiest, duration, size, sections} {
		m.power[f] = power * random.Float64()
	}
	if random.IntN(2) == 0 {
		m.power[busiest] *= dominant
	}
	return m
}

// featureTable holds the values of the features by buffer.
type featureTable [featureCount][]float64

func newFeatureTable(p *instance) *featureTable {
	var t featureTable
	for f := range t {
		t[f] = make([]float64, len(p.size))
	}
	for i := range p.size {
		t[size][i] = float64(p.size[i])
		t[duration][i] = p.duration[i]
		t[area][i] = float64(p.size[i]) * p.duration[i]
		t[sections][i] = float64(p.end[i] - p.first[i])
		t[busiest][i] = float64(slices.Max(p.load[p.first[i]:p.end[i]]))
	}
	return &t
}

// sort sorts buffers by an order.
func (t *featureTable) sort(buffers []int32, by order) {
	slices.SortStableFunc(buffers, func(i, j int32) int {
		for _, f := range by {
			if c := cmp.Compare(t[f][j], t[f][i]); c != 0 {
				return c
			}
		}
		return 0
	})
}

// shuffle sorts buffers by a mixture.
func (t *featureTable) shuffle(buffers []int32, by mixture, random *rand.Rand) {
	key := make([]float64, len(buffers))
	for i := range key {
		key[i] = by.noise * random.NormFloat64()
		for f, power := range by.power {
			key[i] += power * math.Log(t[f][i])
		}
	}
	slices.SortStableFunc(buffers, func(i, j int32) int { return cmp.Compare(key[j], key[i]) })
}
