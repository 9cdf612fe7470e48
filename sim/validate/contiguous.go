package validate

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// Contiguous is a CMA area with its dma-buf heap and its files in debugfs.
type Contiguous interface {
	// Do does one operation and looks at the area. The error is of looking; that
	// an operation fails is in the outcome.
	Do(Operation) (AreaOutcome, error)
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

// AreaComparison is the result of [CompareArea].
type AreaComparison struct {
	Aspects []Aspect
	Failed  int // allocations that the kernel refused
	// Model and Kernel are the two bitmaps at the first divergence of placement, or
	// at the end.
	Model, Kernel Bitmap
}

// CompareArea does operations on both sides and compares them after each: the
// result, the bitmap, the counters, and the free list after a failure. Without
// placement nothing can be compared, so an error of either side ends it.
func CompareArea(ctx context.Context, list []Operation, model, kernel Contiguous, sees Observes) (AreaComparison, error) {
	result, placement := Aspect{Name: "cma result"}, Aspect{Name: "cma placement"}
	counters, statistics := Aspect{Name: "cma counters"}, Aspect{Name: "cma statistics"}
	freeList, first := Aspect{Name: "cma free list"}, Aspect{Name: "cma first failure"}
	var c AreaComparison
	var modelFailed, kernelFailed *step
	for i, op := range list {
		if err := ctx.Err(); err != nil {
			return c, err
		}
		s := step{i + 1, op.Line, op.String()}
		k, err := kernel.Do(op)
		if err != nil {
			return c, fmt.Errorf("operation %d, %s: kernel: %w", s.number, op, err)
		}
		m, err := model.Do(op)
		if err != nil {
			return c, fmt.Errorf("operation %d, %s: model: %w", s.number, op, err)
		}
		result.compare(s, string(m.Errno), string(k.Errno))
		agreed := placement.First == nil
		placement.compareBitmaps(s, m.Bitmap, k.Bitmap)
		if agreed {
			c.Model, c.Kernel = m.Bitmap, k.Bitmap
		}
		counters.compare(s, fmt.Sprintf("used %d, maxchunk %d", m.Used, m.MaxChunk), fmt.Sprintf("used %d, maxchunk %d", k.Used, k.MaxChunk))
		if sees.Stats {
			statistics.compare(s, m.Stats.String(), k.Stats.String())
		}
		if sees.Log && (m.FreeList != "" || k.FreeList != "") {
			freeList.compare(s, m.FreeList, k.FreeList)
		}
		if op.Kind == HeapAlloc || op.Kind == DebugfsAlloc {
			if m.Errno != OK && modelFailed == nil {
				modelFailed = &s
			}
			if k.Errno != OK {
				c.Failed++
				if kernelFailed == nil {
					kernelFailed = &s
				}
			}
		}
	}
	if at := firstOf(modelFailed, kernelFailed); at != nil {
		first.compare(*at, describe(modelFailed), describe(kernelFailed))
	}
	c.Aspects = []Aspect{result, placement, counters}
	if sees.Stats {
		c.Aspects = append(c.Aspects, statistics)
	}
	for _, a := range []Aspect{freeList, first} {
		if a.Operations > 0 {
			c.Aspects = append(c.Aspects, a)
		}
	}
	return c, nil
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
