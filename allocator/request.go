package allocator

import "math"

// Dir is the end of memory from which a request wants to be served.
type Dir uint8

// Directions. Natural is the strategy's own: upwards for all general
// strategies but last-fit.
const (
	Natural Dir = iota
	Low
	High
)

// String returns the name used in scenarios: natural, low or high.
func (d Dir) String() string {
	switch d {
	case Low:
		return "low"
	case High:
		return "high"
	}
	return "natural"
}

// Request asks for one contiguous block. The zero value of every field but
// Size means "no constraint". A request is satisfied by a start address s for
// which, with n = Size,
//
//   - s is a multiple of Align (any number, not only powers of two),
//   - [s, s+n) lies in [Lo, Hi),
//   - [s, s+n) holds no multiple of Boundary other than s itself, and
//   - Rule, where given, is satisfied.
//
// A device that does not touch the last bytes of a block, because the size was
// rounded up, may be served by a block that ends beyond its reach: Slack is the
// number of bytes at the end of the block that only the arena has to hold. It
// concerns the Rule alone; whoever fills in Lo, Hi and Boundary has accounted
// for it already.
type Request struct {
	Size     uint64 // bytes, at least 1
	Align    uint64
	Lo, Hi   uint64 // Hi 0: no upper limit
	Boundary uint64
	Slack    uint64 // less than Size
	Dir      Dir
	Rule     *Rule
}

// Block is what a strategy handed out: one contiguous range, at least as large
// as was asked for. Ref is the strategy's own and makes freeing O(1).
type Block struct{ Addr, Size, Ref uint64 }

// Place returns where the request goes in the free range [lo, hi): the lowest
// legal start, or the highest where high is true.
//
// Every general strategy uses it, so that they agree on what a request means.
// The cost is constant for requests without a Rule.
func (r *Request) Place(lo, hi uint64, high bool) (uint64, bool) {
	lo = max(lo, r.Lo)
	if r.Hi != 0 {
		hi = min(hi, r.Hi)
	}
	if hi < lo || hi-lo < r.Size {
		return 0, false
	}
	if r.Rule != nil {
		return r.placeByRule(lo, hi, high)
	}
	last := hi - r.Size
	if high {
		return placeHigh(lo, last, r.Size, r.Align, r.Boundary)
	}
	return placeLow(lo, last, r.Size, r.Align, r.Boundary)
}

// placeLow returns the lowest multiple of align in [lo, last] at which size
// bytes do not cross a multiple of boundary.
func placeLow(lo, last, size, align, boundary uint64) (uint64, bool) {
	s, ok := alignUp(lo, align)
	if !ok || s > last {
		return 0, false
	}
	if boundary == 0 || !crosses(s, size, boundary) {
		return s, true
	}
	if size > boundary {
		return 0, false
	}
	if align <= 1 || boundary%align == 0 {
		s, ok = alignUp(s, boundary)
		return s, ok && s <= last
	}
	return lattice{step: align}.within(s, last, boundary, boundary-size)
}

// placeHigh is placeLow from the other end.
func placeHigh(lo, last, size, align, boundary uint64) (uint64, bool) {
	s := alignDown(last, align)
	if s < lo {
		return 0, false
	}
	if boundary == 0 || !crosses(s, size, boundary) {
		return s, true
	}
	if size > boundary {
		return 0, false
	}
	if align <= 1 || boundary%align == 0 {
		// The highest start before the next multiple of the boundary.
		s = alignDown(alignDown(s, boundary)+(boundary-size), align)
		return s, s >= lo
	}
	return lattice{step: align}.withinDown(s, lo, boundary, boundary-size)
}

// crosses reports whether [s, s+size) holds a multiple of boundary after s.
func crosses(s, size, boundary uint64) bool {
	if boundary&(boundary-1) == 0 {
		return s/boundary != (s+size-1)/boundary
	}
	return s%boundary+size > boundary
}

// alignUp returns the lowest multiple of align at or above v.
func alignUp(v, align uint64) (uint64, bool) {
	if align <= 1 {
		return v, true
	}
	if align&(align-1) == 0 {
		up := (v + align - 1) &^ (align - 1)
		return up, up >= v
	}
	rest := v % align
	if rest == 0 {
		return v, true
	}
	if v > math.MaxUint64-(align-rest) {
		return 0, false
	}
	return v + align - rest, true
}

// alignDown returns the highest multiple of align at or below v.
func alignDown(v, align uint64) uint64 {
	switch {
	case align <= 1:
		return v
	case align&(align-1) == 0:
		return v &^ (align - 1)
	}
	return v - v%align
}
