package golden

import (
	"errors"
	"fmt"
	"iter"
	"math"
	"strconv"
	"strings"
)

// Recording is one file: what was recorded, and every row of it.
type Recording struct {
	Name   string // of the file, for messages
	Header Header
	Rows   []Row
}

// Row is one operation with the answer of the kernel.
type Row struct {
	Line int // in the file, from 1
	Op   Op
	// ID names what was placed, counting up from 0; of the first block for a
	// Bulk. For Free it is the ID of what is given back, for Busy the slot.
	ID          uint64
	Size, Align Cell
	Lo, Hi      Cell
	Flags       Flags
	Result      string
}

// String returns the operation without its answer, for messages:
// "alloc id=3 size=2 align=4 lo=0x1000 flags=low".
func (r Row) String() string {
	var b strings.Builder
	b.WriteString(string(r.Op))
	if r.Op.named() {
		fmt.Fprintf(&b, " id=%d", r.ID)
	}
	for _, c := range []struct {
		name, verb string
		cell       Cell
	}{{"size", "%d", r.Size}, {"align", "%d", r.Align}, {"lo", "%#x", r.Lo}, {"hi", "%#x", r.Hi}} {
		if c.cell.Given {
			fmt.Fprintf(&b, " %s="+c.verb, c.name, c.cell.Value)
		}
	}
	if r.Flags != "" {
		b.WriteString(" flags=" + string(r.Flags))
	}
	return b.String()
}

// Op is the name of an operation.
type Op string

// Operations. Which of them an allocator has is up to its model.
const (
	Alloc   Op = "alloc"
	Free    Op = "free"
	Reserve Op = "reserve" // a given place
	Scan    Op = "scan"    // drm_mm: which nodes to evict
	Work    Op = "work"    // iova: the delayed trimming of the depots
	Busy    Op = "busy"    // cma: mark pages that cannot be migrated
	Bulk    Op = "bulk"    // page_alloc: several blocks in one call
	State   Op = "state"   // page_alloc: snapshot of the free lists
	PCP     Op = "pcp"     // page_alloc: snapshot of the per-cpu lists
	Drain   Op = "drain"   // page_alloc: empty the per-cpu lists
	Decay   Op = "decay"   // page_alloc: shrink the per-cpu high mark
)

// places reports whether the operation hands out something with an ID.
func (o Op) places() bool { return o == Alloc || o == Reserve || o == Bulk }

// named reports whether rows of the operation carry an ID.
func (o Op) named() bool { return o.places() || o == Free || o == Busy }

func (o Op) known() bool {
	switch o {
	case Scan, Work, State, PCP, Drain, Decay:
		return true
	}
	return o.named()
}

// Cell is a number that a row may leave out.
type Cell struct {
	Value uint64
	Given bool
}

// Or returns the number, or otherwise where the row has none.
func (c Cell) Or(otherwise uint64) uint64 {
	if c.Given {
		return c.Value
	}
	return otherwise
}

// Flags is a list of tokens joined by '|', some of the form key=value.
type Flags string

// All returns the tokens in order.
func (f Flags) All() iter.Seq[string] {
	return func(yield func(string) bool) {
		if f == "" {
			return
		}
		for token := range strings.SplitSeq(string(f), "|") {
			if !yield(token) {
				return
			}
		}
	}
}

// Has reports whether token is one of the flags.
func (f Flags) Has(token string) bool {
	for t := range f.All() {
		if t == token {
			return true
		}
	}
	return false
}

// Uint returns the number n of a token key=n, or otherwise where there is no
// such token.
func (f Flags) Uint(key string, otherwise uint64) (uint64, error) {
	for t := range f.All() {
		if k, value, ok := strings.Cut(t, "="); ok && k == key {
			n, err := strconv.ParseUint(value, 10, 64)
			if err != nil {
				return 0, fmt.Errorf("flag %q: want a decimal number of 64 bits", t)
			}
			return n, nil
		}
	}
	return otherwise, nil
}

// Header is the description in the first lines of a recording.
type Header struct {
	file    string
	columns int // line of the column names
	entries map[string]entry
}

type entry struct {
	text string
	line int
}

// Text returns the value of a key. The error is a *MalformedError if the
// header lacks it.
func (h Header) Text(key string) (string, error) {
	e, ok := h.entries[key]
	if !ok {
		return "", &MalformedError{File: h.file, Line: h.columns, Err: fmt.Errorf("the header has no %q", key)}
	}
	return e.text, nil
}

// Has reports whether the header has the key.
func (h Header) Has(key string) bool {
	_, ok := h.entries[key]
	return ok
}

// Uint returns the number that is the value of a key: decimal, or hexadecimal
// with 0x. The error is a *MalformedError if it is missing, not a number, or
// above limit.
func (h Header) Uint(key string, limit uint64) (uint64, error) {
	text, err := h.Text(key)
	if err != nil {
		return 0, err
	}
	n, err := parseNumber(text)
	if err == nil && n > limit {
		err = fmt.Errorf("above %d", limit)
	}
	if err != nil {
		return 0, h.Bad(key, err)
	}
	return n, nil
}

// trackedSize returns the header's size for a model that keeps some bytes for
// every unit of it. It refuses more than 2^22 units and another 64 for each row: a
// short file must not make a model of gigabytes. That is 16 GiB of 4 KiB pages.
func (h Header) trackedSize(unit uint64) (uint64, error) {
	ops, err := h.Uint("ops", math.MaxUint64>>8)
	if err != nil {
		return 0, err
	}
	size, err := h.Uint("size", math.MaxUint64)
	if limit := 1<<22 + 64*ops; err == nil && size/unit > limit {
		err = h.Bad("size", fmt.Errorf("a recording of %d operations can have up to %d units of %d", ops, limit, unit))
	}
	return size, err
}

// Bad returns the *MalformedError that blames the value of a key for err.
func (h Header) Bad(key string, err error) error {
	e := h.entries[key]
	return &MalformedError{File: h.file, Line: e.line, Err: fmt.Errorf("%s=%s: %w", key, e.text, err)}
}

// parseNumber reads a decimal number, or a hexadecimal one with 0x.
func parseNumber(text string) (uint64, error) {
	if digits, ok := strings.CutPrefix(text, "0x"); ok {
		n, err := strconv.ParseUint(digits, 16, 64)
		if err != nil {
			return 0, errors.New("want a hexadecimal number of 64 bits")
		}
		return n, nil
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0, errors.New("want a decimal number of 64 bits, or 0x and a hexadecimal one")
	}
	return n, nil
}

// MalformedError says where a recording is not what it should be.
type MalformedError struct {
	File string
	Line int // from 1
	Err  error
}

func (e *MalformedError) Error() string { return fmt.Sprintf("%s:%d: %v", e.File, e.Line, e.Err) }

func (e *MalformedError) Unwrap() error { return e.Err }
