package metrics_test

import (
	"testing"

	"dmasim/sim/scenario"
)

// TestWindowFitKnowsTheClients: the strategy learns from the simulation which
// window its clients have. The restricted client of this system is blocked with
// probability 0.4994 under first fit, and 0.1178 if the other is placed from the
// top (TestExactBlocking); the other hardly suffers.
func TestWindowFitKnowsTheClients(t *testing.T) {
	clients := []smallClient{{2, 0.5, "window", "natural"}, {1, 2, "any", "natural"}}
	for _, name := range []string{"window-fit", "window-best-fit"} {
		sc, err := scenario.Parse("small.yaml", []byte(smallSystem(8, name, clients...)))
		if err != nil {
			t.Fatal(err)
		}
		run := simulate(t, &sc.Variants[0], 1, false)
		for i, most := range []float64{0.13, 0.012} {
			c := run.Summary.Clients[i]
			if blocked := float64(c.Failures) / float64(c.Requests); blocked > most {
				t.Errorf("%s: %s is blocked with probability %.4f, want at most %.3f", name, c.Name, blocked, most)
			} else {
				t.Logf("%s: %s %.4f", name, c.Name, blocked)
			}
		}
	}
}
