package result_test

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/parquet-go/parquet-go"

	"dmasim/sim/result"
)

func TestTable(t *testing.T) {
	half := 0.5
	rows := [][]any{
		{"a, b", int64(-1), uint64(1 << 63), 0.1, &half},
		{"", int64(0), uint64(0), 1e-300, (*float64)(nil)},
	}
	table := result.Table{
		Columns: []result.Column{{"name", ""}, {"whole_bytes", int64(0)}, {"seed", uint64(0)}, {"value", 0.0}, {"low", (*float64)(nil)}},
		Rows: func(yield func([]any) bool) {
			var same [5]any
			for _, r := range rows {
				copy(same[:], r)
				if !yield(same[:]) {
					return
				}
			}
		},
	}
	written := map[string]string{}
	for range 2 {
		for _, f := range table.Files("t") {
			var b bytes.Buffer
			if err := f.Write(&b); err != nil {
				t.Fatal(err)
			}
			if before, again := written[f.Name]; again && before != b.String() {
				t.Errorf("%s has other bytes the second time", f.Name)
			}
			written[f.Name] = b.String()
		}
	}
	if want := "name,whole_bytes,seed,value,low\n\"a, b\",-1,9223372036854775808,0.1,0.5\n,0,0,1e-300,\n"; written["t.csv"] != want {
		t.Errorf("CSV is %q", written["t.csv"])
	}
	type row struct {
		Name  string   `parquet:"name"`
		Whole int64    `parquet:"whole_bytes"`
		Seed  uint64   `parquet:"seed"`
		Value float64  `parquet:"value"`
		Low   *float64 `parquet:"low,optional"`
	}
	data := written["t.parquet"]
	got, err := parquet.Read[row](bytes.NewReader([]byte(data)), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]row{{"a, b", -1, 1 << 63, 0.1, &half}, {Value: 1e-300}}, got); diff != "" {
		t.Error(diff)
	}
	file, err := parquet.OpenFile(bytes.NewReader([]byte(data)), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, path := range file.Schema().Columns() {
		names = append(names, path[0])
	}
	if diff := cmp.Diff([]string{"name", "whole_bytes", "seed", "value", "low"}, names); diff != "" {
		t.Error(diff)
	}
}
