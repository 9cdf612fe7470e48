package result

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// ParquetFiles are the tables of r, but for map.csv, as Parquet: the same columns and
// rows. Seconds and shares are doubles, and null where they are not known; bytes and
// counts are unsigned.
func (r *Result) ParquetFiles() []File {
	var list []File
	for _, f := range r.files() {
		name, isTable := strings.CutSuffix(f.Name, ".csv")
		if !isTable || name == "map" {
			continue
		}
		list = append(list, File{name + ".parquet", func(w io.Writer) error {
			var text bytes.Buffer
			if err := f.Write(&text); err != nil {
				return err
			}
			return csvToParquet(w, &text)
		}})
	}
	return list
}

// counts are the columns of counts whose names don't say so.
var counts = []string{"holes", "blocks", "op", "mappings", "buffer", "wanted", "attempts", "retries", "waiting"}

// countsBegin are how the names of others begin.
var countsBegin = []string{"failed_", "served_", "dropped_"}

func csvToParquet(w io.Writer, text io.Reader) error {
	in := csv.NewReader(text)
	names, err := in.Read()
	if err != nil {
		return err
	}
	var columns []Column
	for _, name := range names {
		c := Column{Name: name, Zero: ""}
		switch {
		case strings.HasSuffix(name, "_s"), strings.HasSuffix(name, "_share"):
			c.Zero = (*float64)(nil)
		case strings.HasSuffix(name, "_bytes"), slices.Contains(counts, name),
			slices.ContainsFunc(countsBegin, func(begin string) bool { return strings.HasPrefix(name, begin) }):
			c.Zero = uint64(0)
		}
		columns = append(columns, c)
	}
	var failed error
	row := make([]any, len(columns))
	rows := func(yield func([]any) bool) {
		for {
			fields, err := in.Read()
			if err != nil {
				if err != io.EOF {
					failed = err
				}
				return
			}
			for i, field := range fields {
				if row[i], err = typed(columns[i], field); err != nil {
					failed = fmt.Errorf("column %s: %w", columns[i].Name, err)
					return
				}
			}
			if !yield(row) {
				return
			}
		}
	}
	err = Table{columns, rows}.writeParquet(w)
	if failed != nil {
		return failed
	}
	return err
}

func typed(c Column, field string) (any, error) {
	switch c.Zero.(type) {
	case uint64:
		return strconv.ParseUint(field, 10, 64)
	case *float64:
		if field == "" {
			return (*float64)(nil), nil
		}
		v, err := strconv.ParseFloat(field, 64)
		return &v, err
	}
	return field, nil
}
