package ledger_test

import (
	"fmt"
	"math/bits"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"dmasim/allocator"
	"dmasim/allocator/ledger"
	"dmasim/mem"
)

// fits tells whether a ledger of the arena with these blocks has a legal place.
func fits(arena mem.RangeSet, blocks []ledger.Entry, req allocator.Request) bool {
	l := ledger.New(arena, 2)
	for _, b := range blocks {
		l.Alloc(allocator.Block{Addr: b.Lo, Size: b.Hi - b.Lo}, b.Hi-b.Lo, int(b.Owner))
	}
	return l.Diagnose(req).Cause == allocator.Policy
}

// drawState draws an arena with at most as many blocks, of two owners.
func drawState(t *rapid.T, most int) (*ledger.Ledger, mem.RangeSet, []ledger.Entry) {
	m := &model{arena: sets.Draw(t, "arena"), live: map[ledger.Handle]placed{}}
	l := ledger.New(m.arena, 2)
	m.fill(t, l, 2, rapid.IntRange(0, 30).Draw(t, "steps"))
	var blocks []ledger.Entry
	for _, e := range l.Live() {
		if len(blocks) == most {
			if err := l.Free(e.Handle); err != nil {
				t.Fatal(err)
			}
			continue
		}
		blocks = append(blocks, e)
	}
	return l, m.arena, blocks
}

// TestBlameAgainstEverySet removes what is blamed and sees the request succeed;
// no set with fewer blocks does that, and none of as many with fewer bytes.
func TestBlameAgainstEverySet(t *testing.T) {
	sizes := map[int]int{}
	rapid.Check(t, func(t *rapid.T) {
		l, arena, blocks := drawState(t, 9)
		var removable func(int) bool
		if rapid.Bool().Draw(t, "only one owner's") {
			removable = func(owner int) bool { return owner == 1 }
		}
		for range 12 {
			req := requests.Draw(t, "request")
			if rapid.Bool().Draw(t, "plain") {
				req = allocator.Request{Size: rapid.Uint64Range(1, space).Draw(t, "plain size")}
			}
			least, leastBytes, possible := 0, uint64(0), false
			for set := range 1 << len(blocks) {
				var kept []ledger.Entry
				var gone uint64
				allowed := true
				for i, b := range blocks {
					if set>>i&1 == 0 {
						kept = append(kept, b)
						continue
					}
					gone += b.Hi - b.Lo
					allowed = allowed && (removable == nil || removable(int(b.Owner)))
				}
				n := bits.OnesCount(uint(set))
				if !allowed || possible && (n > least || n == least && gone >= leastBytes) || !fits(arena, kept, req) {
					continue
				}
				least, leastBytes, possible = n, gone, true
			}
			blame, ok := l.Blame(req, removable)
			if ok != possible || ok && (len(blame.Blocks) != least || blame.Bytes() != leastBytes) {
				t.Fatalf("%+v\nblocks %v\ngot %+v %v\nwant %d blocks with %d bytes, %v", req, blocks, blame, ok, least, leastBytes, possible)
			}
			if !ok {
				continue
			}
			sizes[least]++
			var kept []ledger.Entry
			for _, b := range blocks {
				gone := false
				for _, out := range blame.Blocks {
					gone = gone || out == b
				}
				if !gone {
					kept = append(kept, b)
				}
			}
			after := ledger.New(arena, 2)
			for _, b := range kept {
				after.Alloc(allocator.Block{Addr: b.Lo, Size: b.Hi - b.Lo}, b.Hi-b.Lo, int(b.Owner))
			}
			if d := after.Diagnose(req); d.Cause != allocator.Policy || d.At > blame.At {
				t.Fatalf("%+v without %v: %+v, blame says %#x", req, blame.Blocks, d, blame.At)
			}
		}
	})
	for n := range 2 {
		if sizes[n] == 0 {
			t.Errorf("no blame of %d blocks came up", n)
		}
	}
}

// TestBlame: of three equal blocks two have to go for one request, and all for
// another; of as many the smaller.
func TestBlame(t *testing.T) {
	l := ledger.New(mem.RangeSet{{Lo: 0, Hi: 64}}, 2)
	a, b, c := ledger.Entry{Lo: 10, Hi: 20}, ledger.Entry{Lo: 30, Hi: 38, Handle: 1, Owner: 1}, ledger.Entry{Lo: 48, Hi: 54, Handle: 2}
	for _, e := range []ledger.Entry{a, b, c} {
		l.Alloc(allocator.Block{Addr: e.Lo, Size: e.Hi - e.Lo}, e.Hi-e.Lo, int(e.Owner))
	}
	for _, test := range []struct {
		size      uint64
		removable func(int) bool
		want      []ledger.Entry
		ok        bool
	}{
		{10, nil, nil, true},
		{24, nil, []ledger.Entry{c}, true},
		{30, nil, []ledger.Entry{a}, true},
		{44, nil, []ledger.Entry{b, c}, true},
		{64, nil, []ledger.Entry{a, b, c}, true},
		{65, nil, nil, false},
		{28, func(owner int) bool { return owner == 1 }, []ledger.Entry{b}, true},
		{44, func(owner int) bool { return owner == 0 }, nil, false},
	} {
		blame, ok := l.Blame(allocator.Request{Size: test.size}, test.removable)
		if ok != test.ok || !slices.Equal(blame.Blocks, test.want) {
			t.Errorf("%d bytes: got %v %v, want %v %v", test.size, blame.Blocks, ok, test.want, test.ok)
		}
	}
}

// wider returns req with a window that reaches further by d bytes, if that is
// allowed.
func wider(req allocator.Request, window int, d uint64, down bool) (allocator.Request, bool) {
	if req.Rule == nil {
		if down {
			req.Lo -= min(d, req.Lo)
			return req, true
		}
		if req.Hi == 0 {
			return req, false
		}
		req.Hi += d
		return req, true
	}
	all := append([]allocator.Window(nil), req.Rule.Windows...)
	r := &all[window].Reach
	if down {
		if d > r.Lo || window > 0 && r.Lo-d < all[window-1].Reach.Hi {
			return req, false
		}
		r.Lo -= d
	} else {
		if window+1 < len(all) && r.Hi+d > all[window+1].Reach.Lo {
			return req, false
		}
		r.Hi += d
	}
	req.Rule = &allocator.Rule{Windows: all}
	return req, true
}

// TestWindowGrowthAgainstEveryByte lets windows grow byte by byte.
func TestWindowGrowthAgainstEveryByte(t *testing.T) {
	above, below := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		l, arena, blocks := drawState(t, 9)
		for range 4 {
			req := requests.Draw(t, "request")
			if fits(arena, blocks, req) {
				continue
			}
			want := growthByBytes(arena, blocks, req)
			got, ok := l.WindowGrowth(req)
			if got != want || ok != (want != ledger.Growth{}) {
				t.Fatalf("%+v\nblocks %v\narena %v\ngot %+v %v\nwant %+v", req, blocks, arena, got, ok, want)
			}
			above, below = above+int(want.Above), below+int(want.Below)
		}
	})
	if above == 0 || below == 0 {
		t.Errorf("windows grew by %d bytes above and %d below", above, below)
	}
}

// growthByBytes tries every number of bytes, in each window.
func growthByBytes(arena mem.RangeSet, blocks []ledger.Entry, req allocator.Request) (least ledger.Growth) {
	windows := 1
	if req.Rule != nil {
		windows = len(req.Rule.Windows)
	}
	for i := range windows {
		for d := uint64(1); d <= 2*space; d++ {
			if more, ok := wider(req, i, d, false); ok && (least.Above == 0 || d < least.Above) && fits(arena, blocks, more) {
				least.Above = d
			}
			if more, ok := wider(req, i, d, true); ok && (least.Below == 0 || d < least.Below) && fits(arena, blocks, more) {
				least.Below = d
			}
		}
	}
	return least
}

// TestArenaGrowthAgainstEveryByte lets the arena grow byte by byte.
func TestArenaGrowthAgainstEveryByte(t *testing.T) {
	grew := 0
	rapid.Check(t, func(t *rapid.T) {
		l, arena, blocks := drawState(t, 9)
		req := requests.Draw(t, "request")
		if fits(arena, blocks, req) {
			t.Skip()
		}
		hull := arena.Hull()
		var want ledger.Growth
		const most = 4 * space
		for d := uint64(1); d <= most && want.Above == 0; d++ {
			if fits(arena.Union(mem.RangeSet{{Lo: hull.Hi, Hi: hull.Hi + d}}), blocks, req) {
				want.Above = d
			}
		}
		for d := uint64(1); d <= hull.Lo && want.Below == 0; d++ {
			if fits(arena.Union(mem.RangeSet{{Lo: hull.Lo - d, Hi: hull.Lo}}), blocks, req) {
				want.Below = d
			}
		}
		got, ok := l.ArenaGrowth(req)
		if got.Above > most { // alignments that meet but far away
			if fits(arena.Union(mem.RangeSet{{Lo: hull.Hi, Hi: hull.Hi + got.Above}}), blocks, req) &&
				!fits(arena.Union(mem.RangeSet{{Lo: hull.Hi, Hi: hull.Hi + got.Above - 1}}), blocks, req) {
				want.Above = got.Above
			}
		}
		if got != want || ok != (want != ledger.Growth{}) {
			t.Fatalf("%+v\nblocks %v\narena %v\ngot %+v %v\nwant %+v", req, blocks, arena, got, ok, want)
		}
		if ok {
			grew++
		}
	})
	if grew == 0 {
		t.Error("no arena could grow")
	}
}

// TestFittingAlignAgainstEach tries each alignment of the series.
func TestFittingAlignAgainstEach(t *testing.T) {
	fitted := 0
	rapid.Check(t, func(t *rapid.T) {
		l, arena, blocks := drawState(t, 12)
		unit := rapid.SampledFrom([]uint64{0, 1, 2, 4}).Draw(t, "unit")
		least := max(unit, 1)
		req := allocator.Request{
			Size:  rapid.Uint64Range(1, 20).Draw(t, "size"),
			Align: least * rapid.SampledFrom([]uint64{0, 1, 2, 3, 8, 12, 32, 64, 96, 128}).Draw(t, "align"),
		}
		var want uint64
		for align := req.Align; align > least && want == 0; {
			if align%2 == 0 && align/2%least == 0 {
				align /= 2
			} else {
				align = least
			}
			less := req
			less.Align = align
			if fits(arena, blocks, less) {
				want = align
			}
		}
		ruled := req
		ruled.Align = 0
		ruled.Rule = &allocator.Rule{Windows: []allocator.Window{{Reach: mem.Range{Hi: 10 * space}, Align: req.Align}}}
		for _, r := range []allocator.Request{req, ruled} {
			got, less, ok := l.FittingAlign(r, unit)
			if got != want || ok != (want > 0) || ok && !fits(arena, blocks, less) {
				t.Fatalf("%+v\nblocks %v: got %d %+v %v, want %d", r, blocks, got, less, ok, want)
			}
		}
		if want > 0 {
			fitted++
		}
	})
	if fitted == 0 {
		t.Error("no smaller alignment helped")
	}
}

func ExampleLedger_Blame() {
	// 64 bytes, of which two blocks of 8 stand in the way of 40.
	l := ledger.New(mem.RangeSet{{Lo: 0, Hi: 64}}, 1)
	l.Alloc(allocator.Block{Addr: 16, Size: 8}, 8, 0)
	l.Alloc(allocator.Block{Addr: 32, Size: 8}, 8, 0)
	blame, _ := l.Blame(allocator.Request{Size: 40}, nil)
	fmt.Println(blame.Blocks, "then there is a place at", blame.At)
	// Output: [{32 40 1 0}] then there is a place at 24
}
