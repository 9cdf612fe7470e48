package kernel_test

import (
	"strings"
	"testing"

	"dmasim/allocator"
	"dmasim/allocator/alloctest"
	"dmasim/mem"
)

func TestDRMMMConformance(t *testing.T) {
	for _, name := range []string{
		"drm-mm-best", "drm-mm-low", "drm-mm-high", "drm-mm-evict", "drm-mm-low:once=1", "drm-mm-high:once=1",
	} {
		t.Run(name, func(t *testing.T) {
			options := []alloctest.Option{alloctest.Honours(allocator.HonoursAlign | allocator.HonoursWindow)}
			if !strings.Contains(name, "once") {
				options = append(options, alloctest.Exact())
			}
			alloctest.Run(t, func(cfg allocator.Config) (allocator.Strategy, error) {
				return allocator.New(name, cfg)
			}, options...)
		})
	}
}

// TestBuddyConformance leaves out the arenas that are larger than the models'
// tables: they are refused, and the suite is given another strategy instead.
func TestBuddyConformance(t *testing.T) {
	const largest = 1 << 24 // granules
	for _, name := range []string{"drm-buddy", "page-buddy"} {
		t.Run(name, func(t *testing.T) {
			spec, _, err := allocator.Parse(name)
			if err != nil {
				t.Fatal(err)
			}
			alloctest.Run(t, func(cfg allocator.Config) (allocator.Strategy, error) {
				if cfg.Arena.Size()/max(cfg.Granule, 1) > largest {
					return allocator.New("best-fit", cfg)
				}
				return allocator.New(name, cfg)
			}, alloctest.Honours(spec.Honours))
		})
	}
	if _, err := allocator.New("page-buddy", allocator.Config{Arena: mem.NewRangeSet(mem.Everywhere), Granule: 4096}); err == nil {
		t.Error("a zone of 2^52 pages is made")
	}
}
