package stats_test

import (
	"fmt"
	"math"
	"testing"

	"pgregory.net/rapid"

	"dmasim/sim/experiment/stats"
)

// near reports whether got is want to six decimals, or six digits.
func near(got, want float64) bool {
	return math.Abs(got-want) <= 6e-7*max(1, math.Abs(want)) || (math.IsNaN(got) && math.IsNaN(want))
}

func check(t *testing.T, what string, got, want float64) {
	t.Helper()
	if !near(got, want) {
		t.Errorf("%s = %.8g, want %.8g", what, got, want)
	}
}

func TestMean(t *testing.T) {
	got := stats.Mean([]float64{12, 15, 11, 14, 13}, 0.95)
	check(t, "mean", got.Estimate, 13)
	check(t, "half-width", got.HalfWidth(), 1.963243)
	if one := stats.Mean([]float64{3}, 0.95); one.Estimate != 3 || !math.IsNaN(one.Lo) {
		t.Errorf("mean of one value = %v", one)
	}
	for freedom, want := range map[int]float64{1: 12.706205, 2: 4.302653, 4: 2.776445, 9: 2.262157, 19: 2.093024, 29: 2.045230, 99: 1.984217} {
		x := make([]float64, freedom+1)
		x[0] = 1 // mean 1/n, standard error 1/n
		check(t, fmt.Sprintf("t with %d degrees of freedom", freedom), stats.Mean(x, 0.95).HalfWidth()*float64(freedom+1), want)
	}
}

func TestRunsNeeded(t *testing.T) {
	// Ten values with a deviation of 20.
	x := make([]float64, 10)
	for i := range x {
		x[i] = 20 * math.Sqrt(0.9) * float64(1-2*(i%2))
	}
	if got := stats.RunsNeeded(x, 5, 0.95); got != 82 {
		t.Errorf("runs needed = %d, want 82", got)
	}
	if got := stats.RunsNeeded(x, 0, 0.95); got != math.MaxInt {
		t.Errorf("runs needed for no width = %d", got)
	}
}

func TestShares(t *testing.T) {
	for _, c := range []struct {
		name   string
		got    stats.Interval
		lo, hi float64
	}{
		{"Wilson 3/30", stats.Wilson(3, 30, 0.95), 0.034600, 0.256211},
		{"Wilson 0/30", stats.Wilson(0, 30, 0.95), 0, 0.113513},
		{"Clopper-Pearson 3/30", stats.ClopperPearson(3, 30, 0.95), 0.021117, 0.265288},
		{"Clopper-Pearson 0/30", stats.ClopperPearson(0, 30, 0.95), 0, 0.115703},
		{"Clopper-Pearson 1/1000", stats.ClopperPearson(1, 1000, 0.95), 2.53e-5, 0.005559},
	} {
		check(t, c.name+" low", c.got.Lo, c.lo)
		check(t, c.name+" high", c.got.Hi, c.hi)
	}
}

func TestDifferences(t *testing.T) {
	x, y := []float64{10, 12, 9, 14, 11}, []float64{8, 11, 9, 12, 10}
	paired := stats.Paired(x, y, 0.95)
	check(t, "paired difference", paired.Difference.Estimate, 1.2)
	check(t, "paired t", paired.T, 3.207135)
	check(t, "paired p", paired.P, 0.032678)
	check(t, "paired low", paired.Difference.Lo, 0.161149)
	check(t, "paired high", paired.Difference.Hi, 2.238851)
	welch := stats.Welch(x, y, 0.95)
	check(t, "Welch t", welch.T, 1.077632)
	check(t, "Welch freedom", welch.Freedom, 7.711133)
	check(t, "Welch p", welch.P, 0.313752)
	check(t, "A12", stats.A12(x, y), 0.68)

	if same := stats.Paired(x, x, 0.95); same.P != 1 || same.Difference.HalfWidth() != 0 {
		t.Errorf("no difference: %+v", same)
	}
	shifted := stats.Paired([]float64{1, 2, 3}, []float64{2, 3, 4}, 0.95)
	if shifted.P != 0 || !math.IsInf(shifted.T, -1) {
		t.Errorf("one and the same difference: %+v", shifted)
	}
	if one := stats.Paired([]float64{1}, []float64{2}, 0.95); !math.IsNaN(one.P) {
		t.Errorf("one pair: %+v", one)
	}
}

func TestHolm(t *testing.T) {
	got := stats.Holm([]float64{0.021, 0.001, math.NaN(), 0.2, 0.013, 0.04})
	for i, want := range []float64{0.063, 0.005, math.NaN(), 0.2, 0.052, 0.08} {
		check(t, fmt.Sprint("p ", i), got[i], want)
	}
}

// Holm's p are at least the raw ones, at most 1, and in the same order.
func TestHolmProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := rapid.SliceOf(rapid.Float64Range(0, 1)).Draw(t, "p")
		adjusted := stats.Holm(p)
		for i := range p {
			if adjusted[i] < p[i] || adjusted[i] > 1 {
				t.Fatalf("p %v became %v", p[i], adjusted[i])
			}
			for j := range p {
				if p[i] < p[j] && adjusted[i] > adjusted[j] {
					t.Fatalf("%v < %v became %v > %v", p[i], p[j], adjusted[i], adjusted[j])
				}
			}
		}
	})
}

func TestMSER(t *testing.T) {
	one := []float64{0, 4, 7, 9, 10, 11, 9, 10, 12, 10, 9, 11, 10, 8, 10, 11, 9, 10, 12, 10}
	var five, rising []float64
	for _, mean := range []float64{1, 5, 9, 10, 10, 10, 10, 10, 10, 10} {
		for _, noise := range []float64{-2, -1, 0, 1, 2} {
			five = append(five, mean+noise)
		}
	}
	for i := range 40 {
		rising = append(rising, float64(i))
	}
	for _, c := range []struct {
		name  string
		x     []float64
		batch int
		want  stats.WarmUp
	}{
		{"single values", one, 1, stats.WarmUp{Drop: 3}},
		{"batches of five", five, 5, stats.WarmUp{Drop: 15}},
		{"constant", make([]float64, 50), 5, stats.WarmUp{}},
		{"never settles", rising, 1, stats.WarmUp{Drop: 20, TooShort: true}},
		{"next to nothing", one[:5], 5, stats.WarmUp{TooShort: true}},
	} {
		if got := stats.MSER(c.x, c.batch); got != c.want {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
	}
}

// The remission times of Freireich et al., Blood 21 (1963), in weeks.
var (
	mercaptopurine = append(failed(6, 6, 6, 7, 10, 13, 16, 22, 23), censored(6, 9, 10, 11, 17, 19, 20, 25, 32, 32, 34, 35)...)
	placebo        = failed(1, 1, 2, 2, 3, 4, 4, 5, 5, 8, 8, 8, 8, 11, 11, 12, 12, 15, 17, 22, 23)
)

func failed(times ...float64) []stats.Lifetime {
	var list []stats.Lifetime
	for _, t := range times {
		list = append(list, stats.Lifetime{Time: t})
	}
	return list
}

func censored(times ...float64) []stats.Lifetime {
	list := failed(times...)
	for i := range list {
		list[i].Censored = true
	}
	return list
}

func TestKaplanMeier(t *testing.T) {
	curve := stats.KaplanMeier(mercaptopurine, 0.95)
	want := []float64{.857143, .806723, .752941, .690196, .627451, .537815, .448179}
	if len(curve) != len(want) {
		t.Fatalf("%d steps, want %d", len(curve), len(want))
	}
	for i, s := range curve {
		check(t, fmt.Sprintf("survival at %v", s.Time), s.Survival, want[i])
		if !(s.Lo < s.Survival && s.Survival < s.Hi && s.Lo > 0 && s.Hi < 1) {
			t.Errorf("band at %v: %v to %v around %v", s.Time, s.Lo, s.Hi, s.Survival)
		}
	}
	check(t, "standard error at 6", curve[0].StandardError, .076360)
	check(t, "survival at 5.9", curve.At(5.9), 1)
	check(t, "survival at 6", curve.At(6), .857143)
}

func TestLogRank(t *testing.T) {
	got := stats.LogRank(mercaptopurine, placebo)
	if got.Observed != 9 {
		t.Errorf("observed %d, want 9", got.Observed)
	}
	check(t, "expected", got.Expected, 19.250501)
	check(t, "variance", got.Variance, 6.256961)
	check(t, "χ²", got.ChiSquared, 16.792941)
	if math.Abs(got.P-4.1688e-5) > 1e-9 {
		t.Errorf("p = %v, want 4.1688e-5", got.P)
	}
	a := append(failed(3, 5, 8), censored(5, 10)...)
	b := append(failed(2, 4, 4, 7), censored(6)...)
	small := stats.LogRank(a, b)
	check(t, "small χ²", small.ChiSquared, 1.408111)
	check(t, "small p", small.P, 0.235370)
	check(t, "restricted mean of a", stats.KaplanMeier(a, 0.95).RestrictedMean(8), 6.4)
	check(t, "restricted mean of b", stats.KaplanMeier(b, 0.95).RestrictedMean(8), 4.8)
	if none := stats.LogRank(censored(1, 2), censored(3)); !math.IsNaN(none.P) {
		t.Errorf("nothing failed: %+v", none)
	}
}

// Without censoring before the horizon, the restricted mean is that of the times,
// each counted up to there: what makes paired differences of it a paired t-test.
func TestRestrictedMeanIsMeanOfRestrictedTimes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const horizon = 10.0
		times := rapid.SliceOfN(rapid.Float64Range(0, 20), 1, 30).Draw(t, "times")
		var lifetimes []stats.Lifetime
		var want float64
		for _, v := range times {
			want += min(v, horizon) / float64(len(times))
			lifetimes = append(lifetimes, stats.Lifetime{Time: min(v, horizon), Censored: v > horizon})
		}
		if got := stats.KaplanMeier(lifetimes, 0.95).RestrictedMean(horizon); math.Abs(got-want) > 1e-9 {
			t.Fatalf("restricted mean = %v, want %v", got, want)
		}
	})
}

func Example() {
	firstFit, bestFit := []float64{10, 12, 9, 14, 11}, []float64{8, 11, 9, 12, 10}
	test := stats.Paired(firstFit, bestFit, 0.95) // the same five seeds
	fmt.Printf("%.1f (%.2f to %.2f), p = %.3f\n", test.Difference.Estimate, test.Difference.Lo, test.Difference.Hi, test.P)
	// Output: 1.2 (0.16 to 2.24), p = 0.033
}
