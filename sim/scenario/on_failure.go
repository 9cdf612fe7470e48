package scenario

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"go.yaml.in/yaml/v4"

	"dmasim/internal/strictyaml"
	"dmasim/sim"
	"dmasim/workloads"
)

// OnFailure is what a workload does when a request for a buffer is refused: it asks other heaps, waits and asks again, and drops the buffer in the end. Every attempt is a request that may fail; what became of the buffers is counted apart.
type OnFailure struct {
	// Heaps that are asked at the same instant, one after the other, when the workload's own refuses. Each is a client of its own in results: CLIENT-in-HEAP.
	Fallback []string `yaml:"fallback,omitempty"`
	// How often all of these heaps are asked again, a number or unlimited. By default never: what all refuse is dropped at once.
	Retries Retries `yaml:"retries" jsonschema_extras:"default=0"`
	// Time between the attempts. Without it, retries come at once, which helps where a heap gets at more memory each time that it is asked.
	Backoff *Backoff `yaml:"backoff,omitempty"`
	// Time from the first attempt, after which the buffer is of no use and dropped. A retry just then is the last.
	Deadline time.Duration `yaml:"deadline,omitempty" jsonschema:"exclusiveMinimum=0"`
}

// Backoff is the time from an attempt to the next.
type Backoff struct {
	// Time before the first retry.
	Initial time.Duration `yaml:"initial" jsonschema:"exclusiveMinimum=0"`
	// What each time is multiplied by for the next; 1 is a fixed back-off, 2 a doubling one.
	Factor float64 `yaml:"factor" jsonschema:"minimum=1" jsonschema_extras:"default=1"`
	// Longest time, however often it is multiplied.
	Most time.Duration `yaml:"most,omitempty" jsonschema:"exclusiveMinimum=0"`
	// Share of each time that is random: 0 for none, 1 for anything from nothing to the whole time.
	Jitter float64 `yaml:"jitter" jsonschema:"minimum=0,maximum=1" jsonschema_extras:"default=0"`
}

// Retries is a number of retries, or workloads.Unlimited.
type Retries uint64

const unlimited = "unlimited"

// DecodeYAML implements strictyaml.NodeDecoder.
func (r *Retries) DecodeYAML(d *strictyaml.Decoder, n *yaml.Node) {
	if !d.Scalar(n, "a number, or "+unlimited) {
		return
	}
	if n.Value == unlimited {
		*r = workloads.Unlimited
		return
	}
	count, err := strconv.ParseUint(n.Value, 10, 32)
	if n.Tag != "!!int" || err != nil {
		d.Fail(n, strictyaml.Quote(n.Value)+" is no number of retries; write one up to 4294967295, or "+unlimited)
		return
	}
	*r = Retries(count)
}

// MarshalYAML implements yaml.Marshaler.
func (r Retries) MarshalYAML() (any, error) {
	if r == workloads.Unlimited {
		return unlimited, nil
	}
	return uint64(r), nil
}

// onFailure checks what a workload does with refused requests. It adds to the input and
// the configuration the clients that stand for its own in other heaps, and returns them
// as workloads.RetryConfig has them.
func (c *checker) onFailure(cfg *sim.Config, w *Workload, input *sim.Input, place *yaml.Node, add func(client sim.Client, nameAt *yaml.Node)) [][]int {
	o := w.OnFailure
	at := strictyaml.At(place, "on_failure")
	switch {
	case w.Adversary != nil:
		c.Fail(at, "an adversary ends at the first request that is refused")
		return nil
	case w.Churn != nil && w.Churn.Saturated:
		c.Fail(at, "saturated work asks again whenever one of its buffers is freed")
		return nil
	case o.Retries == 0 && o.Backoff != nil:
		c.Fail(strictyaml.At(at, "backoff"), "a back-off needs retries: give a number, or "+unlimited)
	case o.Retries == 0 && o.Deadline > 0:
		c.Fail(strictyaml.At(at, "deadline"), "without retries nothing waits: give a number, or "+unlimited)
	case o.Retries == workloads.Unlimited && o.Backoff == nil:
		c.Fail(strictyaml.At(at, "retries"), "retries without end need a back-off")
	case o.Retries == workloads.Unlimited && o.Deadline == 0 && cfg.Duration == 0:
		c.Fail(strictyaml.At(at, "retries"), "has no end: give a deadline, or the scenario a duration")
	}
	if o.Backoff != nil {
		c.backoff(o.Backoff, strictyaml.At(at, "backoff"))
	}
	return c.fallbacks(cfg, o.Fallback, input, strictyaml.At(at, "fallback"), add)
}

func (c *checker) backoff(b *Backoff, place *yaml.Node) {
	switch {
	case !(b.Factor >= 1):
		c.Fail(strictyaml.At(place, "factor"), "a factor is at least 1")
	case b.Most > 0 && b.Most < b.Initial:
		c.Fail(strictyaml.At(place, "most"), fmt.Sprintf("most is %v, less than initial, which is %v", b.Most, b.Initial))
	case !(b.Jitter >= 0 && b.Jitter <= 1):
		c.Fail(strictyaml.At(place, "jitter"), "jitter is a share, from 0 to 1")
	}
}

// fallbacks adds a client for each of the input's and each of the heaps that is not its
// own.
func (c *checker) fallbacks(cfg *sim.Config, heaps []string, input *sim.Input, place *yaml.Node, add func(client sim.Client, nameAt *yaml.Node)) [][]int {
	own := slices.Clone(input.Clients)
	instead := make([][]int, len(own))
	for i, name := range heaps {
		at := strictyaml.At(place, i)
		mistakes := c.Mistakes()
		heap := c.heapNamed(cfg, name, at)
		elsewhere := func(client int) bool { return cfg.Clients[client].Heap != heap }
		switch {
		case c.Mistakes() > mistakes:
			continue
		case slices.Contains(heaps[:i], name):
			c.Fail(at, "heap "+strictyaml.Quote(name)+" is there twice")
			continue
		case !slices.ContainsFunc(own, elsewhere):
			c.Fail(at, "heap "+strictyaml.Quote(name)+" is the workload's own")
			continue
		}
		for j, client := range own {
			if elsewhere(client) {
				made := cfg.Clients[client]
				made.Name, made.Heap = made.Name+"-in-"+name, heap
				instead[j] = append(instead[j], len(input.Clients))
				add(made, at)
			}
		}
	}
	return instead
}

// retrying is a workload's source with what it does when requests are refused.
func (w *Workload) retrying(source workloads.Source, seed uint64, fallbacks [][]int) (workloads.Source, error) {
	o := w.OnFailure
	config := workloads.RetryConfig{
		Name: w.Name, Seed: seed, Fallbacks: fallbacks, Retries: uint64(o.Retries), Deadline: o.Deadline,
	}
	if b := o.Backoff; b != nil {
		config.Backoff = workloads.Backoff{Initial: b.Initial, Factor: b.Factor, Most: b.Most, Jitter: b.Jitter}
	}
	return workloads.NewRetrying(source, config)
}
