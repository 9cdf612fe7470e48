package devices_test

import (
	"testing"

	"pgregory.net/rapid"

	"dmasim/allocator"
	"dmasim/devices"
	"dmasim/mem"
)

// at are pieces of bytes: start and length in turn.
func at(numbers ...uint64) []mem.Range {
	var pieces []mem.Range
	for i := 0; i < len(numbers); i += 2 {
		pieces = append(pieces, mem.Range{Lo: numbers[i], Hi: numbers[i] + numbers[i+1]})
	}
	return pieces
}

func TestJudgePieces(t *testing.T) {
	const usable, unreachable, segments = allocator.None, allocator.Unreachable, allocator.Segments
	low := []devices.Span{{Lo: 0, Hi: 0x10000}}
	tests := map[string]struct {
		device  devices.Device
		pieces  []mem.Range
		payload uint64
		want    allocator.Cause
	}{
		"anywhere":                        {devices.Device{}, at(0x5000, 0x1000, 0x1000, 0x1000), 0x2000, usable},
		"no bytes count as one":           {devices.Device{Spans: low}, at(0x10000, 0x1000), 0, unreachable},
		"less than the payload":           {devices.Device{}, at(0x5000, 0x1000), 0x1001, unreachable},
		"nothing":                         {devices.Device{}, nil, 1, unreachable},
		"an empty piece counts for none":  {devices.Device{SegmentsMax: 1}, at(0x5000, 0, 0x5000, 0x1000), 0x1000, usable},
		"every piece in reach":            {devices.Device{Spans: low}, at(0xf000, 0x1000, 0, 0x1000), 0x2000, usable},
		"the first is not":                {devices.Device{Spans: low}, at(0x10000, 0x1000, 0, 0x1000), 0x2000, unreachable},
		"the last is not":                 {devices.Device{Spans: low}, at(0, 0x1000, 0x10000, 0x1000), 0x2000, unreachable},
		"the last holds nothing":          {devices.Device{Spans: low}, at(0, 0x1000, 0x10000, 0x1000), 0x1000, usable},
		"padding behind the last":         {devices.Device{Spans: low, Padding: 64}, at(0, 0x1000, 0xf000, 0x1000), 0x2000, unreachable},
		"padding within the last":         {devices.Device{Spans: low, Padding: 64}, at(0, 0x1000, 0xf000, 0x1000), 0x1fc0, usable},
		"no padding behind others":        {devices.Device{Spans: low, Padding: 64}, at(0xf000, 0x1000, 0, 0x1000), 0x2000, usable},
		"padding behind the payload's":    {devices.Device{Spans: low, Padding: 64}, at(0xf000, 0x1000, 0, 0x1000), 0x1000, unreachable},
		"every piece aligned":             {devices.Device{Align: 0x4000}, at(0x8000, 0x1000, 0x4000, 0x1000), 0x2000, usable},
		"one is not":                      {devices.Device{Align: 0x4000}, at(0x8000, 0x1000, 0x5000, 0x1000), 0x2000, unreachable},
		"natural, each to its own size":   {devices.Device{Natural: true}, at(0x10000, 0x10000, 0x3000, 0x1000), 0x11000, usable},
		"natural, the large one is not":   {devices.Device{Natural: true}, at(0x18000, 0x10000, 0x3000, 0x1000), 0x11000, unreachable},
		"natural, with padding":           {devices.Device{Natural: true, Padding: 1}, at(0x10000, 0x10000, 0x3000, 0x1000), 0x11000, unreachable},
		"natural, with granularity":       {devices.Device{Natural: true, Granularity: 0x4000}, at(0x10000, 0x10000, 0x3000, 0x1000), 0x11000, unreachable},
		"natural, padding for the last":   {devices.Device{Natural: true, Padding: 1}, at(0x10000, 0x10000, 0x2000, 0x1000), 0x11000, usable},
		"no line in a piece":              {devices.Device{Boundary: devices.Boundaries{{Size: 0x4000}}}, at(0x3000, 0x1000, 0x4000, 0x1000), 0x2000, usable},
		"a line in one":                   {devices.Device{Boundary: devices.Boundaries{{Size: 0x4000}}}, at(0x3000, 0x2000, 0x4000, 0x1000), 0x3000, unreachable},
		"a line in what holds no payload": {devices.Device{Boundary: devices.Boundaries{{Size: 0x4000}}}, at(0x3000, 0x2000), 0x1000, usable},
		"a line in the padding":           {devices.Device{Padding: 8, Boundary: devices.Boundaries{{Size: 0x4000}}}, at(0, 0x1000, 0x3000, 0x1000), 0x2000, unreachable},
		"padding that is not checked":     {devices.Device{Padding: 8, Boundary: devices.Boundaries{{Size: 0x4000, Checks: devices.ChecksPayload}}}, at(0, 0x1000, 0x3000, 0x1000), 0x2000, usable},
		"which is behind the last only":   {devices.Device{Padding: 0x2000, Boundary: devices.Boundaries{{Size: 0x4000, Checks: devices.ChecksPayload}}}, at(0x3000, 0x2000, 0, 0x1000), 0x3000, unreachable},
		"a guard behind each":             {devices.Device{Boundary: devices.Boundaries{{Size: 0x4000, Guard: 8}}}, at(0x3000, 0x1000, 0x4000, 0x1000), 0x2000, unreachable},
		"as many as it takes":             {devices.Device{SegmentsMax: 2}, at(0, 0x1000, 0x3000, 0x1000), 0x2000, usable},
		"neighbours are not one":          {devices.Device{SegmentsMax: 1}, at(0, 0x1000, 0x1000, 0x1000), 0x2000, segments},
		"too many, but not used":          {devices.Device{SegmentsMax: 1}, at(0, 0x1000, 0x1000, 0x1000), 0x1000, usable},
		"cut by the driver":               {devices.Device{SegmentMax: 0x800, SegmentsMax: 3}, at(0, 0x1000, 0x1000, 0x800), 0x1800, usable},
		"cut too often":                   {devices.Device{SegmentMax: 0x800, SegmentsMax: 3}, at(0, 0x1000, 0x1000, 0x801), 0x1801, segments},
		"one piece":                       {devices.Device{Contiguous: true}, at(0, 0x1000), 0x1000, usable},
		"two pieces":                      {devices.Device{Contiguous: true}, at(0, 0x1000, 0x2000, 0x1000), 0x1001, segments},
		"two, on some platforms one":      {devices.Device{Contiguous: true, IOMMU: devices.PlatformIOMMU}, at(0, 0x1000, 0x2000, 0x1000), 0x2000, segments},
		"two, through an IOMMU":           {devices.Device{Contiguous: true, IOMMU: devices.AlwaysIOMMU}, at(0, 0x1000, 0x2000, 0x1000), 0x2000, usable},
		"two, through its own":            {devices.Device{SegmentsMax: 1, IOMMU: devices.OwnIOMMU}, at(0, 0x1000, 0x2000, 0x1000), 0x2000, usable},
		"an IOMMU does not undo cuts":     {devices.Device{SegmentsMax: 1, SegmentMax: 0x1fff, IOMMU: devices.OwnIOMMU}, at(0, 0x1000, 0x2000, 0x1000), 0x2000, segments},
		"reach comes before segments":     {devices.Device{Spans: low, SegmentsMax: 1}, at(0, 0x1000, 0x10000, 0x1000), 0x2000, unreachable},
	}
	for name, test := range tests {
		test.device.Name = "d"
		if got := merge(t, test.device).JudgePieces(test.pieces, test.payload); got != test.want {
			t.Errorf("%s: %v, want %v", name, got, test.want)
		}
	}
	plan := merge(t, devices.Device{Name: "a"}, devices.Device{Name: "b", SegmentsMax: 1})
	if got := plan.JudgePieces(at(0, 0x1000, 0x2000, 0x1000), 0x2000); got != segments {
		t.Errorf("second of two devices: %v", got)
	}
}

// judgeBytes is JudgePieces for one device, byte by byte.
func judgeBytes(d devices.Device, pieces []mem.Range, payload uint64) allocator.Cause {
	payload = max(payload, 1)
	bus := func(addr uint64) (uint64, bool) { // where the device sees a byte
		windows := d.Translate
		if len(windows) == 0 {
			windows = []devices.Translation{{Size: 1 << 40}}
		}
		for _, w := range windows {
			if r := w.Memory(); addr >= r.Lo && addr < r.Hi {
				on := addr - r.Lo + uint64(w.Bus)
				inSpans := len(d.Spans) == 0
				for _, s := range d.Spans {
					inSpans = inSpans || addr >= s.Range().Lo && addr < s.Range().Hi
				}
				return on, inSpans && (d.AddressBits == 0 || on < 1<<d.AddressBits)
			}
		}
		return 0, false
	}
	segments, cut, first := uint64(0), true, true
	for _, piece := range pieces {
		var bytes []uint64 // on the bus
		for addr := piece.Lo; addr < piece.Hi && payload > 0; addr++ {
			on, ok := bus(addr)
			if !ok {
				return allocator.Unreachable
			}
			bytes = append(bytes, on)
			payload--
		}
		if len(bytes) == 0 {
			continue
		}
		n := fewestSegments(d, bytes[0], len(bytes), first, payload == 0)
		segments, cut, first = segments+n, cut && n > 0, false
		checked := uint64(len(bytes))
		if payload == 0 {
			for n := range uint64(d.Padding) {
				on, ok := bus(piece.Lo + checked + n)
				if !ok {
					return allocator.Unreachable
				}
				bytes = append(bytes, on)
			}
		}
		for i := range bytes[1:] {
			if bytes[i+1] != bytes[i]+1 {
				return allocator.Unreachable
			}
		}
		size := uint64(1)
		for size < uint64(len(bytes)) || payload == 0 && d.Granularity > 0 && size < (uint64(len(bytes))+uint64(d.Granularity)-1)/uint64(d.Granularity)*uint64(d.Granularity) {
			size *= 2
		}
		if d.Align > 0 && bytes[0]%uint64(d.Align) != 0 || d.Natural && bytes[0]%size != 0 {
			return allocator.Unreachable
		}
		for _, b := range d.Boundary {
			if b.Checks != devices.ChecksPayload {
				checked = uint64(len(bytes))
			}
			for n := uint64(1); n < checked+uint64(b.Guard); n++ {
				if (bytes[0]+n)%uint64(b.Size) == 0 {
					return allocator.Unreachable
				}
			}
		}
		if payload == 0 {
			break
		}
	}
	if payload > 0 {
		return allocator.Unreachable
	}
	if !cut || d.Contiguous && segments > 1 || d.SegmentsMax > 0 && segments > d.SegmentsMax {
		return allocator.Segments
	}
	return allocator.None
}

// fewestSegments tries every way to cut bytes that begin at start on the bus; 0
// if none is allowed.
func fewestSegments(d devices.Device, start uint64, size int, first, last bool) uint64 {
	gap, unit := max(uint64(d.Gap), 1), max(int(d.SegmentUnit), 1)
	if !first && start%gap != 0 || !last && (start+uint64(size))%gap != 0 {
		return 0
	}
	const never = 1 << 40
	fewest := make([]uint64, size+1)
	for to := 1; to <= size; to++ {
		fewest[to] = never
		end := to == size
		for from := range to {
			length := to - from
			switch {
			case !end && (start+uint64(to))%gap != 0, !(end && last) && length%unit != 0,
				d.SegmentMax > 0 && length > int(d.SegmentMax), d.MapMax > 0 && length > int(d.MapMax), length < int(d.SegmentMin):
				continue
			}
			fewest[to] = min(fewest[to], fewest[from]+1)
		}
	}
	if fewest[size] >= never {
		return 0
	}
	return fewest[size]
}

func TestJudgePiecesByteByByte(t *testing.T) {
	seen := map[allocator.Cause]int{}
	rapid.Check(t, func(rt *rapid.T) {
		number := func(label string, lo, hi uint64) uint64 { return rapid.Uint64Range(lo, hi).Draw(rt, label) }
		some := func(label string) bool { return rapid.IntRange(0, 2).Draw(rt, label) == 0 }
		d := devices.Device{Name: "d", Natural: rapid.IntRange(0, 4).Draw(rt, "natural") == 0, Contiguous: some("contiguous")}
		if some("spans") {
			d.Spans = []devices.Span{{Lo: mem.Addr(number("lo", 0, 40)), Size: mem.Size(number("size", 100, 300))}}
		}
		if some("bits") {
			d.AddressBits = uint8(number("address bits", 7, 9))
		}
		if some("translations") {
			cut, offset := number("cut", 1, 250), number("offset", 0, 100)
			d.Translate = []devices.Translation{{CPU: 0, Bus: mem.Addr(offset), Size: mem.Size(cut)}}
			if some("second") {
				d.Translate = append(d.Translate, devices.Translation{CPU: mem.Addr(cut), Bus: mem.Addr(offset + cut + number("gap", 0, 2)*64), Size: 300})
			}
		}
		if some("align") {
			d.Align = mem.Size(number("alignment", 1, 12))
		}
		if some("pad") {
			d.Padding = mem.Size(number("padding", 1, 20))
		}
		if some("granular") {
			d.Granularity = mem.Size(number("granularity", 1, 24))
		}
		if some("bound") {
			d.Boundary = devices.Boundaries{{Size: 1 << number("boundary", 3, 6)}}
			if some("guarded") {
				d.Boundary[0].Guard = mem.Size(number("guard", 1, 5))
			}
			if some("payload only") {
				d.Boundary[0].Checks = devices.ChecksPayload
			}
		}
		if some("limited") {
			d.SegmentsMax = number("segments", 1, 4)
		}
		if some("cut by the driver") {
			d.SegmentMax = mem.Size(number("longest segment", 1, 30))
		}
		if some("mapped in parts") {
			d.MapMax = mem.Size(number("longest mapping", 1, 30))
		}
		switch number("edges", 0, 5) {
		case 0:
			d.Gap = mem.Size(number("gap", 1, 6))
		case 1:
			d.SegmentUnit = mem.Size(number("unit", 1, 6))
		case 2:
			d.SegmentMin = mem.Size(number("shortest segment", 1, 9))
		}
		plan, err := devices.Merge(d)
		if err != nil {
			rt.Skip("no such device")
		}
		var pieces []mem.Range
		held := uint64(0)
		for range rapid.IntRange(1, 4).Draw(rt, "pieces") {
			size := number("piece", 0, 40)
			pieces = append(pieces, at(number("at", 0, 60)*4, size)...)
			held += size
		}
		payload := number("payload", 0, held+1)
		got, want := plan.JudgePieces(pieces, payload), judgeBytes(d, pieces, payload)
		if got != want {
			rt.Fatalf("%+v\n%v holding %d: %v, want %v", d, pieces, payload, got, want)
		}
		seen[got]++
		// A piece alone is judged like a buffer.
		if alone := plan.JudgePieces(pieces[:1], pieces[0].Size()); !pieces[0].Empty() && alone != allocator.Segments {
			if usable := plan.Judge(pieces[0].Lo, pieces[0].Size()).Usable(); usable != (alone == allocator.None) {
				rt.Fatalf("%+v\n%v: %v, as a buffer usable: %v", d, pieces[0], alone, usable)
			}
		}
	})
	for _, cause := range []allocator.Cause{allocator.None, allocator.Unreachable, allocator.Segments} {
		if seen[cause] == 0 {
			t.Errorf("never %v: the test shows little", cause)
		}
	}
}

func BenchmarkJudgePieces(b *testing.B) {
	plan := merge(b, lookup(b, "rtl8139")...)
	pieces := at(0x100000, mib, 0x400000, mib, 0x20000, 64*kib, 0x3000, 4*kib, 0x5000, 4*kib)
	b.ReportAllocs()
	for b.Loop() {
		plan.JudgePieces(pieces, 2*mib+70*kib)
	}
}
