package bench

import (
	"cmp"
	"maps"
	"slices"

	"dmasim/mem"
)

// maxWindows bounds the device mix, whose size strategies may pay for at every
// request.
const maxWindows = 16

// mix returns what the requests of the trace can use of the arena [0, arena):
// one window for each limit, the whole arena for those without one. Of more than
// maxWindows it keeps the ones that the most requests have.
func (t *Trace) mix(arena mem.Size) []mem.RangeSet {
	requests := map[uint64]int{} // by the end of their window
	for i := range t.ops {
		o := &t.ops[i]
		if o.slot&freed != 0 {
			continue
		}
		end := uint64(arena)
		if o.limit != 0 {
			end = min(end, uint64(o.limit)*t.Unit)
		}
		requests[end]++
	}
	ends := slices.Collect(maps.Keys(requests))
	slices.SortFunc(ends, func(a, b uint64) int {
		return cmp.Or(cmp.Compare(requests[b], requests[a]), cmp.Compare(a, b))
	})
	ends = ends[:min(len(ends), maxWindows)]
	slices.Sort(ends)
	windows := make([]mem.RangeSet, len(ends))
	for i, end := range ends {
		windows[i] = mem.NewRangeSet(mem.Range{Hi: end})
	}
	return windows
}
