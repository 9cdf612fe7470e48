package trace

import (
	"errors"
	"math/bits"
	"time"

	"dmasim/mem"
	"dmasim/workloads"
)

// Summary is what a trace has in it.
type Summary struct {
	Format   Format        `json:"format"`
	Events   uint64        `json:"events"`
	Requests uint64        `json:"requests"`
	Failed   uint64        `json:"failed"`
	Frees    uint64        `json:"frees"`
	First    time.Duration `json:"first_ns"` // by the clock of the recording
	Last     time.Duration `json:"last_ns"`
	Peak     mem.Size      `json:"peak_bytes"`    // the most bytes that live at a time
	Granule  mem.Size      `json:"granule_bytes"` // the greatest power of two that divides all sizes and alignments
	Placed   bool          `json:"placed"`        // addresses are known
	Heaps    []HeapSummary `json:"heaps"`         // in the order of appearance
	Losses   Losses        `json:"losses"`
}

// HeapSummary is what a trace has in it of a heap.
type HeapSummary struct {
	Name     string   `json:"name"`
	Requests uint64   `json:"requests"`
	Failed   uint64   `json:"failed"`
	Frees    uint64   `json:"frees"`
	Smallest mem.Size `json:"smallest_bytes"` // of what was asked for
	Largest  mem.Size `json:"largest_bytes"`
	Asked    mem.Size `json:"asked_bytes"` // together, those that failed as well; at most 2^64-1
	Live     mem.Size `json:"live_bytes"`  // at the end
	Peak     mem.Size `json:"peak_bytes"`
	// Lo and Hi are the lowest address and the one behind the highest, where the
	// recording tells.
	Lo mem.Addr `json:"lowest_address,omitempty"`
	Hi mem.Addr `json:"behind_highest_address,omitempty"`
}

// ErrTooMuch is a trace in which 2^64 bytes or more live at a time.
var ErrTooMuch = errors.New("2^64 bytes or more live at a time")

// Summarise reads a trace to its end. The error is that of the reader.
func Summarise(r *Reader) (*Summary, error) {
	s := &Summary{Format: r.Format(), Heaps: []HeapSummary{}}
	indices := map[string]int{}
	var live, divisors uint64
	var e Event
	last := -1 // the heap of the event before
	for r.Next(&e) {
		if s.Events == 0 {
			s.First = e.At
		}
		s.Events++
		s.Last = e.At
		if last < 0 || s.Heaps[last].Name != e.Heap {
			i, ok := indices[e.Heap]
			if !ok {
				i = len(s.Heaps)
				indices[e.Heap] = i
				s.Heaps = append(s.Heaps, HeapSummary{Name: e.Heap, Smallest: mem.Size(e.Size)})
			}
			last = i
		}
		h := &s.Heaps[last]
		if e.Kind == workloads.Free {
			s.Frees++
			h.Frees++
			live -= e.Size
			h.Live -= mem.Size(e.Size)
			continue
		}
		s.Requests++
		h.Requests++
		h.Smallest, h.Largest = min(h.Smallest, mem.Size(e.Size)), max(h.Largest, mem.Size(e.Size))
		addCapped((*uint64)(&h.Asked), e.Size)
		if divisors |= e.Size | e.Limit; e.Align > 1 {
			divisors |= e.Align
		}
		if e.Failed {
			s.Failed++
			h.Failed++
			continue
		}
		if live+e.Size < live {
			return nil, ErrTooMuch
		}
		live += e.Size
		h.Live += mem.Size(e.Size)
		s.Peak, h.Peak = max(s.Peak, mem.Size(live)), max(h.Peak, h.Live)
		if e.Placed {
			if h.Hi == 0 {
				h.Lo = mem.Addr(e.Addr)
			}
			s.Placed = true
			h.Lo, h.Hi = min(h.Lo, mem.Addr(e.Addr)), max(h.Hi, mem.Addr(e.Addr+e.Size))
		}
	}
	if divisors != 0 {
		s.Granule = 1 << bits.TrailingZeros64(divisors)
	}
	s.Losses = r.Losses()
	return s, r.Err()
}

// Largest returns the size of the largest request.
func (s *Summary) Largest() mem.Size {
	var most mem.Size
	for i := range s.Heaps {
		most = max(most, s.Heaps[i].Largest)
	}
	return most
}
