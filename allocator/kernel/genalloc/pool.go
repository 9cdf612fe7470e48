package genalloc

import (
	"errors"
	"fmt"
	"math"
	"math/bits"

	"dmasim/mem"
)

// ErrNotAllocated is returned by [Pool.Free] for bytes that are free or in no
// chunk.
var ErrNotAllocated = errors.New("bytes are not allocated")

// Pool hands out memory in granules of 2^order bytes.
type Pool struct {
	order  uint
	chunks []*chunk // the newest last
}

// New returns a pool without memory, with granules of 2^minAllocOrder bytes.
func New(minAllocOrder uint) (*Pool, error) {
	if minAllocOrder >= 64 {
		return nil, fmt.Errorf("minimum allocation order %d: want less than 64", minAllocOrder)
	}
	return &Pool{order: minAllocOrder}, nil
}

// Add adds the chunk [base, base+size) (gen_pool_add). It will be searched
// before all that were added earlier. Bytes at its end that fill no granule are
// not used. The error says that the chunk wraps around or overlaps another.
func (p *Pool) Add(base, size uint64) error {
	if size > math.MaxUint64-base {
		return fmt.Errorf("chunk of %d bytes at %#x: want an end below 2^64", size, base)
	}
	at := mem.Range{Lo: base, Hi: base + size}
	for _, c := range p.chunks {
		if c.at.Overlaps(at) {
			return fmt.Errorf("chunk %s overlaps chunk %s", at, c.at)
		}
	}
	p.chunks = append(p.chunks, newChunk(at, size>>p.order))
	return nil
}

// FirstFit returns the lowest place for size bytes (gen_pool_first_fit).
func (p *Pool) FirstFit(size uint64) (uint64, bool) {
	return p.alloc(size, func(c *chunk, n uint64) (uint64, bool) { return c.firstFit(n, 0, 0) })
}

// BestFit returns the start of the shortest free run that holds size bytes, the
// lowest of several (gen_pool_best_fit).
func (p *Pool) BestFit(size uint64) (uint64, bool) { return p.alloc(size, (*chunk).bestFit) }

// FirstFitAlign returns the lowest place for size bytes at a multiple of align,
// a power of two (gen_pool_first_fit_align). If the chunk does not begin at a
// multiple of the granule, neither does the place, nor at one of align.
func (p *Pool) FirstFitAlign(size, align uint64) (uint64, bool) {
	if bits.OnesCount64(align) != 1 {
		return 0, false
	}
	mask := max(align>>p.order, 1) - 1
	return p.alloc(size, func(c *chunk, n uint64) (uint64, bool) {
		return c.firstFit(n, mask, c.at.Lo&(align-1)>>p.order)
	})
}

// FirstFitOrderAlign returns the lowest place for size bytes whose distance from
// the start of the chunk is a multiple of the granules rounded up to a power of
// two (gen_pool_first_fit_order_align).
func (p *Pool) FirstFitOrderAlign(size uint64) (uint64, bool) {
	return p.alloc(size, func(c *chunk, n uint64) (uint64, bool) {
		return c.firstFit(n, 1<<bits.Len64(n-1)-1, 0)
	})
}

// Fixed returns the place for size bytes that is offset bytes into a chunk, of
// the newest chunk where it is free (gen_pool_fixed_alloc). It fails for an
// offset that is not a multiple of the granule.
func (p *Pool) Fixed(size, offset uint64) (uint64, bool) {
	granule := offset >> p.order
	if granule<<p.order != offset {
		return 0, false
	}
	return p.alloc(size, func(c *chunk, n uint64) (uint64, bool) { return granule, c.isFree(granule, n) })
}

// alloc allocates size bytes where find finds a free place for that many
// granules (gen_pool_alloc_algo_owner).
func (p *Pool) alloc(size uint64, find func(*chunk, uint64) (uint64, bool)) (uint64, bool) {
	if size == 0 {
		return 0, false
	}
	n := p.granules(size)
	for i := len(p.chunks) - 1; i >= 0; i-- {
		c := p.chunks[i]
		if granule, ok := find(c, n); ok {
			c.take(granule, n)
			return c.at.Lo + granule<<p.order, true
		}
	}
	return 0, false
}

// Free gives back size bytes at addr (gen_pool_free). The error is
// ErrNotAllocated, and nothing changed, if they are not allocated.
func (p *Pool) Free(addr, size uint64) error {
	for _, c := range p.chunks {
		if size > 0 && addr >= c.at.Lo && addr < c.at.Hi && c.give((addr-c.at.Lo)>>p.order, p.granules(size)) {
			return nil
		}
	}
	return fmt.Errorf("free %d bytes at %#x: %w", size, addr, ErrNotAllocated)
}

// granules returns the number of granules that hold size bytes.
func (p *Pool) granules(size uint64) uint64 {
	n := size >> p.order
	if n<<p.order != size {
		n++
	}
	return n
}

// Available returns the number of free bytes, in whole granules.
func (p *Pool) Available() uint64 {
	var n uint64
	for _, c := range p.chunks {
		n += c.free.Bytes() << p.order
	}
	return n
}
