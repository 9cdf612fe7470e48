package report

import (
	"strings"
	"time"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"dmasim/sim/metrics"
)

var heapLine = draw.LineStyle{Color: black, Width: 1.1}

// fragmentation shows the largest-free index, 1 - largest/free, of the whole
// heap and of what each device reaches of it, where that is not all; of a heap
// whose free memory is blocks of pages, the unusable index. The index
// of nothing is not defined: where a device has no free memory in reach its line
// is broken and a bar stands above the plot.
func fragmentation(views []view) body {
	const (
		height = vg.Length(118)
		row    = 0.055 // for a bar, in units of the index
	)
	names, all := devices(views)
	whole := "whole heap"
	if len(all) > 0 {
		whole += ", all in reach of " + strings.Join(all, ", ")
	}
	key := legend{{whole, lineThumb(heapLine)}}
	for i, name := range names {
		key = append(key, entry{"in reach of " + name, lineThumb(seriesLine(i))})
	}
	lines := make([][]*indexLine, len(views)) // of each view: the devices, the heap
	bars := make([]float64, len(names)+1)     // the height of the bar of each line, where one is needed
	top := 1.0
	for i, v := range views {
		lines[i] = indexLines(v, names)
		for k, line := range lines[i] {
			if len(line.full) > 0 && bars[k] == 0 {
				top += row
				bars[k] = top
			}
		}
	}
	if top > 1 {
		key = append(key, entry{"bar: nothing free", lineThumb(draw.LineStyle{Color: darkGray, Width: barWidth})})
	}
	g := newGrid(len(views))
	panels := g.timePanels(views)
	for i, p := range panels {
		g.setY(p, i, indexName(views), top+row/2, shareScale())
		for k, line := range lines[i] {
			line.bar = bars[k]
			p.Add(line)
		}
	}
	return body{
		width: g.width(), height: vg.Length(g.rows) * height, legend: key, data: fragmentationData(views, names),
		draw: func(c draw.Canvas) { g.draw(c, panels) },
	}
}

// indexLines returns a line for each of the devices and one for the heap, which
// is drawn last.
func indexLines(v view, names []string) []*indexLine {
	lines := make([]*indexLine, len(names)+1)
	for k := range names {
		lines[k] = &indexLine{style: seriesLine(k)}
	}
	whole := &indexLine{style: heapLine}
	lines[len(names)] = whole
	for i, s := range v.samples {
		until := v.duration
		if i+1 < len(v.samples) {
			until = v.samples[i+1].At
		}
		if inBlocks(v.heap) {
			whole.add(s.At, until, s.Free, s.Unusable)
		} else {
			whole.add(s.At, until, s.Free, metrics.LargestFreeIndex(s.Free, s.Largest))
		}
		for k, name := range names {
			if at := v.reach(name); at >= 0 && at < len(s.Reaches) {
				r := s.Reaches[at]
				lines[k].add(s.At, until, r.Free, metrics.LargestFreeIndex(r.Free, r.Largest))
			}
		}
	}
	return lines
}

// indexLine is a largest-free index over time.
type indexLine struct {
	style  draw.LineStyle
	pieces [][]instant // unbroken
	full   []interval  // where nothing is free
	bar    float64     // the height at which full is drawn

	broken bool
}

type instant struct {
	at    time.Duration
	value float64
}

type interval struct{ from, to time.Duration }

// add adds a sample that holds from at until the next.
func (l *indexLine) add(at, until time.Duration, free uint64, index float64) {
	if free == 0 {
		l.broken = true
		if last := len(l.full) - 1; last >= 0 && l.full[last].to == at {
			l.full[last].to = until
		} else {
			l.full = append(l.full, interval{at, until})
		}
		return
	}
	if len(l.pieces) == 0 || l.broken {
		l.pieces = append(l.pieces, nil)
		l.broken = false
	}
	last := &l.pieces[len(l.pieces)-1]
	*last = append(*last, instant{at, index})
}

// Plot implements plot.Plotter.
func (l *indexLine) Plot(c draw.Canvas, p *plot.Plot) {
	x, y := p.Transforms(&c)
	for _, piece := range l.pieces {
		if len(piece) == 1 {
			dot := draw.GlyphStyle{Color: l.style.Color, Radius: 1, Shape: draw.CircleGlyph{}}
			c.DrawGlyphNoClip(dot, vg.Point{X: x(float64(piece[0].at)), Y: y(piece[0].value)})
			continue
		}
		points := make([]vg.Point, len(piece))
		for i, at := range piece {
			points[i] = vg.Point{X: x(float64(at.at)), Y: y(at.value)}
		}
		c.StrokeLines(l.style, held(points))
	}
	for _, f := range l.full {
		from, to := x(float64(f.from)), x(float64(f.to))
		c.StrokeLine2(draw.LineStyle{Color: l.style.Color, Width: barWidth}, from, y(l.bar), max(to, from+0.5), y(l.bar))
	}
}

// held returns the line through points of which each holds until the next: a
// sample is a state, not a slope.
func held(points []vg.Point) []vg.Point {
	steps := make([]vg.Point, 0, 2*len(points))
	for i, p := range points {
		if i > 0 && points[i-1].Y != p.Y {
			steps = append(steps, vg.Point{X: p.X, Y: points[i-1].Y})
		}
		steps = append(steps, p)
	}
	return steps
}

const barWidth = vg.Length(2.5)
