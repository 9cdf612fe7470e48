package generator

import (
	"time"

	"dmasim/workloads"
)

// Demand is what a generator asks for over time where every request is served.
type Demand struct {
	Duration time.Duration
	Pools    []PoolDemand // in the order of Generator.Pools
	Peak     uint64       // most bytes of all pools together
	// Slices are parts of the duration, all equally long.
	Slices []Slice
}

// PoolDemand is what one pool asks for.
type PoolDemand struct {
	Pool
	Allocations uint64
	Smallest    uint64 // bytes of a buffer; 0: none were allocated
	Largest     uint64
	Peak        uint64 // most bytes at one time
	Buffers     uint64 // most buffers at one time
}

// Slice is what is held at the moment of a slice at which it is most.
type Slice struct {
	Total uint64
	Bytes []uint64 // by pool
}

// Measure plays the generator for a time, which is positive, and counts. There are
// as many slices as asked for, at least one.
func (g *Generator) Measure(seed uint64, name string, duration time.Duration, parts int) *Demand {
	d := &Demand{Duration: duration, Slices: make([]Slice, parts)}
	for _, p := range g.Pools() {
		d.Pools = append(d.Pools, PoolDemand{Pool: p})
	}
	type buffer struct {
		pool int
		size uint64
	}
	live := map[uint64]buffer{}
	bytes, buffers := make([]uint64, len(d.Pools)), make([]uint64, len(d.Pools))
	var total uint64
	slice := -1 // that the last operation was in
	note := func() {
		if s := &d.Slices[slice]; s.Bytes == nil || total > s.Total {
			s.Total, s.Bytes = total, append(s.Bytes[:0], bytes...)
		}
	}
	// enter goes on to a slice; all up to it begin with what is held now.
	enter := func(to int) {
		for slice < to {
			slice++
			note()
		}
	}
	source := g.Source(seed, name)
	for op, ok := source.Next(nil); ok && op.At < duration; op, ok = source.Next(nil) {
		enter(min(int(float64(op.At)/float64(duration)*float64(parts)), parts-1))
		if op.Kind == workloads.Free {
			b := live[op.Buffer]
			delete(live, op.Buffer)
			bytes[b.pool] -= b.size
			buffers[b.pool]--
			total -= b.size
			continue
		}
		p := &d.Pools[op.Client]
		live[op.Buffer] = buffer{op.Client, op.Size}
		bytes[op.Client] += op.Size
		buffers[op.Client]++
		total += op.Size
		p.Allocations++
		if p.Smallest == 0 || op.Size < p.Smallest {
			p.Smallest = op.Size
		}
		p.Largest = max(p.Largest, op.Size)
		p.Peak, p.Buffers = max(p.Peak, bytes[op.Client]), max(p.Buffers, buffers[op.Client])
		d.Peak = max(d.Peak, total)
		note()
	}
	enter(parts - 1)
	return d
}
