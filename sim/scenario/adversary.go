package scenario

import (
	"time"

	"dmasim/internal/strictyaml"
	"dmasim/mem"
	"dmasim/sim"
	"dmasim/workloads"
)

// Adversary asks for buffers so that its heap needs as much memory as possible, and
// ends at the first that it does not get.
type Adversary struct {
	// Which: robson, against every strategy that does not move buffers, or one against a particular strategy.
	Kind AdversaryKind `yaml:"kind"`
	// Most bytes that live at once, of robson and buddy-killer, a multiple of the largest buffer, and of first-fit-killer.
	Live mem.Size `yaml:"live,omitempty" jsonschema:"exclusiveMinimum=0"`
	// Largest buffer; of robson and buddy-killer a power of two in units.
	Largest mem.Size `yaml:"largest" jsonschema:"exclusiveMinimum=0"`
	// Rounds, of best-fit-killer and next-fit-killer.
	Rounds uint64 `yaml:"rounds,omitempty" jsonschema:"exclusiveMinimum=0"`
	// Smallest buffer, of which all sizes are multiples. By default the granule of the heap.
	Unit mem.Size `yaml:"unit,omitempty" jsonschema:"exclusiveMinimum=0"`
	// Time from one operation to the next.
	Every time.Duration `yaml:"every" jsonschema:"exclusiveMinimum=0" jsonschema_extras:"default=1ms"`
}

// AdversaryKind is a workloads.AdversaryKind.
type AdversaryKind workloads.AdversaryKind

// Options returns the names of the adversaries.
func (AdversaryKind) Options() []string {
	var names []string
	for _, k := range workloads.AdversaryKinds() {
		names = append(names, string(k))
	}
	return names
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (k *AdversaryKind) UnmarshalText(text []byte) error {
	return strictyaml.OneOf(k, "adversary", text, k.Options())
}

// config is that of the source, in a heap.
func (a *Adversary) config(heap *sim.Heap) workloads.AdversaryConfig {
	return workloads.AdversaryConfig{
		Kind: workloads.AdversaryKind(a.Kind), Unit: uint64(a.Unit), Live: uint64(a.Live), Largest: uint64(a.Largest),
		Rounds: a.Rounds, Every: a.Every, Base: heap.Arena.Hull().Lo,
	}
}
