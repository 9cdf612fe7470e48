package fit

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"dmasim/workloads"
	"dmasim/workloads/trace"
)

// drawn has for each family one of its distributions.
var drawn = []workloads.Distribution{
	{Kind: "exponential", Parameters: map[string]float64{"mean": 5e6}},
	{Kind: "gamma", Parameters: map[string]float64{"mean": 5e6, "shape": 4}},
	{Kind: "gumbel_right", Parameters: map[string]float64{"location": 5e6, "scale": 1e6}},
	{Kind: "hyper_exponential", Parameters: map[string]float64{"mean": 5e6, "cv": 3}},
	{Kind: "inverse_gamma", Parameters: map[string]float64{"scale": 1e7, "shape": 3}},
	{Kind: "laplace", Parameters: map[string]float64{"location": 5e6, "scale": 1e6}},
	{Kind: "log_normal", Parameters: map[string]float64{"median": 5e6, "sigma": 1.5}},
	{Kind: "log_uniform", Parameters: map[string]float64{"min": 1e4, "max": 5e6}},
	{Kind: "logistic", Parameters: map[string]float64{"location": 5e6, "scale": 1e6}},
	{Kind: "normal", Parameters: map[string]float64{"mean": 5e6, "sd": 1e6}},
	{Kind: "pareto", Parameters: map[string]float64{"min": 1e6, "shape": 2.5}},
	{Kind: "students_t", Parameters: map[string]float64{"location": 5e6, "scale": 1e5, "degrees": 2}},
	{Kind: "uniform", Parameters: map[string]float64{"min": 1e6, "max": 5e6}},
	{Kind: "weibull", Parameters: map[string]float64{"scale": 5e6, "shape": 0.6}},
}

// of returns the one of a kind.
func of(kind string) workloads.Distribution {
	return drawn[slices.IndexFunc(drawn, func(d workloads.Distribution) bool { return d.Kind == kind })]
}

func draw(t *testing.T, d workloads.Distribution, n int) []float64 {
	s, err := d.Sampler(rand.NewPCG(1, 2))
	if err != nil {
		t.Fatal(err)
	}
	values := make([]float64, n)
	for i := range values {
		values[i] = float64(s.Duration())
	}
	return values
}

// TestFamiliesFindThemselves draws from every family, as churns do, and expects it
// back with parameters nearby.
func TestFamiliesFindThemselves(t *testing.T) {
	if len(drawn) != len(families) {
		t.Fatal("a family is not tested")
	}
	for i, d := range drawn {
		if d.Kind != families[i].kind {
			t.Fatalf("the test of %s is missing", families[i].kind)
		}
		f, err := Choose(Sample{Values: draw(t, d, 3000)})
		if err != nil || f.Chosen.Empirical {
			t.Fatal(err, f)
		}
		// A family that has this one as a case may be ahead by chance, by little.
		own := f.Candidates[slices.IndexFunc(f.Candidates, func(c Candidate) bool { return c.Distribution.Kind == d.Kind })]
		if own.KS > 0.03 || own.AIC > f.Chosen.AIC+4 {
			t.Errorf("%+v: %+v, chosen %+v", d, own, f.Chosen)
		}
		for name, want := range d.Parameters {
			if got := own.Distribution.Parameters[name]; math.Abs(got-want) > 0.12*want {
				t.Errorf("%s: %s is %v, want %v", d.Kind, name, got, want)
			}
		}
	}
}

// TestCensoredLifetimes cuts off long values: the estimate stays near the truth,
// which that of the values alone would miss by far.
func TestCensoredLifetimes(t *testing.T) {
	for _, kind := range []string{"exponential", "gamma", "weibull"} {
		d := of(kind)
		var s Sample
		limits := rand.New(rand.NewPCG(3, 4))
		for _, v := range draw(t, d, 3000) {
			if limit := math.Round(limits.Float64() * 1e7); v > limit {
				s.Censored = append(s.Censored, limit)
			} else {
				s.Values = append(s.Values, v)
			}
		}
		f, err := Choose(s)
		if err != nil || len(s.Censored) < 500 {
			t.Fatal(err, len(s.Censored))
		}
		j := slices.IndexFunc(f.Candidates, func(c Candidate) bool { return c.Distribution.Kind == d.Kind })
		c := f.Candidates[j]
		if got, want := c.Distribution.Mean(), d.Mean(); math.Abs(got-want) > 0.1*want || c.KS > 0.05 {
			t.Errorf("%s: mean %v, want %v; KS %v", d.Kind, got, want, c.KS)
		}
	}
}

func TestKaplanMeier(t *testing.T) {
	// Lawless, "Statistical Models and Methods for Lifetime Data", 2nd edition,
	// example 1.1.7 (Gehan's leukemia data, treated): the estimate by hand.
	p := newPoints(Sample{
		Values:   []float64{6, 6, 6, 7, 10, 13, 16, 22, 23},
		Censored: []float64{6, 9, 10, 11, 17, 19, 20, 25, 32, 32, 34, 35},
	})
	want := map[float64]float64{6: 0.857, 7: 0.807, 10: 0.753, 13: 0.690, 16: 0.627, 22: 0.538, 23: 0.448}
	for _, q := range p.list {
		if q.seen > 0 && math.Abs(q.survival-want[q.value]) > 0.0006 {
			t.Errorf("survival of %v is %.4f, want %v", q.value, q.survival, want[q.value])
		}
	}
}

func TestSpecialSamples(t *testing.T) {
	repeat := func(n int, values ...float64) []float64 { return slices.Repeat(values, n) }
	two := draw(t, of("normal"), 500)
	for _, v := range draw(t, of("normal"), 500) {
		two = append(two, v*1000)
	}
	for _, test := range []struct {
		name      string
		sample    Sample
		kind      string
		empirical bool
	}{
		{"always the same", Sample{Values: repeat(9, 4096)}, "fixed", false},
		{"a few sizes", Sample{Values: repeat(50, 4096, 8192, 1<<20, 4096)}, "choice", false},
		{"all at once", Sample{Values: repeat(9, 0)}, "fixed", false},
		{"two humps", Sample{Values: two}, "empirical", true},
		{"one value", Sample{Values: []float64{7}}, "fixed", false},
		{"two values", Sample{Values: []float64{7, 1000}}, "uniform", false},
	} {
		f, err := Choose(test.sample)
		if err != nil || f.Chosen.Distribution.Validate() != nil || f.Chosen.Empirical != test.empirical {
			t.Errorf("%s: %v, %+v", test.name, err, f.Chosen)
		} else if test.name != "two values" && f.Chosen.Distribution.Kind != test.kind {
			t.Errorf("%s: %+v", test.name, f.Chosen)
		}
		if c := f.Chosen; len(c.Distribution.Choices) > maxChoices+1 || len(c.Distribution.Bins) > 2*maxBins+1 || test.empirical && c.KS > 2.0/maxBins {
			t.Errorf("%s: %+v", test.name, c)
		}
	}
	if _, err := Choose(Sample{Censored: []float64{1}}); err != ErrNothing {
		t.Error(err)
	}
}

// TestRead fits a churn to what one made.
func TestRead(t *testing.T) {
	var text strings.Builder
	text.WriteString("time_ns,event,buffer,size\n")
	churn, err := workloads.NewChurn(workloads.ChurnConfig{
		Name: "x", Seed: 1, Count: 4000, Interarrival: of("exponential"), Lifetime: of("weibull"), Correlation: 0.5,
		Size: workloads.Distribution{Kind: "choice", Choices: []workloads.Choice{{Value: 4096, Weight: 3}, {Value: 1 << 20, Weight: 1}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	type row struct {
		at   int64
		text string
	}
	var rows []row
	for op, ok := churn.Next(nil); ok; op, ok = churn.Next(nil) {
		if op.At > 14.9e9 {
			break
		}
		rows = append(rows, row{int64(op.At), fmt.Sprintf("%d,alloc,%d,%d\n", op.At, op.Buffer, op.Size)})
		if end := op.At + op.Lifetime; end <= 14.9e9 { // those beyond are censored
			rows = append(rows, row{int64(end), fmt.Sprintf("%d,free,%d,\n", end, op.Buffer)})
		}
	}
	slices.SortStableFunc(rows, func(a, b row) int { return int(a.at - b.at) })
	for _, r := range rows {
		text.WriteString(r.text)
	}
	r, err := trace.NewReader(strings.NewReader(text.String()), "x", trace.Options{})
	if err != nil {
		t.Fatal(err)
	}
	w, err := Read(r, 1)
	if err != nil || w.Requests < 2800 {
		t.Fatal(err, w)
	}
	if math.Abs(w.Between.Chosen.Distribution.Mean()-5e6) > 3e5 || w.Between.Chosen.KS > 0.03 || w.Lifetime.Chosen.Distribution.Kind != "weibull" || w.Lifetime.Censored == 0 {
		t.Errorf("%+v, %+v", w.Between.Chosen, w.Lifetime.Chosen)
	}
	// Sizes of which there are two correlate less than what they are made of.
	if !w.Correlated || w.Correlation < 0.3 || w.Correlation > 0.5 || w.Pairs != w.Lifetime.Seen {
		t.Errorf("correlation %v of %d pairs", w.Correlation, w.Pairs)
	}
	if c := w.Size.Chosen.Distribution.Choices; len(c) != 2 || math.Abs(c[0].Weight-0.75) > 0.02 {
		t.Errorf("%+v", w.Size.Chosen)
	}
}

func TestSpearman(t *testing.T) {
	// Kendall and Gibbons: without ties it is 1-6Σd²/(n³-n).
	a := []float64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}
	b := []float64{20, 10, 40, 30, 60, 50, 80, 70, 100, 90}
	if rho, significant := spearman(a, b); math.Abs(rho-(1-60.0/990)) > 1e-12 || significant {
		t.Errorf("%v, %v", rho, significant)
	}
	if rho, significant := spearman(slices.Repeat([]float64{1, 2}, 50), slices.Repeat([]float64{7, 3}, 50)); math.Abs(rho+1) > 1e-12 || !significant {
		t.Errorf("%v, %v", rho, significant)
	}
	for _, few := range [][]float64{nil, slices.Repeat([]float64{4}, 50)} {
		if rho, significant := spearman(few, few); rho != 0 || significant {
			t.Errorf("%v, %v", rho, significant)
		}
	}
	if got := ranks([]float64{5, 1, 5, 7}); !slices.Equal(got, []float64{1.5, 0, 1.5, 3}) {
		t.Errorf("ranks %v", got)
	}
}

// TestBins makes sizes in whole pages again when they are rounded up.
func TestBins(t *testing.T) {
	l := list{values: []float64{4096, 8192, 12288, 1 << 20}, shares: []float64{0.5, 0.009, 0.009, 0.482}}
	want := []workloads.Bin{{Lo: 4096, Hi: 4096, Count: 5e5}, {Lo: 4096, Hi: 12288, Count: 18000}, {Lo: 1 << 20, Hi: 1 << 20, Count: 482000}}
	if got := l.bins(4096); !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}
