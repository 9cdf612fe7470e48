package metrics

import (
	"math"
	"math/big"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestIntegral holds means to sums of big numbers, with times and values over the
// whole of their ranges.
func TestIntegral(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var a integral
		area, now := new(big.Int), time.Duration(0)
		limit := time.Duration(rapid.Int64Min(1).Draw(t, "limit"))
		pass := func(to time.Duration) {
			step := new(big.Int).SetUint64(a.value)
			area.Add(area, step.Mul(step, big.NewInt(int64(to-now))))
			now = to
		}
		for range rapid.IntRange(0, 20).Draw(t, "changes") {
			pass(time.Duration(rapid.Int64Range(int64(now), int64(limit)).Draw(t, "at")))
			a.set(rapid.Uint64().Draw(t, "value"), now)
		}
		pass(limit)
		want, _ := new(big.Rat).SetFrac(area, big.NewInt(int64(limit))).Float64()
		if got := a.mean(limit); math.Abs(got-want) > want*0x1p-52 {
			t.Fatalf("mean %v, want %v", got, want)
		}
	})
}

func TestIntegralOverNoTime(t *testing.T) {
	var a integral
	a.set(7, 0)
	if got := a.mean(0); got != 0 {
		t.Errorf("mean %v, want 0", got)
	}
}
