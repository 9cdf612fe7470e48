package report_test

import (
	"slices"
	"strings"
	"testing"

	"dmasim/sim/report"
)

const storedComparison = `variant,metric,unit,better,runs,mean,low,high,difference,difference_low,difference_high,test,p,p_holm,a12
a,failed,share,lower,3,0.25,0.2,0.3,,,,,,,
a,peak,bytes,lower,3,1048576,,,,,,,,,
b,failed,share,lower,3,0.5,0.4,0.6,0.25,0.1,0.4,paired-t,0.001,0.0004,1
b,peak,bytes,lower,3,2097152,,,1048576,,,paired-t,,,0.5
`

func TestStoredComparison(t *testing.T) {
	first, all, err := report.StoredComparison([]byte(storedComparison))
	if err != nil {
		t.Fatal(err)
	}
	want := [][]string{
		{"failed", "a", "25%", "20% – 30%", "baseline", "", "", ""},
		{"failed", "b", "50%", "40% – 60%", "25pp", "10pp – 40pp", "< 0.001", "1.00"},
		{"peak", "a", "1MiB", "", "baseline", "", "", ""},
		{"peak", "b", "2MiB", "", "1MiB", "", "", "0.50"},
	}
	if !slices.EqualFunc(all[1:], want, slices.Equal) {
		t.Errorf("all: %q", all[1:])
	}
	if !slices.EqualFunc(first[1:], want[:2], slices.Equal) {
		t.Errorf("first: %q", first[1:])
	}
}

const storedSweep = `point,variant,window_bytes,every_s,metric,unit,runs,mean,low,high
0,a,134217728,0.5,failed,share,2,0.1,0.05,0.15
0,a,134217728,0.5,peak,bytes,2,1024,,
1,a,268435456,0.5,failed,share,2,0.05,0.01,0.09
`

func TestStoredSweep(t *testing.T) {
	points, all, err := report.StoredSweep([]byte(storedSweep))
	if err != nil {
		t.Fatal(err)
	}
	if want := [][]string{{"point", "variant", "window", "every", "failed"}, {"0", "a", "128MiB", "500ms", "10%"}, {"1", "a", "256MiB", "500ms", "5%"}}; !slices.EqualFunc(points, want, slices.Equal) {
		t.Errorf("points: %q", points)
	}
	if want := []string{"0", "a", "128MiB", "500ms", "peak", "2", "1KiB", ""}; len(all) != 4 || !slices.Equal(all[2], want) {
		t.Errorf("all: %q", all)
	}
}

func TestStoredTablesThatAreNone(t *testing.T) {
	for _, text := range []string{"", "a,b\n1,2\n", strings.ReplaceAll(storedSweep, "mean", "median"), "point,variant,metric,unit,runs,mean,low,high\n1\n"} {
		if _, _, err := report.StoredComparison([]byte(text)); err == nil {
			t.Errorf("%q is a comparison", text)
		}
		if _, _, err := report.StoredSweep([]byte(text)); err == nil {
			t.Errorf("%q is a sweep", text)
		}
	}
}
