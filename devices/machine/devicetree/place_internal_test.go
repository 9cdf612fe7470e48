package devicetree

import (
	"testing"

	"pgregory.net/rapid"

	"dmasim/devices/machine"
	"dmasim/mem"
)

// TestPlace compares where a region goes with a search of every aligned place.
func TestPlace(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const page = uint64(4 * mem.KiB)
		pages := func(label string, most int) uint64 { return uint64(rapid.IntRange(0, most).Draw(t, label)) * page }
		set := func(label string) mem.RangeSet {
			var list []mem.Range
			for range rapid.IntRange(0, 4).Draw(t, label) {
				lo := pages("lo", 60)
				list = append(list, mem.Range{Lo: lo, Hi: lo + pages("size", 20)})
			}
			return mem.NewRangeSet(list...)
		}
		r := reservations{platform: machine.Platform{PageSize: 4 * mem.KiB}, ram: set("ram"), taken: set("taken")}
		size := page + pages("size", 8)
		align := page << rapid.IntRange(0, 3).Draw(t, "align")
		lo := pages("window", 40)
		window := mem.Range{Lo: lo, Hi: lo + pages("length", 60)}
		fromBelow := rapid.Bool().Draw(t, "from below")
		got, ok := r.place(size, align, window, fromBelow)
		want, found := uint64(0), false
		for at := align * ((page + align - 1) / align); at < 100*page; at += align {
			block := mem.Range{Lo: at, Hi: at + size}
			if !window.Contains(block) || !r.ram.Contains(block) || r.taken.Intersect(mem.RangeSet{block}).Size() > 0 || found && fromBelow {
				continue
			}
			want, found = at, true
		}
		if ok != found || got != want {
			t.Fatalf("0x%x %t, want 0x%x %t", got, ok, want, found)
		}
	})
}
