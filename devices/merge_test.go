package devices_test

import (
	"errors"
	"math"
	"slices"
	"testing"

	"dmasim/allocator"
	"dmasim/devices"
	"dmasim/mem"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

const (
	kib = 1 << 10
	mib = 1 << 20
	gib = 1 << 30
)

func lookup(tb testing.TB, names ...string) []devices.Device {
	tb.Helper()
	list := make([]devices.Device, len(names))
	for i, name := range names {
		d, ok := devices.Lookup(name)
		if !ok {
			tb.Fatalf("no device %s", name)
		}
		list[i] = d
	}
	return list
}

func merge(tb testing.TB, list ...devices.Device) *devices.Plan {
	tb.Helper()
	plan, err := devices.Merge(list...)
	if err != nil {
		tb.Fatal(err)
	}
	return plan
}

func TestRequest(t *testing.T) {
	pad := func(name string, padding, granularity mem.Size) devices.Device {
		return devices.Device{Name: name, Padding: padding, Granularity: granularity}
	}
	tests := []struct {
		name             string
		devices          []devices.Device
		payload, granule uint64
		want             allocator.Request // Rule: compared by whether there is one
		rule             bool
	}{
		{
			name:    "nobody",
			payload: 1000, want: allocator.Request{Size: 1000},
		}, {
			name:    "nobody, in pages",
			payload: 1000, granule: 4096, want: allocator.Request{Size: 4096},
		}, {
			name:    "Cedar: a window",
			devices: lookup(t, "sunxi-cedar-a10"),
			payload: mib, want: allocator.Request{Size: mib, Lo: 0x40000000, Hi: 0x50000000},
		}, {
			name:    "the window is for the touched bytes, not for the rounding",
			devices: lookup(t, "rtl8139"),
			payload: 32 * kib, granule: 4096,
			want: allocator.Request{Size: 36 * kib, Hi: 4*gib + 36*kib - (32*kib + 0x810)},
		}, {
			name:    "ISA: the boundary field says it",
			devices: lookup(t, "isa-8237-8bit"),
			payload: 4096, want: allocator.Request{Size: 4096, Hi: 16 * mib, Boundary: 64 * kib},
		}, {
			name:    "ISA: the boundary looks at fewer bytes than the block has",
			devices: lookup(t, "isa-8237-8bit"),
			payload: 4095, granule: 4096, want: allocator.Request{Size: 4096, Slack: 1}, rule: true,
		}, {
			name:    "the guard is as long as the rounding",
			devices: lookup(t, "tg3-4g"),
			payload: 4088, granule: 4096, want: allocator.Request{Size: 4096, Boundary: 4 * gib},
		}, {
			name:    "VC4: lines on the bus are lines in memory here",
			devices: lookup(t, "vc4-binner"),
			payload: 16 * mib, want: allocator.Request{Size: 16 * mib, Hi: 0x3f000000, Boundary: 256 * mib},
		}, {
			name:    "padding is the largest, before rounding to the common multiple",
			devices: []devices.Device{pad("a", 100, 48), pad("b", 30, 64)},
			payload: 1000, want: allocator.Request{Size: 1152},
		}, {
			name:    "natural alignment comes last",
			devices: []devices.Device{pad("a", 64, 0), {Name: "b", Granularity: 4096, Natural: true}},
			payload: 4096, want: allocator.Request{Size: 8192, Align: 8192},
		}, {
			name:    "alignments meet",
			devices: []devices.Device{{Name: "a", Align: 48}, {Name: "b", Align: 64}},
			payload: 7, want: allocator.Request{Size: 7, Align: 192},
		}, {
			name:    "a payload that does not fit",
			devices: []devices.Device{pad("a", 100, 48)},
			payload: math.MaxUint64 - 50, want: allocator.Request{Size: math.MaxUint64, Lo: 1},
		}, {
			name:    "a rounding that does not fit",
			payload: math.MaxUint64 - 50, granule: 4096, want: allocator.Request{Size: math.MaxUint64, Lo: 1},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := merge(t, test.devices...).Request(test.payload, test.granule)
			if (got.Rule != nil) != test.rule {
				t.Errorf("rule %v, want one: %v", got.Rule, test.rule)
			}
			got.Rule = nil
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("request (-want +got):\n%s", diff)
			}
		})
	}
}

// TestCompile is about rules that hold on the bus.
func TestCompile(t *testing.T) {
	d := devices.Device{
		Name: "d", AddressBits: 32, Align: 4096, Padding: 16,
		Boundary: devices.Boundaries{{Size: 256 * mib, Guard: 8, Checks: devices.ChecksPayload}},
		Space:    devices.Bus,
		Spans:    []devices.Span{{Lo: 0, Hi: 0x80000000}, {Lo: 0xc0000000, Size: 8 * gib}},
		Translate: []devices.Translation{
			{CPU: 4 * gib, Bus: 0xe0000000, Size: 1 * gib}, // half of it within 32 bits
			{CPU: 0x10000800, Bus: 0x70000000, Size: 512 * mib},
		},
	}
	reach, rule, err := d.Compile()
	if err != nil {
		t.Fatal(err)
	}
	wantReach := mem.NewRangeSet(mem.Range{Lo: 0x10000800, Hi: 0x20000800}, mem.Range{Lo: 4 * gib, Hi: 4*gib + 512*mib})
	if diff := cmp.Diff(wantReach, reach); diff != "" {
		t.Errorf("reach (-want +got):\n%s", diff)
	}
	want := &allocator.Rule{Windows: []allocator.Window{
		{Reach: wantReach[0], Align: 4096, Phase: 0x800, Bounds: []allocator.Bound{{Boundary: 256 * mib, Phase: 0x800, Extra: -8}}},
		{Reach: wantReach[1], Align: 4096, Phase: 0, Bounds: []allocator.Bound{{Boundary: 256 * mib, Phase: 0, Extra: -8}}},
	}}
	if diff := cmp.Diff(want, rule); diff != "" {
		t.Errorf("rule (-want +got):\n%s", diff)
	}
}

func TestCompileErrors(t *testing.T) {
	tests := []struct {
		device devices.Device
		want   error
	}{
		{devices.Device{Name: "gpu", Space: devices.VRAM}, devices.ErrSpace},
		{devices.Device{Name: "card", AddressBits: 32, Translate: []devices.Translation{{CPU: 0, Bus: 16 * gib, Size: gib}}}, devices.ErrNoReach},
		{devices.Device{Name: "short", Padding: 4096, Spans: []devices.Span{{Lo: 0, Size: 4096}}}, devices.ErrNoReach},
	}
	for _, test := range tests {
		if _, _, err := test.device.Compile(); !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", test.device.Name, err, test.want)
		}
		if reach := test.device.Reach(); len(reach) != 0 {
			t.Errorf("%s reaches %s", test.device.Name, reach)
		}
	}
}

func TestConflicts(t *testing.T) {
	span := func(name string, lo, hi mem.Addr) devices.Device {
		return devices.Device{Name: name, Spans: []devices.Span{{Lo: lo, Hi: hi}}}
	}
	tests := []struct {
		name    string
		devices []devices.Device
		want    string
	}{
		{
			name:    "a restricted pool and the first 256 MiB of DRAM",
			devices: []devices.Device{span("wifi", 0xc0000000, 0xc4000000), lookup(t, "sunxi-cedar-a10")[0]},
			want: "devices wifi and sunxi-cedar-a10 cannot share a buffer: the first one's reach ([0xc0000000,0xc4000000)) " +
				"and the second one's reach ([0x40000000,0x50000000)) exclude each other",
		}, {
			name: "reaches whose hulls overlap",
			devices: []devices.Device{
				{Name: "two", Spans: []devices.Span{{Lo: 0, Hi: 0x1000}, {Lo: 0x8000, Hi: 0x9000}}},
				span("middle", 0x1000, 0x8000),
			},
			want: "devices two and middle cannot share a buffer: the first one's reach ([0x0,0x1000) ∪ [0x8000,0x9000)) " +
				"and the second one's reach ([0x1000,0x8000)) exclude each other",
		}, {
			name: "congruences",
			devices: []devices.Device{
				{Name: "a", Align: 4096},
				{Name: "b", Align: 8192, Translate: []devices.Translation{{CPU: 512, Bus: 0, Size: gib}}},
			},
			want: "devices a and b cannot share a buffer: the first one's alignment (4KiB) and the second one's " +
				"alignment (8KiB on the bus, where memory 0x200 is 0x0) exclude each other",
		}, {
			name:    "no aligned address in reach",
			devices: []devices.Device{span("a", 0x1000, 0x9000), {Name: "b", Align: 64 * kib}},
			want: "devices a and b cannot share a buffer: the first one's reach ([0x1000,0x9000)) and the second one's " +
				"alignment (64KiB) exclude each other",
		}, {
			name: "a boundary close behind every aligned address",
			devices: []devices.Device{
				{Name: "a", Align: 4096},
				{Name: "b", Boundary: devices.Boundaries{{Size: 4096, Guard: 8}}, Translate: []devices.Translation{{CPU: 4, Bus: 0, Size: gib}}},
			},
			want: "devices a and b cannot share a buffer: the first one's alignment (4KiB) and the second one's " +
				"boundary (4KiB on the bus, where memory 0x4 is 0x0) exclude each other",
		}, {
			name: "boundaries whose guards meet",
			devices: []devices.Device{
				{Name: "a", Boundary: devices.Boundaries{{Size: 16, Guard: 8}}},
				{Name: "b", Boundary: devices.Boundaries{{Size: 16, Guard: 8}}, Translate: []devices.Translation{{CPU: 8, Bus: 0, Size: gib}}},
			},
			want: "devices a and b cannot share a buffer: the first one's boundary (16B) and the second one's " +
				"boundary (16B on the bus, where memory 0x8 is 0x0) exclude each other",
		}, {
			name: "three together",
			devices: []devices.Device{
				span("a", 0, 0x3000),
				{Name: "b", Spans: []devices.Span{{Lo: 0x2000, Hi: 0x4000}, {Lo: 0x8000, Hi: 0x9000}}},
				{Name: "c", Spans: []devices.Span{{Lo: 0, Hi: 0x1000}, {Lo: 0x8000, Hi: 0x9000}}},
			},
			want: "devices b and c cannot share a buffer: the first one's reach ([0x2000,0x4000) ∪ [0x8000,0x9000)) and the " +
				"second one's reach ([0x0,0x1000) ∪ [0x8000,0x9000)) exclude each other, given a",
		}, {
			name:    "granularities",
			devices: []devices.Device{{Name: "a", Granularity: 1<<40 + 1}, {Name: "b"}, {Name: "c", Granularity: 1<<40 - 1}},
			want: "devices a and c cannot share a buffer: the first one's granularity (1099511627777B) and the second one's " +
				"granularity (1099511627775B) exclude each other",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := devices.Merge(test.devices...)
			var conflict *devices.Conflict
			if !errors.As(err, &conflict) {
				t.Fatalf("%v, want a conflict", err)
			}
			if err.Error() != test.want {
				t.Errorf("got  %s\nwant %s", err, test.want)
			}
		})
	}
}

// TestReachability is the worked example of the metrics' fact base: of the
// holes, a device with a window of 256 MiB sees 23 MiB.
func TestReachability(t *testing.T) {
	holes := mem.NewRangeSet(
		mem.Range{Lo: 8 * mib, Hi: 24 * mib}, mem.Range{Lo: 40 * mib, Hi: 41 * mib},
		mem.Range{Lo: 250 * mib, Hi: 270 * mib}, mem.Range{Lo: 512 * mib, Hi: 1024 * mib},
	)
	plan := merge(t, devices.Device{Name: "window", Align: 8 * mib, Spans: []devices.Span{{Lo: 0, Hi: 256 * mib}}})
	seen := plan.Reach.Intersect(holes)
	if got := seen.Size(); got != 23*mib {
		t.Errorf("reachable: %s, want 23MiB", mem.Size(got))
	}
	request := plan.Request(8*mib, 0)
	var slots []uint64
	for _, hole := range seen {
		for lo := hole.Lo; ; lo += 8 * mib {
			start, ok := request.Place(lo, hole.Hi, false)
			if !ok {
				break
			}
			slots = append(slots, start)
			lo = start
		}
	}
	if want := []uint64{8 * mib, 16 * mib}; !slices.Equal(slots, want) {
		t.Errorf("places at %v, want %v", slots, want)
	}
}

func TestSegmentsMerge(t *testing.T) {
	plan := merge(t,
		devices.Device{Name: "a", SegmentMax: 64 * kib, SegmentsMax: 128},
		devices.Device{Name: "b"},
		devices.Device{Name: "c", SegmentMax: 128 * kib, SegmentsMax: 20},
		devices.Device{Name: "d", SegmentsMax: 1, IOMMU: devices.AlwaysIOMMU},
	)
	if plan.SegmentMax != 64*kib || plan.SegmentsMax != 1 || plan.Contiguous {
		t.Errorf("segments: max %d, at most %d, contiguous %v", plan.SegmentMax, plan.SegmentsMax, plan.Contiguous)
	}
	if !merge(t, lookup(t, "isa-8237-8bit", "rtl8139")...).Contiguous {
		t.Error("one segment without IOMMU must be contiguous")
	}
}

func TestRequestDoesNotAllocate(t *testing.T) {
	plan := merge(t, lookup(t, "isa-8237-8bit", "rtl8139", "ipuv3-plane")...)
	if n := testing.AllocsPerRun(100, func() {
		request := plan.Request(5000, 4096)
		if _, ok := request.Place(0, 1<<30, true); !ok {
			t.Error("not placed")
		}
		plan.Judge(0xff000, 5000)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// drawDevice draws a device with small figures, so that a space of a few
// hundred bytes shows all that it does.
func drawDevice(t *rapid.T, name string) devices.Device {
	small := rapid.SampledFrom([]mem.Size{0, 1, 2, 3, 4, 6, 8, 16})
	d := devices.Device{
		Name:        name,
		Align:       small.Draw(t, "align"),
		Granularity: small.Draw(t, "granularity"),
		Padding:     mem.Size(rapid.IntRange(0, 9).Draw(t, "padding")),
		AddressBits: rapid.SampledFrom([]uint8{0, 0, 6, 7, 64}).Draw(t, "bits"),
	}
	for range rapid.SampledFrom([]int{0, 1, 1, 2}).Draw(t, "boundaries") {
		d.Boundary = append(d.Boundary, devices.Boundary{
			Size:      rapid.SampledFrom([]mem.Size{16, 32, 64}).Draw(t, "boundary"),
			Guard:     mem.Size(rapid.IntRange(0, 3).Draw(t, "guard")),
			Checks:    rapid.SampledFrom([]devices.Checks{devices.ChecksTouched, devices.ChecksPayload, ""}).Draw(t, "checks"),
			Exclusive: rapid.IntRange(0, 2).Draw(t, "exclusive") == 0,
		})
	}
	if rapid.IntRange(0, 3).Draw(t, "with zero bits") == 0 {
		d.ZeroBits = rapid.SliceOfN(rapid.Uint8Range(0, 6), 1, 2).Draw(t, "zero bits")
	}
	if rapid.IntRange(0, 3).Draw(t, "with origin") == 0 {
		d.Origin = &devices.Origin{Base: mem.Addr(rapid.IntRange(0, 100).Draw(t, "base")), Exclusive: rapid.Bool().Draw(t, "above")}
	}
	if rapid.IntRange(0, 3).Draw(t, "sized") == 0 {
		d.SizeMin = small.Draw(t, "least size")
	}
	if rapid.IntRange(0, 5).Draw(t, "tagged") == 0 {
		d.Tag = &devices.Tag{Bit: rapid.Uint8Range(5, 9).Draw(t, "tag"), Meaning: "something"}
	}
	addr := rapid.Custom(func(t *rapid.T) mem.Addr { return mem.Addr(rapid.IntRange(0, 150).Draw(t, "addr")) })
	length := rapid.Custom(func(t *rapid.T) mem.Size { return mem.Size(rapid.IntRange(1, 150).Draw(t, "length")) })
	if rapid.Bool().Draw(t, "on the bus") {
		d.Space = devices.Bus
	}
	for range rapid.IntRange(0, 2).Draw(t, "spans") {
		d.Spans = append(d.Spans, devices.Span{Lo: addr.Draw(t, "lo"), Size: length.Draw(t, "size")})
	}
	var cpu, bus mem.Addr
	for range rapid.IntRange(0, 2).Draw(t, "translations") {
		cpu += addr.Draw(t, "gap") / 4
		bus += addr.Draw(t, "bus gap") / 4
		size := length.Draw(t, "size")
		d.Translate = append(d.Translate, devices.Translation{CPU: cpu, Bus: bus, Size: size})
		cpu += mem.Addr(size)
		bus += mem.Addr(size)
	}
	return d
}

// usable is what the rules of a device mean, byte by byte on its bus.
func usable(d devices.Device, addr, payload uint64) bool {
	toBus := func(a uint64) (bus uint64, window int) {
		if len(d.Translate) == 0 {
			return a, 0
		}
		for i, t := range d.Translate {
			if uint64(t.CPU) <= a && a < uint64(t.CPU)+uint64(t.Size) {
				return uint64(t.Bus) + a - uint64(t.CPU), i
			}
		}
		return 0, -1
	}
	start, window := toBus(addr)
	base := uint64(0)
	if d.Origin != nil {
		base = uint64(d.Origin.Base)
		if start < base || d.Origin.Exclusive && start == base {
			return false
		}
	}
	if window < 0 || d.Align > 1 && (start-base)%uint64(d.Align) != 0 {
		return false
	}
	for _, bit := range d.ZeroBits {
		if start>>bit&1 != 0 {
			return false
		}
	}
	touched := payload + uint64(d.Padding)
	for i := range touched {
		bus, w := toBus(addr + i)
		if w < 0 || bus != start+i || d.AddressBits == 6 && bus >= 64 || d.AddressBits == 7 && bus >= 128 ||
			d.Tag != nil && bus>>d.Tag.Bit != 0 {
			return false
		}
		seen := bus
		if d.Space != devices.Bus {
			seen = addr + i
		}
		inSpan := len(d.Spans) == 0
		for _, s := range d.Spans {
			inSpan = inSpan || uint64(s.Lo) <= seen && seen < uint64(s.Lo)+uint64(s.Size)
		}
		if !inSpan {
			return false
		}
	}
	for _, b := range d.Boundary {
		checked := touched
		if b.Checks == devices.ChecksPayload {
			checked = payload
		}
		end := start + checked + uint64(b.Guard)
		for line := uint64(0); line < 1000; line += uint64(b.Size) {
			if start < line && line < end || b.Exclusive && (start == line || end == line) {
				return false
			}
		}
	}
	return true
}

// TestMergeMeansAll: a place is legal for the plan if it is legal for every
// device, in whatever order and how often they are merged, and the request and
// the judge agree.
func TestMergeMeansAll(t *testing.T) {
	const space = 320
	rapid.Check(t, func(t *rapid.T) {
		var list []devices.Device
		for _, name := range []string{"a", "b", "c"}[:rapid.IntRange(1, 3).Draw(t, "devices")] {
			if d := drawDevice(t, name); d.Validate() == nil {
				list = append(list, d)
			}
		}
		plan, err := devices.Merge(list...)
		shuffled, errShuffled := devices.Merge(rapid.Permutation(append(slices.Clone(list), list...)).Draw(t, "order")...)
		if (err == nil) != (errShuffled == nil) {
			t.Fatalf("%v, in another order %v", err, errShuffled)
		}
		all := func(addr, payload uint64) bool {
			for _, d := range list {
				if !usable(d, addr, payload) {
					return false
				}
			}
			return true
		}
		if err != nil {
			for addr := range uint64(space) {
				if all(addr, 1) {
					t.Fatalf("%v, but all can use one byte at %d", err, addr)
				}
			}
			return
		}
		if diff := cmp.Diff(plan.Reach, shuffled.Reach); diff != "" || plan.Padding != shuffled.Padding || plan.Granularity != shuffled.Granularity {
			t.Fatalf("order matters: %+v and %+v", plan, shuffled)
		}
		payload := rapid.Uint64Range(1, 30).Draw(t, "payload")
		granule := rapid.Uint64Range(0, 5).Draw(t, "granule")
		request := plan.Request(payload, granule)
		if diff := cmp.Diff(request, shuffled.Request(payload, granule)); diff != "" {
			t.Fatalf("order matters:\n%s", diff)
		}
		for addr := range uint64(space) {
			want := all(addr, payload)
			_, placed := request.Place(addr, addr+request.Size, false)
			verdict := plan.Judge(addr, payload)
			if placed != want || verdict.Usable() != want || (verdict.String() == "usable") != want {
				t.Fatalf("address %d: request %v, judge %v, all devices %v", addr, placed, verdict, want)
			}
			for _, r := range plan.Reach {
				if want && r.Lo <= addr && addr < r.Hi && addr+payload > r.Hi {
					t.Fatalf("legal at %d, outside of the reach %s", addr, plan.Reach)
				}
			}
		}
	})
}

// TestNatural: natural alignment holds on the bus, for the size of the block.
func TestNatural(t *testing.T) {
	plan := merge(t, devices.Device{
		Name: "natural", Natural: true, Align: 12, Padding: 2,
		Translate: []devices.Translation{{CPU: 20, Bus: 4, Size: 4000}},
	})
	for payload := uint64(1); payload < 200; payload++ {
		request := plan.Request(payload, 0)
		power := uint64(1)
		for power < payload+2 {
			power *= 2
		}
		for addr := uint64(20); addr < 1200; addr++ {
			bus := addr - 16
			want := bus%power == 0 && bus%12 == 0
			_, placed := request.Place(addr, addr+request.Size, false)
			if verdict := plan.Judge(addr, payload); placed != want || verdict.Usable() != want {
				t.Fatalf("payload %d at bus %d: placed %v, %v, want %v", payload, bus, placed, verdict, want)
			}
		}
	}
}

// TestSizes: the smallest size that every device takes.
func TestSizes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		number := func(label string, hi int) mem.Size { return mem.Size(rapid.IntRange(0, hi).Draw(t, label)) }
		var list []devices.Device
		for _, name := range []string{"a", "b"} {
			list = append(list, devices.Device{
				Name: name, Padding: number("padding", 9), Granularity: number("granularity", 12), SizeMin: number("least", 40),
				SizeMax: number("limited", 1) * (20 + number("most", 60)), PowerOfTwo: rapid.IntRange(0, 3).Draw(t, "power") == 0,
			})
		}
		payload := rapid.Uint64Range(1, 40).Draw(t, "payload")
		takes := func(size uint64) bool {
			for _, d := range list {
				if size < payload+uint64(max(list[0].Padding, list[1].Padding)) || size < uint64(d.SizeMin) ||
					size%max(uint64(d.Granularity), 1) != 0 || d.PowerOfTwo && size&(size-1) != 0 {
					return false
				}
			}
			return true
		}
		want := uint64(1)
		for want < 4096 && !takes(want) {
			want++
		}
		for _, d := range list {
			if d.SizeMax > 0 && want > uint64(d.SizeMax) {
				want = 4096
			}
		}
		plan, err := devices.Merge(list...)
		if err == nil {
			err = plan.Check(payload)
		}
		if (err == nil) != (want < 4096) {
			t.Fatalf("%v, want size %d", err, want)
		}
		if err == nil && (plan.Size(payload) != want || plan.Request(payload, 0).Size != want) {
			t.Fatalf("size %d, request %d, want %d", plan.Size(payload), plan.Request(payload, 0).Size, want)
		}
	})
}

// TestConflictNamesCulprits: the two devices of a conflict, with those that it is
// given, exclude each other, and neither does so alone.
func TestConflictNamesCulprits(t *testing.T) {
	conflicts := 0
	rapid.Check(t, func(t *rapid.T) {
		byName := map[string]devices.Device{}
		var list []devices.Device
		for _, name := range []string{"a", "b", "c", "d"} {
			d := drawDevice(t, name)
			if _, err := devices.Merge(d); err == nil {
				list = append(list, d)
				byName[name] = d
			}
		}
		_, err := devices.Merge(list...)
		var conflict *devices.Conflict
		if !errors.As(err, &conflict) {
			if err != nil {
				t.Fatal(err)
			}
			return
		}
		conflicts++
		guilty := []devices.Device{byName[conflict.Devices[0]], byName[conflict.Devices[1]]}
		given := []devices.Device{}
		for _, name := range conflict.Given {
			given = append(given, byName[name])
		}
		if _, err := devices.Merge(append(guilty, given...)...); err == nil {
			t.Fatalf("%v, but they share a buffer", conflict)
		}
		if _, err := devices.Merge(append(given, guilty[1])...); err != nil {
			t.Fatalf("%v, but the second does so without the first: %v", conflict, err)
		}
		if conflict.Rules[0] == "" || conflict.Rules[1] == "" {
			t.Fatalf("%v", conflict)
		}
	})
	if conflicts == 0 {
		t.Error("no conflicts: the test shows nothing")
	}
}
