package validate

import (
	"fmt"
	"slices"
	"strings"
)

// Contiguous is a CMA area with its dma-buf heap and its files in debugfs.
type Contiguous interface {
	// Do does one operation and looks at the area. The error is of looking; that
	// an operation fails is in the outcome.
	Do(Operation) (AreaOutcome, error)
	// State looks at the area.
	State() (AreaState, error)
}

// AreaOutcome is what an operation returned, and the area after it.
type AreaOutcome struct {
	Errno Errno
	AreaState
	// FreeList is what the kernel logs of the area when an allocation fails, such
	// as "1@5+2@8=> 3 free of 16 total pages"; empty where it logs nothing.
	FreeList string
}

// AreaState is what debugfs and sysfs tell of a CMA area.
type AreaState struct {
	Bitmap   Bitmap
	Used     uint64 // pages
	MaxChunk uint64 // pages
	Stats    AreaStats
}

// AreaStats are the counters of an area in sysfs (mm/cma_sysfs.c), in pages.
type AreaStats struct {
	Allocated uint64 // alloc_pages_success
	Failed    uint64 // alloc_pages_fail
	Released  uint64 // release_pages_success
}

// Bitmap has a bit for each unit of an area; the lowest bit of the first word is
// the first unit.
type Bitmap []uint32

// String returns the runs of bits that are set, as in "64 bits, taken: 3+1 8+16":
// first bit and length.
func (b Bitmap) String() string {
	var text strings.Builder
	fmt.Fprintf(&text, "%d bits, taken:", len(b)*32)
	for at, end := 0, len(b)*32; at < end; {
		if !b.set(at) {
			at++
			continue
		}
		first := at
		for at < end && b.set(at) {
			at++
		}
		fmt.Fprintf(&text, " %d+%d", first, at-first)
	}
	return text.String()
}

func (b Bitmap) set(bit int) bool { return b[bit/32]>>(bit%32)&1 != 0 }

// Observes says which parts of an outcome the kernel's side can see.
type Observes struct{ Stats, Log bool }

// areaComparison compares a CMA area with its model, operation by operation.
type areaComparison struct {
	model, kernel Contiguous
	sees          Observes

	result, placement, counters, statistics, freeList, first Aspect

	modelFailed, kernelFailed *step // the first time
	failed                    int   // allocations that the kernel refused
	modelMap, kernelMap       Bitmap
}

func newAreaComparison(sides Sides) *areaComparison {
	return &areaComparison{
		model: sides.Model, kernel: sides.Kernel, sees: sides.Sees,
		result: Aspect{Name: "cma result"}, placement: Aspect{Name: "cma placement"}, counters: Aspect{Name: "cma counters"},
		statistics: Aspect{Name: "cma statistics"}, freeList: Aspect{Name: "cma free list"}, first: Aspect{Name: "cma first failure"},
	}
}

// do does an operation on both sides, and compares the result, the area after it, and
// the free list after a failure.
func (c *areaComparison) do(s step, op Operation) error {
	k, err := c.kernel.Do(op)
	if err != nil {
		return fmt.Errorf("kernel: %w", err)
	}
	m, err := c.model.Do(op)
	if err != nil {
		return fmt.Errorf("model: %w", err)
	}
	c.result.compare(s, string(m.Errno), string(k.Errno))
	c.compareStates(s, m.AreaState, k.AreaState)
	if c.sees.Log && (m.FreeList != "" || k.FreeList != "") {
		c.freeList.compare(s, m.FreeList, k.FreeList)
	}
	if op.Kind == HeapAlloc || op.Kind == DebugfsAlloc {
		if m.Errno != OK && c.modelFailed == nil {
			c.modelFailed = &s
		}
		if k.Errno != OK {
			c.failed++
			if c.kernelFailed == nil {
				c.kernelFailed = &s
			}
		}
	}
	return nil
}

// look compares the area after an operation that was not on it.
func (c *areaComparison) look(s step) error {
	k, err := c.kernel.State()
	if err != nil {
		return fmt.Errorf("kernel: %w", err)
	}
	m, err := c.model.State()
	if err != nil {
		return fmt.Errorf("model: %w", err)
	}
	c.compareStates(s, m, k)
	return nil
}

func (c *areaComparison) compareStates(s step, m, k AreaState) {
	agreed := c.placement.First == nil
	c.placement.compareBitmaps(s, m.Bitmap, k.Bitmap)
	if agreed {
		c.modelMap, c.kernelMap = m.Bitmap, k.Bitmap
	}
	c.counters.compare(s, fmt.Sprintf("used %d, maxchunk %d", m.Used, m.MaxChunk), fmt.Sprintf("used %d, maxchunk %d", k.Used, k.MaxChunk))
	if c.sees.Stats {
		c.statistics.compare(s, m.Stats.String(), k.Stats.String())
	}
}

func (c *areaComparison) aspects() []Aspect {
	if at := firstOf(c.modelFailed, c.kernelFailed); at != nil {
		c.first.compare(*at, describe(c.modelFailed), describe(c.kernelFailed))
	}
	return []Aspect{c.result, c.placement, c.counters, c.statistics, c.freeList, c.first}
}

func (s AreaStats) String() string {
	return fmt.Sprintf("success %d, fail %d, released %d", s.Allocated, s.Failed, s.Released)
}

// compareBitmaps is compare, but makes texts only of bitmaps that differ.
func (a *Aspect) compareBitmaps(s step, model, kernel Bitmap) {
	if slices.Equal(model, kernel) {
		a.compare(s, "", "")
		return
	}
	a.compare(s, model.String(), kernel.String())
}

func firstOf(a, b *step) *step {
	if a == nil || b != nil && b.number < a.number {
		return b
	}
	return a
}

func describe(failure *step) string {
	if failure == nil {
		return "none fails"
	}
	return fmt.Sprintf("operation %d fails", failure.number)
}
