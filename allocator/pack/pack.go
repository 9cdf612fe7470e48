package pack

import (
	"context"
	"math"
	"math/rand/v2"
)

// Options say what [Pack] looks for and when it stops.
type Options struct {
	// Capacity is the height to reach, in bytes: Pack returns as soon as the
	// packing is no higher, or it is proven that none is. 0 asks for the lowest.
	Capacity uint64
	// Steps bounds the work, in decisions of the search. A step takes a few
	// microseconds for hundreds of buffers. 0: until the context ends.
	Steps int64
	// Seed chooses the random orders.
	Seed uint64
	// Improved, if not nil, is called with every point of the curve as it is
	// reached.
	Improved func(Point)
}

// Point is a point of a curve of height over work.
type Point struct {
	Steps  int64  // made before
	Height uint64 // bytes
}

// Result is a packing and what is known about it.
type Result struct {
	Offsets    []uint64 // by buffer
	Height     uint64   // the highest end of a buffer, in bytes
	LowerBound uint64   // no packing is proven to be lower
	Steps      int64    // made
	// Curve begins with the height at Steps 0, that of the best packing by
	// [FirstFit] of each connected stretch of time, and has a point for every
	// improvement. It depends on no clock; Options.Improved can look at one.
	Curve []Point
}

// Optimal reports whether it is proven that no packing is lower.
func (r *Result) Optimal() bool { return r.Height == r.LowerBound }

// Pack looks for a low packing of the buffers. It returns the best one found
// when that is proven to be optimal, when what Options ask for is reached, or
// when the context ends; it looks at the context between steps.
//
// The packing found after a number of steps depends on the buffers, the
// capacity and the seed only.
//
// The error is about the buffers: one that has no lifetime or size, sizes and
// alignments that sum to 2^62 or more, or [ErrTooLarge].
func Pack(ctx context.Context, buffers []Buffer, o Options) (*Result, error) {
	instances, err := newInstances(buffers)
	if err != nil {
		return nil, err
	}
	portfolios := make([]*portfolio, len(instances))
	for k, p := range instances {
		lower, err := LowerBound(p.buffersOf(buffers))
		if err != nil {
			return nil, err
		}
		portfolios[k] = newPortfolio(p, buffers, lower, rand.New(rand.NewPCG(o.Seed, uint64(k))))
	}
	left := o.Steps
	if left == 0 {
		left = math.MaxInt64
	}
	result := &Result{}
	for {
		highest, lower := summarize(portfolios)
		height := uint64(0)
		if highest != nil {
			height = uint64(highest.height)
		}
		if len(result.Curve) == 0 || height < result.Height {
			result.Height = height
			result.Curve = append(result.Curve, Point{result.Steps, height})
			if o.Improved != nil {
				o.Improved(result.Curve[len(result.Curve)-1])
			}
		}
		result.LowerBound = lower
		goal := max(lower, o.Capacity)
		if height <= goal || (o.Capacity > 0 && lower > o.Capacity) || left == 0 || ctx.Err() != nil {
			break
		}
		steps := highest.run(ctx, int64(goal), left)
		result.Steps += steps
		left -= steps
	}
	result.Offsets = make([]uint64, len(buffers))
	for _, f := range portfolios {
		f.copyOffsets(result.Offsets, f.best)
	}
	return result, nil
}

// summarize returns the first portfolio of the largest height, or nil, and the
// bound that follows from all of them.
func summarize(portfolios []*portfolio) (highest *portfolio, lower uint64) {
	for _, f := range portfolios {
		if highest == nil || f.height > highest.height {
			highest = f
		}
		lower = max(lower, uint64(f.lower))
	}
	return highest, lower
}

// buffersOf returns the instance's buffers out of all.
func (p *instance) buffersOf(all []Buffer) []Buffer {
	buffers := make([]Buffer, len(p.source))
	for i, k := range p.source {
		buffers[i] = all[k]
	}
	return buffers
}

// Height returns the highest end of a buffer, in bytes. There is one offset for
// every buffer.
func Height(buffers []Buffer, offsets []uint64) uint64 {
	var height uint64
	for i, b := range buffers {
		height = max(height, offsets[i]+b.Size)
	}
	return height
}
