package pack

import (
	"cmp"
	"context"
	"fmt"
	"slices"
)

// Core is a set of buffers that does not fit in a capacity.
type Core struct {
	// Buffers are indices, ascending. That these do not fit is proven.
	Buffers []int
	// Irreducible says that the core fits without any one of its buffers: for
	// each of them a packing of the others was found. If it is false, neither
	// that nor the contrary was shown for some of them.
	Irreducible bool
}

// Irreducible looks for buffers that do not fit in the capacity but would
// without any one of them: the reason why all do not fit. It returns nil if it
// cannot prove that all do not fit within steps (see [Options]) or before the
// context ends. The errors are those of [Pack], and of a capacity or steps of 0.
//
// Steps bound each of up to 2n+1 attempts at packing. If the load exceeds the
// capacity, only the buffers that live at the busiest time are looked at. The
// smallest are left out first, which makes for a core of few, large ones.
func Irreducible(ctx context.Context, buffers []Buffer, capacity uint64, steps int64) (*Core, error) {
	if capacity == 0 || steps <= 0 {
		return nil, fmt.Errorf("capacity %d and %d steps, want both above 0", capacity, steps)
	}
	core, err := narrow(ctx, buffers, capacity, steps)
	if core == nil || err != nil {
		return nil, err
	}
	candidates := slices.Clone(core)
	slices.SortStableFunc(candidates, func(i, j int) int {
		return cmp.Compare(buffers[i].Size, buffers[j].Size)
	})
	// A candidate without which the core fits stays, also when the core has
	// become smaller. One of which that is unknown gets a second chance, since
	// packing may be easier then.
	for range 2 {
		var unknown []int
		for _, i := range candidates {
			without := slices.DeleteFunc(slices.Clone(core), func(k int) bool { return k == i })
			switch answer, err := fit(ctx, buffers, without, capacity, steps); {
			case err != nil:
				return nil, err
			case answer == infeasible:
				core = without
			case answer == stopped:
				unknown = append(unknown, i)
			}
		}
		candidates = unknown
	}
	return &Core{Buffers: core, Irreducible: len(candidates) == 0}, nil
}

// narrow returns the buffers that live at the busiest time if they exceed the
// capacity, else those of a connected stretch of time that is proven not to fit,
// or nil.
func narrow(ctx context.Context, buffers []Buffer, capacity uint64, steps int64) ([]int, error) {
	load, err := Load(buffers)
	if err != nil {
		return nil, err
	}
	if load > capacity {
		return crowd(buffers, load), nil
	}
	instances, err := newInstances(buffers)
	if err != nil {
		return nil, err
	}
	for _, p := range instances {
		stretch := make([]int, len(p.source))
		for i, k := range p.source {
			stretch[i] = int(k)
		}
		slices.Sort(stretch)
		answer, err := fit(ctx, buffers, stretch, capacity, steps)
		if err != nil || answer == infeasible {
			return stretch, err
		}
	}
	return nil, nil
}

// fit tells whether some of the buffers fit in the capacity: solved, infeasible
// or stopped.
func fit(ctx context.Context, buffers []Buffer, some []int, capacity uint64, steps int64) (outcome, error) {
	chosen := make([]Buffer, len(some))
	for k, i := range some {
		chosen[k] = buffers[i]
	}
	r, err := Pack(ctx, chosen, Options{Capacity: capacity, Steps: steps})
	switch {
	case err != nil:
		return stopped, err
	case r.Height <= capacity:
		return solved, nil
	case r.LowerBound > capacity:
		return infeasible, nil
	}
	return stopped, nil
}

// crowd returns the buffers that live at the first time of the load.
func crowd(buffers []Buffer, load uint64) []int {
	var live []int
	var sum uint64
	for _, e := range sweep(buffers) {
		i := int(e.buffer)
		if !e.start {
			sum -= buffers[i].Size
			live = slices.DeleteFunc(live, func(k int) bool { return k == i })
			continue
		}
		sum += buffers[i].Size
		live = append(live, i)
		if sum == load {
			break
		}
	}
	slices.Sort(live)
	return live
}
