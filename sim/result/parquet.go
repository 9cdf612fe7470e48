package result

import (
	"encoding/csv"
	"fmt"
	"io"
	"iter"
	"reflect"
	"strconv"

	"github.com/parquet-go/parquet-go"
)

// Parquet writes rows as a Parquet file: a column for each field of T, named by
// its parquet tag, compressed with Zstandard. Equal rows give equal bytes.
func Parquet[T any](w io.Writer, rows []T) error {
	table := parquet.NewGenericWriter[T](w, parquet.Compression(&parquet.Zstd), parquet.CreatedBy("dmasim", "", ""))
	if _, err := table.Write(rows); err != nil {
		return err
	}
	return table.Close()
}

// ParquetColumns returns the names of the columns that [Parquet] writes.
func ParquetColumns[T any]() []string {
	var names []string
	for _, field := range parquet.SchemaOf(new(T)).Fields() {
		names = append(names, field.Name())
	}
	return names
}

// Column is a column of a [Table]. Its values have the type of Zero: string, int64,
// uint64 or float64, or *float64 of one that may be missing.
type Column struct {
	Name string // without a comma
	Zero any
}

// Table is a table whose columns are known only when the program runs. Rows may
// yield the same slice again and again.
type Table struct {
	Columns []Column
	Rows    iter.Seq[[]any]
}

// Files are the table as CSV and as Parquet. A missing value is empty in one and
// null in the other.
func (t Table) Files(name string) []File {
	return []File{{name + ".csv", t.WriteCSV}, {name + ".parquet", t.writeParquet}}
}

// WriteCSV writes the table with a row of names before it.
func (t Table) WriteCSV(w io.Writer) error {
	table := csv.NewWriter(w)
	fields := make([]string, len(t.Columns))
	for i, c := range t.Columns {
		fields[i] = c.Name
	}
	if err := table.Write(fields); err != nil {
		return err
	}
	for row := range t.Rows {
		for i, v := range row {
			fields[i] = field(v)
		}
		if err := table.Write(fields); err != nil {
			return err
		}
	}
	table.Flush()
	return table.Error()
}

// field prints a value so that it reads back as the same.
func field(v any) string {
	switch v := v.(type) {
	case float64:
		return strconv.FormatFloat(v, 'g', -1, 64)
	case *float64:
		if v == nil {
			return ""
		}
		return strconv.FormatFloat(*v, 'g', -1, 64)
	}
	return fmt.Sprint(v)
}

func (t Table) writeParquet(w io.Writer) error {
	var fields []reflect.StructField
	for i, c := range t.Columns {
		tag := c.Name
		switch c.Zero.(type) {
		case string:
			tag += ",dict"
		case *float64:
			tag += ",optional"
		}
		fields = append(fields, reflect.StructField{
			Name: "F" + strconv.Itoa(i), Type: reflect.TypeOf(c.Zero), Tag: reflect.StructTag(fmt.Sprintf("parquet:%q", tag)),
		})
	}
	of := reflect.StructOf(fields)
	table := parquet.NewGenericWriter[any](w, parquet.SchemaOf(reflect.New(of).Interface()),
		parquet.Compression(&parquet.Zstd), parquet.CreatedBy("dmasim", "", ""))
	for row := range t.Rows {
		made := reflect.New(of).Elem()
		for i, v := range row {
			made.Field(i).Set(reflect.ValueOf(v))
		}
		if _, err := table.Write([]any{made.Interface()}); err != nil {
			return err
		}
	}
	return table.Close()
}
