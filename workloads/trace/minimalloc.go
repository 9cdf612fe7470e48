package trace

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"dmasim/workloads"
)

// Problem is a static allocation problem: buffers whose lifetimes are known
// before any of them is placed.
type Problem struct {
	Buffers []Buffer // in the order of the file
}

// Buffer is one buffer of a [Problem]. It lives in the half-open interval
// [Lower, Upper) of times without a unit.
type Buffer struct {
	ID           string
	Lower, Upper int64  // 0 <= Lower < Upper
	Size         uint64 // bytes, at least 1; those of a problem sum to less than 2^63
	Align        uint64 // bytes, at least 1: its address must be a multiple
}

// ReadMiniMalloc reads the CSV form of MiniMalloc (Moffitt, "MiniMalloc: a
// lightweight memory allocator for hardware-accelerated machine learning",
// ASPLOS 2023; src/converter.cc at commit 9f5cf81). path is for errors only.
//
// The first line names the columns, in any order: id (or buffer, buffer_id),
// lower (or start, begin), upper (the first time at which the buffer is gone)
// or end (the last at which it lives), and size. alignment may follow, and is 1
// where it does not. hint, a first guess for MiniMalloc's solver, is not used.
// The columns gaps and offset would change what is asked of the allocator; they
// and unknown ones are refused. Fields are not quoted.
//
// It refuses what MiniMalloc lets pass and what no work could mean: an id used
// twice, a lifetime of no length or less, a size of 0, a negative number, and
// rows after an empty line, at which MiniMalloc stops reading. The error is a
// [*Error].
func ReadMiniMalloc(r io.Reader, path string) (*Problem, error) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxLine)
	reader := miniMallocReader{lineOf: map[string]int{}}
	for lines.Scan() {
		reader.line++
		if err := reader.read(lines.Text()); err != nil {
			return nil, &Error{Path: path, Line: reader.line, Err: err}
		}
	}
	err := lines.Err()
	switch {
	case errors.Is(err, bufio.ErrTooLong):
		err = fmt.Errorf("the line is longer than %d bytes", maxLine)
	case err == nil && len(reader.columns) == 0:
		err = errors.New("no header: want the columns id, lower, upper and size")
	case err == nil && len(reader.problem.Buffers) == 0:
		err = errors.New("no buffers follow the header")
	}
	if err != nil {
		return nil, &Error{Path: path, Line: reader.line + 1, Err: err}
	}
	return &reader.problem, nil
}

// miniMallocReader reads a file line by line.
type miniMallocReader struct {
	problem Problem
	line    int            // the number of the current one
	columns []string       // by their first names, but "end"
	lineOf  map[string]int // id → line
	total   uint64         // bytes
	ended   bool           // an empty line was read
}

func (m *miniMallocReader) read(line string) error {
	switch {
	case m.line == 1:
		return m.readHeader(strings.TrimPrefix(line, "\ufeff"))
	case strings.TrimSpace(line) == "":
		m.ended = true
		return nil
	case m.ended:
		return errors.New("a row after an empty line, which ends the file for MiniMalloc")
	}
	return m.readRow(line)
}

var columnNames = map[string]string{
	"id": "id", "buffer": "id", "buffer_id": "id",
	"lower": "lower", "start": "lower", "begin": "lower",
	"upper": "upper", "end": "end",
	"size": "size", "alignment": "alignment", "hint": "hint",
}

func (m *miniMallocReader) readHeader(line string) error {
	for field := range strings.SplitSeq(line, ",") {
		field = strings.TrimSpace(field)
		name, ok := columnNames[field]
		switch {
		case field == "gaps":
			return errors.New("column gaps: buffers that are away for part of their life are not supported")
		case field == "offset":
			return errors.New("column offset: fixed positions are not supported")
		case !ok:
			return fmt.Errorf("unknown column %.40q", field)
		case m.has(name):
			return fmt.Errorf("two columns for %s", name)
		}
		m.columns = append(m.columns, name)
	}
	if m.has("upper") && m.has("end") {
		return errors.New("both columns upper and end")
	}
	for _, name := range []string{"id", "lower", "upper", "size"} {
		if !m.has(name) && !(name == "upper" && m.has("end")) {
			return fmt.Errorf("no column %s", name)
		}
	}
	return nil
}

func (m *miniMallocReader) has(column string) bool { return slices.Contains(m.columns, column) }

func (m *miniMallocReader) readRow(line string) error {
	if got := strings.Count(line, ",") + 1; got != len(m.columns) {
		return fmt.Errorf("%d fields, want %d", got, len(m.columns))
	}
	b := Buffer{Align: 1}
	i := 0
	for field := range strings.SplitSeq(line, ",") {
		if err := b.set(m.columns[i], strings.TrimSpace(field)); err != nil {
			return err
		}
		i++
	}
	if b.ID == "" {
		return errors.New("id is empty")
	}
	if first, ok := m.lineOf[b.ID]; ok {
		return fmt.Errorf("id %.40q is already that of line %d", b.ID, first)
	}
	if b.Upper <= b.Lower {
		return fmt.Errorf("the lifetime [%d, %d) is empty", b.Lower, b.Upper)
	}
	if len(m.problem.Buffers) == maxLive {
		return fmt.Errorf("more than %d buffers", maxLive)
	}
	if b.Size > math.MaxInt64-m.total {
		return errors.New("the sizes sum to 2^63 bytes or more")
	}
	m.total += b.Size
	m.lineOf[b.ID] = m.line
	m.problem.Buffers = append(m.problem.Buffers, b)
	return nil
}

// set sets the field of a column.
func (b *Buffer) set(column, text string) error {
	if column == "id" {
		b.ID = strings.Clone(text)
		return nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	switch {
	case errors.Is(err, strconv.ErrRange):
		return fmt.Errorf("%s %.40q does not fit in 64 bits", column, text)
	case err != nil:
		return fmt.Errorf("%s %.40q is not a whole number", column, text)
	case column == "hint":
		return nil
	case n < 0:
		return fmt.Errorf("%s %d is negative", column, n)
	}
	switch column {
	case "lower":
		b.Lower = n
	case "upper":
		b.Upper = n
	case "end":
		if n == math.MaxInt64 {
			return fmt.Errorf("end %d: the time after it does not fit in 64 bits", n)
		}
		b.Upper = n + 1
	case "size":
		if n == 0 {
			return errors.New("size is 0")
		}
		b.Size = uint64(n)
	case "alignment":
		if n == 0 {
			return errors.New("alignment is 0")
		}
		b.Align = uint64(n)
	}
	return nil
}

// Order says in which order buffers are allocated that start at the same time.
type Order string

// The orders in use. Under both, buffers that end at a time are freed, in the
// order of the file, before the ones that start then are allocated. They are
// not interchangeable: the height that first fit needs for instance A is 1608704
// bytes under one and 1789952 under the other.
const (
	FileOrder      Order = "file"       // as the file has them
	StartSizeOrder Order = "start-size" // the largest first, then as the file has them
)

// Orders returns every order, the default first.
func Orders() []Order { return []Order{FileOrder, StartSizeOrder} }

// Load returns the largest number of bytes that live at one time: no allocator
// gets by with less.
func (p *Problem) Load() uint64 {
	var live, most uint64
	s := newSweep(p.Buffers, FileOrder)
	for i, free, ok := s.next(); ok; i, free, ok = s.next() {
		if free {
			live -= p.Buffers[i].Size
		} else {
			live += p.Buffers[i].Size
			most = max(most, live)
		}
	}
	return most
}

// sweep goes through the starts and ends of buffers by time.
type sweep struct {
	buffers []Buffer
	starts  []int // indices into buffers, by time
	ends    []int
}

func newSweep(buffers []Buffer, order Order) sweep {
	s := sweep{buffers, make([]int, len(buffers)), make([]int, len(buffers))}
	for i := range buffers {
		s.starts[i], s.ends[i] = i, i
	}
	slices.SortStableFunc(s.starts, func(i, j int) int {
		a, b := &buffers[i], &buffers[j]
		if order == StartSizeOrder {
			return cmp.Or(cmp.Compare(a.Lower, b.Lower), cmp.Compare(b.Size, a.Size))
		}
		return cmp.Compare(a.Lower, b.Lower)
	})
	slices.SortStableFunc(s.ends, func(i, j int) int { return cmp.Compare(buffers[i].Upper, buffers[j].Upper) })
	return s
}

// next returns the index of the next buffer that starts or ends.
func (s *sweep) next() (i int, end, ok bool) {
	if len(s.ends) == 0 {
		return 0, false, false
	}
	if len(s.starts) > 0 && s.buffers[s.starts[0]].Lower < s.buffers[s.ends[0]].Upper {
		i, s.starts = s.starts[0], s.starts[1:]
		return i, false, true
	}
	i, s.ends = s.ends[0], s.ends[1:]
	return i, true, true
}

// ReplayOptions say how a [Problem] becomes work.
type ReplayOptions struct {
	Order Order         // "": FileOrder
	Tick  time.Duration // the length of a time step of the file; 0: 1 µs
}

// Replay is the work of a [Problem] as a workloads.Source: an Alloc at Lower and
// a Free at Upper of every buffer, which is named by its index in
// Problem.Buffers. There is one client, number 0.
type Replay struct {
	sweep sweep
	tick  time.Duration
}

// Replay returns the buffers of the problem as work. It returns an error where
// the last time does not fit in a time.Duration.
func (p *Problem) Replay(o ReplayOptions) (*Replay, error) {
	order, tick := cmp.Or(o.Order, FileOrder), cmp.Or(o.Tick, time.Microsecond)
	if !slices.Contains(Orders(), order) {
		return nil, fmt.Errorf("unknown order %q, want one of %q", o.Order, Orders())
	}
	if tick < 0 {
		return nil, fmt.Errorf("the time step is %v, want more than 0", tick)
	}
	for _, b := range p.Buffers {
		if b.Upper > math.MaxInt64/int64(tick) {
			return nil, fmt.Errorf("buffer %.40q: %d time steps of %v are longer than can be simulated", b.ID, b.Upper, tick)
		}
	}
	return &Replay{newSweep(p.Buffers, order), tick}, nil
}

// Placements returns the buffers of the problem as a placement trace in time
// order: the slot of a buffer is its index in Problem.Buffers.
func (p *Problem) Placements(order Order) iter.Seq[Placement] {
	return func(yield func(Placement) bool) {
		s := newSweep(p.Buffers, order)
		for i, end, ok := s.next(); ok; i, end, ok = s.next() {
			record := Placement{Free: end, Slot: uint32(i)}
			if !end {
				record.Size, record.Align = p.Buffers[i].Size, p.Buffers[i].Align
			}
			if !yield(record) {
				return
			}
		}
	}
}

// Next implements workloads.Source. The outcome is not looked at.
func (r *Replay) Next(*workloads.Outcome) (workloads.Op, bool) {
	i, end, ok := r.sweep.next()
	if !ok {
		return workloads.Op{}, false
	}
	b := &r.sweep.buffers[i]
	if end {
		return workloads.Op{At: time.Duration(b.Upper) * r.tick, Kind: workloads.Free, Buffer: uint64(i)}, true
	}
	return workloads.Op{At: time.Duration(b.Lower) * r.tick, Kind: workloads.Alloc, Buffer: uint64(i), Size: b.Size, Align: b.Align}, true
}

// Err implements workloads.Source; a replay does not fail.
func (r *Replay) Err() error { return nil }
