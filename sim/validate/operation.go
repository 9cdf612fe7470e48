package validate

import (
	"bufio"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
)

// Kind is what an operation does, by its letter in files.
type Kind byte

// The kinds of operations on memory.
const (
	HeapAlloc    Kind = 'h' // from the CMA heap, Size bytes
	SystemAlloc  Kind = 's' // from the system heap, Size bytes
	DebugfsAlloc Kind = 'd' // by the area's file "alloc" in debugfs, Size pages
	DebugfsFree  Kind = 'F' // by its file "free", Size pages
	Close        Kind = 'f' // the buffer ID
)

// Operation is one operation on memory.
type Operation struct {
	Kind Kind
	ID   string // of a buffer: HeapAlloc, SystemAlloc, Close
	Size uint64 // bytes or pages
	Line int    // where it is written; 0 if nowhere
}

// String returns the operation as it is written in a file.
func (o Operation) String() string {
	switch o.Kind {
	case HeapAlloc, SystemAlloc:
		return fmt.Sprintf("%c %s %d", o.Kind, o.ID, o.Size)
	case Close:
		return fmt.Sprintf("%c %s", o.Kind, o.ID)
	}
	return fmt.Sprintf("%c %d", o.Kind, o.Size)
}

// SyntaxError is a mistake in a file of operations.
type SyntaxError struct {
	File         string
	Line, Column int // from 1; columns are bytes
	Text         string
}

func (e *SyntaxError) Error() string {
	return fmt.Sprintf("%s:%d:%d: %s", e.File, e.Line, e.Column, e.Text)
}

// Limits of a file of operations.
const (
	MaxOperations = 1 << 22
	maxLine       = 4096 // bytes
	maxID         = 64
)

// word is a word of a line with its column.
type word struct {
	text   string
	column int
}

// ReadOperations reads a file of operations, one a line: "h ID BYTES" and "s ID
// BYTES" allocate a buffer from the CMA heap and from the system heap, "f ID"
// closes it, "d PAGES" and "F PAGES" allocate and free through debugfs; "#" begins
// a comment. Numbers are decimal. An ID may be used again once its buffer is
// closed. The error is a [*SyntaxError], or that of r.
func ReadOperations(file string, r io.Reader) ([]Operation, error) {
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 0, maxLine), maxLine)
	var list []Operation
	opened := map[string]int{} // line
	number := 0
	for lines.Scan() {
		number++
		fail := func(column int, format string, args ...any) error {
			return &SyntaxError{file, number, column, fmt.Sprintf(format, args...)}
		}
		words := split(lines.Text())
		if len(words) == 0 {
			continue
		}
		op, err := parse(words, fail)
		if err != nil {
			return nil, err
		}
		op.Line = number
		switch line, open := opened[op.ID]; op.Kind {
		case HeapAlloc, SystemAlloc:
			if open {
				return nil, fail(words[1].column, "buffer %s is open since line %d: close it first (f %s), or use another ID", op.ID, line, op.ID)
			}
			opened[op.ID] = number
		case Close:
			if !open {
				return nil, fail(words[1].column, "buffer %s is not open here", op.ID)
			}
			delete(opened, op.ID)
		}
		if len(list) == MaxOperations {
			return nil, fail(1, "more than %d operations", MaxOperations)
		}
		list = append(list, op)
	}
	switch err := lines.Err(); {
	case err == bufio.ErrTooLong:
		return nil, &SyntaxError{file, number + 1, maxLine, "the line is longer than any operation"}
	case err != nil:
		return nil, fmt.Errorf("read %s: %w", file, err)
	case len(list) == 0:
		return nil, &SyntaxError{file, number + 1, 1, "no operation in the file"}
	}
	return list, nil
}

// split returns the words of a line before a comment.
func split(line string) []word {
	line, _, _ = strings.Cut(line, "#")
	var words []word
	for at := 0; at < len(line); {
		if strings.IndexByte(" \t\r", line[at]) >= 0 {
			at++
			continue
		}
		end := at
		for end < len(line) && strings.IndexByte(" \t\r", line[end]) < 0 {
			end++
		}
		words = append(words, word{line[at:end], at + 1})
		at = end
	}
	return words
}

func parse(words []word, fail func(column int, format string, args ...any) error) (Operation, error) {
	first := words[0]
	if len(first.text) != 1 || strings.IndexByte("hsdFf", first.text[0]) < 0 {
		return Operation{}, fail(first.column, "unknown operation %q: want h ID BYTES, s ID BYTES, d PAGES, F PAGES, f ID or # comment", shorten(first.text))
	}
	op := Operation{Kind: Kind(first.text[0])}
	rest := words[1:]
	behind := first.column + 1
	next := func(what string) (word, error) {
		if len(rest) == 0 {
			return word{}, fail(behind, "%s wants %s", first.text, what)
		}
		w := rest[0]
		rest = rest[1:]
		behind = w.column + len(w.text)
		return w, nil
	}
	if op.Kind == HeapAlloc || op.Kind == SystemAlloc || op.Kind == Close {
		w, err := next("an ID")
		if err != nil {
			return op, err
		}
		if len(w.text) > maxID || strings.ContainsFunc(w.text, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
			return op, fail(w.column, "ID %q: want at most %d printable ASCII characters", shorten(w.text), maxID)
		}
		op.ID = w.text
	}
	if op.Kind != Close {
		unit := "a number of pages"
		if op.Kind == HeapAlloc || op.Kind == SystemAlloc {
			unit = "a number of bytes"
		}
		w, err := next(unit)
		if err != nil {
			return op, err
		}
		// The kernel's files and ParseUint agree on decimal numbers, but not on
		// a sign.
		if op.Size, err = strconv.ParseUint(w.text, 10, 64); err != nil {
			return op, fail(w.column, "%q is not %s: want decimal digits, below 2^64", shorten(w.text), unit)
		}
	}
	if len(rest) > 0 {
		return op, fail(rest[0].column, "unexpected %q after %s", shorten(rest[0].text), op)
	}
	return op, nil
}

// shorten cuts a word for a message.
func shorten(text string) string {
	if len(text) > 20 {
		return text[:20] + "…"
	}
	return text
}

// MostSystem returns the most bytes that the buffers of the system heap hold together,
// and the operation that makes it so. The heap refuses nothing: what memory can't
// serve ends in a kill.
func MostSystem(list []Operation) (most uint64, at Operation) {
	held, sizes := uint64(0), map[string]uint64{}
	for _, op := range list {
		switch op.Kind {
		case SystemAlloc:
			if op.Size > math.MaxUint64-4095 {
				continue // refused: rounded up to pages it is none
			}
			sizes[op.ID] = op.Size
			if held += op.Size; held < op.Size {
				held = math.MaxUint64
			}
			if held > most {
				most, at = held, op
			}
		case Close:
			held -= min(held, sizes[op.ID])
			delete(sizes, op.ID)
		}
	}
	return most, at
}

// Mix says what random operations on a CMA area are made of.
type Mix struct {
	Seed       uint64
	Operations int
	Pages      uint64 // of the area
	PageSize   uint64 // bytes
}

// mostBuffers is how many random buffers are open at once at most: a process may have
// about a thousand descriptors.
const mostBuffers = 800

// Random returns random operations on a CMA area. Sizes are spread over the orders
// from one page to an eighth of the area, with some that are odd, empty, or larger
// than the area. Work tends to fill the area, then to empty it, so that many
// operations meet a nearly full, fragmented area and many of them fail.
func (m Mix) Random() []Operation {
	random := rand.New(rand.NewPCG(m.Seed, 0x76616c6964617465))
	list := make([]Operation, 0, m.Operations)
	var open []Operation // buffers
	debugfs := uint64(0) // pages asked for, at most those that live
	filling := true
	for number := 1; len(list) < m.Operations; number++ {
		if random.IntN(150) == 0 {
			filling = !filling
		}
		take := random.IntN(100) < 42
		if filling {
			take = random.IntN(100) < 66
		}
		id := "b" + strconv.Itoa(number)
		var op Operation
		switch choice := random.IntN(10); {
		case take && choice < 6 && len(open) < mostBuffers:
			op = Operation{Kind: HeapAlloc, ID: id, Size: m.bytes(random)}
		case take:
			op = Operation{Kind: DebugfsAlloc, Size: m.pages(random)}
			debugfs += op.Size
		case choice < 3 && debugfs > 0:
			op = Operation{Kind: DebugfsFree, Size: random.Uint64N(m.Pages/16 + 1)}
			debugfs -= min(debugfs, op.Size)
		case len(open) > 0:
			i := random.IntN(len(open))
			op = Operation{Kind: Close, ID: open[i].ID}
			open[i] = open[len(open)-1]
			open = open[:len(open)-1]
		default:
			continue
		}
		if op.Kind == HeapAlloc {
			open = append(open, op)
		}
		list = append(list, op)
	}
	return list
}

// pages draws a number of pages: each order is as likely as another.
func (m Mix) pages(random *rand.Rand) uint64 {
	switch random.IntN(100) {
	case 0:
		return 0
	case 1:
		return m.Pages + random.Uint64N(m.Pages)
	}
	n := uint64(1)
	for n < m.Pages/16 && random.IntN(8) > 0 {
		n *= 2
	}
	return n + random.Uint64N(n)
}

func (m Mix) bytes(random *rand.Rand) uint64 {
	n := m.pages(random) * m.PageSize
	if n > m.PageSize && random.IntN(3) == 0 {
		n -= random.Uint64N(m.PageSize)
	}
	return n
}
