package report

import (
	"fmt"
	"slices"

	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"dmasim/devices/machine/probe"
	"dmasim/mem"
	"dmasim/sim/explain"
)

// CMAAreas draws the CMA areas of a machine as they are now: above, which of an
// area's memory is taken, by address; below, in the same scale, how much of it each
// process holds. It returns false if the kernel tells of none.
func CMAAreas(r *probe.Report) (Figure, bool) {
	var pictures []*explain.Picture
	var strips []strip
	var who []string // holders of all areas
	number := func(name string) int {
		if name == "" {
			name = "no dma-buf"
		}
		i := slices.Index(who, name)
		if i < 0 {
			i = len(who)
			who = append(who, name)
		}
		return i
	}
	used := number("taken")
	for i := range r.CMA {
		a := &r.CMA[i]
		if a.Size == 0 {
			continue
		}
		area := mem.Range{Lo: uint64(a.Base), Hi: uint64(a.Base) + uint64(a.Size)}
		at := &explain.Picture{Arena: mem.RangeSet{area}, Reach: mem.RangeSet{area}}
		for _, taken := range a.Taken {
			at.Blocks = append(at.Blocks, explain.Block{Range: taken, Owner: used})
		}
		for _, free := range at.Arena.Subtract(a.Taken) {
			if free.Size() > at.Run.Size() {
				at.Run = free
			}
		}
		by, lo := &explain.Picture{Arena: at.Arena, Reach: at.Reach}, area.Lo
		for _, h := range r.Holders(a) {
			hi := min(lo+uint64(h.Size), area.Hi)
			by.Blocks = append(by.Blocks, explain.Block{Range: mem.Range{Lo: lo, Hi: hi}, Owner: number(h.Name)})
			lo = hi
		}
		pictures = append(pictures, at, by)
		strips = append(strips,
			strip{name: fmt.Sprintf("%s, %s, by address", a.Name, a.Size.Short()), of: area},
			strip{name: fmt.Sprintf("who holds %s of it, wherever it lies", a.Used.Short()), of: area})
	}
	if len(strips) == 0 {
		return Figure{}, false
	}
	whole := &explain.Picture{Owners: who}
	for _, p := range pictures {
		p.Owners = who
		whole.Blocks = append(whole.Blocks, p.Blocks...)
	}
	owners := ownersBySize(whole)
	return newFigure("cma-areas", "CMA areas of this machine", body{
		width: pageWidth, height: vg.Length(len(strips))*stripPitch + 2, legend: windowLegend(whole, owners), data: areaData(strips, pictures),
		draw: func(c draw.Canvas) {
			for i, s := range strips {
				s.draw(draw.Crop(c, stripInset, -stripInset, 0, -vg.Length(i)*stripPitch), pictures[i], owners)
			}
		},
	}), true
}
