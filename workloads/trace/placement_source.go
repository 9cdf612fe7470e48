package trace

import (
	"errors"
	"math"
	"time"

	"dmasim/workloads"
)

// ErrTooLong is a trace that lasts longer than can be simulated.
var ErrTooLong = errors.New("the trace is longer than can be simulated")

// PlacementSource is a placement trace as work: a workloads.Source that reads
// the trace as it goes, whatever its length. Such a trace has an order and no
// times, so its records are a tick apart. A buffer is named by its slot. There is
// one client, number 0.
type PlacementSource struct {
	reader *PlacementReader
	tick   time.Duration
	at     time.Duration
	one    [1]workloads.Op // of Next
	err    error
}

// NewPlacementSource returns the work that is left in r. The tick is the time
// from one record to the next, more than 0.
func NewPlacementSource(r *PlacementReader, tick time.Duration) *PlacementSource {
	return &PlacementSource{reader: r, tick: tick}
}

// Next implements workloads.Source. The outcome is not looked at.
func (s *PlacementSource) Next(*workloads.Outcome) (workloads.Op, bool) {
	n := s.Fill(s.one[:])
	return s.one[0], n == 1
}

// Fill implements workloads.BatchSource.
func (s *PlacementSource) Fill(ops []workloads.Op) int {
	if s.err != nil {
		return 0
	}
	n := s.reader.read(ops)
	if room := (math.MaxInt64 - s.at) / s.tick; int64(n) > int64(room) {
		n, s.err = int(room), ErrTooLong
	}
	at := s.at
	for i := range ops[:n] {
		ops[i].At = at
		at += s.tick
	}
	s.at = at
	return n
}

// Operations implements workloads.Counted: a binary trace knows.
func (s *PlacementSource) Operations() uint64 { return s.reader.Header.Records }

// Err implements workloads.Source. The error is that of the reader or ErrTooLong.
func (s *PlacementSource) Err() error {
	if s.err != nil {
		return s.err
	}
	return s.reader.Err()
}
