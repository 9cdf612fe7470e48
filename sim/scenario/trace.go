package scenario

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"dmasim/internal/strictyaml"
	"dmasim/mem"
	"dmasim/workloads"
	"dmasim/workloads/trace"
)

// Trace plays a recorded file.
type Trace struct {
	// Path of the file, from the folder of the scenario. It may be compressed with gzip or Zstandard.
	File string `yaml:"file"`
	// Format of the file. Without it, the content tells.
	Format TraceFormat `yaml:"format,omitempty"`
	// Order in which buffers of a minimalloc file that start at the same time are allocated: as the file has them, or the largest first.
	Order TraceOrder `yaml:"order" jsonschema_extras:"default=file"`
	// Length of a time step of a minimalloc file, the time between two records of a placement trace, or that between two pictures of bufinfo without times.
	Unit time.Duration `yaml:"unit" jsonschema:"exclusiveMinimum=0" jsonschema_extras:"default=1us"`
	// Page size of the machine that was recorded, 4KiB, 16KiB or 64KiB, where the file counts pages. Without it, what the file says, else 4KiB.
	Page mem.Size `yaml:"page,omitempty" jsonschema:"exclusiveMinimum=0"`
	// Heaps of the recording to play; none: all of them.
	Heaps []string `yaml:"heaps,omitempty"`
	// Whether a file in which something is missing is refused: lost events, frees without allocations, buffers that are never freed, and the like.
	Strict bool `yaml:"strict" jsonschema_extras:"default=false"`
}

// TraceFormat is a trace.Format; "" is told by the content.
type TraceFormat trace.Format

// Options returns the names of the formats.
func (TraceFormat) Options() []string {
	var names []string
	for _, f := range trace.Formats() {
		names = append(names, string(f))
	}
	return names
}

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

// open starts to read the file.
func (t *Trace) open() (*trace.Reader, error) {
	return trace.Open(t.File, trace.Options{
		Format: trace.Format(t.Format), Page: t.Page, Tick: t.Unit, Order: trace.Order(t.Order), Heaps: t.Heaps,
	})
}

// complain reads the file to its end and returns what is missing in it as an
// error.
func (t *Trace) complain() error {
	r, err := t.open()
	if err != nil {
		return err
	}
	defer r.Close()
	summary, err := trace.Summarise(r)
	if err != nil {
		return err
	}
	if summary.Losses.Any() {
		return fmt.Errorf("%s: not complete, and strict: %s", t.File, strings.Join(summary.Losses.Texts(), ", "))
	}
	return nil
}

// source opens the file to be played. Placement traces, which are long, have a
// path of their own, without the checks and names of other formats.
func (t *Trace) source() (workloads.Source, error) {
	if t.Format == TraceFormat(trace.Placements) {
		f, err := os.Open(t.File)
		if err != nil {
			return nil, err
		}
		r, err := trace.NewPlacementReader(f)
		if err != nil {
			f.Close()
			return nil, fmt.Errorf("%s: %w", t.File, err)
		}
		return &placementFile{trace.NewPlacementSource(r, t.Unit), f}, nil
	}
	r, err := t.open()
	if err != nil {
		return nil, err
	}
	return &traceFile{trace.NewSource(r), r}, nil
}

// traceFile is a recording that closes its file at the end.
type traceFile struct {
	*trace.Source
	file io.Closer
}

// Next implements workloads.Source.
func (f *traceFile) Next(last *workloads.Outcome) (workloads.Op, bool) {
	op, ok := f.Source.Next(last)
	if !ok {
		f.file.Close()
	}
	return op, ok
}

// Fill implements workloads.BatchSource.
func (f *traceFile) Fill(ops []workloads.Op) int {
	n := f.Source.Fill(ops)
	if n < len(ops) {
		f.file.Close()
	}
	return n
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
