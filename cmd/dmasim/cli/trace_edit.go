package cli

import (
	"fmt"
	"math"
	"time"

	"github.com/spf13/cobra"

	"dmasim/workloads/trace"
)

func newTraceCutCommand() *cobra.Command {
	var o convertOptions
	var start, end time.Duration
	cmd := &cobra.Command{
		Use:   "cut TRACE OUT",
		Short: "Write a part of a trace",
		Long: `Write the part of a trace between two times, which count from its first event. What
lives at --start is allocated then, in the order of allocation; what lives at --end
is never freed. What is missing in the trace is said of the whole.

Formats are those of dmasim trace convert.`,
		Example: `  dmasim trace cut cma.txt.gz part.csv --start 10s --end 20s`,
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if start < 0 || end <= start {
				return fmt.Errorf("--start %v, --end %v: want times from 0 on, the second after the first", start, end)
			}
			return o.run(cmd, args[0], args[1], func(w trace.Writer) (trace.Writer, error) { return trace.Cut(w, start, end), nil })
		},
	}
	flags := cmd.Flags()
	flags.DurationVar(&start, "start", 0, "`TIME` since the first event")
	flags.DurationVar(&end, "end", math.MaxInt64, "`TIME` since the first event at which the part is over (default the end)")
	flags.Lookup("end").DefValue = "0s" // the text says it
	o.addFlags(flags)
	return cmd
}

func newTraceAnonymiseCommand() *cobra.Command {
	var o convertOptions
	cmd := &cobra.Command{
		Use:   "anonymise TRACE OUT",
		Short: "Write a trace without what tells of the machine",
		Long: `Write what a simulation needs of a trace and no more: heaps and buffers are numbered,
times begin at 0, addresses are left out. Sizes, alignments and the times between
events stay.

Formats are those of dmasim trace convert.`,
		Example: `  dmasim trace anonymise cma.txt.gz shared.csv.gz`,
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.run(cmd, args[0], args[1], func(w trace.Writer) (trace.Writer, error) { return trace.Anonymise(w), nil })
		},
	}
	o.addFlags(cmd.Flags())
	return cmd
}
