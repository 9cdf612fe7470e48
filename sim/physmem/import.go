package physmem

import (
	"errors"
	"fmt"

	"dmasim/allocator/kernel/buddy"
	"dmasim/mem"
)

// ErrState is returned for a state that memory cannot be in.
var ErrState = errors.New("impossible state of memory")

// Population is a number of pages of an owner.
type Population struct {
	Owner Owner
	Kind  Kind // Kernel, Anonymous or PageCache
	Pages uint64
}

// FreeCounts says how many blocks of each order are free in a zone.
type FreeCounts struct {
	// ByType counts the blocks by the type of their pageblock, as
	// /proc/pagetypeinfo does.
	ByType [4][NumOrders]uint64 // by buddy.Type
	// Untyped counts more blocks whose type is not known, as /proc/buddyinfo
	// does. They are drawn: CMA and unmovable in proportion to the areas and to
	// the kernel's share of the pages in use, as far as that is possible, and
	// else movable.
	Untyped [NumOrders]uint64
	// Pageblocks is the number of pageblocks by type, as in /proc/pagetypeinfo.
	// Where all are 0, the unmovable ones are as many as hold the kernel's pages.
	// Those of a CMA area are always CMA, and the rest is movable.
	Pageblocks [4]uint64
}

// State describes memory by counts, as a running machine does. Where things
// are in it is not known, and drawn.
type State struct {
	Seed  uint64
	Zones []FreeCounts // one for each zone
	Used  []Population // pages in use beyond these are the kernel's
}

// Import brings memory that is as New returned it, but for its owners, into a
// state. Its free lists then have exactly the counts of the state. Kernel
// pages lie in unmovable pageblocks and movable pages in others as far as they
// fit. The kernel also has what is in use of CMA areas and of zones for movable pages
// beyond the movable pages, as buffers of drivers and huge pages are on a real
// machine. LRU lists are in random order.
//
// The error is ErrState, and nothing changed, if there is no such memory.
func (m *Memory) Import(s State) error {
	for k, n := range m.kinds {
		if Kind(k) != Free && n != 0 {
			return fmt.Errorf("import a state: memory is in use: %w", ErrState)
		}
	}
	if len(s.Zones) != len(m.zones) {
		return fmt.Errorf("import a state of %d zones into %d: %w", len(s.Zones), len(m.zones), ErrState)
	}
	f, err := m.filling(s)
	if err != nil {
		return fmt.Errorf("import a state: %w", err)
	}
	m.drain()
	layouts := make([]layout, len(m.zones))
	for i := range m.zones {
		if layouts[i], err = m.layout(i, s, f); err != nil {
			return fmt.Errorf("import a state: zone %s: %w", m.zones[i].name, err)
		}
		f.restricted += layouts[i].restricted
	}
	for i := range m.zones {
		m.build(&m.zones[i], layouts[i], f)
	}
	return nil
}

// filling is what is left to put into memory.
type filling struct {
	dice       dice
	used       []Population
	kernel     uint64 // pages
	movable    uint64
	restricted uint64 // pages that movable ones take first
}

// filling checks the amounts of a state.
func (m *Memory) filling(s State) (*filling, error) {
	free, used := uint64(0), uint64(0)
	for i, z := range s.Zones {
		n := uint64(0)
		for order := range NumOrders {
			blocks := z.Untyped[order]
			for t := range z.ByType {
				blocks += z.ByType[t][order]
			}
			if blocks > m.zones[i].managed {
				return nil, fmt.Errorf("%d blocks in a zone of %d pages: %w", blocks, m.zones[i].managed, ErrState)
			}
			n += blocks << order
		}
		if n > m.zones[i].managed {
			return nil, fmt.Errorf("%d of %d pages of zone %s are free: %w", n, m.zones[i].managed, m.zones[i].name, ErrState)
		}
		free += n
	}
	f := &filling{dice: dice{seed: s.Seed, purpose: 1 << 32}}
	for _, p := range s.Used {
		if _, err := m.owner(p.Owner); err != nil {
			return nil, err
		}
		if p.Kind != Kernel && !p.Kind.movable() {
			return nil, fmt.Errorf("pages of %s: %w", p.Kind, ErrKind)
		}
		if p.Pages > m.managed-free-used {
			return nil, fmt.Errorf("more pages in use than the %d that are not free: %w", m.managed-free, ErrState)
		}
		used += p.Pages
		if p.Kind.movable() {
			f.movable += p.Pages
		}
		f.used = append(f.used, p)
	}
	f.used = append(f.used, Population{Kind: Kernel, Pages: m.managed - free - used})
	f.kernel = m.managed - free - f.movable
	return f, nil
}

// layout is where the free blocks of a zone are, and the types of the
// pageblocks that are not movable or CMA.
type layout struct {
	free       []Block
	types      []pageblockType
	restricted uint64 // pages in use where movable ones come first
}

type pageblockType struct {
	pfn uint64
	t   buddy.Type
}

// cmaPages returns the page frames of CMA areas in a zone.
func (m *Memory) cmaPages(zone int) mem.RangeSet {
	var set mem.RangeSet
	for _, a := range m.areas {
		if a.zone == zone {
			set = set.Union(mem.RangeSet{a.pages})
		}
	}
	return set
}

// layout draws the layout of a zone. If types were drawn with which there is
// none, it draws those again with which there is most room.
func (m *Memory) layout(zone int, s State, f *filling) (l layout, err error) {
	d := &dice{seed: s.Seed, purpose: uint64(zone)}
	for _, how := range []assignment{{unmovable: true}, {}, {cmaFirst: true}} {
		counts := s.Zones[zone]
		counts.assign(how, &m.zones[zone], m.cmaPages(zone), f, d)
		if l, err = m.place(zone, counts, f, d); err == nil || s.Zones[zone].Untyped == [NumOrders]uint64{} {
			break
		}
	}
	return l, err
}

// place draws the layout of a zone whose blocks all have a type.
func (m *Memory) place(zone int, counts FreeCounts, f *filling, d *dice) (layout, error) {
	z := &m.zones[zone]
	areas := m.cmaPages(zone)

	var l layout
	var lent, rest pieces
	lent.addRuns(areas)
	rest.addRuns(z.ranges.Subtract(areas))
	fill := func(p *pieces, t buddy.Type, orders ...uint) error {
		for _, order := range orders {
			for n := range counts.ByType[t][order] {
				pfn, ok := p.place(order, d)
				if !ok && p != &rest && p != &lent {
					// Pageblocks with a hole in them are nobody's so far.
					if at, partial := rest.give(p, order, m.pageblock); partial {
						l.types = append(l.types, pageblockType{at, t})
						pfn, ok = p.place(order, d)
					}
				}
				if !ok {
					return fmt.Errorf("there is room for %d of %d free %s blocks of order %d: %w", n, counts.ByType[t][order], t, order, ErrState)
				}
				l.free = append(l.free, Block{pfn, order})
				if order >= m.pageblock && (t == buddy.Unmovable || t == buddy.Reclaimable) {
					for at := pfn; at < pfn+1<<order; at += 1 << m.pageblock {
						l.types = append(l.types, pageblockType{at, t})
					}
				}
			}
		}
		return nil
	}
	mixed := [3]buddy.Type{buddy.Unmovable, buddy.Reclaimable, buddy.Movable}
	for order := uint(buddy.MaxOrder); order >= m.pageblock; order-- {
		for _, t := range mixed {
			if err := fill(&rest, t, order); err != nil {
				return l, err
			}
		}
	}
	var below []uint
	for order := int(m.pageblock) - 1; order >= 0; order-- {
		below = append(below, uint(order))
	}
	// What is left of whole pageblocks is dealt out to the types.
	list := rest.pageblocks(m.pageblock)
	for i, t := range mixed[:2] {
		var own pieces
		for range m.pageblocksOf(counts, mixed[i:], uint64(len(list)), f, z) {
			at := remove(&list, d.below(uint64(len(list))))
			own.part[m.pageblock] = append(own.part[m.pageblock], at)
			l.types = append(l.types, pageblockType{at, t})
		}
		if err := fill(&own, t, below...); err != nil {
			return l, err
		}
	}
	rest.part[m.pageblock] = list
	if err := fill(&rest, buddy.Movable, below...); err != nil {
		return l, err
	}
	for order := uint(buddy.MaxOrder); order < NumOrders; order-- {
		if err := fill(&lent, buddy.CMA, order); err != nil {
			return l, err
		}
	}
	l.restricted = areas.Size()
	for order, n := range counts.ByType[buddy.CMA] {
		l.restricted -= n << order
	}
	if z.class > classNormal {
		l.restricted = z.managed
		for _, b := range l.free {
			l.restricted -= 1 << b.Order
		}
	}
	return l, nil
}

// pageblocksOf returns how many of a number of pageblocks, none of which is free
// as a whole, get the first of some types. The others need theirs, too.
func (m *Memory) pageblocksOf(c FreeCounts, list []buddy.Type, of uint64, f *filling, z *zone) uint64 {
	t := list[0]
	need, want := pageblocksFor(c.ByType[t], m.pageblock), uint64(0)
	switch {
	case c.Pageblocks != [4]uint64{}:
		free := uint64(0)
		for order := m.pageblock; order < NumOrders; order++ {
			free += c.ByType[t][order] << (order - m.pageblock)
		}
		want = c.Pageblocks[t] - min(c.Pageblocks[t], free)
	case t == buddy.Unmovable && z.class <= classNormal:
		pages := f.kernel * z.managed / m.managed
		for order := range m.pageblock {
			pages += c.ByType[t][order] << order
		}
		want = pages >> m.pageblock
	}
	spare := of
	for _, other := range list[1:] {
		spare -= min(spare, pageblocksFor(c.ByType[other], m.pageblock))
	}
	return min(max(need, min(want, spare)), of)
}

// assignment is a way to give types to blocks whose type is not known.
type assignment struct {
	unmovable bool // some are unmovable
	cmaFirst  bool // what fits into CMA areas goes there
}

// assign draws the types of blocks whose type is not known.
func (c *FreeCounts) assign(how assignment, z *zone, areas mem.RangeSet, f *filling, d *dice) {
	var lent pieces // tells what still fits
	lent.addRuns(areas)
	inCMA, share := areas.Size(), uint64(0)
	if how.unmovable && f.kernel > 0 && z.class <= classNormal {
		share = f.kernel
	}
	fits := func(order uint) bool {
		_, ok := lent.place(order, d)
		return ok
	}
	for order := NumOrders - 1; order >= 0; order-- {
		for range c.ByType[buddy.CMA][order] {
			fits(uint(order))
		}
		for range c.Untyped[order] {
			t := buddy.Movable
			switch {
			case (how.cmaFirst || d.below(z.managed) < inCMA) && fits(uint(order)):
				t = buddy.CMA
			case share > 0 && d.below(f.kernel+f.movable) < share:
				t = buddy.Unmovable
			}
			c.ByType[t][order]++
		}
		c.Untyped[order] = 0
	}
}

// build puts a layout into a zone whose pages are all free.
func (m *Memory) build(z *zone, l layout, f *filling) {
	z.buddy.TakeAll()
	size := uint64(1) << m.pageblock
	for pfn := z.hull.Lo &^ (size - 1); pfn < z.hull.Hi; pfn += size {
		if at := max(pfn, z.hull.Lo); z.buddy.Pageblock(at).Type != buddy.CMA {
			_ = z.buddy.Retype(at, buddy.Movable) // no page of the zone is free
		}
	}
	for _, b := range l.types {
		_ = z.buddy.Retype(b.pfn, b.t)
	}
	for len(l.free) > 0 {
		i := f.dice.below(uint64(len(l.free)))
		b := l.free[i]
		l.free[i] = l.free[len(l.free)-1]
		l.free = l.free[:len(l.free)-1]
		for pfn := b.PFN; pfn < b.PFN+1<<b.Order; pfn++ {
			_ = z.buddy.Free(pfn) // live: all are taken
		}
	}
	// Every page in use gets an owner, in an order that leaps about the zone, so
	// that neighbours are of different age.
	span := z.hull.Size()
	step := stride(span)
	for i, at := uint64(0), uint64(0); i < span; i, at = i+1, (at+step)%span {
		pfn := z.hull.Lo + at
		if _, live := z.buddy.Order(pfn); live {
			t := z.buddy.Pageblock(pfn).Type
			id := f.next(t, z.class > classNormal)
			if id.onLRU() {
				z.buddy.SetLRU(pfn)
			}
			m.adopt(z, pfn, id)
		}
	}
}

// stride returns a number without a common divisor with n, near the golden
// section of it.
func stride(n uint64) uint64 {
	for s := max(n*618/1000, 1); ; s++ {
		a, b := s, n
		for b != 0 {
			a, b = b, a%b
		}
		if a == 1 {
			return s
		}
	}
}

// next draws who gets a page in a pageblock of a type.
func (f *filling) next(t buddy.Type, movableOnly bool) setID {
	movable := f.kernel == 0
	switch {
	case movableOnly || t == buddy.CMA:
		f.restricted--
		movable = f.movable > 0
	case t == buddy.Movable:
		movable = movable || f.movable > f.restricted
	case f.movable <= f.restricted:
		movable = false
	}
	total := &f.kernel
	if movable {
		total = &f.movable
	}
	pick := f.dice.below(*total)
	*total--
	for i := range f.used {
		p := &f.used[i]
		if p.Kind.movable() != movable {
			continue
		}
		if pick < p.Pages {
			p.Pages--
			return setOf(p.Owner, p.Kind)
		}
		pick -= p.Pages
	}
	return setOf(0, Kernel)
}
