package validate

import (
	"context"
	"fmt"
)

// Sides are what a sequence of operations is done on, and compared with. A machine
// may have no CMA area, or no system heap that can be watched.
type Sides struct {
	Model, Kernel Contiguous // of a CMA area; nil
	Sees          Observes   // of the area, on the kernel's side
	System        SystemHeap // nil; its model needs to know the state of the kernel
}

// Comparison is the result of [CompareSequence].
type Comparison struct {
	Aspects []Aspect // in which something was compared
	// Model and Kernel are the two bitmaps of the area at the first divergence of
	// placement, or at the end.
	Model, Kernel Bitmap

	Failed    int // allocations of the area that the kernel refused
	Disturbed int // requests of the system heap after which the free lists were not compared
	// Operations that were not done, since the machine lacks what they are about.
	SkippedArea, SkippedSystem int
}

// CompareSequence does operations on both sides and compares them after each. Those
// on a CMA area: the result, the bitmap, the counters, and the free list after a
// failure. Those on the system heap: the result, the blocks of pages of a request,
// the free lists after it, what closing gives back, and what live buffers hold. After
// these the area is looked at as well. Without the state after an operation nothing
// can be compared, so an error of either side ends it.
func CompareSequence(ctx context.Context, list []Operation, sides Sides) (Comparison, error) {
	var c Comparison
	var area *areaComparison
	if sides.Kernel != nil {
		area = newAreaComparison(sides)
	}
	var system *systemComparison
	if sides.System != nil {
		var err error
		if system, err = newSystemComparison(sides.System); err != nil {
			return c, err
		}
	}
	ofSystem := map[string]bool{} // which heap an ID was last asked of
	for i, op := range list {
		if err := ctx.Err(); err != nil {
			return c, err
		}
		if op.Kind == HeapAlloc || op.Kind == SystemAlloc {
			ofSystem[op.ID] = op.Kind == SystemAlloc
		}
		s := step{i + 1, op.Line, op.String()}
		var err error
		switch onSystem := op.Kind == SystemAlloc || op.Kind == Close && ofSystem[op.ID]; {
		case onSystem && system == nil:
			c.SkippedSystem++
		case onSystem:
			if err = system.do(s, op); err == nil && area != nil {
				err = area.look(s)
			}
		case area == nil:
			c.SkippedArea++
		default:
			err = area.do(s, op)
		}
		if err != nil {
			return c, fmt.Errorf("operation %d, %s: %w", s.number, op, err)
		}
	}
	var aspects []Aspect
	if area != nil {
		aspects = area.aspects()
		c.Model, c.Kernel, c.Failed = area.modelMap, area.kernelMap, area.failed
	}
	if system != nil {
		aspects = append(aspects, system.aspects()...)
		c.Disturbed = system.disturbed
	}
	for _, a := range aspects {
		if a.Operations > 0 {
			c.Aspects = append(c.Aspects, a)
		}
	}
	return c, nil
}
