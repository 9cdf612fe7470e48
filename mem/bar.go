package mem

import "math/bits"

// Bar draws of as a line of width characters, at least 1: "#" where all of a part is
// in the set, "." where nothing is, and "+" between.
func (s RangeSet) Bar(of Range, width int) string {
	bar := make([]byte, width)
	edge := func(i int) uint64 {
		hi, lo := bits.Mul64(of.Size(), uint64(i))
		at, _ := bits.Div64(hi, lo, uint64(width))
		return of.Lo + at
	}
	for i := range bar {
		part := Range{Lo: edge(i), Hi: edge(i + 1)}
		switch in := s.Intersect(RangeSet{part}).Size(); in {
		case 0:
			bar[i] = '.'
		case part.Size():
			bar[i] = '#'
		default:
			bar[i] = '+'
		}
	}
	return string(bar)
}
