package trace

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"iter"
	"math"
	"math/bits"
	"slices"
	"strconv"
	"strings"
	"time"

	"dmasim/internal/radix"
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
	text := lines{lineReader: lineReader{in: bufio.NewReaderSize(r, maxLine)}, path: path}
	m := miniMallocReader{seed: maphash.MakeSeed()}
	err := m.readAll(&text)
	// Of two errors the first in the file is told, and ids are compared at the end.
	if again, first, ok := m.duplicate(); ok {
		text.number = rowLine(again)
		return nil, text.fail(0, fmt.Errorf("id %.40q is already that of line %d", m.problem.Buffers[again].ID, rowLine(first)))
	}
	if err != nil {
		return nil, err
	}
	return &m.problem, nil
}

// rowLine returns the line of a buffer.
func rowLine(index int) int { return index + 2 } // behind the header

// miniMallocReader reads a file line by line.
type miniMallocReader struct {
	problem Problem
	columns []string        // by their first names, but "end"
	ids     strings.Builder // many in one piece of memory
	hashes  []uint64        // of the ids of the buffers
	seed    maphash.Seed
	total   uint64 // bytes
	ended   bool   // an empty line was read
}

func (m *miniMallocReader) readAll(text *lines) error {
	for {
		line, err := text.next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		if err := m.read(text.number, line); err != nil {
			return text.fail(0, err)
		}
	}
	text.number++
	switch {
	case len(m.columns) == 0:
		return text.fail(0, errors.New("no header: want the columns id, lower, upper and size"))
	case len(m.problem.Buffers) == 0:
		return text.fail(0, errors.New("no buffers follow the header"))
	}
	return nil
}

func (m *miniMallocReader) read(number int, line []byte) error {
	switch {
	case number == 1:
		return m.readHeader(strings.TrimPrefix(string(line), "\ufeff"))
	case len(bytes.TrimSpace(line)) == 0:
		m.ended = true
		return nil
	case m.ended:
		return errors.New("a row after an empty line, which ends the file for MiniMalloc")
	}
	return m.readRow(line)
}

var miniMallocColumns = map[string]string{
	"id": "id", "buffer": "id", "buffer_id": "id",
	"lower": "lower", "start": "lower", "begin": "lower",
	"upper": "upper", "end": "end",
	"size": "size", "alignment": "alignment", "hint": "hint",
}

func (m *miniMallocReader) readHeader(line string) error {
	for field := range strings.SplitSeq(line, ",") {
		field = strings.TrimSpace(field)
		name, ok := miniMallocColumns[field]
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

func (m *miniMallocReader) readRow(line []byte) error {
	if got := bytes.Count(line, []byte(",")) + 1; got != len(m.columns) {
		return fmt.Errorf("%d fields, want %d", got, len(m.columns))
	}
	b := Buffer{Align: 1}
	var id []byte
	at := 0
	for _, column := range m.columns {
		end := fieldEnd(line, at)
		if field := line[at:end]; column == "id" {
			id = bytes.TrimSpace(field)
		} else if err := b.set(column, field); err != nil {
			return err
		}
		at = end + 1
	}
	if len(id) == 0 {
		return errors.New("id is empty")
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
	b.ID = m.keep(id)
	m.hashes = append(m.hashes, maphash.Bytes(m.seed, id))
	if n := len(m.problem.Buffers); n == cap(m.problem.Buffers) { // append would copy large ones four times as often
		m.problem.Buffers = slices.Grow(m.problem.Buffers, n+1)
	}
	m.problem.Buffers = append(m.problem.Buffers, b)
	return nil
}

// duplicate returns the index of the first buffer whose id another before it has, and
// that one's. It compares all ids at once, with a table that holds nothing but
// indices: one look at memory for each of them.
func (m *miniMallocReader) duplicate() (again, first int, ok bool) {
	buffers := m.problem.Buffers
	table := make([]uint32, 2<<bits.Len(uint(len(buffers)))) // of indices from 1; 0: none
	for i, hash := range m.hashes {
		at := int(hash) & (len(table) - 1)
		for ; table[at] != 0; at = (at + 1) & (len(table) - 1) {
			if j := int(table[at] - 1); m.hashes[j] == hash && buffers[j].ID == buffers[i].ID {
				return i, j, true
			}
		}
		table[at] = uint32(i + 1)
	}
	return 0, 0, false
}

// keep returns an id that stays.
func (m *miniMallocReader) keep(id []byte) string {
	if m.ids.Cap()-m.ids.Len() < len(id) {
		m.ids = strings.Builder{}
		m.ids.Grow(maxLine)
	}
	from := m.ids.Len()
	m.ids.Write(id)
	return m.ids.String()[from:]
}

// set sets the field of a column.
func (b *Buffer) set(column string, field []byte) error {
	n, err := parseWhole(field)
	switch {
	case errors.Is(err, strconv.ErrRange):
		return fmt.Errorf("%s %.40q does not fit in 64 bits", column, bytes.TrimSpace(field))
	case err != nil:
		return fmt.Errorf("%s %.40q is not a whole number", column, bytes.TrimSpace(field))
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

// parseWhole reads a whole number between spaces.
func parseWhole(field []byte) (int64, error) {
	if n, end := leadingDigits(field, 0); end > 0 && end == len(field) && end < surelyFit {
		return int64(n), nil
	}
	return strconv.ParseInt(string(bytes.TrimSpace(field)), 10, 64)
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

// sweep goes through the starts and ends of buffers by time: times beside indices into
// buffers.
type sweep struct {
	buffers      []Buffer
	starts, ends []radix.Item
}

func newSweep(buffers []Buffer, order Order) sweep {
	s := sweep{buffers, make([]radix.Item, len(buffers)), make([]radix.Item, len(buffers))}
	for i := range buffers {
		s.starts[i] = radix.Item{Key: uint64(buffers[i].Lower), Value: uint64(i)}
		s.ends[i] = radix.Item{Key: uint64(buffers[i].Upper), Value: uint64(i)}
	}
	var spare []radix.Item
	for _, list := range []*[]radix.Item{&s.starts, &s.ends} {
		*list, spare = radix.Sort(*list, spare)
	}
	if order == StartSizeOrder {
		s.largestFirst()
	}
	return s
}

// largestFirst orders the buffers that start at a time by size.
func (s *sweep) largestFirst() {
	for from := 0; from < len(s.starts); {
		to := from + 1
		for to < len(s.starts) && s.starts[to].Key == s.starts[from].Key {
			to++
		}
		slices.SortStableFunc(s.starts[from:to], func(a, b radix.Item) int {
			return cmp.Compare(s.buffers[b.Value].Size, s.buffers[a.Value].Size)
		})
		from = to
	}
}

// next returns the index of the next buffer that starts or ends.
func (s *sweep) next() (i int, end, ok bool) {
	if len(s.ends) == 0 {
		return 0, false, false
	}
	if len(s.starts) > 0 && s.starts[0].Key < s.ends[0].Key {
		i, s.starts = int(s.starts[0].Value), s.starts[1:]
		return i, false, true
	}
	i, s.ends = int(s.ends[0].Value), s.ends[1:]
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

// Operations implements workloads.Counted.
func (r *Replay) Operations() uint64 { return uint64(2 * len(r.sweep.buffers)) }

// Err implements workloads.Source; a replay does not fail.
func (r *Replay) Err() error { return nil }
