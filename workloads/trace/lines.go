package trace

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
)

// Error says where a trace is wrong.
type Error struct {
	Path   string
	Line   int // from 1
	Column int // from 1, in bytes; 0: the line as a whole
	Err    error
}

// Error implements error.
func (e *Error) Error() string {
	if e.Column > 0 {
		return fmt.Sprintf("%s:%d:%d: %v", e.Path, e.Line, e.Column, e.Err)
	}
	return fmt.Sprintf("%s:%d: %v", e.Path, e.Line, e.Err)
}

// Unwrap returns what is wrong.
func (e *Error) Unwrap() error { return e.Err }

// maxLine bounds a line, in bytes. Those of the known formats are shorter than
// a few hundred.
const maxLine = 64 << 10

// lines reads a text line by line, and knows where it is.
type lines struct {
	lineReader
	path    string
	number  int  // of the line that was read last, from 1
	endless bool // that line has no end: the text may be torn there
}

// next returns the next line without its end; it is good until the next call.
// At the end of the text the error is io.EOF, else it is an *Error.
func (l *lines) next() ([]byte, error) {
	line, err := l.lineReader.next()
	if err == io.EOF && len(line) == 0 {
		return nil, io.EOF
	}
	l.number++
	switch {
	case err == nil:
	case err == io.EOF:
		l.endless = true
	case errors.Is(err, bufio.ErrBufferFull):
		return nil, l.fail(0, fmt.Errorf("the line is longer than %d bytes", maxLine))
	default:
		return nil, l.fail(0, err)
	}
	if last := len(line) - 1; last >= 0 && line[last] == '\r' {
		line = line[:last]
	}
	return line, nil
}

// lineReader takes lines out of what a bufio.Reader holds, so that its memory is
// bounded.
type lineReader struct {
	in    *bufio.Reader // of at least maxLine bytes
	ahead []byte        // what in holds behind the last line
	held  int           // bytes that in held when ahead was all of them
}

// next returns the next line without its end; it is good until the next call. A last
// line that has no end comes with io.EOF; other errors are those of ReadSlice.
func (l *lineReader) next() ([]byte, error) {
	end := bytes.IndexByte(l.ahead, '\n')
	if end < 0 {
		return l.read()
	}
	line := l.ahead[:end]
	l.ahead = l.ahead[end+1:]
	return line, nil
}

// read returns the next line, which is not in ahead as a whole.
func (l *lineReader) read() ([]byte, error) {
	l.in.Discard(l.held - len(l.ahead)) // in holds them: there is no error
	line, err := l.in.ReadSlice('\n')
	l.held = l.in.Buffered()
	l.ahead, _ = l.in.Peek(l.held)
	if err == nil {
		line = line[:len(line)-1]
	}
	return line, err
}

// fail adds the place to an error. Columns count bytes from 1; 0 is the line as a
// whole.
func (l *lines) fail(column int, err error) error {
	return &Error{Path: l.path, Line: max(l.number, 1), Column: column, Err: err}
}

// failLine adds the line to an error, if there is one.
func (l *lines) failLine(err error) error {
	if err == nil {
		return nil
	}
	return l.fail(0, err)
}
