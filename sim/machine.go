package sim

import (
	"dmasim/allocator/kernel/version"
	"dmasim/devices/machine"
	"dmasim/mem"
)

// Machine is a machine whose page frames are simulated.
type Machine struct {
	Kernel       version.Version
	Page         uint64 // bytes
	Zones        []machine.Zone
	CMA          []CMAArea
	Swap         uint64 // bytes
	MinFree      uint64 // bytes; 0: what Linux derives from the size of memory
	PerCPULists  bool
	KernelMemory uint64 // bytes that the kernel uses at the start
	PageCache    uint64 // bytes of files at the start
	Aged         *Aged  // nil: as after boot
	State        *machine.State
	Seed         uint64
}

// CMAArea is an area of the contiguous memory allocator.
type CMAArea struct {
	Name  string
	Range mem.Range
}

// Aged is a state of memory: which share of the free memory blocks of 2^Order
// pages cannot use.
type Aged struct {
	Order    uint
	Unusable float64
}

// HeapKind says where a heap's buffers come from.
type HeapKind uint8

// The kinds of heaps.
const (
	Carveout   HeapKind = iota // an arena of its own
	SystemHeap                 // pages of the machine
	CMAHeap                    // a CMA area of it
	PooledHeap                 // pages of the machine that are kept for reuse
)

// String returns the name used in scenarios, such as "system".
func (k HeapKind) String() string {
	return [...]string{"carveout", "system", "cma", "pooled"}[k]
}
