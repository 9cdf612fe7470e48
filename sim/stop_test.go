package sim_test

import (
	"context"
	"testing"
	"time"

	"dmasim/devices"
	"dmasim/mem"
	"dmasim/sim"
	"dmasim/workloads"
)

// stopper stops a simulation at an event, or when time would pass a limit.
type stopper struct {
	sim    *sim.Simulation
	event  uint64
	until  time.Duration
	events uint64
}

func (s *stopper) Advance(to time.Duration) {
	if s.until > 0 && to > s.until {
		s.sim.Stop()
	}
}

func (s *stopper) Event(e *sim.Event) {
	if s.events++; e.Number == s.event {
		s.sim.Stop()
	}
}

// TestStop: what an observer has seen when it stops a simulation is the last that
// happens.
func TestStop(t *testing.T) {
	anywhere, err := devices.Merge()
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		stop stopper
		want uint64
	}{
		"at an event": {stopper{event: 2}, 2},
		"in time":     {stopper{until: 1500 * ms}, 2},
		"never":       {stopper{}, 4},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := sim.New(sim.Config{
				Heaps:   []sim.Heap{{Name: "main", Arena: mem.NewRangeSet(mem.Range{Hi: 1 << 20}), Granule: 4096, Allocator: "first-fit"}},
				Clients: []sim.Client{{Name: "a", Plan: anywhere}},
				Inputs: []sim.Input{{Name: "script", Clients: []int{0}, Source: &script{ops: []workloads.Op{
					{At: 0, Buffer: 1, Size: 4096}, {At: time.Second, Buffer: 2, Size: 4096},
					{At: 2 * time.Second, Buffer: 3, Size: 4096}, {At: 3 * time.Second, Buffer: 4, Size: 4096},
				}}}},
			})
			if err != nil {
				t.Fatal(err)
			}
			seen := test.stop
			seen.sim = s
			s.Observe(&seen)
			if err := s.Run(context.Background()); err != nil {
				t.Fatal(err)
			}
			if seen.events != test.want {
				t.Errorf("%d events, want %d", seen.events, test.want)
			}
		})
	}
}
