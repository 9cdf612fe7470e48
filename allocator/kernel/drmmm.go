package kernel

import (
	"errors"
	"fmt"
	"math"
	"math/bits"

	"dmasim/allocator"
	"dmasim/allocator/kernel/drmmm"
	"dmasim/mem"
)

func init() {
	for _, s := range []struct {
		mode        drmmm.Mode
		name, order string
	}{
		{drmmm.Best, "drm-mm-best", "smallest hole, of equal ones the newest"},
		{drmmm.Low, "drm-mm-low", "lowest hole"},
		{drmmm.High, "drm-mm-high", "highest hole, at its upper end"},
		{drmmm.Evict, "drm-mm-evict", "newest hole"},
	} {
		spec := allocator.Spec{
			Name:    s.name,
			Summary: "Linux drm_mm, " + s.order + "; logarithmic in the number of holes, but for those tried in vain",
			Honours: allocator.HonoursAlign | allocator.HonoursWindow,
			New:     func(cfg allocator.Config) (allocator.Strategy, error) { return newDRMMM(cfg, s.mode) },
		}
		if s.mode == drmmm.Low || s.mode == drmmm.High {
			spec.Params = []allocator.Param{{
				Name: "once", Summary: "1: try a single hole (DRM_MM_INSERT_LOWEST, DRM_MM_INSERT_HIGHEST)", Max: 1,
			}}
		}
		allocator.Register(spec)
	}
}

// drmMM is a manager of the hull of an arena. The gaps of the arena are ranges
// that are never removed. Sizes and alignments are rounded up to the granule, as
// drivers do before they ask.
type drmMM struct {
	manager *drmmm.Manager
	granule uint64
	mode    drmmm.Mode
	once    bool
}

func newDRMMM(cfg allocator.Config, mode drmmm.Mode) (*drmMM, error) {
	arena := cfg.Usable()
	hull := arena.Hull()
	m, err := drmmm.New(hull.Lo, hull.Size(), 0)
	if err != nil {
		return nil, err
	}
	for _, gap := range (mem.RangeSet{hull}).Subtract(arena) {
		if _, ok := m.Reserve(gap.Lo, gap.Size(), 0); !ok {
			return nil, fmt.Errorf("gap %s of arena %s cannot be reserved", gap, arena)
		}
	}
	return &drmMM{manager: m, granule: max(cfg.Granule, 1), mode: mode, once: cfg.Params["once"] == 1}, nil
}

func (d *drmMM) Alloc(req allocator.Request) (allocator.Block, bool) {
	size := req.Size
	if rest := size % d.granule; rest != 0 {
		size += d.granule - rest
	}
	if size < req.Size {
		return allocator.Block{}, false
	}
	align := lcm(max(req.Align, 1), d.granule)
	r := drmmm.Request{Size: size, Align: align, Lo: req.Lo, Hi: drmmm.NoLimit, Mode: d.mode, Once: d.once}
	if req.Hi != 0 {
		// What rounding up adds need not be in the window.
		r.Hi = req.Hi + min(size-req.Size, drmmm.NoLimit-req.Hi)
	}
	start, n, ok := d.manager.Alloc(r)
	if !ok {
		return allocator.Block{}, false
	}
	return allocator.Block{Addr: start, Size: size, Ref: uint64(n)}, true
}

func (d *drmMM) Free(b allocator.Block) error {
	start, size, live := d.manager.Range(drmmm.Node(b.Ref))
	if live && (start != b.Addr || size != b.Size) {
		return &allocator.FreeError{Block: b, Err: allocator.ErrForeign}
	}
	switch err := d.manager.Remove(drmmm.Node(b.Ref)); {
	case errors.Is(err, drmmm.ErrRemoved):
		return &allocator.FreeError{Block: b, Err: allocator.ErrDoubleFree}
	case err != nil:
		return &allocator.FreeError{Block: b, Err: allocator.ErrForeign}
	}
	return nil
}

// lcm returns the least common multiple of a and b, which are not 0, or 2^64-1
// in place of what is above: there too, the only multiple at which something
// fits is 0.
func lcm(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a/gcd(a, b), b)
	if hi != 0 {
		return math.MaxUint64
	}
	return lo
}
