package cli

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"runtime"
	"slices"
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
	check   bool
	retry   bool
	metric  string
	partial bool
	shard   string
	shards  int
}

func newSweepCommand() *cobra.Command {
	var o sweepOptions
	cmd := &cobra.Command{
		Use:   "sweep EXPERIMENT.yaml",
		Short: "Run a scenario with many values of its fields",
		Long: `Run an experiment: a scenario, of which some fields have many values. Values that
are listed are all combined; ranges are sampled, at random or as a Latin hypercube.
docs/sweeps.md describes the file.

Every simulation is a cell. What becomes of it is written at once to a directory
beside the results, OUT.cells. However dmasim is ended, the same command goes on
where it stopped, and the tables are the same bytes as without, and for any
--jobs. Cells of another experiment or of another build of dmasim are refused. A
cell that fails is in the tables with its error, and doesn't stop the others.

The commands below spread the cells over machines that share a directory. Shard
K/N is every Nth cell from cell K on; shards may run anywhere, in any order and
more than once.`,
		Example: `  dmasim sweep window.yaml
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
	cmd.AddCommand(newSweepPlanCommand(), newSweepRunCommand(), newSweepMissingCommand(), newSweepMergeCommand(), newSweepSlurmCommand())
	return cmd
}

func (o *sweepOptions) addOut(flags *pflag.FlagSet) {
	flags.StringVarP(&o.out, "out", "o", "", "directory for the results (default dmasim-out/NAME-sweep)")
}

func (o *sweepOptions) addRunFlags(flags *pflag.FlagSet) {
	o.addOut(flags)
	flags.IntVarP(&o.jobs, "jobs", "j", runtime.GOMAXPROCS(0), "simulations at a time")
	flags.BoolVar(&o.check, "check", false, "verify every invariant after every event")
	flags.BoolVar(&o.retry, "retry", false, "run cells that failed again")
}

func (o *sweepOptions) addMergeFlags(flags *pflag.FlagSet) {
	flags.BoolVar(&o.asJSON, "json", false, "print what was done as JSON")
	flags.StringVar(&o.metric, "metric", "failed", "metric in the table that is printed")
}

// load reads the experiment, and where its results go if no flag says it.
func (o *sweepOptions) load(file string) (*sweep.Experiment, error) {
	e, err := sweep.Load(file)
	if err == nil && o.out == "" {
		o.out = filepath.Join("dmasim-out", e.Name+"-sweep")
	}
	return e, err
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
		Options: experiment.Options{Jobs: o.jobs, Check: o.check},
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
	files := append(report.SweepFiles(r), result.File{Name: "scenario.yaml", Write: func(w io.Writer) error {
		_, err := w.Write(resolved)
		return err
	}}, result.File{Name: "experiment.yaml", Write: func(w io.Writer) error {
		_, err := w.Write(e.Text)
		return err
	}})
	manifest := result.NewManifest(e.Scenario.Name, e.Seed)
	manifest.Content = "sweep"
	if err := result.WriteFiles(cmd.Context(), o.out, &manifest, result.NewHost(start, time.Since(start)), files); err != nil {
		return interrupted(failedRun{err})
	}
	if o.asJSON {
		err = printJSON(cmd.OutOrStdout(), sweepSummary{e.Name, e.Cells(), e.Points(), e.Replications, r.Failed(), r.Missing(), o.out})
	} else {
		err = o.print(cmd.OutOrStdout(), r)
	}
	if err == nil && r.Failed() > 0 {
		err = errNo
	}
	return err
}

func (o *sweepOptions) print(w io.Writer, r *sweep.Results) error {
	if err := report.SweepTable(w, r, o.metric); err != nil {
		return err
	}
	e := r.Experiment
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
	_, err := fmt.Fprintf(w, "tables:  %s{cells,runs,points}.{csv,parquet}\n", filepath.Clean(o.out)+string(filepath.Separator))
	return err
}
