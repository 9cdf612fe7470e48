package sim

import (
	"fmt"

	"dmasim/allocator/kernel/buddy"
	"dmasim/sim/physmem"
)

// startState brings memory into the state of the beginning: aged, as the files of
// a real machine count it, or filled from the start of a fresh one.
func (s *Simulation) startState() error {
	m := s.cfg.Machine
	own := make([]physmem.Population, 0, len(s.cfg.Processes))
	for i := range s.cfg.Processes {
		own = append(own, s.population(s.processOwners[i], physmem.Anonymous, s.cfg.Processes[i].Anonymous))
	}
	cache := s.population(s.files, physmem.PageCache, m.PageCache)
	switch {
	case m.State != nil:
		if err := s.importState(); err != nil {
			return err
		}
	case m.Aged != nil:
		used := append(own, cache)
		free := s.memory.Counters().Managed
		for _, p := range append(used, s.population(0, physmem.Kernel, m.KernelMemory)) {
			if p.Pages > free {
				return fmt.Errorf("machine: %w", ErrMemory)
			}
			free -= p.Pages
		}
		return s.memory.Age(physmem.AgeConfig{Seed: m.Seed, Order: m.Aged.Order, Free: free, Target: m.Aged.Unusable, Used: used})
	default:
		own = append([]physmem.Population{s.population(0, physmem.Kernel, m.KernelMemory), cache}, own...)
	}
	for _, p := range own {
		if err := s.fillWith(p); err != nil {
			return fmt.Errorf("machine: %d pages of %s: %w", p.Pages, p.Kind, err)
		}
	}
	return nil
}

func (s *Simulation) population(owner physmem.Owner, kind physmem.Kind, bytes uint64) physmem.Population {
	return physmem.Population{Owner: owner, Kind: kind, Pages: bytes / s.memory.PageSize()}
}

// fillWith gives an owner memory before the simulation begins. Nobody is killed
// for it.
func (s *Simulation) fillWith(p physmem.Population) error {
	if counters := s.memory.Counters(); p.Pages > counters.Free+counters.PerCPU {
		return ErrMemory
	}
	got, _, err := s.memory.Populate(p.Owner, p.Kind, p.Pages)
	if err == nil && got < p.Pages {
		err = ErrMemory
	}
	return err
}

// importState makes memory as a real machine counted it. Programs that ran there
// are one owner, which is never killed, since nobody knows which they were. What
// lay on the lists of its CPUs is page cache: it may be of any type of pageblock, and
// is given when memory is short.
func (s *Simulation) importState() error {
	m := s.cfg.Machine
	programs, err := s.memory.AddOwner(physmem.OwnerConfig{Name: "programs", Unkillable: true})
	if err != nil {
		return err
	}
	state := physmem.State{Seed: m.Seed}
	var anonymous, cache uint64
	for i := range m.State.Zones {
		z := &m.State.Zones[i]
		anonymous += z.Pages.Anonymous
		cache += z.Pages.PageCache + z.Pages.Unevictable + z.Pages.PerCPU
		var counts physmem.FreeCounts
		for _, t := range z.Types {
			known, ok := migrateTypes[t.Name]
			for order, n := range t.FreeBlocks {
				if order >= physmem.NumOrders {
					n <<= order - physmem.NumOrders + 1
					order = physmem.NumOrders - 1
				}
				if ok {
					counts.ByType[known][order] += n
				} else {
					counts.Untyped[order] += n
				}
			}
			if ok {
				counts.Pageblocks[known] += t.Pageblocks
			}
		}
		if len(z.Types) == 0 {
			for order, n := range z.FreeBlocks {
				if order >= physmem.NumOrders {
					n <<= order - physmem.NumOrders + 1
					order = physmem.NumOrders - 1
				}
				counts.Untyped[order] += n
			}
		}
		state.Zones = append(state.Zones, counts)
	}
	state.Used = []physmem.Population{
		{Owner: programs, Kind: physmem.Anonymous, Pages: anonymous}, {Owner: s.files, Kind: physmem.PageCache, Pages: cache},
	}
	if err := s.memory.Import(state); err != nil {
		return fmt.Errorf("machine: %w", err)
	}
	return nil
}

// migrateTypes are those that pageblocks keep; what is reserved or isolated at the
// moment counts as of no known type.
var migrateTypes = map[string]buddy.Type{
	"Unmovable": buddy.Unmovable, "Movable": buddy.Movable, "Reclaimable": buddy.Reclaimable, "CMA": buddy.CMA,
}

// addOwners registers who may have page frames.
func (s *Simulation) addOwners() error {
	add := func(cfg physmem.OwnerConfig) (owner physmem.Owner) {
		var err error
		if owner, err = s.memory.AddOwner(cfg); err != nil && s.broken == nil {
			s.broken = err
		}
		return owner
	}
	s.files = add(physmem.OwnerConfig{Name: "page cache", Unkillable: true})
	for i := range s.cfg.Clients {
		s.owners = append(s.owners, add(physmem.OwnerConfig{Name: s.cfg.Clients[i].Name, Unkillable: true}))
	}
	s.processOf = map[physmem.Owner]int32{}
	for i := range s.cfg.Processes {
		p := &s.cfg.Processes[i]
		owner := add(physmem.OwnerConfig{Name: p.Name, OOMScoreAdj: p.OOMScoreAdj})
		s.processOwners = append(s.processOwners, owner)
		s.processOf[owner] = int32(i)
	}
	return s.broken
}
