package cli

import (
	"errors"
	"fmt"
	"io"
	"math"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"dmasim/internal/suggest"
	"dmasim/sim/experiment"
	"dmasim/sim/experiment/sweep"
	"dmasim/sim/report"
	"dmasim/sim/result"
)

// sweepOptions are those of sweep and the commands below it.
type sweepOptions struct {
	out     string
	asJSON  bool
	jobs    int
	check   uint64
	retry   bool
	metric  string
	heatmap []string
	front   []string
	formats formats
	partial bool
	shard   string
	shards  int
}

func newSweepCommand() *cobra.Command {
	var o sweepOptions
	cmd := &cobra.Command{
		Use:   "sweep EXPERIMENT",
		Short: "Run a scenario with many values of its fields",
		Long: `Run an experiment: a scenario, of which some fields have many values. Values that
are listed are all combined; ranges are sampled, at random or as a Latin hypercube.
docs/sweeps.md describes the file. The argument is a file, the name of an embedded
experiment (see dmasim sweep list), or the result of a sweep, which is run again.

Some embedded experiments reproduce what is published or exactly known. Of these
the table has theirs beside ours, with the half-width of its 95 % interval, by how
many standard errors it is off, and a verdict; the exit status is 1 if one differs.

Every simulation is a cell. What becomes of it is written at once to a directory
beside the results, OUT.cells. However dmasim is ended, the same command goes on
where it stopped, and the tables are the same bytes as without, and for any
--jobs. Cells of another experiment or of another build of dmasim are refused. A
cell that fails is in the tables with its error, and doesn't stop the others.

The commands below spread the cells over machines that share a directory. Shard
K/N is every Nth cell from cell K on; shards may run anywhere, in any order and
more than once.`,
		Example: `  dmasim sweep window.yaml
  dmasim sweep reproduce/littles-law
  dmasim sweep plan window.yaml
  dmasim sweep slurm window.yaml --shards 20 > window.sh
  sbatch window.sh
  dmasim sweep merge window.yaml`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return wantCommand(cmd, args)
			}
			return cobra.ExactArgs(1)(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error { return o.runAll(cmd, args[0]) },
	}
	o.addRunFlags(cmd.Flags())
	o.addMergeFlags(cmd.Flags())
	cmd.AddCommand(newSweepListCommand(), newSweepPlanCommand(), newSweepRunCommand(), newSweepMissingCommand(), newSweepMergeCommand(), newSweepSlurmCommand())
	return cmd
}

func (o *sweepOptions) addOut(flags *pflag.FlagSet) {
	flags.StringVarP(&o.out, "out", "o", "", "directory for the results (default dmasim-out/NAME-sweep)")
}

func (o *sweepOptions) addRunFlags(flags *pflag.FlagSet) {
	o.addOut(flags)
	flags.IntVarP(&o.jobs, "jobs", "j", runtime.GOMAXPROCS(0), "simulations at a time")
	checkFlag(flags, &o.check)
	flags.BoolVar(&o.retry, "retry", false, "run cells that failed again")
}

func (o *sweepOptions) addMergeFlags(flags *pflag.FlagSet) {
	flags.BoolVar(&o.asJSON, "json", false, "print what was done as JSON")
	flags.StringVar(&o.metric, "metric", "failed", "metric in the table that is printed, and in figures")
	flags.StringSliceVar(&o.heatmap, "heatmap", nil, "two parameters, `X,Y`, to draw the metric over (default those that list numbers, if they are two)")
	flags.StringSliceVar(&o.front, "frontier", []string{"failed", "waste"}, "two metrics, `A,B`, to draw against each other")
	o.formats.addTo(flags)
}

// load reads the experiment, and where its results go if no flag says it.
func (o *sweepOptions) load(file string) (*sweep.Experiment, error) {
	e, err := sweep.Find(file)
	if err != nil {
		return nil, err
	}
	if o.out == "" {
		o.out = filepath.Join("dmasim-out", e.Name+"-sweep")
	}
	if len(o.front) == 1 || len(o.front) > 2 {
		return nil, fmt.Errorf("--frontier %s: want two metrics, like failed,waste", strings.Join(o.front, ","))
	}
	if _, err := report.HeatmapAxes(e, o.heatmap); err != nil {
		return nil, fmt.Errorf("--heatmap: %w", err)
	}
	return e, nil
}

// cells is where the outcomes of cells are gathered.
func (o *sweepOptions) cells() string { return filepath.Clean(o.out) + ".cells" }

func (o *sweepOptions) runAll(cmd *cobra.Command, file string) error {
	e, err := o.load(file)
	if err != nil {
		return err
	}
	if err := result.CheckTarget(o.out); err != nil {
		return err
	}
	start := time.Now()
	if err := o.simulate(cmd, e, sweep.Whole); err != nil {
		return err
	}
	return o.merge(cmd, e, start)
}

// simulate runs what is not there yet of a shard.
func (o *sweepOptions) simulate(cmd *cobra.Command, e *sweep.Experiment, s sweep.Shard) error {
	if o.jobs < 1 {
		return errors.New("--jobs must be at least 1")
	}
	var bars *progress
	err := e.Run(cmd.Context(), o.cells(), s, sweep.Options{
		Options: experiment.Options{Jobs: o.jobs, CheckEvery: o.check},
		Retry:   o.retry,
		Start:   func(cells int) { bars = newProgress(cmd.ErrOrStderr(), cells) },
		Done:    func() { bars.bar.IncrBy(progressSteps) },
	})
	if bars != nil {
		bars.finish()
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, sweep.ErrOther):
		return fmt.Errorf("%w; remove %s or choose another --out", err, o.cells())
	case cmd.Context().Err() != nil:
		return failedRun{errors.New("interrupted; the same command goes on from here")}
	}
	return failedRun{err}
}

// sweepSummary is what merge prints for programs.
type sweepSummary struct {
	Experiment   string `json:"experiment"`
	Cells        int    `json:"cells"`
	Points       int    `json:"points"`
	Replications int    `json:"replications"`
	Failed       int    `json:"failed"`
	Missing      int    `json:"missing"`
	Directory    string `json:"directory"`
	// Checks are those of an experiment that says what should come of it.
	Checks []checkSummary `json:"checks,omitempty"`
}

// checkSummary is what a program reads of one thing that is known from elsewhere.
type checkSummary struct {
	Source    string   `json:"source"`
	Metric    string   `json:"metric"`
	Above     string   `json:"above,omitempty"`
	Point     string   `json:"point"`
	Sign      string   `json:"expected_sign,omitempty"`
	Expected  *float64 `json:"expected,omitempty"`
	Error     float64  `json:"expected_half_width,omitempty"`
	Tolerance float64  `json:"tolerance,omitempty"`
	Runs      int      `json:"runs"`
	Mean      *float64 `json:"mean"`
	Low       *float64 `json:"low"`
	High      *float64 `json:"high"`
	Off       *float64 `json:"standard_errors_off"`
	Agrees    bool     `json:"agrees"`
}

func newCheckSummaries(checks []sweep.Check) []checkSummary {
	number := func(v float64) *float64 {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return nil
		}
		return &v
	}
	var list []checkSummary
	for _, c := range checks {
		s := checkSummary{
			Source: c.Source, Metric: c.Metric, Above: c.Above, Point: c.Point, Sign: string(c.Sign), Error: c.Error, Tolerance: c.Tolerance,
			Runs: c.Runs, Mean: number(c.Ours.Estimate), Low: number(c.Ours.Lo), High: number(c.Ours.Hi), Off: number(c.Off), Agrees: c.Agrees,
		}
		if c.Sign == "" {
			s.Expected = number(c.Expected)
		}
		list = append(list, s)
	}
	return list
}

// merge writes the tables of all cells that there are. The answer is no if cells
// failed.
func (o *sweepOptions) merge(cmd *cobra.Command, e *sweep.Experiment, start time.Time) error {
	r, err := e.Collect(o.cells())
	if errors.Is(err, sweep.ErrOther) {
		return fmt.Errorf("%w; remove %s or choose another --out", err, o.cells())
	}
	if err != nil {
		return err
	}
	if names := r.Metrics(); len(names) > 0 && !slices.Contains(names, o.metric) {
		return fmt.Errorf("unknown metric %q%s", o.metric, suggest.DidYouMean(suggest.Nearest(o.metric, names)))
	}
	if missing := r.Missing(); missing > 0 && !o.partial {
		return failedRun{fmt.Errorf("%d of %d cells are missing in %s: run them (see dmasim sweep missing), or merge what is there with --partial", missing, e.Cells(), o.cells())}
	}
	resolved, err := e.Scenario.Resolved(o.out)
	if err != nil {
		return err
	}
	figures, err := report.SweepFigures(r, report.SweepChoice{Metric: o.metric, Axes: o.heatmap, Frontier: [2]string(o.front)})
	if err != nil {
		return err
	}
	checks := r.Checks()
	tables := report.SweepFiles(r)
	if len(checks) > 0 {
		tables = append(tables, report.CheckData(checks).Files("expected")...)
		figures = append(figures, report.CheckFigure(checks))
	}
	whole := func(name string, text []byte) result.File {
		return result.File{Name: name, Write: func(w io.Writer) error {
			_, err := w.Write(text)
			return err
		}}
	}
	files := append(append(tables, report.FigureFiles(figures, o.formats)...),
		whole("scenario.yaml", resolved), whole(sweep.WrittenScenario, e.Scenario.Text), whole("experiment.yaml", e.Text))
	manifest := result.NewManifest(e.Scenario.Name, e.Seed)
	manifest.Content = "sweep"
	manifest.Options = optionsOf(cmd.Flags(), "metric", "heatmap", "frontier")
	if err := result.WriteFiles(cmd.Context(), o.out, &manifest, result.NewHost(start, time.Since(start)), files); err != nil {
		return failedRun{err}
	}
	if o.asJSON {
		err = printJSON(cmd.OutOrStdout(), sweepSummary{e.Name, e.Cells(), e.Points(), e.Replications, r.Failed(), r.Missing(), o.out, newCheckSummaries(checks)})
	} else {
		err = o.print(cmd, r, checks, len(figures) > 0)
	}
	disagrees := slices.ContainsFunc(checks, func(c sweep.Check) bool { return !c.Agrees })
	if err == nil && (r.Failed() > 0 || disagrees) {
		err = errNo
	}
	return err
}

func (o *sweepOptions) print(cmd *cobra.Command, r *sweep.Results, checks []sweep.Check, drawn bool) error {
	w, e := cmd.OutOrStdout(), r.Experiment
	if len(checks) > 0 && !cmd.Flags().Changed("metric") {
		if err := report.CheckTable(w, checks); err != nil {
			return err
		}
		agree := 0
		for _, c := range checks {
			if c.Agrees {
				agree++
			}
		}
		fmt.Fprintf(w, "\n%d of %d agree\n", agree, len(checks))
	} else if err := report.SweepTable(w, r, o.metric); err != nil {
		return err
	}
	fmt.Fprintf(w, "\n%s: %d cells, %d points in %d replications each\n", e.Name, e.Cells(), e.Points(), e.Replications)
	if n := r.Missing(); n > 0 {
		fmt.Fprintf(w, "missing: %d cells\n", n)
	}
	if n := r.Failed(); n > 0 {
		for _, outcome := range r.Outcomes {
			if outcome != nil && outcome.Error != "" {
				for _, line := range wrap(fmt.Sprintf("failed: %d cells, the first is cell %d: %s", n, outcome.Cell, outcome.Error), lineWidth) {
					fmt.Fprintln(w, line)
				}
				break
			}
		}
	}
	if drawn {
		fmt.Fprintf(w, "pictures: %s\n", filepath.Join(o.out, "figures")+string(filepath.Separator))
	}
	_, err := fmt.Fprintf(w, "tables:   %s{cells,runs,points}.{csv,parquet}\n", filepath.Clean(o.out)+string(filepath.Separator))
	return err
}
