package scenario

import (
	"time"

	"dmasim/internal/strictyaml"
	"dmasim/mem"
	"dmasim/workloads/program"
)

// Process is a process of the machine with what it does. Without a program it
// only holds memory.
type Process struct {
	// Name, unique among the processes.
	Name string `yaml:"name"`
	// User that it runs as; 0 is root, who may open every heap.
	User uint32 `yaml:"user,omitempty"`
	// Groups that it belongs to.
	Groups []uint32 `yaml:"groups,omitempty"`
	// Descriptors that it may have open at once (RLIMIT_NOFILE).
	Descriptors int `yaml:"descriptors" jsonschema:"minimum=1,maximum=1048576" jsonschema_extras:"default=1024"`
	// Memory of its own at the start: heap, stack, data.
	Anonymous mem.Size `yaml:"anonymous,omitempty"`
	// How willingly it is killed when memory runs out (oom_score_adj): -1000 never, 1000 first.
	OOMScoreAdj int `yaml:"oom_score_adj,omitempty" jsonschema:"minimum=-1000,maximum=1000"`
	// Time at which the program begins.
	Start time.Duration `yaml:"start,omitempty"`
	// What it does, step by step.
	Program []Step `yaml:"program,omitempty"`
}

// Step is one step of a program: one of the verbs with its arguments. A step
// that fails ends the innermost repeat around it, or else the process.
type Step struct {
	// Open the device file of a heap.
	Open *OpenStep `yaml:"open,omitempty" jsonschema:"oneof_required=open"`
	// Allocate a buffer.
	Alloc *AllocStep `yaml:"alloc,omitempty" jsonschema:"oneof_required=alloc"`
	// Duplicate a descriptor.
	Dup *DupStep `yaml:"dup,omitempty" jsonschema:"oneof_required=dup"`
	// Close a descriptor: the name of its variable.
	Close string `yaml:"close,omitempty" jsonschema:"oneof_required=close"`
	// Map a buffer into the process.
	Mmap *MmapStep `yaml:"mmap,omitempty" jsonschema:"oneof_required=mmap"`
	// Drop a mapping: the name of its variable.
	Munmap string `yaml:"munmap,omitempty" jsonschema:"oneof_required=munmap"`
	// Make a child process with copies of all descriptors, mappings and variables.
	Fork *ForkStep `yaml:"fork,omitempty" jsonschema:"oneof_required=fork"`
	// Become another program of this name, which does the steps that follow: descriptors with close_on_exec and all mappings go.
	Exec string `yaml:"exec,omitempty" jsonschema:"oneof_required=exec"`
	// Pass a descriptor to another process.
	Send *SendStep `yaml:"send,omitempty" jsonschema:"oneof_required=send"`
	// Take a descriptor that was passed, waiting for one.
	Receive *ReceiveStep `yaml:"receive,omitempty" jsonschema:"oneof_required=receive"`
	// Have the driver of a device get hold of a buffer and attach the device.
	Attach *AttachStep `yaml:"attach,omitempty" jsonschema:"oneof_required=attach"`
	// Map an attachment, so that its device may transfer: the name of its variable.
	Map string `yaml:"map,omitempty" jsonschema:"oneof_required=map"`
	// Unmap an attachment: the name of its variable.
	Unmap string `yaml:"unmap,omitempty" jsonschema:"oneof_required=unmap"`
	// Detach a device, whose driver lets go of the buffer: the name of the attachment's variable.
	Detach string `yaml:"detach,omitempty" jsonschema:"oneof_required=detach"`
	// Start a transfer of a device. The program does not wait for its end.
	DMA *DMAStep `yaml:"dma,omitempty" jsonschema:"oneof_required=dma"`
	// Take the fences of a buffer as they are now, as a descriptor (DMA_BUF_IOCTL_EXPORT_SYNC_FILE).
	ExportFences *ExportFencesStep `yaml:"export_fences,omitempty" jsonschema:"oneof_required=export_fences"`
	// Add a fence to a buffer (DMA_BUF_IOCTL_IMPORT_SYNC_FILE).
	ImportFences *ImportFencesStep `yaml:"import_fences,omitempty" jsonschema:"oneof_required=import_fences"`
	// Wait until transfers are over.
	Wait *WaitStep `yaml:"wait,omitempty" jsonschema:"oneof_required=wait"`
	// Begin to access a buffer with the CPU: waits for transfers and makes the CPU's caches agree with memory.
	BeginCPUAccess *CPUAccess `yaml:"begin_cpu_access,omitempty" jsonschema:"oneof_required=begin_cpu_access"`
	// End the access: what the CPU wrote reaches memory.
	EndCPUAccess *CPUAccess `yaml:"end_cpu_access,omitempty" jsonschema:"oneof_required=end_cpu_access"`
	// Read a buffer with the CPU: the name of the mapping's variable.
	Read string `yaml:"read,omitempty" jsonschema:"oneof_required=read"`
	// Write a buffer with the CPU: the name of the mapping's variable.
	Write string `yaml:"write,omitempty" jsonschema:"oneof_required=write"`
	// Use more memory.
	Grow *Amount `yaml:"grow,omitempty" jsonschema:"oneof_required=grow"`
	// Give memory back.
	Shrink *Amount `yaml:"shrink,omitempty" jsonschema:"oneof_required=shrink"`
	// Use memory again, which may have been swapped out or dropped meanwhile.
	Touch *Amount `yaml:"touch,omitempty" jsonschema:"oneof_required=touch"`
	// Hold memory in place, as I/O on it does.
	Pin *PinStep `yaml:"pin,omitempty" jsonschema:"oneof_required=pin"`
	// Let time pass.
	Sleep time.Duration `yaml:"sleep,omitempty" jsonschema:"oneof_required=sleep,exclusiveMinimum=0"`
	// End the process.
	Exit bool `yaml:"exit,omitempty" jsonschema:"oneof_required=exit"`
	// Kill a process: its name.
	Kill string `yaml:"kill,omitempty" jsonschema:"oneof_required=kill"`
	// Do steps again and again.
	Repeat *RepeatStep `yaml:"repeat,omitempty" jsonschema:"oneof_required=repeat"`

	// Whether the program goes on where the step fails.
	MayFail bool `yaml:"may_fail,omitempty"`
}

// OpenStep opens the device file of a heap.
type OpenStep struct {
	// Heap to open.
	Heap string `yaml:"heap"`
	// Variable for the descriptor.
	As string `yaml:"as"`
}

// AllocStep allocates a buffer.
type AllocStep struct {
	// Heap, whose device file is opened for this request. Either heap or from.
	Heap string `yaml:"heap,omitempty"`
	// Variable of an open heap. Either heap or from.
	From string `yaml:"from,omitempty"`
	// Bytes.
	Size mem.Size `yaml:"size"`
	// Variable for the descriptor.
	As string `yaml:"as,omitempty"`
	// Whether an exec closes the descriptor (O_CLOEXEC).
	CloseOnExec bool `yaml:"close_on_exec,omitempty"`
}

// DupStep duplicates a descriptor.
type DupStep struct {
	// Variable of the descriptor.
	Of string `yaml:"of"`
	// Variable for the duplicate.
	As string `yaml:"as,omitempty"`
	// Whether an exec closes the duplicate.
	CloseOnExec bool `yaml:"close_on_exec,omitempty"`
}

// MmapStep maps a buffer.
type MmapStep struct {
	// Variable of the descriptor.
	Of string `yaml:"of"`
	// Variable for the mapping.
	As string `yaml:"as,omitempty"`
}

// ForkStep makes a child.
type ForkStep struct {
	// Name of the child.
	Name string `yaml:"name"`
	// What the child does, before it ends. It may use the variables of its parent.
	Program []Step `yaml:"program"`
}

// SendStep passes a descriptor.
type SendStep struct {
	// Variable of the descriptor, which stays open.
	Of string `yaml:"of"`
	// Process that gets it.
	To string `yaml:"to"`
}

// ReceiveStep takes a passed descriptor.
type ReceiveStep struct {
	// Variable for the descriptor.
	As string `yaml:"as,omitempty"`
	// Whether an exec closes the descriptor.
	CloseOnExec bool `yaml:"close_on_exec,omitempty"`
}

// AttachStep attaches a device to a buffer.
type AttachStep struct {
	// Variable of the descriptor.
	Of string `yaml:"of"`
	// Device to attach.
	Device string `yaml:"device"`
	// Variable for the attachment.
	As string `yaml:"as"`
}

// DMAStep is a transfer by a device. A device does one at a time, in the order in
// which they were started.
type DMAStep struct {
	// Variable of the attachment, which is mapped.
	Of string `yaml:"of"`
	// What the device does with the buffer: read, write or read-write.
	Access AccessMode `yaml:"access"`
	// How long it takes.
	Time time.Duration `yaml:"time" jsonschema:"exclusiveMinimum=0"`
	// Bytes from the start of the buffer. By default all of it.
	Size mem.Size `yaml:"size,omitempty" jsonschema:"exclusiveMinimum=0"`
	// Whether the driver ignores the buffer's fences: the transfer waits for no other one, and nothing waits for it, but by after and as. Without these the driver does not even hold the buffer until the transfer is over.
	Unfenced bool `yaml:"unfenced,omitempty"`
	// Variable of a fence that the transfer waits for.
	After string `yaml:"after,omitempty"`
	// Variable for the transfer's fence, as a descriptor (a sync_file).
	As string `yaml:"as,omitempty"`
}

// ExportFencesStep takes the fences of a buffer.
type ExportFencesStep struct {
	// Variable of the buffer's descriptor.
	Of string `yaml:"of"`
	// Whose fences: those that a reader has to wait for, or a writer.
	Access AccessMode `yaml:"access"`
	// Variable for their descriptor.
	As string `yaml:"as"`
}

// ImportFencesStep adds a fence to a buffer.
type ImportFencesStep struct {
	// Variable of the buffer's descriptor.
	Of string `yaml:"of"`
	// Variable of the fence.
	From string `yaml:"from"`
	// What the fence stands for: reading or writing the buffer.
	Access AccessMode `yaml:"access"`
}

// WaitStep waits until transfers are over.
type WaitStep struct {
	// Variable of a buffer's descriptor, or of a fence.
	For string `yaml:"for"`
	// What the process is going to do with the buffer: a reader waits for writers, a writer for all.
	Access AccessMode `yaml:"access,omitempty"`
	// Time after which the step fails.
	AtMost time.Duration `yaml:"at_most,omitempty" jsonschema:"exclusiveMinimum=0"`
}

// CPUAccess is one end of an access by the CPU (DMA_BUF_IOCTL_SYNC).
type CPUAccess struct {
	// Variable of the descriptor.
	Of string `yaml:"of"`
	// What the CPU does: read, write or read-write.
	Access AccessMode `yaml:"access"`
}

// Amount is some memory of one kind.
type Amount struct {
	// Kind: anonymous, page_cache or kernel.
	Memory MemoryKind `yaml:"memory" jsonschema_extras:"default=anonymous"`
	// Bytes.
	Size mem.Size `yaml:"size"`
}

// PinStep holds memory in place.
type PinStep struct {
	// Bytes of the process's anonymous memory in that area, as far as there are so many.
	Size mem.Size `yaml:"size"`
	// CMA area whose pages are meant.
	Area string `yaml:"area"`
	// Time for which they are held; without it, until the process ends.
	Time time.Duration `yaml:"time,omitempty" jsonschema:"exclusiveMinimum=0"`
}

// RepeatStep does steps again and again, until one of them fails.
type RepeatStep struct {
	// How often. Without it there is no end but a failed step.
	Count uint64 `yaml:"count,omitempty" jsonschema:"exclusiveMinimum=0"`
	// Time from the start of one round to that of the next.
	Every time.Duration `yaml:"every,omitempty" jsonschema:"exclusiveMinimum=0"`
	// The steps.
	Do []Step `yaml:"do"`
}

// AccessMode is a program.Access.
type AccessMode program.Access

var accessModes = map[string]program.Access{"read": program.ReadOnly, "write": program.WriteOnly, "read-write": program.ReadWrite}

// Options returns the names of the modes.
func (AccessMode) Options() []string { return []string{"read", "write", "read-write"} }

// MarshalText implements encoding.TextMarshaler.
func (a AccessMode) MarshalText() ([]byte, error) {
	for name, access := range accessModes {
		if access == program.Access(a) {
			return []byte(name), nil
		}
	}
	return nil, nil
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (a *AccessMode) UnmarshalText(text []byte) error {
	var name string
	if err := strictyaml.OneOf(&name, "access", text, a.Options()); err != nil {
		return err
	}
	*a = AccessMode(accessModes[name])
	return nil
}

// MemoryKind is a program.Memory.
type MemoryKind program.Memory

var memoryKinds = []string{program.Anonymous: "anonymous", program.PageCache: "page_cache", program.Kernel: "kernel"}

// Options returns the names of the kinds.
func (MemoryKind) Options() []string { return memoryKinds }

// MarshalText implements encoding.TextMarshaler.
func (k MemoryKind) MarshalText() ([]byte, error) { return []byte(memoryKinds[k]), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (k *MemoryKind) UnmarshalText(text []byte) error {
	var name string
	if err := strictyaml.OneOf(&name, "kind of memory", text, memoryKinds); err != nil {
		return err
	}
	for i, option := range memoryKinds {
		if option == name {
			*k = MemoryKind(i)
		}
	}
	return nil
}
