package report

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"dmasim/sim/experiment/sweep"
	"dmasim/sim/result"
)

// CheckTable writes what runs say of what is known from elsewhere: for each source and
// metric, a row for each point with what is expected, our mean with the half-width of its
// 95 % interval, by how many standard errors it is off, and the verdict; at most 80
// columns wide.
func CheckTable(w io.Writer, checks []sweep.Check) error {
	var text strings.Builder
	for i := 0; i < len(checks); {
		if i == 0 || checks[i].Source != checks[i-1].Source {
			if i > 0 {
				text.WriteByte('\n')
			}
			fmt.Fprintln(&text, cutName(checks[i].Source, lineWidth))
		}
		end := i + 1
		for end < len(checks) && checks[end].Source == checks[i].Source && checkMetric(&checks[end]) == checkMetric(&checks[i]) {
			end++
		}
		common, points := commonWords(checks[i:end])
		columns := [][]string{append([]string{checkMetric(&checks[i]) + common}, points...), {"theirs"}, {"ours"}, {"±"}, {"off"}, {"verdict"}}
		for ; i < end; i++ {
			for k, cell := range checkRow(&checks[i]) {
				columns[k+1] = append(columns[k+1], cell)
			}
		}
		widths := columnWidths(columns)
		room := lineWidth - 2*(len(columns)-1)
		for _, width := range widths[1:] {
			room -= width
		}
		if title := columns[0][0]; widths[0] > room && len([]rune(title)) > room {
			fmt.Fprintln(&text, cutName(title, lineWidth))
			columns[0][0] = ""
		}
		widths[0] = min(columnWidths(columns[:1])[0], room)
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

// commonWords takes out of the names of several points what all of them have.
func commonWords(checks []sweep.Check) (common string, points []string) {
	shared := strings.Split(checks[0].Point, ", ")
	for i := range checks {
		words := strings.Split(checks[i].Point, ", ")
		shared = slices.DeleteFunc(shared, func(w string) bool { return !slices.Contains(words, w) })
	}
	if len(checks) == 1 || len(shared) == 0 {
		shared = nil
	} else {
		common = " of " + strings.Join(shared, ", ")
	}
	for i := range checks {
		words := slices.DeleteFunc(strings.Split(checks[i].Point, ", "), func(w string) bool { return slices.Contains(shared, w) })
		points = append(points, strings.Join(words, ", "))
	}
	if slices.Contains(points, "") {
		common = ""
		for i := range checks {
			points[i] = checks[i].Point
		}
	}
	return common, points
}

func checkRow(c *sweep.Check) []string {
	row := []string{checkTheirs(c), "-", "", "", checkVerdict(c)}
	if c.Runs > 0 {
		row[1] = checkNumber(c.Ours.Estimate)
	}
	if c.Runs > 1 {
		row[2] = strconv.FormatFloat(c.Ours.HalfWidth(), 'g', 2, 64)
	}
	if !math.IsNaN(c.Off) && !math.IsInf(c.Off, 0) {
		row[3] = strconv.FormatFloat(c.Off, 'f', 1, 64)
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
	theirLine = draw.LineStyle{Color: vermillion, Width: 0.9}
	theirBand = mix(vermillion, white, 0.75)
)

// checkGroup are the checks of one metric, by the row of their point.
type checkGroup struct {
	title string
	unit  string
	signs bool // it is the sign that is known
	rows  map[int]*sweep.Check
}

// CheckFigure draws by how much our means are off what is known, with their intervals,
// and what is known only by its sign as it is: a panel for each metric, a row for each
// point.
func CheckFigure(checks []sweep.Check) Figure {
	common, short := commonWords(checks)
	var points, labels []string
	var groups []*checkGroup
	for i := range checks {
		c := &checks[i]
		row := slices.Index(points, c.Point)
		if row < 0 {
			row = len(points)
			points, labels = append(points, c.Point), append(labels, short[i])
		}
		made := checkGroup{title: checkMetric(c), unit: c.Unit, signs: c.Sign != "", rows: map[int]*sweep.Check{}}
		if made.signs {
			made.title += ", of which the sign is known"
		}
		at := slices.IndexFunc(groups, func(g *checkGroup) bool { return g.title == made.title && g.rows[row] == nil })
		if at < 0 {
			at = len(groups)
			groups = append(groups, &made)
		}
		groups[at].rows[row] = c
	}
	g := grid{rows: (len(groups) + panelColumns - 1) / panelColumns, cols: min(len(groups), panelColumns)}
	band := checkPitch*vg.Length(len(points)) + 34
	var plots []*plot.Plot
	for i, group := range groups {
		p := group.plot(len(points))
		if i%g.cols == 0 {
			p.Add(intervalNames(labels))
		}
		plots = append(plots, p)
	}
	width := pageWidth
	if g.cols == 1 {
		width = columnWidth * 1.4
	}
	return newFigure("expected", "Ours minus theirs"+common+", with 95 % intervals", body{
		width: width, height: band * vg.Length(g.rows), data: CheckData(checks),
		legend: legend{
			{"theirs, with its own interval or tolerance", theirThumb},
			{"ours, agrees", glyphThumb(intervalMark(blue, true))}, {"ours, differs", glyphThumb(intervalMark(black, false))},
		},
		draw: func(c draw.Canvas) { g.draw(c, plots) },
	})
}

func theirThumb(c draw.Canvas) {
	c.FillPolygon(theirBand, corners(thumbBox(c)))
	mid := c.Center().X
	c.StrokeLine2(theirLine, mid, thumbBox(c).Min.Y, mid, thumbBox(c).Max.Y)
}

// known is where theirs is in a panel, and how far it may be off.
func (g *checkGroup) known(c *sweep.Check) (origin, spread float64) {
	if g.signs {
		return 0, 0
	}
	return c.Expected, max(c.Error, c.Tolerance)
}

func (g *checkGroup) plot(rows int) *plot.Plot {
	most := 0.0
	for _, c := range g.rows {
		origin, spread := g.known(c)
		for _, v := range []float64{spread, c.Ours.Estimate - origin, c.Ours.Lo - origin, c.Ours.Hi - origin} {
			if !math.IsNaN(v) {
				most = max(most, math.Abs(v))
			}
		}
	}
	if most == 0 {
		most = 1e-3
	}
	p := newPlot()
	p.X.Min, p.X.Max = -most*1.05, most*1.05
	p.Y.Min, p.Y.Max = 0, float64(rows)
	x := valueScale(g.unit, p.X.Min, p.X.Max)
	p.X.Tick.Marker, p.X.Label.Text = x, x.unit
	if g.unit == "share" {
		p.X.Label.Text = "percentage points"
	}
	p.HideY()
	p.Add(heading(g.title), plotFunc(func(c draw.Canvas, p *plot.Plot) {
		toX, toY := p.Transforms(&c)
		for row := range rows {
			box := vg.Rectangle{Min: vg.Point{X: c.Min.X, Y: toY(float64(rows - row - 1))}, Max: vg.Point{X: c.Max.X, Y: toY(float64(rows - row))}}
			if row%2 == 0 {
				c.FillPolygon(gray(246), corners(box))
			}
			check := g.rows[row]
			if check == nil {
				continue
			}
			origin, spread := g.known(check)
			if spread > 0 {
				c.FillPolygon(theirBand, corners(vg.Rectangle{Min: vg.Point{X: toX(-spread), Y: box.Min.Y}, Max: vg.Point{X: toX(spread), Y: box.Max.Y}}))
			}
			c.StrokeLine2(theirLine, toX(0), box.Min.Y, toX(0), box.Max.Y)
			if check.Runs == 0 {
				continue
			}
			ours, y := blue, (box.Min.Y+box.Max.Y)/2
			if !check.Agrees {
				ours = black
			}
			if !math.IsNaN(check.Ours.Lo) {
				c.StrokeLine2(draw.LineStyle{Color: ours, Width: 1}, toX(check.Ours.Lo-origin), y, toX(check.Ours.Hi-origin), y)
			}
			c.DrawGlyph(intervalMark(ours, check.Agrees), vg.Point{X: toX(check.Ours.Estimate - origin), Y: y})
		}
	}))
	return p
}
