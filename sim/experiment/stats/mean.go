package stats

import (
	"math"

	"gonum.org/v1/gonum/stat"
	"gonum.org/v1/gonum/stat/distuv"
)

// Interval is an estimate with the limits of its confidence interval. With too
// few values for an interval, Lo and Hi are NaN.
type Interval struct{ Estimate, Lo, Hi float64 }

// HalfWidth is half the length of the interval.
func (i Interval) HalfWidth() float64 { return (i.Hi - i.Lo) / 2 }

// Mean returns the mean of x with Student's interval at a level such as 0.95.
// It takes two values for an interval, and one for a mean.
func Mean(x []float64, level float64) Interval {
	if len(x) == 0 {
		return Interval{math.NaN(), math.NaN(), math.NaN()}
	}
	mean, deviation := stat.MeanStdDev(x, nil)
	if len(x) == 1 {
		return Interval{mean, math.NaN(), math.NaN()}
	}
	half := studentQuantile(level, float64(len(x)-1)) * deviation / math.Sqrt(float64(len(x)))
	return Interval{mean, mean - half, mean + half}
}

// RunsNeeded returns how many values an interval takes whose half-width is at
// most half, judged by the deviation of the pilot x: n ≥ (t·s/half)² with
// Student's t of the pilot. It is at least 2, and MaxInt if half is not above 0.
func RunsNeeded(x []float64, half, level float64) int {
	if len(x) < 2 || !(half > 0) {
		return math.MaxInt
	}
	need := math.Ceil(math.Pow(studentQuantile(level, float64(len(x)-1))*stat.StdDev(x, nil)/half, 2))
	if need >= math.MaxInt32 {
		return math.MaxInt
	}
	return max(int(need), 2)
}

// studentQuantile returns the t that Student's distribution stays within, on
// both sides, with probability level.
func studentQuantile(level, freedom float64) float64 {
	return distuv.StudentsT{Mu: 0, Sigma: 1, Nu: freedom}.Quantile((1 + level) / 2)
}

// Test is the difference of two means: its interval, and the two-sided p of no
// difference at all. P is NaN with too few values. Where the values of each pair
// differ by one and the same amount, T is infinite and P is 0.
type Test struct {
	Difference Interval
	T, P       float64
	Freedom    float64 // degrees of freedom
}

// Paired tests x[i] - y[i], for runs i that share their random numbers.
func Paired(x, y []float64, level float64) Test {
	differences := make([]float64, len(x))
	for i := range x {
		differences[i] = x[i] - y[i]
	}
	t := Test{Difference: Mean(differences, level), P: math.NaN(), T: math.NaN(), Freedom: float64(len(x) - 1)}
	if len(x) > 1 {
		t.judge(stat.StdDev(differences, nil) / math.Sqrt(float64(len(x))))
	}
	return t
}

// Welch tests the mean of x minus that of y, which are independent and may
// differ in variance (B. L. Welch, Biometrika 34, 1947).
func Welch(x, y []float64, level float64) Test {
	difference := stat.Mean(x, nil) - stat.Mean(y, nil)
	t := Test{Difference: Interval{difference, math.NaN(), math.NaN()}, P: math.NaN(), T: math.NaN(), Freedom: math.NaN()}
	if len(x) < 2 || len(y) < 2 {
		return t
	}
	n, m := float64(len(x)), float64(len(y))
	u, v := stat.Variance(x, nil)/n, stat.Variance(y, nil)/m
	t.Freedom = n + m - 2
	if u+v > 0 {
		t.Freedom = (u + v) * (u + v) / (u*u/(n-1) + v*v/(m-1))
	}
	half := studentQuantile(level, t.Freedom) * math.Sqrt(u+v)
	t.Difference.Lo, t.Difference.Hi = difference-half, difference+half
	t.judge(math.Sqrt(u + v))
	return t
}

// judge fills in T and P from the standard error of the difference.
func (t *Test) judge(standardError float64) {
	switch {
	case t.Difference.Estimate == 0:
		t.T, t.P = 0, 1
	case standardError == 0:
		t.T, t.P = math.Inf(1), 0
		if t.Difference.Estimate < 0 {
			t.T = math.Inf(-1)
		}
	default:
		t.T = t.Difference.Estimate / standardError
		t.P = 2 * distuv.StudentsT{Mu: 0, Sigma: 1, Nu: t.Freedom}.Survival(math.Abs(t.T))
	}
}

// A12 is the probability that a value of x is above one of y, equal ones counting
// half: 0.5 means no tendency (A. Vargha and H. Delaney, "A Critique and
// Improvement of the CL Common Language Effect Size Statistics", J. Educational
// and Behavioral Statistics 25, 2000). It is NaN if one of them is empty.
func A12(x, y []float64) float64 {
	var above float64
	for _, a := range x {
		for _, b := range y {
			switch {
			case a > b:
				above++
			case a == b:
				above += 0.5
			}
		}
	}
	return above / float64(len(x)*len(y))
}
