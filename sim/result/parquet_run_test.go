package result_test

import (
	"bytes"
	"encoding/csv"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go"

	"dmasim/sim/result"
)

// The Parquet tables of a run have the cells of the CSV ones.
func TestRunsTablesAsParquet(t *testing.T) {
	dir := t.TempDir() + "/r"
	r := sample()
	if err := result.Write(t.Context(), dir, r, r.ParquetFiles()...); err != nil {
		t.Fatal(err)
	}
	files := tree(t, dir)
	tables := 0
	for _, name := range slices.Sorted(maps.Keys(files)) {
		stem, is := strings.CutSuffix(name, ".parquet")
		if !is {
			continue
		}
		tables++
		text, err := csv.NewReader(strings.NewReader(files[stem+".csv"])).ReadAll()
		if err != nil {
			t.Fatal(err)
		}
		file, err := parquet.OpenFile(strings.NewReader(files[name]), int64(len(files[name])))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		got := [][]string{nil}
		for _, field := range file.Schema().Fields() {
			got[0] = append(got[0], field.Name())
		}
		rows := parquet.NewReader(bytes.NewReader([]byte(files[name])))
		for {
			buffer := make([]parquet.Row, 1)
			n, err := rows.ReadRows(buffer)
			if n == 0 {
				if err == nil {
					t.Fatalf("%s: no row and no error", name)
				}
				break
			}
			var cells []string
			for i, v := range buffer[0] {
				want := ""
				if len(got) < len(text) {
					want = text[len(got)][i]
				}
				cells = append(cells, cell(v, want))
			}
			got = append(got, cells)
		}
		if !slices.EqualFunc(got, text, slices.Equal) {
			t.Errorf("%s has\n%v\nwant\n%v", name, got, text)
		}
	}
	if tables != 6 {
		t.Errorf("%d tables, want 6: samples, reaches, failures, memory, spaces, incidents", tables)
	}
}

// cell returns v as text, and want itself if that is the same number.
func cell(v parquet.Value, want string) string {
	if v.IsNull() {
		return ""
	}
	if number, err := strconv.ParseFloat(want, 64); v.Kind() == parquet.Double && err == nil && number == v.Double() {
		return want
	}
	if v.Kind() == parquet.Int64 {
		return strconv.FormatUint(v.Uint64(), 10)
	}
	return v.String()
}
