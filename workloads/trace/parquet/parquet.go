package parquet

import (
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"time"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress/zstd"
	"github.com/parquet-go/parquet-go/format"

	"dmasim/workloads"
	"dmasim/workloads/trace"
)

func init() {
	trace.RegisterParquet(trace.ColumnarCodec{
		Open:      func(in io.ReaderAt, size int64) (trace.Rows, error) { return open(in, size) },
		NewWriter: func(w io.Writer) trace.Writer { return newWriter(w) },
	})
}

// row is an event. Heap and event have few values, so they have dictionaries; of
// numbers differences are stored, which are shorter and leave the compression less to
// do.
type row struct {
	Time    int64   `parquet:"time_ns,delta"`
	Event   string  `parquet:"event,dict"`
	Buffer  uint64  `parquet:"buffer,delta"`
	Size    uint64  `parquet:"size,delta"`
	Align   uint64  `parquet:"align,delta"`
	Limit   uint64  `parquet:"limit,delta"`
	Address *uint64 `parquet:"address,optional"`
	Heap    string  `parquet:"heap,dict"`
}

// compression gets half again as many events through as that of the default level,
// for a file a fifth larger.
var compression = &zstd.Codec{Level: zstd.SpeedFastest}

// isText says whether a column holds text, and not numbers.
func isText(c trace.Column) bool { return c == trace.ColumnEvent || c == trace.ColumnHeap }

// commentsKey is the file's key under which losses are kept.
const commentsKey = "dmasim.missing"

// rows are the events of a file. They are read batch by batch, of each batch column by
// column.
type rows struct {
	groups   []parquet.RowGroup        // to come
	left     int64                     // rows of the current one
	leaves   []trace.Column            // of each column of the file; -1: none of ours
	columns  [trace.NumColumns]*column // of the current group; nil: the file lacks it
	comments []string

	// The batch, by column.
	numbers [trace.NumColumns][]uint64
	texts   [trace.NumColumns][]string
	placed  []bool
	next    int
	batch   int // rows in it
}

const batchRows = 256

func open(in io.ReaderAt, size int64) (r *rows, err error) {
	defer recovered(&err)
	meta, err := footer(in, size)
	if err != nil {
		return nil, err
	}
	wanted := func(name string) bool { _, known := trace.ColumnNamed(name); return known }
	if err := checkSchema(meta); err != nil {
		return nil, err
	}
	if err := checkPages(in, size, meta, wanted); err != nil {
		return nil, err
	}
	file, err := parquet.OpenFile(in, size, parquet.SkipPageIndex(true), parquet.SkipBloomFilters(true), parquet.ReadBufferSize(64<<10))
	if err != nil {
		return nil, err
	}
	r = &rows{groups: file.RowGroups(), placed: make([]bool, batchRows)}
	for i := range trace.NumColumns {
		if isText(trace.Column(i)) {
			r.texts[i] = make([]string, batchRows)
		} else {
			r.numbers[i] = make([]uint64, batchRows)
		}
	}
	for i := range meta.Schema[1:] {
		leaf, _ := trace.ColumnNamed(meta.Schema[i+1].Name)
		r.leaves = append(r.leaves, leaf)
	}
	if text, ok := file.Lookup(commentsKey); ok && text != "" {
		r.comments = strings.Split(text, "\n")
	}
	return r, nil
}

// checkSchema checks the names and the types of the columns, which are not nested.
func checkSchema(meta *format.FileMetaData) error {
	var found [trace.NumColumns]bool
	for i := 1; i < len(meta.Schema); i++ {
		s := &meta.Schema[i]
		column, known := trace.ColumnNamed(s.Name)
		switch {
		case s.NumChildren.Valid && s.NumChildren.V > 0:
			return fmt.Errorf("column %.40q is nested", s.Name)
		case s.RepetitionType.Valid && s.RepetitionType.V == format.Repeated:
			return fmt.Errorf("column %.40q is repeated", s.Name)
		case !known:
			continue // tables often have more
		case found[column]:
			return fmt.Errorf("two columns %s", s.Name)
		case isText(column) && s.Type.V != format.ByteArray:
			return fmt.Errorf("column %s is %v, want text", s.Name, s.Type.V)
		case !isText(column) && s.Type.V != format.Int64:
			return fmt.Errorf("column %s is %v, want 64-bit integers", s.Name, s.Type.V)
		}
		found[column] = true
	}
	for i, is := range found {
		if c := trace.Column(i); c.Needed() && !is {
			return fmt.Errorf("no column %s", c)
		}
	}
	return nil
}

// recovered makes an error of a panic of the library, which trusts its files.
func recovered(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("not a file that can be read: %v", p)
	}
}

// Comments implements trace.Rows.
func (r *rows) Comments() []string { return r.comments }

// Read implements trace.Rows.
func (r *rows) Read(events []trace.Event) (int, error) {
	if r.next == r.batch {
		if err := r.fill(); err != nil {
			return 0, err
		}
	}
	from, to := r.next, min(r.batch, r.next+len(events))
	r.next = to
	events = events[:to-from]
	for i := range events {
		events[i] = trace.Event{
			At: time.Duration(r.numbers[trace.ColumnTime][from+i]), Buffer: r.numbers[trace.ColumnBuffer][from+i], Size: r.numbers[trace.ColumnSize][from+i],
			Align: r.numbers[trace.ColumnAlign][from+i], Limit: r.numbers[trace.ColumnLimit][from+i], Heap: r.texts[trace.ColumnHeap][from+i],
		}
		e := &events[i]
		if r.placed[from+i] {
			e.Addr, e.Placed = r.numbers[trace.ColumnAddress][from+i], true
		}
		switch name := r.texts[trace.ColumnEvent][from+i]; name {
		case "alloc":
		case "free":
			e.Kind = workloads.Free
		case "failed":
			e.Failed = true
		default:
			return i, fmt.Errorf("event %.40q, want alloc, free or failed", name)
		}
		if e.At < 0 {
			return i, errors.New("time_ns is less than 0")
		}
	}
	return len(events), nil
}

// fill reads the next batch. It returns io.EOF behind the last row.
func (r *rows) fill() (err error) {
	defer recovered(&err)
	for r.left == 0 {
		if err := r.open(); err != nil {
			return err
		}
	}
	n := int(min(r.left, batchRows))
	for i, c := range r.columns {
		switch {
		case c == nil:
		case isText(trace.Column(i)):
			err = c.readTexts(r.texts[i][:n])
		case i == int(trace.ColumnAddress):
			err = c.readNumbers(r.numbers[i][:n], r.placed[:n])
		default:
			err = c.readNumbers(r.numbers[i][:n], nil)
		}
		if err != nil {
			return fmt.Errorf("column %s: %w", trace.Column(i), err)
		}
	}
	r.left -= int64(n)
	r.next, r.batch = 0, n
	return nil
}

// open makes the next group of rows the current one.
func (r *rows) open() error {
	for i, c := range r.columns {
		if c != nil {
			c.close()
			r.columns[i] = nil
		}
	}
	if len(r.groups) == 0 {
		return io.EOF
	}
	group := r.groups[0]
	r.groups, r.left = r.groups[1:], group.NumRows()
	for i, chunk := range group.ColumnChunks() {
		if leaf := r.leaves[i]; leaf >= 0 {
			r.columns[leaf] = newColumn(chunk)
		}
	}
	return nil
}

// writer writes events in groups of rows.
type writer struct {
	out   *parquet.GenericWriter[row]
	batch []row
	addrs []uint64 // of batch
}

// groupRows bounds the rows that a writer, and one page of a reader, holds.
const groupRows = 1 << 18

// writeRows is how many rows a writer hands on at once.
const writeRows = 1024

func newWriter(w io.Writer) *writer {
	return &writer{
		out: parquet.NewGenericWriter[row](w, parquet.Compression(compression), parquet.CreatedBy("dmasim", "", ""),
			parquet.MaxRowsPerRowGroup(groupRows), parquet.DataPageStatistics(false)),
		batch: make([]row, 0, writeRows),
		addrs: make([]uint64, writeRows),
	}
}

// Write implements trace.Writer.
func (w *writer) Write(e *trace.Event) error {
	if e.Size > math.MaxInt64 {
		return errors.New("a size of 2^63 bytes or more")
	}
	r := row{Time: int64(e.At), Event: "alloc", Buffer: e.Buffer, Size: e.Size, Align: e.Align, Limit: e.Limit, Heap: e.Heap}
	switch {
	case e.Kind == workloads.Free:
		r.Event = "free"
	case e.Failed:
		r.Event = "failed"
	}
	if e.Placed {
		w.addrs[len(w.batch)] = e.Addr
		r.Address = &w.addrs[len(w.batch)]
	}
	if w.batch = append(w.batch, r); len(w.batch) == writeRows {
		return w.flush()
	}
	return nil
}

func (w *writer) flush() error {
	_, err := w.out.Write(w.batch)
	w.batch = w.batch[:0]
	return err
}

// Close implements trace.Writer.
func (w *writer) Close(l trace.Losses) error {
	if lines := l.Comments(); len(lines) > 0 {
		w.out.SetKeyValueMetadata(commentsKey, strings.Join(lines, "\n"))
	}
	if err := w.flush(); err != nil {
		return err
	}
	return w.out.Close()
}

// Omitted implements trace.Writer.
func (w *writer) Omitted() []string { return nil }
