package genalloc

import (
	"dmasim/allocator/holes"
	"dmasim/mem"
)

// chunk is one range of memory with its free runs, counted in granules from its
// start (struct gen_pool_chunk).
type chunk struct {
	at   mem.Range // bytes
	free *holes.Index
	// bySize holds the free runs too. It is made by the first best-fit request;
	// most pools never see one.
	bySize *holes.Sizes
}

func newChunk(at mem.Range, granules uint64) *chunk {
	return &chunk{at: at, free: holes.New(mem.NewRangeSet(mem.Range{Hi: granules}))}
}

// firstFit returns the lowest granule at which n are free and granule+offset is
// a multiple of mask+1 (bitmap_find_next_zero_area_off).
func (c *chunk) firstFit(n, mask, offset uint64) (uint64, bool) {
	var cursor holes.Cursor
	cursor.From(c.free, 0)
	for run, ok := cursor.Next(n); ok; run, ok = cursor.Next(n) {
		low := run.Lo + offset
		granule := (low+mask)&^mask - offset
		if low+mask >= low && granule <= run.Hi && run.Hi-granule >= n {
			return granule, true
		}
	}
	return 0, false
}

func (c *chunk) bestFit(n uint64) (uint64, bool) {
	if c.bySize == nil {
		c.bySize = holes.NewSizes(1, c.at.Size())
		for run := range c.free.All() {
			c.bySize.Insert(run)
		}
	}
	run, ok := c.bySize.AtLeast(n)
	return run.Lo, ok
}

// isFree reports whether n granules from granule on are free.
func (c *chunk) isFree(granule, n uint64) bool {
	run, ok := c.free.FirstAtLeast(granule, 1)
	return ok && run.Lo <= granule && n <= run.Hi-granule
}

// take marks n free granules as allocated.
func (c *chunk) take(granule, n uint64) {
	if c.bySize != nil {
		run, _ := c.free.FirstAtLeast(granule, 1)
		c.bySize.Remove(run)
		c.enter(mem.Range{Lo: run.Lo, Hi: granule})
		c.enter(mem.Range{Lo: granule + n, Hi: run.Hi})
	}
	c.free.Take(granule, granule+n)
}

// give marks n granules as free, and reports whether all were allocated.
func (c *chunk) give(granule, n uint64) bool {
	run, ok := c.free.Merge(granule, granule+n)
	if ok && c.bySize != nil {
		c.leave(mem.Range{Lo: run.Lo, Hi: granule})
		c.leave(mem.Range{Lo: granule + n, Hi: run.Hi})
		c.bySize.Insert(run)
	}
	return ok
}

func (c *chunk) enter(run mem.Range) {
	if !run.Empty() {
		c.bySize.Insert(run)
	}
}

func (c *chunk) leave(run mem.Range) {
	if !run.Empty() {
		c.bySize.Remove(run)
	}
}
