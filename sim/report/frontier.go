package report

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"dmasim/internal/suggest"
	"dmasim/sim/experiment"
	"dmasim/sim/result"
)

// mostMarks is how many points of a sweep are drawn that are on no front.
const mostMarks = 4000

// tradeOff is a point of a sweep by two metrics.
type tradeOff struct {
	point    int
	x, y     float64
	work     int // which of the panels
	strategy int
	front    bool // no other point of its strategy beats it in one metric and ties or beats it in the other
	best     bool // none of any strategy does
}

// frontier draws two metrics of every point, if both vary. It is an error if they are
// unknown, or not both such that one wants them low or high.
func (s *swept) frontier(metrics [2]string) ([]Figure, error) {
	var signs [2]float64
	for i, name := range metrics {
		if known := s.Metrics(); len(known) > 0 && !slices.Contains(known, name) {
			return nil, fmt.Errorf("unknown metric %q%s", name, suggest.DidYouMean(suggest.Nearest(name, known)))
		}
		switch experiment.BetterOf(name) {
		case experiment.Lower:
			signs[i] = 1
		case experiment.Higher:
			signs[i] = -1
		default:
			return nil, fmt.Errorf("metric %s has no better direction: a frontier wants two that have, like failed and waste", name)
		}
	}
	if metrics[0] == metrics[1] {
		return nil, errors.New("a frontier is of two metrics")
	}
	strategies, works := s.distinct(s.strategy), s.distinct(s.work)
	var list []tradeOff
	for point := range s.points {
		if x, y := s.summary(point, metrics[0]), s.summary(point, metrics[1]); x != nil && y != nil {
			list = append(list, tradeOff{point: point, x: x.Mean.Estimate, y: y.Mean.Estimate, work: works.of[point], strategy: strategies.of[point]})
		}
	}
	if !varied(list, func(t tradeOff) float64 { return t.x }) || !varied(list, func(t tradeOff) float64 { return t.y }) {
		return nil, nil
	}
	byWork := make([][]tradeOff, len(works.list))
	for _, t := range list {
		byWork[t.work] = append(byWork[t.work], t)
	}
	for _, panel := range byWork {
		markFronts(panel, signs, len(strategies.list))
	}
	return []Figure{s.frontierFigure(metrics, byWork, works.list, strategies.list)}, nil
}

func varied(list []tradeOff, of func(tradeOff) float64) bool {
	return slices.ContainsFunc(list, func(t tradeOff) bool { return math.Abs(of(t)-of(list[0])) > 1e-9*math.Abs(of(list[0])) })
}

// markFronts finds the points of the same work that no other beats. It sorts the list by strategy, then
// along the fronts.
func markFronts(list []tradeOff, signs [2]float64, strategies int) {
	along := func(a, b tradeOff) int {
		if c := (a.x - b.x) * signs[0]; c != 0 {
			return int(math.Copysign(1, c))
		}
		if c := (a.y - b.y) * signs[1]; c != 0 {
			return int(math.Copysign(1, c))
		}
		return a.point - b.point
	}
	slices.SortFunc(list, along)
	least := math.Inf(1)
	each := make([]float64, strategies)
	for i := range each {
		each[i] = math.Inf(1)
	}
	for i := range list {
		t := &list[i]
		y := t.y * signs[1]
		if y < each[t.strategy] {
			each[t.strategy], t.front = y, true
		}
		if y < least {
			least, t.best = y, true
		}
	}
	slices.SortStableFunc(list, func(a, b tradeOff) int { return a.strategy - b.strategy })
}

var bestMark = draw.GlyphStyle{Color: black, Radius: 4, Shape: draw.RingGlyph{}}

func (s *swept) frontierFigure(metrics [2]string, byWork [][]tradeOff, works, strategies []string) Figure {
	title := "What each strategy trades: " + metrics[1] + " against " + metrics[0]
	data := s.frontierData(metrics, byWork, strategies)
	if len(byWork) > mostPanels {
		title += fmt.Sprintf(" (the first %d of %d panels)", mostPanels, len(byWork))
		byWork = byWork[:mostPanels]
	}
	list := slices.Concat(byWork...)
	axis := func(metric string, of func(tradeOff) float64) (lo, hi float64, ticks scale) {
		lo, hi = math.Inf(1), math.Inf(-1)
		for _, t := range list {
			lo, hi = min(lo, of(t)), max(hi, of(t))
		}
		if lo < hi/2 {
			lo = 0
		}
		room := (hi - lo) * 0.05
		lo, hi = max(lo-room, min(lo, 0)), hi+room
		return lo, hi, valueScale(s.unit(metric), lo, hi)
	}
	left, right, x := axis(metrics[0], func(t tradeOff) float64 { return t.x })
	bottom, top, y := axis(metrics[1], func(t tradeOff) float64 { return t.y })
	var key legend
	for i, name := range strategies {
		key = append(key, entry{name, func(c draw.Canvas) {
			lineThumb(seriesLine(i))(c)
			glyphThumb(indexGlyph(i))(c)
		}})
	}
	key = append(key, entry{"best of all", glyphThumb(bestMark)})
	drawn := len(list) <= mostMarks
	if drawn {
		key = append(key, entry{"pale: beaten by its own strategy", glyphThumb(draw.GlyphStyle{Color: lightGray, Radius: 1.6, Shape: draw.CircleGlyph{}})})
	}
	g := newGrid(len(byWork))
	var plots []*plot.Plot
	for i, list := range byWork {
		p := newPlot()
		p.X.Min, p.X.Max = left, right
		p.X.Tick.Marker = unlabelled{x}
		if g.last(i, len(byWork)) {
			p.X.Tick.Marker, p.X.Label.Text = x, x.label(metrics[0])
		}
		g.setY(p, i, y.label(metrics[1]), top, y)
		p.Y.Min = bottom
		p.Add(rules{}, heading(works[i]), fronts(list, len(strategies), drawn))
		plots = append(plots, p)
	}
	height, width := vg.Length(112), g.width()
	if len(byWork) == 1 {
		height, width = 2.3*vg.Inch, columnWidth*1.3
	}
	return newFigure("frontier", title, body{
		width: width, height: vg.Length(g.rows) * height, legend: key, data: data,
		draw: func(c draw.Canvas) { g.draw(c, plots) },
	})
}

// fronts draws the points of one panel and the lines along the fronts.
func fronts(list []tradeOff, strategies int, beaten bool) plot.Plotter {
	return plotFunc(func(c draw.Canvas, p *plot.Plot) {
		toX, toY := p.Transforms(&c)
		at := func(t tradeOff) vg.Point { return vg.Point{X: toX(t.x), Y: toY(t.y)} }
		for _, t := range list {
			if beaten && !t.front {
				mark := indexGlyph(t.strategy)
				mark.Color, mark.Radius = mix(series[t.strategy%len(series)], white, 0.65), 1.6
				c.DrawGlyphNoClip(mark, at(t))
			}
		}
		for i := range strategies {
			var line []vg.Point
			for _, t := range list {
				if t.front && t.strategy == i {
					line = append(line, at(t))
				}
			}
			if len(line) > 1 {
				c.StrokeLines(seriesLine(i), held(line))
			}
			for _, pt := range line {
				c.DrawGlyphNoClip(indexGlyph(i), pt)
			}
		}
		for _, t := range list {
			if t.best {
				c.DrawGlyphNoClip(bestMark, at(t))
			}
		}
	})
}

func (s *swept) frontierData(metrics [2]string, byWork [][]tradeOff, strategies []string) result.Table {
	columns := []result.Column{{Name: "point", Zero: int64(0)}, textColumn("strategy")}
	for i := range s.e.Parameters {
		columns = append(columns, textColumn(s.e.Parameters[i].Name))
	}
	for _, m := range metrics {
		columns = append(columns, numberColumn(strings.ReplaceAll(m, ",", ";")+"_"+s.unit(m)))
	}
	columns = append(columns, textColumn("front"))
	return result.Table{Columns: columns, Rows: func(yield func([]any) bool) {
		for _, t := range slices.Concat(byWork...) {
			front := ""
			switch {
			case t.best:
				front = "best"
			case t.front:
				front = "strategy"
			}
			row := []any{int64(t.point), strategies[t.strategy]}
			for _, v := range s.cells[t.point].Values {
				row = append(row, v)
			}
			if !yield(append(row, t.x, t.y, front)) {
				return
			}
		}
	}}
}
