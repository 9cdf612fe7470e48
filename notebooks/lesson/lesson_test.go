package lesson

import (
	"bytes"
	"image/png"
	"strings"
	"testing"
	"time"

	"dmasim/allocator"
	"dmasim/mem"
)

func TestHeap(t *testing.T) {
	h := NewHeap("first-fit", 64*mem.KiB, 4*mem.KiB)
	if got := h.Alloc("a", 5*mem.KiB); got != allocator.None {
		t.Fatal(got)
	}
	if got := h.AllocAligned("b", 8*mem.KiB, 32*mem.KiB); got != allocator.None {
		t.Fatal(got)
	}
	if got := h.Alloc("c", 32*mem.KiB); got != allocator.Fragmented {
		t.Errorf("c: %v, want fragmented", got)
	}
	if free, largest, waste := h.Usage(); free != 48*mem.KiB || largest != 24*mem.KiB || waste != 3*mem.KiB {
		t.Errorf("free %v, largest %v, waste %v", free, largest, waste)
	}
	h.Free("a", "b")
	if free, largest, waste := h.Usage(); free != 64*mem.KiB || largest != 64*mem.KiB || waste != 0 {
		t.Errorf("all freed: free %v, largest %v, waste %v", free, largest, waste)
	}
	var steps []string
	for _, s := range h.steps {
		steps = append(steps, strings.TrimRight(s.did+": "+s.outcome, ": "))
	}
	want := "alloc a, 5KiB: at 0B\nalloc b, 8KiB at n × 32KiB: at 32KiB\nalloc c, 32KiB: failed: fragmented\nfree a b"
	if got := strings.Join(steps, "\n"); got != want {
		t.Errorf("steps\n%s\nwant\n%s", got, want)
	}
	checkPNG(t, func(w *bytes.Buffer) error { return h.writePNG(w) })
}

func TestCurves(t *testing.T) {
	flat := Curve{Name: "flat", X: []float64{1, 2}, Y: []float64{0, 0}}
	checkPNG(t, func(w *bytes.Buffer) error { return writeCurves(w, "title", "x", "y", []Curve{flat}) })
	torn := Curve{Name: "torn", X: []float64{1, 2}, Y: []float64{0}}
	if err := writeCurves(&bytes.Buffer{}, "title", "x", "y", []Curve{torn}); err == nil {
		t.Error("a curve with an x too many was drawn")
	}
}

// With fences no transfer outlives its buffer; without, some do.
func TestTransfers(t *testing.T) {
	for variant, want := range map[string]bool{"fenced": false, "unfenced": true} {
		bars := Transfers(Open("fence-skipped", variant), "pictures", 20)
		ends := map[string]time.Duration{}
		outlived := false
		kinds := map[string]int{}
		for _, b := range bars {
			kinds[b.Kind]++
			if b.Kind == "lives" {
				ends[b.Row] = b.To
			} else if b.To > ends[b.Row] {
				outlived = true
			}
		}
		if kinds["lives"] != 20 || kinds["camera"] != 20 || kinds["display"] != 20 {
			t.Errorf("%s: bars %v, want 20 of each", variant, kinds)
		}
		if outlived != want {
			t.Errorf("%s: a transfer outlived its buffer: %v, want %v", variant, outlived, want)
		}
		checkPNG(t, func(w *bytes.Buffer) error { return writeTimeline(w, variant, bars) })
	}
	if err := writeTimeline(&bytes.Buffer{}, "empty", nil); err == nil {
		t.Error("a timeline without bars was drawn")
	}
}

func TestWrap(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{"", ""},
		{"one two three", "one two\nthree"},
		{"  seven77  8", "seven77\n8"},
		{"longerthanaline x", "longerthanaline\nx"},
	} {
		if got := wrap(test.text, 8); got != test.want {
			t.Errorf("wrap(%q) is %q, want %q", test.text, got, test.want)
		}
	}
}

func checkPNG(t *testing.T, write func(*bytes.Buffer) error) {
	t.Helper()
	var first, second bytes.Buffer
	if err := write(&first); err != nil {
		t.Fatal(err)
	}
	if err := write(&second); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(first.Bytes(), second.Bytes()) {
		t.Error("two pictures of the same are not the same")
	}
	if _, err := png.Decode(&first); err != nil {
		t.Error(err)
	}
}
