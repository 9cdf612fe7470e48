package allocator

import (
	"cmp"
	"slices"

	"dmasim/mem"
)

func init() {
	register := func(name, summary string, inner func(Config) Strategy) {
		Register(Spec{
			Name:    name,
			Summary: summary,
			Honours: HonoursAlign | HonoursWindow | HonoursBoundary | HonoursRule,
			Knows:   KnowsMix,
			Params: []Param{
				{Name: "reserve", Summary: "percent of a zone that others than those who need it leave free", Default: 0, Min: 0, Max: 100},
			},
			New: func(cfg Config) (Strategy, error) { return newWindowFit(cfg, inner), nil },
		})
	}
	register("window-fit", "segregated fit that keeps windows for those who need them: the least wanted zone first; constant time",
		func(cfg Config) Strategy {
			return newSegregated(cfg, segregatedPolicy{lists: 64, candidates: 32, ownFirst: 4, ownLast: true, lowFirst: true})
		})
	register("window-best-fit", "best fit that keeps windows for those who need them: the least wanted zone first; logarithmic in the number of holes",
		func(cfg Config) Strategy { return newBestFit(cfg) })
}

// windowFit keeps scarce memory for the requests that can use no other. The
// ends of the windows in Config.Windows cut the arena into zones, each of which
// has a strategy of its own. A zone is the more wanted, the more of the windows
// it is part of, and the smaller these are. A request goes to the least wanted
// of the zones that it can use, and to the others, in order, only where that
// has no place for it.
//
// So whoever can go anywhere fills what nobody else can use, tightly, before it
// overflows into a window. Keeping away from windows by placing all others from
// the top down (address-split) comes to the same as long as memory is plenty;
// where it is short, top-down first fit wastes what best fit would have saved,
// and what it wasted overflows. An overflow takes no place that serves a request
// at once, but one that may be missed later: reserve is the part of a zone that
// is kept free from overflows. With 100 percent it is a fence, which refuses
// while memory is free.
//
// Where no request has a window, or all have the same, this is the inner
// strategy, and first fit and best fit have their usual merits. Where the mix is
// not known, or memory is plenty, address-split does as well without knowing
// anything.
//
// # Limits
//
// No block lies across a border of zones, so that a request that is larger than
// every zone fails. A direction only matters within a zone. Without
// Config.Windows there is one zone.
type windowFit struct {
	zones   []zone // by address
	order   []int  // the least wanted first
	reserve uint64 // percent
}

// zone is a range of the arena in which every byte is part of the same windows.
type zone struct {
	mem.Range
	strategy Strategy
	free     uint64  // bytes
	wanted   float64 // in windows per byte
}

func newWindowFit(cfg Config, inner func(Config) Strategy) *windowFit {
	w := &windowFit{reserve: cfg.Params["reserve"]}
	for _, r := range zonesOf(cfg) {
		z := zone{Range: r, free: r.Size(), strategy: inner(Config{Arena: mem.RangeSet{r}, Granule: cfg.Granule})}
		for _, window := range cfg.Windows {
			if window.Contains(r) {
				z.wanted += 1 / float64(window.Intersect(cfg.Arena).Size())
			}
		}
		w.order = append(w.order, len(w.zones))
		w.zones = append(w.zones, z)
	}
	slices.SortStableFunc(w.order, func(a, b int) int { return cmp.Compare(w.zones[a].wanted, w.zones[b].wanted) })
	return w
}

// zonesOf cuts the arena at the ends of the windows, rounded to the granule so
// that a zone that is in a window is wholly in it.
func zonesOf(cfg Config) []mem.Range {
	granule := max(cfg.Granule, 1)
	var cuts []uint64
	for _, window := range cfg.Windows {
		for _, r := range window {
			if lo, ok := alignUp(r.Lo, granule); ok {
				cuts = append(cuts, lo)
			}
			cuts = append(cuts, alignDown(r.Hi, granule))
		}
	}
	slices.Sort(cuts)
	var zones []mem.Range
	for _, r := range cfg.Usable() {
		for _, cut := range cuts {
			if r.Lo < cut && cut < r.Hi {
				zones = append(zones, mem.Range{Lo: r.Lo, Hi: cut})
				r.Lo = cut
			}
		}
		zones = append(zones, r)
	}
	return zones
}

// Alloc implements Strategy.
func (w *windowFit) Alloc(r Request) (Block, bool) {
	least := -1.0 // how much the least wanted zone that it may use is wanted
	for _, i := range w.order {
		z := &w.zones[i]
		if !r.mayUse(z.Range) {
			continue
		}
		if least < 0 {
			least = z.wanted
		}
		kept := uint64(0)
		if z.wanted > least {
			kept = z.Size() / 100 * w.reserve
		}
		if z.free < kept || z.free-kept < r.Size {
			continue
		}
		if b, ok := z.strategy.Alloc(r); ok {
			z.free -= b.Size
			return b, true
		}
	}
	return Block{}, false
}

// mayUse reports whether the request's window, or one of its rule's, has room
// for it in a range.
func (r *Request) mayUse(zone mem.Range) bool {
	for i := range r.windows() {
		if zone.Intersect(r.window(i)).Size() >= r.Size-r.Slack {
			return true
		}
	}
	return false
}

// Free implements Strategy.
func (w *windowFit) Free(b Block) error {
	for i := range w.zones {
		if z := &w.zones[i]; z.Lo <= b.Addr && b.Addr < z.Hi {
			err := z.strategy.Free(b)
			if err == nil {
				z.free += b.Size
			}
			return err
		}
	}
	return &FreeError{b, ErrForeign}
}
