package trace

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
)

// Rows are the events of a file whose columns are stored apart.
type Rows interface {
	// Read sets events to those of the next rows and returns how many it was. It
	// returns io.EOF behind the last; an error is about the row after those. What
	// the events say is not checked yet.
	Read(events []Event) (int, error)
	// Comments returns what [Losses.Comments] of the writer had returned.
	Comments() []string
}

// ColumnarCodec reads and writes [Parquet].
type ColumnarCodec struct {
	Open      func(in io.ReaderAt, size int64) (Rows, error)
	NewWriter func(io.Writer) Writer
}

// columnar is what [RegisterParquet] was given.
var columnar *ColumnarCodec

// RegisterParquet makes this package read and write Parquet by c, once. Package
// dmasim/workloads/trace/parquet does so when it is imported: whoever does not
// need the format is spared the library.
func RegisterParquet(c ColumnarCodec) { columnar = &c }

const parquetMagic = "PAR1"

var errNoParquet = errors.New("this program was built without Parquet: it has to import dmasim/workloads/trace/parquet")

// columnarTrace gives out the rows of a columnar file.
type columnarTrace struct {
	rows  Rows
	path  string
	row   uint64 // the last one, from 1
	batch [batchEvents]Event
}

// openColumnar starts to read a columnar file, whose directory is at its end, from
// where it lies: original is what in, of which no byte was consumed, reads from.
func openColumnar(in *bufio.Reader, original io.Reader, path string, m *matcher) (decoder, error) {
	if columnar == nil {
		return nil, fmt.Errorf("%s: %w", path, errNoParquet)
	}
	if magic, _ := in.Peek(len(parquetMagic)); string(magic) != parquetMagic {
		return nil, fmt.Errorf("%s: not Parquet, or compressed as a whole, which Parquet's own compression makes needless", path)
	}
	at, size, err := randomAccess(original)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	rows, err := columnar.Open(at, size)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	for _, line := range rows.Comments() {
		m.losses.addComment(line)
	}
	return &columnarTrace{rows: rows, path: path}, nil
}

// randomAccess returns the whole of a file or of memory.
func randomAccess(r io.Reader) (io.ReaderAt, int64, error) {
	switch r := r.(type) {
	case *os.File:
		if info, err := r.Stat(); err == nil && info.Mode().IsRegular() {
			return r, info.Size(), nil
		}
	case interface {
		io.ReaderAt
		Size() int64 // of the whole
	}:
		return r, r.Size(), nil
	}
	return nil, 0, errors.New("a Parquet file is read from its end on: give a file, not a pipe")
}

func (c *columnarTrace) next(m *matcher) error {
	n, err := c.rows.Read(c.batch[:])
	for i := range c.batch[:n] {
		c.row++
		e := m.draft()
		*e = c.batch[i]
		if err := m.accept(e, []byte(e.Heap)); err != nil {
			return c.fail(err)
		}
	}
	if err == nil || err == io.EOF {
		return err
	}
	c.row++
	return c.fail(err)
}

func (c *columnarTrace) fail(err error) error {
	return fmt.Errorf("%s: row %d: %w", c.path, c.row, err)
}
