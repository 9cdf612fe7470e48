package trace

import (
	"time"

	"dmasim/workloads"
)

// Source is a recorded trace as work: a workloads.Source that reads as it goes.
// Its clock begins with the first event. A request that failed when it was
// recorded is asked for as well and, if it is served, given back at once: the
// program went on without it. There is one client, number 0. Many operations can be
// asked for at once.
type Source struct {
	reader *Reader
	zero   time.Duration
	began  bool
	event  Event
	failed bool            // event is to be given back
	one    [1]workloads.Op // of Next
}

// NewSource returns the work that is left in r.
func NewSource(r *Reader) *Source { return &Source{reader: r} }

// Next implements workloads.Source. The outcome is not looked at.
func (s *Source) Next(*workloads.Outcome) (workloads.Op, bool) {
	n := s.Fill(s.one[:])
	return s.one[0], n == 1
}

// Fill implements workloads.BatchSource.
func (s *Source) Fill(ops []workloads.Op) int {
	e := &s.event
	for i := range ops {
		if s.failed {
			s.failed = false
			ops[i] = workloads.Op{At: e.At - s.zero, Kind: workloads.Free, Buffer: e.Buffer}
			continue
		}
		if !s.reader.Next(e) {
			return i
		}
		if !s.began {
			s.zero, s.began = e.At, true
		}
		s.failed = e.Failed
		ops[i] = workloads.Op{At: e.At - s.zero, Kind: e.Kind, Buffer: e.Buffer}
		if e.Kind == workloads.Alloc {
			ops[i].Size, ops[i].Align, ops[i].Limit = e.Size, e.Align, e.Limit
		}
	}
	return len(ops)
}

// Operations implements workloads.Counted: binary placement traces know, and those of
// MiniMalloc's, which are read as a whole.
func (s *Source) Operations() uint64 {
	if problem := s.reader.Problem(); problem != nil {
		return uint64(2 * len(problem.Buffers))
	}
	return s.reader.Header().Records
}

// Err implements workloads.Source.
func (s *Source) Err() error { return s.reader.Err() }

// Close closes the reader.
func (s *Source) Close() error { return s.reader.Close() }
