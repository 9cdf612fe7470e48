package ledger

import (
	"fmt"
	"slices"

	"dmasim/mem"
)

// Check walks all live blocks and returns an error that names the first that
// breaks an invariant: blocks have a size that covers what was requested, lie
// in one range of the arena and do not overlap; the counters are the sums over
// the blocks, free and reserved bytes make up the capacity, and the hole index
// holds exactly what lies between the blocks. It costs time in proportion to
// the live blocks.
func (l *Ledger) Check() error {
	sums, err := l.checkBlocks()
	if err != nil {
		return err
	}
	if err := l.checkCounters(sums); err != nil {
		return err
	}
	return l.checkHoles()
}

// name describes a block in errors.
func (b *block) name() string {
	return fmt.Sprintf("block %s+%s of owner %d", mem.Addr(b.lo), mem.Size(b.size), b.owner)
}

// checkBlocks returns what each owner has.
func (l *Ledger) checkBlocks() ([]Usage, error) {
	sums := make([]Usage, len(l.owners))
	var below *block
	for _, e := range l.Live() {
		b := &l.blocks[e.Handle]
		switch {
		case b.size == 0 || b.end()-b.lo != b.size:
			return nil, fmt.Errorf("%s is empty or passes the end of the address space", b.name())
		case b.requested > b.size:
			return nil, fmt.Errorf("%s is smaller than the %s requested", b.name(), mem.Size(b.requested))
		case !l.arena.Contains(mem.Range{Lo: b.lo, Hi: b.end()}):
			return nil, fmt.Errorf("%s is not inside one range of the arena %s", b.name(), l.arena)
		case below != nil && below.end() > b.lo:
			return nil, fmt.Errorf("%s overlaps %s", b.name(), below.name())
		}
		sums[b.owner].add(b.size, b.requested)
		below = b
	}
	return sums, nil
}

func (l *Ledger) checkCounters(sums []Usage) error {
	var total Usage
	for owner, sum := range sums {
		if sum != l.owners[owner].Usage {
			return fmt.Errorf("owner %d has %+v counted, %+v by its blocks", owner, l.owners[owner].Usage, sum)
		}
		total.Blocks += sum.Blocks
		total.Reserved += sum.Reserved
		total.Requested += sum.Requested
	}
	if total != l.total {
		return fmt.Errorf("%+v counted, %+v by the blocks", l.total, total)
	}
	return nil
}

func (l *Ledger) checkHoles() error {
	x := l.holes()
	if free := x.Bytes(); free+l.total.Reserved != l.capacity {
		return fmt.Errorf("%s free and %s reserved do not make up the capacity of %s",
			mem.Size(free), mem.Size(l.total.Reserved), mem.Size(l.capacity))
	}
	blocks := make([]mem.Range, 0, l.total.Blocks)
	for _, e := range l.Live() {
		blocks = append(blocks, mem.Range{Lo: e.Lo, Hi: e.Hi})
	}
	want := l.arena.Subtract(mem.NewRangeSet(blocks...))
	if got := mem.RangeSet(slices.Collect(x.All())); !slices.Equal(got, want) {
		return fmt.Errorf("hole index holds %s, between the blocks lies %s", got, want)
	}
	return nil
}
