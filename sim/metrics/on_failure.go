package metrics

import (
	"time"

	"dmasim/sim"
	"dmasim/workloads"
)

// OnFailureTotals say what became of the buffers that a client wanted, of a workload that
// does something about requests that are refused (see [workloads.Retrying]). A buffer may
// take several attempts; ClientTotals count these, here and in the fallback heaps.
type OnFailureTotals struct {
	Workload string `json:"workload"`
	Client   string `json:"client"`
	Wanted   uint64 `json:"wanted"`   // buffers; those served, dropped and waiting
	Attempts uint64 `json:"attempts"` // allocations asked for
	Retries  uint64 `json:"retries"`  // attempts in the client's own heap after the first

	Served           uint64 `json:"served"`
	ServedAtOnce     uint64 `json:"served_at_once"`     // by the own heap, at the first attempt
	ServedByRetry    uint64 `json:"served_by_retry"`    // by the own heap
	ServedByFallback uint64 `json:"served_by_fallback"` // by another heap, at once or later

	Dropped         uint64 `json:"dropped"`
	DroppedRetries  uint64 `json:"dropped_out_of_retries"`
	DroppedDeadline uint64 `json:"dropped_at_deadline"`
	DroppedFreed    uint64 `json:"dropped_freed"` // given up by the workload before it was served

	Waiting uint64 `json:"waiting"` // at the end

	// Waits of the served, from the first attempt on: 0 where that was served.
	// Quantiles are too large by 1 % at most. Without any, all are 0.
	MeanWait   float64       `json:"mean_wait_ns"`
	MedianWait time.Duration `json:"median_wait_ns"`
	P90Wait    time.Duration `json:"p90_wait_ns"`
	P99Wait    time.Duration `json:"p99_wait_ns"`
	MostWait   time.Duration `json:"most_wait_ns"`
}

// OnFailureMeter counts what becomes of the buffers of workloads that do something about
// refusals.
type OnFailureMeter struct {
	cfg      sim.Config
	from     time.Duration
	inputs   [][]OnFailureTotals // by input and client
	waits    [][]waits
	retrying []*workloads.Retrying // by input; nil: it asks once
}

// MeasureOnFailure counts in a run of cfg that is about to begin, but for buffers that
// are asked for before a time.
func MeasureOnFailure(cfg sim.Config, from time.Duration) *OnFailureMeter {
	m := &OnFailureMeter{
		cfg: cfg, from: from, inputs: make([][]OnFailureTotals, len(cfg.Inputs)), waits: make([][]waits, len(cfg.Inputs)),
		retrying: make([]*workloads.Retrying, len(cfg.Inputs)),
	}
	for i, in := range cfg.Inputs {
		r, is := in.Source.(*workloads.Retrying)
		if !is {
			continue
		}
		m.retrying[i], m.inputs[i], m.waits[i] = r, make([]OnFailureTotals, len(in.Clients)), make([]waits, len(in.Clients))
		r.Watch(func(e workloads.Ending) { m.count(i, e) })
	}
	return m
}

func (m *OnFailureMeter) count(input int, e workloads.Ending) {
	if e.Asked < m.from {
		return
	}
	if m.cfg.Duration > 0 && e.At >= m.cfg.Duration {
		e.Fate = workloads.StillWaiting // it ends after the run
	}
	t := &m.inputs[input][e.Client]
	t.Wanted++
	t.Attempts += e.Attempts
	t.Retries += e.Retries
	switch e.Fate {
	case workloads.StillWaiting:
		t.Waiting++
	case workloads.ServedAtOnce:
		t.ServedAtOnce++
	case workloads.ServedByRetry:
		t.ServedByRetry++
	case workloads.ServedByFallback:
		t.ServedByFallback++
	case workloads.OutOfRetries:
		t.DroppedRetries++
	case workloads.DeadlinePassed:
		t.DroppedDeadline++
	case workloads.Cancelled:
		t.DroppedFreed++
	}
	if e.Fate.Served() {
		t.Served++
		m.waits[input][e.Client].add(e.At - e.Asked)
	} else if e.Fate.Dropped() {
		t.Dropped++
	}
}

// Totals returns what was counted, by workload and client, of those clients that wanted
// anything. Call it once, when the run has ended.
func (m *OnFailureMeter) Totals() []OnFailureTotals {
	var list []OnFailureTotals
	for i, in := range m.cfg.Inputs {
		if m.retrying[i] == nil {
			continue
		}
		m.retrying[i].Waiting(func(e workloads.Ending) { m.count(i, e) })
		for client := range m.inputs[i] {
			t := m.inputs[i][client]
			if t.Wanted == 0 {
				continue
			}
			w := &m.waits[i][client]
			t.Workload, t.Client = in.Name, m.cfg.Clients[in.Clients[client]].Name
			t.MeanWait, t.MostWait = w.mean(), w.most
			t.MedianWait, t.P90Wait, t.P99Wait = w.percentile(50), w.percentile(90), w.percentile(99)
			list = append(list, t)
		}
	}
	return list
}

// Any reports whether any workload does something about refusals.
func (m *OnFailureMeter) Any() bool {
	for _, r := range m.retrying {
		if r != nil {
			return true
		}
	}
	return false
}
