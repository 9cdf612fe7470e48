package allocator_test

import (
	"math/bits"
	"testing"

	"dmasim/allocator"
	"dmasim/mem"
	"dmasim/workloads"
)

// TestRobsonNaturallyAligned plays Robson's adversary against first fit that
// aligns each block to its size.
func TestRobsonNaturallyAligned(t *testing.T) {
	for _, c := range []struct{ m, n, highWater uint64 }{
		{8, 4, 16}, {16, 2, 24}, {16, 4, 32}, {16, 8, 40}, {16, 16, 40}, {64, 8, 160}, {64, 16, 192}, {64, 64, 224},
		{256, 16, 768}, {256, 64, 1024}, {256, 256, 1152}, {1024, 64, 4096},
	} {
		s := newPlayer(t, "first-fit", 2*c.highWater)
		s.robson(c.m, c.n, func(size uint64) allocator.Block {
			return s.alloc(allocator.Request{Size: size, Align: size})
		})
		if s.highWater != c.highWater {
			t.Errorf("%d live bytes, blocks up to %d: needs %d, want %d", c.m, c.n, s.highWater, c.highWater)
		}
	}
}

// TestBuddyKiller plays against strategies that align powers of two to their size,
// which need what it says, and fail where one largest block is missing.
func TestBuddyKiller(t *testing.T) {
	for _, c := range []struct{ m, n, need uint64 }{
		{16, 2, 24}, {16, 4, 32}, {16, 16, 40}, {64, 16, 192}, {64, 64, 224}, {256, 64, 1024}, {256, 256, 1152}, {1024, 64, 4096},
	} {
		config := workloads.AdversaryConfig{Kind: workloads.BuddyKiller, Live: c.m, Largest: c.n}
		s := newPlayer(t, "first-fit", 4*c.need)
		_, a := s.play(config, func(size uint64) allocator.Block {
			return s.alloc(allocator.Request{Size: size, Align: size})
		})
		if s.highWater != c.need || a.Bound() != c.need {
			t.Errorf("aligned, %+v: needs %d of %d, want %d", config, s.highWater, a.Bound(), c.need)
		}
		for _, name := range []string{"buddy"} {
			s := newPlayer(t, name, 8*c.need)
			if s.play(config, s.allocSize); s.failed || s.highWater < c.need {
				t.Errorf("%s, %+v: needs %d, want at least %d", name, config, s.highWater, c.need)
			}
			s = newPlayer(t, name, c.need-c.n)
			if s.play(config, s.allocSize); !s.failed {
				t.Errorf("%s, %+v: served in %d", name, config, c.need-c.n)
			}
		}
	}
}

// TestRobsonBreaksEveryStrategy takes one byte from Robson's bound, with which
// no strategy can do that does not move blocks.
func TestRobsonBreaksEveryStrategy(t *testing.T) {
	for _, name := range allocator.Names() {
		for _, c := range []struct{ m, n uint64 }{{8, 4}, {16, 2}, {16, 16}, {64, 16}, {256, 64}} {
			s := newPlayer(t, name, robsonBound(c.m, c.n)-1)
			if s.robson(c.m, c.n, s.allocSize); !s.failed {
				t.Errorf("%s, %d live bytes, blocks up to %d: served in %d", name, c.m, c.n, robsonBound(c.m, c.n)-1)
			}
		}
	}
}

// layout is which bytes of a memory of up to 32 are taken, and at which of them
// blocks start.
type layout struct{ taken, starts uint32 }

func (l layout) with(b allocator.Block) layout {
	return layout{l.taken | (1<<b.Size-1)<<b.Addr, l.starts | 1<<b.Addr}
}

func (l layout) without(b allocator.Block) layout {
	return layout{l.taken &^ ((1<<b.Size - 1) << b.Addr), l.starts &^ (1 << b.Addr)}
}

// end returns the end of the last block.
func (l layout) end() int { return bits.Len32(l.taken) }

// walk visits every layout to which requests of some sizes, with at most m live
// bytes, can lead a strategy whose choice depends on nothing but the layout. It
// goes back from a layout by undoing the last step.
type walk struct {
	t        testing.TB
	strategy allocator.Strategy
	policy   worstCasePolicy
	sizes    []uint64
	m        uint64

	layout
	blocks    [32]allocator.Block // by address
	live      uint64
	seen      map[layout]bool
	highWater int
	failed    bool // a request was refused, which ends the walk
}

// newWalk walks from empty memory.
func newWalk(t testing.TB, policy worstCasePolicy, capacity int, sizes []uint64, m uint64) *walk {
	t.Helper()
	s, err := allocator.New(policy.strategy, allocator.Config{Arena: mem.NewRangeSet(mem.Range{Hi: uint64(capacity)})})
	if err != nil {
		t.Fatal(err)
	}
	w := &walk{t: t, strategy: s, policy: policy, m: m, sizes: sizes, seen: map[layout]bool{}}
	w.visit()
	return w
}

func (w *walk) visit() {
	w.seen[w.layout] = true
	w.highWater = max(w.highWater, w.end())
	for _, size := range w.sizes {
		if w.live+size > w.m {
			continue
		}
		b, ok := w.request(size)
		if !ok {
			w.failed = true
			return
		}
		w.add(b)
		if !w.seen[w.layout] {
			w.visit()
		}
		if w.failed {
			return
		}
		w.remove(b.Addr)
	}
	for starts := w.starts; starts != 0; starts &= starts - 1 {
		b := w.blocks[bits.TrailingZeros32(starts)]
		if w.seen[w.without(b)] {
			continue
		}
		w.remove(b.Addr)
		if w.visit(); w.failed {
			return
		}
		back, ok := w.strategy.Alloc(allocator.Request{Size: b.Size, Lo: b.Addr, Hi: b.Addr + b.Size})
		if !ok {
			w.t.Fatalf("%d bytes at %d were free and are refused", b.Size, b.Addr)
		}
		w.add(back)
	}
}

func (w *walk) request(size uint64) (allocator.Block, bool) {
	r := allocator.Request{Size: size}
	if w.policy.aligned {
		r.Align = 1 << bits.Len64(size-1)
	}
	if w.policy.grows && w.end() > 0 {
		inside := r
		inside.Hi = uint64(w.end())
		if b, ok := w.strategy.Alloc(inside); ok {
			return b, true
		}
		r.Lo = uint64(w.end())
	}
	return w.strategy.Alloc(r)
}

func (w *walk) add(b allocator.Block) {
	w.layout = w.with(b)
	w.blocks[b.Addr] = b
	w.live += b.Size
}

// remove frees the block at addr. Its Ref may have changed since it was added:
// what a visit takes away it puts back.
func (w *walk) remove(addr uint64) {
	b := w.blocks[addr]
	if err := w.strategy.Free(b); err != nil {
		w.t.Fatal(err)
	}
	w.layout = w.without(b)
	w.live -= b.Size
}

// worstCasePolicy is a strategy and how it is used.
type worstCasePolicy struct {
	strategy string
	aligned  bool // blocks are aligned to their size rounded up to a power of two
	grows    bool // memory behind the last block is taken only where no hole will do
}

// worstCases holds how many bytes each policy needs for m live bytes, and how
// many layouts it can reach, by the exhaustive search of another program.
var worstCases = []struct {
	policy    worstCasePolicy
	sizes     []uint64
	m         uint64 // of the first entry; it rises by one
	highWater []int
	layouts   []int
}{
	{naturalFirstFit, []uint64{1, 2}, 4, []int{6, 7, 9, 11, 12, 14, 16}, []int{46, 129, 394, 1301, 3749, 11669, 36868}},
	{naturalFirstFit, []uint64{1, 2, 3}, 3, []int{4, 6, 8, 10, 13, 15}, []int{16, 56, 178, 611, 2360, 8157}},
	{naturalFirstFit, []uint64{1, 2, 4}, 4, []int{6, 8, 10, 13}, []int{47, 142, 462, 1637}},
	{naturalFirstFit, []uint64{1, 2, 3, 4}, 4, []int{6, 8, 10}, []int{57, 191, 679}},
	{growingBestFit, []uint64{1, 2}, 4, []int{6, 7, 9, 11, 13, 14, 16}, []int{46, 131, 644, 3103, 15662, 44913, 229603}},
	{growingBestFit, []uint64{1, 2, 3}, 3, []int{4, 6, 8, 10, 13, 16}, []int{16, 56, 179, 940, 6974, 53181}},
	{growingBestFit, []uint64{1, 2, 4}, 4, []int{6, 8, 11, 13}, []int{47, 144, 733, 3663}},
	{growingBestFit, []uint64{1, 2, 3, 4}, 4, []int{6, 8, 11}, []int{57, 192, 1029}},
	{growingWorstFit, []uint64{1, 2}, 4, []int{6, 7, 9, 11, 13, 15, 17}, []int{49, 133, 469, 2370, 12114, 62203, 320481}},
	{growingWorstFit, []uint64{1, 2, 3}, 3, []int{4, 6, 8, 10, 13, 16}, []int{16, 59, 184, 724, 4163, 32322}},
	{growingWorstFit, []uint64{1, 2, 4}, 4, []int{6, 8, 10, 13}, []int{50, 146, 540, 2872}},
	{growingWorstFit, []uint64{1, 2, 3, 4}, 4, []int{6, 8, 10}, []int{60, 197, 795}},
	{alignedFirstFit, []uint64{1, 2}, 4, []int{6, 8, 8, 10, 12, 14, 14}, []int{36, 100, 214, 610, 1720, 5036, 10348}},
	{alignedFirstFit, []uint64{1, 2, 4}, 4, []int{6, 8, 12, 12}, []int{37, 107, 252, 737}},
}

var (
	naturalFirstFit = worstCasePolicy{strategy: "first-fit"}
	alignedFirstFit = worstCasePolicy{strategy: "first-fit", aligned: true}
	growingBestFit  = worstCasePolicy{strategy: "best-fit", grows: true}
	growingWorstFit = worstCasePolicy{strategy: "worst-fit", grows: true}
)

// TestWorstCase gives each policy exactly what it needs, with which no sequence
// of requests makes it fail, and one byte less, with which one does.
func TestWorstCase(t *testing.T) {
	for _, test := range worstCases {
		for i, need := range test.highWater {
			m := test.m + uint64(i)
			w := newWalk(t, test.policy, need, test.sizes, m)
			if w.failed || w.highWater != need || len(w.seen) != test.layouts[i] {
				t.Errorf("%+v, sizes %v, %d live bytes: uses %d of %d in %d layouts, want %d; failed: %v",
					test.policy, test.sizes, m, w.highWater, need, len(w.seen), test.layouts[i], w.failed)
			}
			if w := newWalk(t, test.policy, need-1, test.sizes, m); !w.failed {
				t.Errorf("%+v, sizes %v, %d live bytes: served in %d", test.policy, test.sizes, m, need-1)
			}
		}
	}
}

// TestWorstCaseOfFixedMemory shows why memory grows upwards in TestWorstCase:
// where the end of memory closes a hole like any other, best fit and worst fit
// choose it at other times, and may need more.
func TestWorstCaseOfFixedMemory(t *testing.T) {
	for _, test := range []struct {
		strategy string
		sizes    []uint64
		m        uint64
		growing  int
	}{
		{"best-fit", []uint64{1, 2, 3}, 5, 8},
		{"best-fit", []uint64{1, 2, 4}, 6, 11},
		{"worst-fit", []uint64{1, 2}, 5, 7},
		{"worst-fit", []uint64{1, 2}, 6, 9},
	} {
		if w := newWalk(t, worstCasePolicy{strategy: test.strategy, grows: true}, test.growing, test.sizes, test.m); w.failed {
			t.Errorf("%s, sizes %v, %d live bytes: not served in %d of growing memory", test.strategy, test.sizes, test.m, test.growing)
		}
		if w := newWalk(t, worstCasePolicy{strategy: test.strategy}, test.growing, test.sizes, test.m); !w.failed {
			t.Errorf("%s, sizes %v, %d live bytes: served in %d of fixed memory", test.strategy, test.sizes, test.m, test.growing)
		}
	}
}

// step is an allocation of a size, or with size 0 the free of a block.
type step struct {
	size uint64
	addr uint64
}

// breakable reports whether some sequence of requests, with at most m live
// bytes, makes a strategy fail. It goes through the layouts by the number of
// steps and replays the way to each of them, so that the strategy may depend on
// its history.
func breakable(t *testing.T, name string, capacity uint64, sizes []uint64, m uint64) bool {
	t.Helper()
	seen := map[layout]bool{{}: true}
	for queue := [][]step{nil}; len(queue) > 0; queue = queue[1:] {
		var next []step
		here, live := replaySteps(t, name, capacity, queue[0])
		for _, size := range sizes {
			if live+size <= m {
				next = append(next, step{size: size})
			}
		}
		for starts := here.starts; starts != 0; starts &= starts - 1 {
			next = append(next, step{addr: uint64(bits.TrailingZeros32(starts))})
		}
		for _, s := range next {
			way := append(queue[0][:len(queue[0]):len(queue[0])], s)
			there, _ := replaySteps(t, name, capacity, way)
			switch {
			case there == here: // the request was refused
				return true
			case !seen[there]:
				seen[there] = true
				queue = append(queue, way)
			}
		}
	}
	return false
}

// replaySteps returns the layout at the end of the steps, and the bytes that
// were asked for and are live. A refused request leaves the layout as it is.
func replaySteps(t *testing.T, name string, capacity uint64, steps []step) (l layout, live uint64) {
	t.Helper()
	p := newPlayer(t, name, capacity)
	var blocks [32]allocator.Block
	var asked [32]uint64
	for _, s := range steps {
		if s.size == 0 {
			p.free(blocks[s.addr])
			l, live = l.without(blocks[s.addr]), live-asked[s.addr]
			continue
		}
		if b := p.allocSize(s.size); !p.failed {
			blocks[b.Addr], asked[b.Addr] = b, s.size
			l, live = l.with(b), live+s.size
		}
	}
	return l, live
}

// TestEveryStrategyCanBeBroken takes one byte from what any strategy needs at
// least that does not move blocks, by the exact solution of the game between
// requests and placements for these sizes.
func TestEveryStrategyCanBeBroken(t *testing.T) {
	for _, c := range []struct {
		sizes []uint64
		m     uint64
		need  []uint64 // for m, m+1, ...
	}{
		{[]uint64{1, 2}, 3, []uint64{4, 5, 7, 8, 10}},
		{[]uint64{1, 2, 3}, 3, []uint64{4, 6, 7, 9}},
		{[]uint64{1, 2, 4}, 4, []uint64{5, 7, 9, 12}},
		{[]uint64{1, 2, 3, 4}, 4, []uint64{6, 8, 9}},
		{[]uint64{1, 3}, 4, []uint64{5, 7, 9}},
	} {
		for i, need := range c.need {
			for _, name := range allocator.Names() {
				if m := c.m + uint64(i); !breakable(t, name, need-1, c.sizes, m) {
					t.Errorf("%s, sizes %v, %d live bytes: served in %d", name, c.sizes, m, need-1)
				}
			}
		}
	}
}
