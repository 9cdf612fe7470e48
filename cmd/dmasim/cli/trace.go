package cli

import (
	"cmp"
	"errors"
	"math"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"dmasim/devices"
	"dmasim/mem"
	"dmasim/sim/scenario"
	"dmasim/workloads/trace"
)

// traceOptions are the flags of run that make a scenario around a trace.
type traceOptions struct {
	input      traceInput
	allocators []string
	devices    []string
	arena      mem.Size
	granule    mem.Size
	hasGranule bool // the flag was given
	placement  scenario.Placement
	order      string
}

// traceFlags names the flags that a scenario says itself.
var traceFlags = []string{"allocator", "device", "arena", "granule", "placement", "order", "heap", "page", "strict", "from"}

func (o *traceOptions) addFlags(flags *pflag.FlagSet) {
	flags.StringArrayVar(&o.allocators, "allocator", []string{"first-fit"}, "trace: strategy to use; repeat it to compare several")
	flags.StringArrayVar(&o.devices, "device", nil, "trace: catalogue device that every buffer is for; may be repeated")
	flags.TextVar(&o.arena, "arena", mem.Size(0), "trace: size of the memory (default the peak load, or of a binary placement trace what its mean load fills to 85 %)")
	flags.TextVar(&o.granule, "granule", mem.Size(1), "trace: unit to which sizes are rounded up (default that of the trace, at most 4KiB; 1B for MiniMalloc's)")
	flags.TextVar(&o.placement, "placement", scenario.Placement(0), "trace: natural, low or high")
	flags.StringVar(&o.order, "order", string(trace.FileOrder), "trace: order of buffers of MiniMalloc's that start together: file, or start-size (largest first)")
	o.input.addFlags(flags, "trace: ")
}

// used returns the name of a flag that was given, or "".
func (o *traceOptions) used(flags *pflag.FlagSet) string {
	for _, name := range traceFlags {
		if flags.Changed(name) {
			return name
		}
	}
	return ""
}

// isTrace reports whether the argument of run is a trace: by its name, if that
// says so, else by its content.
func isTrace(path string) bool {
	if path == "-" {
		return true
	}
	switch strings.ToLower(filepath.Ext(trace.Stem(path))) {
	case ".yaml", ".yml":
		return false
	case ".csv", ".bin", ".txt", ".parquet":
		return true
	}
	r, err := trace.Open(path, trace.Options{})
	if err != nil {
		return false
	}
	r.Close()
	return true
}

// load makes a scenario around a trace, and returns what is known of the trace. A
// trace that does not say at its head how much memory it needs is read twice.
func (o *traceOptions) load(cmd *cobra.Command, path string) (*scenario.Scenario, *offline, error) {
	if path == "-" {
		return nil, nil, errors.New("a trace that is run is read more than once: write standard input to a file first")
	}
	r, err := o.input.open(nil, path, trace.Order(o.order), 0)
	if err != nil {
		return nil, nil, err
	}
	defer r.Close()
	const tick = time.Microsecond
	spec := scenario.Spec{Workloads: []scenario.Workload{{Trace: &scenario.Trace{
		Format: scenario.TraceFormat(r.Format()), Order: scenario.TraceOrder(o.order), Unit: tick,
		Page: o.input.page, Heaps: o.input.heaps, Strict: o.input.strict,
	}}}}
	if problem := r.Problem(); problem != nil {
		sc, err := o.scenario(path, spec, mem.Size(problem.Load()), 1)
		if err != nil {
			return nil, nil, err
		}
		known, err := packBriefly(cmd.Context(), problem)
		return sc, &known, inFile(path, err)
	}
	h := r.Header()
	if h.Records > 0 && h.Records <= uint64(math.MaxInt64/tick) {
		spec.Duration = time.Duration(h.Records) * tick
	}
	size, granule, known := cmp.Or(h.Arena(), h.PeakLive), max(h.Unit, 1), &offline{Load: mem.Size(h.PeakLive)}
	if r.Format() != trace.Placements || size == 0 && o.arena == 0 || o.input.strict {
		summary, err := o.input.summarise(cmd.ErrOrStderr(), path, r)
		if err != nil {
			return nil, nil, err
		}
		size = cmp.Or(size, uint64(summary.Peak), uint64(summary.Largest()))
		granule = cmp.Or(h.Unit, min(uint64(summary.Granule), uint64(4*mem.KiB)))
		known.Load = summary.Peak
	}
	if known.Load == 0 {
		known = nil
	}
	sc, err := o.scenario(path, spec, mem.Size(size), mem.Size(granule))
	return sc, known, err
}

// scenario completes one with one variant for each strategy: a memory that begins
// where the devices' reach begins, one heap, the trace. The size of the memory
// and the granule are used where the flags say nothing.
func (o *traceOptions) scenario(path string, spec scenario.Spec, size, granule mem.Size) (*scenario.Scenario, error) {
	if o.arena != 0 {
		size = o.arena
	}
	if o.hasGranule {
		granule = o.granule
	}
	if granule == 0 {
		return nil, errors.New("--granule must be more than 0")
	}
	base, err := o.base()
	if err != nil {
		return nil, err
	}
	name := filepath.Base(trace.Stem(path))
	spec.Name = scenario.NameFor(strings.TrimSuffix(name, filepath.Ext(name)), "trace")
	spec.Seed = 1
	spec.Page = 4 * mem.KiB
	spec.Memory = []scenario.Range{{Base: mem.Addr(base), Size: size}}
	spec.Heaps = []scenario.Heap{{
		Name: "memory", Kind: scenario.Carveout, Mode: 0o600, Allocator: o.allocators[0], Placement: o.placement, Granule: granule, Aware: true,
	}}
	work := &spec.Workloads[0]
	work.Name, work.Heap, work.Devices, work.Trace.File = "trace", "memory", o.devices, filepath.Base(path)
	for _, name := range o.devices {
		spec.Devices = append(spec.Devices, scenario.Device{Use: name, Device: devices.Device{Name: name}})
	}
	// The scenario stands beside the trace, so that its errors name the trace.
	return scenario.Vary(path, spec, "heaps.memory.allocator", o.allocators)
}

// base is the lowest address that every device reaches.
func (o *traceOptions) base() (uint64, error) {
	var list []devices.Device
	for _, name := range o.devices {
		// An unknown one is found out by the scenario, with a suggestion.
		if d, ok := devices.Lookup(name); ok {
			list = append(list, d)
		}
	}
	plan, err := devices.Merge(list...)
	if err != nil {
		return 0, err
	}
	if len(plan.Reach) == 0 {
		return 0, errors.New("the devices reach no memory in common")
	}
	return plan.Reach[0].Lo, nil
}
