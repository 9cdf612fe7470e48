package report

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"dmasim/sim/experiment"
)

// The widest columns of [ComparisonTable]: 80 characters with the gaps.
const (
	comparedMetric  = 17
	comparedVariant = 15
)

// Headline are the metrics that people look at first, of those a comparison has,
// with one that is asked for.
func Headline(c *experiment.Comparison, wanted string) []string {
	var names []string
	for _, m := range c.Metrics {
		if m.Name == wanted || slices.Contains(headline, m.Name) {
			names = append(names, m.Name)
		}
	}
	return names
}

// ComparisonTable writes a row for each of the named metrics and each variant, no
// wider than 80 columns: the mean and the half-width of its interval; the difference from the
// baseline and that of its interval, starred where the runs support it; p after
// correction; A12.
func ComparisonTable(w io.Writer, c *experiment.Comparison, metrics []string) error {
	rows := [][]string{{"metric", "variant", "mean", "±", "difference", "±", "p", "A12"}}
	for m, metric := range c.Metrics {
		if !slices.Contains(metrics, metric.Name) {
			continue
		}
		for v := range c.Variants {
			cell := c.Cells[v][m]
			name := ""
			if v == 0 {
				name = cutName(metric.Name, comparedMetric)
			}
			row := []string{name, cutName(c.Variants[v], comparedVariant), formatValue(cell.Mean.Estimate, metric.Unit), half(cell.Mean.HalfWidth(), metric.Unit)}
			if d := cell.Difference; d == nil {
				row = append(row, "baseline", "", "", "")
			} else {
				star := " "
				if d.Supported() {
					star = "*"
				}
				row = append(row, formatDifference(d.Difference.Estimate, metric.Unit)+star, half(d.Difference.HalfWidth(), metric.Unit),
					strings.TrimPrefix(formatP(d.Holm), "= "), fmt.Sprintf("%.2f", d.A12))
			}
			rows = append(rows, row)
		}
	}
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	for _, row := range rows {
		line := fmt.Sprintf("%-*s  %-*s", widths[0], row[0], widths[1], row[1])
		for i, cell := range row[2:] {
			line += fmt.Sprintf(" %*s", widths[i+2], cell)
		}
		if _, err := fmt.Fprintln(w, strings.TrimRight(line, " ")); err != nil {
			return err
		}
	}
	return nil
}

func half(v float64, unit string) string {
	if math.IsNaN(v) {
		return "-"
	}
	return formatValue(v, unit)
}

// Cautions says what a reader of a comparison has to know of how it was made: how
// often it was run, what was left out, and what is not typical of the long run.
func Cautions(c *experiment.Comparison) []string {
	n := len(c.Runs[0])
	var texts []string
	if n > 1 {
		seeds := "the same seeds (paired tests)"
		if c.Independent {
			seeds = "seeds of their own (Welch's test; log-rank for " + experiment.FailureFree + ")"
		}
		texts = append(texts, fmt.Sprintf("runs: %d of each variant with %s; p corrected for %d tests", n, seeds, c.Tests))
	}
	if c.WarmUp > 0 {
		texts = append(texts, "warm-up: the first "+shortDuration(c.WarmUp)+" are left out of rates and means, not of "+experiment.FailureFree+", high-water, killed and incidents")
		return texts
	}
	var longest time.Duration
	for v, settled := range c.Settled {
		if settled < 0 {
			return append(texts, "warm-up: "+c.Variants[v]+" has not settled within its duration (MSER-5); its means are of this time, not of the long run")
		}
		longest = max(longest, settled)
	}
	if longest > 0 {
		texts = append(texts, "warm-up: the first "+shortDuration(longest)+" are not typical of the rest (MSER-5); --warmup auto leaves them out")
	}
	return texts
}

// ComparisonSummary is a comparison for programs. What is not known is null.
type ComparisonSummary struct {
	Scenario     string           `json:"scenario"`
	Result       string           `json:"result"`
	Baseline     string           `json:"baseline"`
	Replications int              `json:"replications"`
	Independent  bool             `json:"independent_seeds"`
	WarmUp       time.Duration    `json:"warmup_ns"`
	Horizon      time.Duration    `json:"horizon_ns"`
	Level        float64          `json:"level"`
	Tests        int              `json:"tests"`
	Precise      bool             `json:"precision_reached"`
	Cells        []ComparisonCell `json:"cells"`
	Failed       []FailedRuns     `json:"failed_runs"`
}

// ComparisonCell is one metric of one variant.
type ComparisonCell struct {
	Variant    string                `json:"variant"`
	Metric     string                `json:"metric"`
	Unit       string                `json:"unit"`
	Better     string                `json:"better"`
	Mean       float64               `json:"mean"`
	Low        *float64              `json:"low"`
	High       *float64              `json:"high"`
	Difference *ComparisonDifference `json:"difference"` // null: the baseline
}

// ComparisonDifference is how a cell differs from that of the baseline.
type ComparisonDifference struct {
	Estimate  float64  `json:"estimate"`
	Low       *float64 `json:"low"`
	High      *float64 `json:"high"`
	Test      string   `json:"test"`
	P         *float64 `json:"p"`
	Holm      *float64 `json:"p_holm"`
	A12       *float64 `json:"a12"`
	Supported bool     `json:"supported"`
}

// FailedRuns is how many runs of a variant had a failed request.
type FailedRuns struct {
	Variant string  `json:"variant"`
	Share   float64 `json:"share"`
	Low     float64 `json:"low"`
	High    float64 `json:"high"`
}

// NewComparisonSummary returns the summary of a comparison whose files are in a
// directory.
func NewComparisonSummary(c *experiment.Comparison, directory string) ComparisonSummary {
	s := ComparisonSummary{
		Scenario: c.Scenario, Result: directory, Baseline: c.Variants[c.Baseline], Replications: len(c.Runs[0]),
		Independent: c.Independent, WarmUp: c.WarmUp, Horizon: c.Horizon, Level: experiment.Level, Tests: c.Tests, Precise: c.Precise,
	}
	for v, cells := range c.Cells {
		for m, cell := range cells {
			metric := c.Metrics[m]
			row := ComparisonCell{
				Variant: c.Variants[v], Metric: metric.Name, Unit: metric.Unit, Better: metric.Better.String(),
				Mean: cell.Mean.Estimate, Low: optional(cell.Mean.Lo), High: optional(cell.Mean.Hi),
			}
			if d := cell.Difference; d != nil {
				row.Difference = &ComparisonDifference{
					Estimate: d.Difference.Estimate, Low: optional(d.Difference.Lo), High: optional(d.Difference.Hi),
					Test: testName(c, d), P: optional(d.P), Holm: optional(d.Holm), A12: optional(d.A12), Supported: d.Supported(),
				}
			}
			s.Cells = append(s.Cells, row)
		}
		f := c.Survival[v].Failed
		s.Failed = append(s.Failed, FailedRuns{c.Variants[v], f.Estimate, f.Lo, f.Hi})
	}
	return s
}
