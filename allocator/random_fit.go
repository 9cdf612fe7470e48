package allocator

import (
	"math"
	"math/rand/v2"

	"dmasim/allocator/holes"
	"dmasim/mem"
)

func init() {
	Register(Spec{
		Name:    "random-fit",
		Summary: "any legal place, each as likely as the others; logarithmic in the number of holes, in the mean",
		Honours: HonoursAlign | HonoursWindow,
		Params: []Param{
			{Name: "seed", Summary: "of the random numbers", Default: 1, Min: 0, Max: math.MaxUint64},
		},
		New: newRandomFit,
	})
}

// randomFit places a block at random, with the same probability at each start
// that is legal. It is what theory compares other policies with, and a worst
// case of its own kind: nothing keeps free memory together.
//
// A start is drawn from all in the request's window until one is legal, which
// takes ten draws in the mean where a tenth of them is, each logarithmic in the
// number of holes. Where some draws find none, one is drawn from the holes that
// are long enough, see [holes.Index.Draw]. This fails only where most holes that
// are long enough for the size have no aligned start, or most that are about as
// long are a little too short: then legal starts are counted, in time linear in the
// number of holes that are long enough.
type randomFit struct {
	addressOrdered
	hull mem.Range
	pcg  rand.PCG
}

const (
	// blindDraws is how often a start is drawn from all in the window.
	blindDraws = 16
	// draws is how often one is drawn from long holes before all are counted.
	draws = 64
)

func newRandomFit(cfg Config) (Strategy, error) {
	f := &randomFit{addressOrdered: newAddressOrdered(cfg), hull: cfg.Usable().Hull()}
	f.holes.KeepTallies(f.granule)
	f.pcg.Seed(cfg.Params["seed"], 0)
	return f, nil
}

// Alloc implements Strategy.
func (f *randomFit) Alloc(r Request) (Block, bool) {
	r = Request{Size: r.Size, Align: r.Align, Lo: r.Lo, Hi: r.Hi}
	reserved, ok := f.prepare(&r)
	if !ok {
		return Block{}, false
	}
	before := f.pcg // a refused request draws nothing
	first, count := r.starts(f.hull)
	for range blindDraws {
		if count == 0 {
			break
		}
		start := first + f.draw(count)*r.Align
		if f.holes.Take(start, start+reserved) {
			return f.live.add(start, reserved), true
		}
	}
	start, ok, known := f.holes.Draw(holes.Starts{Size: reserved, Align: r.Align, Window: r.window(0)}, draws, f.draw)
	if !known {
		start, ok = f.choose(&r, reserved)
	}
	if !ok {
		f.pcg = before
		return Block{}, false
	}
	f.holes.Take(start, start+reserved)
	return f.live.add(start, reserved), true
}

// choose draws one of all legal starts.
func (f *randomFit) choose(r *Request, reserved uint64) (uint64, bool) {
	var total uint64
	for hole := range f.fitting(r, reserved) {
		_, count := r.starts(hole)
		total += count
	}
	if total == 0 {
		return 0, false
	}
	left := f.draw(total)
	for hole := range f.fitting(r, reserved) {
		first, count := r.starts(hole)
		if left < count {
			return first + left*r.Align, true
		}
		left -= count
	}
	return 0, false
}

// fitting yields the holes around the request's window that are long enough.
func (f *randomFit) fitting(r *Request, reserved uint64) func(yield func(mem.Range) bool) {
	return func(yield func(mem.Range) bool) {
		window := r.window(0)
		var c holes.Cursor
		c.From(f.holes, window.Lo)
		for hole, ok := c.Next(reserved); ok && hole.Lo < window.Hi && yield(hole); {
			hole, ok = c.Next(reserved)
		}
	}
}

// starts returns the lowest legal start of a request with alignment and window
// in a range, and how many there are, one each Align bytes.
func (r *Request) starts(in mem.Range) (first, count uint64) {
	first, ok := r.Place(in.Lo, in.Hi, false)
	if !ok {
		return 0, 0
	}
	last, _ := r.Place(in.Lo, in.Hi, true)
	return first, (last-first)/r.Align + 1
}

// draw returns a number less than n, which is not 0.
func (f *randomFit) draw(n uint64) uint64 { return rand.New(&f.pcg).Uint64N(n) }
