package experiment

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"

	"dmasim/sim"
	"dmasim/sim/history"
	"dmasim/sim/metrics"
	"dmasim/sim/result"
	"dmasim/sim/scenario"
)

// Options say how simulations are run.
type Options struct {
	Jobs int // simulations at a time; at least 1
	// CheckEvery verifies every invariant after so many events; 0: never.
	CheckEvery uint64
	// Observe, if not nil, returns observers for a simulation that is about to
	// run. It is called from several goroutines.
	Observe func(sim.Config) []sim.Observer
}

// Simulate runs a variant once and returns what was measured. The observers see
// its events.
func Simulate(ctx context.Context, v *scenario.Variant, seed uint64, o Options, observers ...sim.Observer) (metrics.Run, error) {
	return simulate(ctx, v, seed, o, func(_ sim.Config, s *sim.Simulation) {
		for _, observer := range observers {
			s.Observe(observer)
		}
	})
}

// Record is like Simulate, and also records where the buffers lay.
func Record(ctx context.Context, v *scenario.Variant, seed uint64, limits history.Limits, o Options) (metrics.Run, history.Record, error) {
	var recorder *history.Recorder
	run, err := simulate(ctx, v, seed, o, func(cfg sim.Config, s *sim.Simulation) {
		recorder = history.NewRecorder(cfg, s, limits)
	})
	if err != nil {
		return metrics.Run{}, history.Record{}, err
	}
	return run, recorder.Record(), nil
}

// simulate runs a variant once. prepare gets the simulation before it runs.
func simulate(ctx context.Context, v *scenario.Variant, seed uint64, o Options, prepare func(sim.Config, *sim.Simulation)) (metrics.Run, error) {
	cfg, err := v.Build(seed)
	if err != nil {
		return metrics.Run{}, fmt.Errorf("variant %s: %w", v.Name, err)
	}
	cfg.CheckEvery = o.CheckEvery
	s, err := sim.New(cfg)
	if err != nil {
		return metrics.Run{}, fmt.Errorf("variant %s: %w", v.Name, err)
	}
	collector := metrics.NewCollector(cfg, s)
	prepare(cfg, s)
	if o.Observe != nil {
		for _, observer := range o.Observe(cfg) {
			s.Observe(observer)
		}
	}
	if err := s.Run(ctx); err != nil {
		return metrics.Run{}, fmt.Errorf("variant %s: %w", v.Name, err)
	}
	return collector.Run(), nil
}

// Variants runs each of several variants once, with the seed of its own, and returns
// what was measured, in their order.
func Variants(ctx context.Context, variants []scenario.Variant, o Options) ([]result.Variant, error) {
	results := make([]result.Variant, len(variants))
	err := Each(ctx, o.Jobs, len(variants), func(ctx context.Context, i int) error {
		v := &variants[i]
		run, err := Simulate(ctx, v, v.Spec.Seed, o)
		results[i] = result.Variant{Name: v.Name, Run: run}
		return err
	})
	return results, err
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
