package report_test

import (
	"bytes"
	"context"
	"encoding/csv"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/parquet-go/parquet-go"

	"dmasim/sim/experiment"
	"dmasim/sim/report"
	"dmasim/sim/result"
	"dmasim/sim/scenario"
)

const compared = `
name: compared
seed: 1
duration: 10s
memory: [{base: 0x0, size: 1MiB}]
heaps: [{name: main, allocator: first-fit, aware: true}]
workloads:
  - name: work
    heap: main
    churn: {every: {exponential: {mean: 10ms}}, size: {uniform: {min: 1KiB, max: 64KiB}}, lifetime: {exponential: {mean: 250ms}}}
variants:
  - {name: first-fit}
  - {name: equal}
  - {name: buddy, set: {heaps.main.allocator: buddy}}
`

func comparison(t *testing.T) *experiment.Comparison {
	t.Helper()
	sc, err := scenario.Parse("compared.yaml", []byte(compared))
	if err != nil {
		t.Fatal(err)
	}
	c, err := experiment.Compare(context.Background(), experiment.Plan{
		Variants: sc.Variants, Seed: 1, Replications: 6, Options: experiment.Options{Jobs: 2},
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func write(t *testing.T, files []result.File, name string) []byte {
	t.Helper()
	i := slices.IndexFunc(files, func(f result.File) bool { return f.Name == name })
	if i < 0 {
		t.Fatalf("no file %s", name)
	}
	var b bytes.Buffer
	if err := files[i].Write(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// Every file is the same each time it is written, and a CSV holds what its Parquet
// does.
func TestComparisonFiles(t *testing.T) {
	c := comparison(t)
	files := report.ComparisonFiles(c, report.Formats())
	for _, f := range files {
		if !bytes.Equal(write(t, files, f.Name), write(t, report.ComparisonFiles(c, report.Formats()), f.Name)) {
			t.Errorf("%s differs from one time to the next", f.Name)
		}
	}
	for _, name := range []string{"runs", "comparison", "survival"} {
		rows, err := csv.NewReader(bytes.NewReader(write(t, files, name+".csv"))).ReadAll()
		if err != nil {
			t.Fatal(err)
		}
		data := write(t, files, name+".parquet")
		table, err := parquet.OpenFile(bytes.NewReader(data), int64(len(data)))
		if err != nil {
			t.Fatal(err)
		}
		if int(table.NumRows()) != len(rows)-1 {
			t.Errorf("%s: %d rows in Parquet, %d in CSV", name, table.NumRows(), len(rows)-1)
		}
		var columns []string
		for _, field := range table.Schema().Fields() {
			columns = append(columns, field.Name())
		}
		if !slices.Equal(columns, rows[0]) {
			t.Errorf("%s: columns %v in Parquet, %v in CSV", name, columns, rows[0])
		}
		compareRows(t, name, table, rows[1:])
	}
}

func compareRows(t *testing.T, name string, table *parquet.File, want [][]string) {
	t.Helper()
	reader := parquet.NewReader(table)
	defer reader.Close()
	rows := make([]parquet.Row, len(want))
	if n, _ := reader.ReadRows(rows); n != len(want) {
		t.Fatalf("%s: %d rows read, want %d", name, n, len(want))
	}
	for i, row := range rows {
		for j, value := range row {
			text := value.String()
			switch {
			case value.IsNull():
				text = ""
			case value.Kind() == parquet.Double:
				text = strconv.FormatFloat(value.Double(), 'g', -1, 64)
			}
			if text != want[i][j] {
				t.Errorf("%s, row %d, column %d: %q in Parquet, %q in CSV", name, i, j, text, want[i][j])
			}
		}
	}
}

func TestFindings(t *testing.T) {
	text := strings.Join(report.Findings(comparison(t), "failed"), "\n")
	for _, want := range []string{
		"supported: failed of buddy is higher than first-fit's by ", ", worse; p < 0.001",
		"not supported: that failed of equal differs from first-fit's; that does not show that they are equal",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("findings lack %q:\n%s", want, text)
		}
	}
}

func TestComparisonTableIsNarrow(t *testing.T) {
	c := comparison(t)
	for v := range c.Variants {
		c.Variants[v] += strings.Repeat("-long-name", 6)
	}
	var names []string
	for _, m := range c.Metrics {
		names = append(names, m.Name)
	}
	var b strings.Builder
	if err := report.ComparisonTable(&b, c, names); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(b.String()) {
		if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > 80 {
			t.Errorf("%d columns: %s", n, line)
		}
	}
}
