package report

import (
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"dmasim/sim/result"
	"dmasim/workloads/generator"
)

// Demand draws what a source of work asks for over time, its pools one above the other,
// and the most that it can ask for, if that is known and not far above.
func Demand(name string, d *generator.Demand) Figure {
	const height = vg.Length(150)
	var key legend
	var most uint64
	for i, p := range d.Pools {
		key = append(key, entry{p.Name, boxThumb(series[i%len(series)])})
		most += p.Most
	}
	limit := d.Peak
	if most > 0 && most <= 2*d.Peak {
		key = append(key, entry{"the most that its pools can hold", lineThumb(capacityLine)})
		limit = most
	}
	p := newPlot()
	x, y := timeScale(d.Duration, 10), byteScale(float64(limit), 5)
	p.X.Min, p.X.Max = 0, float64(d.Duration)
	p.X.Tick.Marker, p.X.Label.Text = x, x.label("time")
	p.Y.Min, p.Y.Max = 0, 1.04*y.limit
	p.Y.Tick.Marker, p.Y.Label.Text = y, y.label("memory")
	p.Add(rules{}, demand{d, float64(most), y.limit})
	return newFigure("demand", "What "+name+" asks for", body{
		width: pageWidth, height: height, legend: key, data: demandData(d), draw: p.Draw,
	})
}

// demandData has a row for each pool and slice of time.
func demandData(d *generator.Demand) result.Table {
	columns := []result.Column{numberColumn("time_s"), textColumn("pool"), countColumn("held_bytes")}
	return result.Table{Columns: columns, Rows: func(yield func([]any) bool) {
		for i, slice := range d.Slices {
			at := d.Duration.Seconds() * float64(i) / float64(len(d.Slices))
			for pool, bytes := range slice.Bytes {
				if !yield([]any{at, d.Pools[pool].Name, bytes}) {
					return
				}
			}
		}
	}}
}

// demand is the pools over time, stacked.
type demand struct {
	d           *generator.Demand
	most, limit float64
}

// Plot implements plot.Plotter.
func (v demand) Plot(c draw.Canvas, p *plot.Plot) {
	x, y := p.Transforms(&c)
	slices := v.d.Slices
	at := func(i int) vg.Length { return x(float64(v.d.Duration) * float64(i) / float64(len(slices))) }
	floor := make([]uint64, len(slices))
	for pool := range v.d.Pools {
		area := make([]vg.Point, 0, 4*len(slices))
		for i := range slices {
			bottom := y(float64(floor[i]))
			area = append(area, vg.Point{X: at(i), Y: bottom}, vg.Point{X: at(i + 1), Y: bottom})
		}
		for i := len(slices) - 1; i >= 0; i-- {
			floor[i] += slices[i].Bytes[pool]
			top := y(float64(floor[i]))
			area = append(area, vg.Point{X: at(i + 1), Y: top}, vg.Point{X: at(i), Y: top})
		}
		c.FillPolygon(series[pool%len(series)], area)
	}
	if full := y(v.most); v.most > 0 && v.most <= v.limit {
		c.StrokeLine2(capacityLine, c.Min.X, full, c.Max.X, full)
	}
}
