package devices

import (
	"cmp"
	"math/bits"
	"slices"

	"dmasim/allocator"
	"dmasim/mem"
)

// Plan is what the devices that share a buffer demand together. Merge makes
// it; it is not changed afterwards and may be used concurrently.
type Plan struct {
	// Reach is the CPU-physical memory that every device reaches.
	Reach mem.RangeSet
	// Padding is reserved and may be touched behind the payload, in bytes.
	Padding uint64
	// Granularity is the unit to which payload and padding are rounded up, in
	// bytes, at least 1.
	Granularity uint64

	// SegmentMax and SegmentsMax are the smallest of the devices' limits on
	// scatter-gather lists, 0 where there is none. Contiguous is true if a
	// device takes one segment only and no IOMMU of its own, or that is always
	// there, makes one of many. Of these only JudgePieces takes notice, which asks
	// each device.
	SegmentMax, SegmentsMax uint64
	Contiguous              bool

	devices []planned
	demands []demand // one, or by order of the block's size where alignment is natural
	natural bool
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
// before natural alignment; every boundary is kept. Merging nothing gives the
// plan without demands.
//
// The error is a *Conflict if the devices exclude each other; otherwise it is
// that of [Device.Compile] for one of them.
func Merge(devices ...Device) (*Plan, error) {
	p := &Plan{Reach: mem.RangeSet{mem.Everywhere}}
	for _, d := range devices {
		if _, _, err := d.Compile(); err != nil {
			return nil, err
		}
		p.add(compile(&d))
	}
	var ok bool
	if p.Granularity, ok = granularity(p.devices); !ok {
		return nil, granularityConflict(p.devices)
	}
	p.demands = make([]demand, 1)
	if p.natural {
		p.demands = make([]demand, orders)
	}
	for order := range p.demands {
		windows := mergeWindows(p.devices, order)
		if order == 0 && !placeable(windows) {
			return nil, placeConflict(p.devices)
		}
		p.demands[order] = newDemand(touching(windows, p.Padding))
	}
	return p, nil
}

// add merges what does not depend on the other devices' windows.
func (p *Plan) add(c compiled) {
	p.Padding = max(p.Padding, c.padding)
	p.Reach = p.Reach.Intersect(c.reach())
	p.natural = p.natural || c.Natural
	p.SegmentMax = minLimit(p.SegmentMax, uint64(c.SegmentMax))
	p.SegmentsMax = minLimit(p.SegmentsMax, c.SegmentsMax)
	if !c.IOMMU.Translates() {
		p.Contiguous = p.Contiguous || c.Contiguous || c.SegmentsMax == 1
	}
	own := planned{compiled: c, rules: c.rules()}
	own.inner = own.rules
	if c.padding > 0 {
		bare := *c.Device
		bare.Padding = 0
		unpadded := compile(&bare)
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
		rules[order] = touching(c.windows(order), c.padding)
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

// granularity returns the least common multiple of the devices' granularities,
// or false if it passes 64 bits.
func granularity(devices []planned) (uint64, bool) {
	lcm := uint64(1)
	for i := range devices {
		unit := max(uint64(devices[i].Granularity), 1)
		gcd, rest := lcm, unit
		for rest != 0 {
			gcd, rest = rest, gcd%rest
		}
		var over uint64
		if over, lcm = bits.Mul64(lcm/gcd, unit); over != 0 {
			return 0, false
		}
	}
	return lcm, true
}

// mergeWindows intersects the devices' windows for blocks of one order.
func mergeWindows(devices []planned, order int) []allocator.Window {
	windows := []allocator.Window{{Reach: mem.Everywhere}}
	for i := range devices {
		windows = intersect(windows, devices[i].windows(order))
	}
	return windows
}

// intersect returns the windows in which what is legal in one of a and in one
// of b is legal.
func intersect(a, b []allocator.Window) []allocator.Window {
	var both []allocator.Window
	for _, w := range a {
		for _, o := range b {
			if shared, part := w.Intersect(o); part == allocator.Kept {
				both = append(both, shared)
			}
		}
	}
	slices.SortFunc(both, func(a, b allocator.Window) int { return cmp.Compare(a.Reach.Lo, b.Reach.Lo) })
	return both
}
