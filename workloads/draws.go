package workloads

// Draws are the random numbers of one purpose of a workload whose source is in
// another package. Each entity of the workload, such as a session, has a generator
// of its own, so that draws may be made in any order and one may take any number of
// random numbers without moving another.
type Draws struct{ s *stream }

// NewDraws returns the random numbers of a purpose. Those that differ in any
// argument share nothing.
func NewDraws(seed uint64, workload, purpose string) Draws {
	return Draws{newStream(seed, workload, purpose)}
}

// TurnTo makes the numbers of an entity the next to come.
func (d Draws) TurnTo(entity uint64) { d.s.turnTo(entity) }

// Uint64 implements rand.Source for the entity last given to TurnTo.
func (d Draws) Uint64() uint64 { return d.s.Uint64() }
