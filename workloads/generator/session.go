package generator

import (
	"math"
	"math/rand/v2"
	"time"

	"dmasim/workloads"
)

// actor is one kind of sessions that a generator has: each of its instances begins
// a session, holds what the session allocates until its end, pauses, and begins
// the next.
type actor struct {
	name      string // key of its random numbers
	instances int
	busy      span // length of a session
	idle      span // of a pause; a mean of 0: one session follows the other
	// begin plans what a session does from its start on.
	begin func(*session)
	// round, if there is one, plans more each time that everything planned is
	// done. It moves the session's clock, or returns false if nothing more follows.
	// The numbers of rounds count from 0.
	round func(s *session, number uint64) bool
}

// noHolding is where there is none.
const noHolding = -1

// holding is buffers of one size that are allocated and freed together. Their names
// are a list, from the oldest to the youngest.
type holding struct {
	pool        int // of the generator's kind
	size        uint64
	part        uint64 // 0: the session cannot do without
	first, last uint32 // names; noName: none are live
	released    bool   // a step frees it
}

// step is what a session does at a time.
type step struct {
	at      time.Duration // of the first buffer
	holding int
	count   uint64        // buffers to allocate; 0: free all
	apart   time.Duration // from one allocation to the next
}

// session is the plan of a session: a generator's begin and round write it, and
// [Source] plays it.
type session struct {
	draws  *draws
	actor  *actor
	player int // number of the instance among all of the source
	number uint64

	start, end time.Duration
	now        time.Duration // the planner's clock

	steps    []step
	holdings []holding
	spare    []int // indices of holdings that can be used again
	part     uint64
	parts    uint64

	// For planners, from one round to the next.
	kept  [2]int // holdings
	items []int  // holdings
	note  int
}

// allocate plans count buffers of a size, one after the other. It moves the clock
// behind the last and returns the holding, which is good until it is freed.
func (s *session) allocate(pool int, count, size uint64, apart time.Duration) int {
	if count == 0 || size == 0 {
		return noHolding
	}
	h := holding{pool: pool, size: size, part: s.part, first: noName, last: noName}
	var index int
	if n := len(s.spare); n > 0 {
		index = s.spare[n-1]
		s.spare = s.spare[:n-1]
		s.holdings[index] = h
	} else {
		index = len(s.holdings)
		s.holdings = append(s.holdings, h)
	}
	s.steps = append(s.steps, step{at: s.now, holding: index, count: count, apart: apart})
	s.wait(time.Duration(count) * apart)
	return index
}

// free plans the end of holdings.
func (s *session) free(holdings ...int) {
	for _, h := range holdings {
		if h != noHolding {
			s.holdings[h].released = true
			s.steps = append(s.steps, step{at: s.now, holding: h})
		}
	}
}

// wait moves the clock.
func (s *session) wait(d time.Duration) { s.now += min(d, workloads.MaxDuration-s.now) }

// optional begins a part that the session can do without: a request that fails
// ends this part alone. Its allocations follow one another. required ends it, and so
// does the end of the round.
func (s *session) optional() {
	s.parts++
	s.part = s.parts
}

func (s *session) required() { s.part = 0 }

// recycle readies the holdings that are over for use, once all steps are done.
func (s *session) recycle() {
	s.steps = s.steps[:0]
	for i := range s.holdings {
		if h := &s.holdings[i]; h.released && h.first == noName {
			h.released = false
			s.spare = append(s.spare, i)
		}
	}
}

// entity is the key of a random number of the session: actors have their own
// streams, instances and sessions their own bits.
func (s *session) entity(index uint64) uint64 {
	return uint64(s.player)<<44 ^ s.number<<22 ^ index
}

// random returns the random numbers of a purpose. index tells draws of one session
// apart.
func (s *session) random(purpose string, index uint64) *rand.Rand {
	stream := s.draws.stream(s.actor.name + " " + purpose)
	stream.TurnTo(s.entity(index))
	return rand.New(stream)
}

// span draws how long something lasts.
func (s *session) span(purpose string, index uint64, of span) time.Duration {
	return s.draws.span(s.actor.name+" "+purpose, s.entity(index), of)
}

// draws are the random numbers of a source.
type draws struct {
	seed    uint64
	name    string
	streams map[string]workloads.Draws
	spans   map[string]*workloads.Sampler // by purpose, which has one law
}

func (d *draws) stream(purpose string) workloads.Draws {
	s, ok := d.streams[purpose]
	if !ok {
		s = workloads.NewDraws(d.seed, d.name, purpose)
		d.streams[purpose] = s
	}
	return s
}

func (d *draws) span(purpose string, entity uint64, of span) time.Duration {
	stream := d.stream(purpose)
	stream.TurnTo(entity)
	sampler, ok := d.spans[purpose]
	if !ok {
		var err error
		if sampler, err = of.distribution().Sampler(stream); err != nil {
			return of.mean // never: the limits of the parameters are within those of the law
		}
		d.spans[purpose] = sampler
	}
	return time.Duration(min(sampler.Float64(), math.MaxInt64/4))
}
