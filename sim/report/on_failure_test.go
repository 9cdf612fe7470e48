package report_test

import (
	"bytes"
	"encoding/csv"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	_ "dmasim/allocator/kernel" // strategies that scenarios name
	"dmasim/sim/experiment"
	"dmasim/sim/metrics"
	"dmasim/sim/report"
	"dmasim/sim/result"
	"dmasim/sim/scenario"
)

// persistent is a result with these totals, by variant.
func persistent(totals ...[]metrics.OnFailureTotals) *result.Result {
	r := &result.Result{}
	for i, list := range totals {
		r.Variants = append(r.Variants, result.Variant{Name: string(rune('a' + i)), Run: metrics.Run{Summary: metrics.Summary{OnFailure: list}}})
	}
	return r
}

func TestOnFailureTable(t *testing.T) {
	camera := metrics.OnFailureTotals{
		Client: "camera", Wanted: 1000, Served: 900, ServedAtOnce: 800, ServedByRetry: 75, ServedByFallback: 25,
		Dropped: 99, Waiting: 1, MeanWait: 1.5e6, P99Wait: 20 * time.Millisecond,
	}
	never := metrics.OnFailureTotals{Client: "never", Wanted: 2, Dropped: 2}
	var text strings.Builder
	if err := report.OnFailureTable(&text, persistent([]metrics.OnFailureTotals{camera}, nil, []metrics.OnFailureTotals{never})); err != nil {
		t.Fatal(err)
	}
	want := `variant  client  wanted  at once  retry  fallback  dropped   wait   p99
a        camera    1000    80.0%   7.5%      2.5%     9.9%  1.5ms  20ms
c        never        2       0%     0%        0%     100%      -     -
`
	if text.String() != want {
		t.Errorf("got\n%swant\n%s", text.String(), want)
	}
	waited := metrics.OnFailureTotals{Client: "late", Wanted: 10, Waiting: 5}
	if got, want := report.StillWaiting(persistent([]metrics.OnFailureTotals{camera}, []metrics.OnFailureTotals{waited})),
		"b: 5 of the 10 buffers that late wanted (50.0%) were still waited for at the end"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := report.StillWaiting(persistent([]metrics.OnFailureTotals{never})); got != "" {
		t.Errorf("got %q of none that waits", got)
	}
	text.Reset()
	if err := report.OnFailureTable(&text, persistent(nil, nil)); err != nil || text.Len() > 0 {
		t.Errorf("of none: %q, %v", text.String(), err)
	}
	if err := report.OnFailureTable(&text, crowded(5, 9, 0)); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(text.String()) {
		if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > 80 {
			t.Errorf("%d characters: %s", n, line)
		}
	}
}

// TestDroppedFramesPage holds what docs/experiments.md says that the program prints to
// what it prints.
func TestDroppedFramesPage(t *testing.T) {
	page, err := os.ReadFile("../../docs/experiments.md")
	if err != nil {
		t.Fatal(err)
	}
	sc, err := scenario.Open("dropped-frames")
	if err != nil {
		t.Fatal(err)
	}
	variants, err := experiment.Variants(t.Context(), sc.Variants, experiment.Options{Jobs: 2})
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	if err := report.OnFailureTable(&text, &result.Result{Variants: variants}); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(text.String()) {
		if !strings.Contains(string(page), "    "+line) {
			t.Errorf("docs/experiments.md lacks the line %q", line)
		}
	}
}

// TestOnFailureFigure: what is drawn is what was counted, of every fate.
func TestOnFailureFigure(t *testing.T) {
	f := figures(t, persistent([]metrics.OnFailureTotals{{
		Client: "camera", Wanted: 28, ServedAtOnce: 1, ServedByRetry: 2, ServedByFallback: 3, Waiting: 4, DroppedFreed: 5, DroppedDeadline: 6, DroppedRetries: 7,
	}}, nil))["on-failure"]
	if f == nil {
		t.Fatal("no figure")
	}
	var text bytes.Buffer
	if err := f.Data.WriteCSV(&text); err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(&text).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	var counts []string
	for _, row := range rows[1:] {
		counts = append(counts, row[len(row)-1])
	}
	if !slices.Equal(counts, []string{"1", "2", "3", "4", "5", "6", "7"}) {
		t.Errorf("counts %v", counts)
	}
	if figures(t, persistent(nil, nil))["on-failure"] != nil {
		t.Error("a figure of nothing")
	}
}
