package drmmm_test

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"dmasim/allocator/kernel/drmmm"
)

const none = math.MaxUint64

func newManager(t testing.TB, base, size, guard uint64) *drmmm.Manager {
	t.Helper()
	m, err := drmmm.New(base, size, guard)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func alloc(m *drmmm.Manager, r drmmm.Request) (uint64, drmmm.Node) {
	if r.Hi == 0 {
		r.Hi = drmmm.NoLimit
	}
	start, n, ok := m.Alloc(r)
	if !ok {
		return none, 0
	}
	return start, n
}

// withHoles returns a manager of [0, 100) whose holes were made in the order of
// their addresses.
func withHoles(t *testing.T) *drmmm.Manager {
	m := newManager(t, 0, 100, 0)
	for _, used := range [][2]uint64{{0, 5}, {15, 20}, {26, 30}, {50, 60}, {66, 80}} {
		if _, ok := m.Reserve(used[0], used[1]-used[0], 0); !ok {
			t.Fatalf("%v is not reserved", used)
		}
	}
	return m
}

// TestModes repeats a sequence run on the kernel's code.
func TestModes(t *testing.T) {
	requests := []drmmm.Request{
		{Size: 6}, {Size: 6}, {Size: 4, Align: 8}, {Size: 10}, {Size: 5, Hi: 40}, {Size: 18}, {Size: 3, Align: 7, Lo: 10, Hi: 90},
	}
	for mode, want := range map[drmmm.Mode][]uint64{
		drmmm.Best:  {60, 20, 8, 80, 30, none, 35},
		drmmm.Low:   {5, 20, 32, 36, none, 80, 63},
		drmmm.High:  {94, 88, 80, 40, 35, none, 84},
		drmmm.Evict: {80, 86, 96, 30, 20, none, 42},
	} {
		m := withHoles(t)
		var got []uint64
		for _, r := range requests {
			r.Mode = mode
			start, _ := alloc(m, r)
			got = append(got, start)
		}
		if !slices.Equal(got, want) {
			t.Errorf("mode %d: %d, want %d", mode, got, want)
		}
	}
}

// TestNewestOfEqualHoles repeats another one.
func TestNewestOfEqualHoles(t *testing.T) {
	for _, mode := range []drmmm.Mode{drmmm.Best, drmmm.Evict} {
		m := newManager(t, 0, 100, 0)
		var nodes []drmmm.Node
		for range 10 {
			_, n := alloc(m, drmmm.Request{Size: 10, Mode: drmmm.Low})
			nodes = append(nodes, n)
		}
		for _, i := range []int{3, 1, 6} {
			if err := m.Remove(nodes[i]); err != nil {
				t.Fatal(err)
			}
		}
		for _, want := range []uint64{60, 10, 30} {
			if start, _ := alloc(m, drmmm.Request{Size: 10, Mode: mode}); start != want {
				t.Errorf("mode %d: %d, want %d", mode, start, want)
			}
		}
	}
}

func TestRefuses(t *testing.T) {
	for _, test := range [][2]uint64{{0, 0}, {1, math.MaxUint64}} {
		if _, err := drmmm.New(test[0], test[1], 0); err == nil {
			t.Errorf("range %v is accepted", test)
		}
	}
	m := newManager(t, 100, 100, 0)
	start, n := alloc(m, drmmm.Request{Size: 10})
	if start != 100 {
		t.Errorf("placed at %d", start)
	}
	for _, r := range []drmmm.Request{
		{}, {Size: 101}, {Size: math.MaxUint64}, {Size: 1, Lo: 120, Hi: 110}, {Size: 1, Lo: 200}, {Size: 1, Hi: 100},
		{Size: 1, Align: 1 << 63}, {Size: 91},
	} {
		for r.Mode = drmmm.Best; r.Mode <= drmmm.Evict; r.Mode++ {
			if start, _ := alloc(m, r); start != none {
				t.Errorf("%+v is placed at %d", r, start)
			}
		}
	}
	for _, bad := range [][2]uint64{{150, 0}, {105, 10}, {195, 10}, {90, 5}, {150, math.MaxUint64}} {
		if _, ok := m.Reserve(bad[0], bad[1], 0); ok {
			t.Errorf("%v is reserved", bad)
		}
	}
	if err := m.Remove(n); err != nil {
		t.Error(err)
	}
	if err := m.Remove(n); !errors.Is(err, drmmm.ErrRemoved) {
		t.Errorf("second removal: %v", err)
	}
	for _, n := range []drmmm.Node{0, 1, 1<<32 | 1, n + 1, n + 2<<32, math.MaxUint64} {
		if err := m.Remove(n); !errors.Is(err, drmmm.ErrUnknown) {
			t.Errorf("removal of node %#x: %v", n, err)
		}
	}
	if m.Free() != 100 {
		t.Errorf("%d free, want 100", m.Free())
	}
}

// oracle is a list of live ranges and a list of holes, the newest last.
type oracle struct {
	lo, hi, guard uint64
	live          []placed // by address
	holes         [][2]uint64
}

type placed struct {
	start, end, color uint64
	node              drmmm.Node
}

// fit restates the rule for one hole.
func (o *oracle) fit(live []placed, hole [2]uint64, r drmmm.Request) (uint64, bool) {
	lo, hi := int(hole[0]), int(hole[1])
	for _, p := range live {
		if p.end == hole[0] && p.color != r.Color {
			lo += int(o.guard)
		}
		if p.start == hole[1] && p.color != r.Color {
			hi -= int(o.guard)
		}
	}
	lo, hi = max(lo, int(r.Lo)), min(hi, int(r.Hi))
	for i := range max(hi-lo-int(r.Size)+1, 0) {
		start := lo + i
		if r.Mode == drmmm.High {
			start = hi - int(r.Size) - i
		}
		if r.Align == 0 || start%int(r.Align) == 0 {
			return uint64(start), true
		}
	}
	return 0, false
}

func (o *oracle) alloc(r drmmm.Request) (uint64, bool) {
	holes := slices.Clone(o.holes)
	slices.Reverse(holes) // the newest first
	slices.SortStableFunc(holes, func(a, b [2]uint64) int {
		switch r.Mode {
		case drmmm.Best:
			return int(a[1]-a[0]) - int(b[1]-b[0])
		case drmmm.Low:
			return int(a[0]) - int(b[0])
		case drmmm.High:
			return int(b[0]) - int(a[0])
		}
		return 0
	})
	for _, hole := range holes {
		if start, ok := o.fit(o.live, hole, r); ok {
			return start, true
		}
	}
	return 0, false
}

func (o *oracle) insert(p placed) {
	i := slices.IndexFunc(o.holes, func(h [2]uint64) bool { return h[0] <= p.start && p.end <= h[1] })
	hole := o.holes[i]
	o.holes = slices.Delete(o.holes, i, i+1)
	for _, rest := range [][2]uint64{{hole[0], p.start}, {p.end, hole[1]}} {
		if rest[0] < rest[1] {
			o.holes = append(o.holes, rest)
		}
	}
	at, _ := slices.BinarySearchFunc(o.live, p, func(a, b placed) int { return int(a.start) - int(b.start) })
	o.live = slices.Insert(o.live, at, p)
}

func (o *oracle) remove(i int) {
	merged := [2]uint64{o.live[i].start, o.live[i].end}
	o.live = slices.Delete(o.live, i, i+1)
	o.holes = slices.DeleteFunc(o.holes, func(h [2]uint64) bool {
		switch {
		case h[1] == merged[0]:
			merged[0] = h[0]
		case h[0] == merged[1]:
			merged[1] = h[1]
		default:
			return false
		}
		return true
	})
	o.holes = append(o.holes, merged)
}

// scan restates the eviction roster.
func (o *oracle) scan(r drmmm.Request, roster []drmmm.Node) (hit uint64, evict []drmmm.Node, ok bool) {
	live := slices.Clone(o.live)
	var added []placed
	for _, n := range roster {
		i := slices.IndexFunc(live, func(p placed) bool { return p.node == n })
		added = append(added, live[i])
		hole := [2]uint64{o.lo, o.hi}
		if i > 0 {
			hole[0] = live[i-1].end
		}
		if i+1 < len(live) {
			hole[1] = live[i+1].start
		}
		live = slices.Delete(live, i, i+1)
		if hit, ok = o.fit(live, hole, r); ok {
			break
		}
	}
	for _, p := range slices.Backward(added) {
		if ok && p.start < hit+r.Size && hit < p.end {
			evict = append(evict, p.node)
		}
	}
	return hit, evict, ok
}

func TestSamePlacesAsTheOracle(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		base := rapid.Uint64Range(0, 100).Draw(t, "base")
		size := rapid.Uint64Range(1, 400).Draw(t, "size")
		guard := rapid.SampledFrom([]uint64{0, 0, 1, 3, 20}).Draw(t, "guard")
		m, err := drmmm.New(base, size, guard)
		if err != nil {
			t.Fatal(err)
		}
		o := &oracle{lo: base, hi: base + size, guard: guard, holes: [][2]uint64{{base, base + size}}}
		draw := func(t *rapid.T) drmmm.Request {
			r := drmmm.Request{
				Size:  rapid.Uint64Range(1, 1<<rapid.IntRange(0, 8).Draw(t, "log2")).Draw(t, "size"),
				Align: rapid.SampledFrom([]uint64{0, 0, 1, 2, 3, 7, 16}).Draw(t, "align"),
				Color: rapid.Uint64Range(0, 2).Draw(t, "color"),
				Hi:    1 << 20,
				Mode:  drmmm.Mode(rapid.IntRange(0, int(drmmm.Evict)).Draw(t, "mode")),
			}
			if rapid.Bool().Draw(t, "window") {
				r.Lo = rapid.Uint64Range(0, base+size+10).Draw(t, "lo")
				r.Hi = r.Lo + rapid.Uint64Range(0, base+size+10).Draw(t, "length")
			}
			return r
		}
		check := func(t *rapid.T, p placed, ok, want bool, wantStart uint64) {
			if ok != want || ok && p.start != wantStart {
				t.Fatalf("%d %t, want %d %t; holes %v, live %v", p.start, ok, wantStart, want, o.holes, o.live)
			}
			if ok {
				o.insert(p)
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"alloc": func(t *rapid.T) {
				r := draw(t)
				start, n, ok := m.Alloc(r)
				wantStart, want := o.alloc(r)
				check(t, placed{start, start + r.Size, r.Color, n}, ok, want, wantStart)
			},
			"reserve": func(t *rapid.T) {
				start := rapid.Uint64Range(0, base+size).Draw(t, "start")
				r := drmmm.Request{Size: rapid.Uint64Range(1, 30).Draw(t, "size"), Color: rapid.Uint64Range(0, 2).Draw(t, "color")}
				r.Lo, r.Hi = start, start+r.Size
				n, ok := m.Reserve(start, r.Size, r.Color)
				_, want := o.alloc(r)
				check(t, placed{start, start + r.Size, r.Color, n}, ok, want, start)
			},
			"remove": func(t *rapid.T) {
				if len(o.live) == 0 {
					t.Skip("nothing is live")
				}
				i := rapid.IntRange(0, len(o.live)-1).Draw(t, "victim")
				if err := m.Remove(o.live[i].node); err != nil {
					t.Fatal(err)
				}
				o.remove(i)
			},
			"scan": func(t *rapid.T) {
				r := draw(t)
				var roster []drmmm.Node
				for _, p := range o.live {
					roster = append(roster, p.node)
				}
				if len(roster) > 0 {
					roster = rapid.Permutation(roster).Draw(t, "roster")
				}
				hit, evict, ok := m.Scan(r, roster)
				wantHit, want, wantOK := o.scan(r, roster)
				if ok != wantOK || ok && hit != wantHit || !slices.Equal(evict, want) {
					t.Fatalf("%+v: %d %x %t, want %d %x %t", r, hit, evict, ok, wantHit, want, wantOK)
				}
			},
			"": func(t *rapid.T) {
				if err := m.Check(); err != nil {
					t.Fatal(err)
				}
				free := uint64(0)
				for _, h := range o.holes {
					free += h[1] - h[0]
				}
				if m.Free() != free {
					t.Fatalf("%d free, want %d", m.Free(), free)
				}
			},
		})
	})
}

func ExampleManager_Scan() {
	gtt, err := drmmm.New(0, 1<<20, 0)
	if err != nil {
		fmt.Println(err)
		return
	}
	var roster []drmmm.Node // the least wanted first
	for range 16 {
		_, n, _ := gtt.Alloc(drmmm.Request{Size: 64 << 10, Hi: drmmm.NoLimit, Mode: drmmm.Low})
		roster = append(roster, n)
	}
	r := drmmm.Request{Size: 128 << 10, Align: 128 << 10, Hi: drmmm.NoLimit, Mode: drmmm.Evict}
	hit, evict, ok := gtt.Scan(r, roster)
	for _, n := range evict {
		if err := gtt.Remove(n); err != nil {
			fmt.Println(err)
		}
	}
	start, _, _ := gtt.Alloc(r)
	fmt.Println(ok, hit, len(evict), start)
	// Output: true 0 2 0
}
