package trace

import (
	"bufio"
	"strconv"
	"strings"

	"dmasim/workloads"
)

// csvWriter writes our own CSV.
type csvWriter struct {
	out    *bufio.Writer
	heap   string // of the last event
	quoted []byte // the same as it is written
}

func newCSVWriter(out *bufio.Writer) *csvWriter {
	out.WriteString(strings.Join(columnNames, ",") + "\n") // an error comes back at Flush
	return &csvWriter{out: out}
}

// rowSpace is room for a row without its heap.
const rowSpace = 256

func (w *csvWriter) Write(e *Event) error {
	if w.out.Available() < rowSpace { // what is appended to stays within the buffer
		if err := w.out.Flush(); err != nil {
			return err
		}
	}
	row := strconv.AppendInt(w.out.AvailableBuffer(), int64(e.At), 10)
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
	if e.Heap != w.heap {
		w.heap, w.quoted = e.Heap, appendQuoted(w.quoted[:0], e.Heap)
	}
	row = append(append(row, w.quoted...), '\n')
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
	for _, line := range l.Comments() {
		w.out.WriteString(line + "\n")
	}
	return w.out.Flush()
}

func (w *csvWriter) Omitted() []string { return nil }
