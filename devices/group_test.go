package devices_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"dmasim/devices"
	"dmasim/mem"

	"pgregory.net/rapid"
)

// TestTogetherAgainstAllPlaces: Together finds places exactly if trying all
// places finds some, and they keep every rule.
func TestTogetherAgainstAllPlaces(t *testing.T) {
	const space = 48
	found, none := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		d := devices.Device{Name: "d", Align: rapid.SampledFrom([]mem.Size{0, 2, 3, 4}).Draw(t, "align")}
		if rapid.Bool().Draw(t, "bounded") {
			d.Boundary = devices.Boundaries{{Size: 16, Guard: mem.Size(rapid.IntRange(0, 2).Draw(t, "guard"))}}
		}
		if rapid.IntRange(0, 2).Draw(t, "padded") == 0 {
			d.Padding = 1
		}
		offset := uint64(rapid.IntRange(0, 20).Draw(t, "offset"))
		d.Translate = []devices.Translation{{CPU: 0, Bus: mem.Addr(offset), Size: space + 8}}
		g := &devices.Group{}
		d.Group = g
		if rapid.Bool().Draw(t, "segmented") {
			g.Segment = rapid.SampledFrom([]mem.Size{16, 32}).Draw(t, "segment")
		}
		if rapid.Bool().Draw(t, "spanned") {
			g.Span = mem.Size(rapid.IntRange(6, 30).Draw(t, "span"))
		}
		if rapid.IntRange(0, 2).Draw(t, "based") == 0 {
			g.BaseAlign = rapid.SampledFrom([]mem.Size{4, 8, 16}).Draw(t, "base")
			g.BaseExclusive = rapid.Bool().Draw(t, "exclusive")
		}
		var ranges []mem.Range
		lo := uint64(0)
		for range rapid.IntRange(1, 4).Draw(t, "ranges") {
			lo += uint64(rapid.IntRange(0, 10).Draw(t, "gap"))
			hi := lo + uint64(rapid.IntRange(1, 20).Draw(t, "free"))
			ranges = append(ranges, mem.Range{Lo: lo, Hi: min(hi, space)})
			if lo = hi; lo >= space {
				break
			}
		}
		free := mem.NewRangeSet(ranges...)
		payloads := rapid.SliceOfN(rapid.Uint64Range(1, 9), 1, 3).Draw(t, "payloads")
		granule := rapid.Uint64Range(1, 3).Draw(t, "granule")
		plan, err := devices.Merge(d)
		if err != nil {
			t.Skip("no such device")
		}
		legal := func(starts []uint64) bool {
			low, high := uint64(1<<63), uint64(0)
			for i, s := range starts {
				block := plan.Request(payloads[i], granule).Size
				if !free.Contains(mem.Range{Lo: s, Hi: s + block}) || !plan.Judge(s, payloads[i]).Usable() {
					return false
				}
				for j := range i {
					if s < starts[j]+plan.Request(payloads[j], granule).Size && starts[j] < s+block {
						return false
					}
				}
				low, high = min(low, s), max(high, s+payloads[i]+uint64(d.Padding))
			}
			low, high = low+offset, high+offset // on the bus
			if g.Segment > 0 && low/uint64(g.Segment) != (high-1)/uint64(g.Segment) {
				return false
			}
			if g.BaseAlign == 0 {
				return g.Span == 0 || high-low <= uint64(g.Span)
			}
			for base := uint64(g.BaseAlign); base <= low; base += uint64(g.BaseAlign) {
				if base == low && g.BaseExclusive {
					continue
				}
				if g.Span == 0 || high-base <= uint64(g.Span) {
					return true
				}
			}
			return false
		}
		var try func(starts []uint64) bool
		try = func(starts []uint64) bool {
			if len(starts) == len(payloads) {
				return legal(starts)
			}
			for s := range uint64(space) {
				if plan.Judge(s, payloads[len(starts)]).Usable() && try(append(starts, s)) {
					return true
				}
			}
			return false
		}
		starts, err := plan.Together(payloads, granule, free)
		switch {
		case err == nil && !legal(starts):
			t.Fatalf("not legal: %v", starts)
		case err != nil && try(nil):
			t.Fatalf("%v, but there is a place", err)
		case err == nil:
			found++
		default:
			none++
		}
	})
	if found == 0 || none == 0 {
		t.Errorf("%d found, %d not", found, none)
	}
}

// TestTogetherWhereGreedyFails: one buffer after the other, each at the lowest
// place, breaks the span; together they go behind the hole.
func TestTogetherWhereGreedyFails(t *testing.T) {
	plan := merge(t, devices.Device{Name: "d", Group: &devices.Group{Span: 4 * mib}})
	free := mem.NewRangeSet(mem.Range{Lo: 0, Hi: mib}, mem.Range{Lo: 8 * mib, Hi: 12 * mib})
	payloads := []uint64{mib, 2 * mib}
	var greedy []uint64
	left := free
	for _, payload := range payloads {
		request := plan.Request(payload, 4096)
		for _, r := range left {
			if at, ok := request.Place(r.Lo, r.Hi, false); ok {
				greedy = append(greedy, at)
				left = left.Subtract(mem.RangeSet{{Lo: at, Hi: at + request.Size}})
				break
			}
		}
	}
	if span := greedy[1] + 2*mib - greedy[0]; span <= 4*mib {
		t.Fatalf("greedy placement at %v keeps the rule", greedy)
	}
	starts, err := plan.Together(payloads, 4096, free)
	if want := []uint64{8 * mib, 9 * mib}; err != nil || !slices.Equal(starts, want) {
		t.Errorf("%v, %v, want %v", starts, err, want)
	}
}

func TestTogetherRefuses(t *testing.T) {
	es1968 := merge(t, devices.Device{Name: "es1968", AddressBits: 28, Group: &devices.Group{Span: 4 * mib}})
	apart := mem.NewRangeSet(mem.Range{Lo: 0, Hi: 64 * kib}, mem.Range{Lo: 8 * mib, Hi: 8*mib + 64*kib})
	_, err := es1968.Together([]uint64{64 * kib, 64 * kib}, 4096, apart)
	var conflict *devices.Conflict
	if !errors.As(err, &conflict) || conflict.Devices != [2]string{"es1968", devices.TheBuffer} || !strings.Contains(conflict.Rules[0], "within 4MiB") {
		t.Errorf("%v", err)
	}
	if _, err := es1968.Together(make([]uint64, devices.MaxTogether+1), 4096, apart); !errors.Is(err, devices.ErrTogether) {
		t.Errorf("%v", err)
	}
	// Every segment is free, and none is large enough: that is found out in the
	// first.
	tight := merge(t, devices.Device{Name: "tight", Align: 3, Group: &devices.Group{Segment: 16}})
	if _, err := tight.Together([]uint64{8, 8}, 1, mem.RangeSet{mem.Everywhere}); err == nil {
		t.Error("16 bytes hold two times 8 at multiples of 3")
	}
}

// TestTogetherTranslated: behind an IOMMU, a group has no say in where memory lies,
// but its addresses must have room.
func TestTogetherTranslated(t *testing.T) {
	mfc := func(span mem.Size) *devices.Plan {
		return merge(t, devices.Device{
			Name: "mfc", IOMMU: devices.AlwaysIOMMU, AddressBits: 24, Align: 8 * kib,
			Group: &devices.Group{BaseAlign: 128 * kib, BaseExclusive: true, Span: span},
		})
	}
	apart := mem.NewRangeSet(mem.Range{Lo: 0, Hi: mib}, mem.Range{Lo: gib, Hi: gib + mib})
	payloads := []uint64{700 * kib, 700 * kib}
	if starts, err := mfc(2*mib).Together(payloads, 4096, apart); err != nil || !slices.Equal(starts, []uint64{0, gib}) {
		t.Errorf("%v, %v", starts, err)
	}
	_, err := mfc(mib).Together(payloads, 4096, apart)
	var conflict *devices.Conflict
	if !errors.As(err, &conflict) || conflict.Devices[0] != "mfc" {
		t.Errorf("more than the span: %v", err)
	}
}

func ExamplePlan_Together() {
	// A Raspberry Pi 3: what a job of the binner works on lies between two
	// multiples of 256 MiB on the bus.
	binner, _ := devices.Lookup("vc4-binner")
	plan, err := devices.Merge(binner)
	if err != nil {
		fmt.Println(err)
		return
	}
	free := mem.NewRangeSet(mem.Range{Lo: 0xf000000, Hi: 0x10800000}, mem.Range{Lo: 0x18000000, Hi: 0x1a000000})
	starts, err := plan.Together([]uint64{16 << 20, 2 << 20, 4 << 20}, 4096, free)
	for _, start := range starts {
		fmt.Println(mem.Addr(start))
	}
	fmt.Println(err)
	// Output:
	// 0x18000000
	// 0x10000000
	// 0x10200000
	// <nil>
}
