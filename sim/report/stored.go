package report

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"dmasim/sim/experiment"
)

// headline are the metrics that people look at first.
var headline = []string{"failed", "dropped", "wait", experiment.FailureFree, "used", "index", "reach-index", "killed"}

// StoredComparison reads comparison.csv of a result and returns its rows for people,
// with a head: those of the metrics that people look at first, and all.
func StoredComparison(data []byte) (first, all [][]string, err error) {
	table, err := readStored(data, "variant", "metric", "unit", "mean", "low", "high", "difference", "difference_low", "difference_high", "p_holm", "a12")
	if err != nil {
		return nil, nil, err
	}
	head := []string{"metric", "variant", "mean", "95 % interval", "difference", "95 % interval", "p", "A12"}
	first, all = [][]string{head}, [][]string{head}
	metrics := table.values("metric")
	for _, metric := range metrics {
		name := metric
		for _, row := range table.rows {
			if table.of(row, "metric") != metric {
				continue
			}
			unit := table.of(row, "unit")
			value := func(column string) string { return storedNumber(table.of(row, column), unit, formatValue) }
			cells := []string{name, table.of(row, "variant"), value("mean"), fromTo(value("low"), value("high"))}
			if table.of(row, "difference") == "" {
				cells = append(cells, "baseline", "", "", "")
			} else {
				difference := func(column string) string { return storedNumber(table.of(row, column), unit, formatDifference) }
				cells = append(cells, difference("difference"), fromTo(difference("difference_low"), difference("difference_high")),
					storedNumber(table.of(row, "p_holm"), "", func(v float64, _ string) string { return strings.TrimPrefix(formatP(v), "= ") }),
					storedNumber(table.of(row, "a12"), "", func(v float64, _ string) string { return formatIndex(v) }))
			}
			all = append(all, cells)
			if slices.Contains(headline, metric) {
				first = append(first, cells)
			}
		}
	}
	return first, all, nil
}

// StoredSweep reads points.csv of a result and returns for people, with a head, a row
// for each point with the means of the metrics that people look at first, and a row
// for each point and metric.
func StoredSweep(data []byte) (points, all [][]string, err error) {
	table, err := readStored(data, "point", "variant", "metric", "unit", "runs", "mean", "low", "high")
	if err != nil {
		return nil, nil, err
	}
	parameters := table.columns[slices.Index(table.columns, "variant")+1 : slices.Index(table.columns, "metric")]
	var shown []string
	for _, metric := range table.values("metric") {
		if slices.Contains(headline, metric) {
			shown = append(shown, metric)
		}
	}
	named := []string{"point", "variant"}
	for _, p := range parameters {
		named = append(named, strings.TrimSuffix(strings.TrimSuffix(p, "_bytes"), "_s"))
	}
	points = [][]string{append(slices.Clone(named), shown...)}
	all = [][]string{append(slices.Clone(named), "metric", "runs", "mean", "95 % interval")}
	var last string
	for _, row := range table.rows {
		cells := []string{table.of(row, "point"), table.of(row, "variant")}
		for _, p := range parameters {
			cells = append(cells, parameterText(p, table.of(row, p)))
		}
		if point := table.of(row, "point"); point != last || len(points) == 1 {
			points = append(points, append(slices.Clone(cells), make([]string, len(shown))...))
			last = point
		}
		value := func(column string) string {
			return storedNumber(table.of(row, column), table.of(row, "unit"), formatValue)
		}
		metric := table.of(row, "metric")
		if i := slices.Index(shown, metric); i >= 0 {
			points[len(points)-1][len(cells)+i] = value("mean")
		}
		all = append(all, append(cells, metric, table.of(row, "runs"), value("mean"), fromTo(value("low"), value("high"))))
	}
	return points, all, nil
}

// parameterText prints the value of a parameter, whose column says its unit.
func parameterText(column, text string) string {
	switch {
	case strings.HasSuffix(column, "_bytes"):
		return storedNumber(text, "bytes", formatValue)
	case strings.HasSuffix(column, "_s"):
		return storedNumber(text, "s", formatValue)
	}
	return text
}

func fromTo(lo, hi string) string {
	if lo == "" || hi == "" {
		return ""
	}
	return lo + " – " + hi
}

// storedNumber formats a number of a table; one that is not there stays away.
func storedNumber(text, unit string, format func(float64, string) string) string {
	v, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return ""
	}
	return format(v, unit)
}

// stored is a table of a result.
type stored struct {
	columns []string
	rows    [][]string
}

// readStored reads a table that has these columns, in this order, and others.
func readStored(data []byte, wanted ...string) (*stored, error) {
	rows, err := csv.NewReader(bytes.NewReader(data)).ReadAll()
	if err != nil {
		return nil, err
	}
	if len(rows) == 0 {
		return nil, fmt.Errorf("no columns, want %s", strings.Join(wanted, ","))
	}
	last := -1
	for _, column := range wanted {
		i := slices.Index(rows[0], column)
		if i <= last {
			return nil, fmt.Errorf("columns are %s, want %s", strings.Join(rows[0], ","), strings.Join(wanted, ","))
		}
		last = i
	}
	return &stored{rows[0], rows[1:]}, nil
}

func (t *stored) of(row []string, column string) string { return row[slices.Index(t.columns, column)] }

// values returns what a column has in it, in the order in which it is first met.
func (t *stored) values(column string) []string {
	var list []string
	seen := map[string]bool{}
	for _, row := range t.rows {
		if v := t.of(row, column); !seen[v] {
			seen[v] = true
			list = append(list, v)
		}
	}
	return list
}
