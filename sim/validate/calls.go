package validate

import (
	"context"
	"fmt"
	"math"
)

// Target is the file that an odd call is about.
type Target uint8

// The targets.
const (
	HeapFile       Target = iota // the system heap, open for reading and writing
	OnePage                      // a buffer of one page
	SinglePages                  // a buffer of five pages, each a block of its own
	ReadOnlyPage                 // a buffer of one page, open for reading
	WriteOnlyPage                // and for writing
	SyncFile                     // the fences of a buffer
	Memfd                        // memory in a file, one page
	NotOpen                      // a descriptor that is not open
	HighDescriptor               // and one above the limit of the process
	targets
)

var targetNames = [targets]string{
	"heap", "buffer", "buffer of 5 pages", "read-only buffer", "write-only buffer", "sync_file", "memfd", "closed descriptor", "descriptor above the limit",
}

// System is the system call of an odd call.
type System uint8

// The system calls. Which of A, B and C they take is told in their names.
const (
	Ioctl    System = iota // Request, and an argument of the words A, B, C
	Lseek                  // offset A, whence B
	MmapCall               // offset A, length B, flags and protection by C
	ReadCall
	WriteCall
	Fsync
	Ftruncate // to A
	Dup3      // to the descriptor of the target A
	DupAbove  // F_DUPFD, from A on
	AddSeals
	OpenFolder // openat of a file below it
	FullTable  // DMA_HEAP_IOCTL_ALLOC without a free descriptor
	systems
)

var systemNames = [systems]string{"ioctl", "lseek", "mmap", "read", "write", "fsync", "ftruncate", "dup3", "fcntl F_DUPFD", "fcntl F_ADD_SEALS", "openat", "ioctl with a full table"}

// Pointer is what the argument of a request points to.
type Pointer uint8

// The pointers.
const (
	Good Pointer = iota
	Null
	Unmapped // an address at which nothing is
)

// Flags of MmapCall.
const (
	MmapWrite   = 1 << 0 // PROT_WRITE, beside PROT_READ
	MmapPrivate = 1 << 1 // MAP_PRIVATE, not MAP_SHARED
)

// OddCall is a system call that is bad, or odd.
type OddCall struct {
	Text    string
	System  System
	Target  Target
	Request uint64 // of Ioctl
	A, B, C uint64
	Pointer Pointer
}

func (c OddCall) String() string {
	return fmt.Sprintf("%s on %s: %s", systemNames[c.System], targetNames[c.Target], c.Text)
}

// Requests, as on machines whose pointers have 64 bits. Directions: 1 writes to the
// kernel, 2 reads.
const (
	requestAlloc    = 3<<30 | 24<<16 | 'H'<<8
	requestSync     = 1<<30 | 8<<16 | 'b'<<8
	requestName     = 1<<30 | 8<<16 | 'b'<<8 | 1
	requestNameInt  = 1<<30 | 4<<16 | 'b'<<8 | 1
	requestExport   = 3<<30 | 8<<16 | 'b'<<8 | 2
	requestImport   = 1<<30 | 8<<16 | 'b'<<8 | 3
	syncEndFlag     = 4
	accessModes     = 3
	flagAppend      = 0x400
	flagNonblock    = 0x800
	flagCloExec     = 0x80000
	mostNameLength  = 31
	pageSizeOfTable = 4096
)

// words of an allocation: length; descriptor and its flags; flags of the heap.
func allocation(length uint64, fd, flags uint32, heap uint64) (a, b, c uint64) {
	return length, uint64(fd) | uint64(flags)<<32, heap
}

// OddCalls returns the table of odd calls. The argument of a name (DMA_BUF_SET_NAME)
// is its length, in A, and that of an import the target of its descriptor, in B.
func OddCalls() []OddCall {
	var list []OddCall
	add := func(c OddCall) { list = append(list, c) }
	alloc := func(text string, length uint64, fd, flags uint32, heap uint64) {
		a, b, c := allocation(length, fd, flags, heap)
		add(OddCall{Text: text, Target: HeapFile, Request: requestAlloc, A: a, B: b, C: c})
	}
	alloc("no bytes", 0, 0, accessModes-1, 0)
	alloc("one byte", 1, 0, accessModes-1, 0)
	alloc("2^64-1 bytes, rounded up to none", math.MaxUint64, 0, 2, 0)
	alloc("2^64-4095 bytes, rounded up to none", math.MaxUint64-4094, 0, 2, 0)
	alloc("a descriptor given", 4096, 1, 2, 0)
	alloc("read-only", 4096, 0, 0, 0)
	alloc("write-only", 4096, 0, 1, 0)
	alloc("access mode 3", 4096, 0, 3, 0)
	alloc("close-on-exec", 4096, 0, 2|flagCloExec, 0)
	alloc("O_APPEND", 4096, 0, 2|flagAppend, 0)
	alloc("O_NONBLOCK", 4096, 0, 2|flagNonblock, 0)
	alloc("highest flag of the descriptor", 4096, 0, 1<<31, 0)
	alloc("heap flag 1", 4096, 0, 2, 1)
	alloc("highest heap flag", 4096, 0, 2, 1<<63)
	heap := func(text string, request uint64, length uint64, p Pointer) {
		add(OddCall{Text: text, Target: HeapFile, Request: request, A: length, Pointer: p})
	}
	heap("allocation at NULL", requestAlloc, 4096, Null)
	heap("allocation at an unmapped address", requestAlloc, 4096, Unmapped)
	heap("request 1 of the heap", requestAlloc|1, 4096, Good)
	heap("request 255 of the heap", requestAlloc|255, 4096, Good)
	heap("request 0 of another type, which is not looked at", requestAlloc&^0xff00|'X'<<8, 4096, Good)
	heap("allocation without an argument's size", 'H'<<8, 4096, Good)
	heap("allocation that only reads", 2<<30|24<<16|'H'<<8, 4096, Good)
	heap("allocation of 16 bytes, without heap flags", 3<<30|16<<16|'H'<<8, 4096, Good)
	heap("allocation of 32 bytes, as of a later kernel", 3<<30|32<<16|'H'<<8, 4096, Good)
	heap("sync of no direction: an allocation of no bytes", requestSync, 0, Good)
	for _, t := range []Target{OnePage, SyncFile, Memfd, NotOpen} {
		a, b, c := allocation(4096, 0, 2, 0)
		add(OddCall{Text: "allocation", Target: t, Request: requestAlloc, A: a, B: b, C: c})
		add(OddCall{Text: "sync", Target: t, Request: requestSync, A: 3})
	}
	sync := func(text string, flags uint64, p Pointer) {
		add(OddCall{Text: text, Target: OnePage, Request: requestSync, A: flags, Pointer: p})
	}
	sync("sync of no direction", 0, Good)
	sync("end of sync of no direction", syncEndFlag, Good)
	sync("end of a sync that was not begun", syncEndFlag|1, Good)
	sync("sync with flag 8", 8|3, Good)
	sync("sync with the highest flag", 1<<63|3, Good)
	sync("sync at NULL", 3, Null)
	sync("sync at an unmapped address", 3, Unmapped)
	name := func(text string, request, length uint64, p Pointer) {
		add(OddCall{Text: text, Target: OnePage, Request: request, A: length, Pointer: p})
	}
	name("empty name", requestName, 0, Good)
	name("name of 31 bytes", requestName, mostNameLength, Good)
	name("name of 32 bytes", requestName, mostNameLength+1, Good)
	name("name by the request of 32-bit programs", requestNameInt, 5, Good)
	name("name at NULL", requestName, 5, Null)
	export := func(text string, flags uint64, p Pointer) {
		add(OddCall{Text: text, Target: OnePage, Request: requestExport, A: flags, Pointer: p})
	}
	export("export of fences for no access", 0, Good)
	export("export of fences with flag 4", 4|1, Good)
	export("export of fences for reading", 1, Good)
	export("export of fences for both", 3, Good)
	export("export of fences at NULL", 3, Null)
	load := func(text string, flags uint64, file Target, p Pointer) {
		add(OddCall{Text: text, Target: OnePage, Request: requestImport, A: flags, B: uint64(file), Pointer: p})
	}
	load("import of a sync_file for reading", 1, SyncFile, Good)
	load("import of a sync_file for no access", 0, SyncFile, Good)
	load("import of a sync_file with flag 4", 4|1, SyncFile, Good)
	load("import of a memfd", 1, Memfd, Good)
	load("import of a closed descriptor", 1, NotOpen, Good)
	load("import at NULL", 1, SyncFile, Null)
	add(OddCall{Text: "request 9 of buffers", Target: OnePage, Request: 1<<30 | 8<<16 | 'b'<<8 | 9})
	add(OddCall{Text: "sync of another size", Target: OnePage, Request: 1<<30 | 4<<16 | 'b'<<8})
	seek := func(text string, t Target, offset, whence uint64) {
		add(OddCall{Text: text, System: Lseek, Target: t, A: offset, B: whence})
	}
	seek("to the start", OnePage, 0, 0)
	seek("to byte 1", OnePage, 1, 0)
	seek("from here", OnePage, 0, 1)
	seek("to the end", OnePage, 0, 2)
	seek("behind the end", OnePage, 1, 2)
	seek("before the end", OnePage, math.MaxUint64, 2)
	seek("to data", OnePage, 0, 3)
	seek("to the end", NotOpen, 0, 2)
	mmap := func(text string, t Target, offset, length, flags uint64) {
		add(OddCall{Text: text, System: MmapCall, Target: t, A: offset, B: length, C: flags})
	}
	mmap("all", OnePage, 0, 4096, MmapWrite)
	mmap("half a page", OnePage, 0, 2048, 0)
	mmap("no bytes", OnePage, 0, 0, 0)
	mmap("two pages of one", OnePage, 0, 8192, 0)
	mmap("behind the end", OnePage, 4096, 4096, 0)
	mmap("at byte 1", OnePage, 1, 4096, 0)
	mmap("at the highest page", OnePage, math.MaxUint64-4095, 4096, 0)
	mmap("the last of five pages", SinglePages, 4*4096, 4096, 0)
	mmap("the last of five pages and one more", SinglePages, 4*4096, 8192, 0)
	mmap("for writing", ReadOnlyPage, 0, 4096, MmapWrite)
	mmap("for reading", ReadOnlyPage, 0, 4096, 0)
	mmap("for reading", WriteOnlyPage, 0, 4096, 0)
	mmap("private, one page", OnePage, 0, 4096, MmapWrite|MmapPrivate)
	mmap("private, five pages", SinglePages, 0, 5*4096, MmapWrite|MmapPrivate)
	mmap("private, five pages, read-only", SinglePages, 0, 5*4096, MmapPrivate)
	for _, t := range []Target{HeapFile, SyncFile, NotOpen} {
		mmap("a page", t, 0, 4096, 0)
	}
	add(OddCall{Text: "a byte", System: ReadCall, Target: OnePage})
	add(OddCall{Text: "a byte", System: WriteCall, Target: OnePage})
	add(OddCall{Text: "a byte", System: ReadCall, Target: WriteOnlyPage})
	add(OddCall{Text: "a byte", System: WriteCall, Target: ReadOnlyPage})
	add(OddCall{Text: "a byte", System: ReadCall, Target: HeapFile})
	add(OddCall{Text: "", System: Fsync, Target: OnePage})
	add(OddCall{Text: "to nothing", System: Ftruncate, Target: OnePage})
	add(OddCall{Text: "seal", System: AddSeals, Target: OnePage})
	add(OddCall{Text: "to itself", System: Dup3, Target: OnePage, A: uint64(OnePage)})
	add(OddCall{Text: "to itself, which is not open", System: Dup3, Target: NotOpen, A: uint64(NotOpen)})
	add(OddCall{Text: "above the limit", System: Dup3, Target: OnePage, A: uint64(HighDescriptor)})
	add(OddCall{Text: "of what is not open", System: Dup3, Target: NotOpen, A: uint64(OnePage)})
	add(OddCall{Text: "above the limit", System: DupAbove, Target: OnePage, A: math.MaxInt32})
	add(OddCall{Text: "a file in it", System: OpenFolder, Target: OnePage})
	add(OddCall{Text: "a page", System: FullTable, Target: HeapFile, Request: requestAlloc, A: 4096})
	add(OddCall{Text: "no bytes", System: FullTable, Target: HeapFile, Request: requestAlloc})
	return list
}

// CompareCalls compares what the calls of a table return.
func CompareCalls(ctx context.Context, list []OddCall, model, kernel func(OddCall) (Errno, error)) (Aspect, error) {
	a := Aspect{Name: "errno"}
	for i, c := range list {
		if err := ctx.Err(); err != nil {
			return a, err
		}
		k, err := kernel(c)
		if err != nil {
			return a, fmt.Errorf("%s: kernel: %w", c, err)
		}
		m, err := model(c)
		if err != nil {
			return a, fmt.Errorf("%s: model: %w", c, err)
		}
		a.compare(step{i + 1, 0, c.String()}, string(m), string(k))
	}
	return a, nil
}

// ModelCall returns what a call returns on Linux 6.12. Sources:
// drivers/dma-buf/dma-heap.c (dma_heap_ioctl, dma_heap_ioctl_allocate), dma-buf.c
// (dma_buf_ioctl, dma_buf_llseek, dma_buf_mmap_internal, dma_buf_set_name,
// dma_buf_export_sync_file, dma_buf_import_sync_file), heaps/system_heap.c
// (system_heap_mmap), mm/mmap.c, mm/memory.c (remap_pfn_range), fs/file.c.
func ModelCall(c OddCall) (Errno, error) {
	if c.Target == NotOpen && c.System != Dup3 {
		return "EBADF", nil
	}
	buffer := c.Target >= OnePage && c.Target <= WriteOnlyPage
	switch c.System {
	case Ioctl:
		switch {
		case c.Target == HeapFile:
			return modelHeapIoctl(c), nil
		case buffer:
			return modelBufferIoctl(c), nil
		}
		return "ENOTTY", nil
	case FullTable:
		if errno := modelHeapIoctl(c); errno != OK {
			return errno, nil
		}
		return "EMFILE", nil
	case Lseek:
		if c.A != 0 || c.B != 0 && c.B != 2 {
			return "EINVAL", nil
		}
		return OK, nil
	case MmapCall:
		return modelMmap(c, buffer), nil
	case ReadCall, WriteCall:
		if c.System == ReadCall && c.Target == WriteOnlyPage || c.System == WriteCall && c.Target == ReadOnlyPage {
			return "EBADF", nil // it is not open for that
		}
		return "EINVAL", nil
	case Fsync, Ftruncate, AddSeals, DupAbove:
		return "EINVAL", nil
	case Dup3:
		switch {
		case Target(c.A) == c.Target:
			return "EINVAL", nil
		case c.Target == NotOpen || Target(c.A) == HighDescriptor:
			return "EBADF", nil
		}
		return OK, nil
	case OpenFolder:
		return "ENOTDIR", nil
	}
	return "", fmt.Errorf("no model of system call %d", c.System)
}

// modelHeapIoctl knows one request by its number; its type is not looked at. Of the
// argument as much is read as the request's size says, and the rest is zero.
func modelHeapIoctl(c OddCall) Errno {
	size := c.Request >> 16 & 0x3fff
	if c.Request>>30&1 == 0 {
		size = 0
	}
	switch {
	case c.Request&0xff != 0:
		return "EINVAL"
	case size > 0 && c.Pointer != Good:
		return "EFAULT"
	}
	var words [3]uint64
	for i, w := range []uint64{c.A, c.B, c.C} {
		if size >= uint64(8*(i+1)) {
			words[i] = w
		}
	}
	fd, flags := uint32(words[1]), uint32(words[1]>>32)
	switch {
	case fd != 0, flags&^(flagCloExec|accessModes) != 0, words[2] != 0:
		return "EINVAL"
	case (words[0]+pageSizeOfTable-1)&^(pageSizeOfTable-1) == 0:
		return "EINVAL"
	}
	return OK
}

func modelBufferIoctl(c OddCall) Errno {
	switch c.Request {
	case requestSync, requestName, requestNameInt, requestExport, requestImport:
		if c.Pointer != Good {
			return "EFAULT"
		}
	default:
		return "ENOTTY"
	}
	valid := true
	switch c.Request {
	case requestSync:
		valid = c.A&^7 == 0 && c.A&3 != 0
	case requestName, requestNameInt:
		valid = c.A <= mostNameLength
	default:
		valid = c.A&^3 == 0 && c.A&3 != 0 && (c.Request == requestExport || Target(c.B) == SyncFile)
	}
	if !valid {
		return "EINVAL"
	}
	return OK
}

// modelMmap has the checks of mmap in their order: offset, descriptor, length, that
// the file is open for it, that it can be mapped, and that the buffer is as long.
func modelMmap(c OddCall, buffer bool) Errno {
	pages := uint64(1)
	if c.Target == SinglePages {
		pages = 5
	}
	offset, length := c.A/pageSizeOfTable, (c.B+pageSizeOfTable-1)/pageSizeOfTable
	shared := c.C&MmapPrivate == 0
	switch {
	case c.A%pageSizeOfTable != 0:
		return "EINVAL"
	case length == 0:
		return "EINVAL"
	case c.A > math.MaxUint64-length*pageSizeOfTable:
		return "EOVERFLOW" // file_mmap_ok
	case c.Target == WriteOnlyPage, shared && c.C&MmapWrite != 0 && c.Target == ReadOnlyPage:
		return "EACCES"
	case !buffer:
		return "ENODEV"
	case offset+length > pages:
		return "EINVAL"
	case !shared && length > 1 && c.Target == SinglePages:
		// Page frames can be mapped privately only all at once; the heap maps
		// block by block.
		return "EINVAL"
	}
	return OK
}
