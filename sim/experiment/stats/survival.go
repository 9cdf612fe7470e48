package stats

import (
	"cmp"
	"math"
	"slices"

	"gonum.org/v1/gonum/stat/distuv"
)

// Lifetime is how long something was seen to last: until it failed, or, censored,
// until nobody looked any more.
type Lifetime struct {
	Time     float64
	Censored bool
}

// Step is the survival from Time on, until the next step. Lo and Hi are a
// pointwise band: Greenwood's variance on the scale log(-log S), which keeps it
// between 0 and 1.
type Step struct {
	Time           float64
	AtRisk, Failed int // just before Time, and at it
	Survival       float64
	StandardError  float64 // Greenwood's
	Lo, Hi         float64
}

// Curve is a Kaplan–Meier estimate: a step at every time of failure, by time.
// Before the first step the survival is 1.
type Curve []Step

// KaplanMeier estimates the survival of lifetimes (E. L. Kaplan and P. Meier, J.
// American Statistical Association 53, 1958). Who is censored at the time of a
// failure was at risk then.
func KaplanMeier(lifetimes []Lifetime, level float64) Curve {
	sorted := byTime(lifetimes)
	z := distuv.UnitNormal.Quantile((1 + level) / 2)
	var curve Curve
	survival, sum := 1.0, 0.0
	for i := 0; i < len(sorted); {
		at, first := sorted[i].Time, i
		failed := 0
		for ; i < len(sorted) && sorted[i].Time == at; i++ {
			if !sorted[i].Censored {
				failed++
			}
		}
		if failed == 0 {
			continue
		}
		risk := float64(len(sorted) - first)
		survival *= 1 - float64(failed)/risk
		sum += float64(failed) / (risk * (risk - float64(failed)))
		step := Step{Time: at, AtRisk: len(sorted) - first, Failed: failed, Survival: survival}
		if survival > 0 {
			step.StandardError = survival * math.Sqrt(sum)
			width := z * math.Sqrt(sum) / -math.Log(survival)
			step.Lo, step.Hi = math.Pow(survival, math.Exp(width)), math.Pow(survival, math.Exp(-width))
		}
		curve = append(curve, step)
	}
	return curve
}

// At returns the survival at a time.
func (c Curve) At(time float64) float64 {
	survival := 1.0
	for _, s := range c {
		if s.Time > time {
			break
		}
		survival = s.Survival
	}
	return survival
}

// RestrictedMean is the mean of the lifetimes, each counted up to horizon: the
// area under the curve until there (J. O. Irwin, J. Hygiene 47, 1949).
func (c Curve) RestrictedMean(horizon float64) float64 {
	var area, from float64
	survival := 1.0
	for _, s := range c {
		if s.Time >= horizon {
			break
		}
		area += survival * (s.Time - from)
		from, survival = s.Time, s.Survival
	}
	return area + survival*(horizon-from)
}

// LogRankTest compares the survival of two groups.
type LogRankTest struct {
	Observed           int     // failures in the first group
	Expected, Variance float64 // of them, if both groups were alike
	ChiSquared, P      float64 // with one degree of freedom; NaN if nothing failed
}

// LogRank tests whether two independent groups survive alike (N. Mantel, Cancer
// Chemotherapy Reports 50, 1966).
func LogRank(a, b []Lifetime) LogRankTest {
	first, second := byTime(a), byTime(b)
	var times []float64
	for _, l := range append(slices.Clone(first), second...) {
		if !l.Censored {
			times = append(times, l.Time)
		}
	}
	slices.Sort(times)
	var t LogRankTest
	for _, at := range slices.Compact(times) {
		n1, d1 := riskAt(first, at)
		n2, d2 := riskAt(second, at)
		n, d := float64(n1+n2), float64(d1+d2)
		share := float64(n1) / n
		t.Observed += d1
		t.Expected += d * share
		if n > 1 {
			t.Variance += d * share * (1 - share) * (n - d) / (n - 1)
		}
	}
	difference := float64(t.Observed) - t.Expected
	t.ChiSquared = difference * difference / t.Variance
	t.P = distuv.ChiSquared{K: 1}.Survival(t.ChiSquared)
	if t.Variance == 0 {
		t.ChiSquared, t.P = math.NaN(), math.NaN()
	}
	return t
}

// riskAt returns how many were at risk just before a time, and failed at it.
func riskAt(sorted []Lifetime, at float64) (risk, failed int) {
	from, _ := slices.BinarySearchFunc(sorted, at, func(l Lifetime, at float64) int { return cmp.Compare(l.Time, at) })
	for _, l := range sorted[from:] {
		if l.Time > at {
			break
		}
		if !l.Censored {
			failed++
		}
	}
	return len(sorted) - from, failed
}

func byTime(lifetimes []Lifetime) []Lifetime {
	sorted := slices.Clone(lifetimes)
	slices.SortStableFunc(sorted, func(a, b Lifetime) int { return cmp.Compare(a.Time, b.Time) })
	return sorted
}
