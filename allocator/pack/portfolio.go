package pack

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"
)

// portfolio improves the packing of one instance by a sequence of searches that
// differ in their order of buffers, their strategy and the capacity they aim at.
// Which of them succeeds soon differs from instance to instance by orders of
// magnitude, so none is given much before all have been tried: the limit on
// steps grows by half from one cycle through them to the next.
type portfolio struct {
	*instance
	table  *featureTable
	search *search
	random *rand.Rand
	runs   int

	best   []int64 // offsets
	height int64   // of best
	lower  int64   // no packing is lower
}

// newPortfolio starts from the best of the packings that first fit makes.
func newPortfolio(p *instance, buffers []Buffer, lower uint64, random *rand.Rand) *portfolio {
	f := &portfolio{
		instance: p, table: newFeatureTable(p), search: newSearch(p), random: random,
		lower: int64(lower),
	}
	for _, by := range Orders() {
		f.accept(p.firstFit(p.placingOrder(buffers, by, f.table)))
	}
	return f
}

// accept keeps the offsets if they are the best so far.
func (f *portfolio) accept(offsets []int64) {
	if height := f.instance.height(offsets); f.best == nil || height < f.height {
		f.best, f.height = slices.Clone(offsets), height
	}
}

// run makes the next search, of at most the given steps, for a packing of at
// most goal or, some of the time, of something between that and the best one so
// far. It returns the steps made.
func (f *portfolio) run(ctx context.Context, goal, steps int64) int64 {
	s := f.search
	limit := f.configure(max(goal, f.lower))
	s.limit = min(limit, steps)
	f.runs++
	switch s.run(ctx) {
	case solved:
		f.accept(s.offset)
	case infeasible:
		f.lower = max(f.lower, (s.capacity/f.granule+1)*f.granule)
	}
	return s.steps
}

// aims are the capacities of the random searches between the goal, 0, and just
// below the best packing, 1.
var aims = [...]float64{0, 0, 1. / 2, 3. / 4, 7. / 8, 1}

// configure sets up the next search and returns its limit of steps.
func (f *portfolio) configure(goal int64) int64 {
	const (
		perOrder = 3 // searches by fixed order and cycle
		fixed    = perOrder * len(searchOrders)
		random   = 24
	)
	s := f.search
	cycle, turn := f.runs/(fixed+random), f.runs%(fixed+random)
	below := max(goal, f.height-f.granule)
	byRank := f.identity()
	s.capacity, s.strategy = goal, lowestFirst
	if turn < fixed {
		f.table.sort(byRank, searchOrders[turn/perOrder])
		switch turn % perOrder {
		case 0:
			s.capacity = below
		case 2:
			s.strategy = hardestFirst
		}
	} else {
		f.table.shuffle(byRank, randomMixture(f.random), f.random)
		s.capacity += int64(aims[turn%len(aims)] * float64(below-goal))
		if f.random.IntN(8) > 0 {
			s.strategy = hardestFirst
		}
	}
	s.setOrder(byRank)

	// In the first cycle there are steps for an easy packing and a few failures.
	const perBuffer, growth, most = 4, 1.5, 1 << 50
	return int64(min(perBuffer*float64(len(f.size))*math.Pow(growth, float64(cycle)), most))
}
