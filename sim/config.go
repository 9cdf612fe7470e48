package sim

import (
	"time"

	"dmasim/allocator"
	"dmasim/devices"
	"dmasim/mem"
	"dmasim/workloads"
)

// Config is a whole system and its work, ready to run once.
type Config struct {
	// Duration is the time at which the simulation ends; 0 means when the
	// sources have ended and every buffer with a lifetime is freed.
	Duration time.Duration
	Heaps    []Heap
	Devices  []devices.Device // whose reach is watched; clients name them by index
	Clients  []Client
	Inputs   []Input
	// Check verifies every invariant of the heap after every event. It costs time
	// in proportion to the live buffers.
	Check bool
}

// Heap is a named source of buffers: an arena, a strategy and how much the
// strategy is told.
type Heap struct {
	Name      string
	Arena     mem.RangeSet
	Granule   uint64 // bytes; every buffer is rounded up to it
	Allocator string // as allocator.New reads it
	Placement allocator.Dir
	// Aware heaps tell the strategy what the devices of the buffer demand. The
	// kernel's do not: they take a size, place the buffer anywhere, and a device
	// that cannot reach it fails at map.
	Aware bool
	// UnusableSize is the size meant by the unusable index; 0 means a 256th of
	// the arena.
	UnusableSize uint64
}

// Client is one kind of user: who shares the buffer, from which heap it comes.
type Client struct {
	Name      string
	Heap      int           // index into Config.Heaps
	Devices   []int         // indices into Config.Devices; none: any place will do
	Plan      *devices.Plan // what the devices demand together; never nil
	Placement allocator.Dir // Natural: the heap's
}

// Input is a source with the meaning of its client numbers.
type Input struct {
	Name    string
	Source  workloads.Source
	Clients []int // Op.Client → index into Config.Clients
}
