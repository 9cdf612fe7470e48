package pack

import (
	"context"
	"math"
)

// outcome says how a search ended.
type outcome uint8

const (
	solved     outcome = iota
	infeasible         // there is no packing: the search was exhaustive
	stopped            // by its limit or its context
)

// strategy chooses where a search goes on.
type strategy uint8

const (
	lowestFirst  strategy = iota // at the lowest unplaced buffer
	hardestFirst                 // in the section that failed most often of late
)

// search looks for a packing within a capacity, depth first. Buffers that have
// been placed are a skyline: an unplaced one that lives with them comes to lie
// above them.
//
// For every unplaced buffer it keeps the lowest offset that the decisions so far
// leave it (low), and the one at which it would rest on the skyline (rest). Take
// a buffer for which they are equal and of whose unplaced neighbours, those that
// live with it at some time, none has a lower low. There are two cases, tried in
// this order:
//
//   - It is placed there.
//   - It is not. Then what keeps it from going there is an unplaced neighbour
//     that comes to begin below what would have been its end. It lies above one
//     such neighbour, so its low rises to the lowest of their ends. Without such
//     neighbours the case is void.
//
// If low is above rest instead, the buffer comes to rest on an unplaced neighbour,
// and its low rises to the lowest of their ends.
//
// No feasible instance is lost. Among the packings within the capacity take one
// whose offsets have the smallest sum; no single buffer can be moved to a lower
// place in it, which is what the second case assumes. Exchanging twins (buffers
// of the same sections, size and alignment) does not change the sum, so it is
// enough to look at packings in which twins lie in the order of their indices.
//
// A section fails if its unplaced buffers do not fit above the lowest low of
// them. Parts of time between which no unplaced buffer reaches across are
// searched one by one: a part that fails is not tried again with another
// solution of the part before it.
//
// The bottom-up order, the bound of a section and the decomposition are those of
// MiniMalloc. The second case as a bound that propagates, the choice of any buffer
// that is the lowest among its neighbours rather than the lowest of all, and the
// choice by failures are not.
type search struct {
	*instance

	// To be set before run.
	capacity int64
	strategy strategy
	limit    int64 // steps

	steps int64 // of the current run
	done  <-chan struct{}

	// By buffer.
	rank   []int32 // which of equal lows comes first
	low    []int64 // math.MaxInt64: placed
	rest   []int64
	offset []int64

	// By section.
	byRank   [][]int32 // its buffers by rank
	unplaced []int64   // bytes
	crossing []int32   // how many unplaced buffers are in the next section as well
	lowest   []int32   // the unplaced buffer with the lowest low, or -1
	floor    []int64   // its low; while the section is stale, a lower bound of it
	weight   []float64 // failures, later ones count for more

	gain    float64 // the weight of the next failure
	stale   []int32 // the sections whose lowest may be another
	isStale []bool
	trail   []change
}

// change is what undo needs to take a change back.
type change struct {
	what   changed
	index  int32
	lowest int32 // with changedLowest
	old    int64
}

type changed uint8

const (
	changedLow    changed = iota // of a buffer
	changedRest                  // of a buffer
	changedLowest                // and floor, of a section
	changedPlaced                // a buffer
)

func newSearch(p *instance) *search {
	n, m := len(p.size), len(p.load)
	return &search{
		instance: p,
		rank:     make([]int32, n),
		low:      make([]int64, n),
		rest:     make([]int64, n),
		offset:   make([]int64, n),
		byRank:   make([][]int32, m),
		unplaced: make([]int64, m),
		crossing: make([]int32, m),
		lowest:   make([]int32, m),
		floor:    make([]int64, m),
		weight:   make([]float64, m),
		gain:     1,
		isStale:  make([]bool, m),
	}
}

// setOrder says which of several buffers with the same low is placed first.
func (s *search) setOrder(byRank []int32) {
	for k := range s.byRank {
		s.byRank[k] = s.byRank[k][:0]
	}
	for rank, i := range byRank {
		s.rank[i] = int32(rank)
		for k := s.first[i]; k < s.end[i]; k++ {
			s.byRank[k] = append(s.byRank[k], i)
		}
	}
}

// run searches from the start, with the weights that earlier runs have left. If
// it is solved, the packing is in offset.
func (s *search) run(ctx context.Context) outcome {
	s.steps, s.done = 0, ctx.Done()
	s.trail = s.trail[:0]
	clear(s.low)
	clear(s.rest)
	clear(s.crossing)
	clear(s.floor)
	copy(s.unplaced, s.load)
	for i := range s.size {
		for k := s.first[i]; k < s.end[i]-1; k++ {
			s.crossing[k]++
		}
	}
	for k := range s.lowest {
		s.lowest[k] = -1
		s.touch(int32(k))
	}
	for i := range s.size {
		s.raiseTwin(int32(i))
	}
	if !s.refresh() {
		return infeasible
	}
	return s.solve(0, int32(len(s.load)))
}

// solve places the unplaced buffers of the sections [from, to), which there are.
// If that is infeasible, it leaves everything as it was.
func (s *search) solve(from, to int32) outcome {
	start := len(s.trail)
	for {
		if s.mustStop() {
			return stopped
		}
		i := s.choose(from, to)
		below := int64(math.MaxInt64)
		if s.low[i] == s.rest[i] {
			below = s.low[i] + s.size[i]
			mark := len(s.trail)
			if s.place(i) {
				if result := s.solveParts(from, to); result != infeasible {
					return result
				}
			}
			s.undo(mark)
		}
		if !s.raise(i, below) {
			s.undo(start)
			return infeasible
		}
	}
}

// solveParts solves [from, to) part by part.
func (s *search) solveParts(from, to int32) outcome {
	for from < to {
		end := from + 1
		for end < to && s.crossing[end-1] > 0 {
			end++
		}
		if s.lowest[from] >= 0 {
			if result := s.solve(from, end); result != solved {
				return result
			}
		}
		from = end
	}
	return solved
}

// mustStop counts a step.
func (s *search) mustStop() bool {
	const stepsPerLook = 16
	if s.steps >= s.limit {
		return true
	}
	s.steps++
	if s.steps%stepsPerLook == 0 {
		select {
		case <-s.done:
			return true
		default:
		}
	}
	return false
}

// choose returns an unplaced buffer of the sections [from, to) that is not above
// another one that lives with it.
func (s *search) choose(from, to int32) int32 {
	if s.strategy == hardestFirst {
		hardest := from
		for k := from; k < to; k++ {
			if s.weight[k] > s.weight[hardest] {
				hardest = k
			}
		}
		from, to = hardest, hardest+1
	}
	i := s.lowest[from]
	for {
		lowest := i
		for _, j := range s.lowest[from:to] {
			if s.less(j, lowest) {
				lowest = j
			}
		}
		if lowest == i && from <= s.first[i] && s.end[i] <= to {
			return i
		}
		i, from, to = lowest, s.first[lowest], s.end[lowest]
	}
}

func (s *search) less(i, j int32) bool {
	if s.low[i] != s.low[j] {
		return s.low[i] < s.low[j]
	}
	return s.rank[i] < s.rank[j]
}

// place places a buffer. It returns false if a section fails.
func (s *search) place(i int32) bool {
	s.trail = append(s.trail, change{what: changedPlaced, index: i})
	s.offset[i] = s.low[i]
	top := s.low[i] + s.size[i]
	s.low[i] = math.MaxInt64
	for k := s.first[i]; k < s.end[i]; k++ {
		s.unplaced[k] -= s.size[i]
		if k+1 < s.end[i] {
			s.crossing[k]--
		}
		s.touch(k)
		s.floor[k] = top
	}
	for _, j := range s.overlaps[i] {
		if s.low[j] == math.MaxInt64 || s.rest[j] >= top {
			continue
		}
		s.trail = append(s.trail, change{what: changedRest, index: j, old: s.rest[j]})
		s.rest[j] = s.alignUp(j, top)
		s.raiseTo(j, s.rest[j])
	}
	return s.refresh()
}

// raise raises the low of a buffer to the lowest end of the unplaced ones that
// live with it and have a low below a limit. It returns false if there are none,
// or if a section fails.
func (s *search) raise(i int32, below int64) bool {
	lowest := int64(math.MaxInt64)
	for _, j := range s.overlaps[i] {
		if s.low[j] < below {
			lowest = min(lowest, s.low[j]+s.size[j])
		}
	}
	if lowest == math.MaxInt64 {
		return false
	}
	s.raiseTo(i, s.alignUp(i, lowest))
	return s.refresh()
}

// raiseTo raises the low of an unplaced buffer, and of its twins after it, if it
// is lower.
func (s *search) raiseTo(i int32, low int64) {
	if s.low[i] >= low {
		return
	}
	s.trail = append(s.trail, change{what: changedLow, index: i, old: s.low[i]})
	s.low[i] = low
	for k := s.first[i]; k < s.end[i]; k++ {
		if s.lowest[k] == i {
			s.touch(k)
		}
	}
	s.raiseTwin(i)
}

func (s *search) raiseTwin(i int32) {
	if twin := s.twin[i]; twin >= 0 {
		s.raiseTo(twin, s.alignUp(twin, s.low[i]+s.size[i]))
	}
}

// touch notes that the lowest buffer of a section may be another now.
func (s *search) touch(k int32) {
	if !s.isStale[k] {
		s.isStale[k] = true
		s.stale = append(s.stale, k)
		s.trail = append(s.trail, change{changedLowest, k, s.lowest[k], s.floor[k]})
	}
}

// refresh brings the stale sections up to date. It returns false if one fails;
// the rest is then left for undo.
func (s *search) refresh() bool {
	ok := true
	for _, k := range s.stale {
		s.isStale[k] = false
		if ok && !s.refreshSection(k) {
			s.blame(k)
			ok = false
		}
	}
	s.stale = s.stale[:0]
	return ok
}

func (s *search) refreshSection(k int32) bool {
	lowest, low := int32(-1), int64(math.MaxInt64)
	for _, i := range s.byRank[k] {
		if s.low[i] < low {
			lowest, low = i, s.low[i]
			if low == s.floor[k] {
				break
			}
		}
	}
	s.lowest[k], s.floor[k] = lowest, low
	return lowest < 0 || low <= s.capacity-s.unplaced[k]
}

// blame adds to the weight of a section that failed. The weights of past
// failures fade, since those of later ones are ever larger.
func (s *search) blame(k int32) {
	const growth, most = 1.03, 1e100
	s.weight[k] += s.gain
	s.gain *= growth
	if s.gain > most {
		for k := range s.weight {
			s.weight[k] /= most
		}
		s.gain /= most
	}
}

// undo takes back changes until the trail has the given length.
func (s *search) undo(length int) {
	for len(s.trail) > length {
		c := s.trail[len(s.trail)-1]
		s.trail = s.trail[:len(s.trail)-1]
		switch c.what {
		case changedLow:
			s.low[c.index] = c.old
		case changedRest:
			s.rest[c.index] = c.old
		case changedLowest:
			s.lowest[c.index], s.floor[c.index] = c.lowest, c.old
		case changedPlaced:
			s.unplace(c.index)
		}
	}
}

func (s *search) unplace(i int32) {
	s.low[i] = s.offset[i]
	for k := s.first[i]; k < s.end[i]; k++ {
		s.unplaced[k] += s.size[i]
		if k+1 < s.end[i] {
			s.crossing[k]++
		}
	}
}
