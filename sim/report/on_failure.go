package report

import (
	"fmt"
	"image/color"
	"io"
	"slices"
	"time"
	"unicode/utf8"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"dmasim/sim/metrics"
	"dmasim/sim/result"
)

// OnFailureRows returns what became of the buffers that clients wanted whose workloads do
// something about refusals: a head, and a row for each variant and client; nil where
// there are none.
//
//   - at once, retry: the shares that the client's own heap served, at the first attempt
//     or later
//   - fallback: the share that another heap served
//   - dropped: the share that was given up
//   - wait, p99: the mean, and the 99 % quantile, of the time until one was served
func OnFailureRows(r *result.Result) [][]string {
	rows := [][]string{{"variant", "client", "wanted", "at once", "retry", "fallback", "dropped", "wait", "p99"}}
	for _, v := range r.Variants {
		for _, t := range v.Run.Summary.OnFailure {
			share := func(n uint64) string { return formatShare(ratio(float64(n), float64(t.Wanted))) }
			wait, p99 := "-", "-"
			if t.Served > 0 {
				wait, p99 = shortDuration(time.Duration(t.MeanWait)), shortDuration(t.P99Wait)
			}
			rows = append(rows, []string{v.Name, t.Client, shortCount(t.Wanted), share(t.ServedAtOnce), share(t.ServedByRetry),
				share(t.ServedByFallback), share(t.Dropped), wait, p99})
		}
	}
	if len(rows) == 1 {
		return nil
	}
	return rows
}

// OnFailureTable writes the rows of [OnFailureRows], no wider than 80 columns, and nothing
// where there are none.
func OnFailureTable(w io.Writer, r *result.Result) error {
	rows := OnFailureRows(r)
	if rows == nil {
		return nil
	}
	const total, gap, names, least = 80, 2, 2, 8
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	for sum(widths)+gap*(len(widths)-1) > total && max(widths[0], widths[1]) > least {
		widest := 0
		if widths[1] > widths[0] {
			widest = 1
		}
		widths[widest]--
	}
	for _, row := range rows {
		line := ""
		for i, cell := range row {
			if i < names {
				line += fmt.Sprintf("%-*s  ", widths[i], cutName(cell, widths[i]))
			} else {
				line += fmt.Sprintf("%*s  ", widths[i], cell)
			}
		}
		if _, err := fmt.Fprintln(w, line[:len(line)-gap]); err != nil {
			return err
		}
	}
	return nil
}

// StillWaiting says in a sentence of which client's buffers most were neither served nor
// dropped when the run ended; "" if next to none were.
func StillWaiting(r *result.Result) string {
	const least = 0.0005
	worst, text := least, ""
	for _, v := range r.Variants {
		for _, t := range v.Run.Summary.OnFailure {
			if share := ratio(float64(t.Waiting), float64(t.Wanted)); share >= worst {
				worst = share
				text = fmt.Sprintf("%s: %d of the %d buffers that %s wanted (%s) were still waited for at the end", v.Name, t.Waiting, t.Wanted, t.Client, formatShare(share))
			}
		}
	}
	return text
}

// fates are what may become of a wanted buffer, the best first.
var fates = []struct {
	name  string
	color color.NRGBA
	of    func(*metrics.OnFailureTotals) uint64
}{
	{"served at once", color.NRGBA{}, func(t *metrics.OnFailureTotals) uint64 { return t.ServedAtOnce }},
	{"served by a retry", blue, func(t *metrics.OnFailureTotals) uint64 { return t.ServedByRetry }},
	{"served by another heap", green, func(t *metrics.OnFailureTotals) uint64 { return t.ServedByFallback }},
	{"waiting at the end", lightGray, func(t *metrics.OnFailureTotals) uint64 { return t.Waiting }},
	{"dropped: freed", purple, func(t *metrics.OnFailureTotals) uint64 { return t.DroppedFreed }},
	{"dropped: too late", orange, func(t *metrics.OnFailureTotals) uint64 { return t.DroppedDeadline }},
	{"dropped: out of retries", vermillion, func(t *metrics.OnFailureTotals) uint64 { return t.DroppedRetries }},
}

// persistentClients returns the clients that any variant has totals of.
func persistentClients(r *result.Result) []string {
	var names []string
	for _, v := range r.Variants {
		for _, t := range v.Run.Summary.OnFailure {
			if !slices.Contains(names, t.Client) {
				names = append(names, t.Client)
			}
		}
	}
	return names
}

// afterRefusal are those that began with a refusal.
var afterRefusal = fates[1:]

// refused shows what became of the buffers that clients wanted and were not served at
// once: a panel for each client, a bar for each variant, and the share that was dropped.
func refused(r *result.Result, clients []string) body {
	const axes = vg.Length(44)
	g := newGrid(len(clients))
	b := body{
		width: g.width(), height: vg.Length(g.rows) * (axes + vg.Length(len(r.Variants))*rowPitch*1.4), data: onFailureData(r),
	}
	limit := leastPercent
	for _, v := range r.Variants {
		for _, t := range v.Run.Summary.OnFailure {
			limit = max(limit, ratio(float64(t.Wanted-t.ServedAtOnce), float64(t.Wanted)))
		}
	}
	var panels []*plot.Plot
	for i, client := range clients {
		p := newPlot()
		names := make([]plot.Tick, len(r.Variants))
		totals := make([]*metrics.OnFailureTotals, len(r.Variants))
		for k := range r.Variants {
			v := &r.Variants[k]
			names[k] = plot.Tick{Value: float64(len(r.Variants) - 1 - k), Label: cutName(v.Name, variantColumn)}
			list := v.Run.Summary.OnFailure
			if at := slices.IndexFunc(list, func(t metrics.OnFailureTotals) bool { return t.Client == client }); at >= 0 {
				totals[k] = &list[at]
			}
		}
		p.Y.Min, p.Y.Max = -0.5, float64(len(r.Variants))-0.5
		p.Y.Tick.Marker = unlabelled{plot.ConstantTicks(names)}
		if i%g.cols == 0 {
			p.Y.Tick.Marker = plot.ConstantTicks(names)
		}
		p.Y.Tick.Length, p.Y.LineStyle.Width = 0, 0
		x := percentScale(limit, 3)
		p.X.Min, p.X.Max = 0, limit*1.25
		p.X.Tick.Marker = x
		p.X.Label.Text = x.label("of what was wanted")
		p.Add(heading(client), fateBars(totals))
		panels = append(panels, p)
	}
	for _, f := range afterRefusal {
		if slices.ContainsFunc(r.Variants, func(v result.Variant) bool {
			return slices.ContainsFunc(v.Run.Summary.OnFailure, func(t metrics.OnFailureTotals) bool { return f.of(&t) > 0 })
		}) {
			b.legend = append(b.legend, entry{f.name, boxThumb(f.color)})
		}
	}
	b.draw = func(c draw.Canvas) { g.draw(c, panels) }
	return b
}

// fateBars are bars from the top down, with the share that was dropped; nil is a variant
// without.
type fateBars []*metrics.OnFailureTotals

// Plot implements plot.Plotter.
func (b fateBars) Plot(c draw.Canvas, p *plot.Plot) {
	x, y := p.Transforms(&c)
	c.StrokeLine2(gridLine, x(0), c.Min.Y, x(0), c.Max.Y)
	for i, t := range b {
		if t == nil {
			continue
		}
		mid := y(float64(len(b) - 1 - i))
		before := uint64(0)
		for _, f := range afterRefusal {
			from := x(ratio(float64(before), float64(t.Wanted)))
			before += f.of(t)
			fillBar(c, f.color, from, x(ratio(float64(before), float64(t.Wanted))), mid)
		}
		end := x(ratio(float64(before), float64(t.Wanted)))
		fillMiddle(c, countStyle(), vg.Point{X: end + countGap, Y: mid}, formatShare(ratio(float64(t.Dropped), float64(t.Wanted))))
	}
}
