package scenario_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"dmasim/allocator"
	"dmasim/sim"
	"dmasim/sim/scenario"
)

// tally counts what a run refused.
type tally struct {
	config   sim.Config
	requests int
	failures map[string]int // by client
	causes   map[allocator.Cause]int
	events   int
	most     int // events; 0: no end
	stop     func()
}

// Advance implements sim.Observer.
func (*tally) Advance(time.Duration) {}

// Event implements sim.Observer.
func (c *tally) Event(e *sim.Event) {
	if c.events++; c.events == c.most {
		c.stop()
	}
	if e.Kind != sim.Alloc {
		return
	}
	c.requests++
	if cause := e.Diagnosis.Cause; cause != allocator.None {
		c.failures[c.config.Clients[e.Client].Name]++
		c.causes[cause]++
	}
}

// failed returns the failures of all clients.
func (c *tally) failed() int {
	sum := 0
	for _, n := range c.failures {
		sum += n
	}
	return sum
}

// produce runs a variant of an embedded scenario, to its end or for some events with
// every invariant checked after each.
func produce(t *testing.T, v *scenario.Variant, checked int) *tally {
	t.Helper()
	config, err := v.Build(1)
	if err != nil {
		t.Fatal(err)
	}
	if checked > 0 {
		config.CheckEvery = 1
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	c := &tally{config: config, failures: map[string]int{}, causes: map[allocator.Cause]int{}, most: checked, stop: stop}
	s, err := sim.New(config, c)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Run(ctx); err != nil && !(checked > 0 && errors.Is(err, context.Canceled)) {
		t.Fatalf("%s: %v", v.Name, err)
	}
	return c
}

// TestProducts holds the products to what their comments tell.
func TestProducts(t *testing.T) {
	if testing.Short() {
		t.Skip("minutes of simulated products")
	}
	for name, check := range map[string]func(t *testing.T, by map[string]*tally){
		"smart-camera": func(t *testing.T, by map[string]*tally) {
			for _, better := range []string{"first-fit", "best-fit", "tlsf"} {
				if by[better].failed() >= by["cma"].failed() {
					t.Errorf("%s refuses %d requests, cma %d", better, by[better].failed(), by["cma"].failed())
				}
			}
			if by["cma"].causes[allocator.Fragmented] != by["cma"].failed() {
				t.Errorf("cma fails for %v", by["cma"].causes)
			}
		},
		"set-top-box": func(t *testing.T, by map[string]*tally) {
			for _, enough := range []string{"vendor", "windows-high"} {
				if by[enough].failed() > 0 {
					t.Errorf("%s refuses %v", enough, by[enough].failures)
				}
			}
			for _, scarce := range []string{"cma", "first-fit", "best-fit", "tlsf"} {
				if c := by[scarce]; c.failed() == 0 || c.causes[allocator.Fragmented] != c.failed() {
					t.Errorf("%s fails for %v", scarce, c.causes)
				}
			}
		},
		"single-board": func(t *testing.T, by map[string]*tally) {
			if by["cma-64"].failures["screen-scanout"] == 0 {
				t.Errorf("cma-64 refuses %v", by["cma-64"].failures)
			}
			if by["cma-256"].failed()+by["cma-512"].failed() > 0 {
				t.Errorf("cma-256 refuses %v, cma-512 %v", by["cma-256"].failures, by["cma-512"].failures)
			}
		},
		"phone": func(t *testing.T, by map[string]*tally) {
			for variant, c := range by {
				if n := c.failures["films-pictures"] + c.failures["clips-pictures"] + c.failures["films-bitstream"] + c.failures["clips-bitstream"]; n == 0 || n != c.failed() {
					t.Errorf("%s refuses %v", variant, c.failures)
				}
			}
		},
		"car-cockpit": func(t *testing.T, by map[string]*tally) {
			if by["shared"].failures["surround-preview"] == 0 || by["cameras-first"].failed() > 0 {
				t.Errorf("shared refuses %v, cameras-first %v", by["shared"].failures, by["cameras-first"].failures)
			}
		},
		"passthrough-server": func(t *testing.T, by map[string]*tally) {
			for variant, c := range by {
				if c.failures["guest"] != c.failed() || c.causes[allocator.Fragmented] == 0 {
					t.Errorf("%s refuses %v for %v", variant, c.failures, c.causes)
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := scenario.Open(name)
			if err != nil {
				t.Fatal(err)
			}
			produce(t, &s.Variants[0], 40)
			by := map[string]*tally{}
			for i := range s.Variants {
				by[s.Variants[i].Name] = produce(t, &s.Variants[i], 0)
				if by[s.Variants[i].Name].requests < 100 {
					t.Errorf("%s asks for %d buffers", s.Variants[i].Name, by[s.Variants[i].Name].requests)
				}
			}
			check(t, by)
		})
	}
}
