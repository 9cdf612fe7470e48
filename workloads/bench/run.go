package bench

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"

	"dmasim/allocator"
	"dmasim/mem"
)

// ErrNotDeterministic says that a strategy placed the same trace in two ways.
var ErrNotDeterministic = errors.New("placements differ from one replay to the next")

// FaultError says that a strategy broke its promises: it placed a block outside
// the arena or on another one, did not take a block back, or was not
// deterministic.
type FaultError struct {
	Allocator string
	Operation int // from 1, the last that was executed
	Err       error
}

func (e *FaultError) Error() string {
	return fmt.Sprintf("allocator %s: operation %d: %v", e.Allocator, e.Operation, e.Err)
}

func (e *FaultError) Unwrap() error { return e.Err }

// Result is what one strategy did with the trace.
type Result struct {
	Allocator string
	NsPerOp   float64   // the median of Rounds; 0 without any
	Rounds    []float64 // nanoseconds per operation
	Outcome
}

// Run replays the trace on each strategy, named as allocator.New reads it, in
// the arena [0, arena), once untimed and then rounds times. Strategies that know
// the device mix are told the limits of the trace. The error is that of making a
// strategy, a *FaultError, or the context's: Run looks at it several times in
// each replay.
func Run(ctx context.Context, t *Trace, allocators []string, arena mem.Size, rounds int) ([]Result, error) {
	cfg := allocator.Config{
		Arena:   mem.NewRangeSet(mem.Range{Hi: uint64(arena)}),
		Granule: t.Unit,
		Windows: t.mix(arena),
	}
	results := make([]Result, len(allocators))
	for i, name := range allocators {
		results[i].Allocator = name
		outcome, err := examine(ctx, t, name, cfg)
		if err != nil {
			return nil, err
		}
		results[i].Outcome = outcome
	}
	blocks := make([]allocator.Block, t.slots)
	for range rounds {
		for i := range results {
			r := &results[i]
			ns, err := r.round(ctx, t, cfg, blocks)
			if err != nil {
				return nil, err
			}
			r.Rounds = append(r.Rounds, ns)
		}
	}
	for i := range results {
		results[i].NsPerOp = median(results[i].Rounds)
	}
	return results, nil
}

// median returns the middle of values, or the mean of the two in the middle.
func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	if n == 0 {
		return 0
	}
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// round times one replay and returns nanoseconds per operation.
func (r *Result) round(ctx context.Context, t *Trace, cfg allocator.Config, blocks []allocator.Block) (float64, error) {
	s, err := allocator.New(r.Allocator, cfg)
	if err != nil {
		return 0, err
	}
	clear(blocks)
	runtime.GC() // what went before is not for this strategy to clean up
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	start, err := Now()
	if err != nil {
		return 0, err
	}
	failures, sum, err := r.replay(ctx, t, s, blocks)
	if err != nil {
		return 0, err
	}
	end, err := Now()
	if err != nil {
		return 0, err
	}
	if failures != r.Failures || sum != r.AddressSum {
		return 0, &FaultError{r.Allocator, t.Len(), ErrNotDeterministic}
	}
	return float64(end-start) / float64(t.Len()), nil
}

// burst is the number of operations between two looks at the context.
const burst = 1 << 16

// replay runs the whole trace. Blocks are kept by slot; one of size 0 is none.
func (r *Result) replay(ctx context.Context, t *Trace, s allocator.Strategy, blocks []allocator.Block) (failures int, sum uint64, err error) {
	unit := t.Unit
	for done := 0; done < len(t.ops); done += burst {
		if err := ctx.Err(); err != nil {
			return 0, 0, err
		}
		for i, o := range t.ops[done:min(done+burst, len(t.ops))] {
			b := &blocks[o.slot&^freed]
			if o.slot&freed == 0 {
				placed, ok := s.Alloc(o.request(unit))
				if !ok {
					failures++
					continue
				}
				*b = placed
				sum += placed.Addr
				continue
			}
			if b.Size == 0 {
				continue
			}
			if err := s.Free(*b); err != nil {
				return 0, 0, &FaultError{r.Allocator, done + i + 1, err}
			}
			b.Size = 0
		}
	}
	return failures, sum, nil
}

func (o *op) request(unit uint64) allocator.Request {
	return allocator.Request{Size: uint64(o.size) * unit, Align: uint64(o.align) * unit, Hi: uint64(o.limit) * unit}
}
