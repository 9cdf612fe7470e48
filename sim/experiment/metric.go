package experiment

import (
	"context"
	"strings"
	"time"

	"dmasim/allocator"
	"dmasim/sim"
	"dmasim/sim/metrics"
	"dmasim/sim/scenario"
)

// Better says which values of a metric one wants.
type Better int8

// The directions.
const (
	Neither Better = iota
	Lower
	Higher
)

// String returns "lower", "higher" or "".
func (b Better) String() string { return [...]string{"", "lower", "higher"}[b] }

// Metric is one figure of a run.
type Metric struct {
	Name    string // as options and tables have it: "failed", or "failed:" and a client
	Unit    string // share, s, bytes or count
	Better  Better
	Summary string // one line
}

// BetterOf says which values of a metric of that name one wants.
func BetterOf(name string) Better {
	switch kind, _, _ := strings.Cut(name, ":"); kind {
	case "failed", "failed-bytes", "dropped", "wait", "waste", "index", "reach-index", "high-water", "killed", "incidents":
		return Lower
	case FailureFree:
		return Higher
	}
	return Neither
}

// FailureFree is the name of the metric that is a lifetime.
const FailureFree = "failure-free"

// Measurement is a metric and its value in a run.
type Measurement struct {
	Metric
	Value float64
}

// Measure runs a variant once and returns its figures. Rates and means leave out
// what is before warmUp.
func Measure(ctx context.Context, v *scenario.Variant, seed uint64, warmUp time.Duration, o Options) ([]Measurement, error) {
	run, list, err := simulateMeasured(ctx, v, seed, warmUp, o)
	if err != nil {
		return nil, err
	}
	return append(list, layout(&run, warmUp)...), nil
}

// simulateMeasured runs a variant once and returns also its figures, but for the layout.
func simulateMeasured(ctx context.Context, v *scenario.Variant, seed uint64, warmUp time.Duration, o Options) (metrics.Run, []Measurement, error) {
	t := newTally(warmUp, v.Clients())
	var wanted *metrics.OnFailureMeter
	run, err := simulate(ctx, v, seed, o, func(cfg sim.Config, s *sim.Simulation) {
		wanted = metrics.MeasureOnFailure(cfg, warmUp)
		s.Observe(t)
	})
	if err != nil {
		return metrics.Run{}, nil, err
	}
	list := measure(&run, t)
	if wanted.Any() {
		list = append(list, fates(wanted.Totals())...)
	}
	return run, list, nil
}

// fates are the figures of workloads that do something about refusals.
func fates(totals []metrics.OnFailureTotals) []Measurement {
	var list []Measurement
	var wanted, dropped, served uint64
	var waited float64
	for _, t := range totals {
		wanted, dropped, served = wanted+t.Wanted, dropped+t.Dropped, served+t.Served
		waited += t.MeanWait * float64(t.Served)
		if len(totals) > 1 {
			list = append(list, Measurement{Metric{"dropped:" + t.Client, "share", Lower, "buffers wanted by " + t.Client + " that were dropped"}, share(t.Dropped, t.Wanted)})
		}
	}
	all := Measurement{Metric{"dropped", "share", Lower, "wanted buffers that were dropped, of workloads with on_failure"}, share(dropped, wanted)}
	wait := Measurement{Metric{"wait", "s", Lower, "mean time until such a buffer was served"}, ratio(waited, float64(served)) / 1e9}
	return append(append([]Measurement{all}, list...), wait)
}

// layout returns the mean numbers of buffers and of holes at the samples from a time
// on, which say how memory looks and not how good it is.
func layout(run *metrics.Run, from time.Duration) []Measurement {
	var blocks, holes float64
	for i := range run.Summary.Heaps {
		h := &run.Summary.Heaps[i]
		if from == 0 {
			blocks, holes = blocks+h.MeanBlocks, holes+h.MeanHoles
			continue
		}
		n, b, f := 0.0, 0, 0
		for j := range run.Samples {
			if s := &run.Samples[j]; s.Heap == i && s.At >= from {
				n, b, f = n+1, b+s.Blocks, f+s.Holes
			}
		}
		blocks, holes = blocks+float64(b)/max(n, 1), holes+float64(f)/max(n, 1)
	}
	return []Measurement{
		{Metric{"blocks", "count", Neither, "mean number of live blocks of all heaps"}, blocks},
		{Metric{"holes", "count", Neither, "mean number of free runs of all heaps"}, holes},
	}
}

// tally counts the requests from a time on.
type tally struct {
	from             time.Duration
	requests, failed []uint64 // by client
	asked, missing   uint64   // bytes
}

func newTally(from time.Duration, clients int) *tally {
	return &tally{from: from, requests: make([]uint64, clients), failed: make([]uint64, clients)}
}

// Advance implements sim.Observer.
func (t *tally) Advance(time.Duration) {}

// Event implements sim.Observer. A map that fails is a failed request, as in
// metrics.ClientTotals.
func (t *tally) Event(e *sim.Event) {
	if e.At < t.from || (e.Kind != sim.Alloc && e.Kind != sim.Map) {
		return
	}
	failed := e.Diagnosis.Cause != allocator.None
	if failed {
		t.failed[e.Client]++
	}
	if e.Kind == sim.Alloc {
		t.requests[e.Client]++
		t.asked += e.Size
		if failed {
			t.missing += e.Size
		}
	}
}

// measure returns the figures of a run, of which the tally saw the requests.
func measure(run *metrics.Run, t *tally) []Measurement {
	var requests, failed uint64
	for i := range t.requests {
		requests += t.requests[i]
		failed += t.failed[i]
	}
	list := []Measurement{
		{Metric{"failed", "share", Lower, "requests that failed, of all clients"}, share(failed, requests)},
	}
	if clients := run.Summary.Clients; len(clients) > 1 {
		for i, c := range clients {
			if t.requests[i] > 0 {
				list = append(list, Measurement{Metric{"failed:" + c.Name, "share", Lower, "requests of " + c.Name + " that failed"}, share(t.failed[i], t.requests[i])})
			}
		}
	}
	list = append(list,
		Measurement{Metric{"failed-bytes", "share", Lower, "bytes asked for in requests that failed"}, share(t.missing, t.asked)},
		Measurement{Metric{FailureFree, "s", Higher, "time until the first request failed, or until the end"}, lifetime(run).Seconds()},
	)
	list = append(list, measureHeaps(run, t.from)...)
	if m := run.Summary.Memory; m != nil {
		list = append(list, Measurement{Metric{"killed", "count", Lower, "processes killed because memory ran out"}, float64(len(m.Killed))})
	}
	if run.Summary.System != nil {
		var incidents uint64
		for _, n := range run.Summary.Incidents {
			incidents += n
		}
		list = append(list, Measurement{Metric{"incidents", "count", Lower, "what went wrong beside failed requests"}, float64(incidents)})
	}
	return list
}

// lifetime is the time until the first failure, or all of it.
func lifetime(run *metrics.Run) time.Duration {
	if first := run.Summary.First; first != nil {
		return first.At
	}
	return run.Summary.Duration
}

func share(part, whole uint64) float64 {
	if whole == 0 {
		return 0
	}
	return float64(part) / float64(whole)
}

// heapFigures are the means of a heap from a time on.
type heapFigures struct {
	requested, reserved, index float64
	reach                      float64 // the highest index of what a device reaches
	peak                       uint64
}

func measureHeaps(run *metrics.Run, from time.Duration) []Measurement {
	var capacity, reserved, requested, index, reach float64
	var peak, highWater uint64
	reaches := false
	for i := range run.Summary.Heaps {
		h := &run.Summary.Heaps[i]
		f := wholeRun(h)
		if from > 0 {
			f = fromSamples(run, i, from)
		}
		capacity += float64(h.Capacity)
		reserved += f.reserved
		requested += f.requested
		index = max(index, f.index)
		reach = max(reach, f.reach)
		peak += f.peak
		highWater += uint64(h.HighWater)
		for _, r := range h.Reaches {
			reaches = reaches || r.Capacity < h.Capacity
		}
	}
	list := []Measurement{
		{Metric{"used", "share", Neither, "mean share of the heaps' memory that is reserved"}, ratio(reserved, capacity)},
		{Metric{"waste", "share", Lower, "mean share of the reserved bytes that nobody asked for"}, ratio(reserved-requested, reserved)},
		{Metric{"index", "share", Lower, "mean largest-free index, of pages the unusable index, of the heap where it is highest"}, index},
	}
	if reaches {
		list = append(list, Measurement{Metric{"reach-index", "share", Lower, "the same of what one device reaches of a heap"}, reach})
	}
	return append(list,
		Measurement{Metric{"peak", "bytes", Neither, "most bytes reserved, the peaks of the heaps added"}, float64(peak)},
		Measurement{Metric{"high-water", "bytes", Lower, "end of the highest block from the start of its heap, the heaps added"}, float64(highWater)},
	)
}

func ratio(part, whole float64) float64 {
	if whole <= 0 {
		return 0
	}
	return part / whole
}

// inPages reports whether a heap's free memory is blocks of pages, of which the
// largest says little.
func inPages(h *metrics.HeapTotals) bool {
	return h.Kind == sim.SystemHeap.String() || h.Kind == sim.PooledHeap.String()
}

func wholeRun(h *metrics.HeapTotals) heapFigures {
	f := heapFigures{requested: h.MeanRequested, reserved: h.MeanReserved, index: h.MeanLargestFreeIndex, peak: uint64(h.PeakReserved)}
	if inPages(h) {
		f.index = h.MeanUnusable
	}
	for _, r := range h.Reaches {
		if r.Capacity >= h.Capacity {
			continue
		}
		if inPages(h) {
			f.reach = max(f.reach, r.MeanUnusable)
		} else {
			f.reach = max(f.reach, r.MeanLargestFreeIndex)
		}
	}
	return f
}

// fromSamples averages the samples of a heap that are not before a time.
func fromSamples(run *metrics.Run, heap int, from time.Duration) heapFigures {
	h := &run.Summary.Heaps[heap]
	var f heapFigures
	n := 0.0
	reaches := make([]float64, len(h.Reaches))
	for i := range run.Samples {
		s := &run.Samples[i]
		if s.Heap != heap || s.At < from {
			continue
		}
		n++
		f.requested += float64(s.Requested)
		f.reserved += float64(s.Reserved)
		f.peak = max(f.peak, s.Peak)
		if inPages(h) {
			f.index += s.Unusable
		} else {
			f.index += metrics.LargestFreeIndex(s.Free, s.Largest)
		}
		for j := range s.Reaches {
			if r := &s.Reaches[j]; inPages(h) {
				reaches[j] += r.Unusable
			} else {
				reaches[j] += metrics.LargestFreeIndex(r.Free, r.Largest)
			}
		}
	}
	n = max(n, 1)
	f.requested, f.reserved, f.index = f.requested/n, f.reserved/n, f.index/n
	for j, sum := range reaches {
		if h.Reaches[j].Capacity < h.Capacity {
			f.reach = max(f.reach, sum/n)
		}
	}
	return f
}

// occupancy returns the reserved share of all heaps at every sample.
func occupancy(run *metrics.Run) []float64 {
	heaps := len(run.Summary.Heaps)
	if heaps == 0 {
		return nil
	}
	var capacity float64
	for i := range run.Summary.Heaps {
		capacity += float64(run.Summary.Heaps[i].Capacity)
	}
	series := make([]float64, len(run.Samples)/heaps)
	for i := range series { // samples are by time, then heap
		for _, s := range run.Samples[i*heaps : (i+1)*heaps] {
			series[i] += float64(s.Reserved) / capacity
		}
	}
	return series
}
