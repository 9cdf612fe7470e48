package sweep_test

import (
	"context"
	"fmt"
	"os"

	"dmasim/sim/experiment"
	"dmasim/sim/experiment/sweep"
)

// Twice the memory, run as two shards, which could be on two machines.
func Example() {
	e, err := sweep.Parse("testdata/memory.yaml", []byte(`
name: memory
scenario: small.yaml
variants: [random]
replications: 5
parameters: [{name: memory, path: memory.0.size, values: [1MiB, 2MiB]}]
`))
	if err != nil {
		fmt.Println(err)
		return
	}
	dir, err := os.MkdirTemp("", "sweep")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	for shard := range 2 {
		err := e.Run(context.Background(), dir, sweep.Shard{Index: shard, Of: 2}, sweep.Options{Options: experiment.Options{Jobs: 2}})
		if err != nil {
			fmt.Println(err)
			return
		}
	}
	results, err := e.Collect(dir)
	if err != nil {
		fmt.Println(err)
		return
	}
	for point := range e.Points() {
		failed := results.Summarize(point)[0]
		fmt.Printf("%s: %.1f%% of requests failed in %d runs\n", e.Cell(point * e.Replications).Values[0], 100*failed.Mean.Estimate, failed.Runs)
	}
	// Output:
	// 1MiB: 7.7% of requests failed in 5 runs
	// 2MiB: 0.0% of requests failed in 5 runs
}
