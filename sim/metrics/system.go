package metrics

import (
	"time"

	"dmasim/allocator"
	"dmasim/mem"
	"dmasim/sim"
)

// MemorySample is what RAM held at one instant, in bytes.
type MemorySample struct {
	At        time.Duration
	Kernel    uint64 // cannot be moved or reclaimed
	DMABuf    uint64 // pinned by dma-bufs, in nobody's accounting
	Anonymous uint64 // of processes
	PageCache uint64 // of files
	Cached    uint64 // on per-CPU lists and in heaps' pools: neither free nor in use
	Free      uint64 // on the free lists
	FreeCMA   uint64 // of it in CMA areas, for movable memory only
	Swapped   uint64 // anonymous memory in swap space, beside RAM
	Unusable  float64
}

// MemoryTotals is the machine's memory over the whole run.
type MemoryTotals struct {
	Capacity   mem.Size `json:"capacity_bytes"` // that the page allocator manages
	PeakDMABuf mem.Size `json:"peak_dmabuf_bytes"`
	LeastFree  mem.Size `json:"least_free_bytes"`
	MostSwap   mem.Size `json:"most_swapped_bytes"`
	Reclaimed  mem.Size `json:"reclaimed_bytes"`   // page cache dropped
	SwappedOut mem.Size `json:"swapped_out_bytes"` // written to swap space
	Migrated   mem.Size `json:"migrated_bytes"`    // moved by compaction and for CMA
	Killed     []Killed `json:"killed"`
	Panicked   bool     `json:"panicked"` // memory ran out with nobody left to kill
}

// Killed is a process that was killed because memory ran out.
type Killed struct {
	At      time.Duration `json:"at_ns"`
	Process string        `json:"process"`
	// Own is what its own memory made up for; Pinned is what dma-bufs held then,
	// in no process's accounting.
	Own    mem.Size `json:"own_bytes"`
	Pinned mem.Size `json:"pinned_bytes"`
}

// SystemTotals counts what processes and devices did.
type SystemTotals struct {
	Attaches      uint64        `json:"attaches"`
	Maps          uint64        `json:"maps"`
	Transfers     uint64        `json:"transfers"`
	TransferBytes mem.Size      `json:"transfer_bytes"`
	Waits         uint64        `json:"waits"` // of processes, that did not end at once
	Waited        time.Duration `json:"waited_ns"`
	CPUAccesses   uint64        `json:"cpu_accesses"`
}

// Incident is a sim.IncidentReport as results keep it.
type Incident = sim.IncidentReport

// heapName returns the name of a client's heap, "" for a process, which may use
// any.
func heapName(cfg sim.Config, client sim.Client) string {
	if client.Heap < 0 {
		return ""
	}
	return cfg.Heaps[client.Heap].Name
}

// maxIncidents is the number of incidents kept with their circumstances.
const maxIncidents = 1000

// happened counts what is neither an allocation nor a free.
func (c *Collector) happened(e *sim.Event) {
	if e.Kind == sim.Incident {
		c.counts[e.Incident.Kind]++
		if e.Incident.Kind == sim.Panic {
			c.memory.Panicked = true
		}
		if len(c.incidents) < maxIncidents {
			c.incidents = append(c.incidents, *e.Incident)
		}
		return
	}
	if c.system == nil {
		c.system = new(SystemTotals)
	}
	t := c.system
	if c.spaces != nil && (e.Kind == sim.Map || e.Kind == sim.Unmap) {
		c.spaces.note()
	}
	switch e.Kind {
	case sim.Kill:
		c.memory.Killed = append(c.memory.Killed, Killed{
			At: e.At, Process: c.clients[e.Client].Name, Own: mem.Size(e.Size), Pinned: mem.Size(e.Pinned),
		})
	case sim.Attach:
		t.Attaches++
	case sim.Map:
		t.Maps++
		if e.Diagnosis.Cause != allocator.None {
			c.countFailure(c.heaps[e.Heap], e)
		}
	case sim.Start:
		t.Transfers++
		t.TransferBytes += mem.Size(e.Size)
	case sim.Wait:
		t.Waits++
		t.Waited += e.At - e.Since
	case sim.AccessCPU:
		t.CPUAccesses++
	}
}
