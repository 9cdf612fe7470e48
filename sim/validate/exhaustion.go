package validate

import (
	"fmt"

	"dmasim/allocator"
	"dmasim/allocator/kernel/version"
	"dmasim/mem"
	"dmasim/sim/heap"
	"dmasim/sim/physmem"
)

// Exhaustion is what became of a process that took buffers of the system heap until
// the kernel killed it.
type Exhaustion struct {
	Before  Memory // when it had none
	Size    uint64 // bytes of a buffer
	Buffers uint64 // that it had when it was killed
	Victim  string // whom the kernel killed first: "hog" for that process
	// Needs are what the kernel says, at the kill, that had been taken beside the
	// buffers since Before.
	Needs []Need
	Zones []ZoneAtKill
	Left  int // buffers that live after it
}

// uncounted is what the system may need, in bytes, of which the kernel tells nothing.
const uncounted = 2 << 20

// Need is memory that the system took for itself.
type Need struct {
	What  string
	Bytes uint64
}

// ZoneAtKill is a zone in the kernel's report.
type ZoneAtKill struct {
	Name string
	Free uint64 // pages, without those of CMA areas, which dma-bufs can't use
	// Boost is by how many pages the watermarks were raised, which the kernel does
	// for a while when it mixes types of pages (boost_watermark) and the model
	// does not.
	Boost uint64
}

// CompareExhaustion compares a run with the model in the state before it.
//
// How many buffers there can be has bounds: no more than the model pins until no
// zone has a page above its min watermark and reserve, with what lay on the lists of
// the CPUs; and no less than that, less what the kernel reports that the system
// itself took meanwhile, what it left free above the min watermark, and 2 MiB for
// what it does not count, such as vmalloc and what belongs to CPUs. A zone at the
// kill has at most its high watermark, as it is raised then, and its reserve free: the
// kernel looks a last time before it kills (__alloc_pages_may_oom).
func CompareExhaustion(run Exhaustion) ([]Aspect, []string, error) {
	pinned, model, zones := Aspect{Name: "exhaustion bytes"}, Aspect{Name: "exhaustion victim"}, Aspect{Name: "exhaustion zones"}
	left := Aspect{Name: "exhaustion release"}
	m, err := run.Before.model()
	if err != nil {
		return nil, nil, err
	}
	pages, victim, err := exhaust(m, run.Size)
	if err != nil {
		return nil, nil, err
	}
	most := pages * m.PageSize()
	for _, z := range run.Before.Zones {
		most += z.Pages.PerCPU * m.PageSize()
	}
	spare := uint64(0)
	for i, z := range run.Zones {
		limit := m.Zone(i).Min + m.Zone(i).Reserve[m.NumZones()-1]
		spare += (z.Free - min(z.Free, limit)) * m.PageSize()
	}
	run.Needs = append(run.Needs, Need{"free above the min watermarks", spare}, Need{"that the kernel does not count, at most", uncounted})
	needs := uint64(0)
	notes := []string{fmt.Sprintf("exhaustion: the model pins %s until the first kill; the kernel, %d buffers of %s, %s in all",
		mem.Size(pages*m.PageSize()).Short(), run.Buffers, mem.Size(run.Size), mem.Size(run.Buffers*run.Size).Short())}
	text := "exhaustion: the system's own needs at the kill:"
	for i, n := range run.Needs {
		needs += n.Bytes
		if i > 0 {
			text += ","
		}
		text += fmt.Sprintf(" %s %s", mem.Size(n.Bytes).Short(), n.What)
	}
	notes = append(notes, text)
	atMost, atLeast := most/run.Size, (most-min(most, needs))/run.Size
	s := step{1, 0, fmt.Sprintf("take buffers of %s until somebody is killed", mem.Size(run.Size))}
	bounds := fmt.Sprintf("%d to %d buffers", atLeast, atMost)
	got := bounds
	if run.Buffers < atLeast || run.Buffers > atMost {
		got = fmt.Sprintf("%d buffers", run.Buffers)
	}
	pinned.compare(s, bounds, got)
	notes = append(notes, fmt.Sprintf("exhaustion: bounds are %s", bounds))
	model.compare(s, victim, run.Victim)
	for i, z := range run.Zones {
		limit := m.Zone(i).High + z.Boost + m.Zone(i).Reserve[m.NumZones()-1]
		want := fmt.Sprintf("at most %d pages free", limit)
		found := want
		if z.Free > limit {
			found = fmt.Sprintf("%d pages free", z.Free)
		}
		zones.compare(step{i + 1, 0, "zone " + z.Name + " at the kill"}, want, found)
		notes = append(notes, fmt.Sprintf("exhaustion: zone %s had %d pages free, bound %d", z.Name, z.Free, limit))
	}
	left.compare(s, "0 buffers live", fmt.Sprintf("%d buffers live", run.Left))
	return []Aspect{pinned, model, zones, left}, notes, nil
}

// exhaust takes buffers until somebody is killed, and returns how many pages they
// had then, with those of the buffer that was being made, and whose.
func exhaust(m *physmem.Memory, size uint64) (pages uint64, victim string, err error) {
	owner, err := m.AddOwner(physmem.OwnerConfig{Name: "hog"})
	if err != nil {
		return 0, "", err
	}
	victim = "nobody"
	m.OnOutOfMemory(func(report physmem.OutOfMemory) {
		if victim != "nobody" {
			return
		}
		pages, victim = report.Memory.DMABuf, "another"
		if report.Victim == owner {
			victim = "hog"
		}
	})
	h := heap.NewPages(heap.PageConfig{Name: "system", Kind: heap.System, Memory: m, Kernel: version.Modelled, Clients: 1})
	for victim == "nobody" {
		_, failure, err := h.Alloc(0, owner, size)
		if err != nil {
			return 0, "", err
		}
		if failure.Cause != allocator.None && victim == "nobody" {
			return 0, "", fmt.Errorf("the model fails without a kill: %v", failure.Cause)
		}
	}
	return pages, victim, nil
}
