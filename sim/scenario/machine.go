package scenario

import (
	"fmt"
	"strconv"

	"dmasim/allocator/kernel/version"
	"dmasim/devices/machine"
	"dmasim/internal/strictyaml"
	"dmasim/mem"
)

// Machine is a machine whose page frames are simulated: RAM that Linux's page
// allocator hands out, and that processes, page cache and dma-bufs share.
type Machine struct {
	// Linux release, which decides how heaps behave and where zones end: 5.6 to 6.12.
	Kernel version.Version `yaml:"kernel" jsonschema_extras:"default=6.12"`
	// Architecture, which decides the zones.
	Arch Arch `yaml:"arch" jsonschema_extras:"default=x86-64"`
	// Where the memory ends that every device reaches, on arm and arm64: the end of the DMA zone (1GiB on a Raspberry Pi 4).
	DMALimit mem.Addr `yaml:"dma_limit,omitempty" jsonschema:"exclusiveMinimum=0"`
	// Memory that a 32-bit kernel maps permanently; what lies above is for programs and dma-bufs only. By default 896MiB on x86-32 and 768MiB on arm.
	LowMemory mem.Size `yaml:"low_memory,omitempty" jsonschema:"exclusiveMinimum=0"`
	// Whether a CPU keeps lists of free pages of its own, as Linux does. Without them every page comes straight from the buddy lists.
	PerCPULists bool `yaml:"per_cpu_lists" jsonschema_extras:"default=true"`
	// Size of the swap space.
	Swap mem.Size `yaml:"swap,omitempty"`
	// Free memory below which only urgent requests are served (vm.min_free_kbytes). By default what Linux derives from the size of memory.
	MinFree mem.Size `yaml:"min_free,omitempty" jsonschema:"exclusiveMinimum=0"`
	// Bounce buffers. Without them, a buffer that a device cannot reach cannot be mapped.
	Swiotlb *Swiotlb `yaml:"swiotlb,omitempty"`
	// Areas of the contiguous memory allocator. Their free pages are lent to movable memory. The first is the kernel's default area, whose heap has its name: reserved where the command line makes it, or that of its node in the device tree, such as default-pool.
	CMA []CMAArea `yaml:"cma,omitempty"`
	// Memory that firmware or drivers keep from the page allocator for good. Zones end where they would without it.
	Reserved []Reservation `yaml:"reserved,omitempty"`
	// Memory that the kernel itself uses and cannot give back: its tables, slabs, firmware.
	KernelMemory mem.Size `yaml:"kernel_memory,omitempty"`
	// Contents of files that were read, kept as long as nobody needs the memory.
	PageCache mem.Size `yaml:"page_cache,omitempty"`
	// How scattered free memory is at the start. Without it memory is as after boot.
	Aged *Aged `yaml:"aged,omitempty"`
	// Folder with copies of a machine's /proc/meminfo, zoneinfo, buddyinfo and, as far as they are there, pagetypeinfo and iomem, from the folder of the scenario. Zones, free lists and amounts are as there, and memory may be left out. Where the free blocks lie is drawn by the seed, since the files only count them.
	Proc string `yaml:"proc,omitempty"`
}

// CMAArea is an area of the contiguous memory allocator.
type CMAArea struct {
	// Name, unique among the areas. The heap of the default area is named after it.
	Name  string `yaml:"name"`
	Range `yaml:",inline"`
}

// Reservation is memory that somebody keeps.
type Reservation struct {
	// Who keeps it, such as the name of its node in the device tree.
	Name  string `yaml:"name,omitempty"`
	Range `yaml:",inline"`
}

// Aged is a state of memory after long use, made by a seeded procedure.
type Aged struct {
	// Order of the blocks that are rare then: blocks of 2^order pages.
	Order uint `yaml:"order" jsonschema:"minimum=1,maximum=10" jsonschema_extras:"default=8"`
	// Share of the free memory that such blocks cannot use (the unusable free index of that order), 0 to 1.
	Unusable float64 `yaml:"unusable" jsonschema:"minimum=0,maximum=1"`
}

// Arch is an architecture.
type Arch machine.Arch

// Options returns the names of the architectures.
func (Arch) Options() []string {
	var names []string
	for _, a := range []machine.Arch{machine.AMD64, machine.I386, machine.ARM64, machine.ARM, machine.RISCV64} {
		names = append(names, string(a))
	}
	return names
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (a *Arch) UnmarshalText(text []byte) error {
	return strictyaml.OneOf(a, "architecture", text, a.Options())
}

// HeapKind says where a heap's buffers come from.
type HeapKind string

// The kinds of heaps.
const (
	Carveout   HeapKind = "carveout" // an arena of its own, placed by an allocator
	SystemHeap HeapKind = "system"   // pages of the machine
	CMAHeap    HeapKind = "cma"      // a CMA area of the machine
	PooledHeap HeapKind = "pooled"   // pages of the machine, kept for reuse
)

// Options returns the names of the kinds.
func (HeapKind) Options() []string {
	return []string{string(Carveout), string(SystemHeap), string(CMAHeap), string(PooledHeap)}
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (k *HeapKind) UnmarshalText(text []byte) error {
	return strictyaml.OneOf(k, "heap kind", text, k.Options())
}

// Mode is a set of permission bits, written in octal.
type Mode uint16

// MarshalText implements encoding.TextMarshaler.
func (m Mode) MarshalText() ([]byte, error) { return fmt.Appendf(nil, "0%o", uint16(m)), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (m *Mode) UnmarshalText(text []byte) error {
	bits, err := strconv.ParseUint(string(text), 8, 16)
	if err != nil || bits > 0o777 {
		return fmt.Errorf("%s is no mode, want three octal digits such as 0660", strictyaml.Quote(string(text)))
	}
	*m = Mode(bits)
	return nil
}
