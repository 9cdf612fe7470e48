package sweep

import (
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestLatinHypercube(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := SampleFile{latinHypercube, rapid.IntRange(1, 200).Draw(t, "points"), rapid.Uint64().Draw(t, "seed")}
		shares := s.shares("a")
		parts := make([]int, 0, s.Points)
		for _, share := range shares {
			parts = append(parts, int(share*float64(s.Points)))
		}
		slices.Sort(parts)
		for i, part := range parts {
			if part != i {
				t.Fatalf("part %d has not one point: %v", i, parts)
			}
		}
		if s.Points > 20 && slices.Equal(shares, s.shares("b")) {
			t.Fatal("two parameters have the same shares")
		}
	})
}

// TestRandomSampleGrows: more points leave the first ones.
func TestRandomSampleGrows(t *testing.T) {
	few, many := SampleFile{random, 5, 3}, SampleFile{random, 50, 3}
	if !slices.Equal(few.shares("a"), many.shares("a")[:5]) {
		t.Error("the first points moved")
	}
}

func TestRangeAt(t *testing.T) {
	for _, u := range []unit{whole, number, size, period} {
		rapid.Check(t, func(t *rapid.T) {
			low := rapid.Uint64Range(1, 1<<40).Draw(t, "low")
			high := low + rapid.Uint64Range(1, 1<<40).Draw(t, "more")
			r := RangeFile{Low: Quantity{u, float64(low)}, High: Quantity{u, float64(high)}, Scale: Scale(rapid.SampledFrom([]string{"linear", "log"}).Draw(t, "scale"))}
			step := uint64(1)
			if rapid.Bool().Draw(t, "stepped") {
				step = rapid.Uint64Range(1, high-low).Draw(t, "step")
				r.Step = &Quantity{u, float64(step)}
			}
			text := r.at(rapid.Float64Range(0, math.Nextafter(1, 0)).Draw(t, "share"))
			q := parseQuantity(text)
			if commonUnit(q.unit, u) != u && u != number {
				t.Fatalf("%s is of another unit", text)
			}
			if q.value < float64(low)*(1-1e-12) || q.value > float64(high)*(1+1e-12) {
				t.Fatalf("%s is not from %d to %d", text, low, high)
			}
			if (u != number || r.Step != nil) && math.Mod(q.value, float64(step)) != 0 {
				t.Fatalf("%s is no multiple of %d", text, step)
			}
		})
	}
}
