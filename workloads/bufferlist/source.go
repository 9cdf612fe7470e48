package bufferlist

import (
	"math/rand/v2"
	"time"

	"dmasim/workloads"
)

// step is the time between two operations: order matters here, not time.
const step = time.Microsecond

// Source is the work of a list as a [workloads.Source]. What is freed, and in which
// order it is allocated again, is drawn from the seed; the work is the same
// whatever the outcomes are. Op.Client is the group.
type Source struct {
	groups   []Group
	first    []uint64 // by group: the name of its first buffer
	restarts int
	random   *rand.Rand

	at     time.Duration
	todo   []turn // groups to free or to allocate, in this order
	buffer int    // of the first of them, which is next
}

type turn struct {
	kind  workloads.Kind
	group int
}

// NewSource returns the work of allocating all groups in their order, and then as
// many times freeing some of them, each with probability one half, and allocating
// these in random order.
func NewSource(groups []Group, restarts int, seed uint64) *Source {
	s := &Source{groups: groups, restarts: restarts, random: rand.New(rand.NewPCG(seed, 0x6275666665727300))}
	next := uint64(0)
	for i, g := range groups {
		s.first = append(s.first, next)
		next += uint64(g.Count)
		s.todo = append(s.todo, turn{workloads.Alloc, i})
	}
	return s
}

// Next implements [workloads.Source].
func (s *Source) Next(*workloads.Outcome) (workloads.Op, bool) {
	if len(s.todo) > 0 && s.buffer == s.groups[s.todo[0].group].Count {
		s.todo, s.buffer = s.todo[1:], 0
	}
	for ; len(s.todo) == 0 && s.restarts > 0; s.restarts-- {
		s.restart()
	}
	if len(s.todo) == 0 {
		return workloads.Op{}, false
	}
	t := s.todo[0]
	op := workloads.Op{At: s.at, Kind: t.kind, Buffer: s.first[t.group] + uint64(s.buffer), Client: t.group}
	if t.kind == workloads.Alloc {
		op.Size = uint64(s.groups[t.group].Size)
	}
	s.buffer++
	s.at += step
	return op, true
}

// restart draws what is freed and allocated again.
func (s *Source) restart() {
	var chosen []int
	for i := range s.groups {
		if s.random.IntN(2) == 0 {
			chosen = append(chosen, i)
			s.todo = append(s.todo, turn{workloads.Free, i})
		}
	}
	s.random.Shuffle(len(chosen), func(i, j int) { chosen[i], chosen[j] = chosen[j], chosen[i] })
	for _, i := range chosen {
		s.todo = append(s.todo, turn{workloads.Alloc, i})
	}
}

// Err implements [workloads.Source]; a list does not fail.
func (s *Source) Err() error { return nil }
