package report

import (
	"fmt"
	"image/color"
	"math"
	"slices"
	"strconv"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/palette"
	"gonum.org/v1/plot/palette/brewer"
	"gonum.org/v1/plot/palette/moreland"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"dmasim/sim/result"
)

const (
	barRoom  = vg.Length(58) // right of the panels, for the scale of colours
	barThick = vg.Length(8)
	barTall  = vg.Length(110)
)

// heat is a scale of colours from lo to hi. It goes from light to dark in lightness
// as well as in hue, so that it reads in grey and with any colour vision.
type heat struct {
	lo, hi float64
	colors palette.ColorMap // from dark, 0, to light, 1
}

// newHeat returns a scale for values from lo to hi: from 0, where that is near.
func newHeat(lo, hi float64) heat {
	if lo > 0 && lo < hi/2 {
		lo = 0
	}
	if !(hi > lo) {
		hi = lo + max(math.Abs(lo)/10, 1e-3)
	}
	h := heat{lo: lo, hi: hi, colors: moreland.Kindlmann()}
	if list, err := brewer.GetPalette(brewer.TypeSequential, "YlGnBu", 9); err == nil {
		dark := slices.Clone(list.Colors())
		slices.Reverse(dark)
		if colors, err := moreland.NewLuminance(dark); err == nil {
			h.colors = colors
		}
	}
	h.colors.SetMin(0)
	h.colors.SetMax(1)
	return h
}

// color is that of a value.
func (h heat) color(v float64) color.Color {
	share := min(max((v-h.lo)/(h.hi-h.lo), 0), 1)
	c, err := h.colors.At(1 - share)
	if err != nil {
		return midGray
	}
	return c
}

// ink is the colour of text on another.
func ink(on color.Color) color.Color {
	if color.GrayModel.Convert(on).(color.Gray).Y < 120 {
		return white
	}
	return black
}

// draw draws the scale with its ticks at the left of c.
func (h heat) draw(c draw.Canvas, x scale, label string) {
	c.Min.Y = max(c.Min.Y, c.Max.Y-barTall)
	const steps = 64
	y := func(v float64) vg.Length { return c.Min.Y + c.Size().Y*vg.Length((v-h.lo)/(h.hi-h.lo)) }
	for i := range steps {
		lo := h.lo + (h.hi-h.lo)*float64(i)/steps
		hi := h.lo + (h.hi-h.lo)*float64(i+1)/steps
		c.FillPolygon(h.color((lo+hi)/2), corners(vg.Rectangle{Min: vg.Point{X: c.Min.X, Y: y(lo)}, Max: vg.Point{X: c.Min.X + barThick, Y: y(hi) + 0.3}}))
	}
	box := vg.Rectangle{Min: c.Min, Max: vg.Point{X: c.Min.X + barThick, Y: c.Max.Y}}
	c.StrokeLines(draw.LineStyle{Color: darkGray, Width: 0.4}, append(corners(box), box.Min))
	style := textStyle(textSize)
	for _, t := range x.Ticks(h.lo, h.hi) {
		c.StrokeLine2(draw.LineStyle{Color: black, Width: 0.5}, box.Max.X, y(t.Value), box.Max.X+2, y(t.Value))
		fillMiddle(c, style, vg.Point{X: box.Max.X + 4, Y: y(t.Value)}, t.Label)
	}
	style.Rotation = math.Pi / 2
	style.XAlign, style.YAlign = draw.XCenter, draw.YTop
	c.FillText(style, vg.Point{X: box.Max.X + 22, Y: (c.Min.Y + c.Max.Y) / 2}, label)
}

// heatPanel is one panel: values by column and row, from the left and from below.
type heatPanel struct {
	name   string
	values map[place]float64 // of panel 0
	cols   int
	rows   int
}

// plot returns the panel drawn in a scale of colours. Where there is room, each cell
// has its value in units of x.
func (h heatPanel) plot(colors heat, x scale) plot.Plotter {
	return plotFunc(func(c draw.Canvas, p *plot.Plot) {
		toX, toY := p.Transforms(&c)
		style := textStyle(6)
		style.XAlign = draw.XCenter
		for row := range h.rows {
			for col := range h.cols {
				box := vg.Rectangle{Min: vg.Point{X: toX(float64(col)), Y: toY(float64(row))}, Max: vg.Point{X: toX(float64(col + 1)), Y: toY(float64(row + 1))}}
				v, there := h.values[place{line: row, column: col}]
				if !there {
					c.FillPolygon(lightGray, corners(box))
					c.StrokeLine2(draw.LineStyle{Color: midGray, Width: 0.5}, box.Min.X, box.Min.Y, box.Max.X, box.Max.Y)
					continue
				}
				fill := colors.color(v)
				c.FillPolygon(fill, corners(box))
				text := cellText(v / x.size)
				if style.Width(text)+2 <= box.Size().X && style.Height(text) <= box.Size().Y {
					style.Color = ink(fill)
					fillMiddle(c, style, vg.Point{X: (box.Min.X + box.Max.X) / 2, Y: (box.Min.Y + box.Max.Y) / 2}, text)
				}
			}
		}
	})
}

// cellText prints a value with about two digits that tell.
func cellText(v float64) string {
	switch a := math.Abs(v); {
	case a == 0:
		return "0"
	case a >= 9.95:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case a >= 0.995:
		return strconv.FormatFloat(v, 'f', 1, 64)
	case a >= 0.0095:
		return strconv.FormatFloat(v, 'f', 2, 64)
	}
	return "<.01"
}

// heatmap draws a metric over two parameters: a panel for each strategy and setting
// of the others.
func (s *swept) heatmap(metric string, right, up int) Figure {
	across, upward := &s.e.Parameters[right], &s.e.Parameters[up]
	x, y := newCategories(across), newCategories(upward)
	groups := s.distinct(func(point int) string {
		name := s.setting(point, right, up)
		if !isStrategy(across) && !isStrategy(upward) {
			name = join(s.strategy(point), name)
		}
		return name
	})
	columns, rows := s.levels(right), s.levels(up)
	means := s.gather(metric, func(point int) place { return place{groups.of[point], rows.of[point], columns.of[point]} })
	lo, hi := math.Inf(1), math.Inf(-1)
	panels := make([]heatPanel, min(len(groups.list), mostPanels))
	for i := range panels {
		panels[i] = heatPanel{name: groups.list[i], values: map[place]float64{}, cols: len(x.labels), rows: len(y.labels)}
	}
	for p, v := range means {
		if p.panel < len(panels) {
			panels[p.panel].values[place{line: p.line, column: p.column}] = v.Estimate
			lo, hi = min(lo, v.Estimate), max(hi, v.Estimate)
		}
	}
	if lo > hi { // no cell
		lo, hi = 0, 0
	}
	unit := s.unit(metric)
	colors := newHeat(lo, hi)
	shown := valueScale(unit, colors.lo, colors.hi)
	title := metric + " over " + across.Name + " and " + upward.Name + s.drawn()
	if more := len(groups.list) - len(panels); more > 0 {
		title += fmt.Sprintf(" (the first %d of %d panels)", len(panels), len(groups.list))
	}
	g := newGrid(len(panels))
	width := g.width()
	each := (width-2*margin-barRoom)/vg.Length(g.cols) - 40
	tall := min(max(vg.Length(len(y.labels))*14, 70), 150)
	var plots []*plot.Plot
	for i, panel := range panels {
		p := newPlot()
		p.X.Min, p.X.Max, p.Y.Min, p.Y.Max = 0, float64(panel.cols), 0, float64(panel.rows)
		ticks, side := x.ticks(each, x.widest()), y.ticks(tall, legendPitch)
		p.X.Tick.Marker, p.Y.Tick.Marker = unlabelled{ticks}, unlabelled{side}
		if g.last(i, len(panels)) {
			p.X.Tick.Marker, p.X.Label.Text = ticks, x.name
		}
		if i%g.cols == 0 {
			p.Y.Tick.Marker, p.Y.Label.Text = side, y.name
		}
		p.Add(panel.plot(colors, shown), heading(panel.name))
		plots = append(plots, p)
	}
	return newFigure("heatmap", title, body{
		width: width, height: max(vg.Length(g.rows)*(tall+30), barTall),
		data: result.Table{
			Columns: []result.Column{textColumn("panel"), textColumn(across.Name), textColumn(upward.Name), numberColumn("mean_" + unit)},
			Rows: func(yield func([]any) bool) {
				for i := range groups.list {
					for row := range rows.list {
						for col := range columns.list {
							v, there := means[place{i, row, col}]
							if there && !yield([]any{groups.list[i], columns.list[col], rows.list[row], v.Estimate}) {
								return
							}
						}
					}
				}
			},
		},
		draw: func(c draw.Canvas) {
			g.draw(draw.Crop(c, 0, -barRoom, 0, 0), plots)
			colors.draw(draw.Crop(c, c.Size().X-barRoom+12, 0, 26, -12), shown, shown.label(metric))
		},
	})
}
