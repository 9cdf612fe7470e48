package cli

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"dmasim/sim/experiment/sweep"
)

func newSweepPlanCommand() *cobra.Command {
	var o sweepOptions
	cmd := &cobra.Command{
		Use:   "plan EXPERIMENT.yaml",
		Short: "Check an experiment and show its cells without running them",
		Long: `Check an experiment and show what it consists of. With --json, it is every cell
with its values.`,
		Example: "  dmasim sweep plan window.yaml",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			e, err := o.load(args[0])
			if err != nil {
				return err
			}
			if o.asJSON {
				return printCells(cmd.OutOrStdout(), e)
			}
			return printPlan(cmd.OutOrStdout(), e)
		},
	}
	cmd.Flags().BoolVar(&o.asJSON, "json", false, "print an array of cells")
	return cmd
}

// plannedCell is a cell as programs read it.
type plannedCell struct {
	Cell        int            `json:"cell"`
	Point       int            `json:"point"`
	Variant     string         `json:"variant"`
	Values      map[string]any `json:"values"`
	Replication int            `json:"replication"`
	Seed        uint64         `json:"seed"`
}

func printCells(w io.Writer, e *sweep.Experiment) error {
	cells := make([]plannedCell, e.Cells())
	for i := range cells {
		c := e.Cell(i)
		values := map[string]any{}
		for j := range e.Parameters {
			values[e.Parameters[j].Column()] = e.Parameters[j].Value(c.Values[j])
		}
		cells[i] = plannedCell{c.Index, c.Point, c.Variant, values, c.Replication, c.Seed}
	}
	return printJSON(w, cells)
}

func printPlan(w io.Writer, e *sweep.Experiment) error {
	fmt.Fprintf(w, "%s: %d cells, %d points in %d replications each, from seed %d\n", e.Name, e.Cells(), e.Points(), e.Replications, e.Seed)
	text := "scenario " + e.Scenario.Name + ", variants " + strings.Join(e.Variants(), ", ")
	for i := range e.Parameters {
		p := &e.Parameters[i]
		text += "\n" + p.Name + " (" + strings.Join(p.Paths, ", ") + "): " + p.Describe()
	}
	for paragraph := range strings.SplitSeq(text, "\n") {
		for i, line := range wrap(paragraph, lineWidth-2) {
			if i > 0 {
				line = "  " + line
			}
			fmt.Fprintln(w, line)
		}
	}
	return nil
}

func newSweepRunCommand() *cobra.Command {
	var o sweepOptions
	cmd := &cobra.Command{
		Use:   "run EXPERIMENT.yaml --shard K/N",
		Short: "Run one shard of an experiment's cells",
		Long: `Run every Nth cell of an experiment, from cell K on; K is from 0 to N-1. Outcomes go
to OUT.cells, which all shards share; what is there already is not run again, so a
shard that was killed, or is run twice, does no harm. With auto/N, K is what the
scheduler says: SLURM_ARRAY_TASK_ID, JOB_COMPLETION_INDEX (Kubernetes),
PBS_ARRAY_INDEX, PBS_ARRAYID, AWS_BATCH_JOB_ARRAY_INDEX, BATCH_TASK_INDEX (Google
Cloud), SGE_TASK_ID or LSB_JOBINDEX. The last two count from 1; the others are
taken from 0. N is to be the same for all, whatever part of them is submitted.

Exit status 1 says that cells failed. They are not run again without --retry.`,
		Example: "  dmasim sweep run window.yaml --shard 3/20\n  dmasim sweep run window.yaml --shard auto/20",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := parseShard(o.shard, os.Getenv)
			if err != nil {
				return err
			}
			e, err := o.load(args[0])
			if err != nil {
				return err
			}
			if err := o.simulate(cmd, e, s); err != nil {
				return err
			}
			return o.reportShard(cmd.OutOrStdout(), e, s)
		},
	}
	o.addRunFlags(cmd.Flags())
	cmd.Flags().StringVar(&o.shard, "shard", "", "which part to run: K/N or auto/N")
	return cmd
}

func (o *sweepOptions) reportShard(w io.Writer, e *sweep.Experiment, s sweep.Shard) error {
	r, err := e.Collect(o.cells())
	if err != nil {
		return failedRun{err}
	}
	cells, failed := 0, 0
	for i, outcome := range r.Outcomes {
		if !s.Holds(i) {
			continue
		}
		cells++
		if outcome != nil && outcome.Error != "" {
			failed++
		}
	}
	if _, err := fmt.Fprintf(w, "shard %d/%d of %s: %d cells, %d failed\n", s.Index, s.Of, e.Name, cells, failed); err != nil || failed == 0 {
		return err
	}
	return errNo
}

// arrayIndexes are the variables in which schedulers tell a job of an array which
// one it is, with the number of the first.
var arrayIndexes = []struct {
	name  string
	first int
}{
	{"SLURM_ARRAY_TASK_ID", 0},
	{"JOB_COMPLETION_INDEX", 0},
	{"PBS_ARRAY_INDEX", 0},
	{"PBS_ARRAYID", 0},
	{"AWS_BATCH_JOB_ARRAY_INDEX", 0},
	{"BATCH_TASK_INDEX", 0},
	{"SGE_TASK_ID", 1},  // "undefined" of a job that is no array
	{"LSB_JOBINDEX", 1}, // 0 of a job that is no array
}

// parseShard reads K/N, or takes K from the environment for auto/N.
func parseShard(text string, environment func(string) string) (sweep.Shard, error) {
	of, auto := strings.CutPrefix(text, "auto/")
	if !auto {
		return sweep.ParseShard(text)
	}
	var names []string
	for _, v := range arrayIndexes {
		names = append(names, v.name)
		index, err := strconv.Atoi(environment(v.name))
		if err != nil || index < v.first {
			continue
		}
		s, err := sweep.ParseShard(strconv.Itoa(index-v.first) + "/" + of)
		if err != nil {
			err = fmt.Errorf("%s is %d: %w", v.name, index, err)
		}
		return s, err
	}
	return sweep.Shard{}, fmt.Errorf("shard %q: this is no job of an array: none of %s is set", text, strings.Join(names, ", "))
}

func newSweepMissingCommand() *cobra.Command {
	var o sweepOptions
	cmd := &cobra.Command{
		Use:   "missing EXPERIMENT.yaml --shards N",
		Short: "List the shards of which cells are missing",
		Long: `List the shards of which cells were not run, in the form that job arrays take, like
0,4-7. Without any, nothing is printed and the exit status is 0, else 1.`,
		Example: "  sbatch --array=$(dmasim sweep missing window.yaml --shards 20) window.sh",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			e, err := o.load(args[0])
			if err != nil {
				return err
			}
			if err := o.checkShards(e); err != nil {
				return err
			}
			r, err := e.Collect(o.cells())
			if err != nil {
				return err
			}
			missing := r.MissingShards(o.shards)
			if o.asJSON {
				if missing == nil {
					missing = []int{}
				}
				err = printJSON(cmd.OutOrStdout(), missing)
			} else if len(missing) > 0 {
				_, err = fmt.Fprintln(cmd.OutOrStdout(), ranges(missing))
			}
			if err == nil && len(missing) > 0 {
				err = errNo
			}
			return err
		},
	}
	o.addOut(cmd.Flags())
	cmd.Flags().IntVar(&o.shards, "shards", 0, "number of shards")
	cmd.Flags().BoolVar(&o.asJSON, "json", false, "print an array of numbers")
	return cmd
}

func (o *sweepOptions) checkShards(e *sweep.Experiment) error {
	if o.shards < 1 || o.shards > e.Cells() {
		return fmt.Errorf("--shards must be from 1 to the %d cells of %s", e.Cells(), e.Name)
	}
	return nil
}

// ranges writes numbers, which ascend, as 0,4-7.
func ranges(numbers []int) string {
	var parts []string
	for i := 0; i < len(numbers); {
		j := i
		for j+1 < len(numbers) && numbers[j+1] == numbers[j]+1 {
			j++
		}
		part := strconv.Itoa(numbers[i])
		if j > i {
			part += "-" + strconv.Itoa(numbers[j])
		}
		parts = append(parts, part)
		i = j + 1
	}
	return strings.Join(parts, ",")
}

func newSweepMergeCommand() *cobra.Command {
	var o sweepOptions
	cmd := &cobra.Command{
		Use:   "merge EXPERIMENT.yaml",
		Short: "Write the tables of an experiment whose shards were run",
		Long: `Read the cells of all shards from OUT.cells, and write the tables to OUT. They are the
same bytes as those of "dmasim sweep" on one machine. Cells that are missing are an
error, unless --partial says that tables of the others are wanted.`,
		Example: "  dmasim sweep merge window.yaml",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			e, err := o.load(args[0])
			if err != nil {
				return err
			}
			return o.merge(cmd, e, time.Now())
		},
	}
	o.addOut(cmd.Flags())
	o.addMergeFlags(cmd.Flags())
	cmd.Flags().BoolVar(&o.partial, "partial", false, "leave out cells that are missing")
	return cmd
}
