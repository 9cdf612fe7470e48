package report

import (
	"fmt"
	"slices"
	"strings"
	"unicode"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"dmasim/internal/suggest"
	"dmasim/sim/experiment"
	"dmasim/sim/experiment/stats"
	"dmasim/sim/experiment/sweep"
	"dmasim/sim/result"
)

// How many small multiples a figure of a sweep has at most, and side by side.
const (
	mostPanels = 12
	mostAcross = 6
)

// SweepChoice says what the figures of a sweep show.
type SweepChoice struct {
	Metric string // of the heatmap and of the small multiples
	// Axes are the parameters of the heatmap, right and up. Without them it is drawn
	// where exactly two parameters list numbers, sizes or times.
	Axes []string
	// Frontier are the two metrics that are traded off.
	Frontier [2]string
}

// SweepFigures draws a sweep from the means of its points:
//
//   - heatmap: a metric over two parameters, a panel for each variant and each value
//     of the other parameters
//   - frontier: one metric against another, a mark for each point, with those of
//     every strategy that no other of it beats; a panel for each kind of work
//   - workloads: how much of each client's work failed, a panel for each client, over
//     the first parameter that lists numbers
//
// and leaves out what there is nothing of. Drawn parameters are averaged over. It is
// an error if a choice names what the sweep does not have.
func SweepFigures(r *sweep.Results, c SweepChoice) ([]Figure, error) {
	s := newSwept(r)
	axes, err := HeatmapAxes(r.Experiment, c.Axes)
	if err != nil {
		return nil, err
	}
	var figures []Figure
	if len(axes) == 2 && s.has(c.Metric) {
		figures = append(figures, s.heatmap(c.Metric, axes[0], axes[1]))
	}
	front, err := s.frontier(c.Frontier)
	if err != nil {
		return nil, err
	}
	figures = append(figures, front...)
	if over := s.over(axes); over >= 0 {
		if metrics := s.parts(c.Metric); len(metrics) > 0 {
			figures = append(figures, s.workloads(metrics, over))
		}
	}
	return figures, nil
}

// swept is a sweep with the means of its points.
type swept struct {
	*sweep.Results
	e      *sweep.Experiment
	cells  []sweep.Cell      // of every point, one
	points [][]sweep.Summary // of every point
}

func newSwept(r *sweep.Results) *swept {
	s := &swept{Results: r, e: r.Experiment}
	for point := range s.e.Points() {
		s.cells = append(s.cells, s.e.Cell(point*s.e.Replications))
		s.points = append(s.points, r.Summarize(point))
	}
	return s
}

// summary is that of a metric of a point; nil if the point has none.
func (s *swept) summary(point int, metric string) *sweep.Summary {
	i := slices.IndexFunc(s.points[point], func(m sweep.Summary) bool { return m.Metric == metric })
	if i < 0 {
		return nil
	}
	return &s.points[point][i]
}

func (s *swept) has(metric string) bool { return s.unit(metric) != "" }

// unit is that of a metric; "" if no point has it.
func (s *swept) unit(metric string) string {
	for point := range s.points {
		if m := s.summary(point, metric); m != nil {
			return m.Unit
		}
	}
	return ""
}

// varies reports whether a parameter lists more than one value.
func varies(p *sweep.Parameter) bool { return p.Listed() && len(p.Texts()) > 1 }

// HeatmapAxes are the numbers of the parameters of that names; without names the two
// that list numbers, sizes or times, if there are exactly two.
func HeatmapAxes(e *sweep.Experiment, names []string) ([]int, error) {
	var list []int
	if names == nil {
		for i := range e.Parameters {
			if p := &e.Parameters[i]; varies(p) && p.Numeric() {
				list = append(list, i)
			}
		}
		if len(list) != 2 {
			return nil, nil
		}
		return list, nil
	}
	if len(names) != 2 || names[0] == names[1] {
		return nil, fmt.Errorf("a heatmap is over two parameters, not %s", strings.Join(names, ", "))
	}
	var known []string
	for _, p := range e.Parameters {
		known = append(known, p.Name)
	}
	for _, name := range names {
		i := slices.Index(known, name)
		switch {
		case i < 0:
			return nil, fmt.Errorf("unknown parameter %q%s", name, suggest.DidYouMean(suggest.Nearest(name, known)))
		case !e.Parameters[i].Listed():
			return nil, fmt.Errorf("parameter %s is drawn: a heatmap is over parameters that list values", name)
		}
		list = append(list, i)
	}
	return list, nil
}

// over is the parameter of the axis of small multiples: the first of those given, or
// the first that lists numbers; -1 if there is none.
func (s *swept) over(axes []int) int {
	if len(axes) > 0 && s.e.Parameters[axes[0]].Numeric() {
		return axes[0]
	}
	return slices.IndexFunc(s.e.Parameters, func(p sweep.Parameter) bool { return varies(&p) && p.Numeric() })
}

// isStrategy reports whether a parameter is the allocator of a heap.
func isStrategy(p *sweep.Parameter) bool {
	return slices.ContainsFunc(p.Paths, func(path string) bool { return strings.HasSuffix(path, ".allocator") })
}

// strategy names the strategy of a point: its variant, where there are several, and
// the values of parameters that are allocators.
func (s *swept) strategy(point int) string {
	var words []string
	if len(s.e.Variants()) > 1 {
		words = append(words, s.cells[point].Variant)
	}
	for i := range s.e.Parameters {
		if p := &s.e.Parameters[i]; varies(p) && isStrategy(p) {
			words = append(words, s.cells[point].Values[i])
		}
	}
	if len(words) == 0 {
		return s.cells[point].Variant
	}
	return strings.Join(words, ", ")
}

// isWork reports whether a parameter changes the work, and not what serves it.
func isWork(p *sweep.Parameter) bool {
	return slices.ContainsFunc(p.Paths, func(path string) bool {
		return strings.HasPrefix(path, "workloads.") || strings.HasPrefix(path, "processes.")
	})
}

// work names the values at a point of the parameters that change the work.
func (s *swept) work(point int) string {
	var words []string
	for i := range s.e.Parameters {
		if p := &s.e.Parameters[i]; varies(p) && isWork(p) {
			words = append(words, p.Name+" "+s.cells[point].Values[i])
		}
	}
	return strings.Join(words, ", ")
}

// setting names the values at a point of the parameters that vary and are not left
// out, strategies apart.
func (s *swept) setting(point int, without ...int) string {
	var words []string
	for i := range s.e.Parameters {
		if p := &s.e.Parameters[i]; varies(p) && !isStrategy(p) && !slices.Contains(without, i) {
			words = append(words, p.Name+" "+s.cells[point].Values[i])
		}
	}
	return strings.Join(words, ", ")
}

// names are different names in the order in which they were first met.
type names struct {
	list []string
	at   map[string]int
	of   []int // of each point
}

// distinct numbers the different results of f over all points.
func (s *swept) distinct(f func(point int) string) names {
	n := names{at: map[string]int{}, of: make([]int, len(s.points))}
	for point := range s.points {
		name := f(point)
		i, known := n.at[name]
		if !known {
			i = len(n.list)
			n.at[name] = i
			n.list = append(n.list, name)
		}
		n.of[point] = i
	}
	return n
}

// levels numbers the values of a parameter in the order of its texts.
func (s *swept) levels(i int) names {
	n := names{list: s.e.Parameters[i].Texts(), at: map[string]int{}, of: make([]int, len(s.points))}
	for k, text := range n.list {
		n.at[text] = k
	}
	for point := range s.points {
		n.of[point] = n.at[s.cells[point].Values[i]]
	}
	return n
}

// place is where a point belongs in a figure: in which panel, line and column, or
// panel, row and column.
type place struct{ panel, line, column int }

// gather returns the mean of a metric in every place, with its interval. Where
// several points belong in one place, it is that of their means.
func (s *swept) gather(metric string, at func(point int) place) map[place]stats.Interval {
	found := map[place][]stats.Interval{}
	for point := range s.points {
		if m := s.summary(point, metric); m != nil {
			p := at(point)
			found[p] = append(found[p], m.Mean)
		}
	}
	means := make(map[place]stats.Interval, len(found))
	for p, list := range found {
		if means[p] = list[0]; len(list) == 1 {
			continue
		}
		values := make([]float64, len(list))
		for i := range list {
			values[i] = list[i].Estimate
		}
		means[p] = stats.Mean(values, experiment.Level)
	}
	return means
}

// drawn says over how many points of the sample figures average.
func (s *swept) drawn() string {
	for _, p := range s.e.Parameters {
		if !p.Listed() {
			return fmt.Sprintf(", means over the %d points of the sample", len(p.Texts()))
		}
	}
	return ""
}

// join writes what is not empty with a comma between.
func join(words ...string) string {
	return strings.Join(slices.DeleteFunc(words, func(w string) bool { return w == "" }), ", ")
}

// categories is an axis of values that lie beside each other at equal distances.
type categories struct {
	name   string
	labels []string
}

// newCategories takes a unit that all values have out of the labels.
func newCategories(p *sweep.Parameter) categories {
	c := categories{p.Name, p.Texts()}
	if !p.Numeric() {
		return c
	}
	unit := ""
	for i, label := range c.labels {
		suffix := label[strings.LastIndexFunc(label, unicode.IsDigit)+1:]
		if i > 0 && suffix != unit {
			return c
		}
		unit = suffix
	}
	if unit == "" {
		return c
	}
	for i := range c.labels {
		c.labels[i] = strings.TrimSuffix(c.labels[i], unit)
	}
	c.name += " (" + unit + ")"
	return c
}

// ticks marks the middle of each category, and names as many as there is room for.
func (c categories) ticks(room, each vg.Length) plot.ConstantTicks {
	every := 1
	for each > 0 && room > 0 && each*vg.Length(len(c.labels))/vg.Length(every) > room && every < len(c.labels) {
		every++
	}
	var ticks plot.ConstantTicks
	for i, label := range c.labels {
		if i%every != 0 {
			label = ""
		}
		ticks = append(ticks, plot.Tick{Value: float64(i) + 0.5, Label: label})
	}
	return ticks
}

// widest is how wide a label is at most, with a gap.
func (c categories) widest() vg.Length {
	style, width := textStyle(textSize), vg.Length(0)
	for _, label := range c.labels {
		width = max(width, style.Width(label))
	}
	return width + 5
}

// panelWidth is about what a panel of the grid has for its data.
func (g grid) panelWidth() vg.Length {
	return (g.width()-2*margin)/vg.Length(g.cols) - 40
}

// parts are the metrics of small multiples: those of every client, where there are
// several, or the metric itself.
func (s *swept) parts(metric string) []string {
	var list []string
	for _, name := range s.Metrics() {
		if strings.HasPrefix(name, metric+":") {
			list = append(list, name)
		}
	}
	if len(list) == 0 && s.has(metric) {
		list = []string{metric}
	}
	return list
}

// reading is a mark of small multiples.
type reading struct {
	category int
	stats.Interval
}

// workloads draws small multiples: a panel for each metric and setting of the
// parameters that are not on the axis, a line for each strategy.
func (s *swept) workloads(metrics []string, over int) Figure {
	const height = vg.Length(112)
	p := &s.e.Parameters[over]
	x := newCategories(p)
	settings := s.distinct(func(point int) string { return s.setting(point, over) })
	strategies := s.distinct(s.strategy)
	columns := s.levels(over)
	unit := s.unit(metrics[0])
	type panel struct {
		name  string
		lines [][]reading // by strategy
	}
	total := len(metrics) * len(settings.list)
	var panels []panel
	top := 0.0
	for _, metric := range metrics {
		means := s.gather(metric, func(point int) place { return place{settings.of[point], strategies.of[point], columns.of[point]} })
		for i, setting := range settings.list {
			if len(panels) == mostPanels {
				break
			}
			name := metric
			if _, client, of := strings.Cut(metric, ":"); of {
				name = client
			}
			made := panel{name: join(name, setting), lines: make([][]reading, len(strategies.list))}
			for k := range strategies.list {
				for column := range columns.list {
					if v, ok := means[place{i, k, column}]; ok {
						made.lines[k] = append(made.lines[k], reading{column, v})
						top = max(top, v.Estimate)
						if v.Hi > top {
							top = v.Hi
						}
					}
				}
			}
			panels = append(panels, made)
		}
	}
	metric, _, _ := strings.Cut(metrics[0], ":")
	title := metric + " over " + p.Name + s.drawn()
	if len(metrics) > 1 {
		title = metric + " of each client over " + p.Name + s.drawn()
	}
	if total > len(panels) {
		title += fmt.Sprintf(" (the first %d of %d panels)", len(panels), total)
	}
	var key legend
	for i, strategy := range strategies.list {
		if len(strategies.list) > 1 {
			key = append(key, entry{strategy, lineThumb(seriesLine(i))})
		}
	}
	g := newGrid(len(panels))
	if across := len(settings.list); len(metrics) > 1 && across > 1 && across <= mostAcross && total == len(panels) {
		g = grid{rows: len(metrics), cols: across}
	}
	y := valueScale(unit, 0, max(top, 1e-3))
	var plots []*plot.Plot
	for i, made := range panels {
		p := newPlot()
		p.X.Min, p.X.Max = 0, float64(len(x.labels))
		ticks := x.ticks(g.panelWidth(), x.widest())
		p.X.Tick.Marker = unlabelled{ticks}
		if g.last(i, len(panels)) {
			p.X.Tick.Marker, p.X.Label.Text = ticks, x.name
		}
		g.setY(p, i, y.label(metric), max(top, 1e-3)*1.05, y)
		p.Add(rules{}, heading(made.name), plotFunc(func(c draw.Canvas, p *plot.Plot) {
			toX, toY := p.Transforms(&c)
			for k, line := range made.lines {
				style := seriesLine(k)
				whisker := draw.LineStyle{Color: style.Color, Width: 0.7}
				var points []vg.Point
				for _, at := range line {
					// Beside each other, so that whiskers do not hide whiskers.
					beside := (float64(k) - float64(len(made.lines)-1)/2) * min(0.08, 0.5/float64(len(made.lines)))
					pt := vg.Point{X: toX(float64(at.category) + 0.5 + beside), Y: toY(at.Estimate)}
					if at.Hi >= at.Lo {
						c.StrokeLine2(whisker, pt.X, toY(max(at.Lo, 0)), pt.X, toY(at.Hi))
					}
					c.DrawGlyphNoClip(indexGlyph(k), pt)
					points = append(points, pt)
				}
				if len(points) > 1 {
					c.StrokeLines(style, points)
				}
			}
		}))
		plots = append(plots, p)
	}
	return newFigure("workloads", title, body{
		width: g.width(), height: vg.Length(g.rows) * height, legend: key,
		data: result.Table{
			Columns: []result.Column{textColumn("panel"), textColumn("strategy"), textColumn(p.Name), numberColumn("mean_" + unit), optionalColumn("low"), optionalColumn("high")},
			Rows: func(yield func([]any) bool) {
				for _, made := range panels {
					for i, line := range made.lines {
						for _, at := range line {
							if !yield([]any{made.name, strategies.list[i], columns.list[at.category], at.Estimate, optional(at.Lo), optional(at.Hi)}) {
								return
							}
						}
					}
				}
			},
		},
		draw: func(c draw.Canvas) { g.draw(c, plots) },
	})
}
