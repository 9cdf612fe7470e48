package metrics_test

import (
	"fmt"
	"iter"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"dmasim/mem"
	"dmasim/sim/metrics"
)

// sized returns holes of these sizes.
func sized(sizes ...uint64) iter.Seq[mem.Range] {
	return func(yield func(mem.Range) bool) {
		at := uint64(0)
		for _, size := range sizes {
			if !yield(mem.Range{Lo: at, Hi: at + size}) {
				return
			}
			at += size + 1
		}
	}
}

func accumulate(size, align uint64, holes iter.Seq[mem.Range]) *metrics.FreeSpace {
	f := &metrics.FreeSpace{Size: size, Align: align}
	for hole := range holes {
		f.Add(hole)
	}
	return f
}

func wantFloat(t *testing.T, what string, got, want float64) {
	t.Helper()
	if math.Abs(got-want) > 5e-7 {
		t.Errorf("%s = %.6f, want %.6f", what, got, want)
	}
}

func TestFreeSpaceWorkedExample(t *testing.T) {
	example := sized(5, 3, 8, 3, 16)
	f := accumulate(4, 0, example)
	if f.Free != 35 || f.Holes != 5 || f.Largest != 16 {
		t.Errorf("free %d in %d holes up to %d, want 35 in 5 up to 16", f.Free, f.Holes, f.Largest)
	}
	wantFloat(t, "largest-free index", f.LargestFreeIndex(), 0.542857)
	wantFloat(t, "short-hole index for 4", f.ShortHoleIndex(), 0.171429)
	wantFloat(t, "quadratic index", f.QuadraticIndex(), 0.703673)
	wantFloat(t, "entropy", metrics.HoleEntropy(example), 0.866343)
	wantFloat(t, "mean hole", f.MeanHole(), 7)
	for size, want := range map[uint64]float64{
		1: 0, 2: 0.085714, 3: 0.142857, 4: 0.2, 5: 0.285714, 8: 0.314286, 16: 0.542857, 17: 1,
	} {
		wantFloat(t, fmt.Sprintf("unusable index for %d", size), accumulate(size, 1, example).UnusableIndex(), want)
	}
}

func TestFreeSpaceDegenerate(t *testing.T) {
	full := accumulate(4096, 0, sized(0))
	one := accumulate(4096, 0, sized(8192))
	for _, f := range []*metrics.FreeSpace{full, one} {
		for name, got := range map[string]float64{
			"largest-free": f.LargestFreeIndex(), "unusable": f.UnusableIndex(),
			"short-hole": f.ShortHoleIndex(), "quadratic": f.QuadraticIndex(),
		} {
			wantFloat(t, fmt.Sprintf("%s index with %d holes", name, f.Holes), got, 0)
		}
	}
	wantFloat(t, "mean hole of a full memory", full.MeanHole(), 0)
	wantFloat(t, "entropy of one hole", metrics.HoleEntropy(sized(8192)), 0)
	wantFloat(t, "entropy of equal holes", metrics.HoleEntropy(sized(7, 7, 7)), 1)
	wantFloat(t, "unusable index without a size", accumulate(0, 0, sized(3, 5)).UnusableIndex(), 0)
}

// TestReachable is a window of 256 MiB that sees a third of what is free.
func TestReachable(t *testing.T) {
	const mib = 1 << 20
	holes := slices.Values([]mem.Range{
		{Lo: 8 * mib, Hi: 24 * mib}, {Lo: 40 * mib, Hi: 41 * mib},
		{Lo: 250 * mib, Hi: 270 * mib}, {Lo: 512 * mib, Hi: 1024 * mib},
	})
	all := accumulate(8*mib, 8*mib, holes)
	wantFloat(t, "index of all memory", all.LargestFreeIndex(), 0.067395)

	seen := accumulate(8*mib, 8*mib, metrics.Reachable(holes, mem.RangeSet{{Lo: 0, Hi: 256 * mib}}))
	if seen.Free != 23*mib || seen.Largest != 16*mib || seen.Usable != 16*mib || seen.Holes != 3 {
		t.Errorf("reachable: %+v, want 23 MiB in 3 holes up to 16 MiB, 16 MiB usable", *seen)
	}
	wantFloat(t, "unusable index in the window", seen.UnusableIndex(), 0.304348)
}

// TestReachableByByte compares the parts with an enumeration of bytes.
func TestReachableByByte(t *testing.T) {
	set := rapid.Custom(func(t *rapid.T) mem.RangeSet {
		edges := rapid.SliceOfNDistinct(rapid.Uint64Range(0, 60), 0, 10, rapid.ID[uint64]).Draw(t, "edges")
		slices.Sort(edges)
		var set mem.RangeSet
		for i := 0; i+1 < len(edges); i += 2 {
			set = append(set, mem.Range{Lo: edges[i], Hi: edges[i+1]})
		}
		return set
	})
	rapid.Check(t, func(t *rapid.T) {
		holes, reach := set.Draw(t, "holes"), set.Draw(t, "reach")
		size, align := rapid.Uint64Range(1, 9).Draw(t, "size"), rapid.Uint64Range(1, 9).Draw(t, "align")
		parts := slices.Collect(metrics.Reachable(slices.Values(holes), reach))
		if want := holes.Intersect(reach); !slices.Equal(parts, want) {
			t.Fatalf("parts %v, want %v", parts, want)
		}
		var usable uint64
		for _, part := range parts {
			for at := part.Lo; at+size <= part.Hi; {
				if at%align != 0 {
					at++
					continue
				}
				usable += size
				at += size
			}
		}
		if got := accumulate(size, align, slices.Values(parts)).Usable; got != usable {
			t.Fatalf("usable %d, want %d", got, usable)
		}
	})
}

// TestFreeBlocks holds lines that the functions of Linux 6.1 printed.
func TestFreeBlocks(t *testing.T) {
	for _, test := range []struct {
		counts                     metrics.FreeBlocks
		unusable, extfrag, percent string
	}{
		{
			metrics.FreeBlocks{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4},
			"0.000 0.000 0.000 0.000 0.000 0.000 0.000 0.000 0.000 0.000 0.000",
			"-1.000 -1.000 -1.000 -1.000 -1.000 -1.000 -1.000 -1.000 -1.000 -1.000 -1.000",
			"0 0 0 0 0 0 0 0 0 0 0",
		}, {
			metrics.FreeBlocks{3, 2, 1, 0, 1, 0, 0, 0, 0, 0, 0},
			"0.000 0.111 0.259 0.407 0.407 1.000 1.000 1.000 1.000 1.000 1.000",
			"-1.000 -1.000 -1.000 -1.000 -1.000  0.737  0.797  0.828  0.843  0.850  0.854",
			"0 11 25 40 40 100 100 100 100 100 100",
		}, {
			metrics.FreeBlocks{16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0},
			"0.000 1.000 1.000 1.000 1.000 1.000 1.000 1.000 1.000 1.000 1.000",
			"-1.000  0.438  0.688  0.813  0.875  0.907  0.922  0.930  0.934  0.936  0.937",
			"0 100 100 100 100 100 100 100 100 100 100",
		}, {
			metrics.FreeBlocks{1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0},
			"0.000 1.000 1.000 1.000 1.000 1.000 1.000 1.000 1.000 1.000 1.000",
			"-1.000  0.-500  0.-250  0.-125  0.-62  0.-31  0.-15  0.-07  0.-03  0.-01  0.000",
			"0 100 100 100 100 100 100 100 100 100 100",
		}, {
			metrics.FreeBlocks{0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0},
			"0.000 0.000 1.000 1.000 1.000 1.000 1.000 1.000 1.000 1.000 1.000",
			"-1.000 -1.000  0.-500  0.-250  0.-125  0.-62  0.-31  0.-15  0.-07  0.-03  0.-01",
			"0 0 100 100 100 100 100 100 100 100 100",
		}, {
			metrics.FreeBlocks{100, 50, 20, 5, 0, 0, 0, 0, 0, 0, 0},
			"0.000 0.312 0.625 0.875 1.000 1.000 1.000 1.000 1.000 1.000 1.000",
			"-1.000 -1.000 -1.000 -1.000  0.880  0.938  0.966  0.980  0.988  0.991  0.993",
			"0 31 62 87 100 100 100 100 100 100 100",
		}, {
			metrics.FreeBlocks{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0},
			"1.000 1.000 1.000 1.000 1.000 1.000 1.000 1.000 1.000 1.000 1.000",
			" 0.000  0.000  0.000  0.000  0.000  0.000  0.000  0.000  0.000  0.000  0.000",
			"0 0 0 0 0 0 0 0 0 0 0",
		}, {
			metrics.FreeBlocks{1000, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0},
			"0.000 0.661 0.661 0.661 0.661 0.661 0.661 0.661 0.661 0.661 1.000",
			"-1.000 -1.000 -1.000 -1.000 -1.000 -1.000 -1.000 -1.000 -1.000 -1.000  0.998",
			"0 66 66 66 66 66 66 66 66 66 100",
		}, {
			metrics.FreeBlocks{2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0},
			"0.000 1.000 1.000 1.000 1.000 1.000 1.000 1.000 1.000 1.000 1.000",
			"-1.000  0.000  0.250  0.375  0.438  0.469  0.485  0.493  0.497  0.499  0.500",
			"0 100 100 100 100 100 100 100 100 100 100",
		}, {
			metrics.FreeBlocks{64, 32, 16, 8, 4, 2, 1, 0, 0, 0, 0},
			"0.000 0.142 0.285 0.428 0.571 0.714 0.857 1.000 1.000 1.000 1.000",
			"-1.000 -1.000 -1.000 -1.000 -1.000 -1.000 -1.000  0.965  0.979  0.986  0.989",
			"0 14 28 42 57 71 85 100 100 100 100",
		},
	} {
		t.Run(fmt.Sprint(test.counts), func(t *testing.T) {
			var unusable, extfrag, percent []string
			for order := range test.counts {
				unusable = append(unusable, metrics.FormatUnusableIndex(test.counts.UnusableFreeIndex(order)))
				extfrag = append(extfrag, metrics.FormatFragmentationIndex(test.counts.FragmentationIndex(order)))
				percent = append(percent, fmt.Sprint(test.counts.FragmentationPercent(order)))
			}
			for _, line := range []struct {
				name, want string
				got        []string
			}{
				{"unusable_index", test.unusable, unusable},
				{"extfrag_index", test.extfrag, extfrag},
				{"percent", test.percent, percent},
			} {
				if got := strings.Join(line.got, " "); got != line.want {
					t.Errorf("%s\n got %s\nwant %s", line.name, got, line.want)
				}
			}
		})
	}
}

func TestMemoryUseWorkedExample(t *testing.T) {
	var u metrics.MemoryUse
	wantFloat(t, "mean excess of nothing", u.MeanExcess(), 0)
	wantFloat(t, "excess of peaks of nothing", u.ExcessOfPeaks(), 0)
	for _, s := range []struct {
		seconds         time.Duration
		requested, held uint64
	}{{2, 100, 100}, {3, 180, 200}, {3, 60, 200}, {2, 120, 220}} {
		u.Add(s.seconds*time.Second, s.requested, s.held)
	}
	wantFloat(t, "mean excess", u.MeanExcess(), 0.9)
	wantFloat(t, "excess of means", u.ExcessOfMeans(), 0.586207)
	wantFloat(t, "excess at peak requested", u.ExcessAtPeakRequested(), 0.111111)
	wantFloat(t, "excess at peak held", u.ExcessAtPeakHeld(), 0.833333)
	wantFloat(t, "excess of peaks", u.ExcessOfPeaks(), 0.222222)
}

// TestMemoryUseIdleTime has no ratio while nothing is requested.
func TestMemoryUseIdleTime(t *testing.T) {
	var u metrics.MemoryUse
	u.Add(time.Second, 100, 150)
	u.Add(time.Hour, 0, 150)
	wantFloat(t, "mean excess", u.MeanExcess(), 0.5)
}

func ExampleFreeSpace() {
	f := metrics.FreeSpace{Size: 4}
	for _, hole := range []mem.Range{{Lo: 0, Hi: 5}, {Lo: 8, Hi: 11}, {Lo: 20, Hi: 28}} {
		f.Add(hole)
	}
	fmt.Printf("%d holes, %d bytes, largest-free index %.3f, unusable for 4: %.3f\n",
		f.Holes, f.Free, f.LargestFreeIndex(), f.UnusableIndex())
	// Output: 3 holes, 16 bytes, largest-free index 0.500, unusable for 4: 0.250
}
