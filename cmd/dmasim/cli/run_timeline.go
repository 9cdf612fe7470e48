package cli

import (
	"context"
	"io"
	"path/filepath"
	"strings"

	"dmasim/sim"
	"dmasim/sim/experiment"
	"dmasim/sim/result"
	"dmasim/sim/scenario"
	"dmasim/sim/timeline"
	"dmasim/workloads/trace"
)

// withTimelines runs each variant and writes the events of each to a file.
func (o *runOptions) withTimelines(ctx context.Context, variants []scenario.Variant, options experiment.Options) ([]result.Variant, error) {
	results := make([]result.Variant, len(variants))
	err := experiment.Each(ctx, options.Jobs, len(variants), func(ctx context.Context, i int) error {
		v := &variants[i]
		return withTimeline(timelinePath(o.timeline, v.Name, len(variants)), options, func(options experiment.Options) error {
			run, err := experiment.Simulate(ctx, v, v.Spec.Seed, options)
			results[i] = result.Variant{Name: v.Name, Run: run}
			return err
		})
	})
	return results, err
}

// withTimeline calls run, which does a simulation, and writes the events of that
// one to a file, compressed if the name says so. run is called with options that
// observe it.
func withTimeline(path string, o experiment.Options, run func(experiment.Options) error) error {
	var failed error // of the simulation, which is not of the file
	err := writeWhole(path, func(w io.Writer) error {
		return compressed(w, path, func(w io.Writer) error {
			var line *timeline.Writer
			watch := o.Observe
			o.Observe = func(cfg sim.Config) []sim.Observer {
				line = timeline.New(w, cfg)
				return append(watch(cfg), line)
			}
			if failed = run(o); failed != nil {
				return failed
			}
			return line.Close()
		})
	})
	if failed != nil {
		return failed
	}
	if err != nil {
		return failedRun{err}
	}
	return nil
}

// timelinePath names the file of one variant of several: run.json.gz becomes
// run-VARIANT.json.gz.
func timelinePath(path, variant string, variants int) string {
	if variants == 1 {
		return path
	}
	whole := trace.Stem(path)
	ext := filepath.Ext(whole)
	return strings.TrimSuffix(whole, ext) + "-" + variant + ext + path[len(whole):]
}
