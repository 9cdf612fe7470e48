package workloads_test

import (
	"bytes"
	"errors"
	"math"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"dmasim/workloads"
)

func plainNumber(text string) (float64, error) {
	v, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(v) || math.IsInf(v, 0) || v < 0 {
		return 0, errors.New("want a number")
	}
	return v, nil
}

func TestReadHistogram(t *testing.T) {
	for _, test := range []struct {
		text string
		want []workloads.Bin
	}{
		{"lo,hi,count\n0,4096,3\n4096,8192,1.5", []workloads.Bin{{0, 4096, 3}, {4096, 8192, 1.5}}},
		{"# of a phone\r\nvalue,count\r\n1,3\r\n# gap\r\n5,0\r\n", []workloads.Bin{{1, 1, 3}, {5, 5, 0}}},
		{"lo,hi,count\n1,2,1\n2,2,1\n2,3,1\n", []workloads.Bin{{1, 2, 1}, {2, 2, 1}, {2, 3, 1}}},
	} {
		got, err := workloads.ReadHistogram(strings.NewReader(test.text), plainNumber)
		if err != nil || !reflect.DeepEqual(got, test.want) {
			t.Errorf("%q: %v, %v, want %v", test.text, got, err, test.want)
		}
	}
}

func TestReadHistogramErrors(t *testing.T) {
	many := "value,count\n" + strings.Repeat("1,1\n", workloads.MaxBins)
	for text, want := range map[string]string{
		"":                                 "1:1: the file is empty: want a line \"lo,hi,count\" or \"value,count\", and bins",
		"# only this":                      "1:1: the file is empty: want a line \"lo,hi,count\" or \"value,count\", and bins",
		"lo,hi\n":                          `1:1: the first line is "lo,hi", want "lo,hi,count" or "value,count"`,
		"lo, hi, count\n":                  `1:1: the first line is "lo, hi, count", want "lo,hi,count" or "value,count"`,
		"lo,hi,count\n":                    "1:1: the counts sum to 0, want a number above 0",
		"lo,hi,count\n1,2,0\n":             "1:1: the counts sum to 0, want a number above 0",
		"lo,hi,count\n1,2\n":               "2:1: 2 columns, want 3",
		"lo,hi,count\n\"1,2,3\n":           `2:8: extraneous or missing " in quoted-field`,
		"lo,hi,count\n1,2,3,4\n":           "2:1: 4 columns, want 3",
		"lo,hi,count\n1,x,3\n":             "2:3: want a number",
		"lo,hi,count\n1,2,-3\n":            `2:5: want a count, not "-3"`,
		"lo,hi,count\n1,2,NaN\n":           `2:5: want a count, not "NaN"`,
		"lo,hi,count\n1,2,1e999\n":         `2:5: want a count, not "1e999"`,
		"lo,hi,count\n12,2,1\n":            `2:4: the bin ends at "2", before it begins`,
		"lo,hi,count\n1,4,1\n3,9,1\n":      `3:1: "3" does not come after the line before it`,
		"value,count\n1,1\n1,1\n":          `3:1: "1" does not come after the line before it`,
		"lo,hi,count\n3,3,1\n3,3,1\n":      `3:1: "3" does not come after the line before it`,
		strings.Repeat("x", 1<<17):         "1:1: a histogram has at most 65536 bytes",
		strings.Repeat("#\n", 1<<16):       "32769:1: a histogram has at most 65536 bytes",
		"value,count\n" + many[12:]:        `3:1: "1" does not come after the line before it`,
		"value,count\n0,1\n0" + "\x00,1\n": "3:1: want a number",
	} {
		_, err := workloads.ReadHistogram(strings.NewReader(text), plainNumber)
		var wrong *workloads.HistogramError
		if !errors.As(err, &wrong) || err.Error() != want {
			t.Errorf("%.40q: %v, want %s", text, err, want)
		}
	}
	var most strings.Builder
	most.WriteString("value,count\n")
	for i := range workloads.MaxBins + 1 {
		most.WriteString(strconv.Itoa(i) + ",1\n")
	}
	if _, err := workloads.ReadHistogram(strings.NewReader(most.String()), plainNumber); err == nil || !strings.HasSuffix(err.Error(), ":1: more than 4096 bins") {
		t.Errorf("%v, want too many bins", err)
	}
}

// TestEmpiricalOfSample draws from a histogram, counts again, and finds its shares.
func TestEmpiricalOfSample(t *testing.T) {
	d := workloads.Distribution{Kind: "empirical", Bins: []workloads.Bin{{0, 10, 1}, {10, 10, 3}, {20, 50, 0}, {50, 90, 6}}}
	const n = 100000
	counts := make([]int, len(d.Bins))
	for _, x := range draw(t, d, n) {
		switch {
		case x < 10:
			counts[0]++
		case x == 10:
			counts[1]++
		case x < 50:
			counts[2]++
		default:
			counts[3]++
		}
	}
	for i, b := range d.Bins {
		share := b.Count / 10
		if got := float64(counts[i]) / n; math.Abs(got-share) > 4*math.Sqrt(share*(1-share)/n) {
			t.Errorf("bin %d has a share of %v, want %v", i, got, share)
		}
	}
}

func FuzzReadHistogram(f *testing.F) {
	f.Add("lo,hi,count\n0,4096,3\n4096,8192,1.5")
	f.Add("value,count\r\n1,3\r\n# x\r\n5,0\r\n")
	f.Fuzz(func(t *testing.T, text string) {
		bins, err := workloads.ReadHistogram(strings.NewReader(text), plainNumber)
		if err != nil {
			var wrong *workloads.HistogramError
			if !errors.As(err, &wrong) || wrong.Line < 1 || wrong.Column < 1 || strings.ContainsAny(err.Error(), "\n\r") {
				t.Fatalf("%v", err)
			}
			return
		}
		d := workloads.Distribution{Kind: "empirical", Bins: bins}
		if err := d.Validate(); err != nil {
			t.Fatal(err)
		}
		if mean := d.Mean(); !(mean >= bins[0].Lo*(1-1e-12) && mean <= bins[len(bins)-1].Hi*(1+1e-12)) {
			t.Fatalf("mean %v", mean)
		}
		var written bytes.Buffer
		if err := workloads.WriteHistogram(&written, bins, func(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }); err != nil {
			t.Fatal(err)
		}
		if again, err := workloads.ReadHistogram(&written, plainNumber); err != nil || !reflect.DeepEqual(again, bins) {
			t.Fatalf("%v, %v, want %v", again, err, bins)
		}
	})
}

// TestHistogramMean holds the mean, with any end, to that of the uniform distributions
// that the bins are.
func TestHistogramMean(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		lo, wide := rapid.Float64Range(0, 1e6).Draw(t, "lo"), rapid.Float64Range(1, 1e6).Draw(t, "width")
		end := rapid.Float64Range(1, 3e6).Draw(t, "end")
		one := workloads.Distribution{Kind: "uniform", Parameters: parameters{"min": lo, "max": lo + wide}, AtMost: end}
		half := lo + wide/2
		two := workloads.Distribution{Kind: "empirical", Bins: []workloads.Bin{{lo, half, 2}, {half, lo + wide, 2}}, AtMost: end}
		if a, b := one.Mean(), two.Mean(); !near(a, b, 1e-9) {
			t.Fatalf("%v and %v", a, b)
		}
	})
}
