package experiment

import (
	"context"
	"fmt"
	"math"
	"time"

	"dmasim/allocator/pack"
	"dmasim/mem"
	"dmasim/sim"
	"dmasim/workloads"
)

// Floor is what no strategy can do without.
type Floor struct {
	Load   mem.Size `json:"load_bytes"`             // the most bytes that live at once, in granules
	Bound  mem.Size `json:"lower_bound_bytes"`      // proven; above Load where alignments waste memory
	Packed mem.Size `json:"packed_bytes,omitempty"` // in which the buffers were packed by someone who knows all lifetimes; 0: too many to try
}

const (
	packedBuffers = 1000
	packingSteps  = 20_000
	flooredOps    = 2_000_000 // of longer work there is no floor
)

// FindFloor reads the work of a configuration to its end or duration and finds
// the floor of one heap. It consumes the sources. align, if not nil, is what every
// strategy in question aligns a buffer of a size to. There is no floor, and ok is
// false, where processes do the work, of which it is not known beforehand, or
// where it has no end or is very long.
func FindFloor(ctx context.Context, cfg sim.Config, heap int, align func(size uint64) uint64) (floor Floor, ok bool, err error) {
	if len(cfg.Processes) > 0 {
		return Floor{}, false, nil
	}
	granule := max(cfg.Heaps[heap].Granule, 1)
	end := cfg.Duration
	if end == 0 {
		end = math.MaxInt64
	}
	var buffers []pack.Buffer
	ops := 0
	for _, in := range cfg.Inputs {
		if r, ok := in.Source.(workloads.Reactive); ok && r.ClosedLoop() {
			return Floor{}, false, nil // another strategy gets other work
		}
		live := map[uint64]int{} // by name, of those that a Free follows
		for {
			op, more := in.Source.Next(&workloads.Outcome{})
			if !more || op.At >= end {
				break
			}
			if ops++; ops > flooredOps || ctx.Err() != nil {
				return Floor{}, false, ctx.Err()
			}
			if op.Kind == workloads.Free {
				if i, known := live[op.Buffer]; known {
					buffers[i].End = int64(op.At)
					delete(live, op.Buffer)
				}
				continue
			}
			if cfg.Clients[in.Clients[op.Client]].Heap != heap {
				continue
			}
			b := pack.Buffer{Start: int64(op.At), End: int64(end), Size: (op.Size + granule - 1) / granule * granule, Align: op.Align}
			if align != nil {
				b.Align = max(b.Align, align(b.Size))
			}
			if op.Lifetime > 0 {
				b.End = int64(op.At + min(op.Lifetime, time.Duration(math.MaxInt64)-op.At))
			} else {
				live[op.Buffer] = len(buffers)
			}
			buffers = append(buffers, b)
		}
		if err := in.Source.Err(); err != nil {
			return Floor{}, false, fmt.Errorf("workload %s: %w", in.Name, err)
		}
	}
	load, err := pack.Load(buffers)
	if err != nil {
		return Floor{}, false, nil // lives for no time, or sizes beyond all memory
	}
	bound, err := pack.LowerBound(buffers)
	if err != nil {
		return Floor{}, false, err
	}
	floor = Floor{Load: mem.Size(load), Bound: mem.Size(bound)}
	if len(buffers) <= packedBuffers {
		packed, err := pack.Pack(ctx, buffers, pack.Options{Steps: packingSteps})
		if err != nil {
			return floor, true, nil // too many live at once
		}
		floor.Packed = mem.Size(packed.Height)
		floor.Bound = max(floor.Bound, mem.Size(packed.LowerBound))
	}
	return floor, true, ctx.Err()
}
