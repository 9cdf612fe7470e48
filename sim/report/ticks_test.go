package report

import (
	"math"
	"slices"
	"testing"
	"time"

	"gonum.org/v1/plot"
)

func labels(t plot.Ticker, lo, hi float64) []string {
	var list []string
	for _, tick := range t.Ticks(lo, hi) {
		list = append(list, tick.Label)
	}
	return list
}

func TestScales(t *testing.T) {
	const mib = 1 << 20
	for _, test := range []struct {
		name  string
		scale scale
		label string
		want  []string
	}{
		{"bytes", byteScale(0, 4), "x (B)", []string{"0", "1"}},
		{"bytes", byteScale(3, 4), "x (B)", []string{"0", "1", "2", "3"}},
		{"4095", byteScale(4095, 4), "x (B)", []string{"0", "1024", "2048", "3072"}},
		{"4 KiB", byteScale(4096, 4), "x (KiB)", []string{"0", "1", "2", "3", "4"}},
		{"96 MiB", byteScale(96*mib, 4), "x (MiB)", []string{"0", "32", "64", "96"}},
		{"1 GiB", byteScale(1024*mib, 4), "x (MiB)", []string{"0", "256", "512", "768", "1024"}},
		{"4 GiB", byteScale(4096*mib, 4), "x (GiB)", []string{"0", "1", "2", "3", "4"}},
		{"16 EiB", byteScale(math.MaxUint64, 4), "x (EiB)", []string{"0", "4", "8", "12", "16"}},
		{"no time", timeScale(0, 5), "x (ns)", []string{"0", "0.2", "0.4", "0.6", "0.8", "1"}},
		{"250 ns", timeScale(250, 5), "x (ns)", []string{"0", "50", "100", "150", "200", "250"}},
		{"3 ms", timeScale(3*time.Millisecond, 3), "x (ms)", []string{"0", "1", "2", "3"}},
		{"60 s", timeScale(time.Minute, 6), "x (s)", []string{"0", "10", "20", "30", "40", "50", "60"}},
		{"59.9 s", timeScale(59900*time.Millisecond, 6), "x (s)", []string{"0", "10", "20", "30", "40", "50"}},
		{"5 min", timeScale(5*time.Minute, 5), "x (min)", []string{"0", "1", "2", "3", "4", "5"}},
		{"1 h", timeScale(time.Hour, 3), "x (min)", []string{"0", "20", "40", "60"}},
		{"24 h", timeScale(24*time.Hour, 5), "x (h)", []string{"0", "5", "10", "15", "20"}},
		{"30 d", timeScale(30*24*time.Hour, 3), "x (d)", []string{"0", "10", "20", "30"}},
		{"292 years", timeScale(math.MaxInt64, 3), "x (d)", []string{"0", "50000", "100000"}},
		{"1%", percentScale(0.01, 2), "x (%)", []string{"0", "0.5", "1"}},
		{"18.6%", percentScale(0.186, 2), "x (%)", []string{"0", "10"}},
		{"100%", percentScale(1, 2), "x (%)", []string{"0", "50", "100"}},
		{"index", shareScale(), "x", []string{"0", "0.5", "1"}},
	} {
		// The axis goes on above the values.
		if got := labels(test.scale, 0, test.scale.limit*1.3); !slices.Equal(got, test.want) {
			t.Errorf("%s: ticks %q, want %q", test.name, got, test.want)
		}
		if got := test.scale.label("x"); got != test.label {
			t.Errorf("%s: label %q, want %q", test.name, got, test.label)
		}
	}
}

func TestAddressTicks(t *testing.T) {
	for _, test := range []struct {
		base, size uint64
		want       []string
	}{
		{0x40000000, 1 << 30, []string{"0x40000000", "0x50000000", "0x60000000", "0x70000000", "0x80000000"}},
		{0x4d000000, 0x06000000, []string{"0x4d000000", "0x4e000000", "0x4f000000", "0x50000000", "0x51000000", "0x52000000", "0x53000000"}},
		{0x40001000, 0x1000, []string{"0x40001000", "0x40001400", "0x40001800", "0x40001c00", "0x40002000"}},
		{7, 1, []string{"0x7", "0x8"}},
		{0, 1<<63 + 1<<62, []string{"0x0", "0x2000000000000000", "0x4000000000000000", "0x6000000000000000",
			"0x8000000000000000", "0xa000000000000000", "0xc000000000000000"}},
		{0, 0, nil},
	} {
		if got := labels(addressTicks{test.base, 6}, 0, float64(test.size)); !slices.Equal(got, test.want) {
			t.Errorf("[%#x, +%#x): %q, want %q", test.base, test.size, got, test.want)
		}
	}
}

func TestShortCount(t *testing.T) {
	for n, want := range map[uint64]string{
		0: "0", 9999: "9999", 10000: "10.0k", 99949: "99.9k", 99950: "100k", 999499: "999k", 999500: "1.00M",
		1234567: "1.23M", 43800000: "43.8M", math.MaxUint64: "18.4E",
	} {
		if got := shortCount(n); got != want {
			t.Errorf("shortCount(%d) = %s, want %s", n, got, want)
		}
	}
}

func TestShorten(t *testing.T) {
	style := textStyle(textSize)
	for _, s := range []string{"", "a", "others-low", "größer als die Spalte, viel größer", "日本語の長い名前"} {
		if got := shorten(s, style, style.Width(s)); got != s {
			t.Errorf("%q fits and became %q", s, got)
		}
		for width := style.Width("…"); width < style.Width(s); width += 3 {
			if got := shorten(s, style, width); style.Width(got) > width {
				t.Errorf("%q is wider than %v", got, width)
			}
		}
	}
}
