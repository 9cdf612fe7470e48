package report

import (
	"fmt"
	"image/color"
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"dmasim/sim/result"
)

// dpi is the resolution of PNG figures, and of pictures in SVG figures.
const dpi = 300

// Figure is a drawing, ready to be written.
type Figure struct {
	Name  string // without an extension: "memory-map"
	Title string
	Data  result.Table // what is drawn

	width, height vg.Length
	draw          func(draw.Canvas)
}

// Figures returns what there is to draw of r: per heap the fragmentation, the
// exhaustion, the memory map and the comparison of the variants. Where there
// are several heaps their names end those of the figures. Where page frames were
// simulated, there is what RAM holds; for each pool of bounce buffers and each IOMMU
// group in use, how full it was; where workloads do something about refusals, what became
// of the buffers they wanted; where something went wrong, how often. It is an error
// if r contradicts itself.
func Figures(r *result.Result) ([]Figure, error) {
	if err := r.Check(); err != nil {
		return nil, fmt.Errorf("draw: %w", err)
	}
	var figures []Figure
	heaps := heapNames(r)
	for _, heap := range heaps {
		views := heapViews(r, heap)
		suffix, of := "", ""
		if len(heaps) > 1 {
			suffix, of = "-"+heap, " of "+heap
		}
		for _, f := range []struct {
			name, title string
			draw        func([]view) body
		}{
			{"fragmentation", "Fragmentation" + of + " over time", fragmentation},
			{"exhaustion", "Memory in use and failed requests" + of, exhaustion},
			{"memory-map", "Who holds the memory" + of, memoryMap},
			{"comparison", "The same work under each variant" + of, comparison},
		} {
			figures = append(figures, newFigure(f.name+suffix, f.title, f.draw(views)))
		}
	}
	if list := rams(r); len(list) > 0 {
		figures = append(figures, newFigure("memory", "What memory holds", memory(list)))
	}
	names, byName := usedSpaces(r)
	for _, name := range names {
		figures = append(figures, newFigure("spaces-"+name, "How full "+name+" was", spaces(byName[name])))
	}
	if clients := persistentClients(r); len(clients) > 0 {
		figures = append(figures, newFigure("on-failure", "Buffers not served at once, and the share dropped", refused(r, clients)))
	}
	if kinds := incidentKinds(r); len(kinds) > 0 {
		figures = append(figures, newFigure("incidents", "What went wrong beside failed requests", incidents(r, kinds)))
	}
	return figures, nil
}

// body is a figure without its title and the legend above it.
type body struct {
	width, height vg.Length
	legend        legend
	data          result.Table
	draw          func(draw.Canvas)
}

const (
	margin  = vg.Length(4)
	spacing = vg.Length(4)
)

func newFigure(name, title string, b body) Figure {
	style := textStyle(titleSize)
	style.YAlign = draw.YTop
	inner := b.width - 2*margin
	title = shorten(title, style, inner)
	top := style.Height(title) + spacing
	if h := b.legend.height(inner); h > 0 {
		top += h + spacing
	}
	return Figure{
		Name:   name,
		Title:  title,
		Data:   b.data,
		width:  b.width,
		height: 2*margin + top + b.height,
		draw: func(c draw.Canvas) {
			c.SetColor(white)
			c.Fill(c.Rectangle.Path())
			c = draw.Crop(c, margin, -margin, margin, -margin)
			c.FillText(style, vg.Point{X: c.Min.X, Y: c.Max.Y}, title)
			b.legend.draw(draw.Crop(c, 0, 0, 0, -style.Height(title)-spacing))
			b.draw(draw.Crop(c, 0, 0, 0, -top))
		},
	}
}

// legend is a row of entries that flows into as many lines as it needs.
type legend []entry

type entry struct {
	name  string
	thumb func(draw.Canvas) // draws into the whole canvas
}

const (
	thumbWidth  = vg.Length(16)
	thumbIndent = thumbWidth + 3
	legendPitch = vg.Length(9.5)
	legendGap   = vg.Length(10)
)

// flow calls place with the top left corner of every entry, from (0, 0) to the
// right and down, and returns the height.
func (l legend) flow(width vg.Length, place func(e entry, name string, at vg.Point)) vg.Length {
	if len(l) == 0 {
		return 0
	}
	style := textStyle(textSize)
	var at vg.Point
	for _, e := range l {
		name := shorten(e.name, style, width-thumbIndent)
		w := thumbIndent + style.Width(name)
		if at.X > 0 && at.X+w > width {
			at = vg.Point{Y: at.Y - legendPitch}
		}
		place(e, name, at)
		at.X += w + legendGap
	}
	return legendPitch - at.Y
}

func (l legend) height(width vg.Length) vg.Length {
	return l.flow(width, func(entry, string, vg.Point) {})
}

// draw draws the legend at the top of c.
func (l legend) draw(c draw.Canvas) {
	style := textStyle(textSize)
	l.flow(c.Size().X, func(e entry, name string, at vg.Point) {
		at = at.Add(vg.Point{X: c.Min.X, Y: c.Max.Y})
		box := c
		box.Rectangle = vg.Rectangle{Min: vg.Point{X: at.X, Y: at.Y - legendPitch}, Max: vg.Point{X: at.X + thumbWidth, Y: at.Y}}
		e.thumb(box)
		fillMiddle(c, style, vg.Point{X: at.X + thumbIndent, Y: at.Y - legendPitch/2}, name)
	})
}

// fillMiddle draws text whose small letters are centred on pt.
func fillMiddle(c draw.Canvas, style draw.TextStyle, pt vg.Point, text string) {
	style.YAlign = draw.YCenter
	pt.Y += style.FontExtents().Descent / 2
	c.FillText(style, pt, text)
}

func lineThumb(style draw.LineStyle) func(draw.Canvas) {
	return func(c draw.Canvas) { c.StrokeLine2(style, c.Min.X, c.Center().Y, c.Max.X, c.Center().Y) }
}

func boxThumb(fill color.Color) func(draw.Canvas) {
	return func(c draw.Canvas) {
		c.FillPolygon(fill, corners(thumbBox(c)))
	}
}

// frameThumb is an empty box.
func frameThumb(c draw.Canvas) {
	box := thumbBox(c)
	c.StrokeLines(draw.LineStyle{Color: darkGray, Width: 0.4}, append(corners(box), box.Min))
}

// thumbBox is the part of an entry's canvas that boxes fill.
func thumbBox(c draw.Canvas) vg.Rectangle {
	const half = 2.8
	mid := c.Center().Y
	return vg.Rectangle{Min: vg.Point{X: c.Min.X, Y: mid - half}, Max: vg.Point{X: c.Max.X, Y: mid + half}}
}

func glyphThumb(style draw.GlyphStyle) func(draw.Canvas) {
	return func(c draw.Canvas) { c.DrawGlyphNoClip(style, c.Center()) }
}

func corners(r vg.Rectangle) []vg.Point {
	return []vg.Point{r.Min, {X: r.Max.X, Y: r.Min.Y}, r.Max, {X: r.Min.X, Y: r.Max.Y}}
}

// grid arranges n small multiples on a page of text, the fewer the wider.
type grid struct{ rows, cols int }

func newGrid(n int) grid {
	cols := n
	switch {
	case n > 6:
		cols = 4
	case n > 4:
		cols = 3
	case n == 4:
		cols = 2
	}
	cols = max(cols, 1)
	return grid{rows: max((n+cols-1)/cols, 1), cols: cols}
}

func (g grid) width() vg.Length {
	if g.cols == 1 {
		return columnWidth
	}
	return pageWidth
}

// last reports whether nothing is below the i-th of n panels.
func (g grid) last(i, n int) bool { return i+g.cols >= n }

// timePanels returns a panel for each view, over the same time.
func (g grid) timePanels(views []view) []*plot.Plot {
	duration := longest(views)
	x := timeScale(duration, []int{8, 6, 4, 3}[g.cols-1])
	panels := make([]*plot.Plot, len(views))
	for i, v := range views {
		p := newPlot()
		p.X.Min, p.X.Max = 0, float64(duration)
		p.X.Tick.Marker = x
		if g.last(i, len(views)) {
			p.X.Label.Text = x.label("time")
		}
		p.Add(rules{}, heading(v.name))
		panels[i] = p
	}
	return panels
}

// setY gives the i-th panel a vertical axis that all panels share.
func (g grid) setY(p *plot.Plot, i int, label string, limit float64, ticks plot.Ticker) {
	p.Y.Min, p.Y.Max = 0, limit
	p.Y.Tick.Marker = unlabelled{ticks}
	if i%g.cols == 0 {
		p.Y.Label.Text = label
		p.Y.Tick.Marker = ticks
	}
}

// draw draws the panels aligned.
func (g grid) draw(c draw.Canvas, panels []*plot.Plot) {
	if len(panels) == 0 {
		return
	}
	padded := append(slices.Clone(panels), make([]*plot.Plot, g.rows*g.cols-len(panels))...)
	rows := slices.Collect(slices.Chunk(padded, g.cols))
	canvases := plot.Align(rows, draw.Tiles{Rows: g.rows, Cols: g.cols, PadX: 8, PadY: 6}, c)
	for i, p := range panels {
		p.Draw(canvases[i/g.cols][i%g.cols])
	}
}

// heading is the name of a panel, drawn above its left corner.
type heading string

// Plot implements plot.Plotter.
func (h heading) Plot(c draw.Canvas, _ *plot.Plot) {
	style := textStyle(textSize)
	c.FillText(style, vg.Point{X: c.Min.X, Y: c.Max.Y + headingGap + style.FontExtents().Descent}, shorten(string(h), style, c.Size().X))
}

const headingGap = vg.Length(2)

// GlyphBoxes implements plot.GlyphBoxer.
func (h heading) GlyphBoxes(*plot.Plot) []plot.GlyphBox {
	if h == "" {
		return nil
	}
	return []plot.GlyphBox{{Y: 1, Rectangle: vg.Rectangle{Max: vg.Point{Y: headingGap + textStyle(textSize).Height(string(h))}}}}
}

// rules are horizontal lines at the ticks of the vertical axis.
type rules struct{}

// Plot implements plot.Plotter.
func (rules) Plot(c draw.Canvas, p *plot.Plot) {
	_, y := p.Transforms(&c)
	for _, t := range p.Y.Tick.Marker.Ticks(p.Y.Min, p.Y.Max) {
		if t.Value > p.Y.Min {
			c.StrokeLine2(gridLine, c.Min.X, y(t.Value), c.Max.X, y(t.Value))
		}
	}
}
