package trace

import "slices"

// Column is a column of a trace in our own forms, CSV and Parquet, which have the same
// ones and write them in this order.
type Column int

// The columns. Those up to ColumnSize have to be there.
const (
	ColumnTime Column = iota
	ColumnEvent
	ColumnBuffer
	ColumnSize
	ColumnAlign
	ColumnLimit
	ColumnAddress
	ColumnHeap

	NumColumns = int(iota)
)

var columnNames = []string{"time_ns", "event", "buffer", "size", "align", "limit", "address", "heap"}

// ColumnNamed returns the column of that name, -1 and false if there is none.
func ColumnNamed(name string) (Column, bool) {
	i := slices.Index(columnNames, name)
	return Column(i), i >= 0
}

// String returns the name.
func (c Column) String() string { return columnNames[c] }

// Needed says whether every file has it.
func (c Column) Needed() bool { return c <= ColumnSize }
