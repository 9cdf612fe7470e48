package devices

import (
	"cmp"
	"slices"

	"dmasim/allocator"
	"dmasim/mem"
)

// Plan is what the devices that share a buffer demand together. Merge makes
// it; it is not changed afterwards and may be used concurrently.
type Plan struct {
	// Space is that of the addresses in Reach: CPU, or a space of the devices' own
	// that is no memory.
	Space Space
	// Reach is the CPU-physical memory that every device reaches.
	Reach mem.RangeSet
	// Padding is reserved and may be touched behind the payload, in bytes.
	Padding uint64
	// Granularity is the unit to which payload and padding are rounded up, in
	// bytes, at least 1.
	Granularity uint64

	// SegmentMin, SegmentMax, SegmentsMax and MapMax are the strictest of the
	// devices' limits on scatter-gather lists, 0 where there is none; SegmentUnit and
	// Gap the least common multiples of theirs, at least 1. Contiguous is true if a
	// device takes one segment only and no IOMMU of its own, or that is always
	// there, makes one of many. Of these only JudgePieces takes notice, which asks
	// each device.
	SegmentMin, SegmentMax, SegmentUnit, SegmentsMax, Gap, MapMax uint64
	Contiguous                                                    bool

	devices []planned
	demands []demand // one, or by order of the block's size where alignment is natural
	natural bool
	sizing  sizing
}

// planned is a device with its own rules, for the judge.
type planned struct {
	compiled
	rules []*allocator.Rule // by order where the device's alignment is natural
	inner []*allocator.Rule // the same for a piece that others follow: without padding
}

// orders is the number of powers of two that a block's size is rounded to.
const orders = 64

// Merge combines the rules of devices that share a buffer, in any order: a
// place is legal for the plan if it is legal for each of them. Reaches
// intersect as sets; alignments meet by congruence; of paddings the largest
// counts, before granularities (their least common multiple) round the size,
// before natural alignment; every boundary is kept. Behind an IOMMU that is
// always there, a device's addresses bind nothing in memory. Merging nothing
// gives the plan without demands.
//
// Devices whose addresses are not those of memory can share what is in the same
// space of the same maker only.
//
// The error is a *Conflict if the devices exclude each other; otherwise it is
// that of [Device.Compile] for one of them, but never ErrSpace.
func Merge(devices ...Device) (*Plan, error) {
	p := &Plan{
		Space: CPU, Reach: mem.RangeSet{mem.Everywhere}, SegmentUnit: 1, Gap: 1,
		sizing: sizing{granularity: 1},
	}
	for i := range devices {
		d := devices[i]
		c, err := d.compile()
		if err != nil {
			return nil, err
		}
		p.add(c)
	}
	if err := p.Check(1); err != nil {
		return nil, err
	}
	for i := range p.devices {
		p.sizing, _ = p.sizing.meet(p.devices[i].sizing())
	}
	p.Padding, p.Granularity = p.sizing.padding, p.sizing.granularity
	p.demands = make([]demand, 1)
	if p.natural {
		p.demands = make([]demand, orders)
	}
	for order := range p.demands {
		p.demands[order] = newDemand(touching(mergeWindows(p.devices, order), p.Padding))
	}
	return p, nil
}

// add merges what does not depend on the other devices' windows.
func (p *Plan) add(c compiled) {
	if !c.Space.isMemory() {
		p.Space = c.Space
	}
	p.Reach = p.Reach.Intersect(c.reach())
	p.natural = p.natural || c.Natural
	p.SegmentMin = max(p.SegmentMin, uint64(c.SegmentMin))
	p.SegmentMax = minLimit(p.SegmentMax, uint64(c.SegmentMax))
	p.SegmentsMax = minLimit(p.SegmentsMax, c.SegmentsMax)
	p.MapMax = minLimit(p.MapMax, uint64(c.MapMax))
	p.SegmentUnit = uint64(max(commonMultiple(mem.Size(p.SegmentUnit), c.SegmentUnit), 1))
	p.Gap = uint64(max(commonMultiple(mem.Size(p.Gap), c.Gap), 1))
	p.Contiguous = p.Contiguous || c.oneSegment()
	own := planned{compiled: c, rules: c.rules()}
	own.inner = own.rules
	if c.padding > 0 {
		bare := *c.Device
		bare.Padding = 0
		unpadded := c
		unpadded.Device, unpadded.padding = &bare, 0
		own.inner = unpadded.rules()
	}
	p.devices = append(p.devices, own)
}

// rules returns the rules for touched bytes, by order where alignment is natural.
func (c *compiled) rules() []*allocator.Rule {
	rules := make([]*allocator.Rule, 1)
	if c.Natural {
		rules = make([]*allocator.Rule, orders)
	}
	for order := range rules {
		rules[order] = touching(c.windows(order, all), c.padding)
	}
	return rules
}

// minLimit returns the smaller of two limits, where 0 means none.
func minLimit(a, b uint64) uint64 {
	if a == 0 || b == 0 {
		return max(a, b)
	}
	return min(a, b)
}

// mergeWindows intersects the devices' windows for blocks of one order.
func mergeWindows(devices []planned, order int) []allocator.Window {
	windows := []allocator.Window{{Reach: mem.Everywhere}}
	for i := range devices {
		windows = intersect(windows, devices[i].windows(order, all))
	}
	return windows
}

// intersect returns the windows in which what is legal in one of a and in one
// of b is legal. Both are in the order of a [allocator.Rule].
func intersect(a, b []allocator.Window) []allocator.Window {
	var both []allocator.Window
	from := 0 // of b: those before end before w begins
	for _, w := range a {
		for from < len(b) && b[from].Reach.Hi <= w.Reach.Lo {
			from++
		}
		for _, o := range b[from:] {
			if o.Reach.Lo >= w.Reach.Hi {
				break
			}
			if shared, part := w.Intersect(o); part == allocator.Kept {
				both = append(both, shared)
			}
		}
	}
	slices.SortFunc(both, func(a, b allocator.Window) int { return cmp.Compare(a.Reach.Lo, b.Reach.Lo) })
	return both
}
