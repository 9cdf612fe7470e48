package devices

import "dmasim/mem"

// BehindIOMMU splits the rules of a device whose addresses an IOMMU of the machine
// translates: into those about memory, which the IOMMU reaches with addresses of
// outputBits (0: any), and those about the addresses that the device emits, in the
// space of I/O virtual addresses. Rules about CPU-physical ranges and dma-ranges
// don't bind it any more, and those that hold with the IOMMU on do. Padding and
// sizes are about memory, of which pieces become one.
func (d *Device) BehindIOMMU(outputBits uint8) (memory, emitted Device) {
	on := *d
	on.IOMMUOn = true
	r := on.Resolved()
	memory = Device{
		Name: r.Name, Title: r.Title, Class: r.Class, Vendor: r.Vendor, AddressBits: outputBits,
		Granularity: r.Granularity, Padding: r.Padding, PaddingReason: r.PaddingReason,
		SizeMin: r.SizeMin, SizeMax: r.SizeMax, PowerOfTwo: r.PowerOfTwo, Image: r.Image,
		IOMMU: OwnIOMMU, Coherence: r.Coherence,
	}
	emitted = Device{
		Name: r.Name, SegmentMin: r.SegmentMin, SegmentMax: r.SegmentMax, SegmentUnit: r.SegmentUnit, SegmentsMax: r.SegmentsMax,
		Gap: r.Gap, Contiguous: r.Contiguous, MapMax: r.MapMax, IOMMU: NoIOMMU, Beyond: r.Beyond,
	}
	if r.Space != GPUVA { // whose rules are about what its own page tables translate
		emitted.AddressBits, emitted.Align, emitted.Natural, emitted.Origin = r.AddressBits, r.Align, r.Natural, r.Origin
		emitted.ZeroBits, emitted.Boundary, emitted.Group = r.ZeroBits, r.Boundary, r.Group
	}
	if emitted.AddressBits == 0 && emitted.Beyond == Truncate {
		emitted.Beyond = ""
	}
	return memory, emitted
}

// Emits returns the addresses that a device behind an IOMMU may be given: its
// reach, where that is about bus addresses or I/O virtual ones; else all.
func (d *Device) Emits() mem.RangeSet {
	r := d.Resolved()
	if len(r.Spans) == 0 || (r.Space != Bus && r.Space != IOVA) {
		return mem.RangeSet{mem.Everywhere}
	}
	return rangesOf(r.Spans)
}

// SegmentBoundary returns the boundary that Linux keeps segments from crossing when
// it makes addresses for the device (dma_get_seg_boundary), a power of two; 0 where
// there is none. Of several it is the smallest, which has the lines of all.
func (d *Device) SegmentBoundary() uint64 {
	var smallest uint64
	for i := range d.Boundary {
		smallest = minLimit(smallest, uint64(d.Boundary[i].Size))
	}
	return smallest
}
