package devices_test

import (
	"errors"
	"math"
	"testing"

	"dmasim/allocator"
	"dmasim/devices"
	"dmasim/mem"

	"pgregory.net/rapid"
)

// iovas returns the rule on translated addresses.
func iovas(tb testing.TB, d devices.Device) *allocator.Rule {
	tb.Helper()
	rule, err := d.CompileIOVA()
	if err != nil || rule == nil {
		tb.Fatalf("%v, %v", rule, err)
	}
	return rule
}

// TestSides: what binds memory, and what binds the addresses that are
// translated.
func TestSides(t *testing.T) {
	low := []devices.Span{{Lo: 0, Hi: 0xddc00000}}
	everywhere := mem.RangeSet{mem.Everywhere}
	tests := map[string]struct {
		device devices.Device
		memory mem.RangeSet
		iova   mem.RangeSet // nil: no addresses are translated
	}{
		"no IOMMU": {devices.Device{AddressBits: 32}, mem.RangeSet{{Lo: 0, Hi: 4 * gib}}, nil},
		"an IOMMU that is not on": {
			devices.Device{AddressBits: 32, IOMMU: devices.PlatformIOMMU}, mem.RangeSet{{Lo: 0, Hi: 4 * gib}}, nil,
		},
		"one that is on": {
			devices.Device{AddressBits: 32, IOMMU: devices.PlatformIOMMU, IOMMUOn: true}, everywhere, mem.RangeSet{{Lo: 0, Hi: 4 * gib}},
		},
		"one that is there": {
			devices.Device{AddressBits: 32, IOMMU: devices.AlwaysIOMMU, MMU: &devices.MMU{OutputBits: 40}},
			mem.RangeSet{{Lo: 0, Hi: 1 << 40}}, mem.RangeSet{{Lo: 0, Hi: 4 * gib}},
		},
		"a mask that is no power of two": {
			devices.Device{Space: devices.IOVA, Spans: low, IOMMU: devices.AlwaysIOMMU, MMU: &devices.MMU{Bits: 32}},
			everywhere, mem.RangeSet{{Lo: 0, Hi: 0xddc00000}},
		},
		"an aperture with a hole": {
			devices.Device{IOMMU: devices.AlwaysIOMMU, MMU: &devices.MMU{Bits: 32, Aperture: []devices.Span{{Lo: 0, Hi: 0x60000000}, {Lo: 0x70000000, Hi: 8 * gib}}}},
			everywhere, mem.RangeSet{{Lo: 0, Hi: 0x60000000}, {Lo: 0x70000000, Hi: 4 * gib}},
		},
		"memory behind page tables of its own": {
			devices.Device{AddressBits: 32, IOMMU: devices.OwnIOMMU, MMU: &devices.MMU{Bits: 31}},
			mem.RangeSet{{Lo: 0, Hi: 4 * gib}}, mem.RangeSet{{Lo: 0, Hi: 2 * gib}},
		},
		"narrow memory behind page tables of its own": {
			devices.Device{AddressBits: 40, IOMMU: devices.OwnIOMMU, MMU: &devices.MMU{OutputBits: 32}},
			mem.RangeSet{{Lo: 0, Hi: 4 * gib}}, everywhere,
		},
		"a pool behind an IOMMU": {
			devices.Device{Spans: low, IOMMU: devices.AlwaysIOMMU}, mem.RangeSet{{Lo: 0, Hi: 0xddc00000}}, everywhere,
		},
		"GPU addresses, of page tables that nobody mentions": {
			devices.Device{Space: devices.GPUVA, Spans: low}, everywhere, mem.RangeSet{{Lo: 0, Hi: 0xddc00000}},
		},
		"windows of a bus limit IOVAs": {
			devices.Device{IOMMU: devices.AlwaysIOMMU, Translate: []devices.Translation{{CPU: 0, Bus: gib, Size: gib}}},
			everywhere, mem.RangeSet{{Lo: 0, Hi: 2 * gib}},
		},
		"behind a bus": {
			devices.Device{AddressBits: 32, Behind: []string{"bcm2711-soc"}}, mem.RangeSet{{Lo: 0, Hi: gib}}, nil,
		},
		"a 30-bit card behind a bus with an offset": {devices.Device{AddressBits: 30, Behind: []string{"bcm2711-soc"}}, nil, nil},
		"behind an IOMMU of 32 bits": {
			devices.Device{AddressBits: 40, Behind: []string{"rk-iommu-v1"}}, mem.RangeSet{{Lo: 0, Hi: 4 * gib}}, mem.RangeSet{{Lo: 0, Hi: 4 * gib}},
		},
		"descriptors": {
			devices.Device{AddressBits: 32, DescriptorBits: 31, For: devices.Descriptors}, mem.RangeSet{{Lo: 0, Hi: 2 * gib}}, nil,
		},
		"contents": {
			devices.Device{
				Spans: low, Content: "protected",
				Contents: []devices.Content{{Name: "protected", Spans: []devices.Span{{Lo: gib, Size: 4 * gib}}}},
			}, mem.RangeSet{{Lo: gib, Hi: 0xddc00000}}, nil,
		},
		"relative to the start of DRAM": {
			devices.Device{Space: devices.Relative, Spans: []devices.Span{{Lo: 0, Size: mib}}, Origin: &devices.Origin{Base: 0xc0000000}},
			mem.RangeSet{{Lo: 0xc0000000, Hi: 0xc0100000}}, nil,
		},
	}
	for name, test := range tests {
		d := test.device
		d.Name = "d"
		if got := d.Reach(); got.String() != test.memory.String() {
			t.Errorf("%s: memory %s, want %s", name, got, test.memory)
		}
		if len(test.memory) == 0 {
			if _, _, err := d.Compile(); !errors.Is(err, devices.ErrNoReach) {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		rule, err := d.CompileIOVA()
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		var iova mem.RangeSet
		if rule != nil {
			for _, w := range rule.Windows {
				iova = append(iova, w.Reach)
			}
		}
		if iova.String() != test.iova.String() {
			t.Errorf("%s: IOVAs %s, want %s", name, iova, test.iova)
		}
	}
}

// TestIOVARulesAgainstBytes: banks, apertures with holes and a device's own
// rules, address by address.
func TestIOVARulesAgainstBytes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		number := func(label string, lo, hi int) uint64 { return uint64(rapid.IntRange(lo, hi).Draw(t, label)) }
		d := devices.Device{
			Name: "d", IOMMU: devices.AlwaysIOMMU, Space: rapid.SampledFrom([]devices.Space{devices.IOVA, devices.Bus, ""}).Draw(t, "space"),
			Align: mem.Size(number("align", 0, 4)), AddressBits: uint8(number("width", 6, 9)), Padding: mem.Size(number("padding", 0, 3)),
			MMU: &devices.MMU{Bits: uint8(number("bits", 5, 8))},
		}
		if rapid.Bool().Draw(t, "banks") {
			d.MMU.Bank = 1 << number("bank", 4, 6)
		}
		for range number("aperture", 0, 2) {
			d.MMU.Aperture = append(d.MMU.Aperture, devices.Span{Lo: mem.Addr(number("lo", 0, 100)), Size: mem.Size(number("size", 1, 100))})
		}
		if d.Space != "" && rapid.Bool().Draw(t, "spans") {
			d.Spans = []devices.Span{{Lo: mem.Addr(number("lo", 0, 100)), Size: mem.Size(number("size", 1, 100))}}
		}
		within := func(spans []devices.Span, at uint64) bool {
			for _, s := range spans {
				if at >= s.Range().Lo && at < s.Range().Hi {
					return true
				}
			}
			return len(spans) == 0
		}
		payload := number("payload", 1, 20)
		touched := payload + uint64(d.Padding)
		legal := func(start uint64) bool {
			if d.Align > 1 && start%uint64(d.Align) != 0 {
				return false
			}
			for at := start; at < start+touched; at++ {
				if at>>min(d.AddressBits, d.MMU.Bits) != 0 || !within(d.Spans, at) || !within(d.MMU.Aperture, at) {
					return false
				}
				if d.MMU.Bank > 0 && at/uint64(d.MMU.Bank) != start/uint64(d.MMU.Bank) {
					return false
				}
			}
			return true
		}
		rule, err := d.CompileIOVA()
		if err != nil {
			t.Skip("no such device")
		}
		for start := range uint64(300) {
			if got := rule.Check(start, touched, 0).Part == allocator.Kept; got != legal(start) {
				t.Fatalf("address %d, %d bytes: legal %v, want %v", start, touched, got, legal(start))
			}
		}
	})
}

func TestRulesWithTheIOMMUOn(t *testing.T) {
	d := devices.Device{
		Name: "scanout", Align: 4096, IOMMU: devices.PlatformIOMMU,
		WithIOMMU: &devices.WithIOMMU{Align: 256 * kib, Padding: 256 * kib},
	}
	if request := merge(t, d).Request(mib, 4096); request.Size != mib || request.Align != 4096 {
		t.Errorf("off: %+v", request)
	}
	d.IOMMUOn = true
	if request := merge(t, d).Request(mib, 4096); request.Size != mib+256*kib || request.Align != 0 {
		t.Errorf("on: %+v", request)
	}
	rule := iovas(t, d)
	if at, ok := rule.First(1, math.MaxUint64, mib, 0); !ok || at != 256*kib {
		t.Errorf("on: IOVA %#x, %v", at, ok)
	}
}

// TestIOMMUPage: pieces meet at multiples of the IOMMU's page, but for the ends
// of the buffer.
func TestIOMMUPage(t *testing.T) {
	dart := merge(t, devices.Device{Name: "dart", IOMMU: devices.AlwaysIOMMU, MMU: &devices.MMU{Page: 16 * kib}, Contiguous: true})
	tests := []struct {
		pieces  []mem.Range
		payload uint64
		want    allocator.Cause
	}{
		{at(0x4000, 0x4000, 0x10000, 0x4000), 0x8000, allocator.None},
		{at(0x5000, 0x3000, 0x10000, 0x1000), 0x4000, allocator.None},
		{at(0x4000, 0x1000, 0x8000, 0x1000), 0x2000, allocator.Segments},
		{at(0x4000, 0x4000, 0x9000, 0x1000), 0x5000, allocator.Segments},
		{at(0x4000, 0x4000, 0x9000, 0x1000), 0x4000, allocator.None},
	}
	for _, test := range tests {
		if got := dart.JudgePieces(test.pieces, test.payload); got != test.want {
			t.Errorf("%v, %#x bytes: %v, want %v", test.pieces, test.payload, got, test.want)
		}
	}
}
