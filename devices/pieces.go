package devices

import (
	"math"
	"math/bits"

	"dmasim/allocator"
	"dmasim/mem"
)

// JudgePieces says why the plan's devices cannot use a buffer of payload bytes
// that lies in several pieces, CPU-physical ranges in the order of its bytes:
// allocator.None if they can, Unreachable, or Segments. Nothing is allocated.
//
// Every piece that holds payload has to satisfy a device's reach, alignment and
// boundaries by itself, as if it were a buffer; padding, and what granularity
// rounds, follow the last byte of the payload only. Pieces behind that, such as
// guards, are not looked at. Pieces that hold less than the payload are
// Unreachable.
//
// Segments means that there are more pieces than the device takes, which are
// SegmentsMax, or one where the buffer is to be contiguous. Pieces are counted as
// they are: that one lies behind the other helps nobody, since heaps don't merge
// them (system_heap_attach, Linux 6.12). A piece longer than SegmentMax is cut by
// the driver, and counts as often. Where an IOMMU always translates, it makes one
// piece of all (iommu_dma_map_sg), and only SegmentMax cuts that.
func (p *Plan) JudgePieces(pieces []mem.Range, payload uint64) allocator.Cause {
	for i := range p.devices {
		if cause := p.devices[i].judgePieces(pieces, max(payload, 1)); cause != allocator.None {
			return cause
		}
	}
	return allocator.None
}

func (c *planned) judgePieces(pieces []mem.Range, payload uint64) allocator.Cause {
	segments, rest := uint64(0), payload
	for _, piece := range pieces {
		if rest == 0 {
			break
		}
		if piece.Empty() {
			continue
		}
		used := min(rest, piece.Size())
		rest -= used
		segments += c.cuts(used)
		if !c.takes(piece.Lo, used, rest == 0) {
			return allocator.Unreachable
		}
	}
	if rest > 0 {
		return allocator.Unreachable
	}
	if c.IOMMU.Translates() {
		segments = c.cuts(payload)
	}
	if segments > 1 && c.Contiguous || c.SegmentsMax > 0 && segments > c.SegmentsMax {
		return allocator.Segments
	}
	return allocator.None
}

// cuts returns how many segments bytes that lie one behind the other make.
func (c *planned) cuts(size uint64) uint64 {
	if c.SegmentMax == 0 {
		return 1
	}
	return (size-1)/uint64(c.SegmentMax) + 1
}

// takes reports whether a piece of a buffer obeys the rules for one place.
func (c *planned) takes(addr, size uint64, last bool) bool {
	rules, touched, whole := c.inner, size, size
	if last {
		rules = c.rules
		var over uint64
		if touched, over = bits.Add64(size, c.padding, 0); over != 0 {
			return false
		}
		var fits bool
		if whole, fits = roundUp(touched, uint64(c.Granularity)); !fits {
			whole = math.MaxUint64
		}
	}
	order := min(bits.Len64(whole-1), len(rules)-1)
	return rules[order].Check(addr, touched, 0).Part == allocator.Kept
}
