package allocator

import "dmasim/mem"

func init() {
	Register(Spec{
		Name:    "best-fit",
		Summary: "the smallest hole with a legal place, the lowest of equals; logarithmic in the number of holes",
		Honours: HonoursAll,
		New:     func(cfg Config) (Strategy, error) { return newBestFit(cfg), nil },
	})
}

// bestFit places a request in the smallest hole that has a legal start for it,
// the lowest if several are equally small, and there at the lowest legal start.
// With Dir High these are the highest hole and the highest start.
//
// The size of a hole is that of the whole hole, also where only a part of it
// is in the request's window, as in drm_mm_insert_node_in_range of Linux
// (drivers/gpu/drm/drm_mm.c, mode DRM_MM_INSERT_BEST).
//
// Holes are looked at in order of size, which without constraints ends at the
// first. A hole that is long enough and has no legal start costs one step; those
// outside of the request's windows are skipped, see bestFitSearch. A free and an
// unconstrained alloc change the order of up to three holes each, at a cost that
// is logarithmic in the number of holes of about the same size.
type bestFit struct {
	sizeOrder
	steps    uint64 // of searches in windows, as far as they exceed what layers would have cost
	searched uint32 // the serial number at the last search in a window
}

const (
	// layersKeep is what keeping layers costs for each block handed out and freed, in
	// steps of a search without them; layersSearch what a search in them costs, and
	// layersMake what making them costs for each tile.
	layersKeep   = 32
	layersSearch = 24
	layersMake   = 4
	// layersIdle is how many blocks for each tile are handed out before layers that
	// no request has needed meanwhile are given up.
	layersIdle = 4
)

func newBestFit(cfg Config) *bestFit { return &bestFit{sizeOrder: newSizeOrder(cfg)} }

// Alloc implements Strategy.
func (f *bestFit) Alloc(r Request) (Block, bool) {
	size, ok := f.prepare(&r)
	if !ok {
		return Block{}, false
	}
	if r.Boundary == 0 && r.Rule == nil && r.Dir != High && r.Align&(r.Align-1) == 0 && f.everywhere(&r) {
		class, leaf, at := f.first(size)
		if class == 0 {
			return Block{}, false
		}
		n := f.trees[leaf].ref[at]
		hole := &f.nodes[n]
		if gap := -hole.addr & (r.Align - 1); gap == 0 || gap <= f.size(n)-size {
			f.removeAt(class, leaf, at)
			return f.take(n, gap, size), true
		}
	}
	s := newBestFitSearch(f, &r, size)
	n, start := s.search()
	if s.windowed {
		f.account(s.steps)
	}
	if n == 0 {
		return Block{}, false
	}
	f.remove(n, f.size(n))
	return f.take(n, start-f.nodes[n].addr, size), true
}

// account counts the steps of a search in a window, and makes layers when what
// they would have saved has added up to what they cost.
func (f *bestFit) account(steps uint64) {
	f.steps += steps
	f.steps -= min(f.steps, layersKeep*uint64(f.serial-f.searched)+layersSearch)
	f.searched = f.serial
	if f.steps > layersMake*uint64(len(f.nodes)) {
		f.steps = 0
		f.layers = newSizeLayers(&f.tiles, f.shift)
	}
}

// take hands out size bytes of n, which was a hole, after a gap that stays free.
func (f *bestFit) take(n uint32, gap, size uint64) Block {
	if f.layers != nil && uint64(f.serial-f.searched) > layersIdle*uint64(len(f.nodes)) {
		f.layers = nil
	}
	rest := f.size(n) - gap - size
	if gap > 0 {
		before := n
		n = f.split(before, gap)
		f.insert(before, gap)
	}
	if rest > 0 {
		f.insert(f.split(n, size), rest)
	}
	return f.handOut(n, size)
}

// Free implements Strategy.
func (f *bestFit) Free(b Block) error {
	if !f.isLive(b) {
		return f.notLive(b)
	}
	n, size := uint32(b.Ref), b.Size
	if prev := f.nodes[n].prev; f.nodes[prev].free() {
		before := b.Addr - f.nodes[prev].addr
		f.remove(prev, before)
		f.absorb(prev, n)
		n, size = prev, size+before
	}
	if next := f.nodes[n].next; f.nodes[next].free() {
		behind := f.size(next)
		f.remove(next, behind)
		f.absorb(n, next)
		size += behind
	}
	f.insert(n, size)
	return nil
}

// bestFitSearch looks for the hole of a request that does not fit in the first
// that is long enough, or has a window.
//
// Tree nodes whose reach lies outside the window are skipped. A reach grows with
// every hole that is inserted below, and shrinks to what is there when a search
// has looked at all of it in vain, so that removals need not keep it tight. For a
// window at the low or the high end of the arena nearly everything is skipped.
//
// For one in the middle, what is skipped are nodes whose holes are all equally
// long, which may leave many steps. When these have added up to what it costs to
// make and to keep sizeLayers, requests with a window use these: the cost is then
// logarithmic in the number of holes for each digit of sizes, and for each hole in
// the window that is long enough and has no legal start. So it is in the mean
// over all requests.
type bestFitSearch struct {
	f      *bestFit
	req    *Request
	size   uint64    // on the granule
	mask   uint64    // of the alignment, 0 if that is not a power of two
	window mem.Range // holds all legal blocks
	steps  uint64    // tree nodes looked at

	windowed bool // the window leaves out a part of the arena
}

func newBestFitSearch(f *bestFit, r *Request, size uint64) bestFitSearch {
	s := bestFitSearch{f: f, req: r, size: size}
	if r.Align&(r.Align-1) == 0 {
		s.mask = r.Align - 1
	}
	if last := r.windows() - 1; last >= 0 {
		s.window = mem.Range{Lo: r.window(0).Lo, Hi: r.window(last).Hi}
	}
	s.windowed = !s.window.Contains(f.hull)
	return s
}

// search returns the hole and the start in it, or 0.
func (s *bestFitSearch) search() (n uint32, start uint64) {
	f := s.f
	if s.windowed && f.layers != nil {
		return s.inWindow()
	}
	return s.inOrder()
}

// inWindow is search with layers. Of holes that are partly in the window there
// are two at most. All others that start in it are in it.
func (s *bestFitSearch) inWindow() (n uint32, start uint64) {
	f := s.f
	starts := s.window.Intersect(f.hull)
	if low := f.layers.before(starts.Lo); low != 0 && f.end(low) > starts.Lo {
		n, start = s.better(n, start, low)
	}
	if high := f.layers.before(starts.Hi); high != 0 && f.nodes[high].addr >= starts.Lo && f.end(high) > starts.Hi {
		n, start = s.better(n, start, high)
		starts.Hi = f.nodes[high].addr
	}
	units := s.size >> (f.shift & 63)
	for {
		var ok bool
		units, ok = f.layers.atLeast(units, starts)
		if !ok || n != 0 && units > f.layers.units(n) {
			return n, start
		}
		if inside := s.ofSize(units, starts); inside != 0 {
			return s.better(n, start, inside)
		}
		units++
	}
}

// better returns the better of two holes, the first with its start, which may be
// 0: there is none.
func (s *bestFitSearch) better(n uint32, start uint64, other uint32) (uint32, uint64) {
	f := s.f
	size := f.size(other)
	if size < s.size || n != 0 && (size > f.size(n) || size == f.size(n) && (s.req.Dir == High) != (f.nodes[other].addr > f.nodes[n].addr)) {
		return n, start
	}
	if at, ok := s.place(other); ok {
		return other, at
	}
	return n, start
}

// ofSize returns the first hole of a size that starts in a range and has a place
// for the request, with Dir High the last one; or 0.
func (s *bestFitSearch) ofSize(units uint64, starts mem.Range) uint32 {
	f := s.f
	size := units << (f.shift & 63)
	class, from := f.keyOf(starts.Lo, size)
	_, to := f.keyOf(starts.Hi, size)
	return s.between(f.roots[class], starts, from, min(to, unusedKey-1))
}

// between is ofSize below a tree node for keys from one to another. These leave out
// the low bits of addresses.
func (s *bestFitSearch) between(id uint32, starts mem.Range, from, to uint64) uint32 {
	t := &s.f.trees[id]
	first, end := t.below(from), t.below(to+1)
	if t.level > 0 {
		first = t.child(from)
	}
	for i := range end - first {
		i += first
		if s.req.Dir == High {
			i = first + end - 1 - i
		}
		n := t.ref[i]
		if t.level > 0 {
			if n = s.between(n, starts, from, to); n != 0 {
				return n
			}
		} else if addr := s.f.nodes[n].addr; addr >= starts.Lo && addr < starts.Hi {
			if _, ok := s.place(n); ok {
				return n
			}
		}
	}
	return 0
}

// inOrder is search without layers.
func (s *bestFitSearch) inOrder() (n uint32, start uint64) {
	f := s.f
	class, key := f.keyOf(0, s.size)
	if f.roots[class] == 0 {
		class, key = f.firstFrom(class+1), 0
	}
	for ; class != 0; class, key = f.firstFrom(class+1), 0 {
		if n, start = s.up(f.roots[class], key); n != 0 {
			break
		}
	}
	if n != 0 && s.req.Dir == High {
		return s.down(f.roots[class], f.endOfSize(n))
	}
	return n, start
}

// up returns the first hole with a place for the request of those below a node
// that are at or above a key, and that place.
func (s *bestFitSearch) up(id uint32, key uint64) (uint32, uint64) {
	s.steps++
	t := &s.f.trees[id]
	if !t.reach.Overlaps(s.window) {
		return 0, 0
	}
	if t.level == 0 {
		return s.upLeaf(t, t.below(key))
	}
	first := t.child(key)
	reach := nowhere
	for _, child := range t.ref[first:t.n] {
		if n, start := s.up(child, key); n != 0 {
			return n, start
		}
		below := s.f.trees[child].reach
		reach.Lo, reach.Hi = min(reach.Lo, below.Lo), max(reach.Hi, below.Hi)
	}
	if first == 0 {
		t.reach = reach
	}
	return 0, 0
}

// upLeaf is up for the entries of a leaf from one on.
func (s *bestFitSearch) upLeaf(t *treeNode, first int) (uint32, uint64) {
	nodes, mask, size := s.f.nodes, s.mask, s.size
	reach := nowhere
	for _, n := range t.ref[first:t.n] {
		hole, end := &nodes[n], s.f.end(n)
		if -hole.addr&mask <= end-hole.addr-size { // else alignment alone makes it too short
			if start, ok := s.place(n); ok {
				return n, start
			}
		}
		reach.Lo, reach.Hi = min(reach.Lo, hole.addr), max(reach.Hi, end)
	}
	if first == 0 {
		t.reach = reach
	}
	return 0, 0
}

// down returns the last such hole of those below a key. There must be one.
func (s *bestFitSearch) down(id uint32, key uint64) (uint32, uint64) {
	s.steps++
	t := &s.f.trees[id]
	if !t.reach.Overlaps(s.window) {
		return 0, 0
	}
	for i := t.below(key) - 1; i >= 0; i-- {
		n, start, ok := t.ref[i], uint64(0), true
		if t.level > 0 {
			n, start = s.down(n, key)
		} else {
			start, ok = s.place(n)
		}
		if ok && n != 0 {
			return n, start
		}
	}
	return 0, 0
}

// place returns where the request goes in a hole.
func (s *bestFitSearch) place(n uint32) (uint64, bool) {
	return s.req.Place(s.f.nodes[n].addr, s.f.end(n), s.req.Dir == High)
}
