package coherent

import (
	"errors"
	"fmt"

	"dmasim/allocator/holes"
	"dmasim/mem"
)

// ErrNotAllocated is returned by [Pool.Release] for pages that are free or not
// in the pool.
var ErrNotAllocated = errors.New("pages are not allocated")

// Pool is a number of pages (struct dma_coherent_mem).
type Pool struct {
	pages uint64
	free  *holes.Index
}

// New returns an empty pool of pages pages.
func New(pages uint64) *Pool {
	return &Pool{pages: pages, free: holes.New(mem.NewRangeSet(mem.Range{Hi: pages}))}
}

// Alloc places 2^order pages and returns the number of the first, counted from
// the start of the pool.
func (p *Pool) Alloc(order uint) (uint64, bool) {
	n, ok := p.block(order)
	if !ok {
		return 0, false
	}
	var cursor holes.Cursor
	cursor.From(p.free, 0)
	for run, ok := cursor.Next(n); ok; run, ok = cursor.Next(n) {
		page := (run.Lo + n - 1) &^ (n - 1)
		if page >= run.Lo && page <= run.Hi && run.Hi-page >= n {
			p.free.Take(page, page+n)
			return page, true
		}
	}
	return 0, false
}

// block returns the number of pages of an order; false if the pool has fewer.
func (p *Pool) block(order uint) (uint64, bool) {
	n := uint64(1) << order
	return n, order < 64 && n <= p.pages
}

// Release gives back the 2^order pages from page on. The error wraps
// ErrNotAllocated, and nothing changed, if one of them is free or not in the
// pool.
func (p *Pool) Release(page uint64, order uint) error {
	n, ok := p.block(order)
	if !ok || page > p.pages-n || !p.free.Give(page, page+n) {
		return fmt.Errorf("release 2^%d pages at %d: %w", order, page, ErrNotAllocated)
	}
	return nil
}

// Free returns the number of free pages.
func (p *Pool) Free() uint64 { return p.free.Bytes() }
