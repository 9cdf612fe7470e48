package report

import (
	"slices"
	"time"

	"dmasim/allocator"
	"dmasim/sim/metrics"
	"dmasim/sim/result"
)

// view is one heap of one variant.
type view struct {
	name     string // of the variant
	heap     *metrics.HeapTotals
	clients  []metrics.ClientTotals // of the whole run, in the order that map cells count in
	samples  []metrics.Sample
	memory   *metrics.Map // nil: none
	duration time.Duration

	adversary *metrics.AdversaryTotals // nil: the heap has none
}

// heapNames returns the heaps of all variants, in the order in which they are
// first met.
func heapNames(r *result.Result) []string {
	var names []string
	for _, v := range r.Variants {
		for _, h := range v.Run.Summary.Heaps {
			if !slices.Contains(names, h.Name) {
				names = append(names, h.Name)
			}
		}
	}
	return names
}

// heapViews returns the heap of every variant that has it.
func heapViews(r *result.Result, name string) []view {
	var views []view
	for i := range r.Variants {
		run := &r.Variants[i].Run
		heap := slices.IndexFunc(run.Summary.Heaps, func(h metrics.HeapTotals) bool { return h.Name == name })
		if heap < 0 {
			continue
		}
		v := view{name: r.Variants[i].Name, heap: &run.Summary.Heaps[heap], clients: run.Summary.Clients, duration: run.Summary.Duration}
		for _, s := range run.Samples {
			if s.Heap == heap {
				v.samples = append(v.samples, s)
				v.duration = max(v.duration, s.At)
			}
		}
		for j := range run.Summary.Adversaries {
			if a := &run.Summary.Adversaries[j]; a.Heap == name {
				v.adversary = a
			}
		}
		for j := range run.Maps {
			if run.Maps[j].Heap == heap {
				v.memory = &run.Maps[j]
			}
		}
		views = append(views, v)
	}
	return views
}

// longest returns the duration of the longest run.
func longest(views []view) time.Duration {
	var d time.Duration
	for _, v := range views {
		d = max(d, v.duration)
	}
	return max(d, 1)
}

// devices returns the devices of all views in the order in which they are first
// met: those that reach a part of the heap and those that reach all of it, for
// which every figure is that of the heap.
func devices(views []view) (part, all []string) {
	for _, v := range views {
		for _, r := range v.heap.Reaches {
			if r.Capacity < v.heap.Capacity && !slices.Contains(part, r.Device) {
				part = append(part, r.Device)
			}
		}
	}
	for _, v := range views {
		for _, r := range v.heap.Reaches {
			if !slices.Contains(part, r.Device) && !slices.Contains(all, r.Device) {
				all = append(all, r.Device)
			}
		}
	}
	return part, all
}

// reach returns the place of a device in the heap's summary, or -1.
func (v *view) reach(device string) int {
	return slices.IndexFunc(v.heap.Reaches, func(r metrics.ReachTotals) bool { return r.Device == device })
}

// failed returns how many requests to the heap failed for this cause.
func (v *view) failed(c allocator.Cause) uint64 { return v.heap.Causes[c.String()] }

// inBlocks reports whether the free memory of a heap is blocks of pages, of which
// the largest says little: orders end at 4 MiB. The index of such a heap is the
// share of free memory that larger buffers cannot use.
func inBlocks(h *metrics.HeapTotals) bool { return h.Kind == "system" || h.Kind == "pooled" }

// indexOf returns the mean and the worst index of fragmentation of a heap.
func indexOf(h *metrics.HeapTotals) (mean, worst float64) {
	if inBlocks(h) {
		return h.MeanUnusable, h.WorstUnusable
	}
	return h.MeanLargestFreeIndex, h.WorstLargestFreeIndex
}

// indexName returns what the index of the heaps is called.
func indexName(views []view) string {
	if len(views) > 0 && inBlocks(views[0].heap) {
		return "unusable for " + views[0].heap.UnusableSize.Short()
	}
	return "largest-free index"
}
