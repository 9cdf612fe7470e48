package lesson

import (
	"errors"
	"image/color"
	"io"
	"slices"
	"time"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// Bar is something that lasts, in a row of a timeline. Bars of a kind have a colour,
// and in each row a lane of their own.
type Bar struct {
	Row, Kind string
	From, To  time.Duration
}

// Timeline draws bars over time. Rows, and the lanes in them, come from the top down
// in the order in which bars name them.
func Timeline(title string, bars []Bar) {
	show(func(w io.Writer) error { return writeTimeline(w, title, bars) })
}

func writeTimeline(w io.Writer, title string, bars []Bar) error {
	if len(bars) == 0 {
		return errors.New("a timeline needs bars")
	}
	t := timeline{bars: bars}
	p := newPlot(title, "ms", "")
	p.X.Min, p.X.Max = milliseconds(bars[0].From), milliseconds(bars[0].To)
	for _, b := range bars {
		if !slices.Contains(t.rows, b.Row) {
			t.rows = append(t.rows, b.Row)
		}
		if !slices.Contains(t.kinds, b.Kind) {
			t.kinds = append(t.kinds, b.Kind)
		}
		p.X.Min, p.X.Max = min(p.X.Min, milliseconds(b.From)), max(p.X.Max, milliseconds(b.To))
	}
	p.X.Tick.Marker = shortTicks{}
	p.Y.Min, p.Y.Max = -0.5, float64(len(t.rows))-0.5
	ticks := make(plot.ConstantTicks, len(t.rows))
	for i, name := range t.rows {
		ticks[i] = plot.Tick{Value: float64(len(t.rows) - 1 - i), Label: name}
	}
	p.Y.Tick.Marker = ticks
	p.Y.Tick.LineStyle.Width = 0
	for i, kind := range t.kinds {
		p.Legend.Add(kind, swatch{series[i%len(series)]})
	}
	p.Legend.Top, p.Legend.Left = true, false
	p.Add(t)
	return writePNG(w, vg.Length(len(t.rows))*0.32*vg.Inch+0.7*vg.Inch, p.Draw)
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

type timeline struct {
	bars        []Bar
	rows, kinds []string
}

func (t timeline) Plot(c draw.Canvas, p *plot.Plot) {
	x, y := p.Transforms(&c)
	const used = 0.84 // of a row's height
	lane := used / float64(len(t.kinds))
	for _, bar := range t.bars {
		kind := slices.Index(t.kinds, bar.Kind)
		top := float64(len(t.rows)-1-slices.Index(t.rows, bar.Row)) + used/2 - lane*float64(kind)
		hue := series[kind%len(series)]
		box := vg.Rectangle{
			Min: vg.Point{X: x(milliseconds(bar.From)), Y: y(top - lane)},
			Max: vg.Point{X: x(milliseconds(bar.To)), Y: y(top)},
		}
		fill(c, box, pale(hue))
		c.StrokeLines(draw.LineStyle{Color: hue, Width: 0.6}, outline(box))
	}
}

// swatch is a colour in a legend.
type swatch struct{ color.NRGBA }

func (s swatch) Thumbnail(c *draw.Canvas) {
	fill(*c, c.Rectangle, pale(s.NRGBA))
	c.StrokeLines(draw.LineStyle{Color: s.NRGBA, Width: 0.6}, outline(c.Rectangle))
}

func outline(r vg.Rectangle) []vg.Point {
	return []vg.Point{r.Min, {X: r.Max.X, Y: r.Min.Y}, r.Max, {X: r.Min.X, Y: r.Max.Y}, r.Min}
}
