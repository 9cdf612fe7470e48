package suggest_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"dmasim/internal/suggest"
)

func TestNearest(t *testing.T) {
	devices := []string{"rtl8139", "sunxi-cedar-a10", "sunxi-cedar-a20", "vc4-binner", "vc4-hvs", "vc4"}
	keys := []string{"name", "size", "unusable_size", "align", "at_most", "lo", "hi"}
	for _, c := range []struct {
		word    string
		options []string
		want    string
	}{
		{"algin", keys, "align"},
		{"ALIGN", keys, "align"},
		{"low", keys, "lo"},
		{"at-most", keys, "at_most"},
		{"siez", keys, "size"},
		{"unusable", keys, "unusable_size"},
		{"length", keys, ""},
		{"l", keys, ""},
		{"", keys, ""},
		{"size", nil, ""},
		{"rtl8193", devices, "rtl8139"},
		{"cedar", devices, "sunxi-cedar-a10"},
		{"cedr", devices, "sunxi-cedar-a10"},
		{"cedar-a2", devices, "sunxi-cedar-a20"},
		{"sunxi-cedar-a2", devices, "sunxi-cedar-a20"},
		{"Binner", devices, "vc4-binner"},
		{"vc4", devices, "vc4"},
		{"vc5", devices, "vc4"},
		{"a1", devices, ""},
		{strings.Repeat("x", 65), []string{strings.Repeat("x", 65)}, ""},
	} {
		if got := suggest.Nearest(c.word, c.options); got != c.want {
			t.Errorf("%q: %q, want %q", c.word, got, c.want)
		}
	}
}

// TestNearestOfOneSlip: an option with one letter changed, dropped or doubled is
// found, unless another option is as near.
func TestNearestOfOneSlip(t *testing.T) {
	options := []string{"allocator", "boundary", "granule", "lifetime", "placement"}
	rapid.Check(t, func(t *rapid.T) {
		want := rapid.SampledFrom(options).Draw(t, "option")
		letters := []byte(want)
		switch i := rapid.IntRange(0, len(letters)-1).Draw(t, "place"); rapid.IntRange(0, 2).Draw(t, "slip") {
		case 0:
			letters[i] = 'x'
		case 1:
			letters = slices.Delete(letters, i, i+1)
		case 2:
			letters = slices.Insert(letters, i, letters[i])
		}
		if got := suggest.Nearest(string(letters), options); got != want {
			t.Fatalf("%s: %q, want %s", letters, got, want)
		}
	})
}

func ExampleDidYouMean() {
	options := []string{"first-fit", "best-fit"}
	fmt.Printf("unknown allocator%s\n", suggest.DidYouMean(suggest.Nearest("frist-fit", options)))
	fmt.Printf("unknown allocator%s\n", suggest.DidYouMean(suggest.Nearest("slab", options)))
	// Output:
	// unknown allocator (did you mean "first-fit"?)
	// unknown allocator
}
