package trace

import (
	"bufio"
	"fmt"
	"io"
	"strings"
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
func Outputs() []string { return []string{string(CSV), string(Parquet), string(MiniMalloc), "chrome"} }

// NewWriter returns a writer of a format of [Outputs]: our own CSV or the same
// in Parquet, MiniMalloc's CSV with nanoseconds as times, and the JSON of Chrome's trace events, which
// Perfetto's user interface and chrome://tracing show.
func NewWriter(w io.Writer, format string) (Writer, error) {
	out := bufio.NewWriterSize(w, 64<<10) // of text
	switch format {
	case string(CSV):
		return newCSVWriter(out), nil
	case string(Parquet):
		if columnar == nil {
			return nil, errNoParquet
		}
		return columnar.NewWriter(w), nil
	case string(MiniMalloc):
		return newMiniMallocWriter(out), nil
	case "chrome":
		return newChromeWriter(w), nil
	}
	return nil, fmt.Errorf("unknown format %q to write, want one of %s", format, strings.Join(Outputs(), ", "))
}
