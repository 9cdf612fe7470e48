package report

import (
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"dmasim/sim"
	"dmasim/sim/result"
)

// incidentKinds returns the kinds of incidents that occurred in any variant.
func incidentKinds(r *result.Result) []sim.IncidentKind {
	return slices.DeleteFunc(sim.IncidentKinds(), func(k sim.IncidentKind) bool {
		return !slices.ContainsFunc(r.Variants, func(v result.Variant) bool { return v.Run.Summary.Incidents[k.String()] > 0 })
	})
}

// incidents shows how often what went wrong: a panel for each kind of incident, a
// bar for each variant.
func incidents(r *result.Result, kinds []sim.IncidentKind) body {
	const axes = vg.Length(44)
	g := newGrid(len(kinds))
	var panels []*plot.Plot
	for i, kind := range kinds {
		p := newPlot()
		most := uint64(1)
		counts := make([]uint64, len(r.Variants))
		for k, v := range r.Variants {
			counts[k] = v.Run.Summary.Incidents[kind.String()]
			most = max(most, counts[k])
		}
		names := make([]plot.Tick, len(r.Variants))
		for k, v := range r.Variants {
			names[k] = plot.Tick{Value: float64(len(r.Variants) - 1 - k), Label: cutName(v.Name, variantColumn)}
		}
		p.Y.Min, p.Y.Max = -0.5, float64(len(r.Variants))-0.5
		p.Y.Tick.Marker = unlabelled{plot.ConstantTicks(names)}
		if i%g.cols == 0 {
			p.Y.Tick.Marker = plot.ConstantTicks(names)
		}
		p.Y.Tick.Length, p.Y.LineStyle.Width = 0, 0
		x := countScale(float64(most), 3)
		p.X.Min, p.X.Max = 0, float64(most)*1.2
		p.X.Tick.Marker = x
		p.X.Label.Text = "number"
		p.Add(heading(kind.String()), countBars(counts))
		panels = append(panels, p)
	}
	return body{
		width: pageWidth, height: vg.Length(g.rows) * (axes + vg.Length(len(r.Variants))*rowPitch*1.4), data: incidentData(r, kinds),
		draw: func(c draw.Canvas) { g.draw(c, panels) },
	}
}

// countScale is for an axis of whole numbers.
func countScale(limit float64, steps int) scale {
	return scale{size: 1, step: max(1, roundStep(limit, steps)), limit: limit}
}

// countBars are bars from the top down, with their numbers.
type countBars []uint64

// Plot implements plot.Plotter.
func (b countBars) Plot(c draw.Canvas, p *plot.Plot) {
	x, y := p.Transforms(&c)
	c.StrokeLine2(gridLine, x(0), c.Min.Y, x(0), c.Max.Y)
	for i, n := range b {
		mid := y(float64(len(b) - 1 - i))
		fillBar(c, meanFill, x(0), x(float64(n)), mid)
		fillMiddle(c, countStyle(), vg.Point{X: x(float64(n)) + countGap, Y: mid}, shortCount(n))
	}
}
