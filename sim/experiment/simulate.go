package experiment

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"

	"dmasim/sim"
	"dmasim/sim/metrics"
	"dmasim/sim/scenario"
)

// Options say how simulations are run.
type Options struct {
	Jobs  int  // simulations at a time; at least 1
	Check bool // every invariant after every event
	// Observe, if not nil, returns observers for a simulation that is about to
	// run. It is called from several goroutines.
	Observe func(sim.Config) []sim.Observer
}

// Simulate runs a variant once and returns what was measured. The observers see
// its events.
func Simulate(ctx context.Context, v *scenario.Variant, seed uint64, o Options, observers ...sim.Observer) (metrics.Run, error) {
	cfg, err := v.Build(seed)
	if err != nil {
		return metrics.Run{}, fmt.Errorf("variant %s: %w", v.Name, err)
	}
	cfg.Check = o.Check
	s, err := sim.New(cfg)
	if err != nil {
		return metrics.Run{}, fmt.Errorf("variant %s: %w", v.Name, err)
	}
	collector := metrics.NewCollector(cfg, s)
	if o.Observe != nil {
		observers = append(observers, o.Observe(cfg)...)
	}
	for _, observer := range observers {
		s.Observe(observer)
	}
	if err := s.Run(ctx); err != nil {
		return metrics.Run{}, fmt.Errorf("variant %s: %w", v.Name, err)
	}
	return collector.Run(), nil
}

// Each calls do for 0 to n-1, as many at a time as jobs says, and returns the
// error of the lowest that failed, but for those that ended because another did.
func Each(ctx context.Context, jobs, n int, do func(ctx context.Context, i int) error) error {
	group, inner := errgroup.WithContext(ctx)
	group.SetLimit(max(jobs, 1))
	failed := make([]error, n)
	for i := range n {
		group.Go(func() error {
			if err := inner.Err(); err != nil {
				return err
			}
			failed[i] = do(inner, i)
			return failed[i]
		})
	}
	first := group.Wait()
	for _, err := range failed {
		if err != nil && (ctx.Err() != nil || !errors.Is(err, context.Canceled)) {
			return err
		}
	}
	return first
}
