package cli

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"dmasim/workloads/trace"
)

func newTraceScaleCommand() *cobra.Command {
	var o convertOptions
	var scale trace.ScaleOptions
	cmd := &cobra.Command{
		Use:   "scale TRACE OUT",
		Short: "Write a trace with other times, sizes or more buffers",
		Long: `Write a trace with other times, sizes or more buffers.

--time 0.5 lets all happen in half the time. --size 4 makes every buffer four times
as large, as for a larger picture; sizes are rounded up to whole bytes, limits grow
with them, alignments stay. --count 3 makes three buffers of each, all with its
lifetime; the second and third start late by up to --jitter, drawn by --seed. What
is missing in the trace is said of the original.

Formats are those of dmasim trace convert.`,
		Example: `  dmasim trace scale cma.txt.gz busy.csv --time 0.5
  dmasim trace scale cma.txt.gz 4k.csv.zst --size 4 --count 2 --jitter 10ms`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if scale.Time <= 0 || scale.Size <= 0 || scale.Copies < 1 {
				return fmt.Errorf("--time %v, --size %v, --count %d: want more than 0", scale.Time, scale.Size, scale.Copies)
			}
			return o.run(cmd, args[0], args[1], func(w trace.Writer) (trace.Writer, error) { return trace.Scale(w, scale) })
		},
	}
	flags := cmd.Flags()
	flags.Float64Var(&scale.Time, "time", 1, "`FACTOR` of the times between events")
	flags.Float64Var(&scale.Size, "size", 1, "`FACTOR` of sizes and limits")
	flags.IntVar(&scale.Copies, "count", 1, "buffers to make of each")
	flags.DurationVar(&scale.Jitter, "jitter", time.Millisecond, "the latest that a copy starts behind its original")
	flags.Uint64Var(&scale.Seed, "seed", 1, "seed of the delays")
	o.addFlags(flags)
	return cmd
}
