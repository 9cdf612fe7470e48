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
	{Kind: "hyper_exponential", Parameters: map[string]float64{"mean": 5e6, "cv": 3}},
	{Kind: "log_normal", Parameters: map[string]float64{"median": 5e6, "sigma": 1.5}},
	{Kind: "log_uniform", Parameters: map[string]float64{"min": 1e4, "max": 5e6}},
	{Kind: "normal", Parameters: map[string]float64{"mean": 5e6, "sd": 1e6}},
	{Kind: "pareto", Parameters: map[string]float64{"min": 1e6, "shape": 2.5}},
	{Kind: "uniform", Parameters: map[string]float64{"min": 1e6, "max": 5e6}},
	{Kind: "weibull", Parameters: map[string]float64{"scale": 5e6, "shape": 0.6}},
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
	for _, i := range []int{0, 1, 8} {
		d := drawn[i]
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
	two := draw(t, drawn[5], 500)
	for _, v := range draw(t, drawn[5], 500) {
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
		{"two humps", Sample{Values: two}, "choice", true},
		{"one value", Sample{Values: []float64{7}}, "fixed", false},
		{"two values", Sample{Values: []float64{7, 1000}}, "uniform", false},
	} {
		f, err := Choose(test.sample)
		if err != nil || f.Chosen.Distribution.Validate() != nil || f.Chosen.Empirical != test.empirical {
			t.Errorf("%s: %v, %+v", test.name, err, f.Chosen)
		} else if test.name != "two values" && f.Chosen.Distribution.Kind != test.kind {
			t.Errorf("%s: %+v", test.name, f.Chosen)
		}
		if len(f.Chosen.Distribution.Choices) > maxChoices+1 {
			t.Errorf("%s: %d choices", test.name, len(f.Chosen.Distribution.Choices))
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
		Name: "x", Seed: 1, Count: 4000, Interarrival: drawn[0], Lifetime: drawn[8],
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
		if op.At > 15e9 {
			break
		}
		rows = append(rows, row{int64(op.At), fmt.Sprintf("%d,alloc,%d,%d\n", op.At, op.Buffer, op.Size)})
		if end := op.At + op.Lifetime; end <= 15e9 { // those beyond are censored
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
	if c := w.Size.Chosen.Distribution.Choices; len(c) != 2 || math.Abs(c[0].Weight-0.75) > 0.02 {
		t.Errorf("%+v", w.Size.Chosen)
	}
}
