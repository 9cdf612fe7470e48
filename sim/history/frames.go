package history

import (
	"math"
	"time"

	"dmasim/mem"
	"dmasim/sim"
	"dmasim/sim/physmem"
)

// The resolution of Frames.
const (
	frameRows     = 256
	frameInstants = 256
	framesPerRow  = 16 // page frames that are looked at for a row
)

// frameSampler looks at page frames, at instants that lie equally far apart.
type frameSampler struct {
	memory *physmem.Memory
	tables []Frames
	times  []time.Duration
	grid   time.Duration
	next   time.Duration
}

func newFrameSampler(cfg sim.Config, memory *physmem.Memory, duration time.Duration) *frameSampler {
	var ram mem.RangeSet
	for _, z := range cfg.Machine.Zones {
		ram = ram.Union(z.Ranges)
	}
	f := &frameSampler{memory: memory, grid: max(duration/frameInstants, 1)}
	f.next = f.grid
	f.add(ram.Hull())
	for _, area := range cfg.Machine.CMA {
		f.add(area.Range)
	}
	f.sample(0)
	return f
}

func (f *frameSampler) add(hull mem.Range) {
	f.tables = append(f.tables, Frames{Hull: hull, Rows: int(min(frameRows, hull.Size()/f.memory.PageSize()))})
}

func (f *frameSampler) due() time.Duration { return f.next }

// advance samples what held until now.
func (f *frameSampler) advance(now time.Duration) {
	for f.next <= now && len(f.times) <= frameInstants {
		f.sample(f.next)
		f.next += f.grid
	}
	if len(f.times) > frameInstants {
		f.next = math.MaxInt64
	}
}

func (f *frameSampler) sample(at time.Duration) {
	for i := range f.tables {
		f.paint(&f.tables[i])
	}
	f.times = append(f.times, at)
}

// paint appends an instant to a table.
func (f *frameSampler) paint(t *Frames) {
	page := f.memory.PageSize()
	first, frames := t.Hull.Lo/page, t.Hull.Size()/page
	for row := range uint64(t.Rows) {
		lo, hi := frames*row/uint64(t.Rows), frames*(row+1)/uint64(t.Rows)
		looked := min(hi-lo, framesPerRow)
		var count [physmem.Hole + 1]int
		most, _ := f.memory.At(first + lo)
		for i := range looked {
			kind, _ := f.memory.At(first + lo + (hi-lo)*i/looked)
			if count[kind]++; count[kind] > count[most] {
				most = kind
			}
		}
		t.Kinds = append(t.Kinds, most)
	}
}

// finish returns what was sampled, with the state at the end.
func (f *frameSampler) finish(end time.Duration) []Frames {
	if f.times[len(f.times)-1] < end {
		f.sample(end)
	}
	for i := range f.tables {
		f.tables[i].Times = f.times
	}
	return f.tables
}
