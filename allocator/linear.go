package allocator

import "dmasim/mem"

func init() {
	Register(Spec{
		Name:    "linear",
		Summary: "behind the last block, and from the start again when all are free: constant time",
		Honours: HonoursAlign | HonoursWindow | HonoursBoundary | HonoursRule,
		New: func(cfg Config) (Strategy, error) {
			return &linear{arena: cfg.Usable(), granule: max(cfg.Granule, 1)}, nil
		},
	})
}

// linear is the bump or arena allocator of frames and requests: it only counts
// up, and takes everything back at once when nothing is live. What is freed
// before is lost until then; so is what a window or an alignment skips.
type linear struct {
	arena   mem.RangeSet
	granule uint64
	blocks  Blocks
	live    int
	end     uint64 // of the last block; nothing from here on is taken
}

// Alloc implements Strategy.
func (l *linear) Alloc(r Request) (Block, bool) {
	size, ok := r.onGranule(l.granule)
	if !ok {
		return Block{}, false
	}
	start, ok := r.between(l.arena, mem.Range{Lo: l.end, Hi: mem.Everywhere.Hi}, false)
	if !ok {
		return Block{}, false
	}
	l.end = start + size
	l.live++
	return l.blocks.Add(start, size), true
}

// Free implements Strategy.
func (l *linear) Free(b Block) error {
	if err := l.blocks.Remove(b); err != nil {
		return err
	}
	if l.live--; l.live == 0 {
		l.end = 0
	}
	return nil
}

// onGranule rounds a request to the granule and returns the size of its block,
// or false if it can be nowhere.
func (r *Request) onGranule(granule uint64) (size uint64, ok bool) {
	size, ok = alignUp(r.Size, granule)
	return size, ok && size > 0 && r.AlignTo(granule)
}

// between returns the lowest legal start, or the highest, of a block in a range
// that is free as far as it is part of the arena.
func (r *Request) between(arena mem.RangeSet, free mem.Range, high bool) (uint64, bool) {
	for i := range arena {
		if high {
			i = len(arena) - 1 - i
		}
		if part := arena[i].Intersect(free); !part.Empty() {
			if start, ok := r.Place(part.Lo, part.Hi, high); ok {
				return start, true
			}
		}
	}
	return 0, false
}
