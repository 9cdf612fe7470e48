package physmem

import (
	"fmt"

	"dmasim/allocator/kernel/buddy"
	"dmasim/mem"
)

// Check audits the whole memory, frame by frame: each has one owner or is free,
// the lists hold what they should and nothing else, and every counter agrees.
// It takes time in proportion to memory. The error says what is wrong; there
// is none unless this package is.
func (m *Memory) Check() error {
	var all [kinds]uint64
	members := uint64(0)
	for i := range m.zones {
		found, inSets, err := m.checkZone(&m.zones[i])
		if err != nil {
			return fmt.Errorf("zone %s: %w", m.zones[i].name, err)
		}
		members += inSets
		for k, n := range found {
			all[k] += n
		}
	}
	if all != m.kinds {
		return fmt.Errorf("pages by kind are %v, counted %v", all, m.kinds)
	}
	return m.checkOwners(members)
}

func (m *Memory) checkZone(z *zone) (found [kinds]uint64, members uint64, err error) {
	var queued [2]uint64
	for _, run := range z.ranges {
		for pfn := run.Lo; pfn < run.Hi; pfn++ {
			kind, owner := m.At(pfn)
			found[kind]++
			if uint64(owner) >= uint64(len(m.owners)) {
				return found, 0, fmt.Errorf("page frame %#x belongs to owner %d, who does not exist", pfn, owner)
			}
			e := m.entry[pfn-m.base]
			order, live := z.buddy.Order(pfn)
			switch {
			case e == 0 && live:
				return found, 0, fmt.Errorf("page frame %#x is allocated, and nobody's", pfn)
			case e == 0 || e&blockBit != 0 && e&contigBit == 0:
				continue
			case !live || order != 0:
				return found, 0, fmt.Errorf("page frame %#x is of %s, and not allocated as one page", pfn, kind)
			case e&contigBit != 0:
				continue
			}
			members++
			id := m.roster.set(e)
			if got := m.roster.chunks[e>>chunkShift][e&(chunkSize-1)]; uint64(got) != pfn-m.base {
				return found, 0, fmt.Errorf("slot %#x names page frame %#x, not %#x", e, m.base+uint64(got), pfn)
			}
			if m.owners[id.owner()].gone {
				return found, 0, fmt.Errorf("page frame %#x belongs to owner %d, who is gone", pfn, owner)
			}
			if id.onLRU() {
				queued[lruOf(kind)]++
			}
		}
	}
	if found != z.kinds {
		return found, 0, fmt.Errorf("pages by kind are %v, counted %v", found, z.kinds)
	}
	if err := m.checkLists(z); err != nil {
		return found, 0, err
	}
	for lru, want := range queued {
		if err := m.checkQueue(z, lru, want); err != nil {
			return found, 0, err
		}
	}
	return found, members, nil
}

// checkLists checks the free lists: each block lies in one run of the zone, is
// nobody's, and is on the list of its pageblock's type.
func (m *Memory) checkLists(z *zone) error {
	total, inCMA := uint64(0), uint64(0)
	for t := buddy.Unmovable; t <= buddy.CMA; t++ {
		for order := range uint(NumOrders) {
			n := uint64(0)
			for pfn := range z.buddy.Blocks(t, order) {
				n++
				if !z.ranges.Contains(mem.Range{Lo: pfn, Hi: pfn + 1<<order}) {
					return fmt.Errorf("free block of order %d at %#x has a hole", order, pfn)
				}
				for p := pfn; p < pfn+1<<order; p++ {
					if m.entry[p-m.base] != 0 {
						return fmt.Errorf("page frame %#x is free, and somebody's", p)
					}
				}
				if got := z.buddy.Pageblock(pfn).Type; got != t {
					return fmt.Errorf("free block at %#x is on the list of %s, its pageblock is %s", pfn, t, got)
				}
			}
			if n != z.buddy.FreeBlocks(t, order) {
				return fmt.Errorf("%d %s blocks of order %d are on the list, counted %d", n, t, order, z.buddy.FreeBlocks(t, order))
			}
			total += n << order
			if t == buddy.CMA {
				inCMA += n << order
			}
		}
	}
	free, freeCMA := z.buddy.FreePages()
	if free != total || freeCMA != inCMA {
		return fmt.Errorf("%d pages on the lists, %d of them CMA: counted %d, %d", total, inCMA, free, freeCMA)
	}
	if total+z.cached() != z.kinds[Free] {
		return fmt.Errorf("%d pages on the lists and %d on per-CPU lists: %d are free", total, z.cached(), z.kinds[Free])
	}
	return nil
}

// checkQueue checks that an LRU list holds exactly the pages that it should.
func (m *Memory) checkQueue(z *zone, lru int, want uint64) error {
	q := &z.lru[lru]
	n := uint64(0)
	for pfn, ok := z.buddy.Oldest(q); ok && n <= want; pfn, ok = z.buddy.Younger(pfn) {
		n++
		id, _, member := m.member(pfn)
		if !member || !id.onLRU() || lruOf(id.kind()) != lru {
			return fmt.Errorf("page frame %#x is on LRU list %d", pfn, lru)
		}
	}
	if n != want || q.Len() != want {
		return fmt.Errorf("LRU list %d has %d pages, counted %d: want %d", lru, n, q.Len(), want)
	}
	return nil
}

func (m *Memory) checkOwners(members uint64) error {
	swapped, listed := uint64(0), uint64(0)
	for o := range m.owners {
		own := &m.owners[o]
		swapped += own.swapped
		for n := range own.sets {
			listed += own.sets[n].n
			for _, c := range own.sets[n].chunks {
				if want := setID(o<<setShift | n); m.roster.sets[c] != want {
					return fmt.Errorf("chunk %d is of set %#x, not %#x", c, m.roster.sets[c], want)
				}
			}
		}
	}
	if swapped != m.swapUsed || swapped > m.swapPages {
		return fmt.Errorf("%d pages swapped out, counted %d of %d", swapped, m.swapUsed, m.swapPages)
	}
	if listed != members {
		return fmt.Errorf("owners list %d pages, %d are theirs", listed, members)
	}
	return nil
}
