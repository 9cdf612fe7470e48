package metrics_test

import (
	"testing"

	_ "dmasim/allocator/kernel"
	runner "dmasim/sim/experiment"
	"dmasim/sim/scenario"
)

// TestAdversaryScenarios holds the embedded adversaries to their theorems: the
// strategies that they are made for reach the bound, and robson is never served in
// less than its own.
func TestAdversaryScenarios(t *testing.T) {
	for _, test := range []struct {
		scenario string
		ratio    map[string]float64 // by variant, at least
		below    map[string]float64 // at most
		fails    bool
	}{
		{"robson", nil, nil, true},
		{"buddy-killer", map[string]float64{"buddy": 1, "cma": 1}, map[string]float64{"first-fit": 0.7, "best-fit": 0.7}, false},
		{"best-fit-killer", map[string]float64{"best-fit": 1, "drm-mm-best": 1}, map[string]float64{"first-fit": 0.2}, false},
		{"next-fit-killer", map[string]float64{"next-fit": 1, "worst-fit": 0.99}, map[string]float64{"first-fit": 0.1, "best-fit": 0.1}, false},
	} {
		sc, err := scenario.Open(test.scenario)
		if err != nil {
			t.Fatal(err)
		}
		for i := range sc.Variants {
			v := &sc.Variants[i]
			run, err := runner.Simulate(t.Context(), v, 1, runner.Options{CheckEvery: 1})
			if err != nil {
				t.Fatal(err)
			}
			a := run.Summary.Adversaries[0]
			most, limited := test.below[v.Name]
			if a.Failed != test.fails || a.Ratio < test.ratio[v.Name] || limited && a.Ratio > most {
				t.Errorf("%s, %s: %+v", test.scenario, v.Name, a)
			}
		}
	}
}
