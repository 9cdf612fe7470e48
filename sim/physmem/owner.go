package physmem

import (
	"fmt"
)

// Owner is who pages belong to: a process, or a class of buffers. Owner 0 is
// the kernel.
type Owner uint32

// OwnerConfig describes an owner.
type OwnerConfig struct {
	Name string
	// OOMScoreAdj is oom_score_adj, from -1000 (never killed) to 1000.
	OOMScoreAdj int
	// Unkillable owners are never chosen when memory is short: init, kernel
	// threads, and owners that are no processes.
	Unkillable bool
}

type owner struct {
	OwnerConfig
	sets [setsPerOwner]pageSet
	// Pages that the owner would find on disk: swapped out, or dropped from the
	// page cache.
	swapped, dropped uint64
	draws            uint64 // random numbers drawn for it
	gone             bool
}

// Usage is what an owner has, in pages.
type Usage struct {
	Kernel    uint64 // page tables, where the owner is a process
	Anonymous uint64 // resident
	PageCache uint64
	Swapped   uint64 // anonymous, in swap
	Dropped   uint64 // of the page cache, reclaimed
}

// AddOwner registers an owner.
func (m *Memory) AddOwner(cfg OwnerConfig) (Owner, error) {
	if cfg.OOMScoreAdj < -1000 || cfg.OOMScoreAdj > 1000 {
		return 0, fmt.Errorf("owner %s: oom_score_adj of %d: want -1000 to 1000", cfg.Name, cfg.OOMScoreAdj)
	}
	if len(m.owners) == maxOwners {
		return 0, fmt.Errorf("owner %s: more than %d", cfg.Name, maxOwners)
	}
	m.owners = append(m.owners, owner{OwnerConfig: cfg})
	return Owner(len(m.owners) - 1), nil
}

func (m *Memory) owner(o Owner) (*owner, error) {
	if uint64(o) >= uint64(len(m.owners)) || m.owners[o].gone {
		return nil, fmt.Errorf("owner %d: %w", o, ErrOwner)
	}
	return &m.owners[o], nil
}

// Usage returns what an owner has; nothing, once it is gone.
func (m *Memory) Usage(o Owner) Usage {
	if uint64(o) >= uint64(len(m.owners)) {
		return Usage{}
	}
	own := &m.owners[o]
	return Usage{
		Kernel:    own.sets[setKernel].n,
		Anonymous: own.sets[setAnonymous].n + own.sets[setAnonymousBusy].n + own.sets[setAnonymousPinned].n,
		PageCache: own.sets[setCache].n + own.sets[setCacheBusy].n + own.sets[setCachePinned].n,
		Swapped:   own.swapped,
		Dropped:   own.dropped,
	}
}

// Populate gives an owner pages of a kind (Kernel, Anonymous or PageCache), one
// by one through the normal path, as page faults, reads of files and the
// kernel's own growth do. It returns how many pages it gave. It ends early if a
// page cannot be had, or the owner is killed for want of memory; the pages of a
// killed owner are gone.
func (m *Memory) Populate(o Owner, k Kind, pages uint64) (got uint64, res Result, err error) {
	if _, err := m.owner(o); err != nil {
		return 0, res, fmt.Errorf("populate: %w", err)
	}
	if k != Kernel && !k.movable() {
		return 0, res, fmt.Errorf("populate with %s pages: %w", k, ErrKind)
	}
	r := m.request(Request{Kind: k, Owner: o})
	for ; got < pages; got++ {
		z, pfn, ok := m.alloc(&r, &res)
		if !ok {
			if res.Killed {
				got = 0
			}
			return got, res, nil
		}
		m.adopt(z, pfn, setOf(o, k))
	}
	return got, res, nil
}

// adopt makes a page that was just allocated a member of a set.
func (m *Memory) adopt(z *zone, pfn uint64, id setID) {
	frame := uint32(pfn - m.base)
	m.entry[frame] = m.roster.add(id, m.set(id), frame)
	if id.onLRU() {
		z.buddy.Push(&z.lru[lruOf(id.kind())], pfn)
	}
	m.count(z, Free, id.kind(), 1)
}

func (m *Memory) set(id setID) *pageSet { return &m.owners[id.owner()].sets[id.number()] }

// disown takes a page out of its set and off its LRU list. It is still
// allocated then.
func (m *Memory) disown(z *zone, pfn uint64) {
	frame := pfn - m.base
	slot := m.entry[frame]
	id := m.roster.set(slot)
	if id.onLRU() {
		z.buddy.Remove(&z.lru[lruOf(id.kind())], pfn)
	}
	moved := m.roster.remove(m.set(id), slot)
	m.entry[moved] = slot
	m.entry[frame] = 0
	m.count(z, id.kind(), Free, 1)
}

// drop frees a page of an owner.
func (m *Memory) drop(pfn uint64) *zone {
	i, _ := m.zoneOf(pfn)
	z := &m.zones[i]
	m.disown(z, pfn)
	_ = z.free(pfn) // live: it was in a set
	return z
}

// Release takes up to a number of pages of a kind from an owner, as unmapping
// or truncating does: pages drawn at random, wherever in memory or swap they
// are. Pages that are held in place go last. It returns how many there were.
func (m *Memory) Release(o Owner, k Kind, pages uint64) (uint64, error) {
	own, err := m.owner(o)
	if err != nil {
		return 0, fmt.Errorf("release: %w", err)
	}
	if k != Kernel && !k.movable() {
		return 0, fmt.Errorf("release %s pages: %w", k, ErrKind)
	}
	set := &own.sets[setOf(o, k).number()]
	released := uint64(0)
	for ; released < pages; released++ {
		swapped := uint64(0)
		if k == Anonymous {
			swapped = own.swapped
		}
		if set.n+swapped == 0 {
			break
		}
		if i := m.draw(o, set.n+swapped); i < set.n {
			m.drop(m.base + uint64(m.roster.at(set, i)))
		} else {
			own.swapped--
			m.swapUsed--
		}
	}
	for n := setAnonymousBusy; n < setsPerOwner; n++ {
		for held := &own.sets[n]; kindOfSet[n] == k && held.n > 0 && released < pages; released++ {
			m.drop(m.base + uint64(m.roster.at(held, held.n-1)))
		}
	}
	return released, nil
}

// draw returns a random number below n that depends on the seed, the owner and
// how many were drawn for it before.
func (m *Memory) draw(o Owner, n uint64) uint64 {
	own := &m.owners[o]
	own.draws++
	return below(m.seed, uint64(o), own.draws, n)
}

// ReleaseOwner ends an owner, as the exit of a process does: its pages and its
// swap space are free then, those that were held in place too. Blocks that
// were handed out to it stay; a dma-buf may have other holders.
func (m *Memory) ReleaseOwner(o Owner) error {
	own, err := m.owner(o)
	if err != nil {
		return fmt.Errorf("release owner: %w", err)
	}
	if o == 0 {
		return fmt.Errorf("release owner %s: %w", own.Name, ErrOwner)
	}
	m.release(own)
	own.gone = true
	return nil
}

func (m *Memory) release(own *owner) {
	for n := range own.sets {
		for set := &own.sets[n]; set.n > 0; {
			m.drop(m.base + uint64(m.roster.at(set, set.n-1)))
		}
	}
	m.swapUsed -= own.swapped
	own.swapped, own.dropped = 0, 0
}

// Touch lets an owner use pages of a kind (Anonymous or PageCache), drawn at
// random from all that it has or had. Pages that are resident become the
// youngest of their LRU list; others come back from swap or disk, which takes
// new pages. It returns how many came back. Like [Memory.Populate] it ends
// early where no page can be had.
func (m *Memory) Touch(o Owner, k Kind, pages uint64) (faults uint64, res Result, err error) {
	own, err := m.owner(o)
	if err != nil {
		return 0, res, fmt.Errorf("touch: %w", err)
	}
	if !k.movable() {
		return 0, res, fmt.Errorf("touch %s pages: %w", k, ErrKind)
	}
	r := m.request(Request{Kind: k, Owner: o})
	id := setOf(o, k)
	for range pages {
		set, absent := &own.sets[id.number()], own.absent(k)
		if set.n+*absent == 0 {
			break
		}
		if i := m.draw(o, set.n+*absent); i < set.n {
			m.refresh(m.base + uint64(m.roster.at(set, i)))
			continue
		}
		z, pfn, ok := m.alloc(&r, &res)
		if !ok {
			return faults, res, nil
		}
		m.adopt(z, pfn, id)
		own = &m.owners[o] // the handler of a kill may have added owners
		m.comeBack(own, k)
		faults++
	}
	return faults, res, nil
}

// absent returns how many pages of a kind an owner would find on disk.
func (own *owner) absent(k Kind) *uint64 {
	if k == Anonymous {
		return &own.swapped
	}
	return &own.dropped
}

// comeBack counts a page that was read back.
func (m *Memory) comeBack(own *owner, k Kind) {
	absent := own.absent(k)
	if *absent == 0 {
		return // the owner gave it up meanwhile
	}
	*absent--
	m.stats.Refaults++
	if k == Anonymous {
		m.swapUsed--
	}
}

// refresh makes a page the youngest of its LRU list.
func (m *Memory) refresh(pfn uint64) {
	i, _ := m.zoneOf(pfn)
	z := &m.zones[i]
	q := &z.lru[lruOf(m.roster.set(m.entry[pfn-m.base]).kind())]
	z.buddy.Remove(q, pfn)
	z.buddy.Push(q, pfn)
}
