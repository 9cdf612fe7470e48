// Package traceevent writes Chrome's trace events as JSON, which Perfetto's user
// interface and chrome://tracing show: processes with counters, slices and instants.
//
// A [Writer] holds nothing but a buffer. Whoever uses it sees to it that times do
// not decrease and that every slice that is begun is ended.
//
// Source: "Trace Event Format", Google: the phases M, b, e, B, E, C and i of the
// JSON object format.
package traceevent

import (
	"bufio"
	"io"
	"strconv"
	"time"
	"unicode/utf8"
)

// Track is where an event is shown: a process, and a thread of it.
type Track struct{ Process, Thread int }

// Arg is a value that is shown with an event: a text, or if that is "" a number.
type Arg struct {
	Key    string
	Text   string
	Number uint64
}

// Number and Text return arguments.
func Number(key string, n uint64) Arg { return Arg{Key: key, Number: n} }

// Text returns an argument that is a text; see [Number].
func Text(key, text string) Arg { return Arg{Key: key, Text: text} }

// Address returns an argument in hexadecimal.
func Address(key string, a uint64) Arg {
	return Arg{Key: key, Text: string(strconv.AppendUint([]byte("0x"), a, 16))}
}

// Writer writes events. Its errors come back at Err and at Close.
type Writer struct {
	out  *bufio.Writer
	row  []byte
	rows uint64
	err  error
}

// NewWriter returns a writer that has begun.
func NewWriter(w io.Writer) *Writer {
	out := bufio.NewWriterSize(w, 64<<10)
	_, err := out.WriteString(`{"displayTimeUnit":"ns","traceEvents":[`)
	return &Writer{out: out, err: err}
}

func (w *Writer) begin(phase string, t Track, at time.Duration) {
	w.row = w.row[:0]
	if w.rows > 0 {
		w.row = append(w.row, ',')
	}
	w.rows++
	w.row = append(w.row, "\n{\"ph\":\""...)
	w.row = append(w.row, phase...)
	w.row = strconv.AppendInt(append(w.row, `","pid":`...), int64(t.Process), 10)
	w.row = strconv.AppendInt(append(w.row, `,"tid":`...), int64(t.Thread), 10)
	w.row = strconv.AppendInt(append(w.row, `,"ts":`...), int64(at/1000), 10) // µs
	if nanos := at % 1000; nanos > 0 {
		w.row = append(w.row, '.', byte('0'+nanos/100), byte('0'+nanos/10%10), byte('0'+nanos%10))
	}
}

// text appends a member whose value is a string.
func (w *Writer) text(key, value string) {
	w.row = append(append(append(w.row, ',', '"'), key...), '"', ':')
	w.row = appendString(w.row, value)
}

func (w *Writer) end(args []Arg) {
	for i := range args {
		if i == 0 {
			w.row = append(w.row, `,"args":{`...)
		} else {
			w.row = append(w.row, ',')
		}
		w.row = append(appendString(w.row, args[i].Key), ':')
		if args[i].Text != "" {
			w.row = appendString(w.row, args[i].Text)
		} else {
			w.row = strconv.AppendUint(w.row, args[i].Number, 10)
		}
	}
	if len(args) > 0 {
		w.row = append(w.row, '}')
	}
	w.row = append(w.row, '}')
	if w.err == nil {
		_, w.err = w.out.Write(w.row)
	}
}

// NameProcess names a process. It comes before the process's events, and
// processes are shown by their numbers.
func (w *Writer) NameProcess(process int, name string) {
	w.begin("M", Track{Process: process}, 0)
	w.text("name", "process_name")
	w.end([]Arg{Text("name", name)})
	w.begin("M", Track{Process: process}, 0)
	w.text("name", "process_sort_index")
	w.end([]Arg{Number("sort_index", uint64(process))})
}

// NameThread names a thread. It comes before the thread's events.
func (w *Writer) NameThread(t Track, name string) {
	w.begin("M", t, 0)
	w.text("name", "thread_name")
	w.end([]Arg{Text("name", name)})
}

// Begin begins a slice that others may overlap: of those that have not ended, no
// other has its number. Slices of a process that have a name in common are shown
// together.
func (w *Writer) Begin(t Track, at time.Duration, number uint64, category, name string, args ...Arg) {
	w.async("b", t, at, number, category, name)
	w.end(args)
}

// End ends the slice of a number, which has the same track, category and name.
func (w *Writer) End(t Track, at time.Duration, number uint64, category, name string) {
	w.async("e", t, at, number, category, name)
	w.end(nil)
}

func (w *Writer) async(phase string, t Track, at time.Duration, number uint64, category, name string) {
	w.begin(phase, t, at)
	w.text("cat", category)
	w.row = strconv.AppendUint(append(w.row, `,"id":"0x`...), number, 16)
	w.row = append(w.row, '"')
	w.text("name", name)
}

// Enter begins a slice of a thread, which ends before the next one begins.
func (w *Writer) Enter(t Track, at time.Duration, category, name string, args ...Arg) {
	w.begin("B", t, at)
	w.text("cat", category)
	w.text("name", name)
	w.end(args)
}

// Leave ends the slice of a thread.
func (w *Writer) Leave(t Track, at time.Duration) {
	w.begin("E", t, at)
	w.end(nil)
}

// Count sets the values of a process's counter.
func (w *Writer) Count(t Track, at time.Duration, name string, values ...Arg) {
	w.begin("C", t, at)
	w.text("name", name)
	w.end(values)
}

// Mark shows an instant on a thread.
func (w *Writer) Mark(t Track, at time.Duration, category, name string, args ...Arg) {
	w.begin("i", t, at)
	w.text("s", "t")
	w.text("cat", category)
	w.text("name", name)
	w.end(args)
}

// Err returns the first error of the writer below.
func (w *Writer) Err() error { return w.err }

// Close ends the file, with facts about the whole, without closing what is written
// to.
func (w *Writer) Close(facts ...Arg) error {
	if w.err != nil {
		return w.err
	}
	w.row = append(w.row[:0], "\n]"...)
	for i := range facts {
		if i == 0 {
			w.row = append(w.row, `,"otherData":{`...)
		} else {
			w.row = append(w.row, ',')
		}
		w.row = append(appendString(w.row, facts[i].Key), ':')
		w.row = appendString(w.row, facts[i].Text)
	}
	if len(facts) > 0 {
		w.row = append(w.row, '}')
	}
	w.row = append(w.row, "}\n"...)
	if _, err := w.out.Write(w.row); err != nil {
		return err
	}
	return w.out.Flush()
}

// appendString appends a string of JSON. What is no UTF-8 is replaced.
func appendString(row []byte, text string) []byte {
	const digits = "0123456789abcdef"
	row = append(row, '"')
	for _, r := range text {
		switch {
		case r == '"' || r == '\\':
			row = append(row, '\\', byte(r))
		case r < ' ' || r == 0x7f:
			row = append(row, '\\', 'u', '0', '0', digits[r>>4], digits[r&15])
		default:
			row = utf8.AppendRune(row, r)
		}
	}
	return append(row, '"')
}
