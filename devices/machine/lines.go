package machine

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"strconv"
	"strings"
)

// Bounds on what a file may hold, far above what any machine has, so that a
// hostile one costs little.
const (
	maxFile   = 64 << 20 // bytes
	maxPages  = 1 << 46  // 2^58 bytes with the smallest page
	maxZones  = 1 << 13  // the kernel's limits are 1024 nodes and 6 zones
	maxOrders = 32
	maxTypes  = 16 // migrate types; the kernel has at most 6
	maxRanges = 1 << 16
)

// file is one file below /proc, read line by line. Its methods make the errors
// that say where it is wrong.
type file struct {
	name  string
	scan  *bufio.Scanner
	line  int
	size  int
	words []word
}

// word is a run of characters between spaces.
type word struct {
	text   string
	column int // in bytes, from 1
}

func newFile(name string, r io.Reader) *file {
	scan := bufio.NewScanner(r)
	scan.Buffer(nil, bufio.MaxScanTokenSize)
	return &file{name: name, scan: scan}
}

// next goes to the next line and splits it into words. It returns false at the
// end, and an error where the file can't be read or is too large.
func (f *file) next() (bool, error) {
	more := f.scan.Scan()
	f.line++
	if !more {
		err := f.scan.Err()
		if errors.Is(err, bufio.ErrTooLong) {
			err = fmt.Errorf("longer than %d bytes", bufio.MaxScanTokenSize)
		}
		return false, f.wrap(err)
	}
	text := f.scan.Text()
	if f.size += len(text) + 1; f.size > maxFile {
		return false, f.errorf("the file has more than %d bytes", maxFile)
	}
	f.words = f.words[:0]
	for i := 0; i < len(text); {
		if isSpace(text[i]) {
			i++
			continue
		}
		start := i
		for i < len(text) && !isSpace(text[i]) {
			i++
		}
		f.words = append(f.words, word{text[start:i], start + 1})
	}
	return true, nil
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\r' }

// text returns the line with one space between its words.
func (f *file) text() string {
	parts := make([]string, len(f.words))
	for i, w := range f.words {
		parts[i] = w.text
	}
	return strings.Join(parts, " ")
}

func (f *file) wrap(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s:%d: %w", f.name, f.line, err)
}

func (f *file) errorf(format string, args ...any) error {
	return fmt.Errorf("%s:%d: "+format, append([]any{f.name, f.line}, args...)...)
}

func (f *file) errorAt(w word, format string, args ...any) error {
	return fmt.Errorf("%s:%d:%d: "+format, append([]any{f.name, f.line, w.column}, args...)...)
}

// number reads a decimal number of at most limit.
func (f *file) number(w word, limit uint64) (uint64, error) {
	n, err := strconv.ParseUint(w.text, 10, 64)
	switch {
	case errors.Is(err, strconv.ErrRange) || err == nil && n > limit:
		return 0, f.errorAt(w, "%s is more than any machine has", w.text)
	case err != nil:
		return 0, f.errorAt(w, "%q is not a number", w.text)
	}
	return n, nil
}

// blocks reads the number of free blocks of each order, and of what orders it
// is at least the number: the kernel writes a > before such.
func (f *file) blocks(words []word) (counts []uint64, atLeast []int, err error) {
	if len(words) == 0 {
		return nil, nil, f.errorf("no counts of free blocks")
	}
	if len(words) > maxOrders {
		return nil, nil, f.errorAt(words[maxOrders], "more than %d orders", maxOrders)
	}
	for order, w := range words {
		capped := false
		if w.text, capped = strings.CutPrefix(w.text, ">"); capped {
			atLeast = append(atLeast, order)
		}
		n, err := f.number(w, maxPages>>order)
		if err != nil {
			return nil, nil, err
		}
		counts = append(counts, n)
	}
	return counts, atLeast, nil
}

// zone reads "Node 0, zone Normal" at the start of a line and returns the words
// behind it.
func (f *file) zone() (id zoneID, rest []word, err error) {
	w := f.words
	if len(w) < 4 || w[0].text != "Node" || w[2].text != "zone" {
		return zoneID{}, nil, f.errorf(`want a line like "Node 0, zone Normal"`)
	}
	node := word{strings.TrimSuffix(w[1].text, ","), w[1].column}
	n, err := f.number(node, math.MaxInt16)
	if err != nil {
		return zoneID{}, nil, err
	}
	return zoneID{int(n), strings.TrimSuffix(w[3].text, ",")}, w[4:], nil
}

// isZone reports whether the line starts with the name of a zone.
func (f *file) isZone() bool { return len(f.words) > 0 && f.words[0].text == "Node" }

// read opens a file of dir and gives it to parse.
func read[T any](dir fs.FS, name string, parse func(*file) (T, error)) (T, error) {
	var none T
	opened, err := dir.Open(name)
	if err != nil {
		return none, err
	}
	defer opened.Close()
	return parse(newFile(name, opened))
}
