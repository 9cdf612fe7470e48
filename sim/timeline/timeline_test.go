package timeline_test

import (
	"bytes"
	"strings"
	"testing"

	_ "dmasim/allocator/kernel" // strategies that scenarios name
	"dmasim/internal/traceevent/eventtest"
	"dmasim/sim"
	"dmasim/sim/experiment"
	"dmasim/sim/scenario"
	"dmasim/sim/timeline"
)

// TestScenarios holds timelines to the rules of the format, and to what was counted
// of the runs.
func TestScenarios(t *testing.T) {
	seen := map[string]bool{}
	for _, name := range []string{"bounce-stale-import", "dropped-frames", "fence-skipped", "fd-leak", "iova-exhausted", "pooled-heap"} {
		sc, err := scenario.Find(name)
		if err != nil {
			t.Fatal(err)
		}
		v := &sc.Variants[0]
		var text bytes.Buffer
		var line *timeline.Writer
		run, err := experiment.Simulate(t.Context(), v, v.Spec.Seed, experiment.Options{
			Observe: func(cfg sim.Config) []sim.Observer {
				line = timeline.New(&text, cfg)
				return []sim.Observer{line}
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := line.Close(); err != nil {
			t.Fatal(err)
		}
		if err := eventtest.Check(bytes.NewReader(text.Bytes())); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		var asked, failed uint64
		for _, c := range run.Summary.Clients {
			asked += c.Requests
			failed += c.Failures
		}
		if got := uint64(strings.Count(text.String(), `"name":"request: `)); got != failed {
			t.Errorf("%s: %d refused requests in the timeline, %d counted", name, got, failed)
		}
		if got := uint64(strings.Count(text.String(), `{"ph":"b"`)); got != asked-failed {
			t.Errorf("%s: %d buffers in the timeline, %d counted", name, got, asked-failed)
		}
		var dropped uint64
		for _, t := range run.Summary.OnFailure {
			dropped += t.Dropped
		}
		if got := uint64(strings.Count(text.String(), `"name":"dropped: `)); got != dropped || (name == "dropped-frames") != (got > 0) {
			t.Errorf("%s: %d dropped buffers in the timeline, %d counted", name, got, dropped)
		}
		for _, phase := range []string{"b", "B", "C", "i"} {
			seen[phase] = seen[phase] || strings.Contains(text.String(), `{"ph":"`+phase+`"`)
		}
	}
	if len(seen) != 4 || !seen["B"] || !seen["i"] {
		t.Errorf("no scenario has events of all kinds: %v", seen)
	}
}
