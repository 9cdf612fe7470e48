package kernel_test

import (
	"os"
	"testing"

	"dmasim/allocator"
	"dmasim/allocator/alloctest"
	_ "dmasim/allocator/kernel"
	"dmasim/internal/shareddata"
	"dmasim/mem"
	"dmasim/workloads/trace"
)

var names = []string{
	"cma", "coherent", "genalloc-best-fit", "genalloc-first-fit", "genalloc-first-fit-align",
	"genalloc-first-fit-order-align",
}

func TestConformance(t *testing.T) {
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			spec, _, err := allocator.Parse(name)
			if err != nil {
				t.Fatal(err)
			}
			options := []alloctest.Option{alloctest.Honours(spec.Honours)}
			if name == "genalloc-first-fit" || name == "genalloc-best-fit" {
				options = append(options, alloctest.Exact())
			}
			alloctest.Run(t, func(cfg allocator.Config) (allocator.Strategy, error) {
				return allocator.New(name, cfg)
			}, options...)
		})
	}
}

// TestGoldenTrace replays the random placement trace, on which independent
// programs agree what exact first fit with native alignment does: the sum of all
// addresses modulo 2^64. Nothing fails.
func TestGoldenTrace(t *testing.T) {
	f, err := os.Open(shareddata.Path(t, "placement", "random.bin.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := trace.NewPlacementReader(f)
	if err != nil {
		t.Fatal(err)
	}
	type replay struct {
		allocator.Strategy
		name string
		live []allocator.Block
		sum  uint64
	}
	var replays []*replay
	for _, name := range []string{"cma:max-align-order=0", "genalloc-first-fit-align"} {
		s, err := allocator.New(name, allocator.Config{
			Arena: mem.NewRangeSet(mem.Range{Hi: uint64(6789 * mem.MiB)}), Granule: 4096,
		})
		if err != nil {
			t.Fatal(err)
		}
		replays = append(replays, &replay{Strategy: s, name: name, live: make([]allocator.Block, r.Header.Slots)})
	}
	for op, ok := r.Next(); ok; op, ok = r.Next() {
		for _, s := range replays {
			at := &s.live[op.Slot]
			if op.Free {
				if err := s.Free(*at); err != nil {
					t.Fatalf("%s: %v", s.name, err)
				}
				continue
			}
			if *at, ok = s.Alloc(allocator.Request{Size: op.Size, Align: op.Align}); !ok {
				t.Fatalf("%s: %d bytes were refused", s.name, op.Size)
			}
			s.sum += at.Addr
		}
	}
	if err := r.Err(); err != nil {
		t.Fatal(err)
	}
	for _, s := range replays {
		if s.sum != 0x390d63f125000 {
			t.Errorf("%s: sum %#x, want 0x390d63f125000", s.name, s.sum)
		}
	}
}
