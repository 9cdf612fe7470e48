package trace

import (
	"bufio"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"

	"dmasim/workloads"
)

// miniMallocWriter writes buffers in the order of their allocation, each once it
// and all before it are freed: MiniMalloc's rows have both ends of a lifetime.
type miniMallocWriter struct {
	out     *bufio.Writer
	rows    []lifetime    // from the oldest that is not written on
	first   uint64        // number of rows[0]
	where   table[uint64] // of live buffers: name → number of the row
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
	return &miniMallocWriter{out: out}
}

// maxHeldRows bounds the rows that wait for the end of an older buffer.
const maxHeldRows = 1 << 24

var errHeldRows = fmt.Errorf("more than %d buffers begin before an older one is freed: too many for MiniMalloc's format, which has both in a row", maxHeldRows)

var errNegativeTime = errors.New("MiniMalloc's format has no negative times")

func (w *miniMallocWriter) Write(e *Event) error {
	if e.At < 0 {
		return errNegativeTime
	}
	w.last = e.At
	if e.Kind == workloads.Free {
		number, _ := w.where.take(e.Buffer)
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
	if w.where.used == 0 && w.first == 0 && len(w.rows) == 0 {
		w.heap = e.Heap
	}
	w.heaps = w.heaps || e.Heap != w.heap
	w.placed = w.placed || e.Placed
	if len(w.rows) == maxHeldRows {
		return errHeldRows
	}
	w.where.add(e.Buffer, w.first+uint64(len(w.rows)))
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
