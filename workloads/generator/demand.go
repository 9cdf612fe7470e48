package generator

import (
	"container/heap"
	"time"

	"dmasim/workloads"
)

// Demand is what a source of work asks for over time where every request is served.
type Demand struct {
	Duration time.Duration
	Pools    []PoolDemand // in the order of the source's clients
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
	return Measure(g.Source(seed, name), g.Pools(), duration, parts)
}

// Measure plays a source of work whose clients are pools, and counts as
// [Generator.Measure] does. What ended the source, if an error did, its Err tells.
func Measure(source workloads.Source, pools []Pool, duration time.Duration, parts int) *Demand {
	d := &Demand{Duration: duration, Slices: make([]Slice, parts)}
	for _, p := range pools {
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
	reach := func(at time.Duration) { enter(min(int(float64(at)/float64(duration)*float64(parts)), parts-1)) }
	free := func(at time.Duration, buffer uint64) {
		reach(at)
		b := live[buffer]
		delete(live, buffer)
		bytes[b.pool] -= b.size
		buffers[b.pool]--
		total -= b.size
	}
	var ends endings
	var last *workloads.Outcome
	for {
		op, ok := source.Next(last)
		ok = ok && op.At < duration
		for len(ends) > 0 && ends[0].at < duration && (!ok || ends[0].at <= op.At) {
			e := heap.Pop(&ends).(ending)
			free(e.at, e.buffer)
		}
		if !ok {
			break
		}
		last = &workloads.Outcome{Op: op}
		if op.Kind == workloads.Free {
			free(op.At, op.Buffer)
			continue
		}
		reach(op.At)
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
		if op.Lifetime > 0 {
			heap.Push(&ends, ending{op.At + op.Lifetime, op.Buffer})
		}
	}
	enter(parts - 1)
	return d
}

// ending is when a buffer with a lifetime goes.
type ending struct {
	at     time.Duration
	buffer uint64
}

// endings are kept by heap with the first in front.
type endings []ending

// Len implements heap.Interface.
func (e endings) Len() int { return len(e) }

// Less implements heap.Interface.
func (e endings) Less(i, j int) bool { return e[i].at < e[j].at }

// Swap implements heap.Interface.
func (e endings) Swap(i, j int) { e[i], e[j] = e[j], e[i] }

// Push implements heap.Interface.
func (e *endings) Push(x any) { *e = append(*e, x.(ending)) }

// Pop implements heap.Interface.
func (e *endings) Pop() any {
	last := len(*e) - 1
	x := (*e)[last]
	*e = (*e)[:last]
	return x
}
