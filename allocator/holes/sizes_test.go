package holes_test

import (
	"cmp"
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
		slices.SortFunc(want, func(a, b mem.Range) int {
			return cmp.Or(cmp.Compare(a.Size(), b.Size()), cmp.Compare(a.Lo, b.Lo))
		})
		for size := range kinds + 2 {
			i := slices.IndexFunc(want, func(r mem.Range) bool { return r.Size() >= size })
			got, ok := s.AtLeast(size)
			if ok != (i >= 0) || ok && got != want[i] {
				t.Fatalf("AtLeast(%d) = %v, %t, want index %d of\n%v", size, got, ok, i, want)
			}
		}
		for _, hole := range want {
			if got, ok := s.AtLeast(1); !ok || got != hole || !s.Remove(hole) {
				t.Fatalf("first is %v, %t, want %v", got, ok, hole)
			}
		}
	})
}
