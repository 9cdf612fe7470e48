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
	record Placement
	err    error
}

// NewPlacementSource returns the work that is left in r. The tick is the time
// from one record to the next, more than 0.
func NewPlacementSource(r *PlacementReader, tick time.Duration) *PlacementSource {
	return &PlacementSource{reader: r, tick: tick}
}

// Next implements workloads.Source. The outcome is not looked at.
func (s *PlacementSource) Next(*workloads.Outcome) (workloads.Op, bool) {
	record := &s.record
	if s.err != nil || !s.reader.next(record) {
		return workloads.Op{}, false
	}
	at := s.at
	if at > math.MaxInt64-s.tick {
		s.err = ErrTooLong
		return workloads.Op{}, false
	}
	s.at += s.tick
	if record.Free {
		return workloads.Op{At: at, Kind: workloads.Free, Buffer: uint64(record.Slot)}, true
	}
	return workloads.Op{
		At: at, Kind: workloads.Alloc, Buffer: uint64(record.Slot),
		Size: record.Size, Align: record.Align, Limit: record.Limit,
	}, true
}

// Err implements workloads.Source. The error is that of the reader or ErrTooLong.
func (s *PlacementSource) Err() error {
	if s.err != nil {
		return s.err
	}
	return s.reader.Err()
}
