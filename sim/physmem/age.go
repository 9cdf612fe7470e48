package physmem

import (
	"fmt"
	"math"
)

// AgeConfig describes memory that has been in use for long.
type AgeConfig struct {
	Seed  uint64
	Order uint   // of the blocks that Target is about
	Free  uint64 // pages, over all zones in proportion to their size
	// Target is the share of the free pages that blocks of Order cannot use
	// (unusable_free_index), from 0 to 1.
	Target float64
	Used   []Population // pages in use beyond these are the kernel's
}

// Age makes memory that is as New returned it, but for its owners, look as
// after long use: of the free pages of each zone, the target share lies in
// blocks smaller than the order, and the rest in blocks at least as large. Each
// of these orders has the same number of pages, as far as whole blocks allow.
// Where they are is drawn as [Memory.Import] does.
//
// The unusable free index of each zone differs from the target by less than
// 2^Order divided by the zone's free pages. The error is ErrState, and nothing
// changed, if that is impossible: free pages in small blocks need a page in use
// beside each, so they can be half of a zone for order 1, and a larger part for
// higher orders.
func (m *Memory) Age(cfg AgeConfig) error {
	if cfg.Order >= NumOrders || !(cfg.Target >= 0 && cfg.Target <= 1) {
		return fmt.Errorf("age memory to an unusable free index of %g for order %d: %w", cfg.Target, cfg.Order, ErrState)
	}
	if cfg.Free > m.managed {
		return fmt.Errorf("age memory to %d free pages of %d: %w", cfg.Free, m.managed, ErrState)
	}
	s := State{Seed: cfg.Seed, Used: cfg.Used, Zones: make([]FreeCounts, len(m.zones))}
	left, above := cfg.Free, m.managed
	for i := range m.zones {
		free := uint64(math.Round(float64(left) * float64(m.zones[i].managed) / float64(above)))
		free = min(free, left, m.zones[i].managed)
		left, above = left-free, above-m.zones[i].managed
		s.Zones[i].Untyped = aged(free, cfg.Order, cfg.Target)
	}
	if err := m.Import(s); err != nil {
		return fmt.Errorf("age memory: %w", err)
	}
	return nil
}

// aged returns free blocks of which a share is too small for an order. For
// order 0 nothing is.
func aged(free uint64, order uint, target float64) (blocks [NumOrders]uint64) {
	usable := uint64(math.Round((1-target)*float64(free)/float64(uint64(1)<<order))) << order
	if usable > free {
		usable -= 1 << order
	}
	if order == 0 {
		usable = free
	}
	spread(&blocks, usable, order, NumOrders)
	spread(&blocks, free-usable, 0, order)
	return blocks
}

// spread makes blocks of the orders from one up to another, which is not
// included, with about the same number of pages each.
func spread(blocks *[NumOrders]uint64, pages uint64, from, to uint) {
	for order := to; order > from && pages > 0; {
		order--
		blocks[order] = pages / uint64(order-from+1) >> order
		pages -= blocks[order] << order
	}
}
