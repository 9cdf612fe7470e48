package report_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/recorder"

	"dmasim/allocator"
	"dmasim/mem"
	"dmasim/sim"
	"dmasim/sim/dmamap"
	"dmasim/sim/metrics"
	"dmasim/sim/report"
	"dmasim/sim/result"
)

func figures(t *testing.T, r *result.Result) map[string]*report.Figure {
	t.Helper()
	list, err := report.Figures(r)
	if err != nil {
		t.Fatal(err)
	}
	byName := make(map[string]*report.Figure)
	for i := range list {
		if byName[list[i].Name] != nil {
			t.Fatalf("two figures are named %q", list[i].Name)
		}
		byName[list[i].Name] = &list[i]
	}
	return byName
}

// crowded is a result with as much of everything as should still read well, and
// with more: long names, every cause, many devices and clients, heaps with
// holes, failures that were only counted.
func crowded(variants, clients, devices int) *result.Result {
	rng := rand.New(rand.NewPCG(7, 7))
	long := strings.Repeat("a-very-long-name-", 12)
	r := &result.Result{}
	for i := range variants {
		arena := mem.NewRangeSet(mem.Range{Lo: 1 << 40, Hi: 1<<40 + 1<<30}, mem.Range{Lo: 1<<40 + 3<<30, Hi: 1<<40 + 4<<30})
		heap := metrics.HeapTotals{Name: "dram", Causes: map[string]uint64{}, Capacity: mem.Size(arena.Size()), MeanReserved: 1 << 30, PeakReserved: 3 << 29, HighWater: 4 << 30,
			Internal:             metrics.Internal{Padding: 1 << 20, Granularity: 1 << 22, Granule: 1 << 24, Allocator: 1 << 26},
			MeanLargestFreeIndex: 0.2, WorstLargestFreeIndex: 0.4}
		m := metrics.Map{Hull: arena.Hull(), Arena: arena, Rows: 64}
		var run metrics.Run
		for d := range devices {
			heap.Reaches = append(heap.Reaches, metrics.ReachTotals{Device: fmt.Sprintf("device-%d-%s", d, long[:20*(d%2)+4]), Capacity: heap.Capacity / mem.Size(d+1),
				MeanLargestFreeIndex: 0.5, WorstLargestFreeIndex: 1})
			m.Reaches = append(m.Reaches, arena.Intersect(mem.NewRangeSet(mem.Range{Lo: 0, Hi: 1<<40 + uint64(devices-d)<<27})))
		}
		run.Summary.Duration = time.Hour
		run.Summary.Heaps = []metrics.HeapTotals{heap}
		causes := allocator.Causes()
		for c := range clients {
			totals := metrics.ClientTotals{Name: fmt.Sprintf("client-%d-%s", c, long[:30*(c%2)]), Heap: "dram", Requests: 1 << 40, Causes: map[string]uint64{}}
			for k, cause := range causes {
				n := uint64(k+1) << (2 * (c % 8))
				totals.Causes[cause.String()] = n
				run.Summary.Heaps[0].Causes[cause.String()] += n
				totals.Failures += n
			}
			totals.Requests = max(2*totals.Failures, 1)
			run.Summary.Clients = append(run.Summary.Clients, totals)
			if c < 12 {
				wanted := metrics.OnFailureTotals{Client: totals.Name, Wanted: 1 << 40}
				for k, n := range []*uint64{&wanted.ServedAtOnce, &wanted.ServedByRetry, &wanted.ServedByFallback, &wanted.Waiting, &wanted.DroppedFreed, &wanted.DroppedDeadline, &wanted.DroppedRetries} {
					*n = wanted.Wanted >> (7 - k%(c+1))
				}
				run.Summary.OnFailure = append(run.Summary.OnFailure, wanted)
			}
		}
		if clients == 0 {
			causes = nil
		}
		var failures [allocator.NumCauses]uint64
		for s := range 100 {
			at := time.Duration(s) * 36 * time.Second
			if len(causes) > 0 {
				failures[causes[s%len(causes)]] += 50
			}
			sample := metrics.Sample{At: at, Reserved: rng.Uint64N(2 << 30), Peak: 2 << 30, Free: rng.Uint64N(4) << 20, Failures: failures}
			sample.Largest = sample.Free / 2
			for range devices {
				free := rng.Uint64N(3) << 20
				sample.Reaches = append(sample.Reaches, metrics.ReachSample{Free: free, Largest: free / 3})
			}
			run.Samples = append(run.Samples, sample)
			m.Times = append(m.Times, at)
			for range m.Rows {
				cell := metrics.Cell{Client: -1}
				if clients > 0 {
					cell = metrics.Cell{Client: int16(rng.IntN(clients)), Tone: uint8(rng.IntN(2)), Fill: uint8(rng.IntN(256))}
				}
				m.Cells = append(m.Cells, cell)
			}
		}
		run.Maps = []metrics.Map{m}
		if clients > 0 {
			addMachine(&run, rng, long, clients)
		}
		name := fmt.Sprintf("variant-%d", i)
		if i%2 == 1 {
			name += "-" + long
		}
		r.Variants = append(r.Variants, result.Variant{Name: name, Run: run})
	}
	return r
}

// addMachine gives a run page frames, processes that are killed, and incidents of
// every kind.
func addMachine(run *metrics.Run, rng *rand.Rand, long string, kills int) {
	m := &metrics.MemoryTotals{Capacity: 1 << 30, MostSwap: 1 << 29}
	for i := range kills {
		at := time.Duration(i) * time.Hour / time.Duration(kills)
		m.Killed = append(m.Killed, metrics.Killed{At: at, Process: fmt.Sprintf("process-%d-%s", i, long[:40*(i%2)])})
	}
	run.Summary.Memory = m
	run.Summary.Incidents = map[string]uint64{}
	for _, kind := range sim.IncidentKinds() {
		run.Summary.Incidents[kind.String()] = 1 << rng.IntN(40)
	}
	run.Summary.Spaces = []metrics.SpaceTotals{
		{Name: "swiotlb", Kind: sim.DefaultPool, Capacity: 64 << 20, PeakUsed: 50 << 20, PeakBusy: 50 << 20},
		{Name: "group-" + long[:50], Kind: sim.IOVASpace, Capacity: 1 << 48, PeakUsed: 40 << 20, PeakWaiting: 50 << 20, PeakBusy: 60 << 20},
	}
	for i := range 100 {
		s := metrics.SpaceSample{At: time.Duration(i) * 18 * time.Second, Space: i % 2, Peak: 40 << 20, Usage: dmamap.Usage{Used: rng.Uint64N(40 << 20)}}
		s.Waiting = uint64(i%2) * rng.Uint64N(20<<20)
		run.Spaces = append(run.Spaces, s)
		run.Failures = append(run.Failures, metrics.Failure{At: s.At, Heap: "dram", Cause: []allocator.Cause{allocator.Bounce, allocator.IOVA}[i%2]})
	}
	for i := range 50 {
		part := func() uint64 { return rng.Uint64N(1 << 28) }
		run.Memory = append(run.Memory, metrics.MemorySample{
			At: time.Duration(i) * time.Hour / 50, Kernel: part() / 4, DMABuf: part(), Anonymous: part(), PageCache: part() / 2, Cached: part() / 8, Swapped: part(),
		})
	}
}

// Whatever there is to draw, no text is drawn over another, over data or over
// the edge of the page.
func TestTextIsLegible(t *testing.T) {
	for name, r := range map[string]*result.Result{
		"story of 1":               cedarStory(1),
		"story of 2":               cedarStory(2),
		"story of 8":               cedarStory(8),
		"crowd of 1":               crowded(1, 20, 12),
		"crowd of 3":               crowded(3, 5, 4),
		"crowd of 5":               crowded(5, 3, 2),
		"crowd of 8":               crowded(8, 20, 12),
		"11 variants":              crowded(11, 2, 1),
		"no devices":               crowded(2, 3, 0),
		"no clients":               crowded(2, 0, 2),
		"nothing":                  {},
		"no heaps":                 {Variants: []result.Variant{{Name: "v"}}},
		"no samples":               single(metrics.Run{Summary: metrics.Summary{Heaps: []metrics.HeapTotals{{Name: "h", Capacity: mem.GiB}}}}),
		"zero capacity":            single(metrics.Run{Summary: metrics.Summary{Heaps: []metrics.HeapTotals{{Name: "h"}}}, Samples: []metrics.Sample{{}}}),
		"one sample":               single(oneSample()),
		"largest values":           single(largestValues()),
		"several heaps":            severalHeaps(),
		"a heap of one variant":    {Variants: append(severalHeaps().Variants, cedarStory(1).Variants...)},
		"a map without an instant": single(withMap(metrics.Map{Hull: mem.Range{Lo: 0, Hi: 1}, Arena: mem.NewRangeSet(mem.Range{Lo: 0, Hi: 1}), Rows: 1})),
		"an empty map":             single(withMap(metrics.Map{})),
	} {
		t.Run(name, func(t *testing.T) {
			for name, f := range figures(t, r) {
				page := read(f)
				if page.width != 3.4*vg.Inch && page.width != 6.8*vg.Inch {
					t.Errorf("%s: %v wide", name, page.width)
				}
				for i, a := range page.texts {
					if !inside(a.box, vg.Rectangle{Max: vg.Point{X: page.width, Y: page.height}}) {
						t.Errorf("%s: %q leaves the page", name, a.text)
					}
					for _, b := range page.texts[i+1:] {
						if overlap(a.box, b.box) {
							t.Errorf("%s: %q and %q overlap", name, a.text, b.text)
						}
					}
					for _, r := range page.pictures {
						if overlap(a.box, r.Rectangle) {
							t.Errorf("%s: %q is over a picture", name, a.text)
						}
					}
					for _, s := range page.strokes {
						if !s.faint && crosses(a.box, s.from, s.to) {
							t.Errorf("%s: a line from %v to %v crosses %q", name, s.from, s.to, a.text)
						}
					}
				}
			}
		})
	}
}

func single(run metrics.Run) *result.Result {
	return &result.Result{Variants: []result.Variant{{Name: "v", Run: run}}}
}

func oneSample() metrics.Run {
	return metrics.Run{
		Summary: metrics.Summary{Heaps: []metrics.HeapTotals{{Name: "h", Capacity: mem.GiB, Reaches: []metrics.ReachTotals{{Device: "d", Capacity: mem.MiB}}}}},
		Samples: []metrics.Sample{{Free: 100, Largest: 50, Reserved: 7, Peak: 9, Reaches: []metrics.ReachSample{{Free: 0}}}},
	}
}

func largestValues() metrics.Run {
	const top = math.MaxUint64
	var topFailures [allocator.NumCauses]uint64
	topFailures[allocator.WindowFull] = top
	return metrics.Run{
		Summary: metrics.Summary{Duration: math.MaxInt64,
			Spaces:  []metrics.SpaceTotals{{Name: "s", Kind: sim.IOVASpace, Capacity: top, PeakUsed: top, PeakWaiting: top, PeakBusy: top}},
			Clients: []metrics.ClientTotals{{Name: "c", Heap: "h", Requests: top, Failures: top, Causes: map[string]uint64{"window": top}}},
			Heaps: []metrics.HeapTotals{{Name: "h", Causes: map[string]uint64{"window": top}, Capacity: top, MeanReserved: top, PeakReserved: top, HighWater: top,
				Internal: metrics.Internal{Allocator: top}, MeanLargestFreeIndex: 1, WorstLargestFreeIndex: 1}}},
		Spaces:   []metrics.SpaceSample{{Peak: top, Usage: dmamap.Usage{Used: top, Waiting: top}}, {At: math.MaxInt64, Usage: dmamap.Usage{Used: top}}},
		Samples:  []metrics.Sample{{Reserved: top, Peak: top}, {At: math.MaxInt64, Free: top, Largest: 1, Failures: topFailures}},
		Failures: []metrics.Failure{{At: math.MaxInt64, Heap: "h", Cause: allocator.WindowFull}},
		Maps: []metrics.Map{{Hull: mem.Everywhere, Arena: mem.NewRangeSet(mem.Everywhere), Rows: 1,
			Times: []time.Duration{0}, Cells: []metrics.Cell{{Client: 0, Fill: 255}}}},
	}
}

func withMap(m metrics.Map) metrics.Run {
	return metrics.Run{Summary: metrics.Summary{Heaps: []metrics.HeapTotals{{Name: "h", Capacity: 1}}}, Maps: []metrics.Map{m}}
}

func severalHeaps() *result.Result {
	run := oneSample()
	run.Summary.Heaps = append(run.Summary.Heaps, metrics.HeapTotals{Name: "cma", Capacity: mem.MiB})
	run.Samples = append(run.Samples, metrics.Sample{Heap: 1, At: time.Second})
	return single(run)
}

func TestSeveralHeapsHaveFiguresOfTheirOwn(t *testing.T) {
	byName := figures(t, severalHeaps())
	for _, name := range []string{"fragmentation", "exhaustion", "memory-map", "comparison"} {
		for _, heap := range []string{"h", "cma"} {
			f := byName[name+"-"+heap]
			if f == nil {
				t.Fatalf("no figure %s-%s", name, heap)
			}
			if !strings.Contains(f.Title, heap) {
				t.Errorf("the title of %s is %q", f.Name, f.Title)
			}
		}
	}
	if len(byName) != 8 {
		t.Errorf("%d figures, want 8", len(byName))
	}
}

func TestContradictionsAreErrors(t *testing.T) {
	r := single(withMap(metrics.Map{Rows: 1, Times: []time.Duration{0}}))
	if _, err := report.Figures(r); err == nil {
		t.Error("no error for a map with too few cells")
	}
}

func TestFiguresAreReproducible(t *testing.T) {
	first, second := figures(t, cedarStory(2)), figures(t, cedarStory(2))
	for name := range first {
		if !bytes.Equal(writePNG(t, first[name]), writePNG(t, second[name])) {
			t.Errorf("%s: two PNG files differ", name)
		}
		a, b := writeSVG(t, first[name]), writeSVG(t, second[name])
		if !bytes.Equal(a, writeSVG(t, first[name])) {
			t.Errorf("%s: the same figure is drawn in two ways", name)
		}
		if !bytes.Equal(a, b) {
			t.Errorf("%s: two SVG files differ", name)
		}
		if !bytes.Contains(a, []byte("@font-face")) {
			t.Errorf("%s: the SVG file has no font", name)
		}
		if fallback := []byte("font-family:Liberation Sans,Arial,Helvetica,sans-serif;"); bytes.Count(a, fallback) != bytes.Count(a, []byte("<text ")) {
			t.Errorf("%s: some text in the SVG file has no other font to fall back on", name)
		}
		if len(a) > 1<<20 {
			t.Errorf("%s: the SVG file has %d bytes", name, len(a))
		}
	}
}

func TestAxes(t *testing.T) {
	byName := figures(t, cedarStory(2))
	for name, want := range map[string][]string{
		"fragmentation": {"Fragmentation over time", "others-low", "others-high", "largest-free index", "0.5", "1", "time (s)", "60",
			"whole heap, all in reach of isp", "in reach of vpu"},
		"exhaustion": {"memory (MiB)", "0", "256", "1024", "time (s)", "failed: fragmented", "capacity", "×41"},
		"memory-map": {"address", "0x40000000", "0x50000000", "0x80000000", "cedar", "camera", "display", "vpu", "free"},
		"comparison": {"failed requests", "8.2%", "0%", "share (%)", "memory (MiB)", "of reserved (%)", "whole heap", "vpu", "cedar"},
	} {
		page := read(byName[name])
		for _, text := range want {
			if !slices.ContainsFunc(page.texts, func(s label) bool { return s.text == text }) {
				t.Errorf("%s does not say %q", name, text)
			}
		}
	}
}

// The colours of a map are drawn as they are: nothing is interpolated, in the
// PNG file and in the picture within the SVG file.
func TestMemoryMapIsExact(t *testing.T) {
	f := figures(t, cedarStory(2))["memory-map"]
	page := read(f)
	if len(page.pictures) != 2 {
		t.Fatalf("%d pictures, want one for each variant", len(page.pictures))
	}
	drawn, err := png.Decode(bytes.NewReader(writePNG(t, f)))
	if err != nil {
		t.Fatal(err)
	}
	dots := func(l vg.Length) int { return int(math.Round(l.Dots(300))) }
	for _, p := range page.pictures {
		size := p.Image.Bounds().Size()
		if size.X != dots(p.Rectangle.Size().X) || size.Y != dots(p.Rectangle.Size().Y) {
			t.Fatalf("a picture of %v covers %v", size, p.Rectangle.Size())
		}
		left, top := dots(p.Rectangle.Min.X), drawn.Bounds().Dy()-dots(p.Rectangle.Max.Y)
		other := 0
		for y := range size.Y {
			for x := range size.X {
				if !equalColor(drawn.At(left+x, top+y), p.Image.At(x, y)) {
					other++
				}
			}
		}
		// The axes and the dashed border of the window lie over the map.
		if lines := 6 * (size.X + size.Y); other > lines {
			t.Errorf("%d of %d dots are not those of the map", other, size.X*size.Y)
		}
	}
	svg := writeSVG(t, f)
	if n := bytes.Count(svg, []byte("<image ")); n != 2 {
		t.Fatalf("%d pictures in the SVG file", n)
	}
	_, data, _ := bytes.Cut(svg, []byte("<image "))
	_, data, _ = bytes.Cut(data, []byte("data:image/png;base64,"))
	data, _, _ = bytes.Cut(data, []byte(`"`))
	embedded, err := png.Decode(base64.NewDecoder(base64.StdEncoding, bytes.NewReader(data)))
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := embedded.(*image.Paletted); !ok || embedded.Bounds() != page.pictures[0].Image.Bounds() {
		t.Errorf("the picture in the SVG file is a %T of %v", embedded, embedded.Bounds())
	}
}

// The map shows each client's memory where and when it was held.
func TestMemoryMapShowsTheCells(t *testing.T) {
	run := metrics.Run{
		Summary: metrics.Summary{Duration: 4 * time.Second, Clients: []metrics.ClientTotals{{Name: "a"}, {Name: "b"}},
			Heaps: []metrics.HeapTotals{{Name: "h", Capacity: 3}}},
		Maps: []metrics.Map{{Hull: mem.Range{Lo: 8, Hi: 12}, Arena: mem.NewRangeSet(mem.Range{Lo: 8, Hi: 10}, mem.Range{Lo: 11, Hi: 12}), Rows: 4,
			Times: []time.Duration{0, 3 * time.Second},
			Cells: []metrics.Cell{
				{Client: 0, Fill: 255}, {Client: 1, Fill: 255}, {Client: -1}, {Client: -1},
				{Client: 0, Tone: 1, Fill: 255}, {Client: 1, Fill: 10}, {Client: -1}, {Client: 1, Fill: 255},
			}}},
	}
	picture := read(figures(t, single(run))["memory-map"]).pictures[0].Image
	size := picture.Bounds().Size()
	at := func(second float64, row float64) color.Color {
		return picture.At(int(second/4*float64(size.X)), size.Y-1-int(row/4*float64(size.Y)))
	}
	a, b := at(1, 0.5), at(1, 1.5)
	if equalColor(a, b) {
		t.Error("two clients have one colour")
	}
	for _, test := range []struct {
		second, row float64
		same        bool
		as          color.Color
		why         string
	}{
		{2.9, 0.5, true, a, "a cell lasts until the next instant"},
		{3.1, 0.5, false, a, "the neighbour has another tone"},
		{3.1, 1.5, false, b, "a row that is hardly used is lighter"},
		{3.1, 3.5, true, b, "the highest address is at the top"},
		{1, 3.5, true, color.White, "free memory is white"},
		{1, 2.5, false, color.White, "what is not in the heap is not free"},
	} {
		if got := at(test.second, test.row); equalColor(got, test.as) != test.same {
			t.Errorf("%s: colour %v at %v s in row %v", test.why, got, test.second, test.row)
		}
	}
}

func writePNG(t *testing.T, f *report.Figure) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := f.WritePNG(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func writeSVG(t *testing.T, f *report.Figure) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := f.WriteSVG(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func equalColor(a, b color.Color) bool {
	return color.NRGBAModel.Convert(a) == color.NRGBAModel.Convert(b)
}

// page is what a figure consists of.
type page struct {
	width, height vg.Length
	texts         []label
	pictures      []*recorder.DrawImage
	strokes       []stroke
}

type label struct {
	text string
	box  vg.Rectangle
}

// stroke is a straight part of a line.
type stroke struct {
	from, to vg.Point
	faint    bool // a grid line
}

// read draws a figure and follows what is drawn. Figures rotate text by quarter
// turns only, and nothing else.
func read(f *report.Figure) page {
	var c recorder.Canvas
	var p page
	p.width, p.height = f.DrawOn(&c)
	angle := []float64{0}
	var faint bool
	for _, action := range c.Actions {
		switch a := action.(type) {
		case *recorder.Push:
			angle = append(angle, angle[len(angle)-1])
		case *recorder.Pop:
			angle = angle[:len(angle)-1]
		case *recorder.Rotate:
			angle[len(angle)-1] += a.Angle
		case *recorder.SetColor:
			r, g, b, _ := a.Color.RGBA()
			faint = min(r, g, b) > 0xd000
		case *recorder.FillString:
			font := a.Font
			font.Size = a.Size
			w, up, down := plot.DefaultTextHandler.Box(a.String, font)
			// Capitals and digits end below the ascent, which leaves room for accents.
			up *= 0.8
			sin, cos := math.Sincos(angle[len(angle)-1])
			turn := func(x, y vg.Length) vg.Point {
				return vg.Point{X: x*vg.Length(cos) - y*vg.Length(sin), Y: x*vg.Length(sin) + y*vg.Length(cos)}
			}
			one, two := turn(a.Point.X, a.Point.Y-down), turn(a.Point.X+w, a.Point.Y+up)
			p.texts = append(p.texts, label{a.String, vg.Rectangle{
				Min: vg.Point{X: min(one.X, two.X), Y: min(one.Y, two.Y)}, Max: vg.Point{X: max(one.X, two.X), Y: max(one.Y, two.Y)}}})
		case *recorder.DrawImage:
			p.pictures = append(p.pictures, a)
		case *recorder.Stroke:
			for i := 1; i < len(a.Path); i++ {
				if a.Path[i].Type == vg.LineComp {
					p.strokes = append(p.strokes, stroke{a.Path[i-1].Pos, a.Path[i].Pos, faint})
				}
			}
		}
	}
	return p
}

const slack = vg.Length(0.1)

func overlap(a, b vg.Rectangle) bool {
	return a.Min.X+slack < b.Max.X && b.Min.X+slack < a.Max.X && a.Min.Y+slack < b.Max.Y && b.Min.Y+slack < a.Max.Y
}

func inside(a, b vg.Rectangle) bool {
	return a.Min.X >= b.Min.X && a.Max.X <= b.Max.X && a.Min.Y >= b.Min.Y && a.Max.Y <= b.Max.Y
}

// crosses reports whether a line passes through a box (Liang and Barsky).
func crosses(box vg.Rectangle, from, to vg.Point) bool {
	lo, hi := 0.0, 1.0
	for _, edge := range []struct{ step, room vg.Length }{
		{from.X - to.X, from.X - box.Min.X - slack}, {to.X - from.X, box.Max.X - slack - from.X},
		{from.Y - to.Y, from.Y - box.Min.Y - slack}, {to.Y - from.Y, box.Max.Y - slack - from.Y},
	} {
		switch at := float64(edge.room / edge.step); {
		case edge.step == 0 && edge.room < 0:
			return false
		case edge.step < 0:
			lo = max(lo, at)
		case edge.step > 0:
			hi = min(hi, at)
		}
	}
	return lo < hi
}
