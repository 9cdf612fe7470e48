package scenario

import (
	"os"
	"time"

	"dmasim/internal/strictyaml"
	"dmasim/workloads/trace"
)

// Trace plays a recorded file.
type Trace struct {
	// Path of the file, from the folder of the scenario.
	File string `yaml:"file"`
	// Format of the file.
	Format TraceFormat `yaml:"format"`
	// Order in which buffers that start at the same time are allocated: as the file has them, or the largest first.
	Order TraceOrder `yaml:"order" jsonschema_extras:"default=file"`
	// Length of a time step of the file.
	Unit time.Duration `yaml:"unit" jsonschema:"exclusiveMinimum=0" jsonschema_extras:"default=1us"`
}

// TraceFormat names the format of a recorded file.
type TraceFormat string

// MiniMalloc is the CSV form of MiniMalloc: see trace.ReadMiniMalloc.
const MiniMalloc TraceFormat = "minimalloc"

// Options returns the names of the formats.
func (TraceFormat) Options() []string { return []string{string(MiniMalloc)} }

// UnmarshalText implements encoding.TextUnmarshaler.
func (f *TraceFormat) UnmarshalText(text []byte) error {
	return strictyaml.OneOf(f, "format", text, f.Options())
}

// TraceOrder is a trace.Order.
type TraceOrder trace.Order

// Options returns the names of the orders.
func (TraceOrder) Options() []string {
	var names []string
	for _, o := range trace.Orders() {
		names = append(names, string(o))
	}
	return names
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (o *TraceOrder) UnmarshalText(text []byte) error {
	return strictyaml.OneOf(o, "order", text, o.Options())
}

func (t *Trace) read() (*trace.Problem, error) {
	f, err := os.Open(t.File)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return trace.ReadMiniMalloc(f, t.File)
}

func (t *Trace) options() trace.ReplayOptions {
	return trace.ReplayOptions{Order: trace.Order(t.Order), Tick: t.Unit}
}
