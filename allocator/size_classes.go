package allocator

import "math/bits"

// sizeClasses numbers sizes like floating-point numbers: a power of two is
// divided evenly into 2^log classes, and sizes of fewer units than that have a
// class each. A bitmap in two levels finds the next class that is not empty.
type sizeClasses struct {
	shift uint8      // classes are made of sizes in units of 2^shift bytes
	log   uint8      // at most 6
	words uint64     // bit i: used[i] is not 0
	used  [64]uint64 // bit j of word i: class i<<6|j is not empty
}

// newSizeClasses returns classes, all empty, for sizes that are multiples of the
// granule: no two of them are the same in units.
func newSizeClasses(granule uint64, log int) sizeClasses {
	return sizeClasses{shift: uint8(bits.Len64(granule) - 1), log: uint8(log)}
}

// list returns the class of a size.
func (c *sizeClasses) list(size uint64) uint32 {
	units := size >> (c.shift & 63)
	log := c.log & 31
	exponent := uint32(bits.Len64(units|1<<log)) - uint32(log) - 1
	return exponent<<log + uint32(units>>(exponent&63))
}

// listAbove returns the first class whose sizes are all at least that.
func (c *sizeClasses) listAbove(size uint64) uint32 {
	before := (size - 1) >> (c.shift & 63) // the units of size, rounded up, less 1
	log := c.log & 31
	exponent := uint32(bits.Len64((before+1)|1<<log)) - uint32(log) - 1
	return exponent<<log + uint32(before>>(exponent&63)) + 1
}

// firstFrom returns the first class from that one on that is not empty, or 0.
func (c *sizeClasses) firstFrom(list uint32) uint32 {
	w := list >> 6 & 63
	word := c.used[w] >> (list & 63) << (list & 63)
	if word == 0 {
		words := c.words & (^uint64(1) << w)
		if words == 0 {
			return 0
		}
		w = uint32(bits.TrailingZeros64(words)) & 63
		word = c.used[w]
	}
	return w<<6 | uint32(bits.TrailingZeros64(word))
}

func (c *sizeClasses) mark(list uint32) {
	w := list >> 6 & 63
	c.words |= 1 << w
	c.used[w] |= 1 << (list & 63)
}

func (c *sizeClasses) markEmpty(list uint32) {
	w := list >> 6 & 63
	c.used[w] &^= 1 << (list & 63)
	if c.used[w] == 0 {
		c.words &^= 1 << w
	}
}
