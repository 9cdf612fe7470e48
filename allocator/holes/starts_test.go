package holes_test

import (
	"maps"
	"math/rand/v2"
	"testing"

	"dmasim/allocator/holes"
	"dmasim/mem"
)

// TestDrawIsUniform draws with every random number that there is, and sees every
// start as often as every other.
func TestDrawIsUniform(t *testing.T) {
	for _, test := range []struct {
		granule, units uint64
		longest        uint64 // hole, in granules
	}{
		{1, 100, 7}, {3, 3000, 20}, {4096, 12_000, 5}, {1 << 20, 20_000, 11},
	} {
		arena := mem.Range{Lo: 5 * test.granule, Hi: (5 + test.units) * test.granule}
		x := holes.New(mem.RangeSet{arena})
		x.KeepTallies(test.granule)
		rng := rand.New(rand.NewPCG(1, test.units))
		for at := arena.Lo; at < arena.Hi; {
			wall := at + test.granule*(1+rng.Uint64N(3))
			x.Take(at, min(wall, arena.Hi))
			at = wall + test.granule*(1+rng.Uint64N(test.longest))
		}
		for _, s := range []holes.Starts{
			{Size: 1, Align: 1, Window: mem.Everywhere},
			{Size: test.longest/2 + 1, Align: 1, Window: mem.Everywhere},
			{Size: test.longest, Align: 1, Window: arena},
			{Size: test.longest + 1, Align: 1, Window: mem.Everywhere},
			{Size: 2, Align: 4, Window: mem.Everywhere},
			{Size: 3, Align: 64, Window: mem.Everywhere},
			{Size: 3, Align: 5, Window: mem.Range{Lo: arena.Hi / 3, Hi: arena.Hi / 2}},
			{Size: 1, Align: 1, Window: mem.Range{Lo: arena.Hi / 2, Hi: arena.Hi/2 + 3*test.granule}},
			{Size: 2, Align: 1, Window: mem.Range{Lo: arena.Hi / 5, Hi: arena.Hi}},
		} {
			s.Size, s.Align = s.Size*test.granule, s.Align*test.granule
			want := map[uint64]bool{}
			for hole := range x.All() {
				for at := hole.Lo; at+s.Size <= hole.Hi; at += test.granule {
					want[at] = at%s.Align == 0 && at >= s.Window.Lo && at+s.Size <= s.Window.Hi
				}
			}
			maps.DeleteFunc(want, func(_ uint64, legal bool) bool { return !legal })
			seen := map[uint64]uint64{}
			total := uint64(1)
			weigh := func(n uint64) uint64 { total = n; return 0 }
			if _, found, known := x.Draw(s, 1, weigh); known != found && len(want) > 0 || found && len(want) == 0 {
				t.Fatalf("%+v: found %t, known %t, but there are %d starts", s, found, known, len(want))
			}
			// In numbers of granules: one more byte of weight leads to the same start.
			for weight := uint64(0); weight < total; weight += test.granule {
				if at, found, _ := x.Draw(s, 1, func(uint64) uint64 { return weight }); found {
					seen[at]++
				}
			}
			times := uint64(0)
			for at, n := range seen {
				if times == 0 {
					times = n
				}
				if !want[at] || n != times {
					t.Fatalf("%+v: start %#x is drawn %d times, another %d times; legal: %t", s, at, n, times, want[at])
				}
			}
			if len(seen) != len(want) {
				t.Fatalf("%+v: %d starts are drawn, want %d", s, len(seen), len(want))
			}
		}
	}
}
