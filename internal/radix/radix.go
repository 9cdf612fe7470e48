// Package radix sorts numbers that name something by their keys, in a time that grows
// with how many there are only (Knuth, The Art of Computer Programming, volume 3,
// section 5.2.5, algorithm R).
//
// The limit: keys are looked at 11 bits at a time, from the lowest bit in which they
// differ to the highest. Times and addresses need two or three passes; where keys
// differ everywhere, package slices is as good.
package radix

import (
	"math/bits"
	"slices"
)

// Item is a number with its key.
type Item struct{ Key, Value uint64 }

const digit = 11 // bits

// Sort sorts list by rising keys; items with the same key stay in their order. It
// returns the sorted list and the memory that it no longer needs, one of which is that
// of spare.
func Sort(list, spare []Item) (sorted, rest []Item) {
	var differ, last uint64
	falls := false
	for i := range list {
		differ |= list[i].Key ^ list[0].Key
		falls = falls || list[i].Key < last
		last = list[i].Key
	}
	spare = slices.Grow(spare[:0], len(list))[:len(list)]
	if !falls {
		return list, spare
	}
	for shift := bits.TrailingZeros64(differ); shift < bits.Len64(differ); shift += digit {
		var starts [1 << digit]uint32
		for i := range list {
			starts[list[i].Key>>(shift&63)%(1<<digit)]++
		}
		var start uint32
		for i, n := range starts {
			starts[i] = start
			start += n
		}
		for i := range list {
			to := &starts[list[i].Key>>(shift&63)%(1<<digit)]
			spare[*to] = list[i]
			*to++
		}
		list, spare = spare, list
	}
	return list, spare
}
