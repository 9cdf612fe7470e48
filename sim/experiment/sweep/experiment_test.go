package sweep_test

import (
	"errors"
	"os"
	"reflect"
	"strings"
	"testing"

	"dmasim/sim/experiment/sweep"
	"dmasim/sim/scenario"
)

func load(t *testing.T) *sweep.Experiment {
	t.Helper()
	e, err := sweep.Load("testdata/load.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestCells(t *testing.T) {
	e := load(t)
	if want := 2 * 2 * 2 * 4; e.Points() != want || e.Cells() != 2*want {
		t.Fatalf("%d points, %d cells; want %d and %d", e.Points(), e.Cells(), want, 2*want)
	}
	first, second, last := e.Cell(0), e.Cell(1), e.Cell(e.Cells()-1)
	if first.Variant != "random" || first.Seed != 7 || second.Seed != 8 || second.Replication != 2 || !reflect.DeepEqual(first.Values, second.Values) {
		t.Errorf("replications: %+v, %+v", first, second)
	}
	if last.Variant != "regular" || last.Values[0] != "tlsf" || last.Values[1] != "1MiB" {
		t.Errorf("last: %+v", last)
	}
	// All combinations of what is listed, and of each the same sample.
	combined, drawn := map[string]int{}, map[string]int{}
	for i := range e.Cells() {
		c := e.Cell(i)
		if c.Index != i || c.Point != i/2 {
			t.Errorf("cell %d: %+v", i, c)
		}
		combined[c.Variant+c.Values[0]+c.Values[1]]++
		drawn[c.Values[2]+c.Values[3]]++
	}
	for of, counts := range map[int]map[string]int{8: combined, 4: drawn} {
		if len(counts) != of {
			t.Errorf("%d different, want %d: %v", len(counts), of, counts)
		}
		for what, n := range counts {
			if n != e.Cells()/of {
				t.Errorf("%s: %d cells, want %d", what, n, e.Cells()/of)
			}
		}
	}
}

// TestDocumented reads the experiments that the documentation shows.
func TestDocumented(t *testing.T) {
	if e, err := sweep.Load("../../../docs/window.yaml"); err != nil || e.Cells() != 80 {
		t.Error(err)
	}
	page, err := os.ReadFile("../../../docs/sweeps.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(page), "```yaml\n")
	text, _, _ = strings.Cut(text, "```")
	if e, err := sweep.Parse("docs.yaml", []byte(text)); err != nil || e.Points() != 2*3*20 {
		t.Error(err)
	}
}

func TestColumns(t *testing.T) {
	e := load(t)
	c := e.Cell(e.Cells() - 1)
	for i, want := range []struct {
		column string
		value  any
	}{{"strategy", "tlsf"}, {"memory_bytes", int64(1 << 20)}, {"granule_bytes", nil}, {"lifetime_s", nil}} {
		p := &e.Parameters[i]
		if got := p.Value(c.Values[i]); p.Column() != want.column || want.value != nil && got != want.value {
			t.Errorf("%s: %v (%T)", p.Column(), got, got)
		}
	}
	if s, ok := e.Parameters[3].Value("350ms").(float64); !ok || s != 0.35 {
		t.Errorf("350ms is %v", s)
	}
}

func TestMistakes(t *testing.T) {
	text, err := os.ReadFile("testdata/load.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ old, new, want string }{
		{"name: load", "nam: load", `1:1: unknown key "nam" (did you mean "name"?)`},
		{"name: load", "name: a b", `1:7: "a b" is not a name`},
		{"small.yaml", "smal", `2:11: no scenario file or embedded scenario "smal"`},
		{"small.yaml", "window-mx", `(did you mean "window-mix"?)`},
		{"replications: 2", "replications: 0", `3:15: want from 1 to 1000000 replications`},
		{"replications: 2", "replications: 1000000", `1:1: the experiment has more than 1000000 cells`},
		{"replications: 2", "warmup: 5s", `3:9: a warm-up of 5s leaves nothing of 5s`},
		{"replications: 2", "variants: [randm]", `3:12: unknown variant "randm" (did you mean "random"?)`},
		{"replications: 2", "variants: [random, random]", `variant "random" is named twice`},
		{"replications: 2", "variants: []", `want at least one variant`},
		{"heaps.main.allocator", "heaps.mian.allocator", `5:28: heaps has no "mian" (did you mean "main"?)`},
		{"heaps.main.allocator", "heaps.main.alocator", `5:28: unknown key "alocator" (did you mean "allocator"?)`},
		{"path: heaps.main.allocator", "paths: [heaps.main.allocator, heaps.x.y]", `5:52: heaps has no "x"`},
		{"path: heaps.main.allocator", "path: x, paths: [y]", `5:5: want either path or paths`},
		{"first-fit, tlsf", "first-fit, tlfs", `5:70: unknown allocator "tlfs" (did you mean "tlsf"?)`},
		{"values: [first-fit, tlsf]", "values: []", `want at least one value`},
		{"values: [first-fit, tlsf]", "values: [tlsf], choices: [tlsf]", `5:5: want one of values, range and choices`},
		{"8KiB, 1MiB", "1KiB, 1MiB", `7:50: nothing can be run with this: testdata/small.yaml:`},
		{"8KiB, 1MiB", "8KB, 1MiB", `7:50: size "8KB": unit "KB" is ambiguous`},
		{"[4KiB, 16KiB]", "[4KiB, 16K]", `8:63: size "16K"`},
		{"low: 100ms", "low: 100", `low, high and step have to be all numbers`},
		{"low: 100ms", "low: x", `want a number, a size like 4KiB or a time like 10ms, not "x"`},
		{"low: 100ms", "low: 0s", `low must be more than 0 on a logarithmic scale`},
		{"high: 1s", "high: 100ms", `high must be more than low`},
		{"step: 1ms", "step: 0s", `step must be more than 0`},
		{"scale: log", "scale: lin", `unknown scale "lin", want linear or log`},
		{"exponential.mean", "exponential.meen", `(did you mean "mean"?)`},
		{"name: granule", "name: strategy", `name "strategy" is taken`},
		{"name: strategy", "name: metric", `name "metric" is that of a column of the tables`},
		{"sample: {points: 4}", "", `ranges and choices are drawn: missing key "sample"`},
		{"points: 4", "points: 0", `want from 1 to 1000000 points`},
		{"points: 4", "points: 500001", `more than 1000000 cells (and 1 more)`},
		{"points: 4", "points: 4, method: hypercube", `unknown method "hypercube"`},
	} {
		changed := strings.Replace(string(text), c.old, c.new, 1)
		_, err := sweep.Parse("testdata/load.yaml", []byte(changed))
		var mistake *scenario.Error
		if !errors.As(err, &mistake) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s:\ngot  %v\nwant %s", c.new, err, c.want)
		}
	}
}

// FuzzParse: whatever the text, a mistake has a place in one line, and an
// experiment has cells within bounds.
func FuzzParse(f *testing.F) {
	text, err := os.ReadFile("testdata/load.yaml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(strings.Replace(string(text), "small.yaml", "window-mix", 1))
	f.Add("name: a\nscenario: window-mix\nvariants: [tlsf]\nparameters: [{name: s, path: duration, values: [1s, 2s]}]")
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Contains(text, "/") {
			return // other files of this machine
		}
		e, err := sweep.Parse("f.yaml", []byte(text))
		var mistake *scenario.Error
		switch {
		case errors.As(err, &mistake):
			if mistake.File == "f.yaml" && (mistake.Line < 1 || mistake.Column < 1) || strings.ContainsAny(err.Error(), "\n\r") {
				t.Fatalf("%v", err)
			}
		case err == nil:
			if e.Cells() < 1 || e.Cells() > sweep.MaxCells || e.Cell(e.Cells()-1).Point != e.Points()-1 {
				t.Fatalf("%d cells", e.Cells())
			}
		}
	})
}
