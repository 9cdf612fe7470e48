package cli

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"dmasim/allocator"
	"dmasim/mem"
	"dmasim/workloads/bench"
	"dmasim/workloads/trace"
)

type benchOptions struct {
	input      traceInput
	allocators []string
	arena      mem.Size
	rounds     int
	asJSON     bool
}

func newBenchCommand() *cobra.Command {
	var o benchOptions
	cmd := &cobra.Command{
		Use:   "bench TRACE",
		Short: "Measure strategies on a trace of allocations and frees",
		Long: `Replay a trace on bare strategies, without heaps and devices, and measure their
speed and what they make of the memory. The trace is in any format that dmasim trace
reads, also compressed, or - for standard input. Requests that failed when they were recorded are asked for and
given back at once.

ns/op      time per allocation or free: the median of the rounds, in which the
           strategies take turns; CPU time of the thread on Linux, wall time
           elsewhere. Frees of blocks that were not placed count as well.
failed     requests that were refused. In a trace with limits, "limited" are
           those that had to end below one and "others" the rest.
missed     failures for which there was a legal place
peak       end of the highest block ever placed, from the arena's start
ratio      peak / load, the most bytes that live at once: no strategy gets below
           1. It is left out where requests failed, and, but for --json, of
           traces with limits
frag       1 - largest hole / free bytes: mean and worst of some 2000 samples,
           without the first hundredth of the trace
addresses  sum of the addresses of all blocks modulo 2^64: two strategies with
           the same sum placed the same blocks, almost certainly

Strategies that know the device mix are told the limits in the trace, of many
distinct ones the sixteen that the most requests have.

A static problem of at most 1000 buffers is also packed offline with a small
effort, for comparison; see dmasim pack.

A comma in --allocator begins the next strategy, unless key=value follows:
"tlsf:second-level=16,best-fit" are two.

The arena begins at 0. By default the mean live bytes of the trace, which binary
traces tell, fill 85 % of it, in whole MiB; for other traces it is as large as
the peak of the live bytes.`,
		Example: `  dmasim bench random.bin.gz --allocator first-fit,best-fit,tlsf
  dmasim bench A.1048576.csv --arena 2MiB --rounds 99 --json`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return o.run(cmd, args[0]) },
	}
	flags := cmd.Flags()
	flags.StringArrayVar(&o.allocators, "allocator", []string{"first-fit,best-fit,tlsf"}, "`NAMES`; may be repeated")
	flags.TextVar(&o.arena, "arena", mem.Size(0), "`SIZE` of the memory; 0B: as above")
	o.input.addFlags(flags, "")
	flags.IntVar(&o.rounds, "rounds", 5, "time each strategy `N` times")
	flags.BoolVar(&o.asJSON, "json", false, "print an array of objects, one for each strategy")
	return cmd
}

func (o *benchOptions) run(cmd *cobra.Command, path string) error {
	if o.rounds < 1 {
		return fmt.Errorf("--rounds %d: want at least 1", o.rounds)
	}
	allocators := splitAllocators(o.allocators)
	for _, name := range allocators {
		if err := checkAllocator(name); err != nil {
			return err
		}
	}
	t, problem, err := o.read(cmd.InOrStdin(), cmd.ErrOrStderr(), path)
	if err != nil {
		return err
	}
	known := offline{Load: mem.Size(t.PeakLive)}
	if problem != nil {
		if known, err = packBriefly(cmd.Context(), problem); err != nil {
			return inFile(path, err)
		}
	}
	arena := o.arena
	if arena == 0 {
		arena = t.Arena()
	}
	results, err := bench.Run(cmd.Context(), t, allocators, arena, o.rounds)
	switch {
	case errors.As(err, new(*bench.FaultError)):
		return failedRun{err}
	case err != nil:
		return err
	case o.asJSON:
		return printJSON(cmd.OutOrStdout(), benchRows(t, known, arena, results))
	}
	return printBench(cmd.OutOrStdout(), t, known, arena, results)
}

// splitAllocators splits lists of strategies at the commas that do not separate
// parameters.
func splitAllocators(lists []string) []string {
	var names []string
	for _, list := range lists {
		first := true
		for part := range strings.SplitSeq(list, ",") {
			key, _, isParam := strings.Cut(part, "=")
			if isParam && !first && !strings.Contains(key, ":") {
				names[len(names)-1] += "," + part
			} else {
				names = append(names, part)
			}
			first = false
		}
	}
	return names
}

// checkAllocator returns what is wrong with a strategy and its parameters.
func checkAllocator(text string) error {
	_, _, err := allocator.Parse(text)
	if errors.Is(err, allocator.ErrUnknownStrategy) {
		name, _, _ := strings.Cut(text, ":")
		return fmt.Errorf("%w%s", err, didYouMean(name, allocator.Names()))
	}
	return err
}

// read reads a trace as a whole, and the static problem if it is one.
func (o *benchOptions) read(stdin io.Reader, stderr io.Writer, path string) (*bench.Trace, *trace.Problem, error) {
	r, err := o.input.open(stdin, path, trace.FileOrder, 0)
	if err != nil {
		return nil, nil, err
	}
	defer r.Close()
	t, err := bench.Read(r)
	switch {
	case r.Err() != nil:
		return nil, nil, r.Err()
	case err != nil:
		return nil, nil, inFile(path, err)
	}
	return t, r.Problem(), o.input.check(stderr, path, r.Heaps(), r.Losses())
}

func inFile(path string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", path, err)
}

// benchRow is a strategy's result as programs read it.
type benchRow struct {
	Allocator         string    `json:"allocator"`
	NsPerOp           float64   `json:"ns_per_op"` // the median of the rounds
	Rounds            []float64 `json:"rounds_ns_per_op"`
	Clock             string    `json:"clock"`
	Operations        int       `json:"operations"`
	Requests          int       `json:"requests"`
	Failures          int       `json:"failures"`
	Missed            int       `json:"policy_misses"`
	LimitedRequests   int       `json:"limited_requests"`
	Limited           int       `json:"limited_failures"`
	LimitedMissed     int       `json:"limited_policy_misses"`
	Misplaced         int       `json:"misplaced"`
	Arena             mem.Size  `json:"arena_bytes"`
	Granule           mem.Size  `json:"granule_bytes"`
	Peak              mem.Size  `json:"peak_bytes"`
	PeakReserved      mem.Size  `json:"peak_reserved_bytes"`
	MeanFragmentation float64   `json:"mean_fragmentation"`
	PeakFragmentation float64   `json:"peak_fragmentation"`
	AddressSum        mem.Addr  `json:"address_sum"`
	PeakToLoad        float64   `json:"peak_to_load,omitempty"` // without failures
	offline
}

func benchRows(t *bench.Trace, known offline, arena mem.Size, results []bench.Result) []benchRow {
	rows := []benchRow{}
	for _, r := range results {
		rows = append(rows, benchRow{
			Allocator: r.Allocator, NsPerOp: r.NsPerOp, Rounds: r.Rounds, Clock: bench.Clock,
			Operations: t.Len(), Requests: r.Requests,
			Failures: r.Failures, Missed: r.Missed,
			LimitedRequests: r.LimitedRequests, Limited: r.Limited, LimitedMissed: r.LimitedMissed,
			Misplaced: r.Misplaced, Arena: arena, Granule: mem.Size(t.Unit),
			Peak: mem.Size(r.Peak), PeakReserved: mem.Size(r.PeakReserved),
			MeanFragmentation: r.MeanFragmentation, PeakFragmentation: r.PeakFragmentation,
			AddressSum: mem.Addr(r.AddressSum),
			PeakToLoad: known.ratio(mem.Size(r.Peak), uint64(r.Failures)), offline: known,
		})
	}
	return rows
}

// printBench prints a table of at most 80 columns.
func printBench(w io.Writer, t *bench.Trace, known offline, arena mem.Size, results []bench.Result) error {
	header := []string{"allocator", "ns/op", "failed", "missed", "peak", "ratio", "frag", "worst", "addresses"}
	if t.Limited {
		header = []string{"allocator", "ns/op", "limited", "others", "missed", "peak", "frag", "worst", "addresses"}
	}
	rows := [][]string{header}
	for _, r := range results {
		row := []string{r.Allocator, fmt.Sprintf("%.1f", r.NsPerOp)}
		if t.Limited {
			row = append(row, fmt.Sprint(r.Limited), fmt.Sprint(r.Failures-r.Limited))
		} else {
			row = append(row, fmt.Sprint(r.Failures))
		}
		row = append(row, fmt.Sprint(r.Missed), mem.Size(r.Peak).Short())
		if !t.Limited {
			row = append(row, formatRatio(known.ratio(mem.Size(r.Peak), uint64(r.Failures))))
		}
		rows = append(rows, append(row, fmt.Sprintf("%.3f", r.MeanFragmentation),
			fmt.Sprintf("%.3f", r.PeakFragmentation), mem.Addr(r.AddressSum).String()))
	}
	var text strings.Builder
	fmt.Fprintf(&text, "%d operations, peak of %s live, arena of %s, %s\n",
		t.Len(), mem.Size(t.PeakLive).Short(), arena, bench.Clock)
	known.printPacked(&text)
	fmt.Fprintln(&text)
	writeColumns(&text, rows)
	for _, r := range results {
		if r.Misplaced > 0 {
			note := fmt.Sprintf("%s ignored the alignment or limit of %d blocks that it placed", r.Allocator, r.Misplaced)
			fmt.Fprintln(&text, strings.Join(wrap(note, lineWidth), "\n  "))
		}
	}
	_, err := io.WriteString(w, text.String())
	return err
}

// writeColumns aligns the first column to the left and the others to the right.
// Where a first cell would make the line too wide, the others follow below it.
func writeColumns(w io.Writer, rows [][]string) {
	widths := make([]int, len(rows[0]))
	figures := 0
	for i := range widths {
		for _, row := range rows {
			widths[i] = max(widths[i], utf8.RuneCountInString(row[i]))
		}
		if i > 0 {
			figures += 2 + widths[i]
		}
	}
	first := min(widths[0], max(lineWidth-figures, len(rows[0][0])))
	for _, row := range rows {
		name := row[0]
		if utf8.RuneCountInString(name) > first {
			fmt.Fprintln(w, head(name, lineWidth))
			name = ""
		}
		fmt.Fprintf(w, "%-*s", first, name)
		for i, cell := range row[1:] {
			fmt.Fprintf(w, "  %*s", widths[i+1], cell)
		}
		fmt.Fprintln(w)
	}
}
