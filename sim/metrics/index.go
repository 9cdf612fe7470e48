package metrics

import (
	"fmt"
	"iter"
	"math"
	"time"

	"dmasim/mem"
)

// FreeSpace accumulates, in one pass over the holes of a memory, what the
// scalar measures of external fragmentation are made of. Set Size and Align
// before the first Add.
//
// Every measure is a share from 0 to 1, and is 0 where nothing is free: an
// exhausted memory is not fragmented.
type FreeSpace struct {
	Size  uint64 // of the request that the unusable indices are about; 0: they are 0
	Align uint64 // of that request's start address; 0 and 1: none

	Holes   int
	Free    uint64 // bytes, all holes together
	Largest uint64 // bytes, the largest hole
	Usable  uint64 // bytes that disjoint aligned blocks of Size can fill
	Short   uint64 // bytes in holes shorter than Size

	squares float64 // Σ hole²
}

// Add accounts for holes, maximal free runs. An empty range is no hole.
func (f *FreeSpace) Add(holes ...mem.Range) {
	count, free, largest, usable, short, squares := f.Holes, f.Free, f.Largest, f.Usable, f.Short, f.squares
	for _, hole := range holes {
		size := hole.Size()
		if size == 0 {
			continue
		}
		count++
		free += size
		largest = max(largest, size)
		squares += float64(size) * float64(size)
		switch {
		case f.Size == 0:
		case size < f.Size:
			short += size
		case f.Align <= 1:
			usable += size - size%f.Size
		default:
			usable += alignedBlocks(hole, f.Size, f.Align) * f.Size
		}
	}
	f.Holes, f.Free, f.Largest, f.Usable, f.Short, f.squares = count, free, largest, usable, short, squares
}

// alignedBlocks returns how many disjoint blocks of size bytes that start at
// multiples of align fit in r.
func alignedBlocks(r mem.Range, size, align uint64) uint64 {
	skip := (align - r.Lo%align) % align
	if r.Size() < skip || r.Size()-skip < size {
		return 0
	}
	step := size
	if rest := size % align; rest != 0 {
		if step > math.MaxUint64-(align-rest) {
			return 1
		}
		step += align - rest
	}
	return (r.Size()-skip-size)/step + 1
}

// LargestFreeIndex returns 1 - largest hole / free, the measure most often
// quoted. It does not depend on the sizes that are asked for.
func (f *FreeSpace) LargestFreeIndex() float64 { return LargestFreeIndex(f.Free, f.Largest) }

// LargestFreeIndex returns 1 - largest/free, or 0 where nothing is free.
func LargestFreeIndex(free, largest uint64) float64 {
	if free == 0 {
		return 0
	}
	return float64(free-largest) / float64(free)
}

// UnusableIndex returns the share of the free bytes that blocks of Size cannot
// use: (F - Σ⌊h/Size⌋·Size) / F, Gorman's unusable free space index for any
// size and, with Align, for aligned starts. It need not rise with Size.
func (f *FreeSpace) UnusableIndex() float64 {
	if f.Free == 0 || f.Size == 0 {
		return 0
	}
	return float64(f.Free-f.Usable) / float64(f.Free)
}

// ShortHoleIndex returns the share of the free bytes that lie in holes shorter
// than Size, the other reading of "unusable": a hole that holds one block
// counts as usable to its end. Align has no influence.
func (f *FreeSpace) ShortHoleIndex() float64 {
	if f.Free == 0 {
		return 0
	}
	return float64(f.Short) / float64(f.Free)
}

// QuadraticIndex returns 1 - Σh²/F²: the probability that two free bytes drawn
// at random lie in different holes.
func (f *FreeSpace) QuadraticIndex() float64 {
	if f.Holes <= 1 {
		return 0
	}
	free := float64(f.Free)
	return 1 - f.squares/(free*free)
}

// MeanHole returns the mean size of the holes in bytes, or 0 without holes.
func (f *FreeSpace) MeanHole() float64 {
	if f.Holes == 0 {
		return 0
	}
	return float64(f.Free) / float64(f.Holes)
}

// HoleEntropy returns the entropy of the free bytes over the holes, -Σ p ln p
// with p = h/F, divided by ln k so that k equal holes give 1. It is 0 for less
// than two holes. It takes a logarithm per hole.
func HoleEntropy(holes iter.Seq[mem.Range]) float64 {
	var free, weighted float64 // Σh, Σ h ln h
	count := 0
	for hole := range holes {
		if h := float64(hole.Size()); h > 0 {
			count++
			free += h
			weighted += h * math.Log(h)
		}
	}
	if count < 2 {
		return 0
	}
	return (math.Log(free) - weighted/free) / math.Log(float64(count))
}

// Reachable returns the parts of holes that lie in reach, by address. The
// holes must come by rising address and not overlap. A global index says
// little about a device with a window: its own figures are those of the
// reachable parts.
func Reachable(holes iter.Seq[mem.Range], reach mem.RangeSet) iter.Seq[mem.Range] {
	return func(yield func(mem.Range) bool) {
		rest := reach
		for hole := range holes {
			for len(rest) > 0 && rest[0].Hi <= hole.Lo {
				rest = rest[1:]
			}
			if len(rest) == 0 {
				return
			}
			for _, window := range rest {
				if window.Lo >= hole.Hi {
					break
				}
				if !yield(hole.Intersect(window)) {
					return
				}
			}
		}
	}
}

// FreeBlocks is the number of free blocks of a memory zone by order, as
// /proc/buddyinfo prints it: index o counts the blocks of 2^o pages.
//
// Its measures are those of mm/vmstat.c in Linux 6.1, in the kernel's integer
// arithmetic. The counts must describe fewer than 2^64/1000 pages.
type FreeBlocks []uint64

// contiguous returns what fill_contig_page_info does: the free pages, the free
// blocks, and how many blocks of 2^order pages the free blocks hold.
func (b FreeBlocks) contiguous(order int) (pages, blocks, suitable uint64) {
	for o, n := range b {
		pages += n << o
		blocks += n
		if o >= order {
			suitable += n << (o - order)
		}
	}
	return pages, blocks, suitable
}

// UnusableFreeIndex returns the share of the free pages that an allocation of
// 2^order pages cannot use, in thousandths; 1000 where nothing is free
// (unusable_free_index). The order is from 0 to 63.
func (b FreeBlocks) UnusableFreeIndex(order int) int {
	pages, _, suitable := b.contiguous(order)
	if pages == 0 {
		return 1000
	}
	return int((pages - suitable<<order) * 1000 / pages)
}

// FragmentationIndex returns, in thousandths, why an allocation of 2^order
// pages would fail: towards 0 for want of memory, towards 1000 because of
// fragmentation. It is -1000 where the allocation would succeed and 0 where
// nothing is free (__fragmentation_index). If a single block is free, and too
// small, the kernel's formula gives -500 to 0. The order is from 0 to 63.
func (b FreeBlocks) FragmentationIndex(order int) int {
	pages, blocks, suitable := b.contiguous(order)
	switch {
	case blocks == 0:
		return 0
	case suitable > 0:
		return -1000
	}
	return 1000 - int((1000+pages*1000/(1<<order))/blocks)
}

// FragmentationPercent returns UnusableFreeIndex in percent, but 0 where
// nothing is free (extfrag_for_order): the figure that proactive compaction
// scores zones by.
func (b FreeBlocks) FragmentationPercent(order int) int {
	pages, _, suitable := b.contiguous(order)
	if pages == 0 {
		return 0
	}
	return int((pages - suitable<<order) * 100 / pages)
}

// FormatUnusableIndex prints thousandths as a column of
// /sys/kernel/debug/extfrag/unusable_index, without the space behind it.
func FormatUnusableIndex(thousandths int) string {
	return fmt.Sprintf("%d.%03d", thousandths/1000, thousandths%1000)
}

// FormatFragmentationIndex prints thousandths as a column of
// /sys/kernel/debug/extfrag/extfrag_index, without the space behind it. As
// there, values between -1000 and 0 come out malformed: -62, which is -0.062,
// as " 0.-62".
func FormatFragmentationIndex(thousandths int) string {
	return fmt.Sprintf("%2d.%03d", thousandths/1000, thousandths%1000)
}

// MemoryUse accumulates the memory that an allocator holds beside the memory
// that its users have asked for, over time. It gives the four measures of
// Johnstone and Wilson, "The memory fragmentation problem: solved?", ISMM 1998,
// of which they report the last two. In a heap of fixed size, held is what lies
// below the high-water mark.
//
// Every measure is the excess of held over requested as a ratio: 0.25 means a
// quarter more. It is 0 where nothing was ever requested.
type MemoryUse struct {
	time                     float64 // in which something was requested
	ratios                   float64 // ∫ held/requested
	requested, held          float64 // ∫
	peakRequested, heldThen  uint64
	peakHeld, requestedAtMax uint64
}

// Add accounts for a time during which both amounts, in bytes, were constant.
// Times in which nothing was requested have no ratio, and do not count in
// MeanExcess.
func (u *MemoryUse) Add(d time.Duration, requested, held uint64) {
	t := float64(d)
	if requested > 0 {
		u.time += t
		u.ratios += t * float64(held) / float64(requested)
	}
	u.requested += t * float64(requested)
	u.held += t * float64(held)
	if requested > u.peakRequested {
		u.peakRequested, u.heldThen = requested, held
	}
	if held > u.peakHeld {
		u.peakHeld, u.requestedAtMax = held, requested
	}
}

// MeanExcess returns the time mean of held/requested - 1: the first measure.
func (u *MemoryUse) MeanExcess() float64 {
	if u.time == 0 {
		return 0
	}
	return u.ratios/u.time - 1
}

// ExcessOfMeans returns mean held / mean requested - 1, over time: a reading of
// the first measure in which busy times weigh more.
func (u *MemoryUse) ExcessOfMeans() float64 {
	if u.requested == 0 {
		return 0
	}
	return u.held/u.requested - 1
}

// ExcessAtPeakRequested returns the excess when most was requested, the first
// time if there are several: the second measure.
func (u *MemoryUse) ExcessAtPeakRequested() float64 { return excess(u.heldThen, u.peakRequested) }

// ExcessAtPeakHeld returns the excess when most was held, the first time if
// there are several: the third measure.
func (u *MemoryUse) ExcessAtPeakHeld() float64 { return excess(u.peakHeld, u.requestedAtMax) }

// ExcessOfPeaks returns the excess of the most that was held over the most that
// was requested, at different times or not: the fourth measure.
func (u *MemoryUse) ExcessOfPeaks() float64 { return excess(u.peakHeld, u.peakRequested) }

func excess(held, requested uint64) float64 {
	if requested == 0 {
		return 0
	}
	return float64(held)/float64(requested) - 1
}
