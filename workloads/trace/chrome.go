package trace

import (
	"io"
	"maps"
	"math/bits"
	"slices"
	"strings"
	"time"

	"dmasim/internal/traceevent"
	"dmasim/mem"
	"dmasim/workloads"
)

// chromeWriter writes Chrome's trace events: a process for each heap, in which
// buffers are slices, grouped by size, the bytes that live are a counter, and failed
// requests are instants. Buffers that are never freed end with the trace.
type chromeWriter struct {
	out   *traceevent.Writer
	heaps map[string]*chromeHeap
	live  map[uint64]chromeBuffer
	last  time.Duration
}

type chromeHeap struct {
	track traceevent.Track
	live  uint64
}

type chromeBuffer struct {
	track traceevent.Track
	name  string
}

func newChromeWriter(w io.Writer) *chromeWriter {
	return &chromeWriter{out: traceevent.NewWriter(w), heaps: map[string]*chromeHeap{}, live: map[uint64]chromeBuffer{}}
}

// heap returns the process of a heap, which it names at first.
func (w *chromeWriter) heap(name string) *chromeHeap {
	h := w.heaps[name]
	if h == nil {
		h = &chromeHeap{track: traceevent.Track{Process: len(w.heaps) + 1, Thread: 1}}
		w.heaps[name] = h
		if name == "" {
			name = "memory"
		}
		w.out.NameProcess(h.track.Process, "heap "+name)
		w.out.NameThread(h.track, "requests")
	}
	return h
}

const bufferCategory = "buffer"

func (w *chromeWriter) Write(e *Event) error {
	h := w.heap(e.Heap)
	w.last = e.At
	switch {
	case e.Failed:
		w.out.Mark(h.track, e.At, "failure", "failed request", traceevent.Number("size", e.Size), traceevent.Number("align", max(e.Align, 1)))
		return w.out.Err()
	case e.Kind == workloads.Free:
		b := w.live[e.Buffer]
		delete(w.live, e.Buffer)
		w.out.End(b.track, e.At, e.Buffer, bufferCategory, b.name)
		h.live -= e.Size
	default:
		name := sizeClass(e.Size)
		w.live[e.Buffer] = chromeBuffer{h.track, name}
		args := [3]traceevent.Arg{traceevent.Number("size", e.Size), traceevent.Number("align", max(e.Align, 1))}
		n := 2
		if e.Placed {
			args[n] = traceevent.Address("address", e.Addr)
			n++
		}
		w.out.Begin(h.track, e.At, e.Buffer, bufferCategory, name, args[:n]...)
		h.live += e.Size
	}
	w.out.Count(h.track, e.At, "live bytes", traceevent.Number("bytes", h.live))
	return w.out.Err()
}

// sizeClasses are the names of sizes up to each power of two: with one for each
// size, a viewer would have a row for each.
var sizeClasses = func() (names [65]string) {
	for i := range 64 {
		names[i] = "buffers up to " + mem.Size(uint64(1)<<i).Short()
	}
	names[64] = "larger buffers"
	return names
}()

func sizeClass(size uint64) string { return sizeClasses[bits.Len64(size-1)] }

func (w *chromeWriter) Close(l Losses) error {
	for _, id := range slices.Sorted(maps.Keys(w.live)) {
		b := w.live[id]
		w.out.End(b.track, w.last, id, bufferCategory, b.name)
	}
	if texts := l.Texts(); len(texts) > 0 {
		return w.out.Close(traceevent.Text("missing", strings.Join(texts, "; ")))
	}
	return w.out.Close()
}

func (w *chromeWriter) Omitted() []string { return nil }
