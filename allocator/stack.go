package allocator

import "dmasim/mem"

func init() {
	Register(Spec{
		Name:    "stack",
		Summary: "two stacks that grow towards each other, from below and with direction high from above; what is freed below the top waits: constant time",
		Honours: HonoursAll,
		New: func(cfg Config) (Strategy, error) {
			return &stack{arena: cfg.Usable(), granule: max(cfg.Granule, 1)}, nil
		},
	})
}

// stack is a double-ended stack: requests are placed on top of the last one of
// their direction. A block that is freed is free memory once all that were
// placed on top of it are freed too, so it serves well what is freed in reverse
// order, and no other pattern. What a window or an alignment skips is free again
// with the block below it.
//
// A free costs as much as the blocks that it lets go, each of them once.
type stack struct {
	arena     mem.RangeSet
	granule   uint64
	low, high arrivals
}

// Alloc implements Strategy.
func (s *stack) Alloc(r Request) (Block, bool) {
	size, ok := r.onGranule(s.granule)
	if !ok {
		return Block{}, false
	}
	high := r.Dir == High
	start, ok := r.between(s.arena, s.free(), high)
	switch {
	case !ok:
		return Block{}, false
	case high:
		return s.high.add(start, size), true
	}
	return s.low.add(start, size), true
}

// free returns the range between the stacks.
func (s *stack) free() mem.Range {
	free := s.arena.Hull()
	if !s.low.empty() {
		top := s.low.at(s.low.next - 1)
		free.Lo = top.addr + top.size
	}
	if !s.high.empty() {
		free.Hi = s.high.at(s.high.next - 1).addr
	}
	return free
}

// Free implements Strategy.
func (s *stack) Free(b Block) error {
	err := s.low.free(b)
	if err == nil {
		s.low.dropLast()
		return nil
	}
	switch other := s.high.free(b); other {
	case nil:
		s.high.dropLast()
		return nil
	case ErrDoubleFree:
		err = other
	}
	return &FreeError{b, err}
}
