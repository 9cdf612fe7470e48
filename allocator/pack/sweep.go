package pack

import (
	"cmp"
	"slices"
)

// event is the start or the end of a buffer.
type event struct {
	time   int64
	buffer int32
	start  bool
}

// sweep returns the starts and ends of the buffers by time. At equal times ends
// come first: lifetimes are half-open.
func sweep(buffers []Buffer) []event {
	events := make([]event, 0, 2*len(buffers))
	for i, b := range buffers {
		events = append(events, event{b.Start, int32(i), true}, event{b.End, int32(i), false})
	}
	slices.SortFunc(events, func(a, b event) int {
		if c := cmp.Compare(a.time, b.time); c != 0 {
			return c
		}
		if a.start != b.start {
			if a.start {
				return 1
			}
			return -1
		}
		return cmp.Compare(a.buffer, b.buffer)
	})
	return events
}
