package allocator

import "math"

func init() {
	Register(Spec{
		Name:    "next-fit",
		Summary: "the lowest legal place behind the last one, wrapping round; logarithmic in the number of holes",
		Honours: HonoursAll,
		New:     func(cfg Config) (Strategy, error) { return newNextFit(cfg), nil },
	})
}

// nextFit is first fit with a roving pointer (Knuth, The Art of Computer
// Programming, volume 1, section 2.5, exercise 6). The pointer is where the
// last block ended. A request goes to the first hole from there on, beginning
// with the whole of a hole that contains the pointer, that has a legal start
// for it, and there to the lowest; behind the last hole the search goes on with
// the first. Frees and failures leave the pointer where it is, so that a block
// freed just below it may be part of the hole in which the next search begins.
//
// Requests with Dir High are the mirror image with a pointer of their own, to
// where the last block that was placed downwards starts.
type nextFit struct {
	addressOrdered
	up, down uint64
}

func newNextFit(cfg Config) *nextFit { return &nextFit{newAddressOrdered(cfg), 0, math.MaxUint64} }

func (n *nextFit) Alloc(r Request) (Block, bool) {
	reserved, ok := n.prepare(&r)
	if !ok {
		return Block{}, false
	}
	if r.Dir == High {
		b, ok := n.allocHigh(&r, reserved, n.down)
		if !ok {
			b, ok = n.allocHigh(&r, reserved, math.MaxUint64)
		}
		if ok {
			n.down = b.Addr
		}
		return b, ok
	}
	b, ok := n.allocLow(&r, reserved, n.up)
	if !ok {
		b, ok = n.allocLow(&r, reserved, 0)
	}
	if ok {
		n.up = b.Addr + b.Size
	}
	return b, ok
}
