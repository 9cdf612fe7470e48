package sweep

import (
	"slices"

	"dmasim/sim/experiment"
	"dmasim/sim/experiment/stats"
)

// Results are the outcomes of an experiment.
type Results struct {
	Experiment *Experiment
	Outcomes   []*Outcome // by cell; nil of those that were not run
}

// Collect reads the outcomes in dir.
func (e *Experiment) Collect(dir string) (*Results, error) {
	outcomes, err := e.readOutcomes(dir)
	return &Results{e, outcomes}, err
}

// Missing is how many cells were not run.
func (r *Results) Missing() int {
	n := 0
	for _, o := range r.Outcomes {
		if o == nil {
			n++
		}
	}
	return n
}

// Failed is how many cells failed.
func (r *Results) Failed() int {
	n := 0
	for _, o := range r.Outcomes {
		if o != nil && o.Error != "" {
			n++
		}
	}
	return n
}

// Metrics are the names of all metrics that any cell has, in the order of the cells.
func (r *Results) Metrics() []string {
	var names []string
	seen := map[string]bool{}
	for _, o := range r.Outcomes {
		if o == nil {
			continue
		}
		for _, f := range o.Figures {
			if !seen[f.Metric] {
				seen[f.Metric] = true
				names = append(names, f.Metric)
			}
		}
	}
	return names
}

// MissingShards are those of so many shards in which cells were not run.
func (r *Results) MissingShards(of int) []int {
	missing := make([]bool, of)
	for i, o := range r.Outcomes {
		if o == nil {
			missing[i%of] = true
		}
	}
	var list []int
	for shard, is := range missing {
		if is {
			list = append(list, shard)
		}
	}
	return list
}

// Summary is one metric of a point over its replications.
type Summary struct {
	Metric, Unit string
	Runs         int // that did not fail and have the metric
	Mean         stats.Interval
}

// Summarize returns the metrics of a point, in the order of its runs, with 95 %
// intervals.
func (r *Results) Summarize(point int) []Summary {
	e := r.Experiment
	var list []Summary
	var values [][]float64
	for _, o := range r.Outcomes[point*e.Replications : (point+1)*e.Replications] {
		if o == nil {
			continue
		}
		for _, f := range o.Figures {
			i := slices.IndexFunc(list, func(s Summary) bool { return s.Metric == f.Metric })
			if i < 0 {
				i = len(list)
				list = append(list, Summary{Metric: f.Metric, Unit: f.Unit})
				values = append(values, nil)
			}
			values[i] = append(values[i], f.Value)
		}
	}
	for i := range list {
		list[i].Runs = len(values[i])
		list[i].Mean = stats.Mean(values[i], experiment.Level)
	}
	return list
}
