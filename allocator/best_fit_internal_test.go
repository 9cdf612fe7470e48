package allocator

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"unsafe"

	"dmasim/mem"
)

// TestBestFitOfManyHoles compares best fit with a search of all holes, in arenas
// whose holes fill trees of several levels.
func TestBestFitOfManyHoles(t *testing.T) {
	for _, test := range []struct {
		name    string
		granule uint64
		sizes   []uint64 // in granules
		levels  uint16   // above the leaves, at least
	}{
		{"one size", 1, []uint64{1}, 2},
		{"two sizes of one class", 4096, []uint64{64, 65}, 2},
		{"odd granule", 3, []uint64{1, 2, 33, 1000, 1001}, 2},
		{"huge", 1 << 40, []uint64{1, 500, 501, 502, 503}, 2},
		{"sizes of three digits", 16, []uint64{3, 70, 71, 130, 4500, 4501, 4515}, 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(1, 2))
			largest := slices.Max(test.sizes) * test.granule
			low := mem.Range{Lo: 5 * test.granule, Hi: 5*test.granule + 3000*largest}
			high := mem.Range{Lo: low.Hi + 100*test.granule, Hi: low.Hi + 100*test.granule + 3000*largest}
			f := newBestFit(Config{Arena: mem.NewRangeSet(low, high), Granule: test.granule})
			withLayers := 0
			var live []Block
			var levels uint16
			for step := range 24000 {
				// Fill, free half, allocate as much as is freed, free all.
				var alloc bool
				switch {
				case step < 8000:
					alloc = true
				case step < 12000:
					alloc = rng.IntN(8) == 0
				case step < 16000:
					alloc = rng.IntN(2) == 0
				}
				if alloc {
					r := Request{Size: test.sizes[rng.IntN(len(test.sizes))] * test.granule}
					if step >= 8000 {
						r = anyRequest(rng, r, mem.Range{Hi: high.Hi}, test.granule)
					}
					live = allocAsNaive(t, f, r, live, step >= 8000)
				} else if len(live) > 0 {
					i := rng.IntN(len(live))
					if err := f.Free(live[i]); err != nil {
						t.Fatal(err)
					}
					live[i] = live[len(live)-1]
					live = live[:len(live)-1]
				}
				if step%1000 == 700 { // they must not matter
					if f.layers == nil {
						f.layers, f.searched = newSizeLayers(&f.tiles, f.shift), f.serial
					} else {
						f.layers = nil
					}
				}
				if f.layers != nil {
					withLayers++
				}
				if step%500 == 0 {
					levels = max(levels, checkSizeOrder(t, &f.sizeOrder))
				}
			}
			for _, b := range live {
				if err := f.Free(b); err != nil {
					t.Fatal(err)
				}
			}
			checkSizeOrder(t, &f.sizeOrder)
			if withLayers < 8000 {
				t.Errorf("%d steps with layers", withLayers)
			}
			if levels < test.levels {
				t.Errorf("trees had %d levels above the leaves, want %d", levels, test.levels)
			}
		})
	}
}

// anyRequest adds constraints to a request.
func anyRequest(rng *rand.Rand, r Request, within mem.Range, granule uint64) Request {
	r.Dir = Dir(rng.IntN(3))
	if rng.IntN(3) == 0 {
		r.Align = granule * (1 + rng.Uint64N(8))
	}
	switch at := within.Hi / 100 * rng.Uint64N(100); rng.IntN(4) {
	case 0:
		r.Hi = at
	case 1:
		r.Lo = at
	case 2:
		r.Lo, r.Hi = at, at+within.Hi/50
	}
	if rng.IntN(8) == 0 {
		r.Boundary = granule << rng.IntN(12)
	}
	if rng.IntN(8) == 0 {
		at, width := within.Hi/100*rng.Uint64N(90), within.Hi/100*(1+rng.Uint64N(4))
		r.Rule = &Rule{Windows: []Window{
			{Reach: mem.Range{Lo: at, Hi: at + width}, Align: granule * (1 + rng.Uint64N(5)), Phase: granule},
			{Reach: mem.Range{Lo: at + 2*width, Hi: at + 3*width}, Bounds: []Bound{{Boundary: granule << 12}}},
		}}
	}
	return r
}

// allocAsNaive allocates and compares with the best of all holes.
func allocAsNaive(t *testing.T, f *bestFit, r Request, live []Block, compare bool) []Block {
	var want uint64
	var found bool
	if compare {
		want, found = naiveBestFit(f, r)
	}
	b, ok := f.Alloc(r)
	if compare && (ok != found || b.Addr != want) {
		t.Fatalf("%+v: %#x, %t, want %#x, %t", r, b.Addr, ok, want, found)
	}
	if ok {
		live = append(live, b)
	}
	return live
}

func naiveBestFit(f *bestFit, r Request) (start uint64, found bool) {
	size, ok := f.prepare(&r)
	if !ok {
		return 0, false
	}
	least := uint64(math.MaxUint64)
	for i := f.heads; i < uint32(len(f.nodes)); i++ {
		hole := &f.nodes[i]
		if !hole.free() || f.size(i) < size || f.size(i) > least {
			continue
		}
		s, ok := r.Place(hole.addr, f.end(i), r.Dir == High)
		if ok && (f.size(i) < least || (s < start) == (r.Dir != High)) {
			least, start, found = f.size(i), s, true
		}
	}
	return start, found
}

// checkSizeOrder checks the trees, and returns the level of the highest.
func checkSizeOrder(t *testing.T, o *sizeOrder) (highest uint16) {
	t.Helper()
	ordered := 0
	var last mem.Range
	var check func(id, parent uint32, class uint32, lo, hi uint64) mem.Range
	check = func(id, parent uint32, class uint32, lo, hi uint64) mem.Range {
		n := &o.trees[id]
		highest = max(highest, n.level)
		if n.parent != parent || n.n == 0 || n.n > treeWidth {
			t.Fatalf("tree node %d has parent %d and %d entries, want parent %d", id, n.parent, n.n, parent)
		}
		reach := nowhere
		for i := range treeWidth {
			if i >= int(n.n) {
				if n.key[i] != unusedKey {
					t.Fatalf("tree node %d: key %d of %d is %#x", id, i, n.n, n.key[i])
				}
				continue
			}
			if n.level > 0 {
				below, above := lo, hi
				if i > 0 {
					below = n.key[i]
				} else if n.key[0] != 0 {
					t.Fatalf("tree node %d: first key %#x", id, n.key[0])
				}
				if i+1 < int(n.n) {
					above = n.key[i+1]
				}
				if o.trees[n.ref[i]].level != n.level-1 {
					t.Fatalf("tree node %d: level", id)
				}
				r := check(n.ref[i], id, class, below, above)
				reach = mem.Range{Lo: min(reach.Lo, r.Lo), Hi: max(reach.Hi, r.Hi)}
				continue
			}
			node := &o.nodes[n.ref[i]]
			hole := mem.Range{Lo: node.addr, Hi: o.end(n.ref[i])}
			c, key := o.keyOf(hole.Lo, hole.Size())
			if c != class || key != n.key[i] || key < lo || key >= hi || node.prevFree != id {
				t.Fatalf("hole %s with class %d, key %#x in leaf %d is in class %d, leaf %d, key %#x", hole, c, key, node.prevFree, class, id, n.key[i])
			}
			if cmp.Or(cmp.Compare(last.Size(), hole.Size()), cmp.Compare(last.Lo, hole.Lo)) >= 0 {
				t.Fatalf("hole %s comes before %s", last, hole)
			}
			last = hole
			ordered++
			reach = mem.Range{Lo: min(reach.Lo, hole.Lo), Hi: max(reach.Hi, hole.Hi)}
		}
		if !n.reach.Contains(reach) {
			t.Fatalf("tree node %d reaches %s, which does not hold %s", id, n.reach, reach)
		}
		return reach
	}
	for class, root := range o.roots {
		if used := o.used[class>>6]>>(class&63)&1 == 1; used != (root != 0) {
			t.Fatalf("class %d: used %t, root %d", class, used, root)
		}
		if root != 0 {
			check(root, 0, uint32(class), 0, unusedKey)
		}
	}
	holes := 0
	for i := o.heads; i < uint32(len(o.nodes)); i++ {
		n := &o.nodes[i]
		if !n.free() {
			continue
		}
		holes++
		if o.nodes[n.next].free() {
			t.Fatalf("two holes touch at %#x", o.end(i))
		}
	}
	if holes != ordered {
		t.Fatalf("%d holes, %d in order", holes, ordered)
	}
	if o.layers != nil {
		checkSizeLayers(t, o.layers)
	}
	return highest
}

// checkSizeLayers checks the trees.
func checkSizeLayers(t *testing.T, y *sizeLayers) {
	t.Helper()
	for l := range y.layers {
		ordered := 0
		var last layerPlace
		var check func(level int, id uint32, from, to layerPlace) uint64
		check = func(level int, id uint32, from, to layerPlace) (mask uint64) {
			if level == 0 {
				f := &y.leaves[id]
				for i, n := range f.hole[:f.n] {
					units := y.units(n)
					at := layerPlace{prefixOf(l, units), y.tiles.nodes[n].addr}
					if !y.tiles.nodes[n].free() || !holds(l, units) || f.digit[i] != digitOf(l, units) {
						t.Fatalf("layer %d has node %d of %d units with digit %d", l, n, units, f.digit[i])
					}
					if ordered > 0 && !last.below(at) || at.below(from) || !at.below(to) {
						t.Fatalf("layer %d: %v comes behind %v and must be from %v to %v", l, at, last, from, to)
					}
					last = at
					ordered++
					mask |= 1 << f.digit[i]
				}
				return mask
			}
			b := &y.branches[id]
			for i, child := range b.child[:b.n] {
				below, above := from, to
				if i > 0 {
					below = b.from[i]
				}
				if i+1 < b.n {
					above = b.from[i+1]
				}
				if m := check(level-1, child, below, above); m != b.mask[i] {
					t.Fatalf("layer %d, level %d: digits %#x, kept %#x", l, level, m, b.mask[i])
				}
				mask |= b.mask[i]
			}
			return mask
		}
		check(y.layers[l].level, y.layers[l].root, layerPlace{}, layerPlace{math.MaxUint64, math.MaxUint64})
		holes := 0
		for i := y.tiles.heads; i < uint32(len(y.tiles.nodes)); i++ {
			if y.tiles.nodes[i].free() && holds(l, y.units(i)) {
				holes++
			}
		}
		if holes != ordered {
			t.Fatalf("layer %d: %d holes, %d in order", l, holes, ordered)
		}
	}
}

// TestBestFitLayers serves windows in the middle of an arena until layers are made,
// and others until they are given up. With them, a live block takes no more memory
// than any strategy may use.
func TestBestFitLayers(t *testing.T) {
	const blocks, unit = 10000, 4096
	arena := mem.Range{Hi: blocks * 150 * unit * 5 / 4}
	f := newBestFit(Config{Arena: mem.NewRangeSet(arena), Granule: unit})
	rng := rand.New(rand.NewPCG(5, 6))
	var live []Block
	churn := func(steps, each int, window mem.Range) {
		for range steps {
			if len(live) > blocks {
				i, last := rng.IntN(len(live)), len(live)-1
				if err := f.Free(live[i]); err != nil {
					t.Fatal(err)
				}
				live[i] = live[last]
				live = live[:last]
			}
			r := Request{Size: unit * uint64(math.Exp2(10*rng.Float64()))}
			if rng.IntN(each) == 0 {
				r.Lo, r.Hi = window.Lo, window.Hi
			}
			live = allocAsNaive(t, f, r, live, r.Hi != 0 && rng.IntN(32) == 0)
		}
	}
	churn(5*blocks, 10, mem.Range{Hi: arena.Hi / 50})
	if f.layers != nil {
		t.Error("layers for a window at the low end")
	}
	churn(5*blocks, 2, mem.Range{Lo: arena.Hi / 2, Hi: arena.Hi/2 + arena.Hi/50})
	if f.layers == nil {
		t.Fatal("no layers for a window in the middle")
	}
	checkSizeOrder(t, &f.sizeOrder)
	y := f.layers
	bytes := func(n int, size uintptr) float64 { return float64(n) * float64(size) / float64(len(live)) }
	tiles, trees := bytes(cap(f.nodes), unsafe.Sizeof(tile{})), bytes(cap(f.trees), unsafe.Sizeof(treeNode{}))
	layers := bytes(cap(y.leaves), unsafe.Sizeof(layerLeaf{})) + bytes(cap(y.branches), unsafe.Sizeof(layerBranch{})) +
		bytes(cap(y.spareLeaves)+cap(y.spareBranches), 4)
	t.Logf("%d blocks with %.1f bytes of tiles, %.1f of trees, %.1f of layers", len(live), tiles, trees, layers)
	if sum := tiles + trees + layers; sum > 48 {
		t.Errorf("%.1f bytes per live block, want at most 48", sum)
	}
	churn(10*blocks, 2, mem.Range{Hi: math.MaxUint64})
	if f.layers != nil {
		t.Error("layers are kept that no request needs")
	}
}

func TestTreeNodeSize(t *testing.T) {
	if n := unsafe.Sizeof(treeNode{}); n != 192 {
		t.Errorf("treeNode has %d bytes, want 192", n)
	}
}

// BenchmarkBestFitInWindow allocates and frees at the ends and in the middle of
// an arena that has its holes everywhere.
func BenchmarkBestFitInWindow(b *testing.B) {
	for _, blocks := range []uint64{1e3, 1e4, 1e5} {
		const unit = 4096
		arena := mem.Range{Hi: blocks * 256 * unit}
		f := newBestFit(Config{Arena: mem.NewRangeSet(arena), Granule: unit})
		rng := rand.New(rand.NewPCG(3, 4))
		var live []Block
		for {
			block, ok := f.Alloc(Request{Size: unit * (1 + rng.Uint64N(255))})
			if !ok {
				break
			}
			live = append(live, block)
		}
		for i, block := range live {
			if i%4 == 0 {
				if err := f.Free(block); err != nil {
					b.Fatal(err)
				}
			}
		}
		for _, window := range []struct {
			name string
			mem.Range
		}{
			{"low", mem.Range{Hi: 512 * unit}},
			{"high", mem.Range{Lo: arena.Hi - 512*unit, Hi: arena.Hi}},
			{"middle", mem.Range{Lo: arena.Hi / 2, Hi: arena.Hi/2 + 512*unit}},
		} {
			b.Run(fmt.Sprintf("%s/%d", window.name, blocks), func(b *testing.B) {
				b.ReportAllocs()
				for range b.N {
					block, ok := f.Alloc(Request{Size: unit * (1 + rng.Uint64N(255)), Lo: window.Lo, Hi: window.Hi})
					if ok {
						if err := f.Free(block); err != nil {
							b.Fatal(err)
						}
					}
				}
			})
		}
	}
}

// TestBestFitLevels: an operation without constraints looks at one node of each
// level of one tree, and changes four trees at most, so that their levels bound
// its work. They grow no faster than the logarithm of the live blocks.
func TestBestFitLevels(t *testing.T) {
	for _, blocks := range []int{1e3, 1e4, 1e5} {
		f := newBestFit(Config{Arena: mem.NewRangeSet(mem.Range{Hi: uint64(blocks) * 40})})
		rng := rand.New(rand.NewPCG(1, 2))
		var live []Block
		for step := range 6 * blocks {
			if len(live) == 0 || step < blocks || step%2 == 0 {
				if b, ok := f.Alloc(Request{Size: 1 + rng.Uint64N(64)}); ok {
					live = append(live, b)
				}
				continue
			}
			i, last := rng.IntN(len(live)), len(live)-1
			if err := f.Free(live[i]); err != nil {
				t.Fatal(err)
			}
			live[i] = live[last]
			live = live[:last]
		}
		most := uint16(math.Log(float64(blocks)) / math.Log(treeSparse))
		if levels := checkSizeOrder(t, &f.sizeOrder); levels > most {
			t.Errorf("%d blocks: %d levels above the leaves, want at most %d", blocks, levels, most)
		}
	}
}
