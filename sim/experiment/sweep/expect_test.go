package sweep_test

import (
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	_ "dmasim/allocator/kernel" // strategies that experiments name
	"dmasim/sim/experiment/sweep"
	"dmasim/sim/scenario"
)

// Of 8 runs, one in 2,000 is off by more than 6 standard errors (Student's t).
const (
	fewRuns     = 8
	errorsOfFew = 6
)

// TestReproduced runs every embedded experiment with a few of its replications: theirs
// and ours have to agree within what so few runs allow.
func TestReproduced(t *testing.T) {
	for _, name := range sweep.Names() {
		t.Run(name, func(t *testing.T) {
			e, err := sweep.Open(name)
			if err != nil {
				t.Fatal(err)
			}
			if !e.Expects() || e.Description == "" {
				t.Fatal("does not say what it is about, or what should come of it")
			}
			if testing.Short() && e.Cells() > 100 {
				t.Skip("has many runs")
			}
			t.Parallel()
			e.Replications = max(fewRuns, e.Replications/20)
			for _, c := range whole(t, e).Checks() {
				if !c.Agrees && c.Sign == "" && math.Abs(c.Off) > errorsOfFew || c.Runs != e.Replications {
					t.Errorf("%s at %s: %v in %d runs, expected %v", c.Metric, c.Point, c.Ours, c.Runs, c.Expected)
				}
				if c.Sign == "positive" && c.Ours.Estimate <= 0 || c.Sign == "negative" && c.Ours.Estimate >= 0 {
					t.Errorf("%s at %s: %v, expected %s", c.Metric, c.Point, c.Ours, c.Sign)
				}
			}
		})
	}
}

const expected = `
name: expected
scenario: small.yaml
variants: [random]
replications: 3
parameters: [{name: allocator, path: heaps.main.allocator, values: [first-fit, tlsf]}]
expect:
  - source: nobody
    metric: failed
    tolerance: 1
    values:
      - {at: {allocator: first-fit}, value: 0.5}
      - {at: {variant: random, allocator: tlsf}, minus: {allocator: first-fit}, value: 0, error: 0.5}
  - source: nobody
    metric: failed
    above: 2
    values: [{at: {allocator: tlsf}, value: 0}]
  - source: nobody
    metric: used
    values:
      - {at: {allocator: tlsf}, value: 2}
      - {at: {allocator: tlsf}, sign: positive}
      - {at: {allocator: tlsf}, sign: negative}
  - source: nobody
    metric: missing
    values: [{at: {allocator: tlsf}, value: 0}]
`

func parseExpected(text string) (*sweep.Experiment, error) {
	return sweep.Parse("testdata/expected.yaml", []byte(text))
}

func TestChecks(t *testing.T) {
	e, err := parseExpected(expected)
	if err != nil {
		t.Fatal(err)
	}
	checks := whole(t, e).Checks()
	for i, want := range []struct {
		point  string
		runs   int
		agrees bool
	}{
		{"first-fit", 3, true}, {"tlsf - first-fit", 3, true}, {"tlsf", 3, true},
		{"tlsf", 3, false}, {"tlsf", 3, true}, {"tlsf", 3, false}, {"tlsf", 0, false},
	} {
		if c := checks[i]; c.Point != want.point || c.Runs != want.runs || c.Agrees != want.agrees {
			t.Errorf("check %d: %+v, want %+v", i, c, want)
		}
	}
	if c := checks[2]; c.Above != "2" || c.Unit != "share" || c.Ours.Estimate != 0 {
		t.Errorf("above: %+v", c)
	}
	// Without cells nothing agrees.
	r, err := e.Collect(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range r.Checks() {
		if c.Agrees || c.Runs != 0 || !math.IsNaN(c.Ours.Estimate) {
			t.Errorf("without runs: %+v", c)
		}
	}
}

func TestExpectMistakes(t *testing.T) {
	for _, c := range []struct{ old, new, want string }{
		{"at: {allocator: first-fit}", "at: {alocator: first-fit}", `no parameter "alocator" (did you mean "allocator"?)`},
		{"at: {allocator: first-fit}", "at: {allocator: best-fit}", `no point has allocator "best-fit"`},
		{"at: {allocator: first-fit}", "at: {}", `2 points are like this: name more of variant, allocator`},
		{"value: 0.5}", "value: 0.5, sign: positive}", "want either value or sign"},
		{", value: 0.5}", "}", "want either value or sign"},
		{"sign: negative", "sign: negativ", `unknown sign "negativ"`},
		{"tolerance: 1", "tolerance: -1", "a tolerance must not be negative"},
		{"error: 0.5", "error: -0.5", "an error must not be negative"},
		{"above: 2", "above: much", `want a number, a size`},
	} {
		_, err := parseExpected(strings.Replace(expected, c.old, c.new, 1))
		var mistake *scenario.Error
		if !errors.As(err, &mistake) || mistake.Line == 0 || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", c.new, err, c.want)
		}
	}
}

// TestFind tells files, results and embedded experiments apart.
func TestFind(t *testing.T) {
	if _, err := sweep.Find("reproduce/erlng"); err == nil || !strings.Contains(err.Error(), `did you mean "reproduce/erlang"`) {
		t.Error(err)
	}
	if _, err := sweep.Find("absent.yaml"); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	if _, err := sweep.Find(t.TempDir()); err == nil {
		t.Error("an empty directory is an experiment")
	}
	if e, err := sweep.Find(filepath.Join("testdata", "load.yaml")); err != nil || e.Name != "load" {
		t.Error(err)
	}
}
