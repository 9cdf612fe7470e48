package iova

import (
	"errors"
	"fmt"
	"math"
	"math/bits"

	"github.com/google/btree"

	"dmasim/allocator/holes"
	"dmasim/mem"
)

// Range is a live range of pfns, both ends included.
type Range struct{ Lo, Hi uint64 }

// Size returns the number of pfns in r.
func (r Range) Size() uint64 { return r.Hi - r.Lo + 1 }

// sentinel lies above every pfn that can be handed out.
var sentinel = Range{math.MaxUint64, math.MaxUint64}

// ErrNotLive is returned when a range is freed that the domain does not hold.
var ErrNotLive = errors.New("no live range holds the pfn")

// Domain is one IOVA address space (struct iova_domain). See [New].
type Domain struct {
	ranges   *btree.BTreeG[Range] // by Lo, disjoint, with the sentinel
	gaps     *holes.Index         // between the ranges, from pfn 0
	shift    int                  // log2 of the granule
	startPFN uint64
	below4G  uint64 // the number of pfns below 4 GiB
	// Where searches begin: near32 for limits up to 4 GiB, near64 above.
	near32, near64 Range
	ceiling        uint64
	caches         [classes]cache
	depotSize      int // magazines; 0: no limit
}

// New returns an empty domain for a granule, a power of two of at most 2^32
// bytes, that hands out no pfn below startPFN. startPFN is at least 1, because
// pfn 0 reads as a failure in the kernel.
func New(granule, startPFN uint64) (*Domain, error) {
	if bits.OnesCount64(granule) != 1 || granule > 1<<32 {
		return nil, fmt.Errorf("granule %d: want a power of two up to 2^32", granule)
	}
	if startPFN == 0 {
		return nil, errors.New("start pfn 0: want at least 1")
	}
	d := &Domain{
		ranges:   btree.NewG(16, func(a, b Range) bool { return a.Lo < b.Lo }),
		gaps:     holes.New(mem.RangeSet{mem.Everywhere}),
		shift:    bits.TrailingZeros64(granule),
		startPFN: startPFN,
		below4G:  1 << 32 / granule,
		near32:   sentinel,
		near64:   sentinel,
	}
	d.ceiling = d.below4G
	d.ranges.ReplaceOrInsert(sentinel)
	return d, nil
}

// Alloc finds size pfns that end at or below limit (alloc_iova). With aligned
// the range begins at a multiple of size rounded up to a power of two. False
// means that nothing was found, which may have lowered the ceiling. A size of 0
// fails and changes nothing. As in the kernel, a limit of 2^64-1 wraps around:
// nothing lies below it.
func (d *Domain) Alloc(size, limit uint64, aligned bool) (Range, bool) {
	if size == 0 {
		return Range{}, false
	}
	end := limit + 1
	near := &d.near64
	if end <= d.below4G {
		if size >= d.ceiling {
			return Range{}, false
		}
		near = &d.near32
	}
	align := uint64(1)
	if aligned {
		align = 1 << bits.Len64(size-1)
	}
	pfn, ok := d.search(min(end, near.Lo), size, align, d.startPFN)
	if !ok && near.Hi < end {
		pfn, ok = d.search(end, size, align, near.Hi+1)
	}
	if !ok {
		d.ceiling = size
		return Range{}, false
	}
	found := Range{pfn, pfn + size - 1}
	d.insert(found)
	if found.Hi < d.below4G {
		d.near32 = found
	} else {
		d.near64 = found
	}
	return found, true
}

// search looks through the gaps below end, downwards. Each offers one
// candidate; the first that lies in its gap ends the search, and is found if it
// is not below floor. An align of 0 stands for 2^64.
func (d *Domain) search(end, size, align, floor uint64) (uint64, bool) {
	var cursor holes.Cursor
	cursor.To(d.gaps, end)
	for gap, ok := cursor.Prev(size); ok && gap.Hi > floor; gap, ok = cursor.Prev(size) {
		top := min(end, gap.Hi)
		if top < size {
			return 0, false
		}
		if pfn := (top - size) & -align; pfn >= gap.Lo {
			return pfn, pfn >= floor
		}
	}
	return 0, false
}

// Find returns the live range that holds pfn (private_find_iova).
func (d *Domain) Find(pfn uint64) (found Range, ok bool) {
	d.ranges.DescendLessOrEqual(Range{Lo: pfn}, func(r Range) bool {
		found, ok = r, r.Hi >= pfn && r != sentinel
		return false
	})
	return found, ok
}

// Room returns how many pfns are free up to limit, and the longest run of them.
// Cached ranges are not free.
func (d *Domain) Room(limit uint64) (free, longest uint64) {
	if limit == math.MaxUint64 || limit < d.startPFN {
		return 0, 0
	}
	below := mem.Range{Lo: d.startPFN, Hi: limit + 1}
	return d.gaps.FreeIn(below), d.gaps.LargestIn(below).Size()
}

// Free gives back the whole range that holds pfn (free_iova). The error wraps
// ErrNotLive.
func (d *Domain) Free(pfn uint64) error {
	freed, ok := d.Find(pfn)
	if !ok {
		return fmt.Errorf("free pfn %#x: %w", pfn, ErrNotLive)
	}
	if freed == d.near32 || (freed.Hi < d.below4G && freed.Lo >= d.near32.Lo) {
		d.near32 = d.after(freed)
	}
	if freed.Lo < d.below4G {
		d.ceiling = d.below4G
	}
	if freed.Lo >= d.near64.Lo {
		d.near64 = d.after(freed)
	}
	d.ranges.Delete(freed)
	d.gaps.Give(freed.Lo, freed.Hi+1)
	return nil
}

// after returns the next range above r, which is not the sentinel.
func (d *Domain) after(r Range) (next Range) {
	d.ranges.AscendGreaterOrEqual(Range{Lo: r.Hi + 1}, func(r Range) bool {
		next = r
		return false
	})
	return next
}

func (d *Domain) insert(r Range) {
	d.ranges.ReplaceOrInsert(r)
	d.gaps.Take(r.Lo, r.Hi+1)
}

// Reserve withholds the pfns from lo to hi, both included (reserve_iova). Live
// ranges in the way take over their part: each is stretched down to what is
// left of lo to hi, and only what lies above the last becomes a range of its
// own. The result is the range that holds hi in the end, so it may be one that
// was live before. Nothing is reserved, and false returned, where hi is below lo
// or beyond the 64-bit address space.
func (d *Domain) Reserve(lo, hi uint64) (Range, bool) {
	if hi < lo || hi > math.MaxUint64>>d.shift || hi == math.MaxUint64 {
		return Range{}, false
	}
	for {
		r, ok := d.lowestOverlap(lo, hi)
		if !ok {
			r = Range{lo, hi}
			d.insert(r)
			return r, true
		}
		if lo < r.Lo {
			r = d.stretch(r, lo)
		}
		if hi <= r.Hi {
			return r, true
		}
		lo = r.Hi + 1
	}
}

// lowestOverlap returns the lowest live range that shares a pfn with lo to hi.
func (d *Domain) lowestOverlap(lo, hi uint64) (found Range, ok bool) {
	d.ranges.DescendLessOrEqual(Range{Lo: lo}, func(r Range) bool {
		found, ok = r, r.Hi >= lo
		return false
	})
	if ok {
		return found, true
	}
	d.ranges.AscendGreaterOrEqual(Range{Lo: lo}, func(r Range) bool {
		found, ok = r, r.Lo <= hi
		return false
	})
	return found, ok
}

// stretch makes r begin at lo; the pfns between are free.
func (d *Domain) stretch(r Range, lo uint64) Range {
	longer := Range{lo, r.Hi}
	for _, near := range []*Range{&d.near32, &d.near64} {
		if *near == r {
			*near = longer
		}
	}
	d.ranges.Delete(r)
	d.ranges.ReplaceOrInsert(longer)
	d.gaps.Take(lo, r.Lo)
	return longer
}
