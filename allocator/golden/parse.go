package golden

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

const (
	format      = "dmasim-golden/1"
	columnNames = "op,id,size,align,lo,hi,flags,result"
	columnCount = 8
	maxLine     = 1 << 20 // bytes
	maxBulk     = 1 << 20 // blocks in one call
	maxIDs      = 1 << 22 // and 64 more for each row
)

// Read reads a whole recording. name is used in messages. The error is a
// *MalformedError, or the error of r.
func Read(name string, r io.Reader) (*Recording, error) {
	p := parser{rec: &Recording{Name: name, Header: Header{file: name, entries: map[string]entry{}}}}
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxLine)
	lines.Split(wholeLines)
	for lines.Scan() {
		p.line++
		if err := p.read(lines.Text()); err != nil {
			return nil, p.malformed(err)
		}
	}
	switch err := lines.Err(); {
	case errors.Is(err, bufio.ErrTooLong):
		p.line++
		return nil, p.malformed(fmt.Errorf("the line is longer than %d bytes", maxLine))
	case errors.Is(err, errTorn):
		p.line++
		return nil, p.malformed(err)
	case err != nil:
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	if err := p.end(); err != nil {
		return nil, err
	}
	return p.rec, nil
}

var errTorn = errors.New("the file ends within a line")

// wholeLines splits like bufio.ScanLines, but refuses a last line without an
// end and keeps carriage returns.
func wholeLines(data []byte, atEOF bool) (advance int, token []byte, err error) {
	if i := bytes.IndexByte(data, '\n'); i >= 0 {
		return i + 1, data[:i], nil
	}
	if atEOF && len(data) > 0 {
		return 0, nil, errTorn
	}
	return 0, nil, nil
}

type parser struct {
	rec   *Recording
	line  int
	rows  bool   // the column names have been read
	freed []bool // by ID
}

func (p *parser) malformed(err error) error {
	return &MalformedError{File: p.rec.Name, Line: p.line, Err: err}
}

func (p *parser) read(line string) error {
	switch {
	case p.rows:
		row, err := p.row(line)
		if err == nil {
			p.rec.Rows = append(p.rec.Rows, row)
		}
		return err
	case strings.HasPrefix(line, "# "):
		return p.headerLine(line[2:])
	case line == columnNames:
		p.rows = true
		p.rec.Header.columns = p.line
		return nil
	}
	return fmt.Errorf("want \"# key=value\" or the column names %q", columnNames)
}

func (p *parser) headerLine(text string) error {
	key, value, ok := strings.Cut(text, "=")
	if !ok || key == "" {
		return fmt.Errorf("header line %q: want \"# key=value\"", text)
	}
	if first, again := p.rec.Header.entries[key]; again {
		return fmt.Errorf("header key %q again: first in line %d", key, first.line)
	}
	p.rec.Header.entries[key] = entry{text: value, line: p.line}
	if key == "format" && value != format {
		return fmt.Errorf("format %q: want %q", value, format)
	}
	return nil
}

// end checks what is known only after the last line.
func (p *parser) end() error {
	if !p.rows {
		p.line++
		return p.malformed(errors.New("the file ends before the column names"))
	}
	for _, key := range []string{"format", "allocator", "mode", "unit", "base", "size", "granule"} {
		if _, err := p.rec.Header.Text(key); err != nil {
			return err
		}
	}
	ops, err := p.rec.Header.Uint("ops", uint64(1)<<40)
	if err != nil {
		return err
	}
	if uint64(len(p.rec.Rows)) != ops {
		return p.malformed(fmt.Errorf("the file has %d rows, the header promises %d", len(p.rec.Rows), ops))
	}
	return nil
}

func (p *parser) row(line string) (Row, error) {
	cells := strings.Split(line, ",")
	if len(cells) != columnCount {
		return Row{}, fmt.Errorf("torn row: %d columns, want %d", len(cells), columnCount)
	}
	row := Row{Line: p.line, Op: Op(cells[0]), Flags: Flags(cells[6]), Result: cells[7]}
	if !row.Op.known() {
		return Row{}, fmt.Errorf("unknown operation %q", cells[0])
	}
	if err := p.numbers(&row, cells); err != nil {
		return Row{}, err
	}
	if err := p.identify(&row); err != nil {
		return Row{}, err
	}
	return row, row.checkResult()
}

func (p *parser) numbers(row *Row, cells []string) error {
	if row.Op.named() {
		id, err := strconv.ParseUint(cells[1], 10, 64)
		if err != nil {
			return fmt.Errorf("id %q: want a decimal number of 64 bits", cells[1])
		}
		row.ID = id
	} else if cells[1] != "" {
		return fmt.Errorf("id %q: %s has none", cells[1], row.Op)
	}
	for i, cell := range []*Cell{&row.Size, &row.Align} {
		text := cells[2+i]
		if text == "" {
			continue
		}
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			return fmt.Errorf("%q: want a decimal number of 64 bits", text)
		}
		*cell = Cell{n, true}
	}
	for i, cell := range []*Cell{&row.Lo, &row.Hi} {
		text := cells[4+i]
		if text == "" {
			continue
		}
		digits, ok := strings.CutPrefix(text, "0x")
		n, err := strconv.ParseUint(digits, 16, 64)
		if !ok || err != nil {
			return fmt.Errorf("%q: want 0x and a hexadecimal number of 64 bits", text)
		}
		*cell = Cell{n, true}
	}
	return nil
}

// identify checks the row's ID against those before it.
func (p *parser) identify(row *Row) error {
	next := uint64(len(p.freed))
	switch {
	case row.Op.places():
		if row.ID != next {
			return fmt.Errorf("%s id %d: want %d, ids count up by one", row.Op, row.ID, next)
		}
		blocks := uint64(1)
		if row.Op == Bulk {
			count, err := row.Flags.Uint("count", 0)
			if err != nil {
				return err
			}
			if count == 0 || count > maxBulk {
				return fmt.Errorf("bulk of %d blocks: want a flag count=N, N from 1 to %d", count, maxBulk)
			}
			if most := uint64(maxIDs + 64*len(p.rec.Rows)); next+count > most {
				return fmt.Errorf("bulk of %d blocks: more than %d ids up to here", count, most)
			}
			blocks = count
		}
		p.freed = append(p.freed, make([]bool, blocks)...)
	case row.Op == Free:
		if row.ID >= next {
			return fmt.Errorf("free of id %d, which was never allocated", row.ID)
		}
		if p.freed[row.ID] {
			return fmt.Errorf("free of id %d, which is free already", row.ID)
		}
		p.freed[row.ID] = true
	}
	return nil
}

// checkResult checks the form of the answer.
func (r Row) checkResult() error {
	switch r.Op {
	case Alloc, Reserve, Bulk:
		_, err := r.extents(r.Result)
		return err
	case Free, Work, Busy, Drain, Decay:
		if r.Result != "ok" {
			return fmt.Errorf("result %q of %s: want ok", r.Result, r.Op)
		}
	default:
		if r.Result == "" {
			return fmt.Errorf("%s without a result", r.Op)
		}
	}
	return nil
}
