package record

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"dmasim/mem"
)

// Options bound a recording.
type Options struct {
	// Events are patterns of paths below events/ of tracefs, such as cma/*; see
	// [DefaultEvents].
	Events []string
	// MaxSize is the most that is written of events, in bytes.
	MaxSize mem.Size
	// Buffer is what each processor's events may take in the kernel until they are
	// read.
	Buffer mem.Size
}

// DefaultEvents are the events of allocations: those of CMA, of dma-buf heaps in the
// trees that have some, and of blocks of pages.
func DefaultEvents() []string {
	return []string{"cma/*", "dmabuf_heap/*", "kmem/mm_page_alloc", "kmem/mm_page_free"}
}

// Summary is what a recording came to.
type Summary struct {
	Events []string // that were recorded, as cma/cma_release
	Absent []string // patterns that match no event of this kernel
	Bytes  uint64   // of text
	Lost   uint64   // events that the kernel dropped
	Full   bool     // the bound was hit
}

// ErrNoEvents is returned if none of the events exists.
var ErrNoEvents = errors.New("this kernel has none of the events")

// limited passes on whole lines up to a number of bytes.
type limited struct {
	to    *bufio.Writer
	left  uint64
	bytes uint64
	rest  []byte // of a line that is not whole
	full  bool
}

func (l *limited) Write(p []byte) (int, error) {
	text := append(l.rest, p...)
	whole := strings.LastIndexByte(string(text), '\n') + 1
	if keep := text[:whole]; !l.full {
		if uint64(len(keep)) > l.left {
			keep = keep[:strings.LastIndexByte(string(keep[:l.left]), '\n')+1]
			l.full = true
		}
		if _, err := l.to.Write(keep); err != nil {
			return 0, err
		}
		l.left -= uint64(len(keep))
		l.bytes += uint64(len(keep))
	}
	l.rest = append([]byte(nil), text[whole:]...)
	return len(p), nil
}

// lost reads how many events a processor lost from its stats file: those that were
// overwritten, that came while an event was being written, and that were dropped
// because the buffer was full (kernel/trace/trace.c, tracing_stats_read).
func lost(stats io.Reader) (uint64, error) {
	var sum uint64
	found := 0
	lines := bufio.NewScanner(stats)
	for lines.Scan() {
		key, value, _ := strings.Cut(lines.Text(), ":")
		switch key {
		case "overrun", "commit overrun", "dropped events":
			n, err := strconv.ParseUint(strings.TrimSpace(value), 10, 64)
			if err != nil {
				return 0, fmt.Errorf("stats: %s is %q", key, value)
			}
			sum += n
			found++
		}
	}
	if err := lines.Err(); err != nil {
		return 0, err
	}
	if found != 3 {
		return 0, fmt.Errorf("stats: %d counts of lost events, want 3", found)
	}
	return sum, nil
}
