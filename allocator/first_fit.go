package allocator

import "math"

func init() {
	Register(Spec{
		Name:    "first-fit",
		Summary: "the lowest legal place; logarithmic in the number of holes",
		Honours: HonoursAll,
		New:     func(cfg Config) (Strategy, error) { return &firstFit{newAddressOrdered(cfg), false}, nil },
	})
	Register(Spec{
		Name:    "last-fit",
		Summary: "the highest legal place, first-fit from the top; logarithmic in the number of holes",
		Honours: HonoursAll,
		New:     func(cfg Config) (Strategy, error) { return &firstFit{newAddressOrdered(cfg), true}, nil },
	})
}

// firstFit gives a request the lowest of all its legal starts, with Dir High
// the highest (Knuth, The Art of Computer Programming, volume 1, section 2.5).
// As last-fit it gives the highest, but with Dir Low the lowest.
type firstFit struct {
	addressOrdered
	fromTop bool
}

func (f *firstFit) Alloc(r Request) (Block, bool) {
	reserved, ok := f.prepare(&r)
	switch {
	case !ok:
		return Block{}, false
	case r.Dir == High || r.Dir == Natural && f.fromTop:
		return f.allocHigh(&r, reserved, math.MaxUint64)
	}
	return f.allocLow(&r, reserved, 0)
}
