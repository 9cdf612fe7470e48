package trace

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"dmasim/workloads"
)

// Writer writes a trace event by event.
type Writer interface {
	// Write writes an event. Events come as from a [Reader].
	Write(*Event) error
	// Close ends the trace, in which that was missing, without closing what is
	// written to.
	Close(Losses) error
	// Omitted tells in sentences what the format can't express.
	Omitted() []string
}

// Outputs returns the names of the formats that [NewWriter] writes.
func Outputs() []string { return []string{string(CSV), string(MiniMalloc), "chrome"} }

// NewWriter returns a writer of a format of [Outputs]: our own CSV, MiniMalloc's
// CSV with nanoseconds as times, and the JSON of Chrome's trace events, which
// Perfetto's user interface and chrome://tracing show.
func NewWriter(w io.Writer, format string) (Writer, error) {
	out := bufio.NewWriterSize(w, 64<<10)
	switch format {
	case string(CSV):
		return newCSVWriter(out), nil
	case string(MiniMalloc):
		return newMiniMallocWriter(out), nil
	case "chrome":
		return newChromeWriter(out), nil
	}
	return nil, fmt.Errorf("unknown format %q to write, want one of %s", format, strings.Join(Outputs(), ", "))
}

// csvWriter writes our own CSV.
type csvWriter struct {
	out *bufio.Writer
	row []byte
}

func newCSVWriter(out *bufio.Writer) *csvWriter {
	out.WriteString(strings.Join(csvColumns, ",") + "\n") // an error comes back at Flush
	return &csvWriter{out: out}
}

func (w *csvWriter) Write(e *Event) error {
	row := strconv.AppendInt(w.row[:0], int64(e.At), 10)
	switch {
	case e.Kind == workloads.Free:
		row = append(row, ",free,"...)
	case e.Failed:
		row = append(row, ",failed,"...)
	default:
		row = append(row, ",alloc,"...)
	}
	row = append(strconv.AppendUint(row, e.Buffer, 10), ',')
	row = append(strconv.AppendUint(row, e.Size, 10), ',')
	row = append(appendKnown(row, e.Align), ',')
	row = append(appendKnown(row, e.Limit), ',')
	if e.Placed {
		row = strconv.AppendUint(append(row, "0x"...), e.Addr, 16)
	}
	row = append(row, ',')
	row = append(appendQuoted(row, e.Heap), '\n')
	w.row = row
	_, err := w.out.Write(row)
	return err
}

// appendKnown appends a number that is not 0.
func appendKnown(row []byte, n uint64) []byte {
	if n == 0 {
		return row
	}
	return strconv.AppendUint(row, n, 10)
}

func appendQuoted(row []byte, text string) []byte {
	if !strings.ContainsAny(text, "\",\r\n") {
		return append(row, text...)
	}
	row = append(row, '"')
	for i := range len(text) {
		switch text[i] {
		case '"':
			row = append(row, `""`...)
		case '\r', '\n': // no reader gives out such names
			row = append(row, ' ')
		default:
			row = append(row, text[i])
		}
	}
	return append(row, '"')
}

func (w *csvWriter) Close(l Losses) error {
	for _, line := range l.comments() {
		w.out.WriteString(line + "\n")
	}
	return w.out.Flush()
}

func (w *csvWriter) Omitted() []string { return nil }

// miniMallocWriter writes buffers in the order of their allocation, each once it
// and all before it are freed: MiniMalloc's rows have both ends of a lifetime.
type miniMallocWriter struct {
	out     *bufio.Writer
	rows    []lifetime        // from the oldest that is not written on
	first   uint64            // number of rows[0]
	where   map[uint64]uint64 // of live buffers: name → number of the row
	last    time.Duration
	stretch uint64 // lifetimes of no length
	failed  uint64
	limited uint64
	endless uint64
	placed  bool
	heap    string
	heaps   bool // several
}

type lifetime struct {
	lower, upper time.Duration // upper -1: lives
	size, align  uint64
}

func newMiniMallocWriter(out *bufio.Writer) *miniMallocWriter {
	out.WriteString("id,lower,upper,size,alignment\n")
	return &miniMallocWriter{out: out, where: map[uint64]uint64{}}
}

var errNegativeTime = errors.New("MiniMalloc's format has no negative times")

func (w *miniMallocWriter) Write(e *Event) error {
	if e.At < 0 {
		return errNegativeTime
	}
	w.last = e.At
	if e.Kind == workloads.Free {
		number := w.where[e.Buffer]
		delete(w.where, e.Buffer)
		b := &w.rows[number-w.first]
		if b.upper = e.At; b.upper == b.lower {
			b.upper++
			w.stretch++
		}
		return w.flush()
	}
	if e.Failed {
		w.failed++
		return nil
	}
	if e.Limit > 0 {
		w.limited++
	}
	if len(w.where) == 0 && w.first == 0 && len(w.rows) == 0 {
		w.heap = e.Heap
	}
	w.heaps = w.heaps || e.Heap != w.heap
	w.placed = w.placed || e.Placed
	w.where[e.Buffer] = w.first + uint64(len(w.rows))
	w.rows = append(w.rows, lifetime{e.At, -1, e.Size, max(e.Align, 1)})
	return nil
}

// flush writes the rows that can be.
func (w *miniMallocWriter) flush() error {
	done := 0
	var line []byte
	for _, b := range w.rows {
		if b.upper < 0 {
			break
		}
		line = strconv.AppendUint(line[:0], w.first+uint64(done), 10)
		for _, n := range []uint64{uint64(b.lower), uint64(b.upper), b.size, b.align} {
			line = strconv.AppendUint(append(line, ','), n, 10)
		}
		if _, err := w.out.Write(append(line, '\n')); err != nil {
			return err
		}
		done++
	}
	w.first += uint64(done)
	w.rows = w.rows[done:]
	return nil
}

func (w *miniMallocWriter) Close(Losses) error {
	if w.last == math.MaxInt64 {
		return errTime
	}
	for i := range w.rows {
		if w.rows[i].upper < 0 {
			w.rows[i].upper = w.last + 1
			w.endless++
		}
	}
	if err := w.flush(); err != nil {
		return err
	}
	return w.out.Flush()
}

func (w *miniMallocWriter) Omitted() []string {
	var texts []string
	add := func(n uint64, text string) {
		if n > 0 {
			texts = append(texts, fmt.Sprintf("%d %s", n, text))
		}
	}
	add(w.failed, "requests that failed are left out")
	add(w.limited, "limits are left out")
	add(w.stretch, "lifetimes of no length became 1ns")
	add(w.endless, "buffers that are never freed end 1ns after the last event")
	if w.heaps {
		texts = append(texts, "the names of heaps are left out")
	}
	if w.placed {
		texts = append(texts, "addresses are left out")
	}
	return texts
}

// chromeWriter writes Chrome's trace events: a process for each heap, in which
// buffers are asynchronous slices, the bytes that live are a counter, and failed
// requests are instants. Times are in microseconds.
//
// Source: "Trace Event Format", Google, the phases M, b, e, C and i.
type chromeWriter struct {
	out   *bufio.Writer
	heaps map[string]*chromeHeap
	row   []byte
	rows  uint64
}

type chromeHeap struct {
	process int
	live    uint64
}

func newChromeWriter(out *bufio.Writer) *chromeWriter {
	out.WriteString(`{"displayTimeUnit":"ns","traceEvents":[`)
	return &chromeWriter{out: out, heaps: map[string]*chromeHeap{}}
}

func (w *chromeWriter) begin(phase byte, e *Event, process int) {
	w.row = w.row[:0]
	if w.rows > 0 {
		w.row = append(w.row, ',')
	}
	w.rows++
	w.row = append(w.row, "\n{\"ph\":\""...)
	w.row = append(w.row, phase)
	w.row = append(w.row, `","pid":`...)
	w.row = strconv.AppendInt(w.row, int64(process), 10)
	w.row = append(w.row, `,"tid":0,"ts":`...)
	w.row = strconv.AppendInt(w.row, int64(e.At/1000), 10)
	if nanos := e.At % 1000; nanos > 0 {
		w.row = append(w.row, '.', byte('0'+nanos/100), byte('0'+nanos/10%10), byte('0'+nanos%10))
	}
}

func (w *chromeWriter) key(name string, n uint64) {
	w.row = append(w.row, `,"`...)
	w.row = append(w.row, name...)
	w.row = strconv.AppendUint(append(w.row, `":`...), n, 10)
}

func (w *chromeWriter) end(text string) error {
	w.row = append(w.row, text...)
	_, err := w.out.Write(w.row)
	return err
}

// heap returns the process of a heap, which it names at first.
func (w *chromeWriter) heap(name string) (*chromeHeap, error) {
	h := w.heaps[name]
	if h == nil {
		h = &chromeHeap{process: len(w.heaps) + 1}
		w.heaps[name] = h
		w.begin('M', &Event{}, h.process)
		if name == "" {
			name = "memory"
		}
		w.row = append(w.row, `,"name":"process_name","args":{"name":`...)
		w.row = appendJSON(w.row, "heap "+name)
		return h, w.end("}}")
	}
	return h, nil
}

func (w *chromeWriter) Write(e *Event) error {
	h, err := w.heap(e.Heap)
	if err != nil {
		return err
	}
	if e.Failed {
		w.begin('i', e, h.process)
		w.row = append(w.row, `,"s":"p","cat":"failure","name":"failed request","args":{"size":`...)
		w.row = strconv.AppendUint(w.row, e.Size, 10)
		w.key("align", max(e.Align, 1))
		return w.end("}}")
	}
	phase := byte('b')
	if e.Kind == workloads.Free {
		phase = 'e'
		h.live -= e.Size
	} else {
		h.live += e.Size
	}
	w.begin(phase, e, h.process)
	w.row = append(w.row, `,"cat":"buffer","id":"0x`...)
	w.row = strconv.AppendUint(w.row, e.Buffer, 16)
	w.row = append(w.row, `","name":"`...)
	w.row = strconv.AppendUint(w.row, e.Size, 10)
	w.row = append(w.row, ` bytes"`...)
	if phase == 'b' {
		w.row = append(w.row, `,"args":{"size":`...)
		w.row = strconv.AppendUint(w.row, e.Size, 10)
		w.key("align", max(e.Align, 1))
		if e.Placed {
			w.row = strconv.AppendUint(append(w.row, `,"address":"0x`...), e.Addr, 16)
			w.row = append(w.row, '"')
		}
		w.row = append(w.row, '}')
	}
	if err := w.end("}"); err != nil {
		return err
	}
	w.begin('C', e, h.process)
	w.row = append(w.row, `,"name":"live bytes","args":{"bytes":`...)
	w.row = strconv.AppendUint(w.row, h.live, 10)
	return w.end("}}")
}

// appendJSON appends a string of JSON. What is no UTF-8 is replaced.
func appendJSON(row []byte, text string) []byte {
	row = append(row, '"')
	for _, r := range text {
		switch {
		case r == '"' || r == '\\':
			row = append(row, '\\', byte(r))
		case r < ' ' || r == 0x7f:
			row = fmt.Appendf(row, `\u%04x`, r)
		default:
			row = utf8.AppendRune(row, r)
		}
	}
	return append(row, '"')
}

func (w *chromeWriter) Close(l Losses) error {
	w.out.WriteString("\n]")
	if texts := l.Texts(); len(texts) > 0 {
		w.out.WriteString(`,"otherData":{"missing":`)
		w.out.Write(appendJSON(nil, strings.Join(texts, "; ")))
		w.out.WriteString("}")
	}
	w.out.WriteString("}\n")
	return w.out.Flush()
}

func (w *chromeWriter) Omitted() []string { return nil }
