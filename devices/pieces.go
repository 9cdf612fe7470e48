package devices

import (
	"math"
	"math/bits"

	"dmasim/allocator"
	"dmasim/mem"
)

// JudgePieces says why the plan's devices cannot use a buffer of payload bytes
// that lies in several pieces, CPU-physical ranges in the order of its bytes:
// allocator.None if they can, Segments if there are more pieces than a device
// takes, or Unreachable. Each piece has to satisfy a device's reach, alignment
// and boundaries by itself, the last one with the device's padding; a device
// without a translating IOMMU that wants one piece takes no buffer of several.
// Pieces are counted as they are: that some lie one behind the other helps
// nobody, since heaps don't merge them (system_heap_attach, Linux 6.12). A piece
// longer than SegmentMax is cut by the driver, and counts as often.
func (p *Plan) JudgePieces(pieces []mem.Range, payload uint64) allocator.Cause {
	for i := range p.devices {
		if cause := p.devices[i].judgePieces(pieces, payload); cause != allocator.None {
			return cause
		}
	}
	return allocator.None
}

func (c *planned) judgePieces(pieces []mem.Range, payload uint64) allocator.Cause {
	var segments uint64
	rest := max(payload, 1)
	for i, piece := range pieces {
		if rest == 0 {
			break
		}
		touched := min(rest, piece.Size())
		rest -= touched
		segments++
		if longest := uint64(c.SegmentMax); longest > 0 {
			segments += (touched - 1) / longest
		}
		if rest == 0 || i == len(pieces)-1 {
			sum, over := bits.Add64(touched, c.padding, 0)
			if touched = sum; over != 0 {
				touched = math.MaxUint64
			}
		}
		rule := c.rules[0]
		if c.Natural {
			rule = c.rules[min(bits.Len64(touched-1), len(c.rules)-1)]
		}
		if breach := rule.Check(piece.Lo, touched, 0); breach.Part != allocator.Kept {
			return allocator.Unreachable
		}
	}
	switch {
	case segments > 1 && c.Contiguous && c.IOMMU != AlwaysIOMMU && c.IOMMU != OwnIOMMU,
		c.SegmentsMax > 0 && segments > c.SegmentsMax:
		return allocator.Segments
	}
	return allocator.None
}
