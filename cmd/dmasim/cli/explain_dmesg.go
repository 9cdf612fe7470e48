package cli

import (
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"dmasim/sim/explain/dmesg"
	"dmasim/sim/report"
)

func newExplainDmesgCommand() *cobra.Command {
	var asJSON, all bool
	var drawn picture
	cmd := &cobra.Command{
		Use:   "dmesg FILE | -",
		Short: "Say why allocations failed on a real machine, from its kernel log",
		Long: `Read a kernel log, as dmesg, journalctl or a bug report has it, and say of every
failed allocation and mapping in it what was asked, what was free where, which rule
killed it, and what would help. "-" reads standard input.

Known are: failed CMA allocations with their list of available pages; page allocation
failures and out-of-memory kills with their Mem-Info, in which the memory is worked
out that no counter explains; full bounce buffers (swiotlb); addresses beyond a DMA
mask; IOVA space that ran out; drivers and dma-heaps that got no buffer.

With --json, an array with an object for each failure: its kind (cma, page-alloc,
oom, swiotlb and others), requested_pages, free_pages, largest_run_pages (null where
the log does not tell), cause, and more.

The exit status is 1 if the log holds no failure.`,
		Example: `  sudo dmesg | dmasim explain dmesg -
  dmasim explain dmesg bug-report.txt --json`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := drawn.check(); err != nil {
				return err
			}
			log, err := readLog(cmd, args[0])
			if err != nil {
				return err
			}
			if drawn.wanted() {
				if err := drawLog(cmd, log, &drawn); err != nil {
					return err
				}
			}
			if log.Dropped > 0 {
				fmt.Fprintf(cmd.ErrOrStderr(), "dmasim: %d failures beyond the first %d are left out\n", log.Dropped, len(log.Failures))
			}
			if asJSON {
				err = printJSON(cmd.OutOrStdout(), log.Failures)
			} else {
				printLog(cmd.OutOrStdout(), log, all)
			}
			if err == nil && len(log.Failures) == 0 {
				err = errNo
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the failures as JSON")
	drawn.addFlags(cmd.Flags(), "the first CMA area that the log describes")
	cmd.Flags().BoolVar(&all, "all", false, "tell every failure, also those like the one before")
	return cmd
}

// drawLog draws the first area of which the log says where it is free.
func drawLog(cmd *cobra.Command, log *dmesg.Log, to *picture) error {
	for i := range log.Failures {
		if figure, ok := report.LoggedArea(&log.Failures[i]); ok {
			return to.write(&figure)
		}
	}
	fmt.Fprintln(cmd.ErrOrStderr(), "dmasim: there is nothing to draw: the log does not say where an area was free")
	return nil
}

func readLog(cmd *cobra.Command, name string) (*dmesg.Log, error) {
	if name == "-" {
		return dmesg.Read(cmd.InOrStdin())
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	log, err := dmesg.Read(f)
	return log, inFile(name, err)
}

func printLog(w io.Writer, log *dmesg.Log, all bool) {
	if len(log.Failures) == 0 {
		fmt.Fprintf(w, "no failed allocation or mapping in %d lines\n", log.Lines)
		return
	}
	for i := 0; i < len(log.Failures); {
		f := &log.Failures[i]
		like := 1
		for !all && i+like < len(log.Failures) && f.Like(&log.Failures[i+like]) {
			like++
		}
		if i > 0 {
			fmt.Fprintln(w)
		}
		printLogFailure(w, f)
		if like > 1 {
			fmt.Fprintf(w, "  and %d more like it, up to line %d (--all tells them)\n", like-1, log.Failures[i+like-1].Line)
		}
		i += like
	}
}

// printLogFailure writes one failure: what it is, the explanation, a picture of
// the area in a line, and what would help.
func printLogFailure(w io.Writer, f *dmesg.Failure) {
	at := ""
	if f.Time != "" {
		at = ", at " + f.Time
	}
	fmt.Fprintf(w, "line %d%s: %s, cause: %s\n", f.Line, at, f.Kind, f.Cause)
	printParagraphs(w, "  ", "  ", f.Explanation)
	if bar := f.Area.Bar(lineWidth - 4); bar != "" {
		fmt.Fprintf(w, "\n  [%s]\n  low addresses to high: # used, + and - in part, . free\n", bar)
	}
	if len(f.Help) > 0 {
		fmt.Fprintln(w, "\n  what would help:")
		printParagraphs(w, "  - ", "    ", f.Help)
	}
}

// printParagraphs writes paragraphs that begin with first and go on with rest.
func printParagraphs(w io.Writer, first, rest string, paragraphs []string) {
	for _, text := range paragraphs {
		for i, line := range wrap(text, lineWidth-len(rest)) {
			lead := first
			if i > 0 {
				lead = rest
			}
			fmt.Fprintln(w, lead+line)
		}
	}
}
