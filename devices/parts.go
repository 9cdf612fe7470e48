package devices

import (
	"fmt"
	"slices"
	"strings"

	"dmasim/mem"
)

// PlanPart is a piece of a merged constraint, and the devices that it comes from.
type PlanPart struct {
	Rule string   `json:"rule"` // the key in a device file
	Text string   `json:"text"`
	From []string `json:"from"`
}

// Parts says in words what the devices demand together, and who of them demands
// it. A rule that another device's implies is left out.
func (p *Plan) Parts() []PlanPart {
	var parts []PlanPart
	add := func(rule, text string, from func(*planned) bool) {
		part := PlanPart{Rule: rule, Text: text, From: []string{}}
		for i := range p.devices {
			if d := &p.devices[i]; from(d) && !slices.Contains(part.From, d.Name) {
				part.From = append(part.From, d.Name)
			}
		}
		if len(part.From) > 0 {
			parts = append(parts, part)
		}
	}
	all := mem.RangeSet{mem.Everywhere}.String()
	where := "in " + string(p.Space)
	if p.Space == CPU {
		where = "in memory"
	}
	add("reach", fmt.Sprintf("lies in %s, %s", listed(p.Reach), where), func(d *planned) bool { return d.reach().String() != all })
	if align, ok := p.align(); ok {
		add("align", align, func(d *planned) bool { return d.Align > 1 })
	}
	add("natural", "begins at a multiple of its size, rounded up to a power of two", func(d *planned) bool { return d.Natural })
	for i := range p.devices {
		d := &p.devices[i]
		only := func(o *planned) bool { return o == d }
		if d.Origin != nil {
			above := "at or above "
			if d.Origin.Exclusive {
				above = "above "
			}
			add("origin", "begins "+above+d.Origin.Base.String()+d.offsets(), only)
		}
		for _, bit := range d.ZeroBits {
			add("zero_bits", fmt.Sprintf("bit %d of its first address is 0%s", bit, d.offsets()), only)
		}
		for _, b := range d.Boundary {
			text := fmt.Sprintf("%s no multiple of %s%s", d.crossing(&b), b.Size, d.offsets())
			if b.Exclusive {
				text += ", and it neither begins nor ends at one"
			}
			add("boundary", text, func(o *planned) bool { return slices.Contains(o.Boundary, b) && o.offsets() == d.offsets() })
		}
	}
	parts = slices.CompactFunc(parts, func(a, b PlanPart) bool { return a.Rule == b.Rule && a.Text == b.Text })
	if p.Padding > 0 {
		add("padding", mem.Size(p.Padding).String()+" behind the payload", func(d *planned) bool { return d.padding == p.Padding })
	}
	if p.sizing.least > 0 {
		add("size_min", "has at least "+mem.Size(p.sizing.least).String(), func(d *planned) bool { return uint64(d.SizeMin) == p.sizing.least })
	}
	if p.Granularity > 1 {
		add("granularity", "its size, with padding, is a multiple of "+mem.Size(p.Granularity).String(), func(d *planned) bool { return d.Granularity > 1 })
	}
	add("power_of_two", "its size is a power of two", func(d *planned) bool { return d.PowerOfTwo })
	var most mem.Size
	for i := range p.devices {
		most = mem.Size(minLimit(uint64(most), uint64(p.devices[i].SizeMax)))
	}
	add("size_max", "has at most "+most.String(), func(d *planned) bool { return d.SizeMax > 0 && d.SizeMax == most })
	p.pieceParts(add)
	for i := range p.devices {
		if d := &p.devices[i]; d.virtual != nil {
			rules := strings.Split(strings.TrimPrefix(d.virtual.allText(), "reach ("+all+")"), ", ")
			if d.page > 1 {
				rules = append(rules, "pages of "+mem.Size(d.page).String())
			}
			if text := strings.TrimPrefix(strings.Join(rules, ", "), ", "); text != "" {
				add("mmu", "has translated addresses for "+d.Name+": "+text, func(o *planned) bool { return o == d })
			}
		}
	}
	p.imageParts(add)
	for i := range p.devices {
		d := &p.devices[i]
		where, group := d.offsets(), d.Group
		if d.virtual != nil && d.virtual.Group != nil {
			where, group = " in translated addresses", d.virtual.Group
		}
		for _, text := range group.texts() {
			add("group", text+where, func(o *planned) bool { return o == d })
		}
	}
	if text, needed := p.synchronizing(); needed {
		add("coherence", text, func(d *planned) bool { return d.Coherence != "" && d.Coherence != Coherent })
	}
	return parts
}

func (p *Plan) pieceParts(add func(rule, text string, from func(*planned) bool)) {
	size := func(n uint64) string { return mem.Size(n).String() }
	if p.SegmentMin > 0 {
		add("segment_min", "segments of at least "+size(p.SegmentMin), func(d *planned) bool { return uint64(d.SegmentMin) == p.SegmentMin })
	}
	if p.SegmentMax > 0 {
		add("segment_max", "segments of at most "+size(p.SegmentMax), func(d *planned) bool { return uint64(d.SegmentMax) == p.SegmentMax })
	}
	if p.SegmentUnit > 1 {
		add("segment_unit", "segments but the last are multiples of "+size(p.SegmentUnit), func(d *planned) bool { return d.SegmentUnit > 1 })
	}
	if p.SegmentsMax > 0 {
		add("segments_max", "at most "+segmentsText(p.SegmentsMax), func(d *planned) bool { return d.SegmentsMax == p.SegmentsMax })
	}
	if p.Gap > 1 {
		add("gap", "segments meet at multiples of "+size(p.Gap), func(d *planned) bool { return d.Gap > 1 })
	}
	if p.Contiguous {
		add("contiguous", "is one piece of memory", func(d *planned) bool { return d.oneSegment() })
	}
	if p.MapMax > 0 {
		add("map_max", "at most "+size(p.MapMax)+" are mapped as one segment", func(d *planned) bool { return uint64(d.MapMax) == p.MapMax })
	}
}

func (p *Plan) imageParts(add func(rule, text string, from func(*planned) bool)) {
	m, _ := mergeImages(p.devices)
	merged := Image{
		StrideAlign: mem.Size(m.strideAlign), StridePixels: m.stridePixels, StrideMax: mem.Size(m.strideMax), ExactStride: m.exact,
		Lines: m.lines, ChromaLines: m.chromaLines, PlaneAlign: mem.Size(m.planeAlign), PlaneOffsetMax: mem.Size(m.offsetMax),
		SizeStrides: m.sizeStrides, PaddingStrides: m.paddingStrides,
	}
	// Each text is of one rule, and comes from the devices that have the rule.
	for _, one := range []struct {
		part Image
		has  func(*Image) bool
	}{
		{Image{StrideAlign: merged.StrideAlign}, func(i *Image) bool { return i.StrideAlign > 1 }},
		{Image{StridePixels: merged.StridePixels}, func(i *Image) bool { return i.StridePixels > 1 }},
		{Image{StrideMax: merged.StrideMax}, func(i *Image) bool { return i.StrideMax > 0 && i.StrideMax == merged.StrideMax }},
		{Image{ExactStride: merged.ExactStride}, func(i *Image) bool { return i.ExactStride }},
		{Image{Lines: merged.Lines}, func(i *Image) bool { return i.Lines > 1 }},
		{Image{ChromaLines: merged.ChromaLines}, func(i *Image) bool { return i.ChromaLines > 1 }},
		{Image{PlaneAlign: merged.PlaneAlign}, func(i *Image) bool { return i.PlaneAlign > 1 }},
		{Image{PlaneOffsetMax: merged.PlaneOffsetMax}, func(i *Image) bool { return i.PlaneOffsetMax > 0 && i.PlaneOffsetMax == merged.PlaneOffsetMax }},
		{Image{SizeStrides: merged.SizeStrides}, func(i *Image) bool { return i.SizeStrides > 1 }},
		{Image{PaddingStrides: merged.PaddingStrides}, func(i *Image) bool { return i.PaddingStrides > 0 && i.PaddingStrides == merged.PaddingStrides }},
	} {
		for _, text := range one.part.texts() {
			add("image", text, func(d *planned) bool { return d.Image != nil && one.has(d.Image) })
		}
	}
}

// align returns the merged alignment, if it is the same in every window, or says
// that it differs.
func (p *Plan) align() (string, bool) {
	windows := p.demands[0].rule.Windows
	w := windows[0]
	for _, o := range windows[1:] {
		if o.Align != w.Align || o.Phase != w.Phase {
			return "begins at a multiple that differs from window to window", true
		}
	}
	if w.Align <= 1 {
		return "", false
	}
	if w.Phase != 0 {
		return fmt.Sprintf("begins %s behind a multiple of %s in memory", mem.Size(w.Phase), mem.Size(w.Align)), true
	}
	return "begins at a multiple of " + mem.Size(w.Align).String() + " in memory", true
}

// synchronizing says what the devices' caches need.
func (p *Plan) synchronizing() (string, bool) {
	var coherent, other, bounced bool
	for i := range p.devices {
		switch p.devices[i].Coherence {
		case Coherent:
			coherent = true
		case Bounced:
			bounced = true
		case NonCoherent, PerChannel:
			other = true
		}
	}
	switch {
	case bounced && len(p.devices) > 1:
		return "is copied for every transfer: what others write while it is mapped is not seen", true
	case coherent && other:
		return "needs synchronizing before and after others use it: not all are coherent", true
	}
	return "", false
}
