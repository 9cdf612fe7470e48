package report

import (
	"image"
	"image/color"
	"math"
	"slices"
	"sort"
	"time"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"dmasim/mem"
	"dmasim/sim/metrics"
)

const (
	// ownClients have a colour of their own, the others share one.
	ownClients = 7
	// fillLevels is in how many steps a row fades with the share in use.
	fillLevels = 8

	noMemory   = 0 // in the palette
	freeMemory = 1
	firstShade = 2
)

// mapPalette has, after two colours for what nobody holds, those of each
// client: by tone, then by how much of a row is in use.
var mapPalette = func() color.Palette {
	p := color.Palette{noMemory: gray(200), freeMemory: white}
	for i := range ownClients + 1 {
		for tone := range 2 {
			for level := range fillLevels {
				p = append(p, mix(white, clientColor(i, tone), 0.3+0.7*float64(level+1)/fillLevels))
			}
		}
	}
	return p
}()

// clientColor is that of the i-th client; neighbouring buffers alternate in
// tone.
func clientColor(i, tone int) color.NRGBA {
	c := midGray
	if i < ownClients {
		c = series[i]
	}
	if tone == 1 {
		c = mix(c, black, 0.35)
	}
	return c
}

// memoryMap shows the addresses of a heap over time, coloured by client.
func memoryMap(views []view) body {
	const height = vg.Length(175)
	views = slices.DeleteFunc(slices.Clone(views), func(v view) bool { return v.memory == nil || v.memory.Hull.Empty() })
	clients := mapClients(views)
	var key legend
	for i, name := range clients[:min(len(clients), ownClients)] {
		key = append(key, entry{name, toneThumb(i)})
	}
	if len(clients) > ownClients {
		key = append(key, entry{"other clients", toneThumb(ownClients)})
	}
	key = append(key, entry{"free", frameThumb})
	var hull mem.Range
	holes := false
	for i, v := range views {
		if i == 0 {
			hull = v.memory.Hull
		}
		hull = mem.Range{Lo: min(hull.Lo, v.memory.Hull.Lo), Hi: max(hull.Hi, v.memory.Hull.Hi)}
		holes = holes || len(v.memory.Arena) > 1
	}
	if holes || slices.ContainsFunc(views, func(v view) bool { return v.memory.Hull != hull }) {
		key = append(key, entry{"not in the heap", boxThumb(gray(200))})
	}
	g := newGrid(len(views))
	panels := g.timePanels(views)
	for i, p := range panels {
		g.setY(p, i, "address", float64(max(hull.Size(), 1)), addressTicks{hull.Lo, 6})
		p.Add(&memoryPicture{v: &views[i], hull: hull, clients: clients})
		marks := windowMarks{list: windows(&views[i], hull)}
		if end := i%g.cols == g.cols-1 || i == len(views)-1; end || !sameWindows(marks.list, windows(&views[i+1], hull)) {
			marks.named = min(len(marks.list), namedWindows)
		}
		p.Add(marks)
	}
	return body{
		width: g.width(), height: vg.Length(g.rows) * height, legend: key, data: memoryMapData(views),
		draw: func(c draw.Canvas) { g.draw(c, panels) },
	}
}

// mapClients returns the clients that hold memory of the heap, in their order.
func mapClients(views []view) []string {
	var names []string
	for _, v := range views {
		held := make([]bool, len(v.clients))
		for _, c := range v.memory.Cells {
			if c.Client >= 0 && int(c.Client) < len(held) {
				held[c.Client] = true
			}
		}
		for i, c := range v.clients {
			if held[i] && !slices.Contains(names, c.Name) {
				names = append(names, c.Name)
			}
		}
	}
	return names
}

// toneThumb shows both tones of a client.
func toneThumb(i int) func(draw.Canvas) {
	return func(c draw.Canvas) {
		first, second := thumbBox(c), thumbBox(c)
		first.Max.X, second.Min.X = c.Center().X, c.Center().X
		c.FillPolygon(clientColor(i, 0), corners(first))
		c.FillPolygon(clientColor(i, 1), corners(second))
	}
}

// memoryPicture draws a map as a picture of exactly the dots that it covers at
// the figures' resolution, so that nothing is interpolated in PNG and that
// whatever shows an SVG has no more than a dot to blur.
type memoryPicture struct {
	v       *view
	hull    mem.Range // of the vertical axis
	clients []string  // with a colour, in their order
}

// Plot implements plot.Plotter.
func (m *memoryPicture) Plot(c draw.Canvas, p *plot.Plot) {
	x, _ := p.Transforms(&c)
	dot := vg.Length(vg.Inch / dpi)
	lo := vg.Point{X: vg.Length(math.Round(float64(c.Min.X / dot))), Y: vg.Length(math.Round(float64(c.Min.Y / dot)))}
	hi := vg.Point{X: vg.Length(math.Round(float64(x(float64(m.v.duration)) / dot))), Y: vg.Length(math.Round(float64(c.Max.Y / dot)))}
	size := image.Rect(0, 0, int(hi.X-lo.X), int(hi.Y-lo.Y))
	if size.Empty() || len(m.v.memory.Times) == 0 || m.v.memory.Rows == 0 {
		return
	}
	picture := image.NewPaletted(size, mapPalette)
	m.fill(picture)
	c.DrawImage(vg.Rectangle{Min: lo.Scale(dot), Max: hi.Scale(dot)}, picture)
}

func (m *memoryPicture) fill(picture *image.Paletted) {
	width, height := picture.Rect.Dx(), picture.Rect.Dy()
	rows := m.rows(height)
	instants := m.instants(width)
	shades := m.shades()
	memory := m.v.memory
	for py := range height {
		line := picture.Pix[py*picture.Stride:][:width]
		row := rows[height-1-py]
		for px := range line {
			switch {
			case row < 0:
				line[px] = noMemory
			case instants[px] < 0:
				line[px] = freeMemory
			default:
				line[px] = shades.of(memory.Cells[instants[px]*memory.Rows+row])
			}
		}
	}
}

// rows returns the row of the map at the middle of each of n dots from the
// lowest address up, or -1 outside the heap.
func (m *memoryPicture) rows(n int) []int {
	memory := m.v.memory
	rows := make([]int, n)
	for i := range rows {
		at := m.hull.Lo + uint64((float64(i)+0.5)/float64(n)*float64(m.hull.Size()))
		rows[i] = -1
		if memory.Arena.Contains(mem.Range{Lo: at, Hi: at + 1}) {
			row := float64(at-memory.Hull.Lo) / float64(memory.Hull.Size()) * float64(memory.Rows)
			rows[i] = min(int(row), memory.Rows-1)
		}
	}
	return rows
}

// instants returns the last instant of the map before the middle of each of n
// dots, or -1 before the first.
func (m *memoryPicture) instants(n int) []int {
	times := m.v.memory.Times
	instants := make([]int, n)
	for i := range instants {
		at := time.Duration((float64(i) + 0.5) / float64(n) * float64(m.v.duration))
		instants[i] = sort.Search(len(times), func(k int) bool { return times[k] > at }) - 1
	}
	return instants
}

// shades are the places of the clients' colours in the palette.
type shades []int

func (m *memoryPicture) shades() shades {
	s := make(shades, len(m.v.clients))
	for i, c := range m.v.clients {
		place := slices.Index(m.clients, c.Name)
		if place < 0 || place > ownClients {
			place = ownClients
		}
		s[i] = firstShade + place*2*fillLevels
	}
	return s
}

func (s shades) of(c metrics.Cell) uint8 {
	if c.Client < 0 || int(c.Client) >= len(s) {
		return freeMemory
	}
	return uint8(s[c.Client] + int(c.Tone&1)*fillLevels + int(c.Fill)*fillLevels/256)
}

// window is what one or more devices reach.
type window struct {
	name  string
	reach mem.RangeSet // offsets from the lowest address of the axis
}

// windows returns what the devices reach of a heap, where that is not all of
// it. Devices with the same window share one.
func windows(v *view, hull mem.Range) []window {
	var list []window
	var sets []mem.RangeSet
	for i, reach := range v.memory.Reaches {
		if len(reach) == 0 || i >= len(v.heap.Reaches) || slices.Equal(reach, v.memory.Arena) {
			continue
		}
		name := v.heap.Reaches[i].Device
		if k := slices.IndexFunc(sets, func(s mem.RangeSet) bool { return slices.Equal(s, reach) }); k >= 0 {
			list[k].name += ", " + name
			continue
		}
		w := window{name: name}
		for _, r := range reach {
			w.reach = append(w.reach, mem.Range{Lo: r.Lo - min(hull.Lo, r.Lo), Hi: r.Hi - min(hull.Lo, r.Hi)})
		}
		sets = append(sets, reach)
		list = append(list, w)
	}
	return list
}

func sameWindows(a, b []window) bool {
	return slices.EqualFunc(a, b, func(a, b window) bool { return a.name == b.name && slices.Equal(a.reach, b.reach) })
}

// windowMarks draws the borders of windows across the map and, for some of
// them, a bracket with the devices' names on its right.
type windowMarks struct {
	list  []window
	named int // how many of the list have a bracket
}

const (
	namedWindows = 4 // there is no room for more

	bracketGap   = vg.Length(3)
	bracketDepth = vg.Length(2)
	bracketPitch = vg.Length(13)
)

// Plot implements plot.Plotter.
func (w windowMarks) Plot(c draw.Canvas, p *plot.Plot) {
	_, y := p.Transforms(&c)
	border := draw.LineStyle{Color: black, Width: 0.5, Dashes: []vg.Length{3, 2}}
	for i, win := range w.list {
		for _, r := range win.reach {
			for _, edge := range []vg.Length{y(float64(r.Lo)), y(float64(r.Hi))} {
				if edge > c.Min.Y+0.5 && edge < c.Max.Y-0.5 {
					c.StrokeLine2(border, c.Min.X, edge, c.Max.X, edge)
				}
			}
		}
		if i < w.named {
			win.drawBracket(c, y, c.Max.X+bracketGap+vg.Length(i)*bracketPitch)
		}
	}
}

// drawBracket draws a bracket at x for each range of the window and the name at
// the longest.
func (w window) drawBracket(c draw.Canvas, y func(float64) vg.Length, x vg.Length) {
	line := draw.LineStyle{Color: black, Width: 0.7}
	var longest mem.Range
	for _, r := range w.reach {
		lo, hi := y(float64(r.Lo)), y(float64(r.Hi))
		c.StrokeLines(line, []vg.Point{{X: x, Y: lo}, {X: x + bracketDepth, Y: lo}, {X: x + bracketDepth, Y: hi}, {X: x, Y: hi}})
		if r.Size() > longest.Size() {
			longest = r
		}
	}
	style := textStyle(textSize)
	name := shorten(w.name, style, c.Size().Y)
	half := style.Width(name) / 2
	mid := (y(float64(longest.Lo)) + y(float64(longest.Hi))) / 2
	mid = max(c.Min.Y+half, min(mid, c.Max.Y-half))
	style.Rotation = math.Pi / 2
	style.XAlign, style.YAlign = draw.XCenter, draw.YTop
	c.FillText(style, vg.Point{X: x + bracketDepth + 1, Y: mid}, name)
}

// GlyphBoxes implements plot.GlyphBoxer.
func (w windowMarks) GlyphBoxes(*plot.Plot) []plot.GlyphBox {
	if w.named == 0 {
		return nil
	}
	width := bracketGap + vg.Length(w.named)*bracketPitch
	return []plot.GlyphBox{{X: 1, Y: 0.5, Rectangle: vg.Rectangle{Max: vg.Point{X: width}}}}
}
