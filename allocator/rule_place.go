package allocator

import "math"

// placeByRule is Place for a request with a Rule, in a range that is cut to the
// request's own window already and holds its size.
//
// Nothing is searched for by walking. In each window, the alignments of request
// and rule make one lattice of starts, and the next of its members that keeps a
// boundary, or an arc, is computed. With several of these this is repeated, the
// ones of short periods first, until all are kept or until their pattern has come
// round once, which proves that there is no such start. Where alignments and
// periods are powers of two, each takes two or three rounds. Others that nearly
// exclude each other may need very many; a search that is not done after maxRounds
// gives up, as if there were no place.
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
		p := pattern{starts: starts, high: high, lo: from, hi: to}
		s, ok := p.place(r, w)
		if ok && (!found || high == (s > best)) {
			best, found = s, true
		}
	}
	return best, found
}

// pattern is where a request may start between two addresses of a window, but
// for boundaries and arcs.
type pattern struct {
	starts lattice
	high   bool // the highest is wanted
	lo, hi uint64
	rounds int // taken so far
}

// maxRounds bounds a search, to some milliseconds. Rules of real devices take less
// than ten.
const maxRounds = 1 << 16

// limit is an arc that starts lie in, and the distance after which the pattern of
// this one and those before it repeats, at most 2^64-1.
type limit struct {
	arc
	period uint64
}

// place returns the lowest start in [lo, hi], or the highest.
func (p *pattern) place(r *Request, w *Window) (uint64, bool) {
	s, ok := p.starts.up(p.lo)
	if p.high {
		s, ok = p.starts.down(p.hi)
	}
	if !ok || s < p.lo || s > p.hi {
		return 0, false
	}
	touched := r.Size - r.Slack
	var space [8]limit // more than devices have, so that nothing is allocated
	limits, ok := space[:0], true
	if a, free, fits := newArc(r.Boundary, 0, r.Size); !free {
		limits, ok = insert(limits, a), fits
	}
	for _, b := range w.Bounds {
		if a, free, fits := b.arc(touched); !free {
			limits, ok = insert(limits, a), ok && fits
		}
	}
	for _, a := range w.Arcs {
		if a, free := a.arc(touched); !free {
			limits = insert(limits, a)
		}
	}
	if !ok {
		return 0, false
	}
	period, fits := p.starts.step, p.starts.step != 0
	for i := range limits {
		if fits {
			period, fits = lcm(period, limits[i].boundary)
		}
		if limits[i].period = period; !fits {
			limits[i].period = math.MaxUint64
		}
	}
	return p.settle(s, limits)
}

// insert adds an arc behind those of shorter periods.
func insert(limits []limit, a arc) []limit {
	limits = append(limits, limit{arc: a})
	for i := len(limits) - 1; i > 0 && limits[i].boundary < limits[i-1].boundary; i-- {
		limits[i], limits[i-1] = limits[i-1], limits[i]
	}
	return limits
}

// settle returns the first start from s on that keeps the limits. s is in the
// lattice.
func (p *pattern) settle(s uint64, limits []limit) (uint64, bool) {
	if len(limits) == 0 {
		return s, true
	}
	shorter, last := limits[:len(limits)-1], &limits[len(limits)-1]
	for first := s; p.rounds < maxRounds; p.rounds++ {
		t, ok := p.starts.withinArc(s, p.hi, last.arc)
		if p.high {
			t, ok = p.starts.withinArcDown(s, p.lo, last.arc)
		}
		if !ok {
			return 0, false
		}
		if s, ok = p.settle(t, shorter); !ok || s == t {
			return s, ok
		}
		if max(s, first)-min(s, first) >= last.period {
			return 0, false
		}
	}
	return 0, false
}
