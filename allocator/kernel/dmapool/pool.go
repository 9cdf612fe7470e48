package dmapool

import (
	"errors"
	"fmt"
	"math"

	"dmasim/mem"
)

// Version is the release of Linux whose behaviour is modelled.
type Version uint8

// Versions.
const (
	Linux6_1 Version = iota
	Linux6_12
)

// minBlock is the space that the list of free blocks takes in a block, in bytes.
func (v Version) minBlock() uint64 {
	if v == Linux6_1 {
		return 4
	}
	return 16
}

// ErrNotAllocated is returned by [Pool.Free] for an address that is not that of
// a live block.
var ErrNotAllocated = errors.New("block is not allocated")

// Config describes a pool. Sizes are in bytes.
type Config struct {
	Version Version
	Size    uint64 // of a block, 1 to 2^31-1
	Align   uint64 // a power of two; 0 means 1
	// Boundary is what no block may cross, counted from the start of its page: a
	// power of two, at least the block; 0 means the size of an allocation.
	Boundary uint64
	PageSize uint64 // a power of two; 0 means 4096
}

// Pool hands out blocks of one size.
type Pool struct {
	offsets    []uint64 // of the blocks in an allocation
	allocation uint64
	source     func(size uint64) (addr uint64, ok bool)
	// free holds stacks of free blocks: one per page in Linux 6.1, one for the
	// whole pool in 6.12.
	free    [][]uint64
	perPage bool
	live    map[uint64]int // block to its stack
	pages   int
}

// New returns a pool without memory. It gets memory from source, which stands
// for dma_alloc_coherent: size bytes, never given back. The error says which
// part of the configuration dma_pool_create would refuse.
func New(c Config, source func(size uint64) (addr uint64, ok bool)) (*Pool, error) {
	align, pageSize := max(c.Align, 1), c.PageSize
	if pageSize == 0 {
		pageSize = 4096
	}
	switch {
	case c.Size == 0 || c.Size > math.MaxInt32:
		return nil, fmt.Errorf("block size %d: want 1 to 2^31-1", c.Size)
	case align&(align-1) != 0 || align > 1<<31:
		return nil, fmt.Errorf("alignment %d: want a power of two up to 2^31", align)
	case pageSize&(pageSize-1) != 0 || pageSize > 1<<31:
		return nil, fmt.Errorf("page size %d: want a power of two up to 2^31", pageSize)
	}
	size := (max(c.Size, c.Version.minBlock()) + align - 1) &^ (align - 1)
	allocation := max(size, pageSize)
	boundary := allocation
	if c.Boundary != 0 {
		if c.Boundary < size || c.Boundary&(c.Boundary-1) != 0 {
			return nil, fmt.Errorf("boundary %d: want a power of two, at least the block of %d bytes", c.Boundary, size)
		}
		boundary = min(c.Boundary, allocation)
	}
	p := &Pool{
		offsets:    c.Version.offsets(size, boundary, allocation),
		allocation: allocation,
		source:     source,
		perPage:    c.Version == Linux6_1,
		live:       map[uint64]int{},
	}
	if !p.perPage {
		p.free = make([][]uint64, 1)
	}
	return p, nil
}

// offsets returns where the blocks of a new allocation begin, by rising offset
// (pool_initialise_page).
func (v Version) offsets(size, boundary, allocation uint64) []uint64 {
	var list []uint64
	line := boundary // the next that must not be crossed
	for offset := uint64(0); offset+size <= allocation; {
		if v == Linux6_12 && offset+size > line {
			offset = line
			line += boundary
			continue
		}
		list = append(list, offset)
		offset += size
		if v == Linux6_1 && offset+size >= line {
			offset = line
			line += boundary
		}
	}
	return list
}

// BlocksPerPage returns the number of blocks in one allocation, which is a page
// or, for larger blocks, one block.
func (p *Pool) BlocksPerPage() int { return len(p.offsets) }

// Pages returns the number of allocations taken from the source.
func (p *Pool) Pages() int { return p.pages }

// Alloc returns the address of a block; false if there is none and the source
// gives no more memory.
func (p *Pool) Alloc() (uint64, bool) {
	stack := len(p.free) - 1
	for stack >= 0 && len(p.free[stack]) == 0 {
		stack--
	}
	if stack < 0 {
		if !p.grow() {
			return 0, false
		}
		stack = len(p.free) - 1
	}
	top := len(p.free[stack]) - 1
	block := p.free[stack][top]
	p.free[stack] = p.free[stack][:top]
	p.live[block] = stack
	return block, true
}

// grow adds the blocks of a new allocation, the lowest on top.
func (p *Pool) grow() bool {
	addr, ok := p.source(p.allocation)
	if !ok {
		return false
	}
	p.pages++
	if p.perPage {
		p.free = append(p.free, make([]uint64, 0, len(p.offsets)))
	}
	last := len(p.free) - 1
	for i := len(p.offsets) - 1; i >= 0; i-- {
		p.free[last] = append(p.free[last], addr+p.offsets[i])
	}
	return true
}

// Free gives back the block at addr. The error wraps ErrNotAllocated, and
// nothing changed, if no live block begins there.
func (p *Pool) Free(addr uint64) error {
	stack, ok := p.live[addr]
	if !ok {
		return fmt.Errorf("free %s: %w", mem.Addr(addr), ErrNotAllocated)
	}
	delete(p.live, addr)
	p.free[stack] = append(p.free[stack], addr)
	return nil
}
