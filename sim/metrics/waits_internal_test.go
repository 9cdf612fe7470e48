package metrics

import (
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestWaits: the mean is exact, and quantiles are those of a sorted list or up to 1/32
// more.
func TestWaits(t *testing.T) {
	var none waits
	if none.mean() != 0 || none.quantile(0.5) != 0 || none.most != 0 {
		t.Errorf("of nothing: %v, %v, %v", none.mean(), none.quantile(0.5), none.most)
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
		for _, share := range []float64{0.01, 0.5, 0.9, 0.99, 1} {
			want := list[int(math.Ceil(share*float64(len(list))))-1]
			if got := w.quantile(share); got < want || got-want > want/32 {
				t.Fatalf("quantile %v is %d, want %d, of %v", share, got, want, list)
			}
		}
	})
}
