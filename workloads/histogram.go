package workloads

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"sort"
	"strconv"
	"strings"
)

// Bin is a part of a histogram. Values in it are equally likely.
type Bin struct {
	Lo, Hi float64 // Lo = Hi: every value in it is this one
	Count  float64 // how many values are in it, relative to the other bins
}

// What a histogram may have at most, so that a few of them fit into a scenario.
const (
	MaxBins           = 4096
	MaxHistogramBytes = 1 << 16
)

// HistogramError is a mistake in the text of a histogram.
type HistogramError struct {
	Line, Column int // from 1
	Msg          string
}

func (e *HistogramError) Error() string { return fmt.Sprintf("%d:%d: %s", e.Line, e.Column, e.Msg) }

const (
	binHeader   = "lo,hi,count"
	valueHeader = "value,count"
)

// ReadHistogram reads bins from CSV: a line "lo,hi,count" or "value,count", and a line
// for each bin or value, in ascending order, that do not overlap. Bins may be empty
// (count 0) and may have gaps between them; a bin whose ends are the same is a value.
// Empty lines are skipped, and those that begin with # are comments. Value parses a value and says what is wrong
// with one.
//
// The error is an [*HistogramError] or that of r. No more than [MaxHistogramBytes] is
// read.
func ReadHistogram(r io.Reader, value func(text string) (float64, error)) ([]Bin, error) {
	text, err := io.ReadAll(io.LimitReader(r, MaxHistogramBytes+1))
	if err != nil {
		return nil, err
	}
	if len(text) > MaxHistogramBytes {
		return nil, &HistogramError{1 + bytes.Count(text, []byte("\n")), 1, fmt.Sprintf("a histogram has at most %d bytes", MaxHistogramBytes)}
	}
	h := histogramReader{csv: csv.NewReader(bytes.NewReader(text)), value: value}
	h.csv.Comment, h.csv.FieldsPerRecord, h.csv.ReuseRecord = '#', -1, true
	for {
		fields, err := h.csv.Read()
		var wrong *csv.ParseError
		switch {
		case err == io.EOF:
			return h.end()
		case errors.As(err, &wrong):
			return nil, &HistogramError{wrong.Line, max(wrong.Column, 1), wrong.Err.Error()}
		case err != nil:
			return nil, err
		case h.columns == 0:
			err = h.header(fields)
		default:
			err = h.read(fields)
		}
		if err != nil {
			return nil, err
		}
	}
}

type histogramReader struct {
	csv     *csv.Reader
	value   func(string) (float64, error)
	columns int // of the header; 0: it is to come
	bins    []Bin
	sum     float64
}

// fail is an error at a field of the line that was read last.
func (h *histogramReader) fail(field int, format string, args ...any) error {
	line, column := h.csv.FieldPos(field)
	return &HistogramError{line, column, fmt.Sprintf(format, args...)}
}

func (h *histogramReader) header(fields []string) error {
	switch line := strings.Join(fields, ","); line {
	case binHeader, valueHeader:
		h.columns = len(fields)
		return nil
	default:
		return h.fail(0, "the first line is %s, want %q or %q", clipped(line), binHeader, valueHeader)
	}
}

func (h *histogramReader) read(fields []string) error {
	if len(fields) != h.columns {
		return h.fail(0, "%d columns, want %d", len(fields), h.columns)
	}
	if len(h.bins) == MaxBins {
		return h.fail(0, "more than %d bins", MaxBins)
	}
	var numbers [3]float64
	for i, field := range fields {
		var err error
		if i == h.columns-1 {
			numbers[i], err = countOf(field)
		} else {
			numbers[i], err = h.value(field)
		}
		if err != nil {
			return h.fail(i, "%s", err)
		}
	}
	bin := Bin{numbers[0], numbers[1], numbers[2]}
	if h.columns == 2 {
		bin = Bin{numbers[0], numbers[0], numbers[1]}
	}
	if bin.Hi < bin.Lo {
		return h.fail(1, "the bin ends at %s, before it begins", clipped(fields[1]))
	}
	if n := len(h.bins); n > 0 && !bin.follows(h.bins[n-1]) {
		return h.fail(0, "%s does not come after the line before it", clipped(fields[0]))
	}
	h.sum += bin.Count
	h.bins = append(h.bins, bin)
	return nil
}

// end returns the bins.
func (h *histogramReader) end() ([]Bin, error) {
	switch {
	case h.columns == 0:
		return nil, &HistogramError{1, 1, fmt.Sprintf("the file is empty: want a line %q or %q, and bins", binHeader, valueHeader)}
	case !(h.sum > 0):
		return nil, &HistogramError{1, 1, fmt.Sprintf("the counts sum to %v, want a number above 0", h.sum)}
	}
	return h.bins, nil
}

// follows reports whether a bin can come behind another one.
func (b Bin) follows(a Bin) bool { return b.Lo >= a.Hi && (b.Hi > a.Hi || a.Lo < a.Hi) }

func countOf(text string) (float64, error) {
	n, err := strconv.ParseFloat(text, 64)
	if err != nil || !finite(n) || n < 0 || n > 1e300 {
		return 0, errors.New("want a count, not " + clipped(text))
	}
	return n, nil
}

// clipped quotes a text that may be long.
func clipped(text string) string {
	const most = 40
	if len(text) > most {
		return strconv.Quote(text[:most]) + "…"
	}
	return strconv.Quote(text)
}

// WriteHistogram writes bins as [ReadHistogram] reads them; text writes a value.
func WriteHistogram(w io.Writer, bins []Bin, text func(float64) string) error {
	values := true
	for _, b := range bins {
		values = values && b.Lo == b.Hi
	}
	header := binHeader
	if values {
		header = valueHeader
	}
	if _, err := fmt.Fprintln(w, header); err != nil {
		return err
	}
	for _, b := range bins {
		line := text(b.Lo)
		if !values {
			line += "," + text(b.Hi)
		}
		if _, err := fmt.Fprintf(w, "%s,%s\n", line, strconv.FormatFloat(b.Count, 'g', -1, 64)); err != nil {
			return err
		}
	}
	return nil
}

// empirical draws a bin, and a value in it, by one uniform number.
type empirical struct {
	bins    []Bin     // with a count
	reached []float64 // probability of the bin and those before
	src     rand.Source
}

func newEmpirical(d Distribution, src rand.Source) (law, error) {
	if len(d.Bins) == 0 {
		return nil, d.problem("bins", "are missing")
	}
	e := empirical{src: src}
	var sum float64
	for i, b := range d.Bins {
		switch {
		case !finite(b.Lo) || b.Lo < 0 || !finite(b.Hi) || b.Hi < b.Lo || !finite(b.Count) || b.Count < 0:
			return nil, d.problem("bins", "bin %d is from %v to %v with a count of %v, want numbers at least 0 in order", i+1, quantity(b.Lo), quantity(b.Hi), b.Count)
		case i > 0 && !b.follows(d.Bins[i-1]):
			return nil, d.problem("bins", "bin %d does not come after the one before it", i+1)
		case b.Count == 0:
			continue
		}
		sum += b.Count
		e.bins, e.reached = append(e.bins, b), append(e.reached, sum)
	}
	if !(sum > 0) || !finite(sum) {
		return nil, d.problem("bins", "the counts sum to %v, want a number above 0", sum)
	}
	for i := range e.reached {
		e.reached[i] /= sum
	}
	return e, nil
}

func (e empirical) Rand() float64 { return e.Quantile(uniformOf(e.src)) }

func (e empirical) Quantile(p float64) float64 {
	i := sort.Search(len(e.reached)-1, func(i int) bool { return e.reached[i] >= p })
	b, before := e.bins[i], 0.0
	if i > 0 {
		before = e.reached[i-1]
	}
	return min(b.Lo+(b.Hi-b.Lo)*max((p-before)/(e.reached[i]-before), 0), b.Hi)
}

func (e empirical) Mean() float64 { return e.limited(math.Inf(1)) }

func (e empirical) limited(d float64) float64 {
	var mean, before float64
	for i, b := range e.bins {
		share := e.reached[i] - before
		before = e.reached[i]
		switch {
		case d >= b.Hi:
			mean += share * (b.Lo + (b.Hi-b.Lo)/2)
		case d <= b.Lo:
			mean += share * d
		default:
			x := d - b.Lo
			mean += share * (b.Lo + x - x*(x/(b.Hi-b.Lo))/2)
		}
	}
	return mean
}
