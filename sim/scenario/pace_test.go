package scenario_test

import (
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"dmasim/sim/scenario"
	"dmasim/workloads"
)

// paced has all that a churn can have.
const paced = `name: paced
duration: 20s
memory: [{base: 0x0, size: 64MiB}]
heaps:
  - {name: main, allocator: first-fit}
workloads:
  - name: work
    heap: main
    churn:
      every: {exponential: {mean: 10ms}}
      size: {empirical: {file: sizes.csv}}
      lifetime: {log_normal: {median: 1s, sigma: 1}}
      correlation: 0.5
      bursts: {on: {fixed: 2s}, off: {exponential: {mean: 1s}}}
      phases:
        - {for: 5s}
        - {for: 3s, rate: 2, rate_to: 0.5, lifetime: {fixed: 1s}}
        - {for: 2s, clients: [{name: camera, weight: 0}]}
      repeat: true
      clients:
        - {name: camera, weight: 2}
        - {name: display}
`

// histograms is a folder with a scenario and the histogram that it names.
func histograms(t *testing.T, text, sizes string) string {
	t.Helper()
	folder := t.TempDir()
	for name, content := range map[string]string{"s.yaml": text, "sizes.csv": sizes} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(content), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(folder, "s.yaml")
}

const sizes = "# counted\nlo,hi,count\n0,4096,10\n4KiB,64KiB,5.5\n1MiB,1MiB,2\n"

func TestPaced(t *testing.T) {
	file := histograms(t, paced, sizes)
	s, err := scenario.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	v := &s.Variants[0]
	if files := v.Files(); !reflect.DeepEqual(files, []string{filepath.Join(filepath.Dir(file), "sizes.csv")}) {
		t.Errorf("it depends on %v", files)
	}
	churn := v.Spec.Workloads[0].Churn
	bins := []workloads.Bin{{Lo: 0, Hi: 4096, Count: 10}, {Lo: 4096, Hi: 65536, Count: 5.5}, {Lo: 1 << 20, Hi: 1 << 20, Count: 2}}
	if !reflect.DeepEqual(churn.Clients[1].Size.Bins, bins) {
		t.Errorf("bins %v", churn.Clients[1].Size.Bins)
	}
	if *churn.Phases[0].RateTo != 1 || *churn.Phases[1].RateTo != 0.5 {
		t.Errorf("rates %v and %v", *churn.Phases[0].RateTo, *churn.Phases[1].RateTo)
	}

	// What a result keeps needs no file beside it, and gives the same work.
	resolved, err := s.Resolved(".")
	if err != nil {
		t.Fatal(err)
	}
	alone, err := scenario.Parse("elsewhere.yaml", resolved)
	if err != nil {
		t.Fatal(err)
	}
	if files := alone.Variants[0].Files(); len(files) > 0 {
		t.Errorf("the resolved scenario depends on %v", files)
	}
	build := func(v *scenario.Variant) []workloads.Op {
		config, err := v.Build(1)
		if err != nil {
			t.Fatal(err)
		}
		var ops []workloads.Op
		for len(ops) < 500 {
			op, ok := config.Inputs[0].Source.Next(nil)
			if !ok {
				t.Fatal(config.Inputs[0].Source.Err())
			}
			ops = append(ops, op)
		}
		return ops
	}
	ops := build(v)
	if !reflect.DeepEqual(ops, build(&alone.Variants[0])) {
		t.Error("the resolved scenario has other work")
	}
	clients := map[int]int{}
	for _, op := range ops {
		switch at := op.At % (10 * time.Second); {
		case at < 5*time.Second:
			clients[op.Client]++
		case at < 8*time.Second && op.Lifetime != time.Second:
			t.Fatalf("at %v a buffer lives for %v", op.At, op.Lifetime)
		case at > 8*time.Second && op.Client != 1:
			t.Fatalf("at %v client %d asks", op.At, op.Client)
		}
	}
	if clients[0] < clients[1] {
		t.Errorf("buffers by client: %v", clients)
	}
}

func TestPacedMistakes(t *testing.T) {
	for _, test := range []struct{ old, new, want string }{
		{"file: sizes.csv", "file: size.csv", "11:32: stat "},
		{"file: sizes.csv", "file: .", "11:32: "},
		{"file: sizes.csv", "flie: sizes.csv", `11:26: unknown key "flie" (did you mean "file"?)`},
		{"file: sizes.csv", `table: "lo,hi,count\n1,2,x"`, `11:33: line 2:5: want a count, not "x"`},
		{"file: sizes.csv", `table: "lo,hi,count\n1KiB,2kb,1"`, `11:33: line 2:6: size "2kb": unit "kb" is ambiguous, write KiB`},
		{"file: sizes.csv", `file: sizes.csv, table: "value,count\n1,1"`, `11:25: want either file or table`},
		{"file: sizes.csv", `at_most: 1MiB`, `11:25: want either file or table`},
		{"correlation: 0.5", "correlation: 1.5", "13:20: want a rank correlation from -1 to 1"},
		{"correlation: 0.5", "corelation: 0.5", `13:7: unknown key "corelation" (did you mean "correlation"?)`},
		{"off: {exp", "of: {exp", `14:15: missing key "off" (and 1 more)`},
		{", off: {exponential: {mean: 1s}}", "", `14:15: missing key "off"`},
		{"- {for: 5s}", "- {for: 0s}", "16:17: for must be more than 0"},
		{"- {for: 5s}", "- {rate: 1}", `16:11: missing key "for"`},
		{"rate: 2", "rate: -2", "17:27: a rate must not be negative"},
		{"rate_to: 0.5", "rate_to: -1", "17:39: a rate must not be negative"},
		{"[{name: camera,", "[{name: camra,", `18:38: the churn has no client "camra" (did you mean "camera"?)`},
		{"weight: 0}]", "weight: 0}, {name: display, weight: 0}]", `10:7: churn "work": phase 2: the weights of the clients sum to 0, want a number above 0`},
		{"every: {exponential: {mean: 10ms}}", "saturated: true", "10:18: saturated work has no arrivals that phases and bursts could change"},
		{"every: {exponential: {mean: 10ms}}", "ramp: {over: 1s}", "10:13: want either to or share"},
		{"every: {exponential: {mean: 10ms}}", "ramp: {over: 1s, share: 0.5, to: 3MiB}", "10:13: want either to or share"},
		{"every: {exponential: {mean: 10ms}}", "ramp: {over: 1s, share: -1}", "10:31: share must be more than 0"},
		{"every: {exponential: {mean: 10ms}}", "ramp: {share: 0.5}", `10:13: missing key "over"`},
		{"every: {exponential: {mean: 10ms}}", "ramp: {over: 1s, to: 3MiB}", `10:7: churn "work": ramp: phase 1 changes who arrives and with what, which a ramp does not reckon with: a rate is all it may have`},
		{"every: {exponential: {mean: 10ms}}", "every: {fixed: 1s}\n      ramp: {over: 1s, to: 3MiB}", "10:7: want one of every, ramp and saturated: true"},
		{"lifetime: {log_normal: {median: 1s, sigma: 1}}", "lifetime: {alpha_stable: {location: 1s, scale: 1s, alpha: 1.5, beta: 0}}",
			`10:7: churn "work": client 0: lifetime: alpha_stable has no quantiles, which a correlation needs`},
		{"every: {exponential: {mean: 10ms}}", "every: {binomial: {min: 1ms, step: 1ms, trials: 1.5, p: 0.5}}",
			"10:55: binomial distribution: trials: is 1.5, want a number without a fraction"},
	} {
		text := strings.Replace(paced, test.old, test.new, 1)
		if text == paced {
			t.Fatalf("the scenario does not hold %q", test.old)
		}
		_, err := scenario.Load(histograms(t, text, sizes))
		if err == nil || !strings.Contains(err.Error(), "s.yaml:"+test.want) {
			t.Errorf("%s:\n got %v\nwant s.yaml:%s", test.new, err, test.want)
		}
	}
	long := strings.Repeat("# hostile\n", 1<<14)
	if _, err := scenario.Load(histograms(t, paced, long)); err == nil || !strings.Contains(err.Error(), "a histogram has at most 65536 bytes") {
		t.Errorf("%v", err)
	}
	// Each client has what it inherits in a result, so many with a large one are too much.
	var clients, many strings.Builder
	for i := range 20 {
		clients.WriteString("        - {name: c" + string(rune('a'+i)) + "}\n")
	}
	many.WriteString("value,count\n")
	for i := range 4000 {
		many.WriteString(strconv.Itoa(1_000_000+i) + ",1\n")
	}
	if _, err := scenario.Load(histograms(t, paced+clients.String(), many.String())); err == nil || !strings.Contains(err.Error(), "s.yaml:1:1: with its histograms the scenario is too large") {
		t.Errorf("%v", err)
	}
}

func TestRampToShare(t *testing.T) {
	text := strings.Replace(paced, "every: {exponential: {mean: 10ms}}", "ramp: {over: 1s, share: 0.25}", 1)
	text = strings.Replace(text, "lifetime: {fixed: 1s}}", "}", 1)
	text = strings.Replace(text, "        - {for: 2s, clients: [{name: camera, weight: 0}]}\n", "", 1)
	s, err := scenario.Load(histograms(t, strings.Replace(text, "0.5, }", "0.5}", 1), sizes))
	if err != nil {
		t.Fatal(err)
	}
	if ramp := s.Variants[0].Spec.Workloads[0].Churn.Ramp; ramp.To != 16<<20 || ramp.Share != 0 {
		t.Errorf("ramp %+v, want to 16 MiB", ramp)
	}
	larger, err := s.Variants[0].With("memory.0.size", "128MiB")
	if err != nil {
		t.Fatal(err)
	}
	if ramp := larger.Spec.Workloads[0].Churn.Ramp; ramp.To != 32<<20 {
		t.Errorf("ramp %+v, want to 32 MiB", ramp)
	}
	system := `name: s
duration: 1s
memory: [{base: 0, size: 128MiB}]
machine: {}
heaps: [{name: system, kind: system}]
workloads: [{name: w, heap: system, churn: {ramp: {share: 0.5, over: 1s}, size: {fixed: 1MiB}, lifetime: {fixed: 1s}}}]
`
	if _, err := scenario.Parse("s.yaml", []byte(system)); err == nil || !strings.Contains(err.Error(), `s.yaml:6:59: heap "system" has no memory of its own to take a share of: write to: 64MiB`) {
		t.Errorf("%v", err)
	}
}

// TestSizeAndLifetime holds the scenario to what docs/workloads.md tells of it: the same
// occupancy is asked for, and work whose small buffers live long, or that comes in
// bursts, is refused more.
func TestSizeAndLifetime(t *testing.T) {
	s, err := scenario.Open("size-and-lifetime")
	if err != nil {
		t.Fatal(err)
	}
	share := map[string]float64{}
	for i := range s.Variants {
		c := produce(t, &s.Variants[i], 0)
		share[s.Variants[i].Name] = float64(c.failed()) / float64(c.requests)
	}
	for _, worse := range []string{"large-live-shorter", "bursts", "rise-and-fall"} {
		if share[worse] <= share["independent"] {
			t.Errorf("%s refuses %v, independent %v", worse, share[worse], share["independent"])
		}
	}
	if share["large-live-longer"] >= share["independent"] {
		t.Errorf("shares of refused requests: %v", share)
	}
}

// TestDocumentedDay: in the example of docs/workloads.md the camera films in one phase
// of each round.
func TestDocumentedDay(t *testing.T) {
	s, err := scenario.Load("../../docs/day.yaml")
	if err != nil {
		t.Fatal(err)
	}
	config, err := s.Variants[0].Build(1)
	if err != nil {
		t.Fatal(err)
	}
	filmed := 0
	for source := config.Inputs[0].Source; ; {
		op, ok := source.Next(nil)
		if !ok || op.At > 10*time.Minute {
			break
		}
		if op.Client == 0 {
			continue
		}
		filmed++
		if at := op.At % (210 * time.Second); at < 2*time.Minute || at > 150*time.Second {
			t.Fatalf("the camera asks at %v", op.At)
		}
	}
	// Three times 30 s of a rate of 50/s, two fifths of which are the camera's.
	if want := 3 * 30 * 50 * 0.4; math.Abs(float64(filmed)-want) > 5*math.Sqrt(want) {
		t.Errorf("the camera asks %d times, want %v", filmed, want)
	}
}
