package metrics_test

import (
	"testing"
	"time"

	"dmasim/sim"
	"dmasim/sim/metrics"
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
// memory map, for each strategy. Unlike a trace, its work is drawn at random as it
// goes, and its buffers end by themselves.
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
			var run metrics.Run
			var took time.Duration
			for b.Loop() {
				cfg, err := v.Build(1)
				if err != nil {
					b.Fatal(err)
				}
				took += timed(b, func() { run = measure(b, cfg) })
			}
			reportEvents(b, run.Summary.Events, took)
			b.ReportMetric(float64(run.Summary.Clients[0].Failures+run.Summary.Clients[1].Failures), "failures")
		})
	}
}

// pictures is a churn of pictures that a camera writes and a display shows, and
// of buffers without transfers. With its attachments and transfers, a picture is 14 events,
// each of the others 2.
const pictures = `
name: pictures
seed: 1
duration: 100s
memory: [{base: 0x40000000, size: 256MiB}]
heaps: [{name: main, allocator: tlsf, aware: true}]
devices:
  - {name: camera, align: 4KiB}
  - {name: display, align: 4KiB}
workloads:
  - name: pictures
    heap: main
    devices: [camera, display]
    churn:
      every: {fixed: 1ms}
      size: {fixed: 1MiB}
      lifetime: {exponential: {mean: 4ms}}
      clients:
        - name: pictures
          transfers:
            - {device: camera, access: write, time: 600us}
            - {device: display, access: read, time: 500us}
  - name: apps
    heap: main
    churn:
      every: {exponential: {mean: 1ms}}
      size: {log_uniform: {min: 4KiB, max: 1MiB}}
      lifetime: {exponential: {mean: 100ms}}
variants:
  - {name: fenced}
  - {name: unfenced, set: {workloads.pictures.churn.clients.pictures.unfenced: true}}
  - {name: overshooting, set: {heaps.main.aware: false, heaps.main.guard: 4KiB, devices.camera.padding: 256B}}
  - {name: translated, set: {iommu_groups: [{name: smmu, devices: [camera, display], mode: lazy}]}}
`

// counter counts events of all kinds.
type counter struct{ events uint64 }

func (*counter) Advance(time.Duration) {}

func (c *counter) Event(*sim.Event) { c.events++ }

// BenchmarkTransfers runs whole simulations with devices, maps and fences and all
// metrics. Every attach, map, transfer and their ends are events, too.
func BenchmarkTransfers(b *testing.B) {
	sc, err := scenario.Parse("pictures.yaml", []byte(pictures))
	if err != nil {
		b.Fatal(err)
	}
	for i := range sc.Variants {
		v := &sc.Variants[i]
		b.Run(v.Name, func(b *testing.B) {
			b.ReportAllocs()
			var events uint64
			var took time.Duration
			for b.Loop() {
				cfg, err := v.Build(1)
				if err != nil {
					b.Fatal(err)
				}
				var n counter
				took += timed(b, func() { measure(b, cfg, &n) })
				events = n.events
			}
			reportEvents(b, events, took)
		})
	}
}
