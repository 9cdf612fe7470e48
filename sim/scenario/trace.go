package scenario

import (
	"fmt"
	"os"
	"time"

	"dmasim/internal/strictyaml"
	"dmasim/workloads"
	"dmasim/workloads/trace"
)

// Trace plays a recorded file.
type Trace struct {
	// Path of the file, from the folder of the scenario.
	File string `yaml:"file"`
	// Format of the file.
	Format TraceFormat `yaml:"format"`
	// Order in which buffers of a minimalloc file that start at the same time are allocated: as the file has them, or the largest first.
	Order TraceOrder `yaml:"order" jsonschema_extras:"default=file"`
	// Length of a time step of a minimalloc file, or the time between two records of a placement trace.
	Unit time.Duration `yaml:"unit" jsonschema:"exclusiveMinimum=0" jsonschema_extras:"default=1us"`
}

// TraceFormat names the format of a recorded file.
type TraceFormat string

// The formats.
const (
	MiniMalloc TraceFormat = "minimalloc" // the CSV form of MiniMalloc: see trace.ReadMiniMalloc
	Placements TraceFormat = "placement"  // allocations and frees in order: see trace.NewPlacementReader
)

// Options returns the names of the formats.
func (TraceFormat) Options() []string { return []string{string(MiniMalloc), string(Placements)} }

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

// stream opens a placement trace and reads its head.
func (t *Trace) stream() (*placementFile, error) {
	f, err := os.Open(t.File)
	if err != nil {
		return nil, err
	}
	r, err := trace.NewPlacementReader(f)
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("%s: %w", t.File, err)
	}
	return &placementFile{PlacementSource: trace.NewPlacementSource(r, t.Unit), file: f}, nil
}

// placementFile is a placement trace that closes its file at the end.
type placementFile struct {
	*trace.PlacementSource
	file *os.File
}

// Next implements workloads.Source.
func (p *placementFile) Next(last *workloads.Outcome) (workloads.Op, bool) {
	op, ok := p.PlacementSource.Next(last)
	if !ok {
		p.file.Close()
	}
	return op, ok
}

// Fill implements workloads.BatchSource.
func (p *placementFile) Fill(ops []workloads.Op) int {
	n := p.PlacementSource.Fill(ops)
	if n < len(ops) {
		p.file.Close()
	}
	return n
}

// Err implements workloads.Source.
func (p *placementFile) Err() error {
	if err := p.PlacementSource.Err(); err != nil {
		return fmt.Errorf("%s: %w", p.file.Name(), err)
	}
	return nil
}

func (t *Trace) options() trace.ReplayOptions {
	return trace.ReplayOptions{Order: trace.Order(t.Order), Tick: t.Unit}
}
