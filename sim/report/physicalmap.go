package report

import (
	"cmp"
	"errors"
	"fmt"
	"image/color"
	"slices"

	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"dmasim/devices/machine"
	"dmasim/mem"
)

// Sizes of a map of physical memory.
const (
	laneHeight  = vg.Length(14)
	lanePitch   = vg.Length(19)
	laneNames   = vg.Length(118)
	labelPitch  = vg.Length(8.5)
	labelRows   = 5
	mostLabels  = 12
	bankGap     = vg.Length(12) // between banks that are far apart
	minBank     = vg.Length(30)
	minRegion   = vg.Length(0.8)
	mostReaches = 10 // lanes for what devices reach
)

// regionColors are the colours of what keeps memory from the page allocator, or
// lends it.
var regionColors = []struct {
	kind  machine.RegionKind
	name  string
	color color.NRGBA
}{
	{machine.CMA, "CMA area", orange},
	{machine.Coherent, "pool of devices", purple},
	{machine.Restricted, "bounce pool", vermillion},
	{machine.NoMap, "kept, not mapped", darkGray},
	{machine.Reserved, "kept", midGray},
	{machine.Firmware, "kept by firmware", black},
}

var zoneColors = map[string]color.NRGBA{
	"DMA": mix(blue, white, 0.35), "DMA32": skyBlue, "Normal": mix(green, white, 0.35), "HighMem": mix(yellow, white, 0.35), "Movable": mix(green, white, 0.65),
}

// PhysicalMap draws a machine's memory by address: zones, what is reserved or in
// pools, and what the devices of each bus reach. It is an error if it is not known
// where memory is.
func PhysicalMap(d *machine.Description) (*Figure, error) {
	ram := d.RAM
	for _, z := range d.Zones {
		if len(d.RAM) == 0 {
			ram = ram.Union(z.Ranges)
		}
	}
	if len(ram) == 0 {
		return nil, errors.New("draw memory: it is not known where it is")
	}
	m := physicalMap{Description: d, ram: ram, banks: banks(ram)}
	title := "Physical memory"
	if d.Model != "" {
		title += " of " + d.Model
	}
	f := newFigure("physical-map", title, m.body())
	return &f, nil
}

type physicalMap struct {
	*machine.Description
	ram   mem.RangeSet
	banks []mem.Range // what is drawn in one piece
}

// banks joins RAM whose gaps are small beside it.
func banks(ram mem.RangeSet) []mem.Range {
	var list []mem.Range
	for _, r := range ram {
		if last := len(list) - 1; last >= 0 && r.Lo-list[last].Hi <= ram.Size()/16 {
			list[last].Hi = r.Hi
			continue
		}
		list = append(list, r)
	}
	return list
}

// lane is a row of the map.
type lane struct {
	name  string
	parts []part
}

type part struct {
	at    mem.Range
	color color.Color
	text  string
}

func (m *physicalMap) body() body {
	var key legend
	for _, c := range regionColors {
		if slices.ContainsFunc(m.Regions, func(r machine.Region) bool { return r.Kind == c.kind && m.shows(r.Range) }) {
			key = append(key, entry{c.name, boxThumb(c.color)})
		}
	}
	reaches, partial := m.reaches()
	if len(reaches) > 0 {
		key = append(key, entry{"in reach", boxThumb(reachColor)})
	}
	if partial {
		key = append(key, entry{"RAM out of reach", frameThumb})
	}
	width := pageWidth - 2*margin
	x := newAddressScale(m.banks, laneNames, width-spacing)
	labels, rows := m.labels(x)
	height := lanePitch*vg.Length(2+len(reaches)) + labelPitch*vg.Length(rows+2) + spacing
	return body{width: pageWidth, height: height, legend: key, data: m.data(reaches), draw: func(c draw.Canvas) {
		x := x.shifted(c.Min.X)
		m.drawLane(c, x, c.Max.Y, m.zoneLane())
		m.drawLane(c, x, c.Max.Y-lanePitch, m.regionLane())
		y := c.Max.Y - lanePitch - laneHeight
		for _, l := range labels {
			l.draw(c, y)
		}
		y -= labelPitch*vg.Length(rows) + lanePitch - laneHeight
		for _, l := range reaches {
			m.drawLane(c, x, y, l)
			y -= lanePitch
		}
		m.drawAxis(c, x, y)
	}}
}

var reachColor = mix(green, black, 0.15)

// shows reports whether a range is on the map.
func (m *physicalMap) shows(r mem.Range) bool {
	return slices.ContainsFunc(m.banks, r.Overlaps)
}

func (m *physicalMap) zoneLane() lane {
	l := lane{name: "zones"}
	for _, z := range m.Zones {
		fill, ok := zoneColors[z.Name]
		if !ok {
			fill = lightGray
		}
		for i, r := range z.Ranges {
			p := part{at: r, color: fill}
			if i == 0 {
				p.text = z.Name
			}
			l.parts = append(l.parts, p)
		}
	}
	return l
}

func (m *physicalMap) regionLane() lane {
	l := lane{name: "reserved and pools"}
	for _, r := range m.Regions {
		l.parts = append(l.parts, part{at: r.Range, color: regionColor(r.Kind)})
	}
	return l
}

func regionColor(kind machine.RegionKind) color.NRGBA {
	for _, c := range regionColors {
		if c.kind == kind {
			return c.color
		}
	}
	return midGray
}

// reaches returns a lane for each bus, and one for the devices behind IOMMUs.
// Partial says that some of them reach a part of RAM only.
func (m *physicalMap) reaches() (lanes []lane, partial bool) {
	translated := 0
	behind := map[string]int{}
	for i := range m.Devices {
		if m.Devices[i].IOMMU.Translates() {
			translated++
		} else {
			behind[m.Devices[i].Bus]++
		}
	}
	add := func(name string, count int, reach mem.RangeSet) {
		if count == 0 || len(lanes) == mostReaches {
			return
		}
		l := lane{name: fmt.Sprintf("%s (%d)", name, count)}
		for _, r := range reach {
			l.parts = append(l.parts, part{at: r, color: reachColor})
		}
		lanes = append(lanes, l)
		partial = partial || !slices.Equal(reach, m.ram)
	}
	add("by way of an IOMMU", translated, m.ram)
	for _, b := range m.Buses {
		name := b.Path
		if name == "/" {
			name = "no dma-ranges"
		}
		add(name, behind[b.Path], b.Reach)
	}
	return lanes, partial
}

// drawLane draws a row whose top is at y.
func (m *physicalMap) drawLane(c draw.Canvas, x *addressScale, y vg.Length, l lane) {
	style := textStyle(textSize)
	fillMiddle(c, style, vg.Point{X: c.Min.X, Y: y - laneHeight/2}, shorten(l.name, style, laneNames-spacing))
	for _, p := range l.parts {
		for _, piece := range x.pieces(p.at) {
			if piece[1]-piece[0] < minRegion {
				piece[1] = piece[0] + minRegion
			}
			box := vg.Rectangle{Min: vg.Point{X: piece[0], Y: y - laneHeight}, Max: vg.Point{X: piece[1], Y: y}}
			c.FillPolygon(p.color, corners(box))
			if p.text != "" && style.Width(p.text)+2*spacing < piece[1]-piece[0] {
				fillMiddle(c, style, vg.Point{X: piece[0] + spacing, Y: y - laneHeight/2}, p.text)
			}
		}
	}
	for _, r := range m.ram {
		for _, piece := range x.pieces(r) {
			box := vg.Rectangle{Min: vg.Point{X: piece[0], Y: y - laneHeight}, Max: vg.Point{X: piece[1], Y: y}}
			c.StrokeLines(draw.LineStyle{Color: darkGray, Width: 0.4}, append(corners(box), box.Min))
		}
	}
}

// label is the name of a region below its row.
type label struct {
	text         string
	middle, left vg.Length // of the region, of the text; from the canvas's edge
	row          int
}

func (l *label) draw(c draw.Canvas, y vg.Length) {
	top := y - labelPitch*vg.Length(l.row)
	x := c.Min.X + l.middle
	c.StrokeLine2(draw.LineStyle{Color: midGray, Width: 0.4}, x, y, x, top-labelPitch+1)
	fillMiddle(c, textStyle(textSize), vg.Point{X: c.Min.X + l.left, Y: top - labelPitch/2 - 1}, l.text)
}

// labels returns the names of the pools and the largest other regions, as far as
// there is room, and in how many rows. A name begins at the line from its region.
// From the right to the left each goes to the first row in which no other is in its
// way, so that no line crosses a name.
func (m *physicalMap) labels(x *addressScale) (labels []label, rows int) {
	style := textStyle(textSize)
	regions := slices.DeleteFunc(slices.Clone(m.Regions), func(r machine.Region) bool { return len(x.pieces(r.Range)) == 0 })
	slices.SortStableFunc(regions, func(a, b machine.Region) int {
		pool := func(r machine.Region) int {
			if r.Kind.Pool() {
				return 0
			}
			return 1
		}
		return cmp.Or(cmp.Compare(pool(a), pool(b)), cmp.Compare(b.Range.Size(), a.Range.Size()))
	})
	regions = regions[:min(len(regions), mostLabels)]
	slices.SortStableFunc(regions, func(a, b machine.Region) int { return cmp.Compare(b.Range.Lo, a.Range.Lo) })
	for _, r := range regions {
		piece := x.pieces(r.Range)[0]
		l := label{text: shorten(r.Name+" "+mem.Size(r.Range.Size()).Short(), style, 150), middle: (piece[0] + piece[1]) / 2}
		width := style.Width(l.text)
		l.left = l.middle + 2
		if l.left+width > x.to {
			l.left = l.middle - 2 - width
		}
		for ; l.row < labelRows; l.row++ {
			if !slices.ContainsFunc(labels, func(o label) bool {
				end := o.left + style.Width(o.text)
				return o.row == l.row && l.left < end+spacing && o.left < l.left+width+spacing ||
					o.row < l.row && l.middle > o.left-1 && l.middle < end+1 ||
					o.row > l.row && o.middle > l.left-1 && o.middle < l.left+width+1
			}) {
				break
			}
		}
		if l.row < labelRows {
			labels, rows = append(labels, l), max(rows, l.row+1)
		}
	}
	return labels, rows
}

// drawAxis writes addresses below the last row: those of banks, and a line lower,
// those where zones meet.
func (m *physicalMap) drawAxis(c draw.Canvas, x *addressScale, y vg.Length) {
	style := textStyle(textSize)
	tick := draw.LineStyle{Color: black, Width: 0.5}
	free := [2]vg.Length{c.Min.X, c.Min.X}
	put := func(row int, at, left vg.Length, text string) {
		if left < free[row] {
			return
		}
		free[row] = left + style.Width(text) + spacing
		bottom := y + 1 - labelPitch*vg.Length(row)
		c.StrokeLine2(tick, at, y+lanePitch-laneHeight, at, bottom-1)
		fillMiddle(c, style, vg.Point{X: left, Y: bottom - labelPitch/2 - 1}, text)
	}
	for i, b := range x.banks {
		from, to := mem.Addr(b.Lo).String(), mem.Addr(b.Hi).String()
		put(0, x.starts[i], x.starts[i], from)
		put(0, x.ends[i], x.ends[i]-style.Width(to), to)
	}
	for _, z := range m.Zones[min(1, len(m.Zones)):] {
		if len(z.Ranges) == 0 {
			continue
		}
		for _, piece := range x.pieces(z.Ranges[0]) {
			text := mem.Addr(z.Ranges[0].Lo).String()
			if !slices.Contains(x.starts, piece[0]) {
				put(1, piece[0], piece[0]-style.Width(text)/2, text)
			}
			break
		}
	}
}

// addressScale places addresses of several banks side by side.
type addressScale struct {
	banks        []mem.Range
	to           vg.Length
	starts, ends []vg.Length
}

func newAddressScale(banks []mem.Range, from, to vg.Length) *addressScale {
	x := &addressScale{to: to}
	most := int((to-from)/(minBank+bankGap)) - 1
	x.banks = banks[:min(len(banks), most)]
	total := float64(0)
	for _, b := range x.banks {
		total += float64(b.Size())
	}
	room := to - from - bankGap*vg.Length(len(x.banks)-1) - minBank*vg.Length(len(x.banks))
	at := from
	for _, b := range x.banks {
		width := minBank + room*vg.Length(float64(b.Size())/total)
		x.starts, x.ends = append(x.starts, at), append(x.ends, at+width)
		at += width + bankGap
	}
	return x
}

// shifted returns the scale that much further to the right.
func (x *addressScale) shifted(by vg.Length) *addressScale {
	moved := *x
	moved.starts, moved.ends = slices.Clone(x.starts), slices.Clone(x.ends)
	for i := range moved.starts {
		moved.starts[i] += by
		moved.ends[i] += by
	}
	moved.to += by
	return &moved
}

// pieces returns where a range is drawn, in each bank that it has a part in.
func (x *addressScale) pieces(r mem.Range) [][2]vg.Length {
	var list [][2]vg.Length
	for i, b := range x.banks {
		inside := r.Intersect(b)
		if inside.Empty() {
			continue
		}
		place := func(address uint64) vg.Length {
			return x.starts[i] + (x.ends[i]-x.starts[i])*vg.Length(float64(address-b.Lo)/float64(b.Size()))
		}
		list = append(list, [2]vg.Length{place(inside.Lo), place(inside.Hi)})
	}
	return list
}
