package ledger

import (
	"fmt"
	"math"
	"slices"

	"dmasim/allocator"
	"dmasim/allocator/holes"
	"dmasim/internal/radix"
	"dmasim/mem"
)

// Ledger records the live blocks of an arena.
type Ledger struct {
	arena    mem.RangeSet
	capacity uint64

	total         Usage
	owners        []owner
	peakReserved  uint64
	peakRequested uint64
	highWater     uint64

	blocks []block  // by handle
	states []state  // by handle
	spare  []Handle // of blocks that are not live

	watches []watch

	// What happened since the hole index was brought up to date: the blocks in
	// it that were freed, and the blocks that may have to be taken out of it.
	freed  []mem.Range
	placed []Handle
	index  *holes.Index
	free   tally
	broken bool        // live blocks overlap or leave the arena
	gaps   []mem.Range // reused by findGaps

	order  []Entry  // live blocks by address, and some that were freed since: see ordered
	recent []Handle // of all other live blocks, and of some that were freed

	fresh, former    []Entry      // reused by Live
	gathered, sorted []radix.Item // so are these
}

// Handle names a live block. Handles are small numbers, below the largest
// number of blocks that were ever live at once; that of a freed block is given
// to a later one.
type Handle uint32

// Usage counts live blocks and their bytes.
type Usage struct {
	Blocks              int
	Reserved, Requested uint64
}

// owner is what one has, and the watches that its blocks pollute.
type owner struct {
	Usage
	spoils []int32
}

// block is a live block, or the place of one.
type block struct {
	lo, size, requested uint64
	owner               int32
}

// state says where a block is known.
type state uint8

const (
	ordered state = 1 << iota // it is in Ledger.order; all others there were freed
	live                      // it was not freed
	indexed                   // the hole index does not hold its bytes
	noted                     // its handle is in Ledger.placed
	late                      // its handle is in Ledger.recent
)

// end returns the address behind the block, cut at the end of the space.
func (b *block) end() uint64 {
	if b.size > math.MaxUint64-b.lo {
		return math.MaxUint64
	}
	return b.lo + b.size
}

// New returns a ledger of an arena that is all free. Owners are numbered from
// 0 to owners-1.
func New(arena mem.RangeSet, owners int) *Ledger {
	arena = mem.NewRangeSet(arena...)
	l := &Ledger{
		arena:    arena,
		capacity: arena.Size(),
		owners:   make([]owner, owners),
		index:    holes.New(arena),
		free:     newTally(arena),
	}
	for _, r := range arena {
		l.free.give(r)
	}
	return l
}

// Alloc records that a strategy placed b for an owner who asked for requested
// bytes. It panics if there is no such owner.
func (l *Ledger) Alloc(b allocator.Block, requested uint64, owner int) Handle {
	var h Handle
	if last := len(l.spare) - 1; last >= 0 {
		h, l.spare = l.spare[last], l.spare[:last]
	} else {
		h = l.newHandle()
	}
	state := l.states[h]
	if state&noted == 0 {
		l.placed = append(l.placed, h)
	}
	// Whether it is late is as good as random, so that a branch on it would be
	// guessed wrong. There is room for all handles.
	n := len(l.recent)
	l.recent = l.recent[:n+1]
	l.recent[n] = h
	l.recent = l.recent[:n+1-int(state&late/late)]
	l.states[h] = live | noted | late
	e := &l.blocks[h]
	e.lo, e.size, e.requested, e.owner = b.Addr, b.Size, requested, int32(owner)

	l.total.add(b.Size, requested)
	its := &l.owners[owner]
	its.add(b.Size, requested)
	l.peakReserved = max(l.peakReserved, l.total.Reserved)
	l.peakRequested = max(l.peakRequested, l.total.Requested)
	l.highWater = max(l.highWater, e.end())
	for _, w := range its.spoils {
		l.watches[w].polluted += l.watches[w].overlap(e)
	}
	return h
}

// newHandle makes a handle that no block has had.
func (l *Ledger) newHandle() Handle {
	l.blocks, l.states = append(l.blocks, block{}), append(l.states, 0)
	l.recent = slices.Grow(l.recent, len(l.blocks)+1-len(l.recent))
	return Handle(len(l.blocks) - 1)
}

// Free records that a block was given back. The error is a *HandleError, and
// nothing changed, if h names no live block. Once the handle of a freed block
// was given to another, a second Free of it is not told from the first of the
// other.
func (l *Ledger) Free(h Handle) error {
	if uint64(h) >= uint64(len(l.states)) {
		return &HandleError{h}
	}
	e := &l.blocks[h]
	return l.FreeBlock(h, allocator.Block{Addr: e.lo, Size: e.size}, e.requested, int(e.owner))
}

// FreeBlock is Free for those who know what Alloc was told of the block, which need
// not be looked up then.
func (l *Ledger) FreeBlock(h Handle, b allocator.Block, requested uint64, owner int) error {
	state := state(0)
	if uint64(h) < uint64(len(l.states)) {
		state = l.states[h]
	}
	if state&live == 0 {
		return &HandleError{h}
	}
	if state&indexed != 0 {
		l.freed = append(l.freed, mem.Range{Lo: b.Addr, Hi: l.blocks[h].end()})
	}
	l.states[h] = state & (noted | late)
	l.spare = append(l.spare, h)

	l.total.sub(b.Size, requested)
	its := &l.owners[owner]
	its.sub(b.Size, requested)
	for _, w := range its.spoils {
		l.watches[w].polluted -= l.watches[w].overlap(&l.blocks[h])
	}
	return nil
}

// HandleError reports a Free of a handle that names no live block.
type HandleError struct{ Handle Handle }

func (e *HandleError) Error() string {
	return fmt.Sprintf("free of handle %d, which names no live block", e.Handle)
}

func (u *Usage) add(reserved, requested uint64) {
	u.Blocks++
	u.Reserved += reserved
	u.Requested += requested
}

func (u *Usage) sub(reserved, requested uint64) {
	u.Blocks--
	u.Reserved -= reserved
	u.Requested -= requested
}

// Capacity returns the size of the arena in bytes.
func (l *Ledger) Capacity() uint64 { return l.capacity }

// FreeBytes returns the capacity less the reserved bytes.
func (l *Ledger) FreeBytes() uint64 { return l.capacity - min(l.total.Reserved, l.capacity) }

// Usage returns what all live blocks have together.
func (l *Ledger) Usage() Usage { return l.total }

// Reserved returns the bytes that the live blocks hold.
func (l *Ledger) Reserved() uint64 { return l.total.Reserved }

// Requested returns the bytes that were asked for when the live blocks were
// placed.
func (l *Ledger) Requested() uint64 { return l.total.Requested }

// Blocks returns the number of live blocks.
func (l *Ledger) Blocks() int { return l.total.Blocks }

// Owner returns what one owner has.
func (l *Ledger) Owner(owner int) Usage { return l.owners[owner].Usage }

// PeakReserved returns the most bytes that were ever reserved at once.
func (l *Ledger) PeakReserved() uint64 { return l.peakReserved }

// PeakRequested returns the most bytes that were ever requested at once.
func (l *Ledger) PeakRequested() uint64 { return l.peakRequested }

// HighWater returns the end of the highest block ever placed, an address; 0 if
// there was none.
func (l *Ledger) HighWater() uint64 { return l.highWater }
