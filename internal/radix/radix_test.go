package radix_test

import (
	"cmp"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"dmasim/internal/radix"
)

func TestSort(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		shift := rapid.IntRange(0, 63).Draw(t, "shift")
		most := rapid.SampledFrom([]uint64{3, 1000, 1 << 30, 1<<64 - 1}).Draw(t, "most")
		var list []radix.Item
		for i, key := range rapid.SliceOf(rapid.Uint64Range(0, most)).Draw(t, "keys") {
			list = append(list, radix.Item{Key: key << shift, Value: uint64(i)})
		}
		want := slices.Clone(list)
		slices.SortStableFunc(want, func(a, b radix.Item) int { return cmp.Compare(a.Key, b.Key) })
		got, rest := radix.Sort(list, make([]radix.Item, 2))
		if !slices.Equal(got, want) || len(rest) != len(got) {
			t.Fatalf("%v, and %d to spare, want %v", got, len(rest), want)
		}
	})
}

func ExampleSort() {
	sorted, _ := radix.Sort([]radix.Item{{Key: 7, Value: 1}, {Key: 3, Value: 2}, {Key: 7, Value: 3}}, nil)
	fmt.Println(sorted)
	// Output: [{3 2} {7 1} {7 3}]
}
