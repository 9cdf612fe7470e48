package sim

import (
	"testing"

	"pgregory.net/rapid"

	"dmasim/mem"
)

// TestOccupancy compares it with a list of all blocks.
func TestOccupancy(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := newOccupancy()
		live := map[uint32]mem.Range{}
		for slot := range uint32(rapid.IntRange(0, 20).Draw(t, "blocks")) {
			lo := rapid.Uint64Range(0, 90).Draw(t, "lo")
			r := mem.Range{Lo: lo, Hi: lo + rapid.Uint64Range(1, 10).Draw(t, "size")}
			free := true
			for _, other := range live {
				free = free && !r.Overlaps(other)
			}
			if free {
				o.add(r, slot)
				live[slot] = r
			}
			if rapid.Bool().Draw(t, "remove") {
				o.remove(r)
				if free {
					delete(live, slot)
				} else {
					for other, block := range live {
						if block.Lo == r.Lo {
							delete(live, other)
						}
					}
				}
			}
		}
		lo := rapid.Uint64Range(0, 110).Draw(t, "from")
		asked := mem.Range{Lo: lo, Hi: lo + rapid.Uint64Range(1, 30).Draw(t, "length")}
		found := map[uint32]mem.Range{}
		last := uint64(0)
		for slot, shared := range o.overlapping(asked) {
			if shared.Lo < last {
				t.Fatalf("%v comes after %#x", shared, last)
			}
			found[slot], last = shared, shared.Hi
		}
		for slot, block := range live {
			if want := asked.Intersect(block); found[slot] != want && !(want.Empty() && found[slot].Empty()) {
				t.Fatalf("block %v of slot %d in %v: got %v, want %v", block, slot, asked, found[slot], want)
			}
			delete(found, slot)
		}
		if len(found) > 0 {
			t.Fatalf("blocks that are not there: %v", found)
		}
	})
}
