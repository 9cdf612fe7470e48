package kernel

import (
	"math/bits"

	"dmasim/allocator"
)

// areas places and frees blocks that are counted in granules.
type areas interface {
	// alloc places n granules at a multiple of align, a power of two which the
	// allocator may be unable to honour, and returns the number of the first and
	// how many were taken.
	alloc(n, align uint64) (first, taken uint64, ok bool)
	free(first, taken uint64) error
}

// strategy makes a Strategy of areas.
type strategy struct {
	areas   areas
	granule uint64
	aligns  bool // the request's alignment is honoured
	live    allocator.Blocks
}

func newStrategy(cfg allocator.Config, a areas, honours allocator.Honours) *strategy {
	return &strategy{areas: a, granule: max(cfg.Granule, 1), aligns: honours&allocator.HonoursAlign != 0}
}

func (s *strategy) Alloc(r allocator.Request) (allocator.Block, bool) {
	if r.Size == 0 {
		return allocator.Block{}, false
	}
	align := uint64(1)
	if s.aligns && r.Align != 0 {
		align = r.Align / gcd(r.Align, s.granule)
		if bits.OnesCount64(align) != 1 {
			return allocator.Block{}, false
		}
	}
	n := r.Size / s.granule
	if n*s.granule < r.Size {
		n++
	}
	first, taken, ok := s.areas.alloc(n, align)
	if !ok {
		return allocator.Block{}, false
	}
	return s.live.Add(first*s.granule, taken*s.granule), true
}

func (s *strategy) Free(b allocator.Block) error {
	if err := s.live.Remove(b); err != nil {
		return err
	}
	return s.areas.free(b.Addr/s.granule, b.Size/s.granule)
}

// gcd returns the greatest common divisor of a and b, which are not 0.
func gcd(a, b uint64) uint64 {
	for a != 0 {
		a, b = b%a, a
	}
	return b
}
