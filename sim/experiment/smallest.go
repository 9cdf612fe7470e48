package experiment

import (
	"context"
	"fmt"
	"slices"

	"dmasim/allocator"
	"dmasim/mem"
	"dmasim/sim"
	"dmasim/sim/experiment/stats"
)

// Sizing asks for the least memory with which work runs.
type Sizing struct {
	// Build makes the system with a size of memory, ready to run once.
	Build func(size mem.Size, seed uint64) (sim.Config, error)
	Step  mem.Size // sizes are multiples of it; at least 1
	// Floor is proven not to be enough by less; the search begins there.
	Floor mem.Size
	Most  mem.Size // the largest that is tried
	Seed  uint64
	Runs  int // with every size, each with the next seed; at least 1
	// Rate is the share of failed requests that is allowed, on average over the
	// runs; 0: none may fail in any.
	Rate float64
	Jobs int
}

// Sized is the outcome of a search. Sizes are 0 where there is none.
type Sized struct {
	// Enough is the least size found that is enough, and above which none that was
	// tried is too small.
	Enough mem.Size `json:"enough_bytes"`
	// Least is the least size found that is enough at all. It is below Enough where
	// a larger one is too small again.
	Least    mem.Size        `json:"least_bytes"`
	TooSmall mem.Size        `json:"too_small_bytes"` // the largest tried that is too small
	Tried    int             `json:"tried"`           // sizes
	All      bool            `json:"all_below_tried"` // every size from the floor to Enough was tried
	Cause    allocator.Cause `json:"cause"`           // of the first failure with TooSmall
	Share    stats.Interval  `json:"-"`               // of runs with a failure, with Enough
	Runs     int             `json:"runs"`
}

const (
	// exhaustive is how many sizes below an answer are tried one by one; with more
	// between it and the floor, as many are tried at equal distances.
	exhaustive = 64
	// nextSizes and farSizes are how many sizes above an answer are tried: those
	// that follow, and some up to half as much again.
	nextSizes, farSizes = 16, 8
)

// Smallest searches for the least size that is enough.
//
// More memory is not always better: another size places everything elsewhere, and
// strategies have anomalies like those of scheduling. So a bisection can end at an
// edge that is not the lowest, nor the last. The search bisects to find an edge,
// then tries sizes above: where one is too small, it goes on above that. Then it
// tries sizes below. What it returns says how much was tried; only what was tried
// is known.
func Smallest(ctx context.Context, z Sizing) (*Sized, error) {
	if z.Step < 1 || z.Runs < 1 {
		return nil, fmt.Errorf("size: a step of %d and %d runs, want at least 1", z.Step, z.Runs)
	}
	s := &sizing{Sizing: z, tried: map[mem.Size]trial{}}
	first := max((z.Floor+z.Step-1)/z.Step, 1)
	last := z.Most / z.Step
	edge, err := s.edge(ctx, first, last)
	for err == nil && edge > 0 {
		worse, problem := s.worseAbove(ctx, edge, last)
		if problem != nil || worse == 0 {
			err = problem
			break
		}
		edge, err = s.edge(ctx, worse+1, last)
	}
	if err == nil && edge > 0 {
		err = s.probeBelow(ctx, first, edge)
	}
	if err != nil {
		return nil, err
	}
	return s.result(first, edge), nil
}

type sizing struct {
	Sizing
	tried map[mem.Size]trial // by number of steps
}

// trial is what became of runs with one size.
type trial struct {
	enough bool
	failed int // runs with a failure
	runs   int
	cause  allocator.Cause // of the first failure of the first run that had one
}

// edge returns a size of which one step less is too small, or the first; 0 if none
// up to last is enough. It widens its stride from first on, then bisects.
func (s *sizing) edge(ctx context.Context, first, last mem.Size) (mem.Size, error) {
	lo, hi := first-1, first // lo is too small, or not tried
	for stride := mem.Size(1); ; stride *= 2 {
		if hi > last {
			if lo >= last {
				return 0, nil
			}
			hi = last
		}
		enough, err := s.enough(ctx, hi)
		if err != nil {
			return 0, err
		}
		if enough {
			break
		}
		if hi == last {
			return 0, nil
		}
		lo = hi
		hi += stride
	}
	for hi-lo > 1 {
		middle := lo + (hi-lo)/2
		enough, err := s.enough(ctx, middle)
		if err != nil {
			return 0, err
		}
		if enough {
			hi = middle
		} else {
			lo = middle
		}
	}
	return hi, nil
}

// worseAbove returns the largest size tried above an edge that is too small, or 0.
func (s *sizing) worseAbove(ctx context.Context, edge, last mem.Size) (mem.Size, error) {
	var sizes []mem.Size
	for i := range mem.Size(nextSizes) {
		sizes = append(sizes, edge+1+i)
	}
	for i := range mem.Size(farSizes) {
		sizes = append(sizes, edge+edge*(i+1)/(2*farSizes))
	}
	worse := mem.Size(0)
	for _, size := range sizes {
		if size > last {
			continue
		}
		enough, err := s.enough(ctx, size)
		if err != nil {
			return 0, err
		}
		if !enough {
			worse = max(worse, size)
		}
	}
	return worse, nil
}

func (s *sizing) probeBelow(ctx context.Context, first, edge mem.Size) error {
	for i := range min(edge-first, exhaustive) {
		size := first + (edge-first)*i/min(edge-first, exhaustive)
		if _, err := s.enough(ctx, size); err != nil {
			return err
		}
	}
	return nil
}

// enough runs with a size, unless it was tried. Where no failure is allowed, the
// runs after the first that has one are not needed.
func (s *sizing) enough(ctx context.Context, size mem.Size) (bool, error) {
	if t, known := s.tried[size]; known {
		return t.enough, nil
	}
	var t trial
	var share float64
	for t.runs < s.Runs && (s.Rate > 0 || t.failed == 0) {
		batch := make([]requestCount, min(max(s.Jobs, 1), s.Runs-t.runs))
		err := Each(ctx, s.Jobs, len(batch), func(ctx context.Context, i int) error {
			var err error
			batch[i], err = s.count(ctx, size*s.Step, s.Seed+uint64(t.runs+i))
			return err
		})
		if err != nil {
			return false, err
		}
		for _, c := range batch {
			t.runs++
			share += ratio(float64(c.failed), float64(c.requests))
			if c.failed > 0 {
				if t.failed == 0 {
					t.cause = c.cause
				}
				t.failed++
			}
		}
	}
	t.enough = t.failed == 0 || (s.Rate > 0 && share/float64(t.runs) <= s.Rate)
	s.tried[size] = t
	return t.enough, nil
}

func (s *sizing) result(first, edge mem.Size) *Sized {
	r := &Sized{Tried: len(s.tried), Enough: edge * s.Step, Runs: s.Runs, All: edge > 0}
	var sizes []mem.Size
	for size := range s.tried {
		sizes = append(sizes, size)
	}
	slices.Sort(sizes)
	for _, size := range sizes {
		switch t := s.tried[size]; {
		case !t.enough:
			r.TooSmall, r.Cause = size*s.Step, t.cause
		case r.Least == 0:
			r.Least = size * s.Step
		}
	}
	for size := first; size < edge && r.All; size++ {
		_, r.All = s.tried[size]
	}
	if edge > 0 {
		t := s.tried[edge]
		r.Share = stats.ClopperPearson(t.failed, t.runs, Level)
	}
	return r
}

// requestCount is how many requests there were, and how many failed.
type requestCount struct {
	requests, failed uint64
	cause            allocator.Cause // of the first failure
}

func (s *sizing) count(ctx context.Context, size mem.Size, seed uint64) (requestCount, error) {
	var c requestCount
	cfg, err := s.Build(size, seed)
	if err != nil {
		return c, fmt.Errorf("with %s: %w", size, err)
	}
	simulation, err := sim.New(cfg)
	if err != nil {
		return c, fmt.Errorf("with %s: %w", size, err)
	}
	simulation.Observe(observerFunc(func(e *sim.Event) {
		if e.Kind == sim.Alloc {
			c.requests++
		}
		if e.Kind <= sim.Map && e.Diagnosis.Cause != allocator.None {
			c.failed++
			if c.failed == 1 {
				c.cause = e.Diagnosis.Cause
			}
			if s.Rate == 0 {
				simulation.Stop() // that decides it
			}
		}
	}))
	if err := simulation.Run(ctx); err != nil {
		return c, fmt.Errorf("with %s, seed %d: %w", size, seed, err)
	}
	return c, nil
}
