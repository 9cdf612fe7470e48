package history

import (
	"cmp"
	"math"
	"slices"
	"time"

	"dmasim/allocator"
	"dmasim/mem"
	"dmasim/sim"
	"dmasim/sim/heap"
)

// Limits bound a record.
type Limits struct {
	// Pieces is how many pieces of memory the record has at most; at least 1. While
	// it records, a recorder has twice as many, and those of the buffers that are live.
	Pieces int
	// Duration is how long the simulation goes on: what page frames hold is sampled up
	// to then. 0: that is not known, and they are not sampled.
	Duration time.Duration
}

// Recorder is an observer that records the lives of buffers.
type Recorder struct {
	limits Limits
	pages  []*heap.Pages
	frames *frameSampler // nil: page frames are not sampled
	now    func() time.Duration

	live   map[place]int32 // into slots
	slots  []Buffer
	free   []int32
	done   []Buffer
	pieces int // of done
	out    LeftOut
	least  float64 // what is lighter is left out; negative: nothing is yet
	ranges []mem.Range
}

// place names a live buffer: no two of a heap begin at one address.
type place struct {
	heap int
	addr uint64
}

// NewRecorder makes a recorder for a simulation of cfg that has not run yet and makes
// it observe the simulation.
func NewRecorder(cfg sim.Config, s *sim.Simulation, limits Limits) *Recorder {
	limits.Pieces = max(limits.Pieces, 1)
	r := &Recorder{limits: limits, pages: s.Pages(), now: s.Now, live: map[place]int32{}, least: -1}
	if s.Memory() != nil && limits.Duration > 0 {
		r.frames = newFrameSampler(cfg, s.Memory(), limits.Duration)
	}
	s.Observe(r)
	return r
}

// Advance implements sim.Observer.
func (r *Recorder) Advance(now time.Duration) {
	if r.frames != nil {
		r.frames.advance(now)
	}
}

// Due implements sim.Sampler.
func (r *Recorder) Due() time.Duration {
	if r.frames != nil {
		return r.frames.due()
	}
	return math.MaxInt64
}

// Event implements sim.Observer.
func (r *Recorder) Event(e *sim.Event) {
	switch {
	case e.Kind == sim.Alloc && e.Diagnosis.Cause == allocator.None:
		r.begin(e)
	case e.Kind == sim.Free:
		at := place{e.Heap, e.Buffer.Block.Addr}
		slot, known := r.live[at]
		if !known {
			return
		}
		delete(r.live, at)
		b := r.slots[slot]
		r.slots[slot] = Buffer{}
		r.free = append(r.free, slot)
		b.End, b.Freed = e.At, e.Number
		r.keep(b)
	}
}

func (r *Recorder) begin(e *sim.Event) {
	block := e.Buffer.Block
	b := Buffer{
		Number: e.Number, Heap: e.Heap, Client: e.Client, Start: e.At,
		Payload: e.Buffer.Payload, Reserved: block.Size, Align: e.Align,
	}
	b.Hull = mem.Range{Lo: block.Addr, Hi: block.Addr + block.Size}
	if r.pages != nil && r.pages[e.Heap] != nil {
		r.takePieces(&b, e.Buffer)
	}
	var slot int32
	if n := len(r.free); n > 0 {
		slot, r.free = r.free[n-1], r.free[:n-1]
		r.slots[slot] = b
	} else {
		slot = int32(len(r.slots))
		r.slots = append(r.slots, b)
	}
	r.live[place{e.Heap, block.Addr}] = slot
}

// takePieces notes where the pages of a buffer lie.
func (r *Recorder) takePieces(b *Buffer, buffer *heap.Buffer) {
	r.ranges = joined(r.pages[b.Heap].Extents(r.ranges[:0], *buffer))
	if len(r.ranges) == 0 {
		return
	}
	b.Hull = mem.Range{Lo: r.ranges[0].Lo, Hi: r.ranges[len(r.ranges)-1].Hi}
	if len(r.ranges) > 1 {
		b.Pieces = slices.Clone(r.ranges)
	}
	b.Reserved = 0
	for _, piece := range r.ranges {
		b.Reserved += piece.Size()
	}
}

// joined sorts ranges and joins those that continue each other, in place.
func joined(ranges []mem.Range) []mem.Range {
	slices.SortFunc(ranges, func(a, b mem.Range) int { return cmp.Compare(a.Lo, b.Lo) })
	kept := ranges[:0]
	for _, piece := range ranges {
		if last := len(kept) - 1; last >= 0 && kept[last].Hi == piece.Lo {
			kept[last].Hi = piece.Hi
			continue
		}
		kept = append(kept, piece)
	}
	return kept
}

// keep takes a buffer whose life is over into the record, unless it is too light.
func (r *Recorder) keep(b Buffer) {
	if w := b.weight(); w < r.least {
		r.leaveOut(w)
		return
	}
	r.done = append(r.done, b)
	r.pieces += b.pieces()
	if r.pieces > 2*r.limits.Pieces {
		r.thin()
	}
}

func (r *Recorder) leaveOut(weight float64) {
	r.out.Buffers++
	r.out.Heaviest = max(r.out.Heaviest, weight)
}

// thin leaves out the lightest buffers, and those that have too many pieces, so that
// the pieces of the others are within the limit.
func (r *Recorder) thin() {
	slices.SortFunc(r.done, func(a, b Buffer) int {
		return cmp.Or(cmp.Compare(b.weight(), a.weight()), cmp.Compare(a.Start, b.Start), cmp.Compare(a.Number, b.Number))
	})
	kept := r.done[:0]
	r.pieces = 0
	for _, b := range r.done {
		if r.pieces+b.pieces() > r.limits.Pieces {
			r.leaveOut(b.weight())
			continue
		}
		r.pieces += b.pieces()
		kept = append(kept, b)
	}
	clear(r.done[len(kept):])
	r.done = kept
	if n := len(kept); n > 0 {
		r.least = kept[n-1].weight()
	}
}

// Record returns what was recorded. Call it when the simulation has ended; the
// recorder must not be used afterwards.
func (r *Recorder) Record() Record {
	end := r.now()
	for _, b := range r.slots {
		if b.Number == 0 {
			continue
		}
		b.End = end
		r.keep(b)
	}
	if r.pieces > r.limits.Pieces {
		r.thin()
	}
	slices.SortFunc(r.done, func(a, b Buffer) int {
		return cmp.Or(cmp.Compare(a.Start, b.Start), cmp.Compare(a.Number, b.Number))
	})
	record := Record{Buffers: r.done, LeftOut: r.out, End: end}
	if r.frames != nil {
		record.Frames = r.frames.finish(end)
	}
	return record
}
