package metrics

import (
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestWaits: the mean is exact, and percentiles are those of a sorted list or up to 1 %
// more.
func TestWaits(t *testing.T) {
	var none waits
	if none.mean() != 0 || none.percentile(50) != 0 || none.most != 0 {
		t.Errorf("of nothing: %v, %v, %v", none.mean(), none.percentile(50), none.most)
	}
	rapid.Check(t, func(t *rapid.T) {
		var w waits
		var list []time.Duration
		sum := 0.0
		for range rapid.IntRange(1, 50).Draw(t, "times") {
			v := time.Duration(rapid.Int64Range(0, math.MaxInt64>>rapid.IntRange(0, 63).Draw(t, "shift")).Draw(t, "time"))
			w.add(v)
			list = append(list, v)
			sum += float64(v)
		}
		slices.Sort(list)
		if mean := sum / float64(len(list)); math.Abs(w.mean()-mean) > 1e-9*mean {
			t.Fatalf("mean %v, want %v", w.mean(), mean)
		}
		if w.most != list[len(list)-1] {
			t.Fatalf("most %v of %v", w.most, list)
		}
		for _, percent := range []float64{1, 50, 90, 99, 100} {
			rank := int(percent/100*float64(len(list)) + 0.5)
			want := list[max(rank, 1)-1]
			if got := w.percentile(percent); got < want || got-want > want/100 {
				t.Fatalf("%v %% do not exceed %d, want %d, of %v", percent, got, want, list)
			}
		}
	})
}
