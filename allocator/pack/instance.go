package pack

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
)

// Buffer is memory that is needed during the half-open interval [Start, End) of
// times in any unit.
type Buffer struct {
	Start, End int64
	Size       uint64 // bytes, at least 1
	Align      uint64 // bytes: the offset is a multiple of it; 0 means 1
}

// ErrTooLarge is in the error for buffers that overlap too often to be packed.
var ErrTooLarge = errors.New("too many buffers live at the same time")

// maxTotal bounds the sum of sizes and alignments, so that sums of two offsets
// fit in 64 bits.
const maxTotal = 1 << 62

// maxPairs bounds the number of pairs of buffers that live at the same time,
// each of which may cost some 200 bytes.
const maxPairs = 1 << 23

// validate returns an error for the first buffer that makes no sense.
func validate(buffers []Buffer) error {
	var total uint64
	for i, b := range buffers {
		if b.End <= b.Start {
			return fmt.Errorf("buffer %d: the lifetime [%d, %d) is empty", i, b.Start, b.End)
		}
		if b.Size == 0 {
			return fmt.Errorf("buffer %d: size is 0", i)
		}
		for _, n := range [...]uint64{b.Size, b.Align} {
			if n >= maxTotal-total {
				return fmt.Errorf("buffer %d: the sizes and alignments sum to 2^62 or more", i)
			}
			total += n
		}
	}
	return nil
}

// instance is a set of buffers whose lifetimes form one connected stretch of
// time, prepared for packing.
//
// Only which buffers live together matters, not for how long, so time is cut
// into sections: the maximal sets of buffers that live at one time, from the
// first to the last. Every buffer is in an unbroken run of sections, and two
// buffers live together just if they share one.
type instance struct {
	source []int32 // the index of each buffer in the caller's slice

	size, align []int64
	duration    []float64 // in the caller's unit of time
	first, end  []int32   // the sections of a buffer: [first, end)
	overlaps    [][]int32 // the other buffers that live with a buffer at some time
	twin        []int32   // the next buffer with the same sections, size and alignment, or -1

	load []int64 // by section: the sum of the sizes of its buffers

	// granule divides every offset and every height of a packing in which no
	// buffer can be moved down.
	granule int64
}

// newInstances cuts the buffers into instances that have no time in common, in
// order of time.
func newInstances(buffers []Buffer) ([]*instance, error) {
	if err := validate(buffers); err != nil {
		return nil, err
	}
	var (
		instances    []*instance
		from         int
		pairs, alive int
		events       = sweep(buffers)
	)
	for i, e := range events {
		if e.start {
			pairs += alive
			alive++
		} else {
			alive--
		}
		if pairs > maxPairs {
			return nil, fmt.Errorf("%w: more than %d pairs", ErrTooLarge, maxPairs)
		}
		if alive == 0 {
			instances = append(instances, newInstance(buffers, events[from:i+1]))
			from = i + 1
		}
	}
	return instances, nil
}

// newInstance makes an instance of the buffers that start and end in events.
func newInstance(buffers []Buffer, events []event) *instance {
	n := len(events) / 2
	p := &instance{
		source:   make([]int32, 0, n),
		size:     make([]int64, n),
		align:    make([]int64, n),
		duration: make([]float64, n),
		first:    make([]int32, n),
		end:      make([]int32, n),
		overlaps: make([][]int32, n),
		twin:     make([]int32, n),
	}
	index := make(map[int32]int32, n)
	var alive []int32
	for k, e := range events {
		if e.start {
			i := int32(len(p.source))
			index[e.buffer] = i
			p.source = append(p.source, e.buffer)
			b := &buffers[e.buffer]
			p.size[i], p.align[i] = int64(b.Size), int64(max(b.Align, 1))
			p.duration[i] = float64(b.End) - float64(b.Start)
			p.first[i] = int32(len(p.load))
			for _, other := range alive {
				p.overlaps[i] = append(p.overlaps[i], other)
				p.overlaps[other] = append(p.overlaps[other], i)
			}
			alive = append(alive, i)
			continue
		}
		// The first end after a start completes a section.
		if events[k-1].start {
			p.load = append(p.load, p.sum(alive))
		}
		i := index[e.buffer]
		p.end[i] = int32(len(p.load))
		alive = slices.DeleteFunc(alive, func(other int32) bool { return other == i })
	}
	p.findTwins()
	p.granule = p.commonDivisor()
	return p
}

func (p *instance) sum(buffers []int32) int64 {
	var sum int64
	for _, i := range buffers {
		sum += p.size[i]
	}
	return sum
}

func (p *instance) findTwins() {
	order := p.identity()
	compare := func(i, j int32) int {
		return cmp.Or(
			cmp.Compare(p.first[i], p.first[j]), cmp.Compare(p.end[i], p.end[j]),
			cmp.Compare(p.size[i], p.size[j]), cmp.Compare(p.align[i], p.align[j]),
		)
	}
	slices.SortStableFunc(order, compare)
	for k, i := range order {
		p.twin[i] = -1
		if k+1 < len(order) && compare(i, order[k+1]) == 0 {
			p.twin[i] = order[k+1]
		}
	}
}

// commonDivisor returns the greatest common divisor of the sizes and alignments.
func (p *instance) commonDivisor() int64 {
	var d int64
	include := func(n int64) {
		for n != 0 {
			d, n = n, d%n
		}
	}
	for i := range p.size {
		include(p.size[i])
		if p.align[i] > 1 {
			include(p.align[i])
		}
	}
	return d
}

// identity returns the buffers by index.
func (p *instance) identity() []int32 {
	all := make([]int32, len(p.size))
	for i := range all {
		all[i] = int32(i)
	}
	return all
}

// alignUp returns the lowest legal offset of the buffer at or above n.
func (p *instance) alignUp(i int32, n int64) int64 {
	a := p.align[i]
	if a == 1 {
		return n
	}
	return (n + a - 1) / a * a
}

// height returns the highest end of a buffer.
func (p *instance) height(offsets []int64) int64 {
	var height int64
	for i, offset := range offsets {
		height = max(height, offset+p.size[i])
	}
	return height
}
