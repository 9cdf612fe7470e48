package physmem

// OutOfMemory tells of one process that is killed for want of memory: what the
// kernel logs then.
type OutOfMemory struct {
	Requester Owner
	Order     uint
	Victim    Owner
	Badness   int64 // of the victim, in pages
	Memory    Counters
	Zones     []ZoneState
	// Unexplained is the number of pages that are in no line of the kernel's
	// report (Mem-Info): neither free nor of the kernel, of a process or of the
	// page cache. They are dma-bufs.
	Unexplained uint64
}

type killed uint8

const (
	killedOther killed = iota
	killedSelf
	killedNone
)

// OnOutOfMemory registers what to do when a process is killed: close its
// descriptors, and so free what is left of its buffers. The handler may free
// blocks and release pages; its own requests are not served by further kills.
// The victim's pages are released in any case.
func (m *Memory) OnOutOfMemory(handler func(OutOfMemory)) { m.outOfMemory = handler }

// Badness returns how much the kernel would gain by killing an owner, in pages
// (oom_badness): what it has in memory and in swap, with its page tables,
// adjusted by oom_score_adj. False means that it is never killed. Blocks that
// were handed out to the owner, such as its dma-bufs, don't count.
func (m *Memory) Badness(o Owner) (int64, bool) {
	own, err := m.owner(o)
	if err != nil || own.Unkillable || own.OOMScoreAdj == -1000 || o == 0 {
		return 0, false
	}
	u := m.Usage(o)
	total := int64(m.managed + m.swapPages)
	return int64(u.Anonymous+u.Swapped+u.Kernel) + int64(own.OOMScoreAdj)*(total/1000), true
}

// victim returns the owner to kill: the worst, and of equals the latest
// (select_bad_process).
func (m *Memory) victim() (worst Owner, badness int64, ok bool) {
	for i := range m.owners {
		if b, killable := m.Badness(Owner(i)); killable && (!ok || b >= badness) {
			worst, badness, ok = Owner(i), b, true
		}
	}
	return worst, badness, ok
}

// kill ends the worst process (out_of_memory).
func (m *Memory) kill(r *request, res *Result) killed {
	victim, badness, ok := m.victim()
	if !ok {
		return killedNone
	}
	m.stats.Kills++
	res.Kills++
	if m.outOfMemory != nil {
		report := OutOfMemory{
			Requester: r.owner, Order: r.order, Victim: victim, Badness: badness,
			Memory: m.Counters(), Unexplained: m.kinds[DMABuf],
		}
		for i := range m.zones {
			report.Zones = append(report.Zones, m.Zone(i))
		}
		m.killing = true
		m.outOfMemory(report)
		m.killing = false
	}
	if own := &m.owners[victim]; !own.gone {
		m.release(own)
		own.gone = true
	}
	// The victim's pages must not wait on the lists of a CPU.
	m.drain()
	if victim == r.owner {
		return killedSelf
	}
	return killedOther
}
