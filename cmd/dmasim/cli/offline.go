package cli

import (
	"context"
	"fmt"
	"io"

	"dmasim/allocator/pack"
	"dmasim/mem"
	"dmasim/workloads/trace"
)

// offline is what is known of a finite trace whichever strategy serves it: what
// the memory that a strategy needs can be compared with.
type offline struct {
	Load   mem.Size `json:"load_bytes"`             // the most bytes that live at once
	Packed mem.Size `json:"packed_bytes,omitempty"` // the height of an offline packing
	// PackedOptimal says whether no packing is proven to be lower; nil without one.
	PackedOptimal *bool `json:"packed_optimal,omitempty"`
}

// packBriefly finds out about a static problem with an effort that is small and
// the same everywhere. Problems that would take long are not packed.
func packBriefly(ctx context.Context, problem *trace.Problem) (offline, error) {
	const steps, maxBuffers = 20_000, 1000
	known := offline{Load: mem.Size(problem.Load())}
	buffers := packBuffers(problem)
	if _, err := pack.Load(buffers); err != nil || len(buffers) > maxBuffers {
		return known, nil
	}
	packed, err := packChecked(ctx, buffers, pack.Options{Steps: steps})
	if err != nil {
		return offline{}, err
	}
	optimal := packed.Optimal()
	known.Packed, known.PackedOptimal = mem.Size(packed.Height), &optimal
	return known, nil
}

// ratio is that of what a strategy needs to the load. It is 0 if requests
// failed, since what is needed then is that of less work.
func (o offline) ratio(peak mem.Size, failures uint64) float64 {
	if failures > 0 || o.Load == 0 {
		return 0
	}
	return float64(peak) / float64(o.Load)
}

// printPacked prints a line about the packing, if there is one.
func (o offline) printPacked(w io.Writer) {
	if o.PackedOptimal == nil {
		return
	}
	proof := "a lower packing is not ruled out"
	if *o.PackedOptimal {
		proof = "proven optimal"
	}
	fmt.Fprintf(w, "packed offline in %s, %s of the load; %s\n", o.Packed.Short(), formatRatio(o.ratio(o.Packed, 0)), proof)
}

// formatRatio prints a ratio, or a dash if it is 0.
func formatRatio(ratio float64) string {
	if ratio == 0 {
		return "-"
	}
	return fmt.Sprintf("%.3f", ratio)
}
