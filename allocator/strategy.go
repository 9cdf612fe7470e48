package allocator

import (
	"errors"
	"fmt"

	"dmasim/mem"
)

// Strategy picks places for blocks in an arena. Blocks that are live at the
// same time never overlap, lie in the arena and satisfy their request as far
// as the strategy's [Spec] says that it honours it.
type Strategy interface {
	// Alloc places a block. False means that the strategy found no place and
	// that nothing changed.
	Alloc(Request) (Block, bool)
	// Free gives back a block as Alloc returned it. The error is a *FreeError,
	// and nothing changed, if the block is not live.
	Free(Block) error
}

// Why a block could not be freed.
var (
	ErrDoubleFree = errors.New("block is free already")
	ErrForeign    = errors.New("block was not allocated here")
)

// FreeError reports a Free that cannot be. Err is ErrDoubleFree or ErrForeign.
type FreeError struct {
	Block Block
	Err   error
}

func (e *FreeError) Error() string {
	return fmt.Sprintf("free %s+%s: %v", mem.Addr(e.Block.Addr), mem.Size(e.Block.Size), e.Err)
}

func (e *FreeError) Unwrap() error { return e.Err }

// Config is what every strategy is made from.
type Config struct {
	// Arena is the set of bytes to hand out; not empty. Strategies never place
	// a block across a gap of it. Ends that are no multiples of Granule are
	// not used.
	Arena mem.RangeSet
	// Granule is the unit of addresses and sizes in bytes; 0 means 1. Every
	// block starts and ends at a multiple of it.
	Granule uint64
	// Windows are the device mix, for strategies that keep scarce places for
	// those who need them: for each kind of request to come, the bytes that it
	// can use. It may be nil, and requests may differ from it.
	Windows []mem.RangeSet
	// Params are the strategy's own parameters, complete and checked when the
	// strategy was made by New.
	Params Params
}

// Usable returns the arena with the ends of each range cut to the granule.
func (c Config) Usable() mem.RangeSet {
	granule := max(c.Granule, 1)
	var cut []mem.Range
	for _, r := range c.Arena {
		if lo, ok := alignUp(r.Lo, granule); ok {
			cut = append(cut, mem.Range{Lo: lo, Hi: alignDown(r.Hi, granule)})
		}
	}
	return mem.NewRangeSet(cut...)
}
