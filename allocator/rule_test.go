package allocator_test

import (
	"fmt"
	"math"
	"math/big"
	"reflect"
	"testing"

	"dmasim/allocator"
	"dmasim/mem"

	"pgregory.net/rapid"
)

// legal is what Request and Rule mean, written down byte by byte.
func legal(r allocator.Request, s uint64) bool {
	congruent := func(align, phase uint64) bool {
		return align == 0 || residue(s, phase, align) == 0
	}
	crosses := func(boundary, phase, length uint64) bool {
		for i := uint64(1); boundary != 0 && i < length; i++ {
			if (residue(s, phase, boundary)+i)%boundary == 0 {
				return true
			}
		}
		return false
	}
	if !congruent(r.Align, 0) || s < r.Lo || (r.Hi != 0 && (s >= r.Hi || r.Hi-s < r.Size)) || crosses(r.Boundary, 0, r.Size) {
		return false
	}
	if r.Rule == nil {
		return true
	}
	touched := r.Size - r.Slack
windows:
	for _, w := range r.Rule.Windows {
		if s < w.Reach.Lo || s >= w.Reach.Hi || w.Reach.Hi-s < touched || !congruent(w.Align, w.Phase) {
			continue
		}
		for _, b := range w.Bounds {
			if length := int64(touched) + b.Extra; length > 0 && crosses(b.Boundary, b.Phase, uint64(length)) {
				continue windows
			}
		}
		for _, a := range w.Arcs {
			if a.Period == 0 {
				continue
			}
			point := residue(s, a.Phase, a.Period)
			if length := int64(touched) + a.Extra; a.End && length > 0 {
				point = (point + uint64(length)) % a.Period
			}
			if point > a.Room {
				continue windows
			}
		}
		return true
	}
	return false
}

// residue is (s - phase) modulo m in true integers.
func residue(s, phase, m uint64) uint64 {
	d := new(big.Int).Sub(new(big.Int).SetUint64(s), new(big.Int).SetUint64(phase))
	return d.Mod(d, new(big.Int).SetUint64(m)).Uint64()
}

const space = 320

// drawRequest draws a request whose figures are small against a space that
// begins at base.
func drawRequest(t *rapid.T, base uint64, phases *rapid.Generator[uint64]) allocator.Request {
	// Odd numbers, powers of two and multiples of both, so that congruences
	// often have something in common.
	small := rapid.OneOf(rapid.SampledFrom([]uint64{0, 1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64}), rapid.Uint64Range(0, 70))
	r := allocator.Request{
		Size:     rapid.Uint64Range(1, 40).Draw(t, "size"),
		Align:    small.Draw(t, "align"),
		Boundary: rapid.OneOf(rapid.Just(uint64(0)), small).Draw(t, "boundary"),
	}
	if rapid.Bool().Draw(t, "window") {
		r.Lo = base + rapid.Uint64Range(0, space).Draw(t, "lo")
		r.Hi = base + space - rapid.Uint64Range(0, space).Draw(t, "hi")
	}
	if rapid.IntRange(0, 3).Draw(t, "plain") == 0 {
		return r
	}
	r.Slack = rapid.Uint64Range(0, r.Size-1).Draw(t, "slack")
	r.Rule = &allocator.Rule{}
	var lo, hi uint64
	for range rapid.IntRange(0, 3).Draw(t, "windows") {
		// Apart, touching or overlapping.
		lo = min(max(lo, hi-min(hi, 20))+rapid.Uint64Range(0, 60).Draw(t, "gap"), space)
		hi = min(max(lo+250-rapid.Uint64Range(0, 249).Draw(t, "length"), hi), space)
		w := allocator.Window{Reach: mem.Range{Lo: base + lo, Hi: base + hi}, Align: small.Draw(t, "align"), Phase: phases.Draw(t, "phase")}
		for range rapid.IntRange(0, 3).Draw(t, "bounds") {
			w.Bounds = append(w.Bounds, allocator.Bound{
				Boundary: small.Draw(t, "boundary"),
				Phase:    phases.Draw(t, "phase"),
				Extra:    rapid.Int64Range(-20, 20).Draw(t, "extra"),
			})
		}
		for range rapid.SampledFrom([]int{0, 0, 1, 2}).Draw(t, "arcs") {
			w.Arcs = append(w.Arcs, allocator.Arc{
				Period: small.Draw(t, "period"), Phase: phases.Draw(t, "phase"), Room: rapid.Uint64Range(0, 40).Draw(t, "room"),
				End: rapid.Bool().Draw(t, "end"), Extra: rapid.Int64Range(-20, 20).Draw(t, "extra"),
			})
		}
		r.Rule.Windows = append(r.Rule.Windows, w)
	}
	return r
}

// TestPlace compares both ends against a scan over every start, at the bottom
// of the address space, in the middle and at its very end.
func TestPlace(t *testing.T) {
	for _, base := range []uint64{0, 1<<40 - 77, math.MaxUint64 - space} {
		t.Run(mem.Addr(base).String(), rapid.MakeCheck(func(t *rapid.T) {
			r := drawRequest(t, base, rapid.OneOf(rapid.Uint64Range(0, 80), rapid.Uint64()))
			lo := base + rapid.Uint64Range(0, space).Draw(t, "free from")
			hi := base + space - rapid.Uint64Range(0, space).Draw(t, "free to")
			var starts []uint64
			for s := lo; s < hi && hi-s >= r.Size; s++ {
				if legal(r, s) {
					starts = append(starts, s)
				}
			}
			low, okLow := r.Place(lo, hi, false)
			high, okHigh := r.Place(lo, hi, true)
			if okLow != (len(starts) > 0) || okHigh != okLow {
				t.Fatalf("placed low %v, high %v, but %d legal starts", okLow, okHigh, len(starts))
			}
			if okLow && (low != starts[0] || high != starts[len(starts)-1]) {
				t.Fatalf("lowest %d, highest %d, want %d and %d", low, high, starts[0], starts[len(starts)-1])
			}
			ruleOnly := allocator.Request{Size: r.Size, Slack: r.Slack, Rule: r.Rule}
			first, okFirst := ruleOnly.Place(lo, hi, false)
			last, okLast := ruleOnly.Place(lo, hi, true)
			if s, ok := r.Rule.First(lo, hi, r.Size, r.Slack); s != first || ok != okFirst {
				t.Fatalf("First %d, %v, want %d, %v", s, ok, first, okFirst)
			}
			if s, ok := r.Rule.Last(lo, hi, r.Size, r.Slack); s != last || ok != okLast {
				t.Fatalf("Last %d, %v, want %d, %v", s, ok, last, okLast)
			}
			for s := lo; s < hi && r.Rule != nil; s++ {
				if kept := r.Rule.Check(s, r.Size, r.Slack).Part == allocator.Kept; kept != legal(ruleOnly, s) {
					t.Fatalf("Check(%d) says kept %v", s, kept)
				}
			}
		}))
	}
}

// TestPlaceScaled multiplies every figure by the same large number: the place
// must be multiplied too. The periods then pass 64 bits.
func TestPlaceScaled(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		k := rapid.OneOf(rapid.SampledFrom([]uint64{3, 4096, 1<<31 - 1, 1<<53 - 111, 1 << 55}), rapid.Uint64Range(1, 1<<55)).Draw(t, "scale")
		r := drawRequest(t, 0, rapid.Uint64Range(0, 80))
		r.Align = max(r.Align, 1)
		scaled := allocator.Request{
			Size: r.Size * k, Align: r.Align * k, Lo: r.Lo * k, Hi: r.Hi * k, Boundary: r.Boundary * k, Slack: r.Slack * k,
		}
		if r.Rule != nil {
			scaled.Rule = &allocator.Rule{}
			for _, w := range r.Rule.Windows {
				large := allocator.Window{
					Reach: mem.Range{Lo: w.Reach.Lo * k, Hi: w.Reach.Hi * k}, Align: w.Align * k, Phase: w.Phase * k,
				}
				for _, b := range w.Bounds {
					large.Bounds = append(large.Bounds, allocator.Bound{Boundary: b.Boundary * k, Phase: b.Phase * k, Extra: b.Extra * int64(k)})
				}
				for _, a := range w.Arcs {
					large.Arcs = append(large.Arcs, allocator.Arc{Period: a.Period * k, Phase: a.Phase * k, Room: a.Room * k, End: a.End, Extra: a.Extra * int64(k)})
				}
				scaled.Rule.Windows = append(scaled.Rule.Windows, large)
			}
		}
		for _, high := range []bool{false, true} {
			small, okSmall := r.Place(0, space, high)
			large, okLarge := scaled.Place(0, space*k, high)
			if okSmall != okLarge || large != small*k {
				t.Fatalf("high %v: %d (%v), scaled by %d: %d (%v)", high, small, okSmall, k, large, okLarge)
			}
		}
	})
}

func TestPlaceTable(t *testing.T) {
	const gib, mib = 1 << 30, 1 << 20
	window := func(lo, hi, align, phase uint64, bounds ...allocator.Bound) *allocator.Rule {
		return &allocator.Rule{Windows: []allocator.Window{{Reach: mem.Range{Lo: lo, Hi: hi}, Align: align, Phase: phase, Bounds: bounds}}}
	}
	tests := []struct {
		name      string
		request   allocator.Request
		lo, hi    uint64
		low, high uint64
		none      bool
	}{
		{
			name:    "FIMC-IS: one place for 10 MiB at 64 MiB in a 64 MiB area",
			request: allocator.Request{Size: 10 * mib, Align: 64 * mib},
			lo:      0x2f000000, hi: 0x33000000, low: 0x30000000, high: 0x30000000,
		}, {
			name:    "FIMC-IS: the multiple lies in the last 10 MiB",
			request: allocator.Request{Size: 10 * mib, Align: 64 * mib},
			lo:      0x2c700000, hi: 0x30700000, none: true,
		}, {
			name:    "tg3: eight bytes of guard before 4 GiB",
			request: allocator.Request{Size: 1520, Rule: window(0, 1<<40, 1, 0, allocator.Bound{Boundary: 4 * gib, Extra: 8})},
			lo:      4*gib - 1525, hi: 4*gib + 1520, low: 4 * gib, high: 4 * gib,
		}, {
			name:    "congruences that exclude each other",
			request: allocator.Request{Size: 1, Align: 4096, Rule: window(0, 1<<40, 8192, 512)},
			hi:      1 << 40, none: true,
		}, {
			name:    "congruences whose period passes 64 bits",
			request: allocator.Request{Size: 1, Align: 1<<40 + 1, Rule: window(0, math.MaxUint64, 1<<40-1, 2)},
			hi:      math.MaxUint64, low: 1<<40 + 1, high: 1<<40 + 1,
		}, {
			name:    "boundaries that exclude each other at any alignment",
			request: allocator.Request{Size: 2*gib + 1, Align: 12345, Rule: window(0, 1<<62, 1, 0, allocator.Bound{Boundary: 4 * gib}, allocator.Bound{Boundary: 4 * gib, Phase: 2 * gib})},
			hi:      1 << 62, none: true,
		}, {
			name:    "a guard as long as the boundary",
			request: allocator.Request{Size: 2, Rule: window(0, 1<<40, 1, 0, allocator.Bound{Boundary: 4096, Extra: 4096})},
			hi:      1 << 40, none: true,
		}, {
			name:    "an extra that passes 64 bits",
			request: allocator.Request{Size: math.MaxUint64 - 10, Rule: window(0, math.MaxUint64, 1, 0, allocator.Bound{Boundary: 1 << 63, Extra: math.MaxInt64})},
			hi:      math.MaxUint64, none: true,
		}, {
			name:    "a rule without windows",
			request: allocator.Request{Size: 1, Rule: &allocator.Rule{}},
			hi:      1 << 40, none: true,
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			low, okLow := test.request.Place(test.lo, test.hi, false)
			high, okHigh := test.request.Place(test.lo, test.hi, true)
			if okLow == test.none || okHigh == test.none {
				t.Fatalf("placed low %v, high %v, want %v", okLow, okHigh, !test.none)
			}
			if okLow && (low != test.low || high != test.high) {
				t.Errorf("lowest %#x, highest %#x, want %#x and %#x", low, high, test.low, test.high)
			}
		})
	}
}

func TestCheck(t *testing.T) {
	rule := &allocator.Rule{Windows: []allocator.Window{
		{Reach: mem.Range{Lo: 0x1000, Hi: 0x5000}, Align: 0x100, Phase: 0x80, Bounds: []allocator.Bound{
			{Boundary: 0x2000}, {Boundary: 0x1000, Phase: 0x800, Extra: -0x80},
		}},
		{Reach: mem.Range{Lo: 0x8000, Hi: 0x9000}},
	}}
	tests := []struct {
		start, size, slack uint64
		want               allocator.Breach
	}{
		{0x1080, 0x100, 0, allocator.Breach{Part: allocator.Kept, Window: 0, Bound: -1}},
		{0x0, 0x100, 0, allocator.Breach{Part: allocator.OutOfReach, Window: -1, Bound: -1}},
		{0x4f80, 0x100, 0, allocator.Breach{Part: allocator.OutOfReach, Window: 0, Bound: -1}},
		{0x4f80, 0x100, 0x80, allocator.Breach{Part: allocator.Kept, Window: 0, Bound: -1}},
		{0x1000, 0x100, 0, allocator.Breach{Part: allocator.Misaligned, Window: 0, Bound: -1}},
		{0x1f80, 0x100, 0, allocator.Breach{Part: allocator.Crossing, Window: 0, Bound: 0}},
		{0x1780, 0x100, 0, allocator.Breach{Part: allocator.Kept, Window: 0, Bound: -1}},
		{0x1780, 0x101, 0, allocator.Breach{Part: allocator.Crossing, Window: 0, Bound: 1}},
		{0x8001, 0xfff, 0, allocator.Breach{Part: allocator.Kept, Window: 1, Bound: -1}},
	}
	for _, test := range tests {
		if got := rule.Check(test.start, test.size, test.slack); got != test.want {
			t.Errorf("Check(%#x, %#x, %#x) = %+v, want %+v", test.start, test.size, test.slack, got, test.want)
		}
	}
	for part, want := range map[allocator.Part]string{
		allocator.Kept: "kept", allocator.OutOfReach: "reach", allocator.Misaligned: "alignment", allocator.Crossing: "boundary",
	} {
		if part.String() != want {
			t.Errorf("part %d is %s, want %s", part, part, want)
		}
	}
	if got := (*allocator.Rule)(nil).Check(7, 9, 0); got.Part != allocator.Kept {
		t.Errorf("nil rule: %+v", got)
	}
}

// TestIntersect: a start is legal in the intersection if it is legal in both.
func TestIntersect(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		draw := func() allocator.Window {
			for {
				r := drawRequest(t, 0, rapid.Uint64Range(0, 80))
				if r.Rule != nil && len(r.Rule.Windows) > 0 {
					return r.Rule.Windows[0]
				}
			}
		}
		a, b := draw(), draw()
		both, part := a.Intersect(b)
		if other, _ := b.Intersect(a); !reflect.DeepEqual(both, other) {
			t.Fatalf("%+v one way, %+v the other", both, other)
		}
		size := rapid.Uint64Range(1, 40).Draw(t, "size")
		for s := range uint64(space) {
			obeys := func(windows ...allocator.Window) bool {
				return (&allocator.Rule{Windows: windows}).Check(s, size, 0).Part == allocator.Kept
			}
			got := part == allocator.Kept && obeys(both)
			if want := obeys(a) && obeys(b); got != want {
				t.Fatalf("start %d: legal in the intersection %v, in both %v", s, got, want)
			}
		}
	})
}

// TestPlaceGivesUp: patterns that exclude each other, of which that would only be
// known after 2^40 rounds.
func TestPlaceGivesUp(t *testing.T) {
	r := allocator.Request{Size: 1, Rule: &allocator.Rule{Windows: []allocator.Window{{
		Reach: mem.Everywhere, Align: 1<<39 - 1,
		Arcs: []allocator.Arc{{Period: 1 << 40, Room: 1<<39 - 1}, {Period: 1 << 40, Phase: 1 << 39, Room: 1<<39 - 1}},
	}}}}
	for _, high := range []bool{false, true} {
		if at, ok := r.Place(0, math.MaxUint64, high); ok {
			t.Errorf("placed at %#x", at)
		}
	}
}

func TestPlaceDoesNotAllocate(t *testing.T) {
	r := allocator.Request{Size: 24 << 10, Align: 12345, Boundary: 1 << 20, Rule: &allocator.Rule{Windows: []allocator.Window{
		{Reach: mem.Range{Lo: 0x1000, Hi: 1 << 40}, Align: 4096, Phase: 512, Bounds: []allocator.Bound{{Boundary: 1 << 16, Extra: 8}, {Boundary: 1 << 15, Phase: 96}},
			Arcs: []allocator.Arc{{Period: 8192, Room: 4095}, {Period: 1 << 32, Phase: 1, Room: 1<<32 - 2, End: true}}},
	}}}
	if n := testing.AllocsPerRun(100, func() { r.Place(1, 1<<39, true) }); n != 0 {
		t.Errorf("%v allocations per placement", n)
	}
}

func ExampleRule_First() {
	// The binner of a Raspberry Pi 3: 16 MiB that cross no multiple of 256 MiB
	// on the bus, where memory begins at 0xc0000000.
	rule := &allocator.Rule{Windows: []allocator.Window{{
		Reach:  mem.Range{Lo: 0, Hi: 0x3f000000},
		Bounds: []allocator.Bound{{Boundary: 256 << 20, Phase: 0x40000000}},
	}}}
	start, ok := rule.First(0x1fa00000, 0x30000000, 16<<20, 0)
	fmt.Println(mem.Addr(start), ok)
	// Output: 0x20000000 true
}

func BenchmarkPlaceByRule(b *testing.B) {
	for _, bench := range []struct {
		name   string
		bounds []allocator.Bound
		align  uint64
	}{
		{"window", nil, 0},
		{"boundary", []allocator.Bound{{Boundary: 256 << 20}}, 4096},
		{"two-boundaries-odd-align", []allocator.Bound{{Boundary: 4 << 30, Extra: 8}, {Boundary: 64 << 20, Phase: 32 << 20}}, 3 * 4096},
	} {
		b.Run(bench.name, func(b *testing.B) {
			r := allocator.Request{Size: 16 << 20, Rule: &allocator.Rule{Windows: []allocator.Window{
				{Reach: mem.Range{Lo: 0x1000, Hi: 1 << 40}, Align: bench.align, Bounds: bench.bounds},
			}}}
			b.ReportAllocs()
			lo := uint64(0)
			for b.Loop() {
				lo = (lo + 0x1fa5000) % (1 << 38)
				r.Place(lo, 1<<39, false)
			}
		})
	}
}
