package alloctest

import (
	"math"
	"testing"

	"pgregory.net/rapid"

	"dmasim/allocator"
	"dmasim/mem"
)

// testRandom runs random operations in small arenas: allocations with every
// kind of constraint, frees, frees that cannot be.
func (s *suite) testRandom(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cfg := drawConfig(t)
		w := s.watch(t, cfg)
		t.Repeat(map[string]func(*rapid.T){
			"alloc": func(t *rapid.T) {
				w.alloc(t, drawRequest(t, w.arena, w.granule))
			},
			"alloc-plain": func(t *rapid.T) {
				w.alloc(t, allocator.Request{Size: drawSize(t, w.arena, w.granule)})
			},
			"free": func(t *rapid.T) {
				if len(w.live) == 0 {
					t.Skip("nothing is live")
				}
				w.free(t, rapid.IntRange(0, len(w.live)-1).Draw(t, "live"))
			},
			"free-again": func(t *rapid.T) {
				if len(w.freed) == 0 {
					t.Skip("nothing was freed")
				}
				w.misfree(t, rapid.SampledFrom(w.freed).Draw(t, "freed"), nil)
			},
			"free-forged": func(t *rapid.T) {
				if len(w.live) == 0 {
					t.Skip("nothing is live")
				}
				forged := forge(t, rapid.SampledFrom(w.live).Draw(t, "live").block, w.refs)
				if w.isLive(forged) {
					t.Skip("it is another live block")
				}
				w.misfree(t, forged, nil)
			},
		})
		for len(w.live) > 0 {
			w.free(t, len(w.live)/2)
		}
		for _, r := range w.arena {
			w.alloc(t, allocator.Request{Size: r.Size(), Lo: r.Lo, Hi: r.Hi})
		}
	})
}

// forge changes one field of a live block: the Ref only if the strategy uses it.
func forge(t *rapid.T, block allocator.Block, refs bool) allocator.Block {
	change := rapid.Uint64Min(1).Draw(t, "change")
	switch field := rapid.IntRange(0, 2).Draw(t, "field"); {
	case field == 0 && refs:
		block.Ref ^= change
	case field == 1:
		block.Size ^= change
	default:
		block.Addr ^= change
	}
	return block
}

// drawConfig draws an arena of up to three ranges of up to 64 granules, whose
// ends need not be on the granule.
func drawConfig(t *rapid.T) allocator.Config {
	granule := rapid.SampledFrom([]uint64{0, 1, 2, 3, 12, 4096}).Draw(t, "granule")
	g := max(granule, 1)
	for {
		at := rapid.SampledFrom([]uint64{0, 64 * g, 7*g + 1, 1 << 32, math.MaxUint64 - 300*g}).Draw(t, "base")
		var ranges []mem.Range
		for range rapid.IntRange(1, 3).Draw(t, "ranges") {
			lo := at + rapid.Uint64Range(0, 20*g).Draw(t, "gap")
			at = lo + rapid.Uint64Range(g, 64*g).Draw(t, "length")
			ranges = append(ranges, mem.Range{Lo: lo, Hi: at})
		}
		cfg := allocator.Config{Arena: mem.NewRangeSet(ranges...), Granule: granule}
		if cfg.Usable().Size() > 0 {
			return cfg
		}
	}
}

func drawSize(t *rapid.T, arena mem.RangeSet, granule uint64) uint64 {
	small := rapid.Uint64Range(1, 4*granule)
	large := rapid.Uint64Range(1, arena.Hull().Size()+granule)
	return rapid.OneOf(small, small, small, large).Draw(t, "size")
}

// drawRequest draws a request with few or many constraints.
func drawRequest(t *rapid.T, arena mem.RangeSet, granule uint64) allocator.Request {
	hull := arena.Hull()
	address := rapid.Uint64Range(hull.Lo, hull.Hi)
	pitch := drawPitch(granule)
	req := allocator.Request{
		Size: drawSize(t, arena, granule),
		Dir:  rapid.SampledFrom([]allocator.Dir{allocator.Natural, allocator.Low, allocator.High}).Draw(t, "direction"),
	}
	sometimes := func(label string) bool { return rapid.IntRange(0, 2).Draw(t, label) == 2 }
	if sometimes("aligned") {
		req.Align = pitch.Draw(t, "align")
	}
	if sometimes("window") {
		req.Lo, req.Hi = address.Draw(t, "lo"), address.Draw(t, "hi")
		if rapid.Bool().Draw(t, "in order") {
			req.Lo, req.Hi = min(req.Lo, req.Hi), max(req.Lo, req.Hi)
		}
	}
	if sometimes("bounded") {
		req.Boundary = pitch.Draw(t, "boundary")
	}
	if sometimes("ruled") {
		req.Slack = rapid.Uint64Range(0, min(req.Size-1, granule)).Draw(t, "slack")
		req.Rule = drawRule(t, hull, granule)
	}
	return req
}

// drawPitch draws the distance of aligned addresses or of boundaries: mostly a
// power of two times the granule.
func drawPitch(granule uint64) *rapid.Generator[uint64] {
	power := rapid.Map(rapid.IntRange(0, 7), func(shift int) uint64 { return granule << shift })
	return rapid.OneOf(power, power, power, rapid.Uint64Range(1, 70*granule))
}

func drawRule(t *rapid.T, hull mem.Range, granule uint64) *allocator.Rule {
	address := rapid.Uint64Range(hull.Lo, hull.Hi)
	pitch := drawPitch(granule)
	rule := new(allocator.Rule)
	from := hull.Lo
	for range rapid.IntRange(1, 3).Draw(t, "windows") {
		lo, hi := address.Draw(t, "reach lo"), address.Draw(t, "reach hi")
		lo, hi = max(from, min(lo, hi)), max(lo, hi)
		if lo >= hi {
			continue
		}
		from = hi
		window := allocator.Window{Reach: mem.Range{Lo: lo, Hi: hi}}
		if rapid.Bool().Draw(t, "lattice") {
			window.Align = pitch.Draw(t, "step")
			window.Phase = rapid.Uint64Range(0, window.Align).Draw(t, "phase") / granule * granule
		}
		for range rapid.IntRange(0, 2).Draw(t, "bounds") {
			window.Bounds = append(window.Bounds, allocator.Bound{
				Boundary: pitch.Draw(t, "boundary"),
				Phase:    rapid.Uint64Range(0, 4*granule).Draw(t, "boundary phase"),
				Extra:    rapid.Int64Range(-int64(granule), int64(granule)).Draw(t, "extra"),
			})
		}
		rule.Windows = append(rule.Windows, window)
	}
	return rule
}
