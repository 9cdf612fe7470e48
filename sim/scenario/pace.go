package scenario

import (
	"slices"
	"time"

	"go.yaml.in/yaml/v4"

	"dmasim/internal/strictyaml"
	"dmasim/mem"
	"dmasim/sim"
	"dmasim/workloads"
)

// Phase is a span of time in which a churn is otherwise.
type Phase struct {
	// How long it lasts.
	For time.Duration `yaml:"for" jsonschema:"exclusiveMinimum=0"`
	// What the rate of arrivals is multiplied by; 0: none arrive.
	Rate float64 `yaml:"rate" jsonschema:"minimum=0" jsonschema_extras:"default=1"`
	// The same at the end of the phase, to which it goes evenly. By default rate.
	RateTo *float64 `yaml:"rate_to,omitempty" jsonschema:"minimum=0"`
	// Size of the buffers of all clients that arrive in it, in place of their own.
	Size *Sizes `yaml:"size,omitempty"`
	// Lifetime of the buffers of all clients that arrive in it, in place of their own.
	Lifetime *Times `yaml:"lifetime,omitempty"`
	// Clients whose weights are others in it.
	Clients []PhaseClient `yaml:"clients,omitempty"`
}

// PhaseClient is a client of a churn in one of its phases.
type PhaseClient struct {
	// Name of the client.
	Name string `yaml:"name"`
	// Its share of the arrivals in the phase, relative to the weights of the others; 0: none.
	Weight float64 `yaml:"weight" jsonschema:"minimum=0"`
}

// Bursts let arrivals through and hold them up in turn, for times that are drawn.
type Bursts struct {
	// How long arrivals come, from the start on. Every and other rates are those within bursts: over all time there are fewer.
	On Times `yaml:"on"`
	// How long none come.
	Off Times `yaml:"off"`
}

// Ramp is arrivals, independent of one another, at such a rate that what lives, if every request is served, grows evenly to a target and stays there on average.
type Ramp struct {
	// Bytes of payload to live in the end.
	To mem.Size `yaml:"to,omitempty" jsonschema:"oneof_required=to,exclusiveMinimum=0"`
	// The same as a share of the heap, a carveout or a CMA area: 0.8 is four fifths.
	Share float64 `yaml:"share,omitempty" jsonschema:"oneof_required=share,exclusiveMinimum=0"`
	// How long it takes to get there.
	Over time.Duration `yaml:"over" jsonschema:"exclusiveMinimum=0"`
}

// complete fills in what phases and a ramp leave to others. A share is in bytes then, if
// the heap is one that has a size.
func (c *Churn) complete(heapSize mem.Size) {
	for i := range c.Phases {
		if p := &c.Phases[i]; p.RateTo == nil {
			rate := p.Rate
			p.RateTo = &rate
		}
	}
	if r := c.Ramp; r != nil && r.To == 0 && r.Share > 0 && heapSize > 0 {
		r.To, r.Share = mem.Size(min(r.Share*float64(heapSize), float64(workloads.MaxSize))), 0
	}
}

// heapSize returns the bytes that a heap has for itself: 0 if it shares the machine's.
func (s *Spec) heapSize(name string) mem.Size {
	var size mem.Size
	for _, h := range s.Heaps {
		switch {
		case h.Name != name:
		case h.Kind == Carveout:
			for _, r := range h.Arena {
				size += r.Size
			}
		case h.Kind == CMAHeap && s.Machine != nil:
			for _, area := range s.Machine.CMA {
				if area.Name == h.Area {
					size += area.Size
				}
			}
		}
	}
	return size
}

// pace checks what the rate of a churn's arrivals depends on.
func (c *checker) pace(w *Churn, heap *sim.Heap, place *yaml.Node) {
	arrivals := 0
	for _, is := range []bool{w.Every != nil, w.Saturated, w.Ramp != nil} {
		if is {
			arrivals++
		}
	}
	if arrivals != 1 {
		c.Fail(place, "want one of every, ramp and saturated: true")
	}
	if w.Saturated && (len(w.Phases) > 0 || w.Bursts != nil) {
		c.Fail(strictyaml.At(place, "saturated"), "saturated work has no arrivals that phases and bursts could change")
	}
	if w.Correlation < -1 || w.Correlation > 1 {
		c.Fail(strictyaml.At(place, "correlation"), "want a rank correlation from -1 to 1")
	}
	if w.Repeat && len(w.Phases) == 0 {
		c.Fail(strictyaml.At(place, "repeat"), "there are no phases to repeat")
	}
	var clients []string
	for _, client := range w.Clients {
		clients = append(clients, client.Name)
	}
	for i, p := range w.Phases {
		at := strictyaml.At(place, "phases", i)
		if p.Rate < 0 {
			c.Fail(strictyaml.At(at, "rate"), "a rate must not be negative")
		}
		if *p.RateTo < 0 {
			c.Fail(strictyaml.At(at, "rate_to"), "a rate must not be negative")
		}
		seen := map[string]bool{}
		for j, client := range p.Clients {
			name := strictyaml.At(at, "clients", j, "name")
			switch {
			case !slices.Contains(clients, client.Name):
				c.FailNear(name, "the churn has no client "+strictyaml.Quote(client.Name), client.Name, clients)
			case seen[client.Name]:
				c.Fail(name, "client "+strictyaml.Quote(client.Name)+" is there twice")
			case client.Weight < 0:
				c.Fail(strictyaml.At(at, "clients", j, "weight"), "a weight must not be negative")
			}
			seen[client.Name] = true
		}
	}
	if r := w.Ramp; r != nil {
		at := strictyaml.At(place, "ramp")
		switch {
		case r.Share > 0 && r.To > 0 || r.Share == 0 && r.To == 0:
			c.Fail(at, "want either to or share")
		case r.Share > 0:
			c.Fail(strictyaml.At(at, "share"), "heap "+strictyaml.Quote(heap.Name)+" has no memory of its own to take a share of: write to: 64MiB")
		}
	}
}

// paced adds to the source's configuration what the rate of arrivals depends on.
func (c *Churn) paced(config *workloads.ChurnConfig) {
	config.Correlation, config.Repeat = c.Correlation, c.Repeat
	for _, p := range c.Phases {
		made := workloads.ChurnPhase{
			For: p.For, Rate: p.Rate, RateTo: *p.RateTo,
			Size: (*workloads.Distribution)(p.Size), Lifetime: (*workloads.Distribution)(p.Lifetime),
		}
		if len(p.Clients) > 0 {
			for _, client := range c.Clients {
				weight := client.Weight
				for _, other := range p.Clients {
					if other.Name == client.Name {
						weight = other.Weight
					}
				}
				made.Weights = append(made.Weights, weight)
			}
		}
		config.Phases = append(config.Phases, made)
	}
	if b := c.Bursts; b != nil {
		config.Bursts = &workloads.Bursts{On: workloads.Distribution(b.On), Off: workloads.Distribution(b.Off)}
	}
	if r := c.Ramp; r != nil {
		config.Ramp = &workloads.Ramp{To: float64(r.To), Over: r.Over}
	}
}
