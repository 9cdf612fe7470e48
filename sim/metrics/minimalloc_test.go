package metrics_test

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"testing"

	"dmasim/internal/shareddata"
	"dmasim/mem"
	"dmasim/sim/scenario"
)

// TestMiniMallocHeights runs the instances of MiniMalloc through the whole
// simulation and compares the highest address in use with what independent
// programs give: in the order (start ascending, size descending) first fit and
// best fit to the byte; in the order of the file, first fit as its ratio to the
// capacity of 1 MiB, to three digits.
func TestMiniMallocHeights(t *testing.T) {
	tests := []struct {
		instance            string
		firstFit, bestFit   mem.Size
		firstFitInFileOrder float64
	}{
		{"A", 1789952, 1751040, 1.534},
		{"B", 1681408, 1681408, 1.693},
		{"C", 1752064, 1752064, 1.688},
		{"D", 1395712, 1411072, 1.476},
		{"E", 1925120, 1479680, 1.890},
		{"F", 1258496, 1177600, 1.219},
		{"G", 1226752, 1311744, 1.281},
		{"H", 1318912, 1321984, 1.239},
		{"I", 1910784, 1910784, 1.554},
		{"J", 1821696, 1702912, 1.514},
		{"K", 2383872, 2044928, 2.005},
	}
	for _, test := range tests {
		t.Run(test.instance, func(t *testing.T) {
			path := shareddata.Path(t, "minimalloc", test.instance+".1048576.csv")
			bySize := heights(t, path, "start-size")
			if bySize["first-fit"] != test.firstFit || bySize["best-fit"] != test.bestFit {
				t.Errorf("start-size: got %d and %d bytes, want %d and %d",
					bySize["first-fit"], bySize["best-fit"], test.firstFit, test.bestFit)
			}
			ratio := float64(heights(t, path, "file")["first-fit"]) / (1 << 20)
			if math.Abs(ratio-test.firstFitInFileOrder) > 0.0005 {
				t.Errorf("file order: got %.4f, want %.3f", ratio, test.firstFitInFileOrder)
			}
		})
	}
}

// heights returns the high-water mark by strategy in a memory that is never
// full.
func heights(t *testing.T, trace, order string) map[string]mem.Size {
	t.Helper()
	text := fmt.Sprintf(`name: heights
seed: 1
memory: [{base: 0x0, size: 16MiB}]
heaps: [{name: main, allocator: first-fit, granule: 1B}]
workloads: [{name: trace, heap: main, trace: {file: %q, format: minimalloc, order: %s}}]
variants:
  - {name: first-fit}
  - {name: best-fit, set: {heaps.main.allocator: best-fit}}
`, trace, order)
	file := filepath.Join(t.TempDir(), "heights.yaml")
	if err := os.WriteFile(file, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
	sc, err := scenario.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	marks := map[string]mem.Size{}
	for i := range sc.Variants {
		run := simulate(t, &sc.Variants[i], 1, true)
		marks[sc.Variants[i].Name] = run.Summary.Heaps[0].HighWater
	}
	return marks
}
