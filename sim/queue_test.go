package sim

import (
	"cmp"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestAgenda holds the agenda to a sorted list, with many equal times.
func TestAgenda(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var q agenda
		var list []due
		for sequence := range uint64(rapid.IntRange(1, 200).Draw(t, "steps")) {
			if len(list) > 0 && rapid.IntRange(0, 2).Draw(t, "pop") == 0 {
				if got := q.pop(); got != list[0] {
					t.Fatalf("got %+v, want %+v", got, list[0])
				}
				list = list[1:]
				continue
			}
			d := due{at: time.Duration(rapid.OneOf(rapid.Int64Range(0, 8), rapid.Int64Min(0)).Draw(t, "at")), sequence: sequence}
			q.push(d)
			list = append(list, d)
			slices.SortFunc(list, func(a, b due) int {
				return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.sequence, b.sequence))
			})
		}
		for _, want := range list {
			if got := q.pop(); got != want {
				t.Fatalf("got %+v, want %+v", got, want)
			}
		}
		if len(q) != 0 {
			t.Fatalf("%d left", len(q))
		}
	})
}
