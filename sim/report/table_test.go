package report_test

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"dmasim/allocator"
	"dmasim/mem"
	"dmasim/sim/metrics"
	"dmasim/sim/report"
	"dmasim/sim/result"
)

func TestFirstFailure(t *testing.T) {
	base := metrics.Failure{At: 12345 * time.Millisecond, Client: "cedar", Heap: "dram", Size: 3250585, Reserve: 3250585,
		Free: 412 * mem.MiB, InReach: 2 * mem.MiB, Largest: 1258291, Polluted: 251 * mem.MiB}
	polluted := "; 251MiB of the window held by buffers that don't need it)"
	for _, test := range []struct {
		cause allocator.Cause
		edit  func(*metrics.Failure)
		want  string // after the start of the sentence
	}{
		{allocator.WindowFull, nil, "3.1MiB; 412MiB were free, 2MiB of it in its reach (largest run 1.2MiB) (cause: window" + polluted},
		{allocator.WindowFull, func(f *metrics.Failure) { f.InReach, f.Largest, f.Polluted = 0, 0, 0 },
			"3.1MiB; 412MiB were free, none of it in its reach (cause: window)"},
		{allocator.WindowFull, func(f *metrics.Failure) { f.Reserve = 4 * mem.MiB },
			"3.1MiB (4MiB with padding and rounding); 412MiB were free, 2MiB of it in its reach (largest run 1.2MiB) (cause: window" + polluted},
		{allocator.Exhausted, nil, "3.1MiB; only 412MiB were free in dram (cause: exhausted)"},
		{allocator.Fragmented, nil, "3.1MiB; 412MiB were free, 2MiB of it in its reach, in runs of at most 1.2MiB (cause: fragmented" + polluted},
		{allocator.Fragmented, func(f *metrics.Failure) { f.InReach, f.Polluted = f.Free, 0 },
			"3.1MiB; 412MiB were free, all in its reach, in runs of at most 1.2MiB (cause: fragmented)"},
		{allocator.Alignment, nil, "3.1MiB; 412MiB were free, 2MiB of it in its reach, but no run (largest run 1.2MiB) had an aligned start for it (cause: alignment" + polluted},
		{allocator.Boundary, nil, "3.1MiB; 412MiB were free, 2MiB of it in its reach, but from every aligned start (largest run 1.2MiB) it would cross a boundary (cause: boundary" + polluted},
		{allocator.RuleBroken, nil, "3.1MiB; 412MiB were free, 2MiB of it in its reach, but a rule of its devices left no start (largest run 1.2MiB) (cause: rule" + polluted},
		{allocator.Segments, nil, "3.1MiB; 412MiB were free, 2MiB of it in its reach, but in too many pieces (largest run 1.2MiB) (cause: segments" + polluted},
		{allocator.Policy, nil, "3.1MiB; 412MiB were free, 2MiB of it in its reach, but the allocator did not look where a legal place was (largest run 1.2MiB) (cause: policy" + polluted},
		{allocator.Unreachable, nil, "3.1MiB; it was placed where its devices cannot reach; 412MiB were free, 2MiB of it in its reach (largest run 1.2MiB) (cause: unreachable" + polluted},
		{allocator.Permission, nil, "3.1MiB; it may not use the heap dram (cause: permission)"},
		{allocator.Limit, nil, "3.1MiB; a limit would have been passed, though 412MiB were free (cause: limit)"},
		{allocator.Busy, nil, "3.1MiB; the pages in its place could not be moved then (cause: busy)"},
		{allocator.Pinned, nil, "3.1MiB; the pages in its place can never be moved (cause: pinned)"},
		{allocator.IOVA, nil, "3.1MiB; of its device's addresses 412MiB were free, in runs of at most 1.2MiB (cause: iova)"},
		{allocator.Bounce, nil, "3.1MiB; a piece of it, 3.1MiB, is longer than the 256KiB that can be bounced, though 412MiB of bounce buffers were free (cause: bounce)"},
	} {
		f := base
		f.Cause = test.cause
		if test.edit != nil {
			test.edit(&f)
		}
		want := "others-low: first failure at 12.3s: cedar asked for " + test.want
		if got := report.FirstFailure(failing("others-low", f)); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

// failing is a result in which a variant failed.
func failing(variant string, f metrics.Failure) *result.Result {
	return &result.Result{Variants: []result.Variant{{Name: variant, Run: metrics.Run{Summary: metrics.Summary{First: &f}}}}}
}

func TestFirstFailureIsTheEarliest(t *testing.T) {
	r := &result.Result{Variants: []result.Variant{{Name: "fine"}}}
	if got, want := report.FirstFailure(r), "no request failed"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	for _, at := range []time.Duration{3, 2, 4, 2} {
		r.Variants = append(r.Variants, failing(fmt.Sprintf("v%d", len(r.Variants)), metrics.Failure{At: at, Client: "c"}).Variants...)
	}
	if got, want := report.FirstFailure(r), "v2: first failure at 2ns: "; !strings.HasPrefix(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// Every cause has words of its own.
func TestFirstFailureKnowsEveryCause(t *testing.T) {
	seen := make(map[string]allocator.Cause)
	for _, c := range allocator.Causes() {
		f := metrics.Failure{Client: "c", Cause: c, Free: 3, InReach: 2, Largest: 1}
		text := report.FirstFailure(failing("v", f))
		text, _, _ = strings.Cut(text, " (cause:")
		if other, ok := seen[text]; ok {
			t.Errorf("%v and %v read the same: %s", c, other, text)
		}
		seen[text] = c
	}
}

func TestFirstFailureTimes(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0ns", 999: "999ns", 1500: "1.5µs", 999999: "999µs", 12 * time.Millisecond: "12ms",
		12345 * time.Millisecond: "12.3s", 9999 * time.Millisecond: "9.99s", 12 * time.Second: "12s", 99999 * time.Millisecond: "99.9s",
		100 * time.Second: "1m40s", 61*time.Minute + 5*time.Second: "61m05s", 100 * time.Minute: "1h40m",
		47*time.Hour + 59*time.Minute: "47h59m", 49 * time.Hour: "2d01h",
	} {
		f := metrics.Failure{At: d, Client: "c"}
		text := report.FirstFailure(failing("v", f))
		if !strings.HasPrefix(text, "v: first failure at "+want+": ") {
			t.Errorf("%v: %s, want %s", d, text, want)
		}
	}
}

// A table as wide as it gets: names of 20 characters and more, large counts.
func TestTable(t *testing.T) {
	summary := metrics.Summary{
		Clients: []metrics.ClientTotals{
			{Name: "camera", Requests: 1234, Failures: 1},
			{Name: "cedar-decoder", Requests: 1000, Failures: 457},
		},
		Heaps: []metrics.HeapTotals{{
			Capacity: 1000, MeanRequested: 600, MeanReserved: 612, Internal: metrics.Internal{Padding: 4, Granule: 8},
			MeanLargestFreeIndex: 0.0674, Reaches: []metrics.ReachTotals{{MeanLargestFreeIndex: 0.3}, {MeanLargestFreeIndex: 0.831}},
		}},
		First: &metrics.Failure{At: 99*time.Minute + 59*time.Second},
	}
	fine := metrics.Summary{
		Clients: []metrics.ClientTotals{{Name: "camera", Requests: 123456789}},
		Heaps:   []metrics.HeapTotals{{Capacity: 1000, MeanReserved: 1000}, {Capacity: 1000, MeanLargestFreeIndex: 1}},
	}
	r := &result.Result{Variants: []result.Variant{
		{Name: "others-low-first-fit", Run: metrics.Run{Summary: summary}},
		{Name: "others-high-first-fit-more", Run: metrics.Run{Summary: fine}},
		{Name: "nothing"},
	}}
	var out strings.Builder
	if err := report.Table(&out, r); err != nil {
		t.Fatal(err)
	}
	want := `
variant               asked          failed   first   used  index  reach  waste
others-low-first-fit   2234  cedar-d… 45.7%  99m59s  61.2%   0.07   0.83   2.0%
others-high-first-f…   123M            none   never  50.0%   1.00      -     0%
nothing                   0            none   never     0%   0.00      -     0%
`
	if got := "\n" + out.String(); got != want {
		t.Errorf("got%s\nwant%s", got, want)
	}
	for line := range strings.Lines(out.String()) {
		if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > 80 {
			t.Errorf("%d columns: %s", n, line)
		}
	}
}

type failingWriter struct{}

var errFull = errors.New("no space left on device")

func (failingWriter) Write([]byte) (int, error) { return 0, errFull }

func TestErrorsOfTheWriterAreReturned(t *testing.T) {
	if err := report.Table(failingWriter{}, &result.Result{}); !errors.Is(err, errFull) {
		t.Errorf("Table: %v", err)
	}
	figures, err := report.Figures(cedarStory(1))
	if err != nil {
		t.Fatal(err)
	}
	if err := figures[0].WritePNG(failingWriter{}); !errors.Is(err, errFull) {
		t.Errorf("WritePNG: %v", err)
	}
	if err := figures[0].WriteSVG(failingWriter{}); !errors.Is(err, errFull) {
		t.Errorf("WriteSVG: %v", err)
	}
}

func ExampleTable() {
	r := cedarStory(2)
	if err := report.Table(os.Stdout, r); err != nil {
		fmt.Println(err)
	}
	fmt.Println(report.FirstFailure(r))
	// Output:
	// variant      asked      failed  first   used  index  reach  waste
	// others-low     974  cedar 8.2%   4.8s  59.0%   0.28   0.77  <0.1%
	// others-high    974        none  never  59.3%   0.31   0.31  <0.1%
	// others-low: first failure at 4.8s: cedar asked for 2.97MiB; 757MiB were free, 5.34MiB of it in its reach, in runs of at most 2.5MiB (cause: fragmented; 215MiB of the window held by buffers that don't need it)
}
