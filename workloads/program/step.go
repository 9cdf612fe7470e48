package program

import (
	"fmt"
	"time"
)

// Verb says what a step does.
type Verb uint8

// The verbs. Their names are those of the system calls and of the kernel's
// functions that they stand for.
const (
	Open           Verb = iota // open the device file of Heap: binds As to a descriptor
	Alloc                      // DMA_HEAP_IOCTL_ALLOC of Size bytes, from Of, an open heap, or from Heap: binds As to a descriptor
	Dup                        // duplicate the descriptor Of: binds As
	Close                      // close the descriptor Of
	Mmap                       // map the buffer of the descriptor Of: binds As to a mapping
	Munmap                     // drop the mapping Of
	Fork                       // make a child named Name, which runs Body
	Exec                       // become another program, named Name: descriptors with close-on-exec and mappings go
	Send                       // pass the descriptor Of to Process, in a message
	Receive                    // take the descriptor of the next message, waiting for one: binds As
	Attach                     // a driver gets the buffer of the descriptor Of and attaches Device: binds As to an attachment
	MapDMA                     // map the attachment Of for its device
	UnmapDMA                   // unmap the attachment Of
	Detach                     // detach the attachment Of; its driver lets go of the buffer
	DMA                        // the device of the attachment Of transfers Size bytes in Time; binds As, if it is there, to its fence
	ExportFences               // take the fences that a reader or writer of the buffer of Of has to wait for: binds As to a descriptor of them
	ImportFences               // add the fence of the descriptor With to the buffer of Of, as a reader's or a writer's
	Wait                       // wait for the fences of the buffer or the fence that Of is a descriptor of, at most Time
	BeginCPUAccess             // DMA_BUF_IOCTL_SYNC with DMA_BUF_SYNC_START on the descriptor Of
	EndCPUAccess               // DMA_BUF_IOCTL_SYNC with DMA_BUF_SYNC_END on the descriptor Of
	Read                       // the CPU reads through the mapping Of
	Write                      // the CPU writes through the mapping Of
	Grow                       // use Size bytes more of memory of the kind Memory
	Shrink                     // give Size bytes of it back
	Touch                      // use Size bytes again, of which some may have been swapped out or dropped
	Pin                        // hold Size bytes of one's own anonymous memory in the CMA area Area in place for Time; 0: for ever
	Sleep                      // let Time pass
	Exit                       // end the process
	Kill                       // kill Process
	Repeat                     // run Body Count times, or until a step in it fails, one run every Time
	verbs
)

var verbNames = [verbs]string{
	"open", "alloc", "dup", "close", "mmap", "munmap", "fork", "exec", "send", "receive", "attach", "map", "unmap", "detach",
	"dma", "export_fences", "import_fences", "wait", "begin_cpu_access", "end_cpu_access", "read", "write", "grow", "shrink", "touch", "pin", "sleep", "exit", "kill", "repeat",
}

// String returns the name of the verb in scenario files, such as "alloc".
func (v Verb) String() string {
	if v >= verbs {
		return fmt.Sprintf("verb(%d)", uint8(v))
	}
	return verbNames[v]
}

// Access says what a transfer or a CPU does with a buffer.
type Access uint8

// The kinds of access; ReadWrite is both.
const (
	ReadOnly  Access = 1
	WriteOnly Access = 2
	ReadWrite Access = ReadOnly | WriteOnly
)

// Memory is the kind of memory that Grow, Shrink and Touch are about.
type Memory uint8

// The kinds of memory.
const (
	Anonymous Memory = iota // of a process: heap, stack; can be swapped out
	PageCache               // of files read; can be dropped
	Kernel                  // can neither be moved nor reclaimed
)

// Variable is a variable of a process, by its number; NoVariable is none.
type Variable int32

// NoVariable stands for a variable that is not there.
const NoVariable Variable = -1

// Step is one step of a program. Which fields mean something depends on the
// verb. Heaps, devices and areas are numbers of whoever runs the program.
type Step struct {
	Verb    Verb
	MayFail bool     // the program goes on if it fails
	Of      Variable // what the step is about
	As      Variable // what it binds
	With    Variable // ImportFences: the fence; DMA: one that the transfer waits for
	Heap    int32
	Device  int32
	Area    int32
	Process string // Send, Kill: the process that got that name last
	Name    string // Fork, Exec
	Size    uint64 // bytes; DMA: 0 means the whole buffer
	Time    time.Duration
	Access  Access
	Memory  Memory
	CloExec bool // Alloc, Dup, Receive: close on exec
	// Unfenced, of DMA: the transfer waits for no fence of the buffer and adds
	// none. With As or With the driver synchronises explicitly; without, not at all.
	Unfenced bool
	Count    uint64 // Repeat: 0 means without end
	Body     []Step // Repeat, Fork
}
