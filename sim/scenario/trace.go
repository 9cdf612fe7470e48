package scenario

import (
	"os"
	"time"

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
	Unit time.Duration `yaml:"unit" jsonschema_extras:"default=1us"`
}

// TraceFormat names the format of a recorded file.
type TraceFormat string

// MiniMalloc is the CSV form of MiniMalloc: see trace.ReadMiniMalloc.
const MiniMalloc TraceFormat = "minimalloc"

// UnmarshalText implements encoding.TextUnmarshaler.
func (f *TraceFormat) UnmarshalText(text []byte) error {
	return oneOf(f, "format", text, MiniMalloc)
}

// TraceOrder is a trace.Order.
type TraceOrder trace.Order

// UnmarshalText implements encoding.TextUnmarshaler.
func (o *TraceOrder) UnmarshalText(text []byte) error {
	return oneOf((*trace.Order)(o), "order", text, trace.Orders()...)
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
