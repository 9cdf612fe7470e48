package report

import (
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"dmasim/sim/experiment/sweep"
	"dmasim/sim/result"
)

// CheckTable writes what runs say of what is known from elsewhere: for each source, a
// row for each point of a metric with what is expected, our mean with the half-width of its 95 %
// interval, by how many standard errors it is off, and the verdict; at most 80 columns
// wide.
func CheckTable(w io.Writer, checks []sweep.Check) error {
	var text strings.Builder
	for i := 0; i < len(checks); {
		if i == 0 || checks[i].Source != checks[i-1].Source {
			if i > 0 {
				text.WriteByte('\n')
			}
			fmt.Fprintln(&text, cutName(checks[i].Source, lineWidth))
		}
		first := &checks[i]
		columns := [][]string{{checkMetric(first)}, {"theirs"}, {"ours"}, {"±"}, {"off"}, {"verdict"}}
		for ; i < len(checks) && checks[i].Source == first.Source && checkMetric(&checks[i]) == columns[0][0]; i++ {
			for k, cell := range checkRow(&checks[i]) {
				columns[k] = append(columns[k], cell)
			}
		}
		widths := columnWidths(columns)
		room := lineWidth - 2*(len(columns)-1)
		for _, width := range widths[1:] {
			room -= width
		}
		widths[0] = min(widths[0], room)
		for row := range columns[0] {
			line := fmt.Sprintf("%-*s", widths[0], cutName(columns[0][row], widths[0]))
			for k := 1; k < len(columns)-1; k++ {
				line += fmt.Sprintf("  %*s", widths[k], columns[k][row])
			}
			fmt.Fprintln(&text, line+"  "+columns[len(columns)-1][row])
		}
	}
	_, err := io.WriteString(w, text.String())
	return err
}

func checkRow(c *sweep.Check) []string {
	row := []string{c.Point, checkTheirs(c), "-", "", "", checkVerdict(c)}
	if c.Runs > 0 {
		row[2] = checkNumber(c.Ours.Estimate)
	}
	if c.Runs > 1 {
		row[3] = strconv.FormatFloat(c.Ours.HalfWidth(), 'g', 2, 64)
	}
	if !math.IsNaN(c.Off) && !math.IsInf(c.Off, 0) {
		row[4] = strconv.FormatFloat(c.Off, 'f', 1, 64)
	}
	return row
}

// checkMetric says what is compared.
func checkMetric(c *sweep.Check) string {
	if c.Above != "" {
		return "P(" + c.Metric + " > " + c.Above + ")"
	}
	return c.Metric
}

func checkTheirs(c *sweep.Check) string {
	switch c.Sign {
	case "positive":
		return "> 0"
	case "negative":
		return "< 0"
	}
	theirs := checkNumber(c.Expected)
	if c.Error > 0 {
		theirs += "±" + strconv.FormatFloat(c.Error, 'g', 2, 64)
	}
	return theirs
}

func checkNumber(v float64) string { return strconv.FormatFloat(v, 'g', 5, 64) }

func checkVerdict(c *sweep.Check) string {
	switch {
	case c.Runs == 0:
		return "no runs"
	case c.Agrees:
		return "agrees"
	}
	return "differs"
}

// CheckData is the same as a table.
func CheckData(checks []sweep.Check) result.Table {
	return result.Table{
		Columns: []result.Column{textColumn("source"), textColumn("metric"), textColumn("above"), textColumn("unit"), textColumn("point"),
			textColumn("expected_sign"), optionalColumn("expected"), numberColumn("expected_half_width"), numberColumn("tolerance"),
			{Name: "runs", Zero: int64(0)}, optionalColumn("mean"), optionalColumn("low"), optionalColumn("high"), optionalColumn("standard_errors_off"), textColumn("verdict")},
		Rows: func(yield func([]any) bool) {
			for i := range checks {
				c := &checks[i]
				var expected *float64
				if c.Sign == "" {
					expected = &c.Expected
				}
				if !yield([]any{c.Source, c.Metric, c.Above, c.Unit, c.Point, string(c.Sign), expected, c.Error, c.Tolerance,
					int64(c.Runs), optional(c.Ours.Estimate), optional(c.Ours.Lo), optional(c.Ours.Hi), optional(c.Off), checkVerdict(c)}) {
					return
				}
			}
		},
	}
}

const checkPitch = vg.Length(8.5)

var (
	theirMark = draw.GlyphStyle{Color: vermillion, Radius: 2.6, Shape: draw.PlusGlyph{}}
	theirLine = draw.LineStyle{Color: vermillion, Width: 0.8}
)

// CheckFigure draws what is expected and our means with their intervals, a panel for
// each metric.
func CheckFigure(checks []sweep.Check) Figure {
	type group struct {
		title, unit string
		rows        []sweep.Check
	}
	var groups []group
	for _, c := range checks {
		title := checkMetric(&c)
		if n := len(groups); n == 0 || groups[n-1].title != title {
			groups = append(groups, group{title: title, unit: c.Unit})
		}
		groups[len(groups)-1].rows = append(groups[len(groups)-1].rows, c)
	}
	// Panels side by side share the names of their rows if they have the same.
	cols := min(len(groups), panelColumns)
	for _, g := range groups {
		if !samePoints(g.rows, groups[0].rows) {
			cols = 1
		}
	}
	g := grid{rows: (len(groups) + cols - 1) / cols, cols: cols}
	height := vg.Length(0)
	var plots []*plot.Plot
	var heights []vg.Length
	for i, made := range groups {
		names := make([]string, len(made.rows))
		for k := range made.rows {
			names[k] = made.rows[k].Point
		}
		p := checkPlot(made.title, made.unit, made.rows)
		if i%cols == 0 {
			p.Add(intervalNames(names))
			heights = append(heights, checkPitch*vg.Length(len(names))+34)
			height += heights[len(heights)-1]
		}
		plots = append(plots, p)
	}
	width := pageWidth
	if cols == 1 {
		width = columnWidth * 1.4
	}
	return newFigure("expected", "What is known from elsewhere, and our means with 95 % intervals", body{
		width: width, height: height, data: CheckData(checks),
		legend: legend{{"theirs", glyphThumb(theirMark)}, {"ours", glyphThumb(intervalMark(blue, true))}, {"ours, differs", glyphThumb(intervalMark(black, false))}},
		draw: func(c draw.Canvas) {
			for row, tall := range heights {
				g := grid{rows: 1, cols: g.cols}
				g.draw(draw.Crop(c, 0, 0, c.Size().Y-tall, 0), plots[row*cols:min((row+1)*cols, len(plots))])
				c.Max.Y -= tall
			}
		},
	})
}

func samePoints(a, b []sweep.Check) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i].Point != b[i].Point {
			return false
		}
	}
	return true
}

func checkPlot(title, unit string, rows []sweep.Check) *plot.Plot {
	lo, hi := math.Inf(1), math.Inf(-1)
	include := func(list ...float64) {
		for _, v := range list {
			if !math.IsNaN(v) {
				lo, hi = min(lo, v), max(hi, v)
			}
		}
	}
	for _, r := range rows {
		include(r.Ours.Estimate, r.Ours.Lo, r.Ours.Hi)
		if r.Sign != "" {
			include(0)
		} else {
			include(r.Expected-r.Error, r.Expected+r.Error)
		}
	}
	if !(hi > lo) {
		lo, hi = lo-1e-3, hi+1e-3
	}
	if math.IsInf(lo, 0) {
		lo, hi = 0, 1
	}
	room := (hi - lo) * 0.05
	p := newPlot()
	p.X.Min, p.X.Max = lo-room, hi+room
	p.Y.Min, p.Y.Max = 0, float64(len(rows))
	x := valueScale(unit, p.X.Min, p.X.Max)
	p.X.Tick.Marker, p.X.Label.Text = x, x.unit
	p.HideY()
	p.Add(heading(title), plotFunc(func(c draw.Canvas, p *plot.Plot) {
		toX, toY := p.Transforms(&c)
		for i, r := range rows {
			y := toY(float64(len(rows)-i) - 0.5)
			if i%2 == 0 {
				c.FillPolygon(gray(245), corners(vg.Rectangle{Min: vg.Point{X: c.Min.X, Y: toY(float64(len(rows) - i - 1))}, Max: vg.Point{X: c.Max.X, Y: toY(float64(len(rows) - i))}}))
			}
			if r.Sign != "" {
				c.StrokeLine2(draw.LineStyle{Color: midGray, Width: 0.5}, toX(0), toY(float64(len(rows)-i-1)), toX(0), toY(float64(len(rows)-i)))
			} else {
				if r.Error > 0 {
					c.StrokeLine2(theirLine, toX(r.Expected-r.Error), y, toX(r.Expected+r.Error), y)
				}
				c.DrawGlyph(theirMark, vg.Point{X: toX(r.Expected), Y: y})
			}
			if r.Runs == 0 {
				continue
			}
			ours := blue
			if !r.Agrees {
				ours = black
			}
			if !math.IsNaN(r.Ours.Lo) {
				c.StrokeLine2(draw.LineStyle{Color: ours, Width: 1}, toX(r.Ours.Lo), y, toX(r.Ours.Hi), y)
			}
			mark := intervalMark(ours, r.Agrees)
			mark.Radius = 1.5
			c.DrawGlyph(mark, vg.Point{X: toX(r.Ours.Estimate), Y: y})
		}
	}))
	return p
}
