package allocator

import "dmasim/mem"

func init() {
	Register(Spec{
		Name:    "ring",
		Summary: "behind the last block, around the arena; what is freed out of turn waits for the oldest: constant time",
		Honours: HonoursAlign | HonoursWindow | HonoursBoundary | HonoursRule,
		New: func(cfg Config) (Strategy, error) {
			return &ring{arena: cfg.Usable(), granule: max(cfg.Granule, 1)}, nil
		},
	})
}

// ring is a ring buffer of blocks of any size, as for descriptors, logs and
// streamed uploads: a block is placed behind the one before, at the end of the
// arena from its start again, and never beyond the oldest that is live. It
// serves well what is freed in the order of its allocation. A block that is
// freed out of turn is free memory once all older ones are freed too: one old
// block holds everything that is younger.
type ring struct {
	arena   mem.RangeSet
	granule uint64
	blocks  arrivals
}

// Alloc implements Strategy.
func (g *ring) Alloc(r Request) (Block, bool) {
	size, ok := r.onGranule(g.granule)
	if !ok {
		return Block{}, false
	}
	ahead, behind := g.free()
	start, ok := r.between(g.arena, ahead, false)
	if !ok {
		start, ok = r.between(g.arena, behind, false)
	}
	if !ok {
		return Block{}, false
	}
	return g.blocks.add(start, size), true
}

// free returns what is free behind the newest block, and what is free at the
// start of the arena if that is another range.
func (g *ring) free() (ahead, behind mem.Range) {
	hull := g.arena.Hull()
	if g.blocks.empty() {
		return hull, mem.Range{}
	}
	oldest, newest := g.blocks.at(g.blocks.first), g.blocks.at(g.blocks.next-1)
	end := newest.addr + newest.size
	if end <= oldest.addr {
		return mem.Range{Lo: end, Hi: oldest.addr}, mem.Range{}
	}
	return mem.Range{Lo: end, Hi: hull.Hi}, mem.Range{Lo: hull.Lo, Hi: oldest.addr}
}

// Free implements Strategy.
func (g *ring) Free(b Block) error {
	if err := g.blocks.free(b); err != nil {
		return &FreeError{b, err}
	}
	g.blocks.dropFirst()
	return nil
}
