package holes_test

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"dmasim/allocator/holes"
	"dmasim/mem"
)

func TestSizesAreSorted(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		kinds := rapid.SampledFrom([]uint64{1, 3, 40, 150}).Draw(t, "kinds")
		smallest := rapid.SampledFrom([]uint64{1, 3}).Draw(t, "smallest")
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
		s := holes.NewSizes(smallest, 1+smallest*kinds/2)
		var want []mem.Range
		for step := range 1500 {
			grow := 3
			if (step/500)%2 == 1 {
				grow = 1
			}
			lo := 200 * rng.Uint64N(1000)
			i := slices.IndexFunc(want, func(r mem.Range) bool { return r.Lo == lo })
			switch {
			case i < 0 && rng.IntN(4) < grow:
				hole := mem.Range{Lo: lo, Hi: lo + 1 + rng.Uint64N(kinds)}
				s.Insert(hole)
				want = append(want, hole)
			case len(want) > 0:
				i = max(i, rng.IntN(len(want)))
				if wrong := (mem.Range{Lo: want[i].Lo, Hi: want[i].Hi + 1}); s.Remove(wrong) {
					t.Fatalf("Remove(%v), which is not there", wrong)
				}
				if !s.Remove(want[i]) {
					t.Fatalf("Remove(%v) = false", want[i])
				}
				want = slices.Delete(want, i, i+1)
			}
		}
		if err := s.Check(); err != nil || s.Len() != len(want) {
			t.Fatalf("%d holes, want %d: %v", s.Len(), len(want), err)
		}
		for _, falling := range []bool{false, true} {
			slices.SortFunc(want, func(a, b mem.Range) int {
				size, lo := cmp.Compare(a.Size(), b.Size()), cmp.Compare(a.Lo, b.Lo)
				if falling {
					lo = -lo
				}
				return cmp.Or(size, lo)
			})
			for _, last := range []uint64{math.MaxUint64, 100000, 600, 0} {
				size := 1 + rng.Uint64N(kinds)
				from := slices.DeleteFunc(slices.Clone(want), func(r mem.Range) bool {
					return r.Size() < size || r.Lo > last
				})
				var c holes.SizeCursor
				c.From(s, size, falling)
				if got := collect(c, last); !slices.Equal(got, from) {
					t.Fatalf("From(%d, %t) up to %d:\n%v, want\n%v", size, falling, last, got, from)
				}
			}
		}
		for len(want) > 0 {
			var c holes.SizeCursor
			c.From(s, 1, true)
			hole, _ := c.Next(math.MaxUint64)
			c.Remove()
			if hole != want[0] {
				t.Fatalf("first is %v, want %v", hole, want[0])
			}
			want = want[1:]
		}
	})
}

func collect(c holes.SizeCursor, last uint64) (list []mem.Range) {
	for hole, ok := c.Next(last); ok; hole, ok = c.Next(last) {
		list = append(list, hole)
	}
	return list
}
