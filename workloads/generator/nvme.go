package generator

import (
	"time"

	"dmasim/mem"
)

// nvme is a solid state drive: queues from the moment it is found, memory that the
// drive borrows, and the data and lists of pages of commands.
type nvme struct {
	queues, depth  uint64
	borrowed       uint64
	chunk          uint64
	workers, flies uint64
	io             uint64
	burst, rest    span
	busy, idle     span
}

// The pools of a drive, in the order of nvmeKind.
const (
	queuePool = iota
	borrowedPool
	dataPool
	prpPool
)

var nvmeKind = kind{
	name: "nvme", summary: "queues, host memory buffer, data and page lists of commands",
	pools: []Pool{
		{Name: "queues", Meaning: "submission and completion queues"},
		{Name: "hmb", Meaning: "host memory buffer: memory that a drive without DRAM borrows"},
		{Name: "data", Meaning: "what commands read or write, as with direct I/O"},
		{Name: "prp", Meaning: "lists of the data's pages"},
	},
	make: func() model { return &nvme{} },
}

const (
	nvmePage   = 4096
	nvmeSource = "Linux, drivers/nvme/host/pci.c"
	// Entries of queues in bytes (NVM Express base specification 2.0, 3.3).
	submission, completion = 64, 16
	adminDepth             = 32 // NVME_AQ_DEPTH
)

func (d *nvme) bind(t *table) {
	t.integer(&d.queues, 4, 1, 256, about{"queues", "queues", "pairs of queues for I/O, one for each CPU; there is one for administration beside", ""})
	t.integer(&d.depth, 1024, 2, 4095, about{"depth", "entries", "entries of a queue: 64 bytes for a submission, 16 for a completion", nvmeSource + " (io_queue_depth)"})
	t.size(&d.borrowed, 0, 0, 4*mem.GiB, about{"hmb", "", "host memory buffer; 0: the drive has memory of its own", "at most 128 MiB: " + nvmeSource + " (max_host_mem_size_mb)"})
	t.size(&d.chunk, 4*mem.MiB, 4*mem.KiB, 64*mem.MiB, about{"hmb_chunk", "", "size of its pieces", "the largest that the page allocator has: " + nvmeSource + " (nvme_alloc_host_mem)"})
	t.integer(&d.workers, 4, 0, 64, about{"workers", "programs", "programs that read and write", ""})
	t.integer(&d.flies, 8, 1, 1024, about{"in_flight", "commands", "commands of a program at the same time", "assumed"})
	t.size(&d.io, 128*mem.KiB, 512, 4*mem.MiB, about{"io", "", "bytes of a command, at most 4 MiB", "NVME_MAX_KB_SZ: " + nvmeSource})
	t.span(&d.burst, 50*time.Millisecond, time.Millisecond, 1, about{"burst", "", "time for which a program has its buffers", ""})
	t.span(&d.rest, 200*time.Millisecond, time.Millisecond, 2, about{"rest", "", "time until it has some again", ""})
	t.span(&d.busy, time.Hour, shortestSession, 1, about{"session", "", "time from one suspend to the next, which gives queues and borrowed memory back", ""})
	t.span(&d.idle, 10*time.Second, 0, 1, about{"pause", "", "time for which the drive sleeps; 0: never", ""})
}

func (d *nvme) check() error { return nil }

// prpList returns the bytes that the list of the pages of a page-aligned command
// takes from the driver's pools: nothing for two pages, 256 bytes for up to 32
// entries, and else whole pages, of which the last entry leads to the next.
func prpList(size uint64) uint64 {
	pages := (size + nvmePage - 1) / nvmePage
	if pages <= 2 {
		return 0
	}
	const small, entry = 256, 8
	entries := pages - 1
	if entries*entry <= small {
		return small
	}
	const each = nvmePage / entry
	lists := uint64(1)
	for left := entries; left > each; left -= each - 1 {
		lists++
	}
	return lists * nvmePage
}

func queuePair(depth uint64) uint64 {
	return up(depth*submission, nvmePage) + up(depth*completion, nvmePage)
}

func (d *nvme) most() []uint64 {
	commands := d.workers * d.flies
	return []uint64{
		queuePair(adminDepth) + d.queues*queuePair(d.depth), up(d.borrowed, d.chunk),
		commands * d.io, commands * prpList(d.io),
	}
}

func (d *nvme) actors() []actor {
	return []actor{
		{name: "drive", instances: 1, busy: d.busy, idle: d.idle, begin: func(s *session) {
			s.allocate(queuePool, 1, up(adminDepth*submission, nvmePage), time.Microsecond)
			s.allocate(queuePool, 1, up(adminDepth*completion, nvmePage), time.Microsecond)
			for range d.queues {
				s.allocate(queuePool, 1, up(d.depth*completion, nvmePage), time.Microsecond)
				s.allocate(queuePool, 1, up(d.depth*submission, nvmePage), time.Microsecond)
			}
			s.optional() // the drive works without, more slowly
			s.allocate(borrowedPool, up(d.borrowed, d.chunk)/d.chunk, d.chunk, apart/10)
		}},
		{name: "program", instances: int(d.workers), busy: d.burst, idle: d.rest, begin: func(s *session) {
			for range d.flies {
				s.allocate(dataPool, 1, d.io, time.Microsecond)
				s.allocate(prpPool, 1, prpList(d.io), time.Microsecond)
			}
		}},
	}
}
