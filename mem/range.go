package mem

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"sort"
	"strings"
)

// Range is the half-open interval [Lo, Hi). It is empty where Hi <= Lo.
type Range struct{ Lo, Hi uint64 }

// Everywhere is the whole 64-bit space but its last byte.
var Everywhere = Range{0, math.MaxUint64}

// Empty reports whether r holds no byte.
func (r Range) Empty() bool { return r.Hi <= r.Lo }

// Size returns the number of bytes in r.
func (r Range) Size() uint64 {
	if r.Empty() {
		return 0
	}
	return r.Hi - r.Lo
}

// Contains reports whether every byte of o lies in r. An empty range lies in
// every range.
func (r Range) Contains(o Range) bool { return o.Empty() || (r.Lo <= o.Lo && o.Hi <= r.Hi) }

// Intersect returns the bytes that r and o share; it may be empty.
func (r Range) Intersect(o Range) Range { return Range{max(r.Lo, o.Lo), min(r.Hi, o.Hi)} }

// Overlaps reports whether r and o share a byte.
func (r Range) Overlaps(o Range) bool { return !r.Intersect(o).Empty() }

// String returns the range as [0x40000000,0x50000000).
func (r Range) String() string { return "[" + Addr(r.Lo).String() + "," + Addr(r.Hi).String() + ")" }

// MarshalJSON implements json.Marshaler: addresses are strings, which lose no bit.
func (r Range) MarshalJSON() ([]byte, error) {
	return fmt.Appendf(nil, `{"lo":"%s","hi":"%s"}`, Addr(r.Lo), Addr(r.Hi)), nil
}

// RangeSet is a set of bytes: ranges that are sorted, disjoint, not empty and
// not touching. The zero value is the empty set. Sets are values: no function
// changes one that it is given.
type RangeSet []Range

// NewRangeSet returns the union of ranges, which may overlap, touch, be empty
// and come in any order.
func NewRangeSet(ranges ...Range) RangeSet {
	sorted := slices.Clone(ranges)
	slices.SortFunc(sorted, func(a, b Range) int {
		switch {
		case a.Lo < b.Lo:
			return -1
		case a.Lo > b.Lo:
			return 1
		}
		return 0
	})
	var set RangeSet
	for _, r := range sorted {
		if r.Empty() {
			continue
		}
		if last := len(set) - 1; last >= 0 && r.Lo <= set[last].Hi {
			set[last].Hi = max(set[last].Hi, r.Hi)
			continue
		}
		set = append(set, r)
	}
	return set
}

// Size returns the number of bytes in the set.
func (s RangeSet) Size() uint64 {
	var n uint64
	for _, r := range s {
		n += r.Size()
	}
	return n
}

// Hull returns the smallest range that holds the whole set.
func (s RangeSet) Hull() Range {
	if len(s) == 0 {
		return Range{}
	}
	return Range{s[0].Lo, s[len(s)-1].Hi}
}

// Contains reports whether every byte of r lies in the set.
func (s RangeSet) Contains(r Range) bool {
	if r.Empty() {
		return true
	}
	i := s.search(r.Lo)
	return i < len(s) && s[i].Contains(r)
}

// search returns the index of the first range that ends after addr.
func (s RangeSet) search(addr uint64) int {
	return sort.Search(len(s), func(i int) bool { return s[i].Hi > addr })
}

// Union returns the bytes of s or o.
func (s RangeSet) Union(o RangeSet) RangeSet { return NewRangeSet(slices.Concat(s, o)...) }

// Intersect returns the bytes of both s and o.
func (s RangeSet) Intersect(o RangeSet) RangeSet {
	var both RangeSet
	for i, j := 0, 0; i < len(s) && j < len(o); {
		if r := s[i].Intersect(o[j]); !r.Empty() {
			both = append(both, r)
		}
		if s[i].Hi <= o[j].Hi {
			i++
		} else {
			j++
		}
	}
	return both
}

// Subtract returns the bytes of s that are not in o.
func (s RangeSet) Subtract(o RangeSet) RangeSet {
	var rest RangeSet
	for _, r := range s {
		for i := o.search(r.Lo); i < len(o) && o[i].Lo < r.Hi; i++ {
			if o[i].Lo > r.Lo {
				rest = append(rest, Range{r.Lo, o[i].Lo})
			}
			r.Lo = max(r.Lo, o[i].Hi)
		}
		if !r.Empty() {
			rest = append(rest, r)
		}
	}
	return rest
}

// String returns the ranges separated by " ∪ ", or "nothing".
func (s RangeSet) String() string {
	if len(s) == 0 {
		return "nothing"
	}
	parts := make([]string, len(s))
	for i, r := range s {
		parts[i] = r.String()
	}
	return strings.Join(parts, " ∪ ")
}

// MarshalJSON implements json.Marshaler: the empty set is an empty array.
func (s RangeSet) MarshalJSON() ([]byte, error) { return json.Marshal(append([]Range{}, s...)) }
