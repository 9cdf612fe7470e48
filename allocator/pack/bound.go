package pack

import "slices"

// Load returns the largest number of bytes that live at one time. The error is
// that of a buffer that makes no sense: one without lifetime or size, or sizes
// and alignments that sum to 2^62 or more.
//
// It takes O(n log n).
func Load(buffers []Buffer) (uint64, error) {
	if err := validate(buffers); err != nil {
		return 0, err
	}
	return peak(sweep(buffers), func(i int32) uint64 { return buffers[i].Size }), nil
}

// LowerBound returns a height that no packing of the buffers can stay below. It
// is the load, or more where alignments waste memory: of buffers that live
// together and are aligned to multiples of a, all but the highest take their
// size rounded up to a multiple of a. The errors are those of [Load].
//
// It takes O(n log n) for each alignment.
func LowerBound(buffers []Buffer) (uint64, error) {
	bound, err := Load(buffers)
	if err != nil {
		return 0, err
	}
	events := sweep(buffers)
	for _, align := range alignments(buffers) {
		var most uint64 // that the rounding of one buffer adds
		rounded := func(i int32) uint64 {
			b := &buffers[i]
			if b.Align == 0 || b.Align%align != 0 {
				return 0
			}
			up := (b.Size + align - 1) / align * align
			most = max(most, up-b.Size)
			return up
		}
		if sum := peak(events, rounded); sum > most {
			bound = max(bound, sum-most)
		}
	}
	return bound, nil
}

// alignments returns the largest alignments of the buffers above 1.
func alignments(buffers []Buffer) []uint64 {
	const most = 16
	var all []uint64
	for _, b := range buffers {
		if b.Align > 1 {
			all = append(all, b.Align)
		}
	}
	slices.Sort(all)
	all = slices.Compact(all)
	slices.Reverse(all)
	return all[:min(len(all), most)]
}

// peak returns the largest sum of the amounts of buffers that live at one time.
func peak(events []event, amount func(int32) uint64) uint64 {
	var sum, most uint64
	for _, e := range events {
		if e.start {
			sum += amount(e.buffer)
			most = max(most, sum)
		} else {
			sum -= amount(e.buffer)
		}
	}
	return most
}
