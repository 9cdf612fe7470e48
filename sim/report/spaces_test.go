package report_test

import (
	"testing"
	"time"

	"dmasim/allocator"
	"dmasim/mem"
	"dmasim/sim"
	"dmasim/sim/metrics"
	"dmasim/sim/report"
	"dmasim/sim/result"
)

func withSpaces(spaces ...metrics.SpaceTotals) metrics.Run {
	return metrics.Run{Summary: metrics.Summary{Duration: time.Second, Spaces: spaces}}
}

// TestSpaceStory: the space in which most maps failed is told of, else the fullest.
func TestSpaceStory(t *testing.T) {
	pool := metrics.SpaceTotals{Name: "swiotlb", Kind: sim.DefaultPool, Capacity: 64 * mem.MiB, PeakUsed: 8 * mem.MiB, PeakBusy: 8 * mem.MiB}
	group := metrics.SpaceTotals{Name: "smmu", Kind: sim.IOVASpace, Capacity: 32 * mem.MiB, PeakUsed: 3 * mem.MiB, PeakWaiting: 24 * mem.MiB, PeakBusy: 24 * mem.MiB}
	failed := withSpaces(pool, group)
	failed.Failures = []metrics.Failure{{Cause: allocator.Bounce}}
	const (
		ofPool  = "low: up to 8MiB of 64MiB of bounce buffers (swiotlb) were used: 4096 of 32768 slots"
		ofGroup = "low: up to 3MiB of 32MiB of the addresses of IOMMU group smmu were mapped, and up to 24MiB waited for a flush"
	)
	for name, test := range map[string]struct {
		run  metrics.Run
		want string
	}{
		"none":           {withSpaces(), ""},
		"the fuller one": {withSpaces(pool, group), ofGroup},
		"one that is":    {withSpaces(pool), ofPool},
		"a failed map":   {failed, ofPool},
	} {
		r := &result.Result{Variants: []result.Variant{{Name: "low", Run: test.run}}}
		if got := report.SpaceStory(r); got != test.want {
			t.Errorf("%s: got %q, want %q", name, got, test.want)
		}
	}
}

// TestSpaceFigures: spaces that nobody used have none, and capacity is in the picture
// where it is not a million times what was used.
func TestSpaceFigures(t *testing.T) {
	run := withSpaces(
		metrics.SpaceTotals{Name: "unused", Kind: sim.DefaultPool, Capacity: mem.MiB},
		metrics.SpaceTotals{Name: "small", Kind: sim.IOVASpace, Capacity: 4 * mem.MiB, PeakUsed: mem.MiB, PeakWaiting: mem.MiB, PeakBusy: 2 * mem.MiB},
		metrics.SpaceTotals{Name: "large", Kind: sim.IOVASpace, Capacity: 1 << 48, PeakUsed: mem.MiB, PeakBusy: mem.MiB},
	)
	run.Summary.Heaps = []metrics.HeapTotals{{Name: "h", Capacity: mem.GiB}}
	list := figures(t, single(run))
	if list["spaces-unused"] != nil {
		t.Error("an unused space has a figure")
	}
	for name, want := range map[string]bool{"small": true, "large": false} {
		texts := map[string]bool{}
		for _, text := range read(list["spaces-"+name]).texts {
			texts[text.text] = true
		}
		if texts["capacity"] != want || texts["unmapped, waiting for a flush"] != want || !texts["addresses (KiB)"] && !texts["addresses (MiB)"] {
			t.Errorf("%s: texts %v", name, texts)
		}
	}
}
