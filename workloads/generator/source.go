package generator

import (
	"time"

	"dmasim/allocator"
	"dmasim/workloads"
)

// noName ends a list of names.
const noName = ^uint32(0)

// shortestSession bounds sessions from below, so that each has a beginning.
const shortestSession = time.Millisecond

// Source is the work of a generator, in a closed loop: a session that does not get
// a buffer which it needs gives back what it has and asks for nothing until the time
// at which it would have ended. When sessions begin and what they ask for is drawn
// from the seed, whatever the outcomes are.
//
// It is [workloads.Patient]: while a request waits, its session does nothing else, and
// ends no later for it, which drops the request.
//
// Names of buffers are used again once they are freed, so that they stay small.
type Source struct {
	players []player
	clients []int // by pool of the kind

	current   int           // whose operation was the last
	until     time.Duration // next time of the others
	untilWhom int

	asked workloads.Op // the last, if settle has to be told of it
	open  bool         // the last was an Alloc that is not known to be served

	links []uint32 // by name: the next in its list
	spare []uint32 // names
}

// player is an instance of an actor.
type player struct {
	session
	state    state
	cursor   int    // into steps
	done     uint64 // buffers of the step at the cursor that were allocated
	rounds   uint64
	awaited  uint32        // state waiting: the name of the buffer
	freeing  int           // state leaving: holding that is freed; dropping: the next to look at
	dropped  uint64        // state dropping: the part
	at       time.Duration // of the next operation
	kind     workloads.Kind
	holding  int
	nextIdle time.Duration // pause after the session
}

type state uint8

const (
	playing  state = iota // the steps
	waiting               // for the buffer of a step, to the end of the session
	dropping              // what a part holds is freed
	leaving               // what the session holds is freed
	over                  // nothing more comes
)

// Source returns the generator's work. The key of all random numbers is seed and
// name: two workloads of one simulation need different names. It is for one run.
func (g *Generator) Source(seed uint64, name string) *Source {
	s := &Source{}
	client := 0
	for _, most := range g.model.most() {
		s.clients = append(s.clients, client)
		if most > 0 {
			client++
		}
	}
	d := &draws{seed: seed, name: name, streams: map[string]workloads.Draws{}, spans: map[string]*workloads.Sampler{}}
	actors := g.model.actors()
	for i := range actors {
		for range actors[i].instances {
			s.players = append(s.players, player{session: session{draws: d, actor: &actors[i], player: len(s.players)}})
		}
	}
	for i := range s.players {
		p := &s.players[i]
		// The first pause began before the start.
		first := time.Duration(0)
		if p.actor.idle.mean > 0 {
			first = p.span("idle", firstPause, p.actor.idle)
			first = time.Duration(float64(first) * p.random("phase", 0).Float64())
		}
		p.start = first
		p.enter()
		s.prepare(i)
	}
	s.turn()
	return s
}

// firstPause is the index of the pause before the first session.
const firstPause = 1

// enter begins the session whose number and start are set.
func (p *player) enter() {
	if p.start >= workloads.MaxDuration {
		p.state = over
		return
	}
	length := max(p.span("busy", 0, p.actor.busy), shortestSession)
	p.end = p.start + min(length, workloads.MaxDuration-p.start)
	p.nextIdle = 0
	if p.actor.idle.mean > 0 {
		p.nextIdle = p.span("idle", 0, p.actor.idle)
	}
	p.now, p.part, p.parts = p.start, 0, 0
	p.steps, p.holdings, p.spare, p.items = p.steps[:0], p.holdings[:0], p.spare[:0], p.items[:0]
	p.cursor, p.done, p.rounds, p.dropped, p.state = 0, 0, 0, 0, playing
	p.actor.begin(&p.session)
}

// prepare finds the next operation of a player.
func (s *Source) prepare(i int) {
	p := &s.players[i]
	for {
		switch p.state {
		case over:
			p.at = workloads.MaxDuration
			return
		case waiting:
			p.kind, p.at = workloads.Free, max(p.at, p.end)
			return
		case dropping, leaving:
			for ; p.freeing < len(p.holdings); p.freeing++ {
				h := &p.holdings[p.freeing]
				if h.first != noName && (p.state == leaving || h.part == p.dropped) {
					p.kind, p.holding = workloads.Free, p.freeing
					return
				}
			}
			if p.state == dropping {
				p.state = playing
				continue
			}
			// What failed may have ended the session before its time.
			p.start = max(p.end, p.at) + min(p.nextIdle, workloads.MaxDuration-max(p.end, p.at))
			p.number++
			p.enter()
		case playing:
			if p.cursor < len(p.steps) {
				st := &p.steps[p.cursor]
				h := &p.holdings[st.holding]
				gone := h.part != 0 && h.part == p.dropped
				switch {
				case st.count > 0 && (gone || p.done == st.count), st.count == 0 && h.first == noName:
					p.cursor++
					p.done = 0
					continue
				case st.count > 0:
					p.kind, p.at = workloads.Alloc, max(p.at, st.at+time.Duration(p.done)*st.apart)
				default:
					p.kind, p.at = workloads.Free, max(p.at, st.at)
				}
				p.holding = st.holding
				if p.at < p.end {
					return
				}
			} else if p.actor.round != nil && p.now < p.end {
				p.recycle()
				p.cursor, p.part = 0, 0
				if p.actor.round(&p.session, p.rounds) {
					p.rounds++
					continue
				}
			}
			p.at, p.freeing, p.state = p.end, 0, leaving
		}
	}
}

// turn finds whose operation is next, and when that of the others is.
func (s *Source) turn() {
	best, second := 0, -1
	for i := 1; i < len(s.players); i++ {
		switch {
		case s.players[i].at < s.players[best].at:
			best, second = i, best
		case second < 0 || s.players[i].at < s.players[second].at:
			second = i
		}
	}
	s.current, s.until = best, workloads.MaxDuration
	if second >= 0 {
		s.until, s.untilWhom = s.players[second].at, second
	}
}

// Next implements [workloads.Source]. The work ends after 73 years
// ([workloads.MaxDuration]).
func (s *Source) Next(last *workloads.Outcome) (workloads.Op, bool) {
	s.settle(last)
	op, more := s.Peek()
	if !more {
		return workloads.Op{}, false
	}
	p := &s.players[s.current]
	h := &p.holdings[p.holding]
	if p.state == waiting {
		op.Buffer = uint64(p.awaited)
		s.spare = append(s.spare, p.awaited)
		p.freeing, p.state = 0, leaving
		s.prepare(s.current)
		return op, true
	}
	if p.kind == workloads.Free {
		op.Buffer = uint64(h.first)
		name := h.first
		if h.first = s.links[name]; h.first == noName {
			h.last = noName
		}
		s.spare = append(s.spare, name)
		s.prepare(s.current)
		return op, true
	}
	op.Buffer, op.Client, op.Size = uint64(s.takeName()), s.clients[h.pool], h.size
	s.asked, s.open = op, true
	return op, true
}

// Peek implements [workloads.Patient].
func (s *Source) Peek() (workloads.Op, bool) {
	if p := &s.players[s.current]; p.at > s.until || p.at == s.until && s.current > s.untilWhom {
		s.turn()
	}
	p := &s.players[s.current]
	return workloads.Op{At: p.at, Kind: p.kind}, p.state != over
}

// Wait implements [workloads.Patient].
func (s *Source) Wait() {
	s.open = false
	p := &s.players[s.current]
	p.awaited, p.state = uint32(s.asked.Buffer), waiting
	s.prepare(s.current)
}

// Settle implements [workloads.Patient].
func (s *Source) Settle(what *workloads.Outcome) {
	if s.open {
		s.settle(what)
		return
	}
	for i := range s.players {
		if p := &s.players[i]; p.state == waiting && uint64(p.awaited) == what.Op.Buffer {
			p.at, p.state = what.Op.At, playing
			s.end(i, p.awaited, what.Cause)
			s.turn()
			return
		}
	}
}

// settle takes note of what became of the last allocation.
func (s *Source) settle(last *workloads.Outcome) {
	if !s.open {
		return
	}
	s.open = false
	cause := allocator.None
	if last != nil {
		cause = last.Cause
	}
	s.end(s.current, uint32(s.asked.Buffer), cause)
}

// end takes note of what became of the allocation that a player has asked for, and finds
// what the player does next.
func (s *Source) end(player int, name uint32, cause allocator.Cause) {
	p := &s.players[player]
	h := &p.holdings[p.holding]
	if cause == allocator.None {
		if h.last == noName {
			h.first = name
		} else {
			s.links[h.last] = name
		}
		h.last = name
		p.done++
	} else {
		s.spare = append(s.spare, name)
		p.freeing, p.dropped, p.state = 0, h.part, dropping
		if h.part == 0 {
			p.state = leaving
		}
	}
	s.prepare(player)
}

// takeName returns a name that no live buffer has.
func (s *Source) takeName() uint32 {
	if n := len(s.spare); n > 0 {
		name := s.spare[n-1]
		s.spare = s.spare[:n-1]
		s.links[name] = noName
		return name
	}
	s.links = append(s.links, noName)
	return uint32(len(s.links) - 1)
}

// Err implements [workloads.Source]; a generator does not fail.
func (s *Source) Err() error { return nil }
