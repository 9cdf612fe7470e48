package trace

import (
	"bufio"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"dmasim/mem"
	"dmasim/workloads"
)

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
	w.row = append(append(w.row, mem.Size(e.Size).Short()...), '"')
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
