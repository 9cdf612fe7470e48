package allocator_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"dmasim/allocator"
	"dmasim/allocator/alloctest"
	"dmasim/internal/shareddata"
	"dmasim/mem"
)

var (
	windowTraceOnce sync.Once
	windowTrace     *placementTrace
	windowTraceErr  error
)

// windowPlacements returns the trace in which every tenth block must end at or
// below 1 GiB.
func windowPlacements(tb testing.TB) *placementTrace {
	tb.Helper()
	path := shareddata.Path(tb, "placement", "window.bin.gz")
	windowTraceOnce.Do(func() { windowTrace, windowTraceErr = loadPlacements(path) })
	if windowTraceErr != nil {
		tb.Fatal(windowTraceErr)
	}
	return windowTrace
}

// windows are the device mix of that trace.
var windows = []mem.RangeSet{{mem.Everywhere}, {{Lo: 0, Hi: 1 << 30}}}

// replayWindows is replay that tells the failures of restricted requests from
// the others.
func replayWindows(tb testing.TB, name string, p *placementTrace, arena mem.RangeSet) (restricted, others int) {
	s, err := allocator.New(name, allocator.Config{Arena: arena, Granule: p.Unit, Windows: windows})
	if err != nil {
		tb.Fatal(err)
	}
	live := make([]allocator.Block, p.Slots)
	for i := range p.records {
		failures, _, err := replay(s, p.records[i:i+1], live)
		if err != nil {
			tb.Fatal(err)
		}
		if p.records[i].Limit != 0 {
			restricted += failures
		} else {
			others += failures
		}
	}
	return restricted, others
}

// TestWindowTrace pins what windows cost each strategy. Linux's drm_mm fails
// 1,266 restricted and 6,783 other requests at 95 percent if the restricted get
// their best fit and all others the highest place, and 1,413 and 7,023 with the
// lowest and the highest place, which is address-split.
func TestWindowTrace(t *testing.T) {
	p := windowPlacements(t)
	for _, test := range []struct {
		name               string
		percent            uint64
		restricted, others int
	}{
		{"address-split", 85, 2, 3},
		{"address-split", 95, 1413, 7023},
		{"window-fit", 85, 0, 0},
		{"window-fit", 95, 500, 2836},
		{"window-fit:reserve=10", 95, 160, 3536},
		{"window-best-fit", 85, 0, 0},
		{"window-best-fit", 95, 363, 1961},
		{"window-best-fit:reserve=10", 95, 72, 2613},
		{"window-best-fit:reserve=100", 95, 0, 11575},
	} {
		t.Run(fmt.Sprintf("%s/%d", test.name, test.percent), func(t *testing.T) {
			t.Parallel()
			restricted, others := replayWindows(t, test.name, p, p.arena(test.percent))
			if restricted != test.restricted || others != test.others {
				t.Errorf("%d restricted and %d other failures, want %d and %d", restricted, others, test.restricted, test.others)
			}
		})
	}
}

// BenchmarkWindowTrace replays the window trace. Tlsf is for comparison; it
// finds few places in the window.
func BenchmarkWindowTrace(b *testing.B) {
	p := windowPlacements(b)
	for _, name := range []string{"tlsf", "best-fit", "address-split", "window-fit", "window-best-fit"} {
		for _, percent := range []uint64{85, 95} {
			b.Run(fmt.Sprintf("%s/%d", name, percent), func(b *testing.B) {
				benchmarkTrace(b, p, name, allocator.Config{Arena: p.arena(percent), Granule: p.Unit, Windows: windows})
			})
		}
	}
}

// TestWindowFitConforms runs the conformance suite with zones.
func TestWindowFitConforms(t *testing.T) {
	for _, name := range []string{"window-fit", "window-best-fit", "window-fit:reserve=50", "window-best-fit:reserve=100"} {
		t.Run(name, func(t *testing.T) {
			alloctest.Run(t, func(cfg allocator.Config) (allocator.Strategy, error) {
				hull := cfg.Arena.Hull()
				third := hull.Size() / 3
				cfg.Windows = []mem.RangeSet{
					{mem.Everywhere},
					{{Lo: hull.Lo, Hi: hull.Lo + third + 1}},
					{{Lo: 0, Hi: hull.Lo + third/2}, {Lo: hull.Hi - third, Hi: hull.Hi}},
				}
				return allocator.New(name, cfg)
			}, alloctest.Honours(allocator.HonoursAlign|allocator.HonoursWindow|allocator.HonoursBoundary|allocator.HonoursRule))
		})
	}
}

// TestWindowFitOrder shows who is placed where.
func TestWindowFitOrder(t *testing.T) {
	const page = 4096
	arena := mem.NewRangeSet(mem.Range{Lo: 0, Hi: 64 * page})
	cfg := allocator.Config{Arena: arena, Granule: page, Windows: []mem.RangeSet{
		{mem.Everywhere}, {{Lo: 0, Hi: 16 * page}}, {{Lo: 0, Hi: 32 * page}},
	}}
	anywhere := func(pages uint64) allocator.Request { return allocator.Request{Size: pages * page} }
	below := func(limit, pages uint64) allocator.Request {
		return allocator.Request{Size: pages * page, Hi: limit * page}
	}
	for _, name := range []string{"window-fit", "window-best-fit"} {
		s := newScript(t, name, cfg)
		s.alloc("free", anywhere(30), 32*page)
		s.alloc("half", below(32, 4), 16*page)
		s.alloc("quarter", below(16, 4), 0)
		s.alloc("overflow", anywhere(4), 20*page) // two pages are left outside
		s.alloc("small", anywhere(2), 62*page)
		s.alloc("half again", below(32, 8), 24*page)
		s.alloc("second overflow", anywhere(8), 4*page)
		s.refuse(anywhere(8))
		s.free("half", "overflow")
		s.alloc("back", anywhere(8), 16*page)

		s = newScript(t, name+":reserve=100", cfg)
		s.alloc("free", anywhere(30), 32*page)
		s.refuse(anywhere(4))
		s.alloc("half", below(32, 16), 16*page)
		s.refuse(below(32, 1))
		s.alloc("quarter", below(16, 16), 0)
	}
}

// TestAddressSplitIsFirstFitWithDirections compares address-split with the
// definition of first fit, with the direction that it gives each request.
func TestAddressSplitIsFirstFitWithDirections(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		arena := mem.NewRangeSet(mem.Range{Lo: 100, Hi: 400}, mem.Range{Lo: 450, Hi: 460}, mem.Range{Lo: 500, Hi: 700})
		s, err := allocator.New("address-split", allocator.Config{Arena: arena})
		if err != nil {
			t.Fatal(err)
		}
		o := &oracle{policy: "first-fit", arena: arena, granule: 1}
		for range 100 {
			if n := len(o.live); n > 0 && rapid.IntRange(0, 2).Draw(t, "free") == 0 {
				i := rapid.IntRange(0, n-1).Draw(t, "block")
				if err := s.Free(o.live[i]); err != nil {
					t.Fatal(err)
				}
				o.live = slices.Delete(o.live, i, i+1)
				continue
			}
			r := allocator.Request{Size: rapid.Uint64Range(1, 40).Draw(t, "size")}
			want := r
			want.Dir = allocator.High
			switch rapid.IntRange(0, 4).Draw(t, "window") {
			case 0:
				r.Hi = rapid.Uint64Range(100, 699).Draw(t, "hi")
				want.Hi, want.Dir = r.Hi, allocator.Low
			case 1:
				r.Lo = rapid.Uint64Range(101, 700).Draw(t, "lo")
				want.Lo, want.Dir = r.Lo, allocator.Low
			case 2:
				r.Lo, r.Hi = 100, 700
				want.Lo, want.Hi = r.Lo, r.Hi
			case 3:
				r.Rule = &allocator.Rule{Windows: []allocator.Window{{Reach: mem.Range{Lo: 0, Hi: 300}}, {Reach: mem.Range{Lo: 300, Hi: 700}}}}
				want.Rule = r.Rule
			}
			addr, found := o.alloc(want)
			b, ok := s.Alloc(r)
			if ok != found || ok && b.Addr != addr {
				t.Fatalf("%+v at %d (%t), want %d (%t)", r, b.Addr, ok, addr, found)
			}
			if ok {
				o.live = append(o.live, b)
			}
		}
	})
}
