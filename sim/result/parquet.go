package result

import (
	"io"

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
