package devices

import (
	"math/bits"

	"dmasim/mem"
)

// BehindIOMMU splits the rules of a device whose addresses an IOMMU translates:
// into those about memory, which the IOMMU reaches with addresses of outputBits
// (0: any), and those about the addresses that the device emits, in the space of
// I/O virtual addresses. Rules about CPU-physical ranges and dma-ranges don't bind
// it any more. Padding and granularity are about memory, of which pieces become one.
func (d *Device) BehindIOMMU(outputBits uint8) (memory, emitted Device) {
	memory = Device{
		Name: d.Name, Title: d.Title, Class: d.Class, AddressBits: outputBits,
		Granularity: d.Granularity, Padding: d.Padding, PaddingReason: d.PaddingReason, IOMMU: OwnIOMMU, Coherence: d.Coherence,
	}
	emitted = Device{
		Name: d.Name, AddressBits: d.AddressBits, Align: d.Align, Natural: d.Natural, Boundary: d.Boundary,
		SegmentMax: d.SegmentMax, SegmentsMax: d.SegmentsMax, Contiguous: d.Contiguous, IOMMU: NoIOMMU, Beyond: d.Beyond,
	}
	return memory, emitted
}

// Emits returns the addresses that a device behind an IOMMU may be given: its
// reach, where that is about bus addresses or I/O virtual ones; else all.
func (d *Device) Emits() mem.RangeSet {
	if len(d.Spans) == 0 || (d.Space != Bus && d.Space != IOVA) {
		return mem.RangeSet{mem.Everywhere}
	}
	var ranges []mem.Range
	for _, s := range d.Spans {
		ranges = append(ranges, s.Range())
	}
	return mem.NewRangeSet(ranges...)
}

// SegmentBoundary returns the boundary that Linux keeps segments from crossing when
// it makes addresses for the device (dma_get_seg_boundary), a power of two; 0 where
// there is none.
func (d *Device) SegmentBoundary() uint64 {
	if d.Boundary == nil || bits.OnesCount64(uint64(d.Boundary.Size)) != 1 {
		return 0
	}
	return uint64(d.Boundary.Size)
}
