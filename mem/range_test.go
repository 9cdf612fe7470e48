package mem_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"dmasim/mem"
)

func ExampleRangeSet() {
	memory := mem.NewRangeSet(mem.Range{Lo: 0x80000000, Hi: 0xc0000000}, mem.Range{Lo: 0x40000000, Hi: 0x80000000})
	hole := mem.NewRangeSet(mem.Range{Lo: 0x50000000, Hi: 0x60000000})
	reach := memory.Subtract(hole)
	fmt.Println(memory)
	fmt.Println(reach, mem.Size(reach.Size()))
	fmt.Println(reach.Contains(mem.Range{Lo: 0x4fff0000, Hi: 0x50010000}))
	// Output:
	// [0x40000000,0xc0000000)
	// [0x40000000,0x50000000) ∪ [0x60000000,0xc0000000) 1792MiB
	// false
}

// bytes is a set of the numbers below 64, the oracle for range sets.
type bytes [64]bool

func oracle(ranges ...mem.Range) (b bytes) {
	for _, r := range ranges {
		for i := r.Lo; i < r.Hi; i++ {
			b[i] = true
		}
	}
	return b
}

func combine(a, b bytes, keep func(a, b bool) bool) (c bytes) {
	for i := range c {
		c[i] = keep(a[i], b[i])
	}
	return c
}

func drawRanges(t *rapid.T, name string) []mem.Range {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) mem.Range {
		return mem.Range{Lo: rapid.Uint64Range(0, 63).Draw(t, "lo"), Hi: rapid.Uint64Range(0, 64).Draw(t, "hi")}
	}), 0, 6).Draw(t, name)
}

func TestRangeSetIsASetOfBytes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := drawRanges(t, "a"), drawRanges(t, "b")
		setA, setB := mem.NewRangeSet(a...), mem.NewRangeSet(b...)
		inA, inB := oracle(a...), oracle(b...)
		for _, c := range []struct {
			name string
			got  mem.RangeSet
			want bytes
		}{
			{"union", setA.Union(setB), combine(inA, inB, func(a, b bool) bool { return a || b })},
			{"intersection", setA.Intersect(setB), combine(inA, inB, func(a, b bool) bool { return a && b })},
			{"difference", setA.Subtract(setB), combine(inA, inB, func(a, b bool) bool { return a && !b })},
		} {
			checkSet(t, c.name, c.got)
			if oracle(c.got...) != c.want {
				t.Fatalf("%s of %v and %v is %v", c.name, setA, setB, c.got)
			}
		}
		r := mem.Range{Lo: rapid.Uint64Range(0, 63).Draw(t, "lo"), Hi: rapid.Uint64Range(0, 64).Draw(t, "hi")}
		inside := combine(oracle(r), inA, func(r, a bool) bool { return r && !a }) == bytes{}
		if setA.Contains(r) != inside {
			t.Fatalf("%v contains %v: %v", setA, r, !inside)
		}
	})
}

// checkSet holds a set to what RangeSet promises: sorted, disjoint, not empty,
// not touching.
func checkSet(t *rapid.T, name string, s mem.RangeSet) {
	var size uint64
	for i, r := range s {
		if r.Empty() || i > 0 && r.Lo <= s[i-1].Hi {
			t.Fatalf("%s: %v is not normal", name, s)
		}
		size += r.Size()
	}
	if size != s.Size() {
		t.Fatalf("%s: size of %v is %d, not %d", name, s, size, s.Size())
	}
	if len(s) > 0 && s.Hull() != (mem.Range{Lo: s[0].Lo, Hi: s[len(s)-1].Hi}) || len(s) == 0 && s.Hull() != (mem.Range{}) {
		t.Fatalf("%s: hull of %v is %v", name, s, s.Hull())
	}
}

func TestEmptySetPrints(t *testing.T) {
	if got := (mem.RangeSet{}).String(); got != "nothing" {
		t.Errorf("got %q", got)
	}
}

func TestRangesAsJSON(t *testing.T) {
	for want, set := range map[string]mem.RangeSet{
		`[]`: nil,
		`[{"lo":"0x0","hi":"0x1000"},{"lo":"0xfffffffffffff000","hi":"0xffffffffffffffff"}]`: {{Hi: 0x1000}, {Lo: 0xfffffffffffff000, Hi: 0xffffffffffffffff}},
	} {
		if got, err := json.Marshal(set); err != nil || string(got) != want {
			t.Errorf("%s: error %v, want %s", got, err, want)
		}
	}
}

func TestBar(t *testing.T) {
	set := mem.NewRangeSet(mem.Range{Lo: 100, Hi: 120}, mem.Range{Lo: 135, Hi: 136}, mem.Range{Lo: 190, Hi: 300})
	for _, test := range []struct {
		of    mem.Range
		width int
		want  string
	}{
		{mem.Range{Lo: 100, Hi: 200}, 10, "##.+.....#"},
		{mem.Range{Lo: 100, Hi: 200}, 3, "+++"},
		{mem.Range{Lo: 0, Hi: 50}, 2, ".."},
		{mem.Range{Lo: 1 << 63, Hi: 1<<64 - 1}, 4, "...."},
	} {
		if got := set.Bar(test.of, test.width); got != test.want {
			t.Errorf("%v in %d: %q, want %q", test.of, test.width, got, test.want)
		}
	}
}
