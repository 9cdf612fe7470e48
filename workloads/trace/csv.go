package trace

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"time"

	"dmasim/workloads"
)

// The columns of a trace in our own CSV form, in the order in which they are
// written.
const (
	columnTime = iota
	columnEvent
	columnBuffer
	columnSize
	columnAlign
	columnLimit
	columnAddress
	columnHeap
)

var csvColumns = []string{"time_ns", "event", "buffer", "size", "align", "limit", "address", "heap"}

// csvTrace reads our own CSV form: a row for each event, in the order of their
// times. The first line that is no comment names the columns, in any order;
// time_ns, event, buffer and size have to be there. event is alloc, free or
// failed. In a free, size and the columns after it may be empty; they are not
// looked at. address is empty where it is not known. Only heap may be quoted.
//
// The form is ours, so what makes no sense in it is an error.
type csvTrace struct {
	lines
	columns []int // of each field; nil before the header
}

func (c *csvTrace) next(m *matcher) error {
	line, err := c.lines.next()
	switch {
	case err == io.EOF && c.columns == nil:
		return c.fail(0, errors.New("no header: want the columns "+strings.Join(csvColumns, ",")))
	case err != nil:
		return err
	case c.endless:
		return c.fail(0, fmt.Errorf("%w: the last line has no end", io.ErrUnexpectedEOF))
	case len(line) > 0 && line[0] == '#':
		m.losses.addComment(string(line))
		return nil
	case c.columns == nil:
		return c.header(strings.TrimPrefix(string(line), "\ufeff"))
	case len(line) == 0:
		return nil
	}
	return c.row(m, line)
}

func (c *csvTrace) header(line string) error {
	column := 1
	for name := range strings.SplitSeq(line, ",") {
		i := slices.Index(csvColumns, name)
		switch {
		case i < 0:
			return c.fail(column, fmt.Errorf("unknown column %.40q, want some of %s", name, strings.Join(csvColumns, ",")))
		case slices.Contains(c.columns, i):
			return c.fail(column, fmt.Errorf("two columns %s", name))
		}
		c.columns = append(c.columns, i)
		column += len(name) + 1
	}
	for i, name := range csvColumns[:columnAlign] {
		if !slices.Contains(c.columns, i) {
			return c.fail(0, fmt.Errorf("no column %s", name))
		}
	}
	return nil
}

var errQuote = errors.New("the quotes are not closed, or do not enclose the whole field")

// row reads an event.
func (c *csvTrace) row(m *matcher, line []byte) error {
	e := Event{}
	var id uint64
	var heapName []byte
	free := false
	eventAt := 0
	rest := line
	for i, column := range c.columns {
		at := len(line) - len(rest) + 1
		var field []byte
		more := false
		if column == columnHeap && len(rest) > 0 && rest[0] == '"' {
			var ok bool
			if field, rest, ok = unquote(rest); !ok {
				return c.fail(at, errQuote)
			}
			if more = len(rest) > 0; more {
				rest = rest[1:]
			}
		} else if comma := bytes.IndexByte(rest, ','); comma >= 0 {
			field, rest, more = rest[:comma], rest[comma+1:], true
		} else {
			field, rest = rest, nil
		}
		if more == (i == len(c.columns)-1) {
			return c.fail(0, fmt.Errorf("want %d fields", len(c.columns)))
		}
		var n uint64
		switch column {
		case columnEvent:
			eventAt = at
			switch string(field) {
			case "alloc":
			case "free":
				free = true
			case "failed":
				e.Failed = true
			default:
				return c.fail(at, fmt.Errorf("event %.40q, want alloc, free or failed", field))
			}
			continue
		case columnHeap:
			heapName = field
			continue
		}
		if len(field) == 0 && column >= columnSize {
			continue
		}
		var ok bool
		if n, ok = parseCount(field); !ok {
			return c.fail(at, fmt.Errorf("%s %.40q is no number", csvColumns[column], field))
		}
		switch column {
		case columnTime:
			if n > math.MaxInt64 {
				return c.fail(at, errTime)
			}
			if e.At = time.Duration(n); e.At < m.now {
				return c.fail(at, m.backward(e.At))
			}
		case columnBuffer:
			id = n
		case columnSize:
			if n > math.MaxInt64 {
				return c.fail(at, errors.New("size of 2^63 bytes or more"))
			}
			e.Size = n
		case columnAlign:
			e.Align = n
		case columnLimit:
			e.Limit = n
		case columnAddress:
			e.Addr, e.Placed = n, true
		}
	}
	if free {
		e.Kind = workloads.Free
	}
	e.Buffer = id
	if err := m.accept(e, heapName); err != nil {
		return c.fail(eventAt, err)
	}
	return nil
}

// unquote takes a field in quotes off the front of a row. Quotes in it are
// doubled.
func unquote(row []byte) (field, rest []byte, ok bool) {
	for i := 1; i < len(row); i++ {
		if row[i] != '"' {
			field = append(field, row[i])
			continue
		}
		if i+1 < len(row) && row[i+1] == '"' {
			field = append(field, '"')
			i++
			continue
		}
		rest = row[i+1:]
		return field, rest, len(rest) == 0 || rest[0] == ','
	}
	return nil, nil, false
}

// parseCount reads a decimal number, or a hexadecimal one that begins with 0x.
func parseCount(text []byte) (uint64, bool) {
	if len(text) > 2 && text[0] == '0' && text[1] == 'x' {
		return parseHex(text[2:])
	}
	if len(text) == 0 || len(text) > 20 {
		return 0, false
	}
	var n uint64
	for _, c := range text {
		if !isDigit(c) || n > math.MaxUint64/10 {
			return 0, false
		}
		d := uint64(c - '0')
		if n = n*10 + d; n < d {
			return 0, false
		}
	}
	return n, true
}

func parseHex(text []byte) (uint64, bool) {
	if len(text) == 0 || len(text) > 16 {
		return 0, false
	}
	var n uint64
	for _, c := range text {
		switch {
		case isDigit(c):
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		case 'A' <= c && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		n = n<<4 | uint64(c)
	}
	return n, true
}
