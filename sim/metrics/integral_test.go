package metrics

import (
	"math"
	"math/big"
	"testing"
	"time"

	"pgregory.net/rapid"

	"dmasim/allocator/ledger"
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

// TestHeldIntegral holds the three means to those of integrals of one counter each.
func TestHeldIntegral(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var held heldIntegral
		var requested, reserved, blocks integral
		end := time.Duration(0)
		for range rapid.IntRange(0, 20).Draw(t, "changes") {
			end += time.Duration(rapid.Int64Range(0, math.MaxInt64/32).Draw(t, "time"))
			u := ledger.Usage{
				Blocks:    rapid.IntMin(0).Draw(t, "blocks"),
				Reserved:  rapid.Uint64().Draw(t, "reserved"),
				Requested: rapid.Uint64().Draw(t, "requested"),
			}
			held.set(u, end)
			requested.set(u.Requested, end)
			reserved.set(u.Reserved, end)
			blocks.set(uint64(u.Blocks), end)
		}
		end += time.Duration(rapid.Int64Range(0, math.MaxInt64/32).Draw(t, "time"))
		held.to(end)
		got := [3]float64{held.requested.over(end), held.reserved.over(end), held.blocks.over(end)}
		if want := [3]float64{requested.mean(end), reserved.mean(end), blocks.mean(end)}; got != want {
			t.Fatalf("means %v, want %v", got, want)
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
