package metrics_test

import (
	"runtime"
	"strings"
	"testing"

	"dmasim/sim/scenario"
)

// bounced is pictures of 200 KiB that lie out of the display's reach, mapped and copied
// anew for each.
const bounced = `
name: bounced
seed: 1
duration: 100s
memory: [{base: 0x0, size: 64MiB}, {base: 0x100000000, size: 64MiB}]
machine: {kernel: 6.12, kernel_memory: 4MiB, swiotlb: {slots: 2048}}
heaps: [{name: system, kind: system}]
devices:
  - {name: camera, coherence: coherent}
  - {name: display, address_bits: 32, coherence: coherent}
workloads:
  - name: pictures
    heap: system
    devices: [camera, display]
    churn:
      every: {fixed: 10ms}
      size: {fixed: 200KiB}
      lifetime: {exponential: {mean: 40ms}}
      clients:
        - name: pictures
          transfers:
            - {device: display, access: read, time: 500us}
`

// TestSteadyState holds whole simulations with all metrics to memory that does
// not grow with their length: four times the events may not take more than some
// hundreds of allocations more, for samples that are thinned later.
func TestSteadyState(t *testing.T) {
	run := func(text string, duration string) (events uint64, bytes, mallocs uint64) {
		sc, err := scenario.Parse("steady.yaml", []byte(strings.Replace(text, "duration: 100s", "duration: "+duration, 1)))
		if err != nil {
			t.Fatal(err)
		}
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		events = simulate(t, &sc.Variants[0], 1, false).Summary.Events
		runtime.ReadMemStats(&after)
		return events, after.TotalAlloc - before.TotalAlloc, after.Mallocs - before.Mallocs
	}
	for name, text := range map[string]string{
		"churn":     strings.Replace(churn, "duration: 500000ms", "duration: 100s", 1),
		"transfers": pictures,
		"translated": strings.Replace(pictures, "workloads:", `iommu_groups:
  - {name: cameras, devices: [camera], mode: lazy, address_bits: 32}
  - {name: displays, devices: [display], pci: true}
workloads:`, 1),
		"bounced": bounced,
	} {
		events, bytes, mallocs := run(text, "50s")
		longEvents, longBytes, longMallocs := run(text, "200s")
		t.Logf("%s: %d events, %d bytes in %d allocations; %d events, %d bytes in %d allocations",
			name, events, bytes, mallocs, longEvents, longBytes, longMallocs)
		if longMallocs > mallocs+500 || longBytes > bytes+bytes/4 {
			t.Errorf("%s: %d events take %d bytes in %d allocations, %d events %d bytes in %d",
				name, events, bytes, mallocs, longEvents, longBytes, longMallocs)
		}
	}
}
