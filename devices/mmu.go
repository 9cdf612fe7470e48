package devices

import (
	"fmt"
	"math"
	"strings"

	"dmasim/mem"
)

// MMU is what an IOMMU, or page tables of a device's own, can translate.
type MMU struct {
	// Width of the addresses that it translates.
	Bits uint8 `yaml:"bits,omitempty" json:"bits,omitempty" jsonschema:"maximum=64"`
	// Addresses that it translates, as ranges that may leave holes. Without any, all of that width.
	Aperture []Span `yaml:"aperture,omitempty" json:"aperture,omitempty"`
	// Smallest page, a power of two: pieces of memory begin and end at its multiples, but for the ends of a buffer.
	Page mem.Size `yaml:"page,omitempty" json:"page,omitempty"`
	// Width of the addresses of memory that it emits.
	OutputBits uint8 `yaml:"output_bits,omitempty" json:"output_bits,omitempty" jsonschema:"maximum=64"`
	// No buffer crosses a multiple of this in the addresses that it translates; a power of two.
	Bank mem.Size `yaml:"bank,omitempty" json:"bank,omitempty"`
}

// WithIOMMU holds the rules of a device while the machine's IOMMU is on. Each
// holds beside the rule of the same name.
type WithIOMMU struct {
	// The first address of a buffer is a multiple of this.
	Align mem.Size `yaml:"align,omitempty" json:"align,omitempty"`
	// Bytes behind the payload that the device may touch.
	Padding mem.Size `yaml:"padding,omitempty" json:"padding,omitempty"`
	// Payload and padding are rounded up to a multiple of this.
	Granularity mem.Size `yaml:"granularity,omitempty" json:"granularity,omitempty"`
}

var mmuShape = shape{
	key: "iommu",
	check: func(d *Device) *FieldError {
		if w := d.WithIOMMU; w != nil && w.Padding > maxOvershoot {
			return fail("with_iommu", -1, "want a padding of at most %s", maxOvershoot)
		}
		m := d.MMU
		if m == nil {
			return nil
		}
		if err := checkSpans("mmu", m.Aperture); err != nil {
			return fail("mmu", -1, "aperture[%d]: %s", err.Index, err.Msg)
		}
		switch {
		case d.IOMMU == NoIOMMU || d.IOMMU == "":
			return fail("mmu", -1, "the device has no IOMMU: want iommu")
		case m.Bits > 64 || m.OutputBits > 64:
			return fail("mmu", -1, "want at most 64 bits")
		case m.Page > 0 && m.Page&(m.Page-1) != 0:
			return fail("mmu", -1, "want a page that is a power of two, not %s", m.Page)
		case m.Bank > 0 && (m.Bank&(m.Bank-1) != 0 || m.Bank < 2):
			return fail("mmu", -1, "want a bank that is a power of two, not %s", m.Bank)
		}
		return nil
	},
	tell: func(d *Device, t *teller) {
		if d.IOMMU != "" {
			t.add("iommu", "", "IOMMU: %s", d.IOMMU)
			t.lines[len(t.lines)-1].Enforced = d.translates() || d.IOMMUOn
		}
		if m := d.MMU; m != nil {
			var parts []string
			if m.Bits > 0 {
				parts = append(parts, fmt.Sprintf("addresses of %d bits", m.Bits))
			}
			if len(m.Aperture) > 0 {
				parts = append(parts, "the aperture "+rangesOf(m.Aperture).String())
			}
			if m.Page > 0 {
				parts = append(parts, "pages of "+m.Page.String())
			}
			if m.Bank > 0 {
				parts = append(parts, "banks of "+m.Bank.String()+", which no buffer crosses")
			}
			if len(parts) > 0 {
				t.add("mmu", IOVA, "translates %s", strings.Join(parts, ", "))
			}
			if m.OutputBits > 0 {
				t.add("mmu", CPU, "translates to memory of %d bits%s", m.OutputBits, below(m.OutputBits))
			}
		}
		if d.IOMMUOn {
			t.add("iommu_on", "", "the machine's IOMMU is on")
		}
		if w := d.WithIOMMU; w != nil {
			if w.Align > 1 {
				t.add("with_iommu", t.bus, "with the machine's IOMMU on, buffers begin at a multiple of %s", w.Align)
			}
			if w.Padding > 0 {
				t.add("with_iommu", "", "with the machine's IOMMU on, may touch %s behind the payload", w.Padding)
			}
			if w.Granularity > 1 {
				t.add("with_iommu", "", "with the machine's IOMMU on, sizes are multiples of %s", w.Granularity)
			}
		}
	},
	name: func(c *compiled) string {
		if c.MMU == nil || c.MMU.Page == 0 {
			return "IOMMU"
		}
		return "IOMMU page (" + c.MMU.Page.String() + ")"
	},
}

// translates reports whether memory behind the device's addresses is put
// together from pages in any case.
func (d *Device) translates() bool { return d.IOMMU.Translates() || d.IOMMU == IsIOMMU }

// Resolved returns the device as its switches say: for descriptors, with the
// machine's IOMMU, of one kind of contents, and below the bits that mean
// something else. A platform's IOMMU is there if it is on. Entries that the
// device is behind are left to Compile.
func (d *Device) Resolved() Device {
	r := *d
	if r.For == Descriptors && r.DescriptorBits > 0 {
		r.AddressBits = r.DescriptorBits
	}
	if r.Tag != nil {
		r.AddressBits = narrower(r.AddressBits, r.Tag.Bit)
	}
	for _, c := range r.Contents {
		if c.Name == r.Content {
			reach := rangesOf(c.Spans)
			if len(r.Spans) > 0 {
				reach = reach.Intersect(rangesOf(r.Spans))
			}
			r.Spans = spansOf(reach)
			if len(reach) == 0 {
				r.Spans = nowhereAtAll
			}
		}
	}
	if r.Space.isTranslated() && !r.translates() {
		r.IOMMU = AlwaysIOMMU
		if r.Space == GPUVA {
			r.IOMMU = OwnIOMMU
		}
	}
	if r.Space == Relative && r.Origin != nil {
		r.place()
	}
	if r.IOMMUOn {
		if r.IOMMU == PlatformIOMMU {
			r.IOMMU = AlwaysIOMMU
		}
		if w := r.WithIOMMU; w != nil {
			r.Align, r.Granularity = commonMultiple(r.Align, w.Align), commonMultiple(r.Granularity, w.Granularity)
			r.Padding = max(r.Padding, w.Padding)
		}
	}
	return r
}

// WithoutIOMMU returns the device as it is while the machine's IOMMU is off, even
// if the device always has one. Page tables of its own stay.
func (d Device) WithoutIOMMU() Device {
	d.IOMMUOn = false
	if d.IOMMU == AlwaysIOMMU || d.IOMMU == PlatformIOMMU {
		d.IOMMU, d.MMU = NoIOMMU, nil
		if d.Space == IOVA {
			d.Space = Bus
		}
	}
	return d
}

// place turns relative addresses into those of memory.
func (d *Device) place() {
	base := uint64(d.Origin.Base)
	window := mem.Range{Lo: base, Hi: math.MaxUint64}
	if bits := d.AddressBits; bits > 0 && bits < 64 && base <= math.MaxUint64-1<<bits {
		window.Hi = base + 1<<bits
	}
	reach := mem.RangeSet{window}
	if len(d.Spans) > 0 {
		var shifted []mem.Range
		for _, r := range rangesOf(d.Spans) {
			if r.Lo <= math.MaxUint64-base {
				shifted = append(shifted, mem.Range{Lo: base + r.Lo, Hi: base + min(r.Hi, math.MaxUint64-base)})
			}
		}
		reach = reach.Intersect(mem.NewRangeSet(shifted...))
	}
	d.Space, d.AddressBits, d.Spans = CPU, 0, spansOf(reach)
	if len(reach) == 0 {
		d.Spans = nowhereAtAll
	}
}

// nowhereAtAll is a reach that holds nothing of use: the last byte of the 64-bit
// space is in no range.
var nowhereAtAll = []Span{{Lo: math.MaxUint64, Hi: math.MaxUint64}}

// narrower returns the smaller of two widths, where 0 means 64.
func narrower(a, b uint8) uint8 {
	if a == 0 || b == 0 {
		return max(a, b)
	}
	return min(a, b)
}

// commonMultiple is the least one, or 2^63 if that passes 64 bits.
func commonMultiple(a, b mem.Size) mem.Size {
	both, ok := lcm(uint64(max(a, 1)), uint64(max(b, 1)))
	if !ok {
		return 1 << 63
	}
	if both == 1 {
		return 0
	}
	return mem.Size(both)
}

// sides splits a resolved device whose addresses are translated: what its rules
// mean for memory, and what for the addresses that are translated. The latter is
// nil if there are none.
func (d *Device) sides() (memory, virtual *Device) {
	if !d.translates() {
		return d, nil
	}
	memory, virtual = new(Device), new(Device)
	*memory = *d
	*virtual = Device{
		Name: d.Name, Space: Bus,
		Padding: d.Padding, Granularity: d.Granularity, SizeMin: d.SizeMin, SizeMax: d.SizeMax, PowerOfTwo: d.PowerOfTwo,
	}
	reach := mem.RangeSet{mem.Everywhere}
	if d.Space.isTranslated() || d.IOMMU == AlwaysIOMMU {
		virtual.AddressBits, virtual.Align, virtual.Natural = d.AddressBits, d.Align, d.Natural
		virtual.ZeroBits, virtual.Boundary, virtual.Origin = d.ZeroBits, d.Boundary, d.Origin
		virtual.Group, memory.Group = d.Group, nil
		memory.AddressBits, memory.Align, memory.Natural, memory.ZeroBits, memory.Boundary, memory.Origin = 0, 0, false, nil, nil, nil
		if d.Space != "" && d.Space != CPU {
			if len(d.Spans) > 0 {
				reach = rangesOf(d.Spans)
			}
			memory.Space, memory.Spans = CPU, nil
		}
		if len(d.Translate) > 0 {
			// The bus limits IOVAs to its last window (of_dma_configure_id, Linux 6.1),
			// and translates nothing.
			var end uint64
			for _, t := range d.Translate {
				end = max(end, t.OnBus().Hi)
			}
			reach = reach.Intersect(mem.RangeSet{{Lo: 0, Hi: end}})
			memory.Translate = nil
		}
	}
	if m := d.MMU; m != nil {
		virtual.AddressBits = narrower(virtual.AddressBits, m.Bits)
		memory.AddressBits = narrower(memory.AddressBits, m.OutputBits)
		if len(m.Aperture) > 0 {
			reach = reach.Intersect(rangesOf(m.Aperture))
		}
		if m.Bank > 0 {
			virtual.Boundary = append(virtual.Boundary[:len(virtual.Boundary):len(virtual.Boundary)], Boundary{Size: m.Bank})
		}
	}
	if virtual.Spans = spansOf(reach); len(reach) == 0 {
		virtual.Spans = nowhereAtAll
	}
	return memory, virtual
}

// page is the size of the IOMMU's pages, 1 where it is not known.
func (d *Device) page() uint64 {
	if d.MMU == nil {
		return 1
	}
	return max(uint64(d.MMU.Page), 1)
}
