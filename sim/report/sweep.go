package report

import (
	"dmasim/sim/experiment/sweep"
	"dmasim/sim/result"
)

// SweepFiles are the tables of a sweep, as CSV and Parquet, each with a column for
// each parameter:
//
//   - cells: a row for each cell, with its error if it failed
//   - runs: a row for each cell that did not fail, and metric
//   - points: a row for each combination of values, and metric, over replications
//
// Cells that were not run are in none.
func SweepFiles(r *sweep.Results) []result.File {
	files := sweepCells(r).Files("cells")
	files = append(files, sweepRuns(r).Files("runs")...)
	return append(files, sweepPoints(r).Files("points")...)
}

// withParameters are columns with those of the parameters between.
func withParameters(e *sweep.Experiment, before, after []result.Column) []result.Column {
	for i := range e.Parameters {
		p := &e.Parameters[i]
		before = append(before, result.Column{Name: p.Column(), Zero: zero(p.Value(e.Cell(0).Values[i]))})
	}
	return append(before, after...)
}

func zero(v any) any {
	switch v.(type) {
	case int64:
		return int64(0)
	case float64:
		return float64(0)
	}
	return ""
}

func appendValues(row []any, e *sweep.Experiment, c *sweep.Cell) []any {
	for i := range e.Parameters {
		row = append(row, e.Parameters[i].Value(c.Values[i]))
	}
	return row
}

func sweepCells(r *sweep.Results) result.Table {
	e := r.Experiment
	return result.Table{
		Columns: withParameters(e,
			[]result.Column{{Name: "cell", Zero: int64(0)}, {Name: "point", Zero: int64(0)}, {Name: "variant", Zero: ""}},
			[]result.Column{{Name: "replication", Zero: int64(0)}, {Name: "seed", Zero: uint64(0)}, {Name: "error", Zero: ""}}),
		Rows: func(yield func([]any) bool) {
			for i, o := range r.Outcomes {
				if o == nil {
					continue
				}
				c := e.Cell(i)
				row := appendValues([]any{int64(c.Index), int64(c.Point), c.Variant}, e, &c)
				if !yield(append(row, int64(c.Replication), c.Seed, o.Error)) {
					return
				}
			}
		},
	}
}

func sweepRuns(r *sweep.Results) result.Table {
	e := r.Experiment
	return result.Table{
		Columns: withParameters(e,
			[]result.Column{{Name: "cell", Zero: int64(0)}, {Name: "point", Zero: int64(0)}, {Name: "variant", Zero: ""}},
			[]result.Column{{Name: "replication", Zero: int64(0)}, {Name: "seed", Zero: uint64(0)},
				{Name: "metric", Zero: ""}, {Name: "unit", Zero: ""}, {Name: "value", Zero: float64(0)}}),
		Rows: func(yield func([]any) bool) {
			for i, o := range r.Outcomes {
				if o == nil {
					continue
				}
				c := e.Cell(i)
				row := appendValues([]any{int64(c.Index), int64(c.Point), c.Variant}, e, &c)
				row = append(row, int64(c.Replication), c.Seed)
				for _, f := range o.Figures {
					if !yield(append(row, f.Metric, f.Unit, f.Value)) {
						return
					}
				}
			}
		},
	}
}

func sweepPoints(r *sweep.Results) result.Table {
	e := r.Experiment
	return result.Table{
		Columns: withParameters(e,
			[]result.Column{{Name: "point", Zero: int64(0)}, {Name: "variant", Zero: ""}},
			[]result.Column{{Name: "metric", Zero: ""}, {Name: "unit", Zero: ""}, {Name: "runs", Zero: int64(0)},
				{Name: "mean", Zero: float64(0)}, {Name: "low", Zero: (*float64)(nil)}, {Name: "high", Zero: (*float64)(nil)}}),
		Rows: func(yield func([]any) bool) {
			for point := range e.Points() {
				c := e.Cell(point * e.Replications)
				row := appendValues([]any{int64(point), c.Variant}, e, &c)
				for _, s := range r.Summarize(point) {
					if !yield(append(row, s.Metric, s.Unit, int64(s.Runs), s.Mean.Estimate, optional(s.Mean.Lo), optional(s.Mean.Hi))) {
						return
					}
				}
			}
		},
	}
}
