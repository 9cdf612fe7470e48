package devices

import (
	"fmt"
	"slices"

	"dmasim/internal/suggest"
	"dmasim/mem"
)

// Span is a range of addresses, by its end or by its size.
type Span struct {
	// First address.
	Lo mem.Addr `yaml:"lo" json:"lo"`
	// Address behind the last. Either hi or size.
	Hi mem.Addr `yaml:"hi,omitempty" json:"hi,omitempty"`
	// Length. Either hi or size.
	Size mem.Size `yaml:"size,omitempty" json:"size,omitempty"`
}

// Range returns the span as a half-open range. It is empty if the span is not
// valid.
func (s Span) Range() mem.Range {
	if s.Hi != 0 {
		return mem.Range{Lo: uint64(s.Lo), Hi: uint64(s.Hi)}
	}
	return mem.Range{Lo: uint64(s.Lo), Hi: uint64(s.Lo) + uint64(s.Size)}
}

// Content is a kind of contents and where in a device's reach it lies.
type Content struct {
	// Name of the kind.
	Name string `yaml:"name" json:"name"`
	// Addresses of such contents, in the device's space.
	Spans []Span `yaml:"reach" json:"reach"`
}

// Tag is the part of an address that is none.
type Tag struct {
	// Lowest bit that means something else.
	Bit uint8 `yaml:"bit" json:"bit" jsonschema:"minimum=1,maximum=63"`
	// What it means.
	Meaning string `yaml:"meaning" json:"meaning"`
}

// Translation is a window of memory and where it appears on the bus.
type Translation struct {
	// First CPU-physical address of the window.
	CPU mem.Addr `yaml:"cpu" json:"cpu"`
	// Bus address at which the window begins.
	Bus mem.Addr `yaml:"bus" json:"bus"`
	// Length of the window.
	Size mem.Size `yaml:"size" json:"size"`
}

// Memory returns the window's CPU-physical addresses.
func (t Translation) Memory() mem.Range {
	return mem.Range{Lo: uint64(t.CPU), Hi: uint64(t.CPU) + uint64(t.Size)}
}

// OnBus returns the window's bus addresses.
func (t Translation) OnBus() mem.Range {
	return mem.Range{Lo: uint64(t.Bus), Hi: uint64(t.Bus) + uint64(t.Size)}
}

func (t Translation) fromBus(addr uint64) uint64 { return addr - uint64(t.Bus) + uint64(t.CPU) }
func (t Translation) toBus(addr uint64) uint64   { return addr - uint64(t.CPU) + uint64(t.Bus) }

// phase returns the CPU addresses, modulo m, whose bus addresses are from
// modulo m.
func (t Translation) phase(from, m uint64) uint64 {
	// Each is less than m, and so is what is left after every step.
	at := uint64(t.CPU) % m
	at = plusModulo(at, from%m, m)
	if bus := uint64(t.Bus) % m; at >= bus {
		return at - bus
	} else {
		return m - (bus - at)
	}
}

// plusModulo returns a+b modulo m, for a and b below m.
func plusModulo(a, b, m uint64) uint64 {
	if a >= m-b {
		return a - (m - b)
	}
	return a + b
}

// joined returns the translations by rising CPU address, those that continue
// each other on both sides as one.
func joined(translations []Translation) []Translation {
	sorted := slices.SortedFunc(slices.Values(translations), func(a, b Translation) int {
		if a.CPU < b.CPU {
			return -1
		}
		return 1
	})
	whole := sorted[:1]
	for _, t := range sorted[1:] {
		last := &whole[len(whole)-1]
		if last.Memory().Hi == uint64(t.CPU) && last.OnBus().Hi == uint64(t.Bus) {
			last.Size += t.Size
			continue
		}
		whole = append(whole, t)
	}
	return whole
}

// reachShape is about which memory a device addresses at all.
var reachShape = shape{
	key:   "reach",
	check: (*Device).checkReach,
	tell: func(d *Device, t *teller) {
		if len(d.Spans) > 0 {
			t.add("reach", t.spans, "reaches %s", listed(rangesOf(d.Spans)))
		}
		for _, c := range d.Contents {
			t.add("contents", t.spans, "%s contents lie in %s", c.Name, listed(rangesOf(c.Spans)))
		}
		if d.Content != "" {
			t.add("content", "", "the contents are %s", d.Content)
		}
		if d.AddressBits > 0 {
			t.add("address_bits", t.bus, "emits addresses of %d bits%s", d.AddressBits, below(d.AddressBits))
		}
		if d.DescriptorBits > 0 {
			t.add("descriptor_bits", t.bus, "descriptors have addresses of %d bits%s", d.DescriptorBits, below(d.DescriptorBits))
		}
		if d.For != "" {
			t.add("for", "", "the buffer holds %s", d.For)
		}
		if d.Tag != nil {
			t.add("tag", t.bus, "addresses end below bit %d, which and above mean: %s", d.Tag.Bit, d.Tag.Meaning)
		}
		for _, tr := range d.Translate {
			t.add("translate", CPU, "sees memory %s at bus %s", tr.Memory(), tr.OnBus())
		}
		for _, name := range d.Behind {
			t.add("behind", "", "reaches memory through %s", name)
		}
	},
	name: func(c *compiled) string { return "reach (" + listed(c.reach()) + ")" },
}

func (d *Device) checkReach() *FieldError {
	if err := checkSpans("reach", d.Spans); err != nil {
		return err
	}
	var kinds []string
	for i, c := range d.Contents {
		if err := checkSpans("contents", c.Spans); err != nil {
			return fail("contents", i, "%s", err.Msg)
		}
		if slices.Contains(kinds, c.Name) {
			return fail("contents", i, "contents %q are there twice", c.Name)
		}
		kinds = append(kinds, c.Name)
	}
	if d.Content != "" && !slices.Contains(kinds, d.Content) {
		return fail("content", -1, "the device has no contents %q%s", d.Content, suggest.DidYouMean(suggest.Nearest(d.Content, kinds)))
	}
	if d.AddressBits > 64 || d.DescriptorBits > 64 {
		key, bits := "address_bits", d.AddressBits
		if bits <= 64 {
			key, bits = "descriptor_bits", d.DescriptorBits
		}
		return fail(key, -1, "want at most 64 bits, not %d", bits)
	}
	if d.For == Descriptors && d.DescriptorBits == 0 {
		return fail("for", -1, "the device says no width of descriptors: want descriptor_bits")
	}
	if d.Tag != nil && (d.Tag.Bit == 0 || d.Tag.Bit > 63) {
		return fail("tag", -1, "want a bit from 1 to 63, not %d", d.Tag.Bit)
	}
	if d.Beyond == Truncate && (d.AddressBits == 0 || d.AddressBits == 64) {
		return fail("beyond", -1, "only addresses of less than 64 bits are truncated: want address_bits")
	}
	return d.checkTranslate()
}

// maxRanges bounds the work for a hostile file.
const maxRanges = 4096

func checkSpans(field string, spans []Span) *FieldError {
	if len(spans) > maxRanges {
		return fail(field, -1, "want at most %d ranges", maxRanges)
	}
	for i, s := range spans {
		switch {
		case (s.Hi == 0) == (s.Size == 0):
			return fail(field, i, "want lo and either hi or size")
		case s.Range().Empty():
			return fail(field, i, "the range from %s is empty or passes the end of the 64-bit space", s.Lo)
		}
	}
	return nil
}

func (d *Device) checkTranslate() *FieldError {
	if len(d.Translate) > 0 && d.Space != "" && d.Space != CPU && d.Space != Bus {
		return fail("translate", 0, "a device with addresses in space %s has no bus windows", d.Space)
	}
	if len(d.Translate) > maxRanges {
		return fail("translate", -1, "want at most %d windows", maxRanges)
	}
	for i, t := range d.Translate {
		if t.Memory().Empty() || t.OnBus().Empty() {
			return fail("translate", i, "the window is empty or passes the end of the 64-bit space")
		}
		for j, o := range d.Translate[:i] {
			if t.Memory().Overlaps(o.Memory()) || t.OnBus().Overlaps(o.OnBus()) {
				return fail("translate", i, "the window overlaps window %d", j)
			}
		}
	}
	return nil
}

// rangesOf returns the spans as a set.
func rangesOf(spans []Span) mem.RangeSet {
	ranges := make([]mem.Range, len(spans))
	for i, s := range spans {
		ranges[i] = s.Range()
	}
	return mem.NewRangeSet(ranges...)
}

// mostListed is how many ranges a message holds.
const mostListed = 8

// listed is the set for a message.
func listed(set mem.RangeSet) string {
	if len(set) <= mostListed {
		return set.String()
	}
	return fmt.Sprintf("%s and %d more up to %s", set[:mostListed], len(set)-mostListed, mem.Addr(set.Hull().Hi))
}

// spansOf is the way back.
func spansOf(set mem.RangeSet) []Span {
	spans := make([]Span, len(set))
	for i, r := range set {
		spans[i] = Span{Lo: mem.Addr(r.Lo), Hi: mem.Addr(r.Hi)}
	}
	return spans
}
