package cli

import (
	"strings"
	"testing"

	"dmasim/sim/experiment/sweep"
)

func TestParseShardAuto(t *testing.T) {
	type environment map[string]string
	tests := map[string]struct {
		environment environment
		want        sweep.Shard
		err         string
	}{
		"Slurm":              {environment{"SLURM_ARRAY_TASK_ID": "99"}, sweep.Shard{Index: 99, Of: 100}, ""},
		"Kubernetes":         {environment{"JOB_COMPLETION_INDEX": "0"}, sweep.Shard{Index: 0, Of: 100}, ""},
		"PBS":                {environment{"PBS_ARRAY_INDEX": "7"}, sweep.Shard{Index: 7, Of: 100}, ""},
		"Torque":             {environment{"PBS_ARRAYID": "7"}, sweep.Shard{Index: 7, Of: 100}, ""},
		"AWS Batch":          {environment{"AWS_BATCH_JOB_ARRAY_INDEX": "7"}, sweep.Shard{Index: 7, Of: 100}, ""},
		"Google Cloud Batch": {environment{"BATCH_TASK_INDEX": "7"}, sweep.Shard{Index: 7, Of: 100}, ""},
		"Grid Engine":        {environment{"SGE_TASK_ID": "100"}, sweep.Shard{Index: 99, Of: 100}, ""},
		"LSF":                {environment{"LSB_JOBINDEX": "1"}, sweep.Shard{Index: 0, Of: 100}, ""},

		// One scheduler around another.
		"Slurm on a Grid Engine host": {environment{"SGE_TASK_ID": "undefined", "SLURM_ARRAY_TASK_ID": "3"}, sweep.Shard{Index: 3, Of: 100}, ""},
		"Slurm in an indexed pod":     {environment{"JOB_COMPLETION_INDEX": "1", "SLURM_ARRAY_TASK_ID": "3"}, sweep.Shard{Index: 3, Of: 100}, ""},

		"a Grid Engine job, no array": {environment{"SGE_TASK_ID": "undefined"}, sweep.Shard{}, "no job of an array"},
		"an LSF job, no array":        {environment{"LSB_JOBINDEX": "0"}, sweep.Shard{}, "no job of an array"},
		"a larger array":              {environment{"SLURM_ARRAY_TASK_ID": "100"}, sweep.Shard{}, "SLURM_ARRAY_TASK_ID is 100: "},
		"no scheduler":                {nil, sweep.Shard{}, "no job of an array"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := parseShard("auto/100", func(key string) string { return test.environment[key] })
			if (err != nil) != (test.err != "") || err != nil && !strings.Contains(err.Error(), test.err) {
				t.Fatalf("error %v, want one with %q", err, test.err)
			}
			if got != test.want {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}
