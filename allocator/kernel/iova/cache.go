package iova

import (
	"fmt"
	"math/bits"
)

const (
	classes      = 6   // powers of two from 1 to 32 pfns
	magazineSize = 127 // entries
	onlineCPUs   = 1   // the depots are trimmed down to as many magazines
)

// magazine is a stack of pfns at which cached ranges begin.
type magazine []uint64

func newMagazine() magazine { return make(magazine, 0, magazineSize) }

// cache holds the cached ranges of one size class (struct iova_rcache).
type cache struct {
	loaded, prev magazine
	depot        []magazine // all full; the last is the top
	trim         bool       // the depot's trimming is due
}

// get takes the entry nearest the top that is at most limit, and moves the top
// entry into its place.
func (c *cache) get(limit uint64) (pfn uint64, ok bool) {
	if len(c.loaded) == 0 {
		if len(c.prev) > 0 {
			c.loaded, c.prev = c.prev, c.loaded
		} else if top := len(c.depot) - 1; top >= 0 {
			c.loaded, c.depot = c.depot[top], c.depot[:top]
		}
	}
	top := len(c.loaded) - 1
	for i := top; i >= 0; i-- {
		if pfn = c.loaded[i]; pfn <= limit {
			c.loaded[i] = c.loaded[top]
			c.loaded = c.loaded[:top]
			return pfn, true
		}
	}
	return 0, false
}

func (c *cache) put(pfn uint64) {
	if len(c.loaded) == magazineSize {
		if len(c.prev) < magazineSize {
			c.loaded, c.prev = c.prev, c.loaded
		} else {
			c.depot = append(c.depot, c.loaded)
			c.trim = true
			c.loaded = nil
		}
	}
	if c.loaded == nil {
		c.loaded = newMagazine()
	}
	c.loaded = append(c.loaded, pfn)
}

// class returns the cache for ranges of size pfns, or nil if they are not
// cached. size is at least 1.
func (d *Domain) class(size uint64) *cache {
	if class := bits.Len64(size - 1); class < classes {
		return &d.caches[class]
	}
	return nil
}

// AllocFast finds size pfns that end at or below limit, in the caches or by an
// aligned [Domain.Alloc], and returns the first (alloc_iova_fast). Sizes below 32
// are rounded up to a power of two. Where both fail and flush is set, every
// cached range is freed and Alloc tried once more.
//
// As in the kernel, a cached range that ends above the limit may be returned if
// the rounded size is greater than limit+1.
func (d *Domain) AllocFast(size, limit uint64, flush bool) (uint64, bool) {
	if size == 0 {
		return 0, false
	}
	if size < 1<<(classes-1) {
		size = 1 << bits.Len64(size-1)
	}
	if c := d.class(size); c != nil {
		if pfn, ok := c.get(limit + 1 - size); ok {
			return pfn, true
		}
	}
	r, ok := d.Alloc(size, limit, true)
	if !ok && flush {
		d.Flush()
		r, ok = d.Alloc(size, limit, true)
	}
	return r.Lo, ok
}

// FreeFast gives back the range that begins at pfn, into the cache of its class
// where there is one (free_iova_fast). size is what was asked for, before
// rounding; at least 1. The error wraps ErrNotLive. That a range is in a cache
// already goes unnoticed, as in the kernel.
func (d *Domain) FreeFast(pfn, size uint64) error {
	c := d.class(max(size, 1))
	if c == nil {
		return d.Free(pfn)
	}
	if _, ok := d.Find(pfn); !ok {
		return fmt.Errorf("free pfn %#x: %w", pfn, ErrNotLive)
	}
	c.put(pfn)
	if d.depotSize > 0 {
		c.trim = false
		if len(c.depot) > d.depotSize {
			d.dropTop(c)
		}
	}
	return nil
}

// BoundDepots makes every depot hold at most so many magazines, at least 1: the
// one that does not fit is freed at once, and there is no work that trims them.
// Linux 6.1 has room for 32.
func (d *Domain) BoundDepots(magazines int) { d.depotSize = magazines }

// TrimDue reports whether [Domain.TrimDepots] has something to do.
func (d *Domain) TrimDue() bool {
	for i := range d.caches {
		if d.caches[i].trim {
			return true
		}
	}
	return false
}

// Flush frees every cached range: first the magazines of each class, then the
// depots.
func (d *Domain) Flush() {
	for i := range d.caches {
		c := &d.caches[i]
		c.loaded = d.empty(c.loaded)
		c.prev = d.empty(c.prev)
	}
	for i := range d.caches {
		for len(d.caches[i].depot) > 0 {
			d.dropTop(&d.caches[i])
		}
	}
}

// TrimDepots does the delayed work that is due: each class whose depot has
// grown frees the top magazine of it, as long as more than one is there.
func (d *Domain) TrimDepots() {
	for i := range d.caches {
		c := &d.caches[i]
		if !c.trim {
			continue
		}
		if len(c.depot) > onlineCPUs {
			d.dropTop(c)
		} else {
			c.trim = false
		}
	}
}

// dropTop frees the ranges in the top magazine of a depot.
func (d *Domain) dropTop(c *cache) {
	top := len(c.depot) - 1
	d.empty(c.depot[top])
	c.depot = c.depot[:top]
}

// empty frees the ranges in m, from the bottom to the top, and returns m empty.
// Entries whose range is gone are passed over.
func (d *Domain) empty(m magazine) magazine {
	for _, pfn := range m {
		if _, ok := d.Find(pfn); ok {
			_ = d.Free(pfn)
		}
	}
	return m[:0]
}
