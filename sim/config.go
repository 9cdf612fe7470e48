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
	// sources have ended, every buffer with a lifetime is freed, and no process
	// has anything left to do.
	Duration  time.Duration
	Machine   *Machine // nil: there are only arenas
	Heaps     []Heap
	Devices   []devices.Device // whose reach is watched; clients name them by index
	Bounce    []BouncePool
	IOMMUs    []IOMMUGroup
	Clients   []Client
	Inputs    []Input
	Processes []Process
	// CheckEvery verifies every invariant of the system after every so many events,
	// and at the end; 0: never. Each time costs time in proportion to the live buffers
	// and to the size of memory.
	CheckEvery uint64
}

// BouncePool is memory to which Linux copies what a device cannot reach (swiotlb).
type BouncePool struct {
	Name  string
	Place mem.Range // whole slots of 2 KiB
	// Devices are those that may use nothing else (restricted-dma-pool), by index;
	// the default pool has none, and is for all others.
	Devices []int
	Force   bool // of the default pool: everything is bounced (swiotlb=force)
}

// IOMMUGroup is devices whose addresses an IOMMU translates, in one address space.
// In Config.Devices stands what each demands of memory, see
// [devices.Device.BehindIOMMU].
type IOMMUGroup struct {
	Name     string
	Page     uint64       // bytes of the smallest IOMMU page
	Aperture mem.Range    // I/O virtual addresses that are translated
	Reserved mem.RangeSet // of them, those that are not handed out
	Lazy     bool         // what is unmapped waits in a flush queue
	Masters  []Master
}

// Master is a device of an IOMMU group.
type Master struct {
	Device   int            // index into Config.Devices
	Emitted  devices.Device // its rules about the addresses that it emits
	LowFirst bool           // addresses below 4 GiB are tried first, as for PCI devices
}

// Heap is a named source of buffers. A carveout is an arena, a strategy and how
// much the strategy is told; the others take pages of the machine.
type Heap struct {
	Name      string
	Kind      HeapKind
	Area      int // of a CMAHeap: index into Machine.CMA
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
	Guard        uint64 // bytes that every buffer gets behind its end
	// Limit and LimitPerClient are the most bytes that the buffers of the heap, or
	// of one client of it, may hold; 0: no limit. Linux has neither, and up to 6.12
	// charges the pages of heaps to no memory cgroup.
	Limit, LimitPerClient uint64
	PoolSize              uint64        // of a PooledHeap: bytes kept at most; 0: no limit
	FreeDelay             time.Duration // of a PooledHeap: time until what is freed is in the pool
	// User, Group and Mode are those of the heap's device file.
	User, Group uint32
	Mode        uint16
}

func (h *Heap) limits() bool { return h.Limit|h.LimitPerClient != 0 }

// Client is one kind of user: who shares the buffer, from which heap it comes.
type Client struct {
	Name      string
	Heap      int           // index into Config.Heaps; -1: a process, which may use any
	Devices   []int         // indices into Config.Devices; none: any place will do
	Plan      *devices.Plan // what the devices demand together; never nil
	Placement allocator.Dir // Natural: the heap's
	// Transfers are what devices do with every buffer, one after the other from
	// its allocation on. Unfenced drivers neither wait for each other nor are
	// they waited for when the buffer is freed.
	Transfers []Transfer
	Unfenced  bool
}

// Input is a source with the meaning of its client numbers.
type Input struct {
	Name    string
	Source  workloads.Source
	Clients []int // Op.Client → index into Config.Clients
}

// Needs reports whether the buffers that a client has in the carveout of a heap
// must lie in a window. Those of processes count as if they must, since nobody
// knows beforehand which devices they go to.
func (c *Config) Needs(client, heap int, window mem.RangeSet) bool {
	if c.Clients[client].Heap != heap {
		return true
	}
	return c.Clients[client].Plan.Reach.Intersect(c.Heaps[heap].Arena).Subtract(window).Size() == 0
}
