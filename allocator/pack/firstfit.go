package pack

import (
	"cmp"
	"fmt"
	"slices"
)

// Order says in which order [FirstFit] places buffers. Buffers that it does not
// tell apart are placed in the order of the slice.
type Order string

// The orders of [FirstFit].
const (
	ByStart    Order = "start"    // as they come in time, of those at one time the largest first: what an online allocator does
	BySize     Order = "size"     // the largest first
	ByDuration Order = "duration" // the longest first
	ByArea     Order = "area"     // the largest product of size and duration first
	ByLoad     Order = "load"     // the one that lives at the busiest time first
)

// Orders returns every order of [FirstFit].
func Orders() []Order { return []Order{ByStart, BySize, ByDuration, ByArea, ByLoad} }

// FirstFit places the buffers one by one, each at the lowest offset at which it
// overlaps none that has been placed. It returns their offsets, and an error if
// the order is unknown, or that of [Pack].
//
// ByStart needs exactly the load if all sizes are equal and nothing is aligned.
func FirstFit(buffers []Buffer, by Order) ([]uint64, error) {
	if !slices.Contains(Orders(), by) {
		return nil, fmt.Errorf("unknown order %q, want one of %q", by, Orders())
	}
	instances, err := newInstances(buffers)
	if err != nil {
		return nil, err
	}
	offsets := make([]uint64, len(buffers))
	for _, p := range instances {
		p.copyOffsets(offsets, p.firstFit(p.placingOrder(buffers, by, newFeatureTable(p))))
	}
	return offsets, nil
}

// placingOrder returns the buffers of the instance in the order.
func (p *instance) placingOrder(buffers []Buffer, by Order, table *featureTable) []int32 {
	all := p.identity()
	slices.SortFunc(all, func(i, j int32) int { return cmp.Compare(p.source[i], p.source[j]) })
	switch by {
	case ByStart:
		table.sort(all, order{size})
		slices.SortStableFunc(all, func(i, j int32) int {
			return cmp.Compare(buffers[p.source[i]].Start, buffers[p.source[j]].Start)
		})
	case BySize:
		table.sort(all, order{size})
	case ByDuration:
		table.sort(all, order{duration})
	case ByArea:
		table.sort(all, order{area})
	case ByLoad:
		table.sort(all, order{busiest})
	}
	return all
}

// firstFit returns the offsets of the buffers when placed in the given order.
func (p *instance) firstFit(placing []int32) []int64 {
	offsets := make([]int64, len(p.size))
	for i := range offsets {
		offsets[i] = -1
	}
	var placed []int32
	for _, i := range placing {
		placed = placed[:0]
		for _, j := range p.overlaps[i] {
			if offsets[j] >= 0 {
				placed = append(placed, j)
			}
		}
		slices.SortFunc(placed, func(i, j int32) int { return cmp.Compare(offsets[i], offsets[j]) })
		var lowest int64
		for _, j := range placed {
			if lowest+p.size[i] <= offsets[j] {
				break
			}
			lowest = max(lowest, p.alignUp(i, offsets[j]+p.size[j]))
		}
		offsets[i] = lowest
	}
	return offsets
}

// copyOffsets copies the offsets of the instance's buffers to where the caller
// has them.
func (p *instance) copyOffsets(to []uint64, from []int64) {
	for i, offset := range from {
		to[p.source[i]] = uint64(offset)
	}
}
