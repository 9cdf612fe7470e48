package cli

import (
	"errors"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"dmasim/devices"
	"dmasim/mem"
	"dmasim/sim/scenario"
	"dmasim/workloads/trace"
)

// traceOptions are the flags of run that make a scenario around a trace.
type traceOptions struct {
	allocators []string
	devices    []string
	arena      mem.Size
	granule    mem.Size
	placement  scenario.Placement
	order      string
}

// traceFlags names the flags that a scenario says itself.
var traceFlags = []string{"allocator", "device", "arena", "granule", "placement", "order"}

func (o *traceOptions) addFlags(flags *pflag.FlagSet) {
	flags.StringArrayVar(&o.allocators, "allocator", []string{"first-fit"}, "trace: strategy to use; repeat it to compare several")
	flags.StringArrayVar(&o.devices, "device", nil, "trace: catalogue device that every buffer is for; may be repeated")
	flags.TextVar(&o.arena, "arena", mem.Size(0), "trace: size of the memory (default the trace's peak load)")
	flags.TextVar(&o.granule, "granule", mem.Size(1), "trace: unit to which sizes are rounded up")
	flags.TextVar(&o.placement, "placement", scenario.Placement(0), "trace: natural, low or high")
	flags.StringVar(&o.order, "order", string(trace.FileOrder), "trace: order of buffers that start together: file, or start-size (largest first)")
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

// isTrace reports whether the argument of run is a trace.
func isTrace(path string) bool {
	return strings.EqualFold(filepath.Ext(path), ".csv")
}

// scenario makes a scenario with one variant for each strategy: a memory that
// begins where the devices' reach begins, one heap, the trace.
func (o *traceOptions) scenario(path string, problem *trace.Problem) (*scenario.Scenario, error) {
	if o.granule == 0 {
		return nil, errors.New("--granule must be more than 0")
	}
	size := o.arena
	if size == 0 {
		size = mem.Size(problem.Load())
	}
	base, err := o.base()
	if err != nil {
		return nil, err
	}
	spec := scenario.Spec{
		Name:   scenario.NameFor(strings.TrimSuffix(filepath.Base(path), filepath.Ext(path)), "trace"),
		Seed:   1,
		Page:   4 * mem.KiB,
		Memory: []scenario.Range{{Base: mem.Addr(base), Size: size}},
		Heaps: []scenario.Heap{{
			Name: "memory", Kind: scenario.Carveout, Mode: 0o600, Allocator: o.allocators[0], Placement: o.placement, Granule: o.granule, Aware: true,
		}},
		Workloads: []scenario.Workload{{
			Name: "trace", Heap: "memory", Devices: o.devices,
			Trace: &scenario.Trace{
				File: filepath.Base(path), Format: scenario.MiniMalloc,
				Order: scenario.TraceOrder(o.order), Unit: time.Microsecond,
			},
		}},
	}
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
