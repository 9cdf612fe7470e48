package devices_test

import (
	"testing"

	"dmasim/allocator"
	"dmasim/devices"
	"dmasim/mem"
)

// TestBehindIOMMU: rules about addresses hold for those that the device emits, and
// memory is in reach as far as the IOMMU's width goes.
func TestBehindIOMMU(t *testing.T) {
	d := devices.Device{
		Name: "d", Space: devices.IOVA, Spans: []devices.Span{{Lo: 0x1000, Hi: 0x100000}}, AddressBits: 20, Align: 8 * mem.KiB, Natural: true,
		Boundary: devices.Boundaries{{Size: 64 * mem.KiB}, {Size: mem.MiB}}, SegmentsMax: 1, Padding: 64, Granularity: 128, Beyond: devices.Truncate,
	}
	memory, emitted := d.BehindIOMMU(40)
	plan, err := devices.Merge(memory)
	if err != nil {
		t.Fatal(err)
	}
	if want := (mem.RangeSet{{Lo: 0, Hi: 1 << 40}}); plan.Reach.String() != want.String() || plan.Padding != 64 || plan.Granularity != 128 {
		t.Errorf("of memory it demands %+v", plan)
	}
	pieces := []mem.Range{{Lo: 0x1100, Hi: 0x3000}, {Lo: 0x9000, Hi: 0xa000}}
	if cause := plan.JudgePieces(pieces, 0x2000); cause != allocator.None {
		t.Errorf("scattered memory: %v", cause)
	}
	emitted.Beyond = ""
	if plan, err = devices.Merge(emitted); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		at   mem.Range
		want allocator.Cause
	}{
		"fine":       {mem.Range{Lo: 0x2000, Hi: 0x4000}, allocator.None},
		"at the top": {mem.Range{Lo: 1<<20 - 0x2000, Hi: 1 << 20}, allocator.None},
		"too high":   {mem.Range{Lo: 1 << 20, Hi: 1<<20 + 0x2000}, allocator.Unreachable},
		"misaligned": {mem.Range{Lo: 0x3000, Hi: 0x5000}, allocator.Unreachable},
	} {
		if got := plan.JudgePieces([]mem.Range{test.at}, test.at.Size()); got != test.want {
			t.Errorf("%s: %v, want %v", name, got, test.want)
		}
	}
	if d.SegmentBoundary() != 64<<10 || memory.SegmentBoundary() != 0 {
		t.Errorf("segments keep from %d, of memory from %d", d.SegmentBoundary(), memory.SegmentBoundary())
	}
	if got := d.Emits().String(); got != (mem.RangeSet{{Lo: 0x1000, Hi: 0x100000}}).String() {
		t.Errorf("it emits %s", got)
	}
	d.Space = devices.CPU
	if got := d.Emits(); !got.Contains(mem.Range{Lo: 0, Hi: 1 << 63}) {
		t.Errorf("a reach of memory binds the addresses: %s", got)
	}
}

// TestBehindIOMMUWithItsRules: what holds with the IOMMU on does, and what a GPU's own
// page tables translate binds nothing that the IOMMU does.
func TestBehindIOMMUWithItsRules(t *testing.T) {
	scanout := devices.Device{Name: "d", IOMMU: devices.PlatformIOMMU, WithIOMMU: &devices.WithIOMMU{Align: 256 * mem.KiB, Padding: 256 * mem.KiB}}
	memory, emitted := scanout.BehindIOMMU(0)
	if memory.Padding != 256*mem.KiB || memory.Align != 0 || emitted.Align != 256*mem.KiB || emitted.Padding != 0 {
		t.Errorf("of memory %+v, of addresses %+v", memory, emitted)
	}
	gpu := devices.Device{Name: "d", Space: devices.GPUVA, IOMMU: devices.OwnIOMMU, Align: mem.MiB, AddressBits: 20, Spans: []devices.Span{{Lo: 0, Hi: 0x1000}}}
	if _, emitted := gpu.BehindIOMMU(0); emitted.Align != 0 || emitted.AddressBits != 0 || !gpu.Emits().Contains(mem.Everywhere) {
		t.Errorf("of addresses %+v", emitted)
	}
}
