package experiment_test

import (
	"context"
	"fmt"

	"dmasim/sim/experiment"
	"dmasim/sim/scenario"
)

// Two ends of memory for the buffers that could lie anywhere, compared over the
// same five seeds.
func ExampleCompare() {
	sc, err := scenario.Open("cedar-256mib")
	if err != nil {
		fmt.Println(err)
		return
	}
	for i := range sc.Variants {
		if sc.Variants[i], err = sc.Variants[i].With("duration", "5m"); err != nil {
			fmt.Println(err)
			return
		}
	}
	c, err := experiment.Compare(context.Background(), experiment.Plan{
		Variants: sc.Variants, Seed: 1, Replications: 5, Options: experiment.Options{Jobs: 2},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	d := c.Cells[1][c.Metric("failed:decode")].Difference
	fmt.Printf("%s against %s: %.0f points fewer of decode's requests fail, supported: %v\n",
		c.Variants[1], c.Variants[0], -100*d.Difference.Estimate, d.Supported())
	// Output:
	// others-high against others-low: 58 points fewer of decode's requests fail, supported: true
}
