package report

import (
	"fmt"
	"image/color"
	"slices"
	"time"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"dmasim/allocator"
	"dmasim/mem"
	"dmasim/sim"
	"dmasim/sim/dmamap"
	"dmasim/sim/metrics"
	"dmasim/sim/result"
)

var (
	usedArea    = mix(blue, white, 0.55)
	waitingArea = mix(orange, white, 0.4)
)

// space is a pool of bounce buffers or an IOMMU group's address space in one variant.
type space struct {
	variant  string
	totals   *metrics.SpaceTotals
	samples  []metrics.SpaceSample
	failures []time.Duration // of maps that found no room
	duration time.Duration
}

// cause is why a map fails that finds no room in the space.
func (s *space) cause() allocator.Cause {
	if s.totals.Kind == sim.IOVASpace {
		return allocator.IOVA
	}
	return allocator.Bounce
}

// spacesOf returns the spaces of every variant, of all names.
func spacesOf(r *result.Result) []space {
	var list []space
	for i := range r.Variants {
		run := &r.Variants[i].Run
		for j := range run.Summary.Spaces {
			s := space{variant: r.Variants[i].Name, totals: &run.Summary.Spaces[j], duration: run.Summary.Duration}
			for _, sample := range run.Spaces {
				if sample.Space == j {
					s.samples = append(s.samples, sample)
				}
			}
			for k := range run.Failures {
				if run.Failures[k].Cause == s.cause() {
					s.failures = append(s.failures, run.Failures[k].At)
				}
			}
			list = append(list, s)
		}
	}
	return list
}

// usedSpaces returns, by name, the spaces that were used in any variant.
func usedSpaces(r *result.Result) (names []string, byName map[string][]space) {
	byName = map[string][]space{}
	for _, s := range spacesOf(r) {
		byName[s.totals.Name] = append(byName[s.totals.Name], s)
		if !slices.Contains(names, s.totals.Name) {
			names = append(names, s.totals.Name)
		}
	}
	names = slices.DeleteFunc(names, func(name string) bool {
		return !slices.ContainsFunc(byName[name], func(s space) bool { return s.totals.PeakBusy > 0 || len(s.failures) > 0 })
	})
	return names, byName
}

// spaces shows how full a space was over time: what was mapped, and above it what
// waited for a flush. Marks above are maps that found no room.
func spaces(list []space) body {
	const (
		height = vg.Length(104)
		row    = vg.Length(8)
	)
	var limit, waiting float64
	views := make([]view, len(list))
	bounded, failed := true, false
	for i, s := range list {
		views[i] = view{name: s.variant, duration: s.duration}
		limit = max(limit, float64(s.totals.PeakBusy))
		waiting = max(waiting, float64(s.totals.PeakWaiting))
		failed = failed || len(s.failures) > 0
	}
	for _, s := range list { // an address space may be a million times what is used
		bounded = bounded && float64(s.totals.Capacity) <= 4*limit
	}
	key := legend{{"mapped, at most between samples", boxThumb(usedArea)}}
	if waiting > 0 {
		key = append(key, entry{"unmapped, waiting for a flush", boxThumb(waitingArea)})
	}
	if bounded {
		key = append(key, entry{"capacity", lineThumb(capacityLine)})
		for _, s := range list {
			limit = max(limit, float64(s.totals.Capacity))
		}
	}
	if failed {
		key = append(key, entry{"failed: " + list[0].cause().String(), glyphThumb(failureGlyph(list[0].cause()))})
	}
	g := newGrid(len(list))
	y := byteScale(limit, 4)
	top := y.limit * (1.04 + float64(row)/float64(height-30))
	panels := g.timePanels(views)
	for i, p := range panels {
		g.setY(p, i, y.label("addresses"), top, y)
		if list[i].totals.Kind != sim.IOVASpace {
			g.setY(p, i, y.label("bounce buffers"), top, y)
		}
		p.Add(fill{&list[i], bounded})
	}
	return body{
		width: g.width(), height: vg.Length(g.rows) * (height + row), legend: key, data: spacesData(list),
		draw: func(c draw.Canvas) { g.draw(c, panels) },
	}
}

// fill is how full one space was.
type fill struct {
	s       *space
	bounded bool // its capacity is in the picture
}

// Plot implements plot.Plotter.
func (f fill) Plot(c draw.Canvas, p *plot.Plot) {
	x, y := p.Transforms(&c)
	samples := f.s.samples
	area := func(fill color.Color, low, high func(*metrics.SpaceSample) uint64) {
		var upper, lower []vg.Point
		for i := range samples {
			from := x(float64(samples[max(i-1, 0)].At)) // a peak is of the time before the sample
			to := x(float64(samples[i].At))
			hi, lo := y(float64(high(&samples[i]))), y(float64(low(&samples[i])))
			upper = append(upper, vg.Point{X: from, Y: hi}, vg.Point{X: to, Y: hi})
			lower = append(lower, vg.Point{X: from, Y: lo}, vg.Point{X: to, Y: lo})
		}
		slices.Reverse(lower)
		if len(upper) > 0 {
			c.FillPolygon(fill, append(upper, lower...))
		}
	}
	area(waitingArea, func(s *metrics.SpaceSample) uint64 { return s.Used }, func(s *metrics.SpaceSample) uint64 { return s.Used + s.Waiting })
	area(usedArea, func(*metrics.SpaceSample) uint64 { return 0 }, func(s *metrics.SpaceSample) uint64 { return max(s.Peak, s.Used) })
	if f.bounded {
		full := y(float64(f.s.totals.Capacity))
		c.StrokeLine2(capacityLine, c.Min.X, full, c.Max.X, full)
	}
	last := c.Min.X - 10
	for _, at := range f.s.failures {
		if here := x(float64(at)); here-last > 1.5 { // marks are not drawn over each other
			c.DrawGlyphNoClip(failureGlyph(f.s.cause()), vg.Point{X: here, Y: c.Max.Y - 4})
			last = here
		}
	}
}

// SpaceStory says in a sentence how full the space was that came nearest to its end, in
// the variant in which it did; "" where devices address memory as it lies.
func SpaceStory(r *result.Result) string {
	list := spacesOf(r)
	if len(list) == 0 {
		return ""
	}
	worst := slices.MaxFunc(list, func(a, b space) int {
		if n := len(a.failures) - len(b.failures); n != 0 {
			return n
		}
		return compareShares(float64(a.totals.PeakBusy), float64(a.totals.Capacity), float64(b.totals.PeakBusy), float64(b.totals.Capacity))
	})
	t := worst.totals
	if t.Kind != sim.IOVASpace {
		return fmt.Sprintf("%s: up to %s of %s of bounce buffers (%s) were used: %d of %d slots", worst.variant, t.PeakUsed.Short(), t.Capacity.Short(),
			t.Name, t.PeakUsed/dmamap.SlotSize, t.Capacity/dmamap.SlotSize)
	}
	text := fmt.Sprintf("%s: up to %s of %s of the addresses of IOMMU group %s were mapped", worst.variant, t.PeakUsed.Short(), t.Capacity.Short(), t.Name)
	if t.PeakWaiting > 0 {
		text += ", and up to " + t.PeakWaiting.Short() + " waited for a flush"
	}
	return text
}

// noRoom says what a map found that found no room.
func noRoom(f *metrics.Failure) string {
	left := f.Free.Short() + " were free, in runs of at most " + f.Largest.Short()
	switch {
	case f.Cause == allocator.IOVA && f.Waiting > 0:
		return "of its device's addresses " + left + ", and " + f.Waiting.Short() + " waited for a flush"
	case f.Cause == allocator.IOVA:
		return "of its device's addresses " + left
	case f.Reserve > dmamap.MaxBounce:
		return "a piece of it, " + f.Reserve.Short() + ", is longer than the " + mem.Size(dmamap.MaxBounce).Short() +
			" that can be bounced, though " + f.Free.Short() + " of bounce buffers were free"
	}
	return "of bounce buffers " + left
}
