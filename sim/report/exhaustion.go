package report

import (
	"slices"
	"strconv"
	"time"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"dmasim/allocator"
	"dmasim/sim/metrics"
)

var (
	reservedLine = draw.LineStyle{Color: blue, Width: 0.9}
	reservedArea = mix(blue, white, 0.75)
	boundLine    = draw.LineStyle{Color: vermillion, Width: 1}
	reachedLine  = draw.LineStyle{Color: green, Width: 1, Dashes: []vg.Length{1.5, 1.2}}
	capacityLine = draw.LineStyle{Color: black, Width: 0.7, Dashes: []vg.Length{3, 2}}
)

// exhaustion shows what a heap holds against what it can hold and, above the
// capacity, a row of marks for each cause of failure.
func exhaustion(views []view) body {
	const (
		height = vg.Length(104)
		row    = vg.Length(7)
	)
	causes := causesOf(views)
	key := legend{{"reserved, area up to its peaks", areaThumb}, {"capacity", lineThumb(capacityLine)}}
	if slices.ContainsFunc(views, func(v view) bool { return v.adversary != nil }) {
		key = append(key, entry{"theoretical bound", lineThumb(boundLine)}, entry{"reached by the adversary", lineThumb(reachedLine)})
	}
	for _, c := range causes {
		key = append(key, entry{"failed: " + c.String(), glyphThumb(failureGlyph(c))})
	}
	var limit float64
	for _, v := range views {
		limit = max(limit, float64(v.heap.Capacity))
		if v.adversary != nil {
			limit = max(limit, float64(v.adversary.Bound))
		}
		for _, s := range v.samples {
			limit = max(limit, float64(s.Reserved), float64(s.Peak))
		}
	}
	g := newGrid(len(views))
	y := byteScale(limit, 4)
	top := y.limit * (1.04 + float64(row)*float64(len(causes))/float64(height-30))
	panels := g.timePanels(views)
	for i, p := range panels {
		g.setY(p, i, y.label("memory"), top, y)
		p.Add(occupancy{&views[i]})
		for k, c := range causes {
			p.Add(newFailureRow(&views[i], c, row*(vg.Length(k)+0.75)))
		}
	}
	return body{
		width: g.width(), height: vg.Length(g.rows) * (height + row*vg.Length(len(causes))), legend: key, data: exhaustionData(views, causes),
		draw: func(c draw.Canvas) { g.draw(c, panels) },
	}
}

// causesOf returns the causes of all failures in the heap, by precedence.
func causesOf(views []view) []allocator.Cause {
	return slices.DeleteFunc(allocator.Causes(), func(c allocator.Cause) bool {
		return !slices.ContainsFunc(views, func(v view) bool { return v.failed(c) > 0 })
	})
}

func failureGlyph(c allocator.Cause) draw.GlyphStyle {
	return draw.GlyphStyle{Color: marks[c].color, Radius: 1.7, Shape: marks[c].shape}
}

func areaThumb(c draw.Canvas) {
	mid := c.Center().Y
	c.FillPolygon(reservedArea, corners(vg.Rectangle{Min: vg.Point{X: c.Min.X, Y: mid - 3}, Max: vg.Point{X: c.Max.X, Y: mid + 2}}))
	c.StrokeLine2(reservedLine, c.Min.X, mid+2, c.Max.X, mid+2)
}

// occupancy is what is reserved, and the capacity. Between two samples the area
// reaches up to the peak.
type occupancy struct{ v *view }

// Plot implements plot.Plotter.
func (o occupancy) Plot(c draw.Canvas, p *plot.Plot) {
	x, y := p.Transforms(&c)
	area := []vg.Point{}
	line := []vg.Point{}
	for i, s := range o.v.samples {
		at := x(float64(s.At))
		if i > 0 {
			before := x(float64(o.v.samples[i-1].At))
			area = append(area, vg.Point{X: before, Y: y(float64(s.Peak))}, vg.Point{X: at, Y: y(float64(s.Peak))})
		} else {
			area = append(area, vg.Point{X: at, Y: y(0)}, vg.Point{X: at, Y: y(float64(s.Peak))})
		}
		line = append(line, vg.Point{X: at, Y: y(float64(s.Reserved))})
	}
	if n := len(area); n > 0 {
		area = append(area, vg.Point{X: area[n-1].X, Y: y(0)})
		c.FillPolygon(reservedArea, area)
	}
	if len(line) == 1 {
		c.DrawGlyphNoClip(draw.GlyphStyle{Color: reservedLine.Color, Radius: 1, Shape: draw.CircleGlyph{}}, line[0])
	} else {
		c.StrokeLines(reservedLine, held(line))
	}
	full := y(float64(o.v.heap.Capacity))
	c.StrokeLine2(capacityLine, c.Min.X, full, c.Max.X, full)
	if a := o.v.adversary; a != nil {
		reached, bound := y(float64(a.Reached)), y(float64(a.Bound))
		c.StrokeLine2(reachedLine, c.Min.X, reached, c.Max.X, reached)
		c.StrokeLine2(boundLine, c.Min.X, bound, c.Max.X, bound)
	}
}

// failureRow marks the failures of one cause in a row that ends with their
// number. A mark stands for all failures between two samples; marks that would
// be drawn over each other are one.
type failureRow struct {
	cause allocator.Cause
	below vg.Length // the top of the panel
	at    []time.Duration
	count uint64
}

func newFailureRow(v *view, c allocator.Cause, below vg.Length) failureRow {
	r := failureRow{cause: c, below: below, count: v.failed(c)}
	var before metrics.Sample
	for _, s := range v.samples {
		if s.Failures[c] > before.Failures[c] {
			r.at = append(r.at, before.At+(s.At-before.At)/2)
		}
		before = s
	}
	return r
}

// Plot implements plot.Plotter.
func (r failureRow) Plot(c draw.Canvas, p *plot.Plot) {
	if r.count == 0 {
		return
	}
	x, _ := p.Transforms(&c)
	y := c.Max.Y - r.below
	glyph := failureGlyph(r.cause)
	pitch := 2*glyph.Radius + 0.4
	drawn := -1
	for _, at := range r.at {
		if bin := int((x(float64(at)) - c.Min.X) / pitch); bin > drawn {
			c.DrawGlyphNoClip(glyph, vg.Point{X: c.Min.X + (vg.Length(bin)+0.5)*pitch, Y: y})
			drawn = bin
		}
	}
	fillMiddle(c, countStyle(), vg.Point{X: c.Max.X + countGap, Y: y}, r.label())
}

const countGap = vg.Length(2.5)

// GlyphBoxes implements plot.GlyphBoxer.
func (r failureRow) GlyphBoxes(*plot.Plot) []plot.GlyphBox {
	if r.count == 0 {
		return nil
	}
	return []plot.GlyphBox{{X: 1, Y: 0.5, Rectangle: vg.Rectangle{Max: vg.Point{X: countGap + countStyle().Width(r.label())}}}}
}

func countStyle() draw.TextStyle {
	style := textStyle(6)
	style.Color = darkGray
	return style
}

func (r failureRow) label() string { return "×" + shortCount(r.count) }

// shortCount prints n with at most four digits.
func shortCount(n uint64) string {
	if n < 10000 {
		return strconv.FormatUint(n, 10)
	}
	v, unit := float64(n), ""
	for _, unit = range []string{"k", "M", "G", "T", "P", "E"} {
		if v /= 1000; v < 999.5 {
			break
		}
	}
	if v < 9.995 {
		return strconv.FormatFloat(v, 'f', 2, 64) + unit
	}
	if v < 99.95 {
		return strconv.FormatFloat(v, 'f', 1, 64) + unit
	}
	return strconv.FormatFloat(v, 'f', 0, 64) + unit
}
