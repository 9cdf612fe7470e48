package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"dmasim/sim"
	"dmasim/sim/experiment"
	"dmasim/sim/metrics"
	"dmasim/sim/report"
	"dmasim/sim/result"
	"dmasim/sim/scenario"
)

// defaultScenario is what run does without an argument.
const defaultScenario = "cedar-256mib"

type runOptions struct {
	out      string
	asJSON   bool
	parquet  bool
	check    uint64
	report   bool
	seed     uint64
	hasSeed  bool
	timeline string // file; "": none
	trace    traceOptions
	kernel   kernelOptions
	formats  formats
}

func newRunCommand() *cobra.Command {
	var o runOptions
	cmd := &cobra.Command{
		Use:   "run [SCENARIO | TRACE]",
		Short: "Run a scenario or a trace and draw what happened",
		Long: `Run a scenario: every variant of it on the same work. The argument is a scenario
file, the name of an embedded scenario (` + strings.Join(scenario.Names(), ", ") + `), or a
trace in any format that dmasim trace reads: what Linux traces of CMA, pages and
dma-bufs, pictures of the dma-bufs that live, our CSV, MiniMalloc's, placement
traces, Parquet; all of them also compressed with gzip or Zstandard. All but MiniMalloc's are read as they are played,
whatever their length. Without an argument, run does the embedded scenario
` + defaultScenario + `.

What is missing in a recording is said; --strict refuses such a one. Where a
recording tells of several heaps, --heap says which to play.

The table has a row for each variant: buffers asked for; the share that the client
that fared worst did not get; when the first request failed; the mean share of
memory in use; the mean largest-free index (1 - largest hole / free) of the heap,
and of what the device that sees the most fragmented part of it reaches; and the
share of the memory in use that nobody asked for.

Where workloads say what they do when they are refused (on_failure), a second table
has what became of the buffers they wanted: served at once, by a retry, by another
heap, or dropped. Each attempt is a request, and counts in the first table.

Of a heap that takes pages of a machine, the index is the share of free memory
that blocks of 1MiB cannot use. What went wrong beside failed requests is counted
below the table: scribbles, stale reads, processes killed for want of memory,
leaks; the first thousand are in incidents.csv.

For a trace it also prints what each variant needs, if nothing failed, as a
ratio to the load, the most bytes that live at once, below which no strategy can
stay; and, of MiniMalloc's, how low the buffers are packed by someone who knows all
lifetimes and no devices (see dmasim pack).

The results, with figures and what they show as CSV, go to a directory that is written whole
or not at all. Only a dmasim result is ever replaced.

--timeline FILE.json writes all events, for https://ui.perfetto.dev or
chrome://tracing: heaps as counters, buffers and transfers as slices, refused
requests and maps and whatever went wrong as instants. About 500 bytes for each
buffer; with .gz or .zst a tenth of that.

--backend kernel plays the same work, of the first variant, on the dma-buf heaps of
this machine, as fast as they serve it: never more than --budget at once, and all of
it is released at the end, whatever ends it. A process with a program is a real
process there; of its steps, those of devices and of other memory are counted as
skipped. --dry-run says what would be done.`,
		Example: `  dmasim run
  dmasim run my.yaml --out results/my
  dmasim run my.yaml --timeline my.json.gz
  dmasim run A.1048576.csv --allocator first-fit --allocator best-fit
  dmasim run A.1048576.csv --device sunxi-cedar-a20 --order start-size
  dmasim run random.bin.gz --allocator first-fit --allocator tlsf
  dmasim run cma.txt.gz --heap reserved --allocator cma
  dmasim run my.yaml --backend kernel --budget 32MiB --dry-run`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.hasSeed = cmd.Flags().Changed("seed")
			o.trace.hasGranule = cmd.Flags().Changed("granule")
			name := defaultScenario
			if len(args) == 1 {
				name = args[0]
			}
			return o.run(cmd, name)
		},
	}
	flags := cmd.Flags()
	flags.StringVarP(&o.out, "out", "o", "", "directory for the results (default dmasim-out/NAME)")
	flags.BoolVar(&o.asJSON, "json", false, "print the summary as JSON")
	flags.BoolVar(&o.parquet, "parquet", false, "also write the tables as Parquet")
	checkFlag(flags, &o.check)
	flags.Uint64Var(&o.seed, "seed", 0, "seed in place of the scenario's")
	o.formats.addTo(flags)
	flags.BoolVar(&o.report, "report", false, "also make the HTML file that dmasim report makes")
	flags.StringVar(&o.timeline, "timeline", "", "also write the events to `FILE`.json (.gz, .zst), for Perfetto's user interface; of several variants, FILE-VARIANT.json")
	o.trace.addFlags(flags)
	o.kernel.addFlags(flags)
	return cmd
}

func (o *runOptions) run(cmd *cobra.Command, name string) error {
	start := time.Now()
	if err := o.kernel.check(cmd.Flags()); err != nil {
		return err
	}
	sc, known, err := o.load(cmd, name)
	if err != nil {
		return err
	}
	if o.kernel.backend == backendKernel {
		if o.timeline != "" {
			return errors.New("--timeline is of a simulation, not of --backend kernel")
		}
		return o.runOnKernel(cmd, sc)
	}
	out := o.out
	if out == "" {
		out = filepath.Join("dmasim-out", sc.Name)
	}
	if err := result.CheckTarget(out); err != nil {
		return err
	}
	res, err := o.simulate(cmd.Context(), cmd.ErrOrStderr(), sc, out)
	if err != nil {
		return err
	}
	figures, err := report.Figures(res)
	if err != nil {
		return err
	}
	res.Host = result.NewHost(start, time.Since(start))
	extra := report.FigureFiles(figures, o.formats)
	if o.parquet {
		extra = append(extra, res.ParquetFiles()...)
		res.Manifest.Options = optionsOf(cmd.Flags(), "parquet")
	}
	if err := result.Write(cmd.Context(), out, res, extra...); err != nil {
		return failedRun{err}
	}
	if o.report {
		page := newReportOptions()
		if _, err := page.write(cmd, filepath.Join(out, reportName), out); err != nil {
			return err
		}
	}
	if o.asJSON {
		return printJSON(cmd.OutOrStdout(), newRunSummary(res, known, out))
	}
	return o.print(cmd.OutOrStdout(), res, known, name, out)
}

// load reads the scenario that name means, with the options that change it. If
// it is a trace, what is known of the trace is returned with the scenario around
// it.
func (o *runOptions) load(cmd *cobra.Command, name string) (*scenario.Scenario, *offline, error) {
	if isTrace(name) {
		return o.trace.load(cmd, name)
	}
	if flag := o.trace.used(cmd.Flags()); flag != "" {
		return nil, nil, fmt.Errorf("--%s is for traces; a scenario says it itself", flag)
	}
	sc, err := findScenario(name)
	return sc, nil, err
}

func findScenario(name string) (*scenario.Scenario, error) {
	sc, err := scenario.Find(name)
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("%w; embedded are %s", err, strings.Join(scenario.Names(), ", "))
	}
	return sc, err
}

// simulate runs every variant, as many at a time as there are processors.
func (o *runOptions) simulate(ctx context.Context, stderr io.Writer, sc *scenario.Scenario, out string) (*result.Result, error) {
	if o.hasSeed {
		sc.SetSeed(o.seed)
	}
	seed := sc.Variants[0].Spec.Seed
	resolved, err := sc.Resolved(out)
	if err != nil {
		return nil, err
	}
	bars := newProgress(stderr, len(sc.Variants))
	defer bars.finish()
	options := experiment.Options{Jobs: runtime.GOMAXPROCS(0), CheckEvery: o.check, Observe: bars.watch}
	run := experiment.Variants
	if o.timeline != "" {
		run = o.withTimelines
	}
	variants, err := run(ctx, sc.Variants, options)
	if err != nil {
		return nil, err
	}
	return &result.Result{
		Manifest: result.NewManifest(sc.Name, seed),
		Scenario: resolved,
		Variants: variants,
	}, nil
}

// runSummary is what --json prints.
type runSummary struct {
	Scenario string           `json:"scenario"`
	Seed     uint64           `json:"seed"`
	Result   string           `json:"result"`
	*offline                  // of a trace
	Variants []variantSummary `json:"variants"`
}

type variantSummary struct {
	Name string `json:"name"`
	metrics.Summary
}

func newRunSummary(r *result.Result, known *offline, out string) runSummary {
	s := runSummary{Scenario: r.Manifest.Scenario, Seed: r.Manifest.Seed, Result: out, offline: known}
	for _, v := range r.Variants {
		s.Variants = append(s.Variants, variantSummary{v.Name, v.Run.Summary})
	}
	return s
}

func (o *runOptions) print(w io.Writer, r *result.Result, known *offline, argument, out string) error {
	if err := report.Table(w, r); err != nil {
		return err
	}
	fmt.Fprintln(w)
	for _, table := range []func(io.Writer, *result.Result) error{report.OnFailureTable, report.IncidentTable} {
		if err := printTable(w, r, table); err != nil {
			return err
		}
	}
	for _, text := range resultTexts(r) {
		for _, line := range wrap(text, 80) {
			fmt.Fprintln(w, line)
		}
	}
	if known != nil {
		printOffline(w, r, *known)
	}
	fmt.Fprintf(w, "\npictures: %s\n", filepath.Join(out, "figures")+string(os.PathSeparator))
	if o.report {
		fmt.Fprintf(w, "report:   %s\n", filepath.Join(out, reportName))
	}
	fmt.Fprintf(w, "next:     %s\n", nextCommand(argument, r))
	return nil
}

// printTable writes a table, if there is anything in it.
func printTable(w io.Writer, r *result.Result, table func(io.Writer, *result.Result) error) error {
	var text strings.Builder
	if err := table(&text, r); err != nil || text.Len() == 0 {
		return err
	}
	_, err := fmt.Fprintln(w, text.String())
	return err
}

// beyondLinux are the properties of heaps that no modelled release of Linux has.
var beyondLinux = []struct {
	label, says string // around the names of the heaps
	has         func(*metrics.HeapTotals) bool
}{
	{
		"proposal", "is told what devices reach; the heaps of Linux are not (aware: false)",
		func(h *metrics.HeapTotals) bool { return h.Aware && len(h.Reaches) > 0 },
	}, {
		"proposal", "has a limit; Linux has none, and charges the pages of heaps to no memory cgroup",
		func(h *metrics.HeapTotals) bool { return h.Limit > 0 || h.LimitPerClient > 0 },
	}, {
		"note", "is of a CMA area that is not the first; up to Linux 6.12 only the default area becomes a heap",
		func(h *metrics.HeapTotals) bool { return h.Kind == sim.CMAHeap.String() && h.DeviceFile == "" },
	}, {
		"note", "keeps pages in pools; the kernels of Android do so, Linux itself does not",
		func(h *metrics.HeapTotals) bool { return h.Kind == sim.PooledHeap.String() },
	},
}

// resultTexts says in sentences what happened, and which heaps, in any variant, Linux
// does not have.
func resultTexts(r *result.Result) []string {
	texts := []string{report.FirstFailure(r), report.StillWaiting(r), report.MemoryStory(r), report.AdversaryStory(r), report.SpaceStory(r), report.FirstIncident(r)}
	for _, property := range beyondLinux {
		var names []string
		for _, v := range r.Variants {
			for i := range v.Run.Summary.Heaps {
				if h := &v.Run.Summary.Heaps[i]; property.has(h) && !slices.Contains(names, h.Name) {
					names = append(names, h.Name)
				}
			}
		}
		if len(names) > 0 {
			texts = append(texts, property.label+": heap "+strings.Join(names, ", ")+" "+property.says)
		}
	}
	return slices.DeleteFunc(texts, func(text string) bool { return text == "" })
}

// printOffline compares what each variant, which has one heap and one client,
// needs with what is known of the trace.
func printOffline(w io.Writer, r *result.Result, known offline) {
	var ratios []string
	for _, v := range r.Variants {
		summary := &v.Run.Summary
		ratio := known.ratio(summary.Heaps[0].HighWater, summary.Clients[0].Failures)
		ratios = append(ratios, v.Name+" "+formatRatio(ratio))
	}
	text := fmt.Sprintf("high water / load of %s: %s", known.Load.Short(), strings.Join(ratios, ", "))
	fmt.Fprintln(w)
	for _, line := range wrap(text, lineWidth) {
		fmt.Fprintln(w, line)
	}
	known.printPacked(w)
}

// nextCommand is what a reader of this result may want to try.
func nextCommand(argument string, r *result.Result) string {
	if slices.Contains(scenario.Names(), argument) {
		return "dmasim scenario init my.yaml && dmasim run my.yaml"
	}
	failed := slices.ContainsFunc(r.Variants, func(v result.Variant) bool { return v.Run.Summary.First != nil })
	if failed || isTrace(argument) {
		return "dmasim allocators    (strategies to try)"
	}
	return fmt.Sprintf("dmasim run %s --seed %d    (the same with other random numbers)", argument, r.Manifest.Seed+1)
}
