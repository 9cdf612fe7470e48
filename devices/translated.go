package devices

import "dmasim/mem"

// BehindIOMMU splits the rules of a device whose addresses an IOMMU translates:
// into those about memory, which the IOMMU reaches with addresses of outputBits
// (0: any), and those about the addresses that the device emits, in the space of
// I/O virtual addresses. Rules about CPU-physical ranges and dma-ranges don't bind
// it any more. Padding and granularity are about memory.
func (d *Device) BehindIOMMU(outputBits uint8) (memory, emitted Device) {
	memory, emitted = *d, *d
	memory.Space, memory.Spans, memory.Translate, memory.AddressBits = "", nil, nil, outputBits
	memory.Align, memory.Natural, memory.Boundary = 0, false, nil
	memory.SegmentMax, memory.SegmentsMax, memory.Contiguous = 0, 0, false
	memory.IOMMU, memory.Beyond = AlwaysIOMMU, ""
	emitted.Space, emitted.Spans, emitted.Translate = "", nil, nil
	emitted.Padding, emitted.Granularity, emitted.IOMMU = 0, 0, NoIOMMU
	return memory, emitted
}

// Emits returns the addresses that a device behind an IOMMU may be given: its
// reach, where that is about bus addresses or I/O virtual ones; else all.
func (d *Device) Emits() mem.RangeSet {
	if len(d.Spans) == 0 || (d.Space != Bus && d.Space != IOVA) {
		return mem.RangeSet{mem.Everywhere}
	}
	return d.spans()
}
