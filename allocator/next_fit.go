package allocator

func init() {
	Register(Spec{
		Name:    "next-fit",
		Summary: "the lowest legal place behind the last one, wrapping round; logarithmic in the number of holes",
		Honours: HonoursAll,
		New: func(cfg Config) (Strategy, error) {
			return &nextFit{addressOrdered: newAddressOrdered(cfg)}, nil
		},
	})
}

// nextFit is first fit with a roving pointer (Knuth, The Art of Computer
// Programming, volume 1, section 2.5, exercise 6): a request gets its lowest
// legal start at or above the end of the block that was placed before, and its
// lowest legal start of all if there is none there. Frees and failures leave
// the pointer where it is, be it inside a hole or not.
//
// Requests with Dir High are the mirror image with a pointer of their own: the
// highest legal start of a block that ends at or below the start of the block
// that was placed downwards before, else the highest of all.
type nextFit struct {
	addressOrdered
	up   uint64 // end of the last block placed upwards
	down uint64 // start of the last block placed downwards; 0: none, or start over
}

func (n *nextFit) Alloc(r Request) (Block, bool) {
	reserved, ok := n.prepare(&r)
	if !ok {
		return Block{}, false
	}
	ahead := r
	if r.Dir == High {
		if n.down != 0 && (r.Hi == 0 || n.down < r.Hi) {
			ahead.Hi = n.down
		}
		b, ok := n.allocHigh(&ahead, reserved)
		if !ok && ahead.Hi != r.Hi {
			b, ok = n.allocHigh(&r, reserved)
		}
		if ok {
			n.down = b.Addr
		}
		return b, ok
	}
	ahead.Lo = max(r.Lo, n.up)
	b, ok := n.allocLow(&ahead, reserved)
	if !ok && ahead.Lo != r.Lo {
		b, ok = n.allocLow(&r, reserved)
	}
	if ok {
		n.up = b.Addr + b.Size
	}
	return b, ok
}
