package report

import (
	"fmt"
	"io"
	"strings"

	"dmasim/sim/experiment/sweep"
)

const (
	sweptValue  = 16 // widest column of SweepTable
	sweptPoints = 24 // most rows
	lineWidth   = 80
)

// SweepTable writes a row for each of the first points of a sweep, with the mean of
// a metric and the half-width of its interval. Columns that are the same everywhere
// are left out, as are those that 80 characters do not hold.
func SweepTable(w io.Writer, r *sweep.Results, metric string) error {
	e := r.Experiment
	shown := min(e.Points(), sweptPoints)
	columns := [][]string{{"point"}, {"variant"}}
	for _, p := range e.Parameters {
		columns = append(columns, []string{cutName(p.Name, sweptValue)})
	}
	means := []string{metric}
	halves := []string{"±"}
	for point := range shown {
		c := e.Cell(point * e.Replications)
		for i, text := range append([]string{fmt.Sprint(point), c.Variant}, c.Values...) {
			columns[i] = append(columns[i], cutName(text, sweptValue))
		}
		mean, spread := "-", ""
		for _, s := range r.Summarize(point) {
			if s.Metric == metric {
				mean = formatValue(s.Mean.Estimate, s.Unit)
				if s.Runs > 1 {
					spread = half(s.Mean.HalfWidth(), s.Unit)
				}
			}
		}
		means, halves = append(means, mean), append(halves, spread)
	}
	if len(e.Variants()) == 1 {
		columns = append(columns[:1], columns[2:]...)
	}
	hidden := 0
	for len(columns) > 1 && tableWidth(append(columns, means, halves)) > lineWidth {
		columns = columns[:len(columns)-1]
		hidden++
	}
	columns = append(columns, means, halves)
	widths := columnWidths(columns)
	for row := range shown + 1 {
		var line strings.Builder
		for i, c := range columns {
			if i >= len(columns)-2 || i == 0 {
				fmt.Fprintf(&line, "%*s  ", widths[i], c[row])
			} else {
				fmt.Fprintf(&line, "%-*s  ", widths[i], c[row])
			}
		}
		if _, err := fmt.Fprintln(w, strings.TrimRight(line.String(), " ")); err != nil {
			return err
		}
	}
	if more := e.Points() - shown; more > 0 {
		fmt.Fprintf(w, "and %d more points\n", more)
	}
	if hidden > 0 {
		fmt.Fprintf(w, "and %d more parameters\n", hidden)
	}
	return nil
}

func columnWidths(columns [][]string) []int {
	widths := make([]int, len(columns))
	for i, c := range columns {
		for _, text := range c {
			widths[i] = max(widths[i], len([]rune(text)))
		}
	}
	return widths
}

func tableWidth(columns [][]string) int {
	sum := -2
	for _, w := range columnWidths(columns) {
		sum += w + 2
	}
	return sum
}
