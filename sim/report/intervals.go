package report

import (
	"image/color"
	"math"
	"strconv"
	"strings"
	"time"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"dmasim/mem"
	"dmasim/sim/experiment"
	"dmasim/sim/experiment/stats"
)

const (
	intervalPitch = vg.Length(11) // between rows
	panelColumns  = 3
)

// ComparisonFigures draws a comparison: the means of every variant with their
// intervals; the differences from the baseline; how long runs went without a
// failure, if any failed.
func ComparisonFigures(c *experiment.Comparison) []Figure {
	figures := []Figure{newFigure("means", "Means over "+strconv.Itoa(len(c.Runs[0]))+" runs with 95 % intervals", means(c))}
	if len(c.Variants) > 1 {
		title := "Differences from " + c.Variants[c.Baseline] + " with 95 % intervals"
		figures = append(figures, newFigure("differences", title, differences(c)))
	}
	for _, s := range c.Survival {
		if s.Failed.Estimate > 0 {
			figures = append(figures, newFigure("survival", "Runs without a failed request, with 95 % bands", survival(c)))
			break
		}
	}
	return figures
}

// estimate is a row of a panel: an estimate, and whether its mark is filled.
type estimate struct {
	stats.Interval
	filled bool
}

// intervalPanel is a metric, or its differences: a row for each variant.
type intervalPanel struct {
	title string
	unit  string
	zero  bool // the axis holds 0, with a line there
	rows  []estimate
}

func means(c *experiment.Comparison) body {
	var panels []intervalPanel
	for m, metric := range c.Metrics {
		p := intervalPanel{title: metric.Name, unit: metric.Unit}
		for v := range c.Variants {
			p.rows = append(p.rows, estimate{c.Cells[v][m].Mean, true})
		}
		panels = append(panels, p)
	}
	b := intervalPanels(panels, c.Variants, nil)
	b.data = meansData(c)
	return b
}

func differences(c *experiment.Comparison) body {
	var panels []intervalPanel
	for m, metric := range c.Metrics {
		p := intervalPanel{title: metric.Name, unit: metric.Unit, zero: true}
		for v := range c.Variants {
			if d := c.Cells[v][m].Difference; d != nil {
				p.rows = append(p.rows, estimate{d.Difference, d.Supported()})
			}
		}
		panels = append(panels, p)
	}
	var names []string
	for v, name := range c.Variants {
		if v != c.Baseline {
			names = append(names, name)
		}
	}
	key := legend{
		{"supported: p < 0.05 after Holm's correction", glyphThumb(intervalMark(blue, true))},
		{"not supported", glyphThumb(intervalMark(gray(110), false))},
	}
	b := intervalPanels(panels, names, key)
	b.data = differencesData(c)
	return b
}

func intervalMark(c color.Color, filled bool) draw.GlyphStyle {
	style := draw.GlyphStyle{Color: c, Radius: 1.9, Shape: draw.CircleGlyph{}}
	if !filled {
		style.Shape = draw.RingGlyph{}
	}
	return style
}

func intervalPanels(panels []intervalPanel, names []string, key legend) body {
	g := grid{rows: (len(panels) + panelColumns - 1) / panelColumns, cols: min(panelColumns, max(len(panels), 1))}
	height := vg.Length(g.rows) * (intervalPitch*vg.Length(len(names)) + 34)
	return body{
		width: pageWidth, height: height, legend: key,
		draw: func(c draw.Canvas) {
			var plots []*plot.Plot
			for i, p := range panels {
				plots = append(plots, p.plot(names, i%g.cols == 0))
			}
			g.draw(c, plots)
		},
	}
}

func (panel intervalPanel) plot(names []string, named bool) *plot.Plot {
	lo, hi := math.Inf(1), math.Inf(-1)
	if panel.zero {
		lo, hi = 0, 0
	}
	for _, r := range panel.rows {
		for _, v := range []float64{r.Estimate, r.Lo, r.Hi} {
			if !math.IsNaN(v) {
				lo, hi = min(lo, v), max(hi, v)
			}
		}
	}
	if hi-lo <= 1e-9*max(math.Abs(lo), math.Abs(hi)) { // all the same
		room := max(math.Abs(hi)*0.05, 1e-3)
		lo, hi = lo-room, hi+room
	}
	room := (hi - lo) * 0.06
	p := newPlot()
	p.X.Min, p.X.Max = lo-room, hi+room
	p.Y.Min, p.Y.Max = 0, float64(len(names))
	x := valueScale(panel.unit, p.X.Min, p.X.Max)
	p.X.Tick.Marker = x
	p.X.Label.Text = x.unit
	if panel.zero && panel.unit == "share" {
		p.X.Label.Text = "percentage points"
	}
	p.HideY()
	p.Add(heading(panel.title), plotFunc(func(c draw.Canvas, p *plot.Plot) {
		toX, toY := p.Transforms(&c)
		if panel.zero {
			c.StrokeLine2(draw.LineStyle{Color: midGray, Width: 0.5}, toX(0), c.Min.Y, toX(0), c.Max.Y)
		}
		for i, r := range panel.rows {
			y := toY(float64(len(names)-i) - 0.5)
			fill := blue
			if !r.filled {
				fill = gray(110)
			}
			if !math.IsNaN(r.Lo) {
				c.StrokeLine2(draw.LineStyle{Color: fill, Width: 1}, toX(r.Lo), y, toX(r.Hi), y)
			}
			c.DrawGlyph(intervalMark(fill, r.filled), vg.Point{X: toX(r.Estimate), Y: y})
		}
	}))
	if named {
		p.Add(intervalNames(names))
	}
	return p
}

// intervalNames draws the names of the rows left of a panel.
type intervalNames []string

// Plot implements plot.Plotter.
func (n intervalNames) Plot(c draw.Canvas, p *plot.Plot) {
	_, y := p.Transforms(&c)
	style := textStyle(textSize)
	style.XAlign = draw.XRight
	for i, name := range n {
		fillMiddle(c, style, vg.Point{X: c.Min.X - nameGap, Y: y(float64(len(n)-i) - 0.5)}, shorten(name, style, variantWidth))
	}
}

// GlyphBoxes implements plot.GlyphBoxer.
func (n intervalNames) GlyphBoxes(*plot.Plot) []plot.GlyphBox {
	style := textStyle(textSize)
	width := vg.Length(0)
	for _, name := range n {
		width = max(width, min(style.Width(name), variantWidth))
	}
	return []plot.GlyphBox{{Y: 0.5, Rectangle: vg.Rectangle{Min: vg.Point{X: -width - nameGap}}}}
}

// valueScale is for an axis of a metric's unit from lo to hi, which may be
// negative.
func valueScale(unit string, lo, hi float64) scale {
	const steps = 5
	largest := max(math.Abs(lo), math.Abs(hi))
	var s scale
	switch unit {
	case "share":
		s = scale{unit: "%", size: 0.01}
	case "bytes":
		s = byteScale(largest, steps)
	case "s":
		const second = float64(time.Second)
		s = timeScale(time.Duration(min(largest*second, math.MaxInt64/2)), steps)
		s.size /= second
	default:
		s = scale{unit: unit, size: 1}
	}
	if s.limit = hi; unit == "bytes" {
		s.step = max(1, math.Exp2(math.Ceil(math.Log2((hi-lo)/steps))))
	} else {
		s.step = roundStep((hi-lo)/s.size, steps) * s.size
	}
	return s
}

// survival draws the Kaplan–Meier curve of every variant with its band.
func survival(c *experiment.Comparison) body {
	x := timeScale(c.Horizon, 6)
	p := newPlot()
	p.X.Min, p.X.Max = 0, c.Horizon.Seconds()
	x.size, x.step, x.limit = x.size/1e9, x.step/1e9, x.limit/1e9
	p.X.Tick.Marker, p.X.Label.Text = x, x.label("time")
	p.Y.Min, p.Y.Max = 0, 1
	p.Y.Tick.Marker, p.Y.Label.Text = percentScale(1, 4), "runs without a failure (%)"
	p.Add(rules{})
	var key legend
	for v, name := range c.Variants {
		line := seriesLine(v)
		key = append(key, entry{name, lineThumb(line)})
		p.Add(survivalCurve{c.Survival[v].Curve, c.Horizon.Seconds(), line})
	}
	return body{
		width: columnWidth, height: 2.1 * vg.Inch, legend: key, data: survivalData(c),
		draw: func(c draw.Canvas) { p.Draw(c) },
	}
}

// survivalCurve is a step function with its band.
type survivalCurve struct {
	curve   stats.Curve
	horizon float64
	line    draw.LineStyle
}

// Plot implements plot.Plotter.
func (s survivalCurve) Plot(c draw.Canvas, p *plot.Plot) {
	toX, toY := p.Transforms(&c)
	corner := func(list []vg.Point, time, survival float64) []vg.Point {
		if n := len(list); n > 0 {
			list = append(list, vg.Point{X: toX(time), Y: list[n-1].Y})
		}
		return append(list, vg.Point{X: toX(time), Y: toY(survival)})
	}
	line, lo, hi := corner(nil, 0, 1), corner(nil, 0, 1), corner(nil, 0, 1)
	last := stats.Step{Survival: 1, Lo: 1, Hi: 1}
	for _, step := range s.curve {
		if step.Time > s.horizon {
			break
		}
		line, lo, hi = corner(line, step.Time, step.Survival), corner(lo, step.Time, step.Lo), corner(hi, step.Time, step.Hi)
		last = step
	}
	line, lo, hi = corner(line, s.horizon, last.Survival), corner(lo, s.horizon, last.Lo), corner(hi, s.horizon, last.Hi)
	for i := len(hi) - 1; i >= 0; i-- {
		lo = append(lo, hi[i])
	}
	shade := color.NRGBAModel.Convert(s.line.Color).(color.NRGBA)
	shade.A = 40
	c.FillPolygon(shade, lo)
	c.StrokeLines(s.line, line)
}

// Findings says in sentences what the runs support about one metric, and what
// they do not.
func Findings(c *experiment.Comparison, metric string) []string {
	m := c.Metric(metric)
	if m < 0 {
		return nil
	}
	n := len(c.Runs[0])
	if n < 2 {
		return []string{"one run of each: what differs, differs in this run; nothing is said of others"}
	}
	var texts, open []string
	for v, cells := range c.Cells {
		d := cells[m].Difference
		switch {
		case d == nil:
		case !d.Supported():
			open = append(open, c.Variants[v])
		default:
			texts = append(texts, finding(c, v, m))
		}
	}
	if len(open) > 0 {
		texts = append(texts, "not supported: that "+metric+" of "+strings.Join(open, ", ")+" differs from "+c.Variants[c.Baseline]+
			"'s; that does not show that they are equal")
	}
	return texts
}

func finding(c *experiment.Comparison, v, m int) string {
	d, metric := c.Cells[v][m].Difference, c.Metrics[m]
	direction, verdict := "higher", "worse"
	if d.Difference.Estimate < 0 {
		direction = "lower"
	}
	if direction == metric.Better.String() {
		verdict = "better"
	}
	if metric.Better == experiment.Neither {
		verdict = ""
	} else {
		verdict = ", " + verdict
	}
	base := c.Cells[c.Baseline][m].Mean.Estimate
	text := "supported: " + metric.Name + " of " + c.Variants[v] + " is " + direction + " than " + c.Variants[c.Baseline] + "'s by " +
		formatDifference(math.Abs(d.Difference.Estimate), metric.Unit)
	if lo, hi := math.Abs(d.Difference.Lo), math.Abs(d.Difference.Hi); !math.IsNaN(lo) && d.Difference.Lo*d.Difference.Hi >= 0 {
		text += " (95 % interval " + formatDifference(min(lo, hi), metric.Unit) + " to " + formatDifference(max(lo, hi), metric.Unit) + ")"
	}
	if base != 0 {
		text += ", " + strconv.FormatFloat(100*math.Abs(d.Difference.Estimate/base), 'g', 3, 64) + " % of it"
	}
	return text + verdict + "; p " + formatP(d.Holm)
}

// formatP prints a probability as people do: "= 0.03", "< 0.001".
func formatP(p float64) string {
	switch {
	case math.IsNaN(p):
		return "-"
	case p < 0.001:
		return "< 0.001"
	}
	return "= " + strconv.FormatFloat(p, 'f', 3, 64)
}

// formatDifference prints a difference of two values of a metric: of shares, in
// percentage points.
func formatDifference(v float64, unit string) string {
	if unit == "share" {
		return strconv.FormatFloat(100*v, 'g', 3, 64) + "pp"
	}
	return formatValue(v, unit)
}

// formatValue prints a value of a metric for people, with its unit.
func formatValue(v float64, unit string) string {
	sign := ""
	if v < 0 {
		sign, v = "-", -v
	}
	switch unit {
	case "share":
		return sign + strconv.FormatFloat(100*v, 'g', 3, 64) + "%"
	case "bytes":
		return sign + mem.Size(math.Round(v)).Short()
	case "s":
		return sign + shortDuration(time.Duration(min(v*1e9, math.MaxInt64/2)))
	}
	return sign + strconv.FormatFloat(v, 'g', 3, 64)
}
