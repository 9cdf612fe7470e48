package metrics

import (
	"time"

	"dmasim/allocator"
	"dmasim/mem"
)

// Run is everything that was measured in one simulation.
type Run struct {
	Summary   Summary
	Samples   []Sample       // by time, then heap
	Failures  []Failure      // the first failures, in order; Summary has all counts
	Maps      []Map          // one per heap
	Memory    []MemorySample // by time, where there are page frames
	Spaces    []SpaceSample  // by time, then space, where devices don't address memory as it lies
	Incidents []Incident     // the first incidents, in order; Summary has all counts
}

// Summary is the run in figures.
type Summary struct {
	Duration time.Duration  `json:"duration_ns"`
	Events   uint64         `json:"events"` // allocations asked for, and frees
	Clients  []ClientTotals `json:"clients"`
	Heaps    []HeapTotals   `json:"heaps"`
	First    *Failure       `json:"first_failure"` // nil: nothing failed

	System    *SystemTotals     `json:"system,omitempty"`    // nil: no processes, no transfers
	Memory    *MemoryTotals     `json:"memory,omitempty"`    // nil: no page frames
	Spaces    []SpaceTotals     `json:"spaces,omitempty"`    // bounce buffers, and IOMMU groups
	Incidents map[string]uint64 `json:"incidents,omitempty"` // by kind

	Adversaries []AdversaryTotals `json:"adversaries,omitempty"`
	OnFailure   []OnFailureTotals `json:"on_failure,omitempty"`
}

// AdversaryTotals says how much memory an adversary cost a heap.
type AdversaryTotals struct {
	Workload string `json:"workload"`
	Kind     string `json:"kind"`
	Heap     string `json:"heap"`
	// Bound is what strategies of the kind that the adversary is made for need at
	// least, in theory.
	Bound mem.Size `json:"bound_bytes"`
	// Reached is from the lowest to the highest address that its buffers had. A
	// strategy that serves from both ends of its arena reaches all of it.
	Reached mem.Size `json:"reached_bytes"`
	Ratio   float64  `json:"ratio"`  // reached / bound
	Failed  bool     `json:"failed"` // a request was refused, which ended it
}

// ClientTotals counts what one client asked for and got.
type ClientTotals struct {
	Name           string            `json:"name"`
	Devices        []string          `json:"devices"`
	Heap           string            `json:"heap"` // "" of a process that used none, or several
	Requests       uint64            `json:"requests"`
	Failures       uint64            `json:"failures"`
	RequestedBytes mem.Size          `json:"requested_bytes"`
	FailedBytes    mem.Size          `json:"failed_bytes"`
	Causes         map[string]uint64 `json:"causes"` // failures by cause
}

// HeapTotals is one heap over the whole run. Means are over time.
type HeapTotals struct {
	Name      string   `json:"name"`
	Kind      string   `json:"kind"`                // carveout, system, cma or pooled
	Allocator string   `json:"allocator,omitempty"` // of a carveout
	Aware     bool     `json:"aware"`
	Capacity  mem.Size `json:"capacity_bytes"`
	// DeviceFile is where Linux offers a heap that takes pages; "" if it does not.
	DeviceFile string `json:"device_file,omitempty"`
	// Limit and LimitPerClient are the most bytes that buffers may hold; 0: no limit.
	Limit          mem.Size `json:"limit_bytes,omitempty"`
	LimitPerClient mem.Size `json:"limit_per_client_bytes,omitempty"`

	MeanRequested float64  `json:"mean_requested_bytes"`
	MeanReserved  float64  `json:"mean_reserved_bytes"`
	MeanBlocks    float64  `json:"mean_blocks"`
	PeakReserved  mem.Size `json:"peak_reserved_bytes"`
	PeakRequested mem.Size `json:"peak_requested_bytes"`
	// HighWater is the end of the highest block ever placed, counted from the
	// start of the arena.
	HighWater mem.Size `json:"high_water_bytes"`

	// Internal is the time mean of reserved minus requested, by origin.
	Internal Internal `json:"mean_internal_bytes"`

	// At the samples: means and worst values of the free space.
	MeanHoles             float64       `json:"mean_holes"`
	MeanLargestFreeIndex  float64       `json:"mean_largest_free_index"`
	WorstLargestFreeIndex float64       `json:"worst_largest_free_index"`
	MeanUnusable          float64       `json:"mean_unusable_index"`
	WorstUnusable         float64       `json:"worst_unusable_index"`
	UnusableSize          mem.Size      `json:"unusable_size_bytes"` // the size meant by unusable
	Reaches               []ReachTotals `json:"reaches"`

	Causes map[string]uint64 `json:"causes"` // failed requests by cause

	// Of a heap that takes pages: how many blocks of each order it took, and how
	// many buffers needed smaller ones although a larger would have fit.
	BlocksByOrder []uint64 `json:"blocks_by_order,omitempty"`
	Fallbacks     uint64   `json:"fallbacks,omitempty"`
}

// Internal splits internal fragmentation by origin, in bytes.
type Internal struct {
	Padding     float64 `json:"padding"`     // behind the payload, because the hardware overshoots
	Granularity float64 `json:"granularity"` // rounding that the devices ask for
	Granule     float64 `json:"granule"`     // rounding to the heap's unit
	Allocator   float64 `json:"allocator"`   // what the strategy adds, such as powers of two
}

// ReachTotals is what one device sees of a heap, at the samples.
type ReachTotals struct {
	Device                string   `json:"device"`
	Capacity              mem.Size `json:"capacity_bytes"` // of the heap's arena in reach
	MeanFree              float64  `json:"mean_free_bytes"`
	MeanPolluted          float64  `json:"mean_polluted_bytes"` // held by buffers that didn't need the window
	MeanLargestFreeIndex  float64  `json:"mean_largest_free_index"`
	WorstLargestFreeIndex float64  `json:"worst_largest_free_index"`
	MeanUnusable          float64  `json:"mean_unusable_index"`
}

// Sample is the state of one heap at one instant.
type Sample struct {
	At        time.Duration
	Heap      int
	Requested uint64 // bytes
	Reserved  uint64
	Free      uint64
	Peak      uint64 // the largest Reserved since the previous sample
	Largest   uint64 // the largest free run
	Holes     int
	Blocks    int
	Unusable  float64 // share of the free bytes that blocks of UnusableSize cannot use
	// Failures counts those so far, in this heap, by cause.
	Failures [allocator.NumCauses]uint64
	Reaches  []ReachSample
}

// ReachSample is the state of a heap as one device sees it.
type ReachSample struct {
	Free, Largest, Polluted uint64 // bytes
	Unusable                float64
}

// Failure is one request that could not be served, with the figures that say
// why.
type Failure struct {
	At       time.Duration   `json:"at_ns"`
	Op       uint64          `json:"op"` // the number of the event, from 1
	Client   string          `json:"client"`
	Heap     string          `json:"heap"`
	Size     mem.Size        `json:"size_bytes"`    // payload
	Reserve  mem.Size        `json:"reserve_bytes"` // with padding and rounding
	Cause    allocator.Cause `json:"cause"`
	Free     mem.Size        `json:"free_bytes"`
	InReach  mem.Size        `json:"free_in_reach_bytes"`
	Largest  mem.Size        `json:"largest_run_in_reach_bytes"`
	Polluted mem.Size        `json:"polluted_bytes"`
	Waiting  mem.Size        `json:"waiting_bytes"` // given back, and not free before the next flush of an IOTLB
}

// Map is a heap's memory over time: at each of Times, the arena from its lowest
// to its highest address in equal rows.
type Map struct {
	Heap    int
	Hull    mem.Range
	Arena   mem.RangeSet
	Reaches []mem.RangeSet // what each device of the heap's summary reaches of the arena, in that order
	Rows    int
	Times   []time.Duration
	Cells   []Cell // len(Times) × Rows, one instant after the other, lowest address first
}

// Cell is one row of memory at one instant.
type Cell struct {
	Client int16 // who holds most of it, by its place in Summary.Clients; -1: nobody
	Tone   uint8 // 0 or 1, so that neighbouring buffers of one client can be told apart
	Fill   uint8 // share in use, 0 to 255
}
