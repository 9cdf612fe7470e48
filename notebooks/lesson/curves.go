package lesson

import (
	"fmt"
	"image/color"
	"io"
	"strconv"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// Curve is a line through points.
type Curve struct {
	Name string
	X, Y []float64
}

// Add adds a point.
func (c *Curve) Add(x, y float64) {
	c.X, c.Y = append(c.X, x), append(c.Y, y)
}

// Curves draws curves over the same axes. The upright one begins at 0.
func Curves(title, x, y string, curves ...Curve) {
	show(func(w io.Writer) error { return writeCurves(w, title, x, y, curves) })
}

func writeCurves(w io.Writer, title, x, y string, curves []Curve) error {
	p := newPlot(title, x, y)
	p.Y.Min = 0
	p.X.Tick.Marker, p.Y.Tick.Marker = shortTicks{}, shortTicks{}
	grid := plotter.NewGrid()
	grid.Vertical.Width = 0
	grid.Horizontal = draw.LineStyle{Color: lightGray, Width: 0.4}
	p.Add(grid)
	for i, c := range curves {
		if len(c.X) != len(c.Y) {
			return fmt.Errorf("curve %q has %d x and %d y", c.Name, len(c.X), len(c.Y))
		}
		points := make(plotter.XYs, len(c.X))
		for j := range points {
			points[j] = plotter.XY{X: c.X[j], Y: c.Y[j]}
		}
		line, dots, err := plotter.NewLinePoints(points)
		if err != nil {
			return fmt.Errorf("curve %q: %w", c.Name, err)
		}
		hue := color.Color(series[i%len(series)])
		line.Color, line.Width = hue, 1
		line.Dashes = [][]vg.Length{nil, {5, 1.5}, {1.5, 1.5}, {7, 1.5, 1.5, 1.5}}[i%4]
		dots.Color, dots.Shape, dots.Radius = hue, draw.CircleGlyph{}, 1.8
		p.Add(line, dots)
		p.Legend.Add(c.Name, line, dots)
	}
	if p.Y.Max <= p.Y.Min {
		p.Y.Max = p.Y.Min + 1 // every curve lies on the axis
	}
	// The legend goes where there is room above the curves.
	p.Y.Max += 0.2 * (p.Y.Max - p.Y.Min)
	var rise float64
	for _, c := range curves {
		if n := len(c.Y); n > 0 {
			rise += c.Y[n-1] - c.Y[0]
		}
	}
	p.Legend.Left = rise >= 0
	return writePNG(w, 2.6*vg.Inch, p.Draw)
}

// shortTicks are gonum's ticks, with 50 for 50.00.
type shortTicks struct{}

func (shortTicks) Ticks(low, high float64) []plot.Tick {
	ticks := plot.DefaultTicks{}.Ticks(low, high)
	for i, t := range ticks {
		if t.Label != "" {
			ticks[i].Label = strconv.FormatFloat(t.Value, 'g', 6, 64)
		}
	}
	return ticks
}
