package sim

import (
	"iter"

	"github.com/google/btree"

	"dmasim/mem"
)

// occupancy finds the live buffers of arenas by address. It is kept only where
// transfers may stray, whose victims it finds; see mayStray.
type occupancy struct{ blocks *btree.BTreeG[occupied] }

// occupied is the memory of the buffer in a slot.
type occupied struct {
	lo, hi uint64
	slot   uint32
}

func newOccupancy() *occupancy {
	return &occupancy{btree.NewG(32, func(a, b occupied) bool { return a.lo < b.lo })}
}

func (o *occupancy) add(r mem.Range, slot uint32) {
	o.blocks.ReplaceOrInsert(occupied{r.Lo, r.Hi, slot})
}

func (o *occupancy) remove(r mem.Range) { o.blocks.Delete(occupied{lo: r.Lo}) }

// overlapping yields the slots of the buffers that share bytes with r, with the
// bytes, by rising address.
func (o *occupancy) overlapping(r mem.Range) iter.Seq2[uint32, mem.Range] {
	return func(yield func(uint32, mem.Range) bool) {
		from := r.Lo
		o.blocks.DescendLessOrEqual(occupied{lo: r.Lo}, func(b occupied) bool {
			from = b.lo
			return false
		})
		o.blocks.AscendRange(occupied{lo: from}, occupied{lo: r.Hi}, func(b occupied) bool {
			shared := r.Intersect(mem.Range{Lo: b.lo, Hi: b.hi})
			return shared.Empty() || yield(b.slot, shared)
		})
	}
}
