package report

import (
	"math"
	"math/bits"
	"strconv"
	"time"

	"gonum.org/v1/plot"

	"dmasim/mem"
)

// A scale turns the values of an axis into numbers in a unit that suits the
// axis, with ticks at round numbers of it.
type scale struct {
	unit  string  // "" for none
	size  float64 // of the unit
	step  float64 // between ticks, in the axis's own values
	limit float64 // no tick above it
}

// label adds the unit to the name of what an axis shows.
func (s scale) label(name string) string {
	if s.unit == "" {
		return name
	}
	return name + " (" + s.unit + ")"
}

// Ticks implements plot.Ticker.
func (s scale) Ticks(lo, hi float64) []plot.Tick {
	hi = min(hi, s.limit)
	var ticks []plot.Tick
	first := math.Ceil(lo/s.step-1e-9) + 0 // not -0
	for i := first; i*s.step <= hi*(1+1e-9) && len(ticks) < 100; i++ {
		ticks = append(ticks, plot.Tick{Value: i * s.step, Label: strconv.FormatFloat(i*s.step/s.size, 'g', 6, 64)})
	}
	return ticks
}

// byteScale is for an axis from 0 to limit bytes with at most the given number
// of steps between its ticks, each a power of two.
func byteScale(limit float64, steps int) scale {
	limit = max(limit, 1)
	s := scale{unit: "B", size: 1, limit: limit}
	for _, unit := range []string{"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"} {
		if limit < 4*1024*s.size {
			break
		}
		s.unit = unit
		s.size *= 1024
	}
	s.step = math.Exp2(math.Ceil(math.Log2(limit / float64(steps))))
	s.step = max(s.step, 1)
	return s
}

// timeScale is for an axis from 0 to limit nanoseconds.
func timeScale(limit time.Duration, steps int) scale {
	limit = max(limit, 1)
	s := scale{unit: "ns", size: 1, limit: float64(limit)}
	for _, unit := range []struct {
		name        string
		size, least time.Duration
	}{
		{"µs", time.Microsecond, time.Microsecond},
		{"ms", time.Millisecond, time.Millisecond},
		{"s", time.Second, time.Second},
		{"min", time.Minute, 3 * time.Minute},
		{"h", time.Hour, 3 * time.Hour},
		{"d", 24 * time.Hour, 3 * 24 * time.Hour},
	} {
		if limit >= unit.least {
			s.unit, s.size = unit.name, float64(unit.size)
		}
	}
	s.step = roundStep(s.limit/s.size, steps) * s.size
	return s
}

// percentScale is for an axis of shares from 0 to limit, at least 0.01, shown as
// percentages.
func percentScale(limit float64, steps int) scale {
	return scale{unit: "%", size: 0.01, step: roundStep(limit*100, steps) / 100, limit: limit}
}

// shareScale is for an index from 0 to 1.
func shareScale() scale { return scale{size: 1, step: 0.5, limit: 1} }

// roundStep returns the least 1, 2 or 5 times a power of ten that divides limit
// into at most steps.
func roundStep(limit float64, steps int) float64 {
	least := limit / float64(steps)
	power := math.Pow(10, math.Floor(math.Log10(least)))
	for _, factor := range []float64{1, 2, 5} {
		if factor*power >= least*(1-1e-9) {
			return factor * power
		}
	}
	return 10 * power
}

// addressTicks marks multiples of a power of two, in hexadecimal, with about the
// given number of steps between them or fewer. The values of the axis are
// offsets from base.
type addressTicks struct {
	base  uint64
	steps int
}

// Ticks implements plot.Ticker.
func (a addressTicks) Ticks(lo, hi float64) []plot.Tick {
	if hi <= lo || lo < 0 || hi >= 1<<64 {
		return nil
	}
	least := max(uint64((hi-lo)/float64(a.steps)), 1)
	step := uint64(1) << min(bits.Len64(least-1), 63)
	var ticks []plot.Tick
	offset := (step - a.base%step) % step
	for ; float64(offset) <= hi; offset += step {
		if float64(offset) >= lo {
			ticks = append(ticks, plot.Tick{Value: float64(offset), Label: mem.Addr(a.base + offset).String()})
		}
		if offset > math.MaxUint64-step {
			break
		}
	}
	return ticks
}

// unlabelled has ticks without numbers, for panels right of one with the same
// axis.
type unlabelled struct{ of plot.Ticker }

// Ticks implements plot.Ticker.
func (u unlabelled) Ticks(lo, hi float64) []plot.Tick {
	ticks := u.of.Ticks(lo, hi)
	for i := range ticks {
		ticks[i].Label = ""
	}
	return ticks
}
