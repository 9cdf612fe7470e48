package cli

import (
	"cmp"
	"errors"
	"math"
	"os"
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
	hasGranule bool // the flag was given
	placement  scenario.Placement
	order      string
}

// traceFlags names the flags that a scenario says itself.
var traceFlags = []string{"allocator", "device", "arena", "granule", "placement", "order"}

func (o *traceOptions) addFlags(flags *pflag.FlagSet) {
	flags.StringArrayVar(&o.allocators, "allocator", []string{"first-fit"}, "trace: strategy to use; repeat it to compare several")
	flags.StringArrayVar(&o.devices, "device", nil, "trace: catalogue device that every buffer is for; may be repeated")
	flags.TextVar(&o.arena, "arena", mem.Size(0), "trace: size of the memory (default the peak load of a .csv, and what the mean load of others fills to 85 %)")
	flags.TextVar(&o.granule, "granule", mem.Size(1), "trace: unit to which sizes are rounded up (default that of a binary trace)")
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
func isTrace(path string) bool { return isProblem(path) || isPlacement(path) }

// isProblem reports whether a file is a static problem in MiniMalloc's format.
func isProblem(path string) bool { return strings.EqualFold(filepath.Ext(path), ".csv") }

// isPlacement reports whether a file is a placement trace.
func isPlacement(path string) bool {
	ext := strings.ToLower(filepath.Ext(stem(path, ".gz")))
	return ext == ".bin" || ext == ".txt"
}

// stem returns the path without an extension, if it has that one.
func stem(path, ext string) string {
	if strings.EqualFold(filepath.Ext(path), ext) {
		return path[:len(path)-len(ext)]
	}
	return path
}

// problem makes a scenario around a static problem.
func (o *traceOptions) problem(path string, problem *trace.Problem) (*scenario.Scenario, error) {
	spec := scenario.Spec{Workloads: []scenario.Workload{{Trace: &scenario.Trace{
		Format: scenario.MiniMalloc, Order: scenario.TraceOrder(o.order), Unit: time.Microsecond,
	}}}}
	return o.scenario(path, spec, mem.Size(problem.Load()), 1)
}

// placements makes a scenario around a placement trace. A binary one says how
// much memory it needs and how long it is.
func (o *traceOptions) placements(path string) (*scenario.Scenario, *offline, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	r, err := trace.NewPlacementReader(f)
	if err != nil {
		return nil, nil, inFile(path, err)
	}
	const tick = time.Microsecond
	h := &r.Header
	spec := scenario.Spec{Workloads: []scenario.Workload{{Trace: &scenario.Trace{
		Format: scenario.Placements, Order: scenario.TraceOrder(o.order), Unit: tick,
	}}}}
	if h.Records <= uint64(math.MaxInt64/tick) {
		spec.Duration = time.Duration(h.Records) * tick
	}
	arena := cmp.Or(h.Arena(), h.PeakLive)
	if arena == 0 && o.arena == 0 {
		return nil, nil, inFile(path, errors.New("the trace does not say how much memory it needs: give --arena"))
	}
	var known *offline
	if h.PeakLive > 0 {
		known = &offline{Load: mem.Size(h.PeakLive)}
	}
	sc, err := o.scenario(path, spec, mem.Size(arena), mem.Size(max(h.Unit, 1)))
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
	name := filepath.Base(stem(path, ".gz"))
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
