package workloads

import "math/rand/v2"

// Draws are random numbers for one purpose of one workload, keyed by entity: those
// of an entity are the same in whatever order entities are asked about.
type Draws struct{ stream *stream }

// NewDraws returns the draws of a purpose.
func NewDraws(seed uint64, workload, purpose string) Draws {
	return Draws{newStream(seed, workload, purpose)}
}

// Of returns the random numbers of an entity; they are good until the next call.
func (d Draws) Of(entity uint64) rand.Source {
	d.stream.turnTo(entity)
	return d.stream
}
