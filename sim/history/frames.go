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
	Frames
	memory *physmem.Memory
	grid   time.Duration
	next   time.Duration
}

func newFrameSampler(cfg sim.Config, memory *physmem.Memory, duration time.Duration) *frameSampler {
	var ram mem.RangeSet
	for _, z := range cfg.Machine.Zones {
		ram = ram.Union(z.Ranges)
	}
	f := &frameSampler{memory: memory, grid: max(duration/frameInstants, 1), next: math.MaxInt64}
	f.Hull = ram.Hull()
	f.Rows = int(min(frameRows, f.Hull.Size()/memory.PageSize()))
	f.sample(0)
	if duration > 0 {
		f.next = f.grid
	}
	return f
}

func (f *frameSampler) due() time.Duration { return f.next }

// advance samples what held until now.
func (f *frameSampler) advance(now time.Duration) {
	for f.next <= now && len(f.Times) <= frameInstants {
		f.sample(f.next)
		f.next += f.grid
	}
	if len(f.Times) > frameInstants {
		f.next = math.MaxInt64
	}
}

func (f *frameSampler) sample(at time.Duration) {
	page := f.memory.PageSize()
	frames := f.Hull.Size() / page
	for row := range uint64(f.Rows) {
		lo, hi := frames*row/uint64(f.Rows), frames*(row+1)/uint64(f.Rows)
		var count [physmem.Hole + 1]int
		most := f.kind(lo)
		for i := range min(hi-lo, framesPerRow) {
			kind := f.kind(lo + (hi-lo)*i/min(hi-lo, framesPerRow))
			if count[kind]++; count[kind] > count[most] {
				most = kind
			}
		}
		f.Kinds = append(f.Kinds, most)
	}
	f.Times = append(f.Times, at)
}

// kind is what a page frame holds, counted from the lowest of the memory.
func (f *frameSampler) kind(frame uint64) physmem.Kind {
	kind, _ := f.memory.At(f.Hull.Lo/f.memory.PageSize() + frame)
	return kind
}

// finish returns what was sampled, with the state at the end.
func (f *frameSampler) finish(end time.Duration) *Frames {
	if f.Times[len(f.Times)-1] < end {
		f.sample(end)
	}
	return &f.Frames
}
