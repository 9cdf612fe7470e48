package sim_test

import (
	"errors"
	"strings"
	"testing"

	"dmasim/allocator"
	"dmasim/sim"
	"dmasim/workloads"
)

// stubborn is a strategy that hands out the start of the arena, live or not.
type stubborn struct{}

func (stubborn) Alloc(r allocator.Request) (allocator.Block, bool) {
	return allocator.Block{Size: r.Size}, true
}

func (stubborn) Free(allocator.Block) error { return nil }

func init() {
	allocator.Register(allocator.Spec{
		Name: "stubborn", Honours: allocator.HonoursAll,
		New: func(allocator.Config) (allocator.Strategy, error) { return stubborn{}, nil },
	})
}

// TestCheckFindsOverlap has a second buffer placed over the first, which the check after
// that event finds, or after the next that is looked at, or at the end.
func TestCheckFindsOverlap(t *testing.T) {
	for _, test := range []struct {
		every uint64
		want  string // "": nobody looks
	}{
		{0, ""},
		{1, "event 2 at 1ns: invariant broken: block 0x0+10B of owner 0 overlaps"},
		{2, "event 2 at 1ns"},
		{3, "event 3 at 2ns"},
		{100, "event 4 at 3ns"},
	} {
		cfg := system(t, &script{ops: []workloads.Op{alloc(0, 1, 10), alloc(1, 2, 10), alloc(2, 3, 10), alloc(3, 4, 10)}})
		cfg.CheckEvery = test.every
		cfg.Heaps[0].Allocator = "stubborn"
		s, err := sim.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		err = s.Run(t.Context())
		if test.want == "" {
			if err != nil {
				t.Errorf("unchecked: %v", err)
			}
			continue
		}
		if !errors.Is(err, sim.ErrInvariant) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("checked every %d events: %v, want %q", test.every, err, test.want)
		}
	}
}
