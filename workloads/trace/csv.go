package trace

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"math/bits"
	"slices"
	"strings"
	"time"

	"dmasim/workloads"
)

// csvTrace reads our own CSV form: a row for each event, in the order of their
// times. The first line that is no comment names the columns, in any order;
// time_ns, event, buffer and size have to be there. event is alloc, free or
// failed. In a free, size and the columns after it may be empty; they are not
// looked at. address is empty where it is not known. Only heap may be quoted.
//
// The form is ours, so what makes no sense in it is an error.
type csvTrace struct {
	lines
	columns  []Column // of each field; nil before the header
	unquoted []byte   // room for a field
}

func (c *csvTrace) next(m *matcher) error {
	line, err := c.lines.next()
	switch {
	case err == io.EOF && c.columns == nil:
		return c.fail(0, errors.New("no header: want the columns "+strings.Join(columnNames, ",")))
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
		named, known := ColumnNamed(name)
		switch {
		case !known:
			return c.fail(column, fmt.Errorf("unknown column %.40q, want some of %s", name, strings.Join(columnNames, ",")))
		case slices.Contains(c.columns, named):
			return c.fail(column, fmt.Errorf("two columns %s", name))
		}
		c.columns = append(c.columns, named)
		column += len(name) + 1
	}
	for needed := range NumColumns {
		if column := Column(needed); column.Needed() && !slices.Contains(c.columns, column) {
			return c.fail(0, fmt.Errorf("no column %s", column))
		}
	}
	return nil
}

var errQuote = errors.New("the quotes are not closed, or do not enclose the whole field")

// row reads an event.
func (c *csvTrace) row(m *matcher, line []byte) error {
	e := m.draft()
	var heapName []byte
	eventAt := 0
	at := 0
	for i, column := range c.columns {
		var end int
		var n uint64
		number := false
		switch {
		case column == ColumnHeap && at < len(line) && line[at] == '"':
			if c.unquoted, end = appendUnquoted(c.unquoted[:0], line, at); end < 0 {
				return c.fail(at+1, errQuote)
			}
			heapName = c.unquoted
		case column == ColumnHeap:
			end = fieldEnd(line, at)
			heapName = line[at:end]
		case column == ColumnEvent:
			end = fieldEnd(line, at)
		default:
			n, end, number = readCount(line, at)
		}
		if (end == len(line)) != (i == len(c.columns)-1) {
			return c.fail(0, fmt.Errorf("want %d fields", len(c.columns)))
		}
		switch field := line[at:end]; {
		case column == ColumnHeap:
		case column == ColumnEvent:
			eventAt = at + 1
			switch string(field) {
			case "alloc":
			case "free":
				e.Kind = workloads.Free
			case "failed":
				e.Failed = true
			default:
				return c.fail(at+1, fmt.Errorf("event %.40q, want alloc, free or failed", field))
			}
		case number:
			if err := c.set(e, column, n, m); err != nil {
				return c.fail(at+1, err)
			}
		case len(field) > 0 || column < ColumnSize:
			return c.fail(at+1, fmt.Errorf("%s %.40q is no number", column, field))
		}
		at = end + 1
	}
	if err := m.accept(e, heapName); err != nil {
		return c.fail(eventAt, err)
	}
	return nil
}

// set sets what a column of numbers holds.
func (c *csvTrace) set(e *Event, column Column, n uint64, m *matcher) error {
	switch column {
	case ColumnTime:
		if n > math.MaxInt64 {
			return errTime
		}
		if e.At = time.Duration(n); e.At < m.now {
			return m.backward(e.At)
		}
	case ColumnBuffer:
		e.Buffer = n
	case ColumnSize:
		if n > math.MaxInt64 {
			return errors.New("size of 2^63 bytes or more")
		}
		e.Size = n
	case ColumnAlign:
		e.Align = n
	case ColumnLimit:
		e.Limit = n
	case ColumnAddress:
		e.Addr, e.Placed = n, true
	}
	return nil
}

// fieldEnd returns where the field ends that begins at at: at a comma, or with the
// row.
func fieldEnd(row []byte, at int) int {
	for at < len(row) && row[at] != ',' {
		at++
	}
	return at
}

// appendUnquoted appends the field in quotes that begins at at, in which quotes are
// doubled, and returns where it ends, or -1 where it does not.
func appendUnquoted(field, row []byte, at int) ([]byte, int) {
	for i := at + 1; i < len(row); i++ {
		if row[i] == '"' {
			if i++; i == len(row) || row[i] == ',' {
				return field, i
			}
			if row[i] != '"' {
				break
			}
		}
		field = append(field, row[i])
	}
	return field, -1
}

// readCount reads the field that begins at at as a number, as parseCount does, and
// returns where it ends.
func readCount(row []byte, at int) (n uint64, end int, ok bool) {
	n, end = leadingDigits(row, at)
	if digits := end - at; digits > 0 && digits <= surelyFit && (end == len(row) || row[end] == ',') {
		return n, end, true
	}
	end = fieldEnd(row, at)
	n, ok = parseCount(row[at:end])
	return n, end, ok
}

// surelyFit is how many digits fit in 64 bits whatever they are.
const surelyFit = 19

// leadingDigits returns the number that begins at at, and where it ends. It is right
// if it has from 1 to surelyFit digits.
func leadingDigits(text []byte, at int) (n uint64, end int) {
	for at+8 <= len(text) {
		eight, digits := eightDigits(binary.LittleEndian.Uint64(text[at:]))
		n = n*powers10[digits] + eight
		at += digits
		if digits < 8 {
			return n, at
		}
	}
	for ; at < len(text) && isDigit(text[at]); at++ {
		n = n*10 + uint64(text[at]-'0')
	}
	return n, at
}

var powers10 = [9]uint64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8}

// eightDigits returns the number that eight characters begin with, the first of which
// is the least significant byte, and how many of them are digits. There is no branch
// in it, which would be guessed wrong where the lengths of numbers differ.
func eightDigits(text uint64) (n uint64, digits int) {
	const each = 0x0101010101010101
	n = text ^ '0'*each // digits are 0 to 9; 0x76 more of anything else has the highest bit
	other := (n + 0x76*each | n) & (0x80 * each)
	digits = bits.TrailingZeros64(other) / 8
	n <<= 64 - 8*digits // the last digit is the most significant byte now
	n = n*10 + n>>8
	n = (n&0x00ff00ff00ff00ff)*100 + n>>16&0x00ff00ff00ff00ff
	n = (n&0x0000ffff0000ffff)*10000 + n>>32&0x0000ffff0000ffff
	return n & 0xffffffff, digits
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
