package scenario

import (
	"slices"
	"time"

	"go.yaml.in/yaml/v4"

	"dmasim/allocator"
	"dmasim/internal/strictyaml"
	"dmasim/mem"
)

// File is a scenario as it is written. The comments of its fields are the
// descriptions in the JSON Schema.
type File struct {
	Spec `yaml:",inline"`
	// Versions of the system and its work that are run side by side. Without any, the scenario is run as it stands.
	Variants []Override `yaml:"variants,omitempty"`
}

// Spec is one system and its work.
type Spec struct {
	// Name of the scenario: letters, digits, - and _.
	Name string `yaml:"name"`
	// What the scenario shows.
	Description string `yaml:"description,omitempty"`
	// Seed of everything random. The same seed gives the same run.
	Seed uint64 `yaml:"seed" jsonschema_extras:"default=1"`
	// Simulated time. May be left out where every workload ends by itself: a trace, or a churn with a count.
	Duration time.Duration `yaml:"duration,omitempty" jsonschema:"exclusiveMinimum=0"`
	// Page size of the machine.
	Page mem.Size `yaml:"page" jsonschema_extras:"default=4KiB"`
	// Physical memory. Ranges must not overlap. It may be left out where the machine's proc says where memory is.
	Memory []Range `yaml:"memory,omitempty"`
	// Page frames, zones and the kernel that hands them out. Without it, memory is but arenas of heaps.
	Machine *Machine `yaml:"machine,omitempty"`
	// Heaps that buffers come from. Their arenas must not overlap.
	Heaps []Heap `yaml:"heaps"`
	// Devices that reach memory by DMA.
	Devices []Device `yaml:"devices,omitempty"`
	// Devices whose addresses an IOMMU translates. Those that are in no group address memory directly.
	IOMMUGroups []IOMMUGroup `yaml:"iommu_groups,omitempty"`
	// The work: who asks for which buffers, when, and for how long.
	Workloads []Workload `yaml:"workloads,omitempty"`
	// Processes of the machine, with what they do step by step.
	Processes []Process `yaml:"processes,omitempty"`
}

// Range is a piece of memory.
type Range struct {
	// First address.
	Base mem.Addr `yaml:"base"`
	// Length.
	Size mem.Size `yaml:"size"`
}

// Range returns the range as the rest of the program writes it.
func (r Range) Range() mem.Range {
	return mem.Range{Lo: uint64(r.Base), Hi: uint64(r.Base) + uint64(r.Size)}
}

// Heap is a named source of buffers.
type Heap struct {
	// Name, unique among the heaps.
	Name string `yaml:"name"`
	// Where its buffers come from: an arena of its own (carveout), pages of the machine (system), a CMA area of it (cma), or pages of the machine that are kept for reuse (pooled, as in the kernels of Android; Linux itself does not have it).
	Kind HeapKind `yaml:"kind" jsonschema_extras:"default=carveout"`
	// Memory that a carveout hands out; all of it by default. On a machine with page frames it has to be named: the page allocator does not get it.
	Arena []Range `yaml:"arena,omitempty"`
	// Placement strategy of a carveout: name or name:key=value,key=value.
	Allocator string `yaml:"allocator,omitempty"`
	// CMA area of a cma heap; by default the first one, which alone becomes a heap in Linux up to 6.12.
	Area string `yaml:"area,omitempty"`
	// Most bytes that its buffers may hold together. Linux has no such limit, and up to 6.12 charges the pages of heaps to no memory cgroup; it is a proposal.
	Limit mem.Size `yaml:"limit,omitempty" jsonschema:"exclusiveMinimum=0"`
	// Most bytes that the buffers of one process or client may hold. Linux has no such limit, in no cgroup either; it is a proposal.
	LimitPerProcess mem.Size `yaml:"limit_per_process,omitempty" jsonschema:"exclusiveMinimum=0"`
	// User that owns the heap's device file; by default root.
	User uint32 `yaml:"user,omitempty"`
	// Group of the heap's device file; by default root's.
	Group uint32 `yaml:"group,omitempty"`
	// Who may open the device file: permission bits as chmod takes them. By default 0600.
	Mode Mode `yaml:"mode" jsonschema_extras:"default=0600"`
	// Bytes that every buffer gets behind its end, whatever its devices ask for, so that those that overshoot hit nobody.
	Guard mem.Size `yaml:"guard,omitempty"`
	// Bytes that the pools of a pooled heap keep for reuse at most; by default, and in Android, as much as there is.
	PoolSize mem.Size `yaml:"pool_size,omitempty" jsonschema:"exclusiveMinimum=0"`
	// Time after which a pooled heap puts the pages of freed buffers into its pools. Android does it when a CPU is idle.
	FreeDelay time.Duration `yaml:"free_delay,omitempty" jsonschema:"exclusiveMinimum=0"`
	// End of memory that is filled first, unless a client says otherwise. natural is the allocator's own habit.
	Placement Placement `yaml:"placement" jsonschema_extras:"default=natural"`
	// Unit of the heap: every buffer is rounded up to it. By default a page.
	Granule mem.Size `yaml:"granule,omitempty" jsonschema:"exclusiveMinimum=0"`
	// Whether the allocator is told what the devices of a buffer demand. The Linux kernel's heaps are not (false): they place a buffer anywhere, and a device that cannot reach it fails at map, with the cause unreachable. true is a proposal that the kernel does not have.
	Aware bool `yaml:"aware" jsonschema_extras:"default=false"`
	// Size that the unusable index is about: the share of the free bytes that buffers of this size cannot use. By default a 256th of the arena.
	UnusableSize mem.Size `yaml:"unusable_size,omitempty" jsonschema:"exclusiveMinimum=0"`
}

// Workload is a source of buffers' requests: one of adversary, churn, generate and trace.
type Workload struct {
	// Name, unique among the workloads.
	Name string `yaml:"name"`
	// Heap that the buffers come from, unless a pool of a generator has its own.
	Heap string `yaml:"heap"`
	// Devices that share every buffer, by name. None: any place will do.
	Devices []string `yaml:"devices,omitempty"`
	// End of memory that is filled first. natural leaves it to the heap.
	Placement Placement `yaml:"placement,omitempty"`
	// What is done when a request for a buffer is refused. Without it, nothing: a buffer is asked for once.
	OnFailure *OnFailure `yaml:"on_failure,omitempty"`
	// Buffers that come and go at random.
	Churn *Churn `yaml:"churn,omitempty" jsonschema:"oneof_required=churn"`
	// Buffers as a camera, a decoder or another real user asks for them: pools that sessions allocate and free as a whole.
	Generate *Generate `yaml:"generate,omitempty" jsonschema:"oneof_required=generate"`
	// Buffers as they were recorded.
	Trace *Trace `yaml:"trace,omitempty" jsonschema:"oneof_required=trace"`
	// Buffers that cost a strategy as much memory as possible.
	Adversary *Adversary `yaml:"adversary,omitempty" jsonschema:"oneof_required=adversary"`
}

// Churn makes buffers that arrive, live and go at random.
type Churn struct {
	// Time between two arrivals.
	Every *Times `yaml:"every,omitempty" jsonschema:"oneof_required=every"`
	// In place of arrivals, buffers that wait in a queue without end: the first is asked for whenever a buffer of the workload is freed, until it is served.
	Saturated bool `yaml:"saturated,omitempty" jsonschema:"oneof_required=saturated"`
	// Size of the buffers of clients that have none of their own.
	Size *Sizes `yaml:"size,omitempty"`
	// Lifetime of the buffers of clients that have none of their own.
	Lifetime *Times `yaml:"lifetime,omitempty"`
	// In place of every, arrivals at such a rate that memory is filled up to a target.
	Ramp *Ramp `yaml:"ramp,omitempty" jsonschema:"oneof_required=ramp"`
	// Spearman's rank correlation of size and lifetime of a client's buffers: with 0.6 large ones tend to live longer, with -0.6 shorter.
	Correlation float64 `yaml:"correlation,omitempty" jsonschema:"minimum=-1,maximum=1"`
	// Spans of time, from the start, with a rate of arrivals, sizes or lifetimes of their own.
	Phases []Phase `yaml:"phases,omitempty"`
	// Whether the phases begin again behind the last. Else the churn goes on as without them.
	Repeat bool `yaml:"repeat,omitempty"`
	// Times in which arrivals come, and pauses.
	Bursts *Bursts `yaml:"bursts,omitempty"`
	// Arrivals, after which the workload ends. Without it, the scenario's duration ends it.
	Count uint64 `yaml:"count,omitempty" jsonschema:"exclusiveMinimum=0"`
	// Who asks: each arrival is one of them, drawn by weight. Without the list there is one, named after the workload.
	Clients []Client `yaml:"clients,omitempty"`
}

// Client is one kind of user of a churn. What it leaves out is the workload's.
type Client struct {
	// Name, unique in the scenario.
	Name string `yaml:"name"`
	// Share of the arrivals, relative to the weights of the others.
	Weight float64 `yaml:"weight" jsonschema:"minimum=0" jsonschema_extras:"default=1"`
	// Devices that share every buffer, by name.
	Devices []string `yaml:"devices,omitempty"`
	// End of memory that is filled first.
	Placement Placement `yaml:"placement" jsonschema_extras:"default=natural"`
	// Size of the buffers, in bytes.
	Size *Sizes `yaml:"size,omitempty"`
	// Picture in each buffer, in place of a size: WIDTHxHEIGHT:FORMAT, such as 1920x1080:nv12, laid out in the least memory that all of the devices take.
	Picture string `yaml:"picture,omitempty"`
	// Time from allocation to release.
	Lifetime *Times `yaml:"lifetime,omitempty"`
	// What devices do with every buffer, one after the other from its allocation on.
	Transfers []Transfer `yaml:"transfers,omitempty"`
	// Whether its drivers ignore fences: a device does not wait for the one before, and a buffer is freed at its end whether transfers are over or not.
	Unfenced bool `yaml:"unfenced,omitempty"`
}

// Transfer is a transfer of a client's buffer.
type Transfer struct {
	// Device, one of the client's.
	Device string `yaml:"device"`
	// What it does with the buffer: read, write or read-write.
	Access AccessMode `yaml:"access"`
	// How long it takes. A device does one transfer at a time.
	Time time.Duration `yaml:"time" jsonschema:"exclusiveMinimum=0"`
}

// Override is a variant: the scenario with some fields set otherwise.
type Override struct {
	// Name, unique among the variants.
	Name string `yaml:"name"`
	// What is different.
	Description string `yaml:"description,omitempty"`
	// Values by path, such as heaps.main.allocator. Elements of a list go by their name, or by their index from 0. Later paths are applied to the result of earlier ones.
	Set Settings `yaml:"set,omitempty"`
}

// Settings are values by path, as written.
type Settings struct{ node *yaml.Node }

// DecodeYAML implements strictyaml.NodeDecoder.
func (s *Settings) DecodeYAML(d *strictyaml.Decoder, n *yaml.Node) {
	if d.Mapping(n) {
		s.node = n
	}
}

// MarshalYAML implements yaml.Marshaler.
func (s Settings) MarshalYAML() (any, error) { return s.node, nil }

// IsZero reports whether nothing is set.
func (s Settings) IsZero() bool { return s.node == nil || len(s.node.Content) == 0 }

// Placement is the end of memory that is filled first: natural, low or high.
type Placement allocator.Dir

var placements = []Placement{Placement(allocator.Natural), Placement(allocator.Low), Placement(allocator.High)}

// String returns the placement's name.
func (p Placement) String() string { return allocator.Dir(p).String() }

// MarshalText implements encoding.TextMarshaler.
func (p Placement) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// Options returns the names of the placements.
func (Placement) Options() []string {
	var names []string
	for _, p := range placements {
		names = append(names, p.String())
	}
	return names
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (p *Placement) UnmarshalText(text []byte) error {
	var name string
	options := p.Options()
	if err := strictyaml.OneOf(&name, "placement", text, options); err != nil {
		return err
	}
	*p = placements[slices.Index(options, name)]
	return nil
}
