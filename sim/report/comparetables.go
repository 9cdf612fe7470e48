package report

import (
	"encoding/csv"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"

	"dmasim/sim/experiment"
	"dmasim/sim/result"
)

// ComparisonFiles are the tables of a comparison:
//
//   - runs.csv, runs.parquet: a row for each run and metric
//   - comparison.csv, comparison.parquet: a row for each variant and metric
//   - survival.csv, survival.parquet: a row for each step of a survival curve
//   - runs.bench: the runs in the format of Go's benchmarks, for benchstat
//
// and, below figures, its drawings.
func ComparisonFiles(c *experiment.Comparison, formats []Format) []result.File {
	files := append(tables("runs", runRows(c)), tables("comparison", cellRows(c))...)
	files = append(files, tables("survival", stepRows(c))...)
	files = append(files, result.File{Name: "runs.bench", Write: func(w io.Writer) error { return writeBenchmarks(w, c) }})
	return append(files, FigureFiles(ComparisonFigures(c), formats)...)
}

// row is a row of a table that is written as CSV and as Parquet. An optional
// value that there is none of is empty in CSV and null in Parquet.
type row interface{ fields() []string }

// runRow is one metric of one run.
type runRow struct {
	Variant     string  `parquet:"variant,dict"`
	Replication int64   `parquet:"replication"`
	Seed        uint64  `parquet:"seed"`
	Metric      string  `parquet:"metric,dict"`
	Unit        string  `parquet:"unit,dict"`
	Value       float64 `parquet:"value"`
	Censored    bool    `parquet:"censored"` // it would have been more, had the run gone on
}

func (r runRow) fields() []string {
	return []string{r.Variant, strconv.FormatInt(r.Replication, 10), strconv.FormatUint(r.Seed, 10), r.Metric, r.Unit, exact(r.Value), strconv.FormatBool(r.Censored)}
}

func runRows(c *experiment.Comparison) []runRow {
	var rows []runRow
	for v, runs := range c.Runs {
		for i, run := range runs {
			for m, metric := range c.Metrics {
				censored := metric.Name == experiment.FailureFree && (run.Lifetime.Censored || run.Lifetime.Time > run.Values[m])
				rows = append(rows, runRow{c.Variants[v], int64(i + 1), run.Seed, metric.Name, metric.Unit, run.Values[m], censored})
			}
		}
	}
	return rows
}

// cellRow is one metric of one variant.
type cellRow struct {
	Variant      string   `parquet:"variant,dict"`
	Metric       string   `parquet:"metric,dict"`
	Unit         string   `parquet:"unit,dict"`
	Better       string   `parquet:"better,dict"`
	Runs         int64    `parquet:"runs"`
	Mean         float64  `parquet:"mean"`
	Low          *float64 `parquet:"low,optional"`
	High         *float64 `parquet:"high,optional"`
	Difference   *float64 `parquet:"difference,optional"`
	DifferenceLo *float64 `parquet:"difference_low,optional"`
	DifferenceHi *float64 `parquet:"difference_high,optional"`
	Test         string   `parquet:"test,dict"`
	P            *float64 `parquet:"p,optional"`
	Holm         *float64 `parquet:"p_holm,optional"`
	A12          *float64 `parquet:"a12,optional"`
}

func (r cellRow) fields() []string {
	fields := []string{r.Variant, r.Metric, r.Unit, r.Better, strconv.FormatInt(r.Runs, 10), exact(r.Mean)}
	for _, v := range []*float64{r.Low, r.High, r.Difference, r.DifferenceLo, r.DifferenceHi} {
		fields = append(fields, exactOr(v))
	}
	fields = append(fields, r.Test)
	for _, v := range []*float64{r.P, r.Holm, r.A12} {
		fields = append(fields, exactOr(v))
	}
	return fields
}

func cellRows(c *experiment.Comparison) []cellRow {
	var rows []cellRow
	for v, cells := range c.Cells {
		for m, cell := range cells {
			metric := c.Metrics[m]
			r := cellRow{
				Variant: c.Variants[v], Metric: metric.Name, Unit: metric.Unit, Better: metric.Better.String(), Runs: int64(len(c.Runs[v])),
				Mean: cell.Mean.Estimate, Low: optional(cell.Mean.Lo), High: optional(cell.Mean.Hi),
			}
			if d := cell.Difference; d != nil {
				r.Difference, r.DifferenceLo, r.DifferenceHi = optional(d.Difference.Estimate), optional(d.Difference.Lo), optional(d.Difference.Hi)
				r.Test, r.P, r.Holm, r.A12 = testName(c, d), optional(d.P), optional(d.Holm), optional(d.A12)
			}
			rows = append(rows, r)
		}
	}
	return rows
}

func testName(c *experiment.Comparison, d *experiment.Difference) string {
	switch {
	case d.LogRank:
		return "log-rank"
	case c.Independent:
		return "welch"
	}
	return "paired-t"
}

// stepRow is one step of the survival curve of a variant.
type stepRow struct {
	Variant       string  `parquet:"variant,dict"`
	Time          float64 `parquet:"time_s"`
	AtRisk        int64   `parquet:"at_risk"`
	Failed        int64   `parquet:"failed"`
	Survival      float64 `parquet:"survival_share"`
	StandardError float64 `parquet:"standard_error_share"`
	Low           float64 `parquet:"low_share"`
	High          float64 `parquet:"high_share"`
}

func (r stepRow) fields() []string {
	return []string{r.Variant, exact(r.Time), strconv.FormatInt(r.AtRisk, 10), strconv.FormatInt(r.Failed, 10),
		exact(r.Survival), exact(r.StandardError), exact(r.Low), exact(r.High)}
}

func stepRows(c *experiment.Comparison) []stepRow {
	var rows []stepRow
	for v, s := range c.Survival {
		rows = append(rows, stepRow{Variant: c.Variants[v], AtRisk: int64(len(c.Runs[v])), Survival: 1, Low: 1, High: 1})
		for _, step := range s.Curve {
			rows = append(rows, stepRow{c.Variants[v], step.Time, int64(step.AtRisk), int64(step.Failed), step.Survival, step.StandardError, step.Lo, step.Hi})
		}
	}
	return rows
}

// tables are the files of a table. Its CSV has the columns of its Parquet.
func tables[T row](name string, rows []T) []result.File {
	return []result.File{
		{Name: name + ".csv", Write: func(w io.Writer) error {
			table := csv.NewWriter(w)
			if err := table.Write(result.ParquetColumns[T]()); err != nil {
				return err
			}
			for _, r := range rows {
				if err := table.Write(r.fields()); err != nil {
					return err
				}
			}
			table.Flush()
			return table.Error()
		}},
		{Name: name + ".parquet", Write: func(w io.Writer) error { return result.Parquet(w, rows) }},
	}
}

// exact prints a number so that it reads back as the same.
func exact(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }

func exactOr(v *float64) string {
	if v == nil {
		return ""
	}
	return exact(*v)
}

func optional(v float64) *float64 {
	if math.IsNaN(v) {
		return nil
	}
	return &v
}

// writeBenchmarks writes a line for each run, in the format of Go's benchmarks
// (https://go.dev/design/14313-benchmark-format). Shares are in percent, since
// benchstat drops small digits.
func writeBenchmarks(w io.Writer, c *experiment.Comparison) error {
	var text strings.Builder
	fmt.Fprintf(&text, "scenario: %s\n", c.Scenario)
	for _, m := range c.Metrics {
		if better := m.Better.String(); better != "" {
			fmt.Fprintf(&text, "Unit %s better=%s assume=nothing\n", benchmarkUnit(m), better)
		}
	}
	for v, runs := range c.Runs {
		for _, run := range runs {
			fmt.Fprintf(&text, "BenchmarkSimulation/variant=%s/seed=%d 1", c.Variants[v], run.Seed)
			for m, metric := range c.Metrics {
				value := run.Values[m]
				if metric.Unit == "share" {
					value *= 100
				}
				fmt.Fprintf(&text, " %s %s", exact(value), benchmarkUnit(metric))
			}
			text.WriteByte('\n')
		}
	}
	_, err := io.WriteString(w, text.String())
	return err
}

// benchmarkUnit is what benchstat calls a metric. It tells metrics apart by their
// unit alone.
func benchmarkUnit(m experiment.Metric) string {
	unit := map[string]string{"share": "%", "bytes": "B", "s": "sec"}[m.Unit]
	if unit == "" {
		unit = m.Unit
	}
	return m.Name + "-" + unit
}
