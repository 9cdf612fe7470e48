package report

import (
	"image/color"
	"time"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"dmasim/sim/metrics"
	"dmasim/sim/result"
)

// layer is what a part of RAM holds.
type layer struct {
	name  string
	color color.NRGBA
	bytes func(*metrics.MemorySample) uint64
}

// layers are stacked from the bottom: what nobody can take back lies lowest.
var layers = []layer{
	{"kernel", gray(110), func(s *metrics.MemorySample) uint64 { return s.Kernel }},
	{"dma-bufs (pinned)", vermillion, func(s *metrics.MemorySample) uint64 { return s.DMABuf }},
	{"programs", blue, func(s *metrics.MemorySample) uint64 { return s.Anonymous }},
	{"page cache", skyBlue, func(s *metrics.MemorySample) uint64 { return s.PageCache }},
	{"per-CPU lists and pools", yellow, func(s *metrics.MemorySample) uint64 { return s.Cached }},
}

var (
	swapLine = draw.LineStyle{Color: black, Width: 0.9, Dashes: []vg.Length{1.5, 1.2}}
	killMark = draw.GlyphStyle{Color: black, Radius: 2, Shape: draw.CrossGlyph{}}
)

// ram is the memory of the machine in one variant.
type ram struct {
	name     string
	samples  []metrics.MemorySample
	totals   *metrics.MemoryTotals
	duration time.Duration
}

// rams returns the memory of every variant that has a machine.
func rams(r *result.Result) []ram {
	var list []ram
	for i := range r.Variants {
		run := &r.Variants[i].Run
		if run.Summary.Memory != nil {
			list = append(list, ram{r.Variants[i].Name, run.Memory, run.Summary.Memory, run.Summary.Duration})
		}
	}
	return list
}

// memory shows what RAM held, stacked, and what was in swap space beside it.
// Crosses mark the processes that were killed because memory ran out.
func memory(list []ram) body {
	const (
		height = vg.Length(132)
		row    = vg.Length(8)
	)
	var limit, swap float64
	lines := 0 // of names of processes that were killed
	shown := make([]bool, len(layers))
	views := make([]view, len(list))
	for i, r := range list {
		views[i] = view{name: r.name, duration: r.duration}
		limit = max(limit, float64(r.totals.Capacity))
		swap = max(swap, float64(r.totals.MostSwap))
		lines = max(lines, min(len(r.totals.Killed), killLines))
		for j := range r.samples {
			for k, l := range layers {
				shown[k] = shown[k] || l.bytes(&r.samples[j]) > 0
			}
		}
	}
	limit = max(limit, swap)
	var key legend
	for k, l := range layers {
		if shown[k] {
			key = append(key, entry{l.name, boxThumb(l.color)})
		}
	}
	key = append(key, entry{"free", frameThumb})
	if swap > 0 {
		key = append(key, entry{"in swap space, beside RAM", lineThumb(swapLine)})
	}
	if lines > 0 {
		key = append(key, entry{"killed: out of memory", glyphThumb(killMark)})
	}
	g := newGrid(len(list))
	y := byteScale(limit, 4)
	const plotted = height - 38 // without the axis and the heading
	above := row*vg.Length(lines) + 2
	top := y.limit * float64((plotted+above)/plotted)
	panels := g.timePanels(views)
	for i, p := range panels {
		g.setY(p, i, y.label("memory"), top, y)
		p.Add(stack{&list[i]}, killRow{list[i].totals.Killed, row})
	}
	return body{
		width: g.width(), height: vg.Length(g.rows) * (height + above), legend: key, data: memoryData(list),
		draw: func(c draw.Canvas) { g.draw(c, panels) },
	}
}

// stack is the layers of RAM over time, in a frame that is all of it.
type stack struct{ r *ram }

// Plot implements plot.Plotter.
func (s stack) Plot(c draw.Canvas, p *plot.Plot) {
	x, y := p.Transforms(&c)
	samples := s.r.samples
	if len(samples) == 0 {
		return
	}
	until := func(i int) vg.Length {
		if i+1 < len(samples) {
			return x(float64(samples[i+1].At))
		}
		return x(float64(max(s.r.duration, samples[i].At)))
	}
	floor := make([]uint64, len(samples))
	for _, l := range layers {
		area := make([]vg.Point, 0, 4*len(samples))
		for i := range samples {
			bottom := y(float64(floor[i]))
			area = append(area, vg.Point{X: x(float64(samples[i].At)), Y: bottom}, vg.Point{X: until(i), Y: bottom})
		}
		for i := len(samples) - 1; i >= 0; i-- {
			floor[i] += l.bytes(&samples[i])
			top := y(float64(floor[i]))
			area = append(area, vg.Point{X: until(i), Y: top}, vg.Point{X: x(float64(samples[i].At)), Y: top})
		}
		c.FillPolygon(l.color, area)
	}
	full := y(float64(s.r.totals.Capacity))
	c.StrokeLine2(capacityLine, c.Min.X, full, c.Max.X, full)
	if s.r.totals.MostSwap > 0 {
		line := make([]vg.Point, len(samples))
		for i := range samples {
			line[i] = vg.Point{X: x(float64(samples[i].At)), Y: y(float64(samples[i].Swapped))}
		}
		c.StrokeLines(swapLine, held(line))
	}
}

// killLines is how many names fit above the memory, one below the other.
const killLines = 5

// killRow marks who was killed when, in lines above the memory.
type killRow struct {
	killed []metrics.Killed
	pitch  vg.Length
}

// Plot implements plot.Plotter.
func (k killRow) Plot(c draw.Canvas, p *plot.Plot) {
	x, _ := p.Transforms(&c)
	style := countStyle()
	var end [killLines]vg.Length // of the text of each line
	for _, killed := range k.killed {
		at := x(float64(killed.At))
		name := shorten(killed.Process, style, c.Size().X/3)
		width := 2*killMark.Radius + 2 + style.Width(name)
		left := max(c.Min.X+1, min(at-killMark.Radius, c.Max.X-width))
		line := 0
		for line < len(end) && end[line] > left {
			line++
		}
		if line == len(end) {
			continue // the table has it
		}
		end[line] = left + width + 2
		mid := c.Max.Y - k.pitch*(vg.Length(line)+0.5)
		c.DrawGlyphNoClip(killMark, vg.Point{X: left + killMark.Radius, Y: mid})
		fillMiddle(c, style, vg.Point{X: left + 2*killMark.Radius + 2, Y: mid}, name)
	}
}
