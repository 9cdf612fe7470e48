package devices

import (
	"fmt"
	"math"

	"dmasim/allocator"
	"dmasim/mem"
)

// Origin is an address that others count from.
type Origin struct {
	// The address, on the bus. Relative addresses have it in memory.
	Base mem.Addr `yaml:"base" json:"base"`
	// Whether no buffer begins at the base itself: an offset of 0 means none to the device.
	Exclusive bool `yaml:"exclusive,omitempty" json:"exclusive,omitempty"`
}

// base is what alignments count from.
func (d *Device) base() uint64 {
	if d.Origin == nil {
		return 0
	}
	return uint64(d.Origin.Base)
}

// originShape lets buffers begin at or above a base.
var originShape = shape{
	key:   "origin",
	check: func(*Device) *FieldError { return nil },
	tell: func(d *Device, t *teller) {
		if o := d.Origin; o != nil {
			above := "at or above"
			if o.Exclusive {
				above = "above"
			}
			t.add("origin", t.bus, "buffers lie %s %s, from which alignment counts", above, o.Base)
		}
	},
	narrow: func(c *compiled, via Translation, _ int, w *allocator.Window) bool {
		o := c.Origin
		if o == nil {
			return true
		}
		lowest := uint64(o.Base)
		if o.Exclusive {
			if lowest == math.MaxUint64 {
				return false
			}
			lowest++
		}
		on := via.OnBus()
		switch {
		case lowest >= on.Hi:
			return false
		case lowest > on.Lo:
			w.Reach.Lo = max(w.Reach.Lo, via.fromBus(lowest))
		}
		return !w.Reach.Empty()
	},
	name: func(c *compiled) string { return fmt.Sprintf("origin (%s%s)", c.Origin.Base, c.offsets()) },
}

// alignShape is the fixed alignment of a buffer's first address.
var alignShape = shape{
	key:   "align",
	check: func(*Device) *FieldError { return nil },
	tell: func(d *Device, t *teller) {
		if d.Align > 1 {
			from := ""
			if d.Origin != nil {
				from = fmt.Sprintf(" from %s", d.Origin.Base)
			}
			t.add("align", t.bus, "buffers begin at a multiple of %s%s", d.Align, from)
		}
	},
	narrow: func(c *compiled, via Translation, _ int, w *allocator.Window) bool {
		if align := uint64(c.Align); align > 1 {
			w.Align, w.Phase = align, via.phase(c.base(), align)
		}
		return true
	},
	name: func(c *compiled) string { return fmt.Sprintf("alignment (%s%s)", c.Align, c.offsets()) },
}

// naturalShape is alignment to the block's own size.
var naturalShape = shape{
	key:   "natural",
	check: func(*Device) *FieldError { return nil },
	tell: func(d *Device, t *teller) {
		if d.Natural {
			t.add("natural", t.bus, "buffers begin at a multiple of their size, rounded up to a power of two")
		}
	},
	narrow: func(c *compiled, via Translation, order int, w *allocator.Window) bool {
		if !c.Natural {
			return true
		}
		natural := uint64(1) << order
		aligned, part := w.Intersect(allocator.Window{Reach: w.Reach, Align: natural, Phase: via.phase(c.base(), natural)})
		*w = aligned
		return part == allocator.Kept
	},
	name: func(c *compiled) string { return "natural alignment (its own size" + c.offsets() + ")" },
}

// zeroBitsShape forbids bits of the first address.
var zeroBitsShape = shape{
	key: "zero_bits",
	check: func(d *Device) *FieldError {
		for i, bit := range d.ZeroBits {
			if bit > 62 {
				return fail("zero_bits", i, "want a bit from 0 to 62, not %d", bit)
			}
		}
		if len(d.ZeroBits) > 63 {
			return fail("zero_bits", -1, "a bit is there twice")
		}
		return nil
	},
	tell: func(d *Device, t *teller) {
		for _, bit := range d.ZeroBits {
			t.add("zero_bits", t.bus, "bit %d of a buffer's first address is 0", bit)
		}
	},
	narrow: func(c *compiled, via Translation, _ int, w *allocator.Window) bool {
		for _, bit := range c.ZeroBits {
			period := uint64(2) << bit
			w.Arcs = append(w.Arcs, allocator.Arc{Period: period, Phase: via.phase(0, period), Room: period/2 - 1})
		}
		return true
	},
	name: func(c *compiled) string { return fmt.Sprintf("zero bits (%v%s)", c.ZeroBits, c.offsets()) },
}
