package allocator_test

import (
	"math/bits"
	"testing"

	"dmasim/allocator"
	"dmasim/allocator/alloctest"
)

// TestConformance runs the conformance suite on every registered strategy.
func TestConformance(t *testing.T) {
	// Strategies are exact unless they say otherwise here.
	inexact := map[string][]alloctest.Option{
		"half-fit":       {},
		"linear":         {},
		"ring":           {},
		"slab":           {},
		"stack":          {},
		"segregated-fit": {},
		"tlsf":           {},
		"window-fit":     {},
		"buddy":          {alloctest.Exact(), alloctest.Unit(powerOfTwoGranules)},
	}
	for _, spec := range allocator.Specs() {
		t.Run(spec.Name, func(t *testing.T) {
			options, ok := inexact[spec.Name]
			if !ok {
				options = []alloctest.Option{alloctest.Exact()}
			}
			alloctest.Run(t, func(cfg allocator.Config) (allocator.Strategy, error) {
				return allocator.New(spec.Name, cfg)
			}, append(options, alloctest.Honours(spec.Honours))...)
		})
	}
}

// powerOfTwoGranules is what buddy's blocks are aligned to.
func powerOfTwoGranules(size, granule uint64) uint64 {
	order := bits.Len64((size - 1) / granule)
	if bits.Len64(granule)+order > 64 {
		return 0
	}
	return granule << order
}
