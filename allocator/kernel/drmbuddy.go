package kernel

import (
	"math/bits"

	"dmasim/allocator"
	"dmasim/allocator/kernel/drmbuddy"
)

func init() {
	allocator.Register(allocator.Spec{
		Name:    "drm-buddy",
		Summary: "Linux drm_buddy, contiguous: the smallest sufficient power of two, highest first, and trimmed; logarithmic",
		Honours: allocator.HonoursWindow,
		New:     newDRMBuddy,
	})
}

// drmBuddies are managers of graphics memory, tried in turn. Their chunk is the
// granule.
type drmBuddies struct {
	managers []drmBuddy
	granule  uint64
	live     allocator.Blocks
	blocks   []drmbuddy.Block // of the last request
}

type drmBuddy struct {
	base, size uint64 // in granules
	*drmbuddy.Manager
}

func newDRMBuddy(cfg allocator.Config) (allocator.Strategy, error) {
	d := &drmBuddies{granule: max(cfg.Granule, 1)}
	for _, r := range cfg.Usable() {
		m, err := drmbuddy.New(r.Size()/d.granule, 1)
		if err != nil {
			return nil, err
		}
		d.managers = append(d.managers, drmBuddy{r.Lo / d.granule, r.Size() / d.granule, m})
	}
	return d, nil
}

// Alloc restricts a request with a window to a range, which the kernel serves
// from the bottom.
func (d *drmBuddies) Alloc(req allocator.Request) (allocator.Block, bool) {
	if req.Size == 0 {
		return allocator.Block{}, false
	}
	n := (req.Size-1)/d.granule + 1
	for i := range d.managers {
		m := &d.managers[i]
		if at, ok := d.allocFrom(m, n, req); ok {
			return d.live.Add((m.base+at)*d.granule, n*d.granule), true
		}
	}
	return allocator.Block{}, false
}

func (d *drmBuddies) allocFrom(m *drmBuddy, n uint64, req allocator.Request) (at uint64, ok bool) {
	lo, hi := uint64(0), m.size
	if req.Lo > m.base*d.granule {
		lo = (req.Lo-1)/d.granule + 1 - m.base
	}
	if req.Hi != 0 {
		// What rounding up adds need not be in the window.
		end, carry := bits.Add64(req.Hi, n*d.granule-req.Size, 0)
		if end /= d.granule; carry == 0 && end < m.base+m.size {
			hi = max(end, m.base) - m.base
		}
	}
	if n > m.size || hi < lo || hi-lo < n {
		return 0, false
	}
	var err error
	d.blocks, err = m.Alloc(d.blocks[:0], drmbuddy.Request{
		Size: n, MinBlock: 1, Lo: lo, Hi: hi, InRange: hi-lo < m.size, Contiguous: true,
	})
	if err != nil {
		return 0, false
	}
	return d.blocks[0].Offset, true
}

// Free gives back the blocks that a contiguous place consists of: the largest
// that fill it.
func (d *drmBuddies) Free(b allocator.Block) error {
	if err := d.live.Remove(b); err != nil {
		return err
	}
	lo, n := b.Addr/d.granule, b.Size/d.granule
	i := len(d.managers) - 1
	for i > 0 && d.managers[i].base > lo {
		i--
	}
	for lo -= d.managers[i].base; n > 0; {
		size := uint64(1) << min(bits.TrailingZeros64(lo), bits.Len64(n)-1)
		if err := d.managers[i].Free(drmbuddy.Block{Offset: lo, Size: size}); err != nil {
			return err
		}
		lo, n = lo+size, n-size
	}
	return nil
}
