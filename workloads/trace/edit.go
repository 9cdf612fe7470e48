package trace

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"dmasim/workloads"
)

// cut passes on a part of a trace.
type cut struct {
	Writer
	from, until time.Duration // since the first event
	zero        time.Duration
	began       bool             // zero is known
	inside      bool             // from is past
	live        map[uint64]early // buffers that were allocated before from
	early       int              // allocations so far
}

// early is the allocation of a buffer, and its place among all of them.
type early struct {
	event  Event
	number int
}

// Cut returns a writer that passes on to w what happens in [from, until), counted
// from the first event of the trace. Buffers that live at from are allocated then,
// in the order of their allocation; those that live at until are never freed.
func Cut(w Writer, from, until time.Duration) Writer {
	return &cut{Writer: w, from: from, until: until, live: map[uint64]early{}}
}

func (c *cut) Write(e *Event) error {
	if !c.began {
		c.zero, c.began = e.At, true
	}
	switch at := e.At - c.zero; {
	case at >= c.until:
		return nil
	case at >= c.from:
		if err := c.enter(); err != nil {
			return err
		}
		return c.Writer.Write(e)
	case e.Kind == workloads.Free:
		delete(c.live, e.Buffer)
	case !e.Failed:
		c.live[e.Buffer] = early{*e, c.early}
		c.early++
	}
	return nil
}

// enter writes what lives at from, once.
func (c *cut) enter() error {
	if c.inside {
		return nil
	}
	c.inside = true
	for _, b := range slices.SortedFunc(maps.Values(c.live), func(a, b early) int { return cmp.Compare(a.number, b.number) }) {
		b.event.At = c.zero + c.from
		if err := c.Writer.Write(&b.event); err != nil {
			return err
		}
	}
	c.live = nil
	return nil
}

func (c *cut) Close(l Losses) error {
	if c.began {
		if err := c.enter(); err != nil {
			return err
		}
	}
	return c.Writer.Close(l)
}

// anonymous passes on a trace without what tells of the machine.
type anonymous struct {
	Writer
	zero    time.Duration
	began   bool
	heaps   map[string]string
	buffers map[uint64]uint64
	names   uint64
}

// Anonymise returns a writer that passes on to w what a simulation needs of a
// trace and no more: heaps and buffers are numbered, times begin at 0, and
// addresses are left out. Sizes, alignments, and the times between events stay.
func Anonymise(w Writer) Writer {
	return &anonymous{Writer: w, heaps: map[string]string{}, buffers: map[uint64]uint64{}}
}

func (a *anonymous) Write(e *Event) error {
	if !a.began {
		a.zero, a.began = e.At, true
	}
	made := *e
	made.At -= a.zero
	made.Addr, made.Placed = 0, false
	if a.heaps[e.Heap] == "" {
		a.heaps[e.Heap] = fmt.Sprintf("heap-%d", len(a.heaps)+1)
	}
	made.Heap = a.heaps[e.Heap]
	if e.Kind == workloads.Free {
		made.Buffer = a.buffers[e.Buffer]
		delete(a.buffers, e.Buffer)
	} else {
		made.Buffer = a.names
		a.names++
		if !e.Failed {
			a.buffers[e.Buffer] = made.Buffer
		}
	}
	return a.Writer.Write(&made)
}
