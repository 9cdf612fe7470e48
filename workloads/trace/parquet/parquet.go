package parquet

import (
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"time"

	"github.com/parquet-go/parquet-go"
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

// row is an event. Heap and event have few values, so they have dictionaries.
type row struct {
	Time    int64   `parquet:"time_ns"`
	Event   string  `parquet:"event,dict"`
	Buffer  uint64  `parquet:"buffer"`
	Size    uint64  `parquet:"size"`
	Align   uint64  `parquet:"align"`
	Limit   uint64  `parquet:"limit"`
	Address *uint64 `parquet:"address,optional"`
	Heap    string  `parquet:"heap,dict"`
}

// columns are those of row: whether they hold text, and whether a file has to have
// them.
var columns = map[string]struct{ text, needed bool }{
	"time_ns": {false, true}, "event": {true, true}, "buffer": {false, true}, "size": {false, true},
	"align": {}, "limit": {}, "address": {}, "heap": {true, false},
}

// commentsKey is the file's key under which losses are kept.
const commentsKey = "dmasim.missing"

// rows are the events of a file.
type rows struct {
	reader   *parquet.GenericReader[row]
	batch    []row
	ready    []row
	comments []string
	err      error // after ready
}

const batchRows = 1024

func open(in io.ReaderAt, size int64) (r *rows, err error) {
	defer recovered(&err)
	meta, err := footer(in, size)
	if err != nil {
		return nil, err
	}
	wanted := func(name string) bool { _, ok := columns[name]; return ok }
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
	r = &rows{reader: parquet.NewGenericReader[row](file), batch: make([]row, batchRows)}
	if text, ok := file.Lookup(commentsKey); ok && text != "" {
		r.comments = strings.Split(text, "\n")
	}
	return r, nil
}

// checkSchema checks the names and the types of the columns, which are not nested.
func checkSchema(meta *format.FileMetaData) error {
	found := map[string]bool{}
	for i := 1; i < len(meta.Schema); i++ {
		s := &meta.Schema[i]
		c, known := columns[s.Name]
		switch {
		case s.NumChildren.Valid && s.NumChildren.V > 0:
			return fmt.Errorf("column %.40q is nested", s.Name)
		case s.RepetitionType.Valid && s.RepetitionType.V == format.Repeated:
			return fmt.Errorf("column %.40q is repeated", s.Name)
		case !known:
			continue // tables often have more
		case found[s.Name]:
			return fmt.Errorf("two columns %s", s.Name)
		case c.text && s.Type.V != format.ByteArray:
			return fmt.Errorf("column %s is %v, want text", s.Name, s.Type.V)
		case !c.text && s.Type.V != format.Int64:
			return fmt.Errorf("column %s is %v, want 64-bit integers", s.Name, s.Type.V)
		}
		found[s.Name] = true
	}
	for _, name := range []string{"time_ns", "event", "buffer", "size"} {
		if columns[name].needed && !found[name] {
			return fmt.Errorf("no column %s", name)
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

// fill reads the next rows.
func (r *rows) fill() (n int, err error) {
	defer recovered(&err)
	clear(r.batch) // no address is shared with rows that were given out
	return r.reader.Read(r.batch)
}

// Next implements trace.Rows.
func (r *rows) Next(e *trace.Event) error {
	if len(r.ready) == 0 {
		if r.err != nil {
			return r.err
		}
		n, err := r.fill()
		r.ready, r.err = r.batch[:n], err
		if n == 0 {
			if err == nil {
				r.err = errTorn
			}
			return r.err
		}
	}
	row := &r.ready[0]
	r.ready = r.ready[1:]
	*e = trace.Event{
		At: time.Duration(row.Time), Buffer: row.Buffer, Size: row.Size, Align: row.Align, Limit: row.Limit, Heap: row.Heap,
	}
	if row.Address != nil {
		e.Addr, e.Placed = *row.Address, true
	}
	switch row.Event {
	case "alloc":
	case "free":
		e.Kind = workloads.Free
	case "failed":
		e.Failed = true
	default:
		return fmt.Errorf("event %.40q, want alloc, free or failed", row.Event)
	}
	if row.Time < 0 {
		return errors.New("time_ns is less than 0")
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

func newWriter(w io.Writer) *writer {
	return &writer{
		out: parquet.NewGenericWriter[row](w, parquet.Compression(&parquet.Zstd), parquet.CreatedBy("dmasim", "", ""),
			parquet.MaxRowsPerRowGroup(groupRows), parquet.DataPageStatistics(false)),
		batch: make([]row, 0, batchRows),
		addrs: make([]uint64, batchRows),
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
	if w.batch = append(w.batch, r); len(w.batch) == batchRows {
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
