package devices

import (
	"fmt"
	"math"
	"math/bits"

	"dmasim/mem"
)

// sizing is what becomes of a payload's size: padding first, then the least
// size, granularity, and a power of two.
type sizing struct {
	padding     uint64
	least       uint64
	granularity uint64 // at least 1
	powerOfTwo  bool
}

func (d *Device) sizing() sizing {
	return sizing{uint64(d.Padding), uint64(d.SizeMin), max(uint64(d.Granularity), 1), d.PowerOfTwo}
}

// meet is the sizing that satisfies both; false if the granularities have no
// common multiple below 2^64, or one that is no power of two where the size is
// to be one.
func (s sizing) meet(o sizing) (sizing, bool) {
	s.padding, s.least, s.powerOfTwo = max(s.padding, o.padding), max(s.least, o.least), s.powerOfTwo || o.powerOfTwo
	var ok bool
	s.granularity, ok = lcm(s.granularity, o.granularity)
	return s, ok && (!s.powerOfTwo || s.granularity&(s.granularity-1) == 0)
}

// size returns the size of a block for touched bytes, payload and padding; false
// if it does not fit in 64 bits.
func (s sizing) size(touched uint64) (uint64, bool) {
	size, ok := roundUp(max(touched, s.least), s.granularity)
	if s.powerOfTwo && ok {
		if size > 1<<63 {
			return 0, false
		}
		size = 1 << bits.Len64(size-1)
	}
	return size, ok
}

// touched returns payload and padding, at most 2^64-1.
func (s sizing) touched(payload uint64) uint64 {
	touched, over := bits.Add64(max(payload, 1), s.padding, 0)
	if over != 0 {
		return math.MaxUint64
	}
	return touched
}

var sizeShape = shape{
	key: "padding",
	check: func(d *Device) *FieldError {
		if d.SizeMax > 0 {
			size, ok := d.sizing().size(d.sizing().touched(1))
			if !ok || size > uint64(d.SizeMax) {
				return fail("size_max", -1, "with padding and rounding, not even one byte of payload fits in %s", d.SizeMax)
			}
		}
		if d.PowerOfTwo && d.Granularity&(d.Granularity-1) != 0 {
			return fail("granularity", -1, "want a power of two where sizes are, not %s", d.Granularity)
		}
		return nil
	},
	tell: func(d *Device, t *teller) {
		if d.Padding > 0 {
			text := fmt.Sprintf("may touch %s behind the payload", d.Padding)
			if d.PaddingReason != "" {
				text += ": " + d.PaddingReason
			}
			t.add("padding", "", "%s", text)
		}
		if d.Granularity > 1 {
			t.add("granularity", "", "sizes, with padding, are multiples of %s", d.Granularity)
		}
		if d.SizeMin > 0 {
			t.add("size_min", "", "a buffer has at least %s", d.SizeMin)
		}
		if d.SizeMax > 0 {
			t.add("size_max", "", "a buffer has at most %s", d.SizeMax)
		}
		if d.PowerOfTwo {
			t.add("power_of_two", "", "sizes are powers of two")
		}
	},
	name: func(c *compiled) string { return "granularity (" + c.granularityText() + ")" },
}

func (d *Device) granularityText() string {
	if d.PowerOfTwo {
		return "a power of two"
	}
	return max(d.Granularity, 1).String()
}

// lcm returns the least common multiple of a and b, or false if it passes 64
// bits. Neither is 0.
func lcm(a, b uint64) (uint64, bool) {
	gcd, rest := a, b
	for rest != 0 {
		gcd, rest = rest, gcd%rest
	}
	over, product := bits.Mul64(a/gcd, b)
	return product, over == 0
}

// roundUp returns n rounded up to a multiple of unit, or false if that does not
// fit in 64 bits. A unit of 0 means 1.
func roundUp(n, unit uint64) (uint64, bool) {
	if unit <= 1 {
		return n, true
	}
	rest := n & (unit - 1)
	if unit&(unit-1) != 0 {
		rest = n % unit
	}
	if rest == 0 {
		return n, true
	}
	up, over := bits.Add64(n, unit-rest, 0)
	return up, over == 0
}

// below says where addresses of that width end.
func below(bits uint8) string {
	if bits >= 64 {
		return ""
	}
	return fmt.Sprintf(" (below %s)", mem.Size(1)<<bits)
}
