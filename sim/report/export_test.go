package report

import (
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// DrawOn draws f on a canvas of its size, which it returns.
func (f *Figure) DrawOn(c vg.Canvas) (width, height vg.Length) {
	f.draw(draw.NewCanvas(c, f.width, f.height))
	return f.width, f.height
}
