package allocator_test

import (
	"math"
	"testing"

	"gonum.org/v1/gonum/stat/distuv"

	"dmasim/allocator"
	"dmasim/mem"
)

// TestRandomFitIsUniform counts starts in a memory with holes of 3, 1, 6 and 20
// pages, for requests of which many or few of all starts are legal, and holds
// the counts to a uniform distribution with a chi-squared test. The chance that
// a correct strategy fails with another seed is 10^-6 for each request.
func TestRandomFitIsUniform(t *testing.T) {
	const draws = 20_000
	for _, test := range []struct {
		name   string
		req    allocator.Request
		starts []uint64
	}{
		{"small", pages(1), []uint64{0, 1, 2, 10, 20, 21, 22, 23, 24, 25, 1000, 1001, 1002, 1003, 1004, 1005, 1006, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 1015, 1016, 1017, 1018, 1019}},
		{"large", pages(5), []uint64{20, 21, 1000, 1001, 1002, 1003, 1004, 1005, 1006, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 1015}},
		{"aligned", allocator.Request{Size: 2 * testPage, Align: 4 * testPage}, []uint64{0, 20, 24, 1000, 1004, 1008, 1012, 1016}},
		{"window", allocator.Request{Size: 2 * testPage, Lo: testPage, Hi: 24 * testPage}, []uint64{1, 20, 21, 22}},
		{"largest", pages(20), []uint64{1000}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newScript(t, "random-fit:seed=7", pagesConfig(2048))
			for _, wall := range []mem.Range{{Lo: 3, Hi: 10}, {Lo: 11, Hi: 20}, {Lo: 26, Hi: 1000}, {Lo: 1020, Hi: 2048}} {
				lo, hi := wall.Lo*testPage, wall.Hi*testPage
				s.alloc("wall", allocator.Request{Size: hi - lo, Lo: lo, Hi: hi}, lo)
			}
			count := map[uint64]float64{}
			for range draws {
				b, ok := s.strategy.Alloc(test.req)
				if !ok {
					t.Fatal("refused")
				}
				count[b.Addr/testPage]++
				if err := s.strategy.Free(b); err != nil {
					t.Fatal(err)
				}
			}
			var seen, chi float64
			expected := draws / float64(len(test.starts))
			for _, start := range test.starts {
				seen += count[start]
				chi += (count[start] - expected) * (count[start] - expected) / expected
			}
			if seen != draws {
				t.Fatalf("%v of %d starts are not legal: %v", draws-seen, draws, count)
			}
			if n := len(test.starts); n > 1 {
				if limit := (distuv.ChiSquared{K: float64(n - 1)}).Quantile(1 - 1e-6); chi > limit || math.IsNaN(chi) {
					t.Errorf("chi squared %.1f, want at most %.1f: %v", chi, limit, count)
				}
			}
		})
	}
}

// TestRandomFitSeeds: the seed decides.
func TestRandomFitSeeds(t *testing.T) {
	place := func(name string) (addrs [8]uint64) {
		s, err := allocator.New(name, pagesConfig(1<<20))
		if err != nil {
			t.Fatal(err)
		}
		for i := range addrs {
			b, _ := s.Alloc(pages(1))
			addrs[i] = b.Addr
		}
		return addrs
	}
	first, again := place("random-fit:seed=3"), place("random-fit:seed=3")
	if first != again || first == place("random-fit:seed=4") {
		t.Error("placements do not follow the seed")
	}
}
