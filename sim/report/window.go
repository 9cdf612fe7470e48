package report

import (
	"fmt"
	"image/color"
	"slices"

	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"dmasim/mem"
	"dmasim/sim/explain"
	"dmasim/sim/explain/dmesg"
)

const (
	stripHeight = vg.Length(20)
	stripPitch  = vg.Length(54)
	stripInset  = vg.Length(12) // from the sides, for labels at the ends
	tickDrop    = vg.Length(2.5)
	bracketRoom = vg.Length(5) // between a strip and what is written above it
)

// Window draws the memory of a heap at the moment of a failed request, in strips
// from its lowest address to its highest: all of it, what the devices reach, and
// the place where the fewest buffers stand in the way. It returns false if there is
// nothing to draw: the request never got as far as memory, or the heap takes single
// pages.
func Window(e *explain.Explanation) (Figure, bool) {
	p := e.Picture
	if p == nil || len(p.Arena) == 0 {
		return Figure{}, false
	}
	return drawWindow("window", fmt.Sprintf("%s (cause: %s)", e.Headline(), e.Cause), "the heap", p), true
}

// drawWindow draws a picture of what is called whole.
func drawWindow(name, title, whole string, p *explain.Picture) Figure {
	owners := ownersBySize(p)
	strips := windowStrips(p, whole)
	return newFigure(name, title, body{
		width: pageWidth, height: vg.Length(len(strips))*stripPitch + 2, legend: windowLegend(p, owners), data: windowData(p),
		draw: func(c draw.Canvas) {
			for i, s := range strips {
				top := vg.Length(i) * stripPitch
				s.draw(draw.Crop(c, stripInset, -stripInset, 0, -top), p, owners)
			}
		},
	})
}

// ownersBySize returns who holds memory of the picture, the largest first.
func ownersBySize(p *explain.Picture) []int {
	held := make([]uint64, len(p.Owners))
	for _, b := range p.Blocks {
		held[b.Owner] += b.Size()
	}
	var list []int
	for owner, bytes := range held {
		if bytes > 0 {
			list = append(list, owner)
		}
	}
	slices.SortStableFunc(list, func(a, b int) int { return -compareBytes(held[a], held[b]) })
	return list
}

func compareBytes(a, b uint64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

func windowLegend(p *explain.Picture, owners []int) legend {
	var key legend
	for place, owner := range owners[:min(len(owners), ownClients)] {
		key = append(key, entry{p.Owners[owner], boxThumb(clientColor(place, 0))})
	}
	if len(owners) > ownClients {
		key = append(key, entry{"others", boxThumb(midGray)})
	}
	key = append(key, entry{"free", frameThumb})
	for _, b := range p.Blocks {
		if b.InTheWay {
			return append(key, entry{"in the way", func(c draw.Canvas) { outline(c, thumbBox(c)) }})
		}
	}
	return key
}

// outline draws the frame of what stands in the way.
func outline(c draw.Canvas, box vg.Rectangle) {
	c.StrokeLines(draw.LineStyle{Color: black, Width: 1.2}, append(corners(box), box.Min))
}

// strip is a range of addresses, drawn from left to right.
type strip struct {
	name  string
	of    mem.Range
	inner bool // show the reach within it
	spot  bool // show the place of the request
}

// windowStrips are those of a picture: the second only where the devices reach a
// part, the third only where a place is known.
func windowStrips(p *explain.Picture, whole string) []strip {
	hull := p.Arena.Hull()
	reach := p.Reach.Hull()
	strips := []strip{{name: whole + ", " + mem.Size(hull.Size()).Short(), of: hull, inner: true}}
	if !reach.Empty() && reach != hull {
		strips = append(strips, strip{name: "in reach, " + mem.Size(reach.Size()).Short(), of: reach})
	}
	if p.Spot.Empty() {
		return strips
	}
	around := mem.Range{Lo: p.Spot.Lo - min(p.Spot.Size()/2, p.Spot.Lo-min(hull.Lo, p.Spot.Lo)), Hi: min(p.Spot.Hi+p.Spot.Size()/2, hull.Hi)}
	if around.Size() < reach.Size() {
		strips = append(strips, strip{name: "where the least stands in the way", of: around, spot: true})
	} else {
		strips[len(strips)-1].spot = true
	}
	return strips
}

// draw draws the strip at the top of c: its name, the memory, addresses below.
func (s strip) draw(c draw.Canvas, p *explain.Picture, owners []int) {
	style := textStyle(textSize)
	top := c.Max.Y - style.Height(s.name) - bracketRoom
	c.FillText(style, vg.Point{X: c.Min.X, Y: top + bracketRoom + style.FontExtents().Descent}, s.name)
	box := vg.Rectangle{Min: vg.Point{X: c.Min.X, Y: top - stripHeight}, Max: vg.Point{X: c.Max.X, Y: top}}
	s.fill(c, box, p, owners)
	c.StrokeLines(draw.LineStyle{Color: darkGray, Width: 0.5}, append(corners(box), box.Min))
	for _, b := range p.Blocks {
		if b.InTheWay && b.Overlaps(s.of) {
			outline(c, s.part(box, b.Range, 1))
		}
	}
	s.ticks(c, box)
	switch {
	case s.spot:
		s.bracket(c, box, p.Spot, mem.Size(p.Asked).Short()+" asked for")
	case s.inner && p.Reach.Hull() != p.Arena.Hull():
		for i, r := range p.Reach {
			name := ""
			if i == 0 {
				name = "in reach"
			}
			s.bracket(c, box, r, name)
		}
	case !p.Run.Empty():
		s.bracket(c, box, p.Run, "longest free run, "+mem.Size(p.Run.Size()).Short())
	}
}

// part returns the part of the box that a range takes, at least as wide as told.
func (s strip) part(box vg.Rectangle, r mem.Range, least vg.Length) vg.Rectangle {
	r = r.Intersect(s.of)
	x := func(at uint64) vg.Length {
		return box.Min.X + box.Size().X*vg.Length(float64(at-s.of.Lo)/float64(s.of.Size()))
	}
	lo, hi := x(r.Lo), x(max(r.Hi, r.Lo))
	if hi-lo < least {
		hi = lo + least
	}
	return vg.Rectangle{Min: vg.Point{X: lo, Y: box.Min.Y}, Max: vg.Point{X: hi, Y: box.Max.Y}}
}

// fill draws who holds what, in columns as wide as a dot: each in the colour of
// who holds most of it, the paler the less is held.
func (s strip) fill(c draw.Canvas, box vg.Rectangle, p *explain.Picture, owners []int) {
	n := int(box.Size().X / (vg.Inch / dpi))
	shades := make([]color.NRGBA, n)
	for i := range shades {
		shades[i] = gray(200)
	}
	column := float64(s.of.Size()) / float64(n)
	each := func(r mem.Range, do func(i int, bytes float64)) {
		r = r.Intersect(s.of)
		if r.Empty() {
			return
		}
		lo, hi := float64(r.Lo-s.of.Lo)/column, float64(r.Hi-s.of.Lo)/column
		for i := int(lo); i < n && float64(i) < hi; i++ {
			do(i, min(hi, float64(i+1))-max(lo, float64(i)))
		}
	}
	for _, r := range p.Arena {
		each(r, func(i int, _ float64) { shades[i] = white })
	}
	held, most := make([]float64, n), make([]float64, n)
	tones := make([]int, len(p.Owners))
	for _, b := range p.Blocks {
		if !b.Overlaps(s.of) {
			continue
		}
		place := slices.Index(owners, b.Owner)
		tone := tones[b.Owner]
		tones[b.Owner] = 1 - tone
		each(b.Range, func(i int, share float64) {
			held[i] += share
			if share > most[i] {
				most[i] = share
				shades[i] = clientColor(min(place, ownClients), tone)
			}
		})
	}
	for i := 0; i < n; {
		shade := s.shade(shades[i], held[i])
		end := i + 1
		for end < n && s.shade(shades[end], held[end]) == shade {
			end++
		}
		if shade != white {
			x := func(k int) vg.Length { return box.Min.X + box.Size().X*vg.Length(k)/vg.Length(n) }
			c.FillPolygon(shade, corners(vg.Rectangle{Min: vg.Point{X: x(i), Y: box.Min.Y}, Max: vg.Point{X: x(end), Y: box.Max.Y}}))
		}
		i = end
	}
}

// shade is a colour as pale as little is held; that of what is free, or not in the
// heap, stays.
func (s strip) shade(of color.NRGBA, held float64) color.NRGBA {
	if held == 0 {
		return of
	}
	levels := float64(int(min(held, 1)*fillLevels+0.999)) / fillLevels
	return mix(white, of, 0.3+0.7*levels)
}

// ticks writes addresses below the strip.
func (s strip) ticks(c draw.Canvas, box vg.Rectangle) {
	style := textStyle(textSize)
	style.XAlign, style.YAlign = draw.XCenter, draw.YTop
	for _, t := range (addressTicks{s.of.Lo, 6}).Ticks(0, float64(s.of.Size())) {
		x := box.Min.X + box.Size().X*vg.Length(t.Value/float64(s.of.Size()))
		c.StrokeLine2(draw.LineStyle{Color: darkGray, Width: 0.5}, x, box.Min.Y, x, box.Min.Y-tickDrop)
		half := style.Width(t.Label)/2 - stripInset
		x = max(box.Min.X+half, min(x, box.Max.X-half))
		c.FillText(style, vg.Point{X: x, Y: box.Min.Y - tickDrop - 0.5}, t.Label)
	}
}

// bracket marks a range above the strip, with a name.
func (s strip) bracket(c draw.Canvas, box vg.Rectangle, r mem.Range, name string) {
	if !r.Overlaps(s.of) {
		return
	}
	part := s.part(box, r, 1)
	y := box.Max.Y + 1.5
	c.StrokeLines(draw.LineStyle{Color: black, Width: 0.8}, []vg.Point{
		{X: part.Min.X, Y: y}, {X: part.Min.X, Y: y + 2.5}, {X: part.Max.X, Y: y + 2.5}, {X: part.Max.X, Y: y}})
	style := textStyle(textSize)
	style.XAlign = draw.XCenter
	half := style.Width(name) / 2
	left := c.Min.X + style.Width(s.name) + 8 + half
	x := max(left, min((part.Min.X+part.Max.X)/2, c.Max.X-half))
	c.FillText(style, vg.Point{X: x, Y: box.Max.Y + bracketRoom + style.FontExtents().Descent}, name)
}

// LoggedArea draws the CMA area of a failure in a kernel log, likewise: its used
// pages, the longest free run, and the place where the fewest pages are used. It
// returns false if the log does not say where the free pages are.
func LoggedArea(f *dmesg.Failure) (Figure, bool) {
	a := f.Area
	if a == nil || a.TotalPages == nil || a.Cut || a.Free == nil || a.Bar(1) == "" {
		return Figure{}, false
	}
	var base uint64
	if a.Base != nil {
		base = uint64(*a.Base)
	}
	area := mem.Range{Lo: base, Hi: base + *a.TotalPages*f.PageBytes}
	p := &explain.Picture{Arena: mem.RangeSet{area}, Reach: mem.RangeSet{area}, Owners: []string{"used"}}
	var free []mem.Range
	for _, r := range a.Free {
		run := mem.Range{Lo: base + uint64(r.At)*f.PageBytes, Hi: base + (uint64(r.At)+r.Pages)*f.PageBytes}
		if free = append(free, run); run.Size() > p.Run.Size() {
			p.Run = run
		}
	}
	title := fmt.Sprintf("CMA area %s", a.Name)
	if f.RequestedPages != nil {
		p.Asked = *f.RequestedPages * f.PageBytes
		title += fmt.Sprintf(", asked for %s (cause: %s)", mem.Size(p.Asked).Short(), f.Cause)
		if n := a.Need; n != nil && n.VacatePages > 0 {
			lo := base + n.VacateAt*f.PageBytes
			p.Spot = mem.Range{Lo: lo, Hi: lo + p.Asked}
		}
	}
	used := mem.RangeSet{area}.Subtract(mem.NewRangeSet(free...))
	spot := mem.NewRangeSet(p.Spot)
	for _, r := range used.Subtract(spot) {
		p.Blocks = append(p.Blocks, explain.Block{Range: r})
	}
	for _, r := range used.Intersect(spot) {
		p.Blocks = append(p.Blocks, explain.Block{Range: r, InTheWay: true})
	}
	return drawWindow("area", title, "the area", p), true
}
