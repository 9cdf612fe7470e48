package trace

import (
	"cmp"
	"container/heap"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"dmasim/workloads"
)

// ScaleOptions say how [Scale] changes a trace. The zero value changes nothing.
type ScaleOptions struct {
	Time   float64       // factor of times, counted from the first event; 0: 1
	Size   float64       // factor of sizes and limits; 0: 1
	Copies int           // of every buffer; 0: 1
	Jitter time.Duration // copies but the first are late by up to this long, each by its own
	Seed   uint64        // of the delays
}

// maxCopies bounds ScaleOptions.Copies.
const maxCopies = 1 << 16

func (o *ScaleOptions) check() error {
	for _, factor := range []float64{o.Time, o.Size} {
		if !(factor > 0) || math.IsInf(factor, 1) {
			return fmt.Errorf("the factor %v, want a number above 0", factor)
		}
	}
	switch {
	case o.Copies < 1 || o.Copies > maxCopies:
		return fmt.Errorf("%d copies, want 1 to %d", o.Copies, maxCopies)
	case o.Jitter < 0 || o.Jitter > workloads.MaxDuration:
		return fmt.Errorf("delays of up to %v, want from 0 to %v", o.Jitter, workloads.MaxDuration)
	}
	return nil
}

// scaler passes on a trace with other times and sizes, and with copies.
type scaler struct {
	Writer
	options ScaleOptions
	draws   workloads.Draws

	zero    time.Duration // when the first event was
	began   bool
	number  uint64            // allocations so far
	live    map[uint64]uint64 // buffer → number of its allocation
	names   map[uint64]uint64 // copy → its name in the output
	named   uint64
	waiting delayed
	arrived uint64 // events so far, copies included
}

// Scale returns a writer that passes on to w a trace in which times, sizes or the
// number of buffers are others. Sizes are rounded up to whole bytes; alignments
// stay. Copies of a buffer live as long as it does; the delay of a copy is drawn by
// seed and buffer. Addresses are left out where they can't be true any more.
//
// What is held grows with the copies that are live or late. The error is about
// options.
func Scale(w Writer, o ScaleOptions) (Writer, error) {
	o.Time, o.Size, o.Copies = cmp.Or(o.Time, 1), cmp.Or(o.Size, 1), cmp.Or(o.Copies, 1)
	if err := o.check(); err != nil {
		return nil, err
	}
	return &scaler{
		Writer: w, options: o, draws: workloads.NewDraws(o.Seed, "trace", "delay"),
		live: map[uint64]uint64{}, names: map[uint64]uint64{},
	}, nil
}

func (s *scaler) Write(e *Event) error {
	if !s.began {
		s.zero, s.began = e.At, true
	}
	made := *e
	at := float64(e.At-s.zero)*s.options.Time + float64(s.zero)
	if s.options.Time == 1 {
		at = 0 // as it is: a float64 may not hold it
	}
	if at >= float64(math.MaxInt64-s.options.Jitter) || made.At > math.MaxInt64-s.options.Jitter {
		return errTime
	}
	if s.options.Time != 1 {
		made.At = max(s.zero, time.Duration(at))
	}
	var err error
	if made.Size, err = s.size(e.Size); err != nil {
		return err
	}
	if e.Limit > 0 {
		if made.Limit, err = s.size(e.Limit); err != nil {
			return err
		}
	}
	if s.options.Size != 1 || s.options.Copies > 1 {
		made.Addr, made.Placed = 0, false
	}
	number := s.number
	if e.Kind == workloads.Free {
		number = s.live[e.Buffer]
		delete(s.live, e.Buffer)
	} else {
		s.number++
		if !e.Failed {
			s.live[e.Buffer] = number
		}
	}
	if err := s.flush(made.At); err != nil {
		return err
	}
	for i := range s.options.Copies {
		copied := made
		copied.Buffer = number*uint64(s.options.Copies) + uint64(i)
		if i > 0 && s.options.Jitter > 0 {
			s.draws.TurnTo(copied.Buffer)
			copied.At += time.Duration(rand.New(s.draws).Int64N(int64(s.options.Jitter) + 1))
		}
		if len(s.waiting) == maxLive {
			return errors.New("too many copies are late at a time: choose shorter delays")
		}
		heap.Push(&s.waiting, late{copied, s.arrived})
		s.arrived++
	}
	return s.flush(made.At)
}

// size returns a size in the scale of the output.
func (s *scaler) size(n uint64) (uint64, error) {
	if s.options.Size == 1 {
		return n, nil
	}
	scaled := math.Ceil(float64(n) * s.options.Size)
	if scaled >= math.MaxInt64 {
		return 0, errors.New("a size becomes 2^63 bytes or more")
	}
	return max(uint64(scaled), 1), nil
}

// flush writes what happens until now. No event to come is earlier.
func (s *scaler) flush(now time.Duration) error {
	for len(s.waiting) > 0 && s.waiting[0].event.At <= now {
		e := heap.Pop(&s.waiting).(late).event
		e.rename(s.names, &s.named)
		if err := s.Writer.Write(&e); err != nil {
			return err
		}
	}
	return nil
}

func (s *scaler) Close(l Losses) error {
	if err := s.flush(math.MaxInt64); err != nil {
		return err
	}
	return s.Writer.Close(l)
}

// late is an event that waits for its time, and how many came before it.
type late struct {
	event Event
	order uint64
}

// delayed is a heap of events by time.
type delayed []late

func (d delayed) Len() int { return len(d) }
func (d delayed) Less(i, j int) bool {
	if d[i].event.At != d[j].event.At {
		return d[i].event.At < d[j].event.At
	}
	return d[i].order < d[j].order
}
func (d delayed) Swap(i, j int) { d[i], d[j] = d[j], d[i] }
func (d *delayed) Push(x any)   { *d = append(*d, x.(late)) }
func (d *delayed) Pop() any {
	last := len(*d) - 1
	x := (*d)[last]
	*d = (*d)[:last]
	return x
}
