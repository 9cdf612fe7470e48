package workloads

import (
	"container/heap"
	"fmt"
	"time"

	"dmasim/allocator"
)

// Saturated is work in a closed loop that never lets up: buffers wait in a queue
// without end, first come, first served. The first is asked for at once, and when it is
// refused again each time that a buffer of this work is freed; the next one when it is
// served. It is the model of J. E. Shore, "On the External Storage Fragmentation
// Produced by First-Fit and Best-Fit Allocation Strategies" (CACM 18(8), 1975): memory
// is as full as the strategy can fill it with this mix.
//
// Sizes and lifetimes are drawn by the number of the buffer, as those of a [Churn]. When
// it is asked for, and so when it goes, depends on what the strategy served before.
//
// A buffer that is refused while none of this work lives is given up, since nothing that
// this work does will make room for it. Refused requests count as failures, however
// often it is the same buffer's turn: of such work the memory in use tells, not the
// share that failed.
type Saturated struct {
	churn *Churn
	ends  ends // of the live buffers
	asked Op   // the last
	given int  // buffers given up in a row
	err   error
}

// mostGivenUp is after how many buffers in a row that find no place in memory without
// this work there is no hope for the next.
const mostGivenUp = 1000

// NewSaturated returns the work that config describes, but for its arrivals, so that it
// can have neither phases nor bursts nor a ramp. The error wraps a [*ParameterError]
// where a distribution is not valid.
func NewSaturated(config ChurnConfig) (*Saturated, error) {
	if len(config.Phases) > 0 || config.Bursts != nil || config.Ramp != nil {
		return nil, fmt.Errorf("churn %q: phases, bursts and a ramp are of arrivals, which saturated work has not", config.Name)
	}
	s := &Saturated{churn: newChurn(config)}
	if err := s.churn.buildPopulations(); err != nil {
		return nil, fmt.Errorf("churn %q: %w", config.Name, err)
	}
	return s, nil
}

// ClosedLoop implements [Reactive].
func (s *Saturated) ClosedLoop() bool { return true }

// Next implements [Source].
func (s *Saturated) Next(last *Outcome) (Op, bool) {
	switch {
	case last == nil:
	case last.Cause == allocator.None:
		s.given = 0
		heap.Push(&s.ends, last.Op.At+last.Op.Lifetime)
	case len(s.ends) > 0:
		s.asked.At = heap.Pop(&s.ends).(time.Duration)
		for len(s.ends) > 0 && s.ends[0] == s.asked.At {
			heap.Pop(&s.ends)
		}
		s.churn.at = s.asked.At
		return s.asked, s.asked.At <= MaxDuration
	default:
		if s.given++; s.given == mostGivenUp {
			s.err = fmt.Errorf("churn: none of %d buffers in a row found a place, though none of the work was live", mostGivenUp)
			return Op{}, false
		}
	}
	if s.churn.count > 0 && s.churn.next >= s.churn.count {
		return Op{}, false
	}
	s.asked = s.churn.draw()
	return s.asked, true
}

// Err implements [Source].
func (s *Saturated) Err() error { return s.err }

// ends are times, of which heap keeps the first in front.
type ends []time.Duration

// Len implements heap.Interface.
func (e ends) Len() int { return len(e) }

// Less implements heap.Interface.
func (e ends) Less(i, j int) bool { return e[i] < e[j] }

// Swap implements heap.Interface.
func (e ends) Swap(i, j int) { e[i], e[j] = e[j], e[i] }

// Push implements heap.Interface.
func (e *ends) Push(at any) { *e = append(*e, at.(time.Duration)) }

// Pop implements heap.Interface.
func (e *ends) Pop() any {
	last := len(*e) - 1
	at := (*e)[last]
	*e = (*e)[:last]
	return at
}
