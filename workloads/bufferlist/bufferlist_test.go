package bufferlist_test

import (
	"fmt"
	"strings"
	"testing"

	"dmasim/workloads"
	"dmasim/workloads/bufferlist"
)

// The sizes are those of drivers, computed apart from this package.
func TestSizes(t *testing.T) {
	for text, want := range map[string]uint64{
		"640x480 NV12":           460800,
		"1920x1080 NV12":         3110400,
		"1920x1080 nv12/64x16":   3133440,
		"640x480 NV12/venus":     462848,
		"1280x720 NV12/venus":    1413120,
		"1920x1080 NV12/venus":   3133440,
		"3840x2160 NV12/venus":   12533760,
		"1280x720 P010/venus":    2826240,
		"1920x1080 P010/venus":   6266880,
		"3840x2160 P010/venus":   25067520,
		"7680x4320 P010/venus":   99532800,
		"3840x2160 P010":         24883200,
		"1920x1080 XRGB8888/256": 8294400,
		"1366x768 XRGB8888/64":   5504 * 768,
		"1366x768 XRGB8888/256":  5632 * 768,
		"1366x768 XRGB8888":      5464 * 768,
		"3280x2464 RAW10/64":     10250240,
		"4056x3040 RAW10/64":     15564800,
		"8160x6120 RAW10/64":     62668800,
		"640x480 YUYV":           614400,
		"3x3 NV12":               3 * (3 + 2),
		"64KiB":                  65536,
		"0x1000":                 4096,
		"1.5 MiB":                1572864,
	} {
		groups, err := bufferlist.Parse(text)
		if err != nil || len(groups) != 1 || uint64(groups[0].Size) != want || groups[0].Count != 1 {
			t.Errorf("%s: %v, %v; want %d bytes", text, groups, err, want)
		}
	}
}

func TestParseErrors(t *testing.T) {
	for text, want := range map[string]string{
		"":                           "element 1: empty",
		"64KiB,":                     "element 2: empty",
		"64KiB, 4x 1920x1080 NV21":   `element 2: unknown format "NV21" (did you mean "NV12"?)`,
		"1920x1080 ZZZZZZZZZ":        "there are NV12",
		"1920x1080":                  "no format",
		"1920x NV12":                 `size "NV12"`,
		"1920x0 NV12":                "from 1 to",
		"1920x1080 NV12/zero":        "layout",
		"1920x1080 NV12/0":           "layout",
		"1920x1080 RAW10/venus":      "not of RAW10",
		"1920x1080 NV12 3x 64KiB":    "comma missing",
		"0x 64KiB":                   "count",
		"4x 0":                       "no bytes",
		"4x 64MB":                    "MiB",
		"100000x 4KiB, 1KiB":         "more than 100000",
		"100000x 1PiB, 100000x 1EiB": "in all",
		"16EiB":                      "64 bits",
		"-1x 64KiB":                  "count",
	} {
		if groups, err := bufferlist.Parse(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, %v; want an error with %q", text, groups, err, want)
		}
	}
}

// Every buffer is allocated before it is freed, and never twice.
func TestSourceIsConsistent(t *testing.T) {
	groups, err := bufferlist.Parse("2x 4KiB, 3x 8KiB, 1KiB")
	if err != nil {
		t.Fatal(err)
	}
	source := bufferlist.NewSource(groups, 50, 1)
	live := map[uint64]bool{}
	frees, last := 0, -1
	for op, ok := source.Next(nil); ok; op, ok = source.Next(nil) {
		if int(op.At) <= last {
			t.Fatalf("operation at %v after %v", op.At, last)
		}
		last = int(op.At)
		if live[op.Buffer] == (op.Kind == workloads.Alloc) {
			t.Fatalf("%+v, live: %v", op, live)
		}
		live[op.Buffer] = op.Kind == workloads.Alloc
		if op.Kind == workloads.Free {
			frees++
		}
	}
	if len(live) != 6 || frees < 50 {
		t.Errorf("%d buffers, %d frees", len(live), frees)
	}
	for buffer, alive := range live {
		if !alive {
			t.Errorf("buffer %d is not live at the end", buffer)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("4x 1920x1080 NV12, 3x 3840x2160 P010, 16x 64KiB")
	f.Add("NV12/64x16,1x1 RAW10/7,0x1000")
	f.Fuzz(func(t *testing.T, text string) {
		groups, err := bufferlist.Parse(text)
		if err != nil {
			return
		}
		for _, g := range groups {
			if g.Count < 1 || g.Size == 0 {
				t.Fatalf("%q has the group %+v", text, g)
			}
			again, err := bufferlist.Parse(fmt.Sprintf("%dx %s", g.Count, g.Label))
			if err != nil || len(again) != 1 || again[0] != g {
				t.Fatalf("%+v became %+v, %v", g, again, err)
			}
		}
	})
}

func ExampleParse() {
	groups, err := bufferlist.Parse("4x 1920x1080 NV12, 3x 3840x2160 P010, 16x 64KiB")
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, g := range groups {
		fmt.Println(g.Count, "of", uint64(g.Size), "bytes:", g.Label)
	}
	// Output:
	// 4 of 3110400 bytes: 1920x1080 NV12
	// 3 of 24883200 bytes: 3840x2160 P010
	// 16 of 65536 bytes: 64KiB
}
