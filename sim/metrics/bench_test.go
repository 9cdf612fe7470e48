package metrics_test

import (
	"testing"

	"dmasim/sim/scenario"
)

// churn is a million operations, 500,000 buffers, with about 10,000 live at a
// time, of which one in ten must lie in the first eighth of memory.
const churn = `
name: churn
seed: 1
duration: 500000ms
memory: [{base: 0x0, size: 8GiB}]
heaps: [{name: main, allocator: first-fit, aware: true}]
devices: [{name: window, reach: [{lo: 0x0, size: 1GiB}]}]
workloads:
  - name: churn
    heap: main
    churn:
      every: {exponential: {mean: 1ms}}
      size: {log_uniform: {min: 4KiB, max: 4MiB}}
      lifetime: {exponential: {mean: 10s}}
      clients:
        - {name: window, devices: [window], weight: 1, placement: low}
        - {name: anywhere, weight: 9, placement: high}
`

// BenchmarkMillionOperations is a whole simulation with metrics, samples and
// memory map, for each strategy; ns/op is for the million.
func BenchmarkMillionOperations(b *testing.B) {
	for _, name := range []string{"first-fit", "best-fit", "tlsf"} {
		b.Run(name, func(b *testing.B) {
			sc, err := scenario.Parse("churn.yaml", []byte(churn))
			if err != nil {
				b.Fatal(err)
			}
			v, err := sc.Variants[0].With("heaps.main.allocator", name)
			if err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				run := simulate(b, &v, 1, false)
				b.ReportMetric(float64(run.Summary.Events), "events/op")
				b.ReportMetric(float64(run.Summary.Clients[0].Failures+run.Summary.Clients[1].Failures), "failures/op")
			}
		})
	}
}
