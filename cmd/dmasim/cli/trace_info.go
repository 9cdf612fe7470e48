package cli

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"dmasim/workloads/trace"
)

func newTraceCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "trace",
		Short: "Look at traces of allocations, change them, fit work to them",
		Args:  wantCommand,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newTraceInfoCommand(), newTraceConvertCommand(), newTraceCutCommand(), newTraceScaleCommand(),
		newTraceMergeCommand(), newTraceAnonymiseCommand(), newTraceFitCommand())
	return cmd
}

// traceFormats is what the commands that read traces say of formats.
const traceFormats = `The format is told by the content, or by --from. A file may be compressed with gzip
or Zstandard, and - is standard input:

  ftrace      what Linux traces, as tracefs or trace-cmd report print it: CMA,
              page blocks, Android's dma_heap_stat
  bufinfo     pictures of debugfs's dma_buf/bufinfo, one after the other
  sysfs       pictures of /sys/kernel/dmabuf/buffers, with times between them
  csv         our own: a row for each event
  parquet     the same columns as Parquet; not from a pipe
  minimalloc  MiniMalloc's CSV: a row for each buffer
  placement   allocations and frees in order, binary or text`

func newTraceInfoCommand() *cobra.Command {
	var input traceInput
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "info TRACE",
		Short: "Show what a trace has in it, and what is missing",
		Long: `Show what a trace has in it, heap by heap, and what is missing in it: lost events,
frees without an allocation, buffers that are never freed and the like.

` + traceFormats + `

Exit status: 0, or 2 if the trace cannot be read or, with --strict, if something is
missing in it.`,
		Example: `  dmasim trace info cma.txt.gz
  dmasim trace info cma.txt.gz --heap reserved --strict --json`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := input.open(cmd.InOrStdin(), args[0], "", 0)
			if err != nil {
				return err
			}
			defer r.Close()
			summary, err := trace.Summarise(r)
			if err != nil {
				return err
			}
			if err := input.checkHeaps(args[0], r.Heaps()); err != nil {
				return err
			}
			if asJSON {
				err = printJSON(cmd.OutOrStdout(), summary)
			} else {
				err = printTraceInfo(cmd.OutOrStdout(), summary)
			}
			if err != nil {
				return failedRun{err}
			}
			if input.strict {
				return input.checkLosses(cmd.ErrOrStderr(), args[0], summary.Losses)
			}
			return nil
		},
	}
	input.addFlags(cmd.Flags(), "")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one object")
	return cmd
}

func printTraceInfo(w io.Writer, s *trace.Summary) error {
	var b strings.Builder
	printField(&b, "format", string(s.Format))
	printField(&b, "events", fmt.Sprintf("%d: %d requests, of which %d failed, and %d frees", s.Events, s.Requests, s.Failed, s.Frees))
	printField(&b, "time", fmt.Sprintf("%v, from %v to %v", s.Last-s.First, s.First, s.Last))
	printField(&b, "peak", fmt.Sprintf("%s live at once; sizes are multiples of %s", s.Peak.Short(), s.Granule))
	if len(s.Heaps) > 0 {
		b.WriteString("\n")
		rows := [][]string{{"heap", "requests", "failed", "frees", "smallest", "largest", "peak", "at the end"}}
		for _, h := range s.Heaps {
			name := h.Name
			if name == "" {
				name = "(no name)"
			}
			rows = append(rows, []string{
				head(clean(name), 24), fmt.Sprint(h.Requests), fmt.Sprint(h.Failed), fmt.Sprint(h.Frees),
				h.Smallest.Short(), h.Largest.Short(), h.Peak.Short(), h.Live.Short(),
			})
		}
		writeColumns(&b, rows)
	}
	for _, h := range s.Heaps {
		if h.Hi > 0 {
			printWrapped(&b, "", fmt.Sprintf("addresses of %s: %s to %s", head(clean(h.Name), 24), h.Lo, h.Hi))
		}
	}
	b.WriteString("\n")
	if !s.Losses.Any() {
		b.WriteString("nothing is known to be missing\n")
	}
	for _, text := range s.Losses.Texts() {
		printWrapped(&b, "", "missing: "+text)
	}
	_, err := io.WriteString(w, b.String())
	return err
}
