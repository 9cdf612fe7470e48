package cli

import (
	"errors"
	"fmt"
	"strings"
	"unicode"

	"github.com/spf13/cobra"
)

func newSweepSlurmCommand() *cobra.Command {
	var o sweepOptions
	cmd := &cobra.Command{
		Use:   "slurm EXPERIMENT.yaml --shards N",
		Short: "Print a Slurm job array that runs an experiment",
		Long: `Print a script for sbatch: a job array of which each job runs one shard. Nothing is
submitted. Time, memory and partition are for you to add, in the script or as options
of sbatch. Its comments say how to submit what is missing, and how to merge.

A cluster takes 1000 jobs in an array unless its MaxArraySize is more; --jobs is how
many simulations, and CPUs, a job has at a time.`,
		Example: "  dmasim sweep slurm window.yaml --shards 20 > window.sh\n  sbatch window.sh",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			e, err := o.load(args[0])
			if err != nil {
				return err
			}
			if err := o.checkShards(e); err != nil {
				return err
			}
			if o.jobs < 1 {
				return errors.New("--jobs must be at least 1")
			}
			if strings.ContainsFunc(args[0]+o.out, unicode.IsControl) {
				return errors.New("the name of a file in a script must hold no control characters")
			}
			experiment, out := shellQuote(args[0]), shellQuote(o.out)
			_, err = fmt.Fprintf(cmd.OutOrStdout(), slurmScript, e.Name, o.shards-1, o.jobs, e.Cells(), experiment, out, o.shards)
			return err
		},
	}
	o.addOut(cmd.Flags())
	cmd.Flags().IntVar(&o.shards, "shards", 0, "number of jobs")
	cmd.Flags().IntVarP(&o.jobs, "jobs", "j", 1, "simulations at a time in each job")
	return cmd
}

// slurmScript is for the directory in which it was printed. The number of shards is
// part of it: what Slurm says of it changes where a part of the array is submitted.
const slurmScript = `#!/bin/bash
#SBATCH --job-name=%[1]s
#SBATCH --array=0-%[2]d
#SBATCH --cpus-per-task=%[3]d
#
# %[4]d cells in %[7]d jobs. Submit this in the directory where it was printed,
# which all nodes share. To merge when all have ended, whatever became of them:
#   id=$(sbatch --parsable THIS)
#   sbatch --dependency=afterany:$id --wrap "dmasim sweep merge %[5]s --out %[6]s"
# To run what is missing, as often as needed:
#   sbatch --array=$(dmasim sweep missing %[5]s --out %[6]s --shards %[7]d) THIS
exec dmasim sweep run %[5]s --out %[6]s --shard "$SLURM_ARRAY_TASK_ID/%[7]d" --jobs %[3]d
`

// shellQuote makes text one word of a shell.
func shellQuote(text string) string {
	plain := func(r rune) bool {
		return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("_-./", r)
	}
	if text != "" && strings.IndexFunc(text, func(r rune) bool { return !plain(r) }) < 0 {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}
