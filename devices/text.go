package devices

import (
	"fmt"
	"slices"
	"strings"

	"dmasim/mem"
)

// Line is a rule of a device in words.
type Line struct {
	Rule     string `json:"rule"`            // the key in the device file
	Space    Space  `json:"space,omitempty"` // of its addresses; "" for a rule about sizes
	Text     string `json:"text"`
	Assumed  bool   `json:"assumed"`  // not shown by the sources
	Enforced bool   `json:"enforced"` // by Merge and by the judges of a Plan
}

// Lines describes the device's rules, in the order of the keys.
func (d *Device) Lines() []Line {
	var lines []Line
	add := func(rule string, space Space, enforced bool, format string, args ...any) {
		lines = append(lines, Line{
			Rule: rule, Space: space, Text: fmt.Sprintf(format, args...),
			Assumed: slices.Contains(d.Assumed, rule), Enforced: enforced,
		})
	}
	space, bus := d.Space, d.Space
	if space == "" {
		space = CPU
	}
	memory := d.Space.inMemory()
	if memory {
		bus = Bus
	}
	if len(d.Spans) > 0 {
		add("reach", space, memory, "reaches %s", d.spans())
	}
	if d.AddressBits > 0 {
		add("address_bits", bus, memory, "emits addresses of %d bits%s", d.AddressBits, below(d.AddressBits))
	}
	for _, t := range d.Translate {
		add("translate", CPU, memory, "sees memory %s at bus %s", t.Memory(), t.OnBus())
	}
	if d.Align > 1 {
		add("align", bus, memory, "buffers begin at a multiple of %s", d.Align)
	}
	if d.Natural {
		add("natural", bus, memory, "buffers begin at a multiple of their size, rounded up to a power of two")
	}
	if d.Padding > 0 {
		text := fmt.Sprintf("may touch %s behind the payload", d.Padding)
		if d.PaddingReason != "" {
			text += ": " + d.PaddingReason
		}
		add("padding", "", memory, "%s", text)
	}
	if d.Granularity > 1 {
		add("granularity", "", memory, "sizes, with padding, are multiples of %s", d.Granularity)
	}
	if b := d.Boundary; b != nil {
		add("boundary", bus, memory, "%s no multiple of %s", d.crossing(), b.Size)
	}
	if d.SegmentMax > 0 {
		add("segment_max", "", memory, "at most %s in one segment", d.SegmentMax)
	}
	if d.SegmentsMax > 0 {
		noun := "segments"
		if d.SegmentsMax == 1 {
			noun = "segment"
		}
		add("segments_max", "", memory, "at most %d %s", d.SegmentsMax, noun)
	}
	if d.Contiguous {
		add("contiguous", "", memory, "a buffer is one piece")
	}
	if d.IOMMU != "" {
		add("iommu", "", memory && d.IOMMU.Translates(), "IOMMU: %s", d.IOMMU)
	}
	if d.Coherence != "" {
		add("coherence", "", false, "caches: %s", d.Coherence)
	}
	if d.Beyond != "" {
		add("beyond", "", memory, "buffers out of reach: %s", d.Beyond)
	}
	for _, text := range d.Unmodelled {
		add("unmodelled", "", false, "%s", text)
	}
	return lines
}

// crossing says what must not cross the boundary, with the verb.
func (d *Device) crossing() string {
	what := []string{"payload"}
	if d.Boundary.checked(d.Padding) > 0 {
		what = append(what, "padding")
	}
	if d.Boundary.Guard > 0 {
		what = append(what, d.Boundary.Guard.String()+" behind")
	}
	last := len(what) - 1
	if last == 0 {
		return what[0] + " crosses"
	}
	return strings.Join(what[:last], ", ") + " and " + what[last] + " cross"
}

// below says where addresses of that width end.
func below(bits uint8) string {
	if bits >= 64 {
		return ""
	}
	return fmt.Sprintf(" (below %s)", mem.Size(1)<<bits)
}

// spans returns the device's own reach, in its own space.
func (d *Device) spans() mem.RangeSet {
	ranges := make([]mem.Range, len(d.Spans))
	for i, s := range d.Spans {
		ranges[i] = s.Range()
	}
	return mem.NewRangeSet(ranges...)
}

func (c *compiled) reachText() string { return "reach (" + c.reach().String() + ")" }

func (c *compiled) alignText() string { return fmt.Sprintf("alignment (%s%s)", c.Align, c.offsets()) }

func (c *compiled) boundaryText() string {
	return fmt.Sprintf("boundary (%s%s)", c.Boundary.Size, c.offsets())
}

func (c *compiled) granularityText() string { return fmt.Sprintf("granularity (%s)", c.Granularity) }

// offsets says where bus addresses differ from CPU addresses.
func (c *compiled) offsets() string {
	for _, p := range c.pieces {
		if p.via.CPU != p.via.Bus {
			return fmt.Sprintf(" on the bus, where memory %s is %s", p.via.CPU, p.via.Bus)
		}
	}
	return ""
}
