package allocator

import "math"

// placeByRule is Place for a request with a Rule, in a range that is cut to the
// request's own window already and holds its size.
//
// Nothing is searched for by walking. In each window, the alignments of request
// and rule make one lattice of starts, and the next of its members that keeps a
// boundary is computed. With several boundaries this is repeated until all are
// kept, or until the pattern has come round once, which proves that there is no
// such start. Alignments that are powers of two need one or two rounds; others
// that nearly exclude two boundaries may need one for each odd factor of the
// alignment, or for each aligned address in the range if these are fewer.
func (r *Request) placeByRule(lo, hi uint64, high bool) (uint64, bool) {
	windows := r.Rule.Windows
	touched := r.Size - r.Slack
	best, found := uint64(0), false
	for i := range windows {
		w := &windows[i]
		if high {
			w = &windows[len(windows)-1-i]
		}
		if w.Reach.Size() < touched {
			continue
		}
		from := max(lo, w.Reach.Lo)
		to := min(hi-r.Size, w.Reach.Hi-touched)
		if found && (high && to <= best || !high && from >= best) {
			break
		}
		if from > to {
			continue
		}
		starts, ok := multiplesOf(r.Align, 0).meet(multiplesOf(w.Align, w.Phase))
		if !ok {
			continue
		}
		s, ok := (pattern{r, w, starts}).place(from, to, high)
		if ok && (!found || high == (s > best)) {
			best, found = s, true
		}
	}
	return best, found
}

// pattern is where a request may start in one window, but for the window's ends.
type pattern struct {
	request *Request
	window  *Window
	starts  lattice
}

// arcs is the number of boundaries to be kept: the request's and the rule's.
func (p pattern) arcs() int { return 1 + len(p.window.Bounds) }

// arc returns where the boundary of that index lets the request start.
func (p pattern) arc(i int) (a arc, free, ok bool) {
	if i == 0 {
		return newArc(p.request.Boundary, 0, p.request.Size)
	}
	return p.window.Bounds[i-1].arc(p.request.Size - p.request.Slack)
}

// place returns the lowest start in [lo, hi], or the highest.
func (p pattern) place(lo, hi uint64, high bool) (uint64, bool) {
	s, ok := p.starts.up(lo)
	if high {
		s, ok = p.starts.down(hi)
	}
	if !ok || s < lo || s > hi {
		return 0, false
	}
	first := s
	for {
		moved := false
		for i := range p.arcs() {
			a, free, ok := p.arc(i)
			if !ok {
				return 0, false
			}
			if free {
				continue
			}
			t, ok := p.starts.withinArc(s, hi, a)
			if high {
				t, ok = p.starts.withinArcDown(s, lo, a)
			}
			if !ok {
				return 0, false
			}
			moved = moved || t != s
			s = t
		}
		if !moved {
			return s, true
		}
		if max(s, first)-min(s, first) >= p.period() {
			return 0, false
		}
	}
}

// period is the distance after which the pattern repeats, at most 2^64-1.
func (p pattern) period() uint64 {
	if p.starts.step == 0 {
		return math.MaxUint64
	}
	period := p.starts.step
	for i := range p.arcs() {
		a, free, ok := p.arc(i)
		if free || !ok {
			continue
		}
		if period, ok = lcm(period, a.boundary); !ok {
			return math.MaxUint64
		}
	}
	return period
}
