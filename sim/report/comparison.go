package report

import (
	"image/color"
	"slices"
	"strconv"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"dmasim/allocator"
	"dmasim/mem"
	"dmasim/sim/metrics"
)

const (
	// comparedClients is how many clients have a bar of their own.
	comparedClients = 4

	rowPitch     = vg.Length(8.5)
	leastPercent = 0.01 // the shortest axis of shares

	blockGap  = 0.7 // between variants, in rows
	barHeight = vg.Length(5.5)
)

// comparison shows a block of rows for each variant and beside each other what
// failed, how fragmented the heap was, how much memory it took and what of it
// was wasted.
func comparison(views []view) body {
	b := newBlocks(views)
	panels := []panel{b.failures(), b.indices(), b.memory(), b.waste()}
	plots := make([]*plot.Plot, len(panels))
	header := vg.Length(0)
	for i, p := range panels {
		p.plot.HideY()
		p.plot.Y.Min, p.plot.Y.Max = 0, b.rows()
		plots[i] = p.plot
		header = max(header, vg.Length(len(p.key)+1)*legendPitch)
	}
	return body{
		width: pageWidth, height: header + rowPitch*vg.Length(b.rows()) + 28, data: b.data(),
		draw: func(c draw.Canvas) {
			area := draw.Crop(c, 0, 0, 0, -header-2)
			canvases := plot.Align([][]*plot.Plot{plots}, draw.Tiles{Rows: 1, Cols: len(plots), PadX: 12}, area)[0]
			for i, p := range panels {
				data := p.plot.DataCanvas(canvases[i])
				b.rule(data)
				p.plot.Draw(canvases[i])
				top := c
				top.Min.X, top.Max.X = data.Min.X, data.Max.X
				p.drawHeader(top)
			}
		},
	}
}

// panel is one column of the comparison.
type panel struct {
	title string
	key   legend
	plot  *plot.Plot
}

// drawHeader draws the title and, below each other, the entries of the legend.
func (p panel) drawHeader(c draw.Canvas) {
	style := textStyle(textSize)
	style.YAlign = draw.YTop
	c.FillText(style, vg.Point{X: c.Min.X, Y: c.Max.Y}, shorten(p.title, style, c.Size().X))
	for _, e := range p.key {
		c.Max.Y -= legendPitch
		legend{e}.draw(c)
	}
}

// A plotFunc is a plotter without a range of its own.
type plotFunc func(draw.Canvas, *plot.Plot)

// Plot implements plot.Plotter.
func (f plotFunc) Plot(c draw.Canvas, p *plot.Plot) { f(c, p) }

// blocks are the rows of the comparison. Row 0 is at the top.
type blocks struct {
	views   []view
	clients []string // with a bar in each block
	causes  []allocator.Cause
	devices []string // that reach a part of the heap
	height  int      // of a block, in rows
}

func newBlocks(views []view) *blocks {
	b := &blocks{views: views, clients: failingClients(views), causes: causesOf(views)}
	b.devices, _ = devices(views)
	b.height = max(len(b.clients), (len(b.devices)+1)/2, 2)
	return b
}

func (b *blocks) rows() float64 {
	return max(float64(len(b.views)), 1) * (float64(b.height) + blockGap)
}

// row returns the vertical position of the k-th of n rows that are centred in
// the block of a variant.
func (b *blocks) row(variant int, k, n float64) float64 {
	top := float64(variant)*(float64(b.height)+blockGap) + blockGap/2
	return b.rows() - (top + (float64(b.height)-n)/2 + k + 0.5)
}

// rule draws lines between the blocks.
func (b *blocks) rule(c draw.Canvas) {
	for i := 1; i < len(b.views); i++ {
		y := c.Y(1 - float64(i)/float64(len(b.views)))
		c.StrokeLine2(gridLine, c.Min.X, y, c.Max.X, y)
	}
}

// newPanel returns a panel with an axis from 0 to limit.
func (b *blocks) newPanel(title string, x scale, label string, limit float64) panel {
	p := newPlot()
	p.X.Min, p.X.Max = 0, limit
	p.X.Tick.Marker = x
	p.X.Label.Text = x.label(label)
	p.Add(plotFunc(func(c draw.Canvas, p *plot.Plot) {
		for _, t := range x.Ticks(0, limit) {
			at := c.X(p.X.Norm(t.Value))
			c.StrokeLine2(gridLine, at, c.Min.Y, at, c.Max.Y)
		}
	}))
	return panel{title: title, plot: p}
}

// newSharePanel returns a panel for bars of shares up to worst, with room for
// their values on the right.
func (b *blocks) newSharePanel(title, label string, worst float64) panel {
	limit := max(worst, leastPercent) * 1.45
	return b.newPanel(title, percentScale(min(limit, 1), 3), label, limit)
}

// failingClients returns the clients that failed in any variant; where they are
// too many, those with the largest share.
func failingClients(views []view) []string {
	worst := make(map[string]float64)
	var names []string
	for _, v := range views {
		for _, c := range v.clients {
			if c.Heap != v.heap.Name || c.Failures == 0 {
				continue
			}
			if _, known := worst[c.Name]; !known {
				names = append(names, c.Name)
			}
			worst[c.Name] = max(worst[c.Name], failedShare(c))
		}
	}
	if len(names) > comparedClients {
		byShare := slices.Clone(names)
		slices.SortStableFunc(byShare, func(a, b string) int {
			switch {
			case worst[a] > worst[b]:
				return -1
			case worst[a] < worst[b]:
				return 1
			}
			return 0
		})
		names = slices.DeleteFunc(names, func(n string) bool { return !slices.Contains(byShare[:comparedClients], n) })
	}
	return names
}

func failedShare(c metrics.ClientTotals) float64 {
	if c.Requests == 0 {
		return 0
	}
	return float64(c.Failures) / float64(c.Requests)
}

// failures shows the share of each client's requests that failed, by cause.
func (b *blocks) failures() panel {
	worst := 0.0
	for _, v := range b.views {
		for _, c := range v.clients {
			if slices.Contains(b.clients, c.Name) && c.Heap == v.heap.Name {
				worst = max(worst, failedShare(c))
			}
		}
	}
	p := b.newSharePanel("failed requests", "share", worst)
	for _, cause := range b.causes {
		p.key = append(p.key, entry{cause.String(), boxThumb(marks[cause].color)})
	}
	p.plot.Add(rowNames{b}, plotFunc(func(c draw.Canvas, p *plot.Plot) {
		x, y := p.Transforms(&c)
		style := countStyle()
		for i, v := range b.views {
			if len(b.clients) == 0 {
				fillMiddle(c, style, vg.Point{X: c.Min.X + 3, Y: y(b.row(i, 0, 1))}, "none")
			}
			for k, name := range b.clients {
				at := slices.IndexFunc(v.clients, func(c metrics.ClientTotals) bool { return c.Name == name && c.Heap == v.heap.Name })
				if at < 0 {
					continue
				}
				client := v.clients[at]
				mid := y(b.row(i, float64(k), float64(len(b.clients))))
				from, before := x(0), uint64(0)
				for _, cause := range b.causes {
					if n := client.Causes[cause.String()]; n > 0 {
						before += n
						to := x(float64(before) / float64(max(client.Requests, 1)))
						fillBar(c, marks[cause].color, from, to, mid)
						from = to
					}
				}
				fillMiddle(c, style, vg.Point{X: from + 3, Y: mid}, formatShare(failedShare(client)))
			}
		}
	}))
	return p
}

func fillBar(c draw.Canvas, fill color.Color, from, to, mid vg.Length) {
	c.FillPolygon(fill, corners(vg.Rectangle{Min: vg.Point{X: from, Y: mid - barHeight/2}, Max: vg.Point{X: to, Y: mid + barHeight/2}}))
}

// formatShare prints a share of one in at most five characters.
func formatShare(v float64) string {
	switch {
	case v == 0:
		return "0%"
	case v < 0.0005:
		return "<0.1%"
	case v >= 0.9995:
		return "100%"
	}
	return strconv.FormatFloat(v*100, 'f', 1, 64) + "%"
}

// indices shows the mean index of fragmentation of the heap and of each device's
// reach, with a line to the worst.
func (b *blocks) indices() panel {
	p := b.newPanel(indexName(b.views), shareScale(), "mean, line to worst", 1)
	p.key = legend{{"whole heap", glyphThumb(indexGlyph(-1))}}
	for i, name := range b.devices {
		p.key = append(p.key, entry{name, glyphThumb(indexGlyph(i))})
	}
	p.plot.Add(plotFunc(func(c draw.Canvas, p *plot.Plot) {
		x, y := p.Transforms(&c)
		lines := float64(len(b.devices) + 1)
		dot := func(variant, line int, mean, worst float64) {
			glyph := indexGlyph(line - 1)
			step := min(1, (float64(b.height)-0.5)/lines)
			mid := y(b.row(variant, (float64(b.height)-1)/2+(float64(line)-(lines-1)/2)*step, float64(b.height)))
			c.StrokeLine2(draw.LineStyle{Color: glyph.Color, Width: 0.6}, x(mean), mid, x(worst), mid)
			c.DrawGlyphNoClip(glyph, vg.Point{X: x(mean), Y: mid})
		}
		for i, v := range b.views {
			mean, worst := indexOf(v.heap)
			dot(i, 0, mean, worst)
			for k, name := range b.devices {
				if at := v.reach(name); at >= 0 {
					r := v.heap.Reaches[at]
					dot(i, k+1, r.MeanLargestFreeIndex, r.WorstLargestFreeIndex)
				}
			}
		}
	}))
	return p
}

// indexGlyph is the mark of the i-th device; -1 is the whole heap.
func indexGlyph(i int) draw.GlyphStyle {
	if i < 0 {
		return draw.GlyphStyle{Color: black, Radius: 2, Shape: draw.CircleGlyph{}}
	}
	shapes := []draw.GlyphDrawer{draw.BoxGlyph{}, draw.PyramidGlyph{}, draw.RingGlyph{}, draw.SquareGlyph{}, draw.TriangleGlyph{}}
	return draw.GlyphStyle{Color: series[i%len(series)], Radius: 2, Shape: shapes[i%len(shapes)]}
}

var (
	meanFill  = mix(blue, white, 0.45)
	peakLine  = draw.LineStyle{Color: black, Width: 1.2}
	waterLine = draw.LineStyle{Color: vermillion, Width: 1.2, Dashes: []vg.Length{1.5, 1}}
)

// memory shows the mean and the peak of what was reserved, how high the highest
// block reached, and the capacity.
func (b *blocks) memory() panel {
	limit := 1.0
	for _, v := range b.views {
		limit = max(limit, float64(v.heap.Capacity), float64(v.heap.HighWater), float64(v.heap.PeakReserved))
	}
	p := b.newPanel("memory", byteScale(limit, 2), "memory", limit*1.02)
	p.key = legend{
		{"mean reserved", boxThumb(meanFill)},
		{"peak reserved", uprightThumb(peakLine)},
		{"capacity", uprightThumb(capacityLine)},
	}
	if slices.ContainsFunc(b.views, func(v view) bool { return v.heap.HighWater > 0 }) {
		p.key = append(p.key, entry{"high water", uprightThumb(waterLine)})
	}
	p.plot.Add(plotFunc(func(c draw.Canvas, p *plot.Plot) {
		x, y := p.Transforms(&c)
		for i, v := range b.views {
			mid := y(b.row(i, 0, 1))
			half := rowPitch * vg.Length(b.height) / 2
			fillBar(c, meanFill, x(0), x(v.heap.MeanReserved), mid)
			for _, line := range []struct {
				style draw.LineStyle
				value mem.Size
				half  vg.Length
			}{
				{capacityLine, v.heap.Capacity, half},
				{waterLine, v.heap.HighWater, barHeight},
				{peakLine, v.heap.PeakReserved, barHeight * 0.75},
			} {
				if line.value == 0 {
					continue // pages have no highest block
				}
				at := x(float64(line.value))
				c.StrokeLine2(line.style, at, mid-line.half, at, mid+line.half)
			}
		}
	}))
	return p
}

func uprightThumb(style draw.LineStyle) func(draw.Canvas) {
	return func(c draw.Canvas) {
		at := c.Center()
		c.StrokeLine2(style, at.X, at.Y-3.5, at.X, at.Y+3.5)
	}
}

// wasteOrigins are where internal fragmentation comes from.
var wasteOrigins = []struct {
	name  string
	color color.NRGBA
	of    func(metrics.Internal) float64
}{
	{"padding", green, func(i metrics.Internal) float64 { return i.Padding }},
	{"granularity", orange, func(i metrics.Internal) float64 { return i.Granularity }},
	{"granule", skyBlue, func(i metrics.Internal) float64 { return i.Granule }},
	{"allocator", purple, func(i metrics.Internal) float64 { return i.Allocator }},
}

// waste shows the internal fragmentation as a share of what was reserved, by
// origin.
func (b *blocks) waste() panel {
	worst := 0.0
	for _, v := range b.views {
		worst = max(worst, wasteShare(v.heap))
	}
	p := b.newSharePanel("internal fragmentation", "of reserved", worst)
	for _, o := range wasteOrigins {
		p.key = append(p.key, entry{o.name, boxThumb(o.color)})
	}
	p.plot.Add(plotFunc(func(c draw.Canvas, p *plot.Plot) {
		x, y := p.Transforms(&c)
		style := countStyle()
		for i, v := range b.views {
			mid := y(b.row(i, 0, 1))
			from, before := x(0), 0.0
			for _, o := range wasteOrigins {
				if v.heap.MeanReserved > 0 {
					before += o.of(v.heap.Internal) / v.heap.MeanReserved
				}
				to := x(before)
				fillBar(c, o.color, from, to, mid)
				from = to
			}
			fillMiddle(c, style, vg.Point{X: from + 3, Y: mid}, formatShare(before))
		}
	}))
	return p
}

// wasteShare is the share of the mean reserved bytes that nobody asked for.
func wasteShare(h *metrics.HeapTotals) float64 {
	if h.MeanReserved <= 0 {
		return 0
	}
	i := h.Internal
	return (i.Padding + i.Granularity + i.Granule + i.Allocator) / h.MeanReserved
}

// rowNames draws the names of variants and clients left of a panel.
type rowNames struct{ b *blocks }

const (
	variantWidth = vg.Length(84)
	clientWidth  = vg.Length(44)
	nameGap      = vg.Length(4)
)

// Plot implements plot.Plotter.
func (r rowNames) Plot(c draw.Canvas, p *plot.Plot) {
	_, y := p.Transforms(&c)
	variants, clients := r.widths()
	style := textStyle(textSize)
	small := textStyle(textSize)
	small.XAlign = draw.XRight
	small.Color = darkGray
	left := c.Min.X - variants - clients
	for i, v := range r.b.views {
		fillMiddle(c, style, vg.Point{X: left, Y: y(r.b.row(i, 0, 1))}, shorten(v.name, style, variants-nameGap))
		for k, name := range r.b.clients {
			at := vg.Point{X: c.Min.X - nameGap, Y: y(r.b.row(i, float64(k), float64(len(r.b.clients))))}
			fillMiddle(c, small, at, shorten(name, small, clients-nameGap))
		}
	}
}

// widths returns the room for the names with the gaps on their right.
func (r rowNames) widths() (variants, clients vg.Length) {
	style := textStyle(textSize)
	for _, v := range r.b.views {
		variants = max(variants, min(style.Width(v.name), variantWidth)+nameGap)
	}
	for _, name := range r.b.clients {
		clients = max(clients, min(style.Width(name), clientWidth)+nameGap)
	}
	return variants, clients
}

// GlyphBoxes implements plot.GlyphBoxer.
func (r rowNames) GlyphBoxes(*plot.Plot) []plot.GlyphBox {
	variants, clients := r.widths()
	return []plot.GlyphBox{{X: 0, Y: 0.5, Rectangle: vg.Rectangle{Min: vg.Point{X: -variants - clients}}}}
}
