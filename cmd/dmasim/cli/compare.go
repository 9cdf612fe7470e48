package cli

import (
	"errors"
	"fmt"
	"io"
	"math"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"dmasim/internal/suggest"
	"dmasim/sim/experiment"
	"dmasim/sim/report"
	"dmasim/sim/result"
	"dmasim/sim/scenario"
)

// droppedMetric is what people look at where buffers are asked for again.
const droppedMetric = "dropped"

type compareOptions struct {
	out          string
	asJSON       bool
	jobs         int
	seed         uint64
	hasSeed      bool
	replications int
	until        precision
	metric       string
	baseline     string
	independent  bool
	warmUp       string
	diff         string
	formats      formats
	input        runOptions // how a scenario or a trace is read
}

// precision is a relative half-width, such as ±2%.
type precision float64

// String implements pflag.Value.
func (p *precision) String() string {
	if *p == 0 {
		return ""
	}
	return "±" + strconv.FormatFloat(100*float64(*p), 'g', -1, 64) + "%"
}

// Type implements pflag.Value.
func (*precision) Type() string { return "±PERCENT" }

// Set implements pflag.Value.
func (p *precision) Set(text string) error {
	number := strings.TrimPrefix(strings.TrimPrefix(text, "±"), "+-")
	percent, isPercent := strings.CutSuffix(number, "%")
	v, err := strconv.ParseFloat(percent, 64)
	if err != nil || !isPercent || !(v > 0) || math.IsInf(v, 0) || v >= 100 {
		return errors.New("want a percentage above 0 and below 100, like ±2%")
	}
	*p = precision(v / 100)
	return nil
}

const (
	defaultReplications = 30
	mostReplications    = 1000 // with --until, unless told otherwise
	maxReplications     = 100_000
)

func newCompareCommand() *cobra.Command {
	var o compareOptions
	cmd := &cobra.Command{
		Use:   "compare [SCENARIO | TRACE]",
		Short: "Compare strategies on the same work over many runs",
		Long: `Run every variant of a scenario many times, and say what differs. Variants are
those of the scenario, or the strategies given by --allocator, which take the place
of the allocator of every carveout heap in its first variant. The argument is that
of run.

Replication i has the scenario's seed + i - 1 in every variant, so that all get the
same work (common random numbers) and are compared in pairs: a t-test of the
differences from the baseline. With --independent every variant has seeds of its
own; Welch's test takes the place of the paired one and the log-rank test compares
the times to the first failure. All p are corrected together by Holm's method. The
method, the formulas and what they assume are in docs/comparing.md.

The table has a row for each variant and metric: the mean with its 95 % interval,
the difference from the baseline with its own, the corrected p, and A12, the chance
that a run is above one of the baseline. A star marks a difference that the runs
support. Runs whose work is not random are all the same: there is one.

--until ±2% runs until the interval of --metric is that narrow, relative to the
mean, in every variant, or until --replications (then 1000) are done.

Tables as CSV and Parquet, the runs as Go benchmarks for benchstat, and figures
with what they show as CSV go to a directory that is written whole or not at all. They are
the same whatever --jobs is.

--diff A,B runs two variants once, side by side, and shows the first event where
they part ways, the first whose outcome differs, and the memory of both there.`,
		Example: `  dmasim compare cedar-256mib --replications 5
  dmasim compare window-mix --allocator first-fit --allocator best-fit
  dmasim compare window-mix --until ±10% --metric failed
  dmasim compare window-mix --diff first-fit,window-fit
  benchstat -row /variant dmasim-out/window-mix-comparison/runs.bench`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			name := defaultScenario
			if len(args) == 1 {
				name = args[0]
			}
			return o.run(cmd, name)
		},
	}
	flags := cmd.Flags()
	flags.StringVarP(&o.out, "out", "o", "", "directory for the results (default dmasim-out/NAME-comparison)")
	flags.BoolVar(&o.asJSON, "json", false, "print the comparison as JSON")
	flags.IntVarP(&o.jobs, "jobs", "j", runtime.GOMAXPROCS(0), "simulations at a time")
	flags.Uint64Var(&o.seed, "seed", 0, "seed of the first replication, in place of the scenario's")
	flags.IntVarP(&o.replications, "replications", "n", defaultReplications, "runs of every variant; with --until the most")
	flags.Var(&o.until, "until", "run until the interval of --metric is this narrow")
	flags.StringVar(&o.metric, "metric", "failed", "metric that --until and the closing sentences are about; where all variants have on_failure, dropped")
	flags.StringVar(&o.baseline, "baseline", "", "variant that the others are compared with (default the first)")
	flags.BoolVar(&o.independent, "independent", false, "seeds of its own for every variant")
	flags.StringVar(&o.warmUp, "warmup", "none", "beginning left out of rates and means: none, auto (MSER-5), or a time")
	flags.StringVar(&o.diff, "diff", "", "two variants, A,B: find where they part ways")
	o.formats.addTo(flags)
	o.input.trace.addFlags(flags)
	return cmd
}

func (o *compareOptions) run(cmd *cobra.Command, name string) error {
	start := time.Now()
	o.hasSeed = cmd.Flags().Changed("seed")
	sc, err := o.load(cmd, name)
	if err != nil {
		return err
	}
	if o.hasSeed {
		sc.SetSeed(o.seed)
	}
	if o.diff != "" {
		return o.runDiff(cmd, sc)
	}
	plan, err := o.plan(cmd.Flags(), sc)
	if err != nil {
		return err
	}
	out := o.out
	if out == "" {
		out = filepath.Join("dmasim-out", sc.Name+"-comparison")
	}
	if err := result.CheckTarget(out); err != nil {
		return err
	}
	resolved, err := sc.Resolved(out)
	if err != nil {
		return err
	}
	bars := newProgress(cmd.ErrOrStderr(), len(plan.Variants)*plan.Replications)
	plan.Observe = bars.watch
	c, err := experiment.Compare(cmd.Context(), plan)
	bars.finish()
	if err != nil {
		return err
	}
	files := append(report.ComparisonFiles(c, o.formats), result.File{Name: "scenario.yaml", Write: func(w io.Writer) error {
		_, err := w.Write(resolved)
		return err
	}})
	manifest := result.NewManifest(sc.Name, plan.Seed)
	manifest.Content = "comparison"
	manifest.Options = optionsOf(cmd.Flags(), "replications", "until", "metric", "baseline", "independent", "warmup")
	if err := result.WriteFiles(cmd.Context(), out, &manifest, result.NewHost(start, time.Since(start)), files); err != nil {
		return failedRun{err}
	}
	if o.asJSON {
		return printJSON(cmd.OutOrStdout(), report.NewComparisonSummary(c, out))
	}
	return o.print(cmd.OutOrStdout(), c, out)
}

// load reads what name means. Strategies given for a scenario are variants of its
// first one.
func (o *compareOptions) load(cmd *cobra.Command, name string) (*scenario.Scenario, error) {
	flags := cmd.Flags()
	o.input.trace.hasGranule = flags.Changed("granule")
	if isTrace(name) {
		sc, _, err := o.input.load(cmd, name)
		return sc, err
	}
	for _, flag := range traceFlags {
		if flag != "allocator" && flags.Changed(flag) {
			return nil, fmt.Errorf("--%s is for traces; a scenario says it itself", flag)
		}
	}
	sc, err := findScenario(name)
	if err != nil || !flags.Changed("allocator") {
		return sc, err
	}
	return sc.WithAllocators(o.input.trace.allocators)
}

func (o *compareOptions) plan(flags *pflag.FlagSet, sc *scenario.Scenario) (experiment.Plan, error) {
	p := experiment.Plan{
		Variants: sc.Variants, Seed: sc.Variants[0].Spec.Seed, Replications: o.replications,
		Precision: float64(o.until), Metric: o.metric, Independent: o.independent,
		Options: experiment.Options{Jobs: o.jobs},
	}
	if o.until > 0 && !flags.Changed("replications") {
		p.Replications = mostReplications
	}
	if !flags.Changed("metric") && !slices.ContainsFunc(sc.Variants, func(v scenario.Variant) bool { return !v.Persists() }) {
		o.metric, p.Metric = droppedMetric, droppedMetric
	}
	random := slices.ContainsFunc(sc.Variants, func(v scenario.Variant) bool { return v.Random() })
	switch {
	case o.jobs < 1:
		return p, errors.New("--jobs must be at least 1")
	case o.replications < 1 || o.replications > maxReplications:
		return p, fmt.Errorf("--replications must be from 1 to %d", maxReplications)
	case len(sc.Variants) < 2:
		return p, errors.New("there is one variant: name strategies to compare, as in --allocator first-fit --allocator best-fit")
	case !random && !flags.Changed("replications"):
		p.Replications, p.Precision = 1, 0
	}
	var err error
	if o.baseline != "" {
		p.Baseline, err = variantNumber(sc, o.baseline)
	}
	switch o.warmUp {
	case "none":
	case "auto":
		p.FindWarmUp = true
	default:
		d, bad := time.ParseDuration(o.warmUp)
		if bad != nil || d < 0 {
			return p, fmt.Errorf("--warmup %q: want none, auto, or a time like 30s", o.warmUp)
		}
		for _, v := range sc.Variants {
			if v.Spec.Duration > 0 && d >= v.Spec.Duration {
				return p, fmt.Errorf("--warmup %s leaves nothing of %s", d, v.Spec.Duration)
			}
		}
		p.WarmUp = d
	}
	return p, err
}

// variantNumber is the place of a variant of that name.
func variantNumber(sc *scenario.Scenario, name string) (int, error) {
	var names []string
	for i, v := range sc.Variants {
		if v.Name == name {
			return i, nil
		}
		names = append(names, v.Name)
	}
	return 0, fmt.Errorf("unknown variant %q%s", name, suggest.DidYouMean(suggest.Nearest(name, names)))
}

func (o *compareOptions) print(w io.Writer, c *experiment.Comparison, out string) error {
	if err := report.ComparisonTable(w, c, report.Headline(c, o.metric)); err != nil {
		return err
	}
	fmt.Fprintln(w)
	texts := append(report.Findings(c, o.metric), report.Cautions(c)...)
	if o.until > 0 && !c.Precise {
		texts = append(texts, fmt.Sprintf("%s of %s was not reached in %d replications", &o.until, o.metric, len(c.Runs[0])))
	}
	for _, text := range texts {
		for _, line := range wrap(text, lineWidth) {
			fmt.Fprintln(w, line)
		}
	}
	fmt.Fprintf(w, "\nall of the %d metrics: %s\n", len(c.Metrics), filepath.Join(out, "comparison.csv"))
	fmt.Fprintf(w, "pictures: %s\n", filepath.Join(out, "figures")+string(filepath.Separator))
	_, err := fmt.Fprintf(w, "next:     benchstat -row /variant -ignore /seed %s\n", filepath.Join(out, "runs.bench"))
	return err
}

func (o *compareOptions) runDiff(cmd *cobra.Command, sc *scenario.Scenario) error {
	first, second, two := strings.Cut(o.diff, ",")
	if !two {
		return fmt.Errorf("--diff %q: want two variants, like A,B", o.diff)
	}
	a, err := variantNumber(sc, first)
	if err != nil {
		return err
	}
	b, err := variantNumber(sc, second)
	if err != nil {
		return err
	}
	d, err := experiment.Diverge(cmd.Context(), &sc.Variants[a], &sc.Variants[b], sc.Variants[a].Spec.Seed)
	if err != nil {
		return err
	}
	if o.asJSON {
		return printJSON(cmd.OutOrStdout(), d)
	}
	return report.Divergence(cmd.OutOrStdout(), d)
}
