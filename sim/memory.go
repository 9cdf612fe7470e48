package sim

import (
	"errors"
	"fmt"
	"slices"

	"dmasim/allocator"
	"dmasim/allocator/ledger"
	"dmasim/mem"
	"dmasim/sim/heap"
	"dmasim/sim/physmem"
	"dmasim/workloads/program"
)

// ErrMemory says that a machine has less memory than it is said to hold at the
// start.
var ErrMemory = errors.New("memory does not hold what it is to hold at the start")

// frames is the machine's memory, and who has it.
type frames struct {
	memory        *physmem.Memory
	pages         []*heap.Pages   // by heap; nil: it is an arena
	working       []bool          // by heap: its work that was put off is scheduled
	owners        []physmem.Owner // by client
	files         physmem.Owner   // of the page cache
	processOf     map[physmem.Owner]int32
	processOwners []physmem.Owner // of the processes of the configuration
	holds         []hold
	stopped       bool             // the machine panicked
	atKill        ledger.Diagnosis // the state of memory when it ran out last
}

// startMachine makes page frames and the heaps that take them.
func (s *Simulation) startMachine() error {
	m := s.cfg.Machine
	if m == nil {
		return nil
	}
	cfg := physmem.Config{Page: m.Page, Swap: m.Swap, PerCPU: m.PerCPULists, MinFree: m.MinFree, Seed: m.Seed}
	for _, z := range m.Zones {
		cfg.Zones = append(cfg.Zones, physmem.Zone{Name: z.Name, Ranges: z.Ranges})
	}
	for _, a := range m.CMA {
		cfg.CMA = append(cfg.CMA, physmem.Area{Name: a.Name, Range: a.Range})
	}
	memory, err := physmem.New(cfg)
	if err != nil {
		return fmt.Errorf("machine: %w", err)
	}
	s.memory = memory
	memory.OnOutOfMemory(s.outOfMemory)
	if err := s.addOwners(); err != nil {
		return fmt.Errorf("machine: %w", err)
	}
	if err := s.startState(); err != nil {
		return err
	}
	for i := range s.cfg.Heaps {
		h := &s.cfg.Heaps[i]
		if h.Kind == Carveout {
			s.pages = append(s.pages, nil)
			continue
		}
		s.pages = append(s.pages, heap.NewPages(heap.PageConfig{
			Name: h.Name, Kind: pageKinds[h.Kind], Memory: memory, Kernel: m.Kernel, Area: h.Area, Guard: h.Guard,
			Pool: h.PoolSize, Delay: h.FreeDelay, Clients: len(s.cfg.Clients),
		}))
	}
	s.working = make([]bool, len(s.pages))
	return nil
}

var pageKinds = map[HeapKind]heap.PageKind{SystemHeap: heap.System, CMAHeap: heap.CMA, PooledHeap: heap.Pooled}

// Memory returns the page frames, nil without a machine. Observers read them.
func (s *Simulation) Memory() *physmem.Memory { return s.memory }

// Pages returns the heaps that take pages, by the numbers of the configuration;
// nil for others, and where there is no machine. Observers read them.
func (s *Simulation) Pages() []*heap.Pages { return s.pages }

// ClientOf returns the client that an owner of page frames is, or -1.
func (s *Simulation) ClientOf(owner physmem.Owner) int {
	if i, ok := s.processOf[owner]; ok {
		return s.processes[i].client
	}
	return slices.Index(s.owners, owner)
}

// paged returns a heap that takes pages, or nil.
func (s *Simulation) paged(from int32) *heap.Pages {
	if s.pages == nil {
		return nil
	}
	return s.pages[from]
}

// placeFor asks a heap for a buffer of a process, whose memory its pages are.
func (s *Simulation) placeFor(p *process, from int32, size uint64) (slot uint32, d *ledger.Diagnosis) {
	if h := s.paged(from); h != nil && !s.limited(p.client, from, size) {
		return s.placePages(h, p.client, p.owner, from, size)
	}
	return s.place(from, s.request(p.client, size))
}

// placePages asks a heap that takes pages for a buffer.
func (s *Simulation) placePages(h *heap.Pages, client int, owner physmem.Owner, from int32, size uint64) (slot uint32, d *ledger.Diagnosis) {
	buffer, failure, err := h.Alloc(client, owner, size)
	if err != nil && s.broken == nil {
		s.broken = err
	}
	if failure.Cause == allocator.None && err == nil {
		slot = take(&s.buffers, &s.freeSlots)
		s.buffers[slot] = live{Buffer: buffer, heap: from, number: s.event.Number + 1}
		return slot, &served
	}
	d = s.failed(from, size, failure.Cause)
	if failure.Killed { // and its memory freed since
		*d = s.atKill
		d.Size = size
	}
	if failure.Deadlock {
		s.panicked()
	}
	return 0, d
}

// placeShared asks a heap that takes pages for a buffer that devices share. Whether
// they can use it is found out when they map it; then it is given back.
func (s *Simulation) placeShared(h *heap.Pages, from int32, r *heap.Request) (slot uint32, d *ledger.Diagnosis) {
	slot, d = s.placePages(h, r.Owner, s.owners[r.Owner], from, r.Payload)
	if d.Cause != allocator.None || r.MapsLater || len(s.cfg.Clients[r.Owner].Devices) == 0 {
		return slot, d
	}
	made := &s.buffers[slot].Buffer
	s.pieces = h.Extents(s.pieces[:0], *made)
	cause := r.Plan.JudgePieces(s.pieces, r.Payload)
	if cause == allocator.None {
		return slot, d
	}
	d = s.failed(from, r.Payload, cause)
	if err := h.Free(*made, s.now); err != nil && s.broken == nil {
		s.broken = err
	}
	s.putOff(from)
	s.buffers[slot].number = 0
	s.freeSlots = append(s.freeSlots, slot)
	return slot, d
}

// panicked stops the machine: memory ran out, and nobody was left to kill.
func (s *Simulation) panicked() {
	if s.stopped {
		return
	}
	s.stopped = true
	s.incident(IncidentReport{Kind: Panic, Detail: "out of memory and no killable processes"})
}

// outOfMemory kills the process that the kernel chose.
func (s *Simulation) outOfMemory(report physmem.OutOfMemory) {
	page := s.memory.PageSize()
	index, ok := s.processOf[report.Victim]
	if !ok {
		return
	}
	victim := &s.processes[index]
	free := report.Memory.Free * page
	s.atKill = ledger.Diagnosis{Cause: allocator.Exhausted, Free: free, FreeInReach: free, Largest: s.largestBlock()}
	usage := s.memory.Usage(report.Victim)
	own := (usage.Anonymous + usage.Swapped + usage.Kernel) * page
	requester := "the kernel"
	if i, ok := s.processOf[report.Requester]; ok {
		requester = s.processes[i].name
	}
	s.incident(IncidentReport{
		Kind: OutOfMemory, Actor: requester, Victim: victim.name,
		Detail: fmt.Sprintf("killed for its %s; dma-bufs pinned %s, in nobody's accounting", mem.Size(own).Short(), mem.Size(report.Unexplained*page).Short()),
	})
	e := s.next(Kill, victim.client, -1)
	e.Size, e.Pinned = own, report.Unexplained*page
	s.emit()
	s.end(index)
	if err := s.reap(); err != nil && s.broken == nil {
		s.broken = err
	}
}

// adopt makes an owner of memory for the child of a process.
func (s *Simulation) adopt(index int32) {
	if s.memory == nil {
		return
	}
	p := &s.processes[index]
	owner, err := s.memory.AddOwner(physmem.OwnerConfig{Name: p.name, OOMScoreAdj: p.OOMScoreAdj})
	if err != nil && s.broken == nil {
		s.broken = err
	}
	p.owner = owner
	s.processOf[owner] = index
}

// disown frees the memory of a process that ended.
func (s *Simulation) disown(index int32) {
	if s.memory == nil {
		return
	}
	if err := s.memory.ReleaseOwner(s.processes[index].owner); err != nil && s.broken == nil {
		s.broken = err
	}
}

var memoryKinds = map[program.Memory]physmem.Kind{
	program.Anonymous: physmem.Anonymous, program.PageCache: physmem.PageCache, program.Kernel: physmem.Kernel,
}

// useMemory grows, shrinks or touches memory of a process, or holds it in place.
func (s *Simulation) useMemory(index int32, step *program.Step) bool {
	p := &s.processes[index]
	kind, owner := memoryKinds[step.Memory], p.owner
	switch step.Memory {
	case program.PageCache:
		owner = s.files
	case program.Kernel:
		owner = 0
	}
	pages := step.Size / s.memory.PageSize()
	var res physmem.Result
	var done uint64
	var err error
	switch step.Verb {
	case program.Grow:
		done, res, err = s.memory.Populate(owner, kind, pages)
	case program.Shrink:
		done, err = s.memory.Release(owner, kind, pages)
	case program.Touch:
		_, res, err = s.memory.Touch(owner, kind, pages)
		done = pages
		if res.Cause != allocator.None {
			done = 0
		}
	case program.Pin:
		return s.pin(index, step, pages)
	}
	if err != nil && s.broken == nil && s.processes[index].state != ended {
		s.broken = err
	}
	if res.Deadlock {
		s.panicked()
	}
	return done == pages
}

// hold is pages that a process keeps in place.
type hold struct {
	process int32
	frames  []uint64
}

// pin holds pages of a process that lie in a CMA area in place. It succeeds with
// as many as there are.
func (s *Simulation) pin(index int32, step *program.Step, pages uint64) bool {
	p := &s.processes[index]
	area := s.memory.Area(int(step.Area)).Pages
	kind := physmem.HoldPinned
	if step.Time > 0 {
		kind = physmem.HoldBusy
	}
	var frames []uint64
	for pfn := area.Lo; pfn < area.Hi && uint64(len(frames)) < pages; pfn++ {
		if what, who := s.memory.At(pfn); what != physmem.Anonymous || who != p.owner {
			continue
		}
		if s.memory.Pin(pfn, kind) == nil {
			frames = append(frames, pfn)
		}
	}
	if step.Time > 0 && len(frames) > 0 {
		s.holds = append(s.holds, hold{index, frames})
		s.schedule(s.now+step.Time, pinOver, uint32(len(s.holds)-1), 0)
	}
	return true
}

// unpin lets go of pages that are still there: their owner may have ended.
func (s *Simulation) unpin(number uint32) {
	h := &s.holds[number]
	if s.processes[h.process].state != ended {
		for _, pfn := range h.frames {
			if err := s.memory.Unpin(pfn); err != nil && s.broken == nil {
				s.broken = err
			}
		}
	}
	h.frames = nil
}

// putOff arranges for a heap to do the work that it put off. It does it once for
// all that waits: what comes later is due later.
func (s *Simulation) putOff(from int32) {
	if due, ok := s.pages[from].Due(); ok && !s.working[from] {
		s.working[from] = true
		s.schedule(max(due, s.now), heapWork, uint32(from), 0)
	}
}

// frameOwner names who is at a page frame, "" where nobody is.
func (s *Simulation) frameOwner(pfn uint64) (physmem.Kind, string) {
	kind, owner := s.memory.At(pfn)
	switch kind {
	case physmem.Free, physmem.Hole:
		return kind, ""
	case physmem.Kernel:
		return kind, "the kernel"
	case physmem.PageCache:
		return kind, "the page cache"
	case physmem.DMABuf:
		if owner == 0 { // in a heap's pool
			return kind, ""
		}
	}
	if i, ok := s.processOf[owner]; ok {
		return kind, s.processes[i].name
	}
	for i, o := range s.owners {
		if o == owner {
			return kind, s.cfg.Clients[i].Name
		}
	}
	return kind, "somebody"
}

// limited says whether a limit forbids a client so many bytes more of a heap.
func (s *Simulation) limited(client int, from int32, size uint64) bool {
	return s.cfg.Heaps[from].limits() && s.over(client, from, size)
}

// over is limited for a heap that has limits.
func (s *Simulation) over(client int, from int32, size uint64) bool {
	h := &s.cfg.Heaps[from]
	var all, own ledger.Usage
	if p := s.paged(from); p != nil {
		all, own = p.Usage(), p.ClientUsage(client)
	} else {
		l := s.heaps[from].Ledger
		all, own = l.Usage(), l.Owner(client)
	}
	over := func(limit, held uint64) bool { return limit > 0 && (held > limit || size > limit-held) }
	return over(h.Limit, all.Reserved) || over(h.LimitPerClient, own.Reserved)
}
