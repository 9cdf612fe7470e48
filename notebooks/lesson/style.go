package lesson

import (
	"image/color"
	"io"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
)

const (
	width = 6.8 * vg.Inch
	dpi   = 150
)

// The colours of Okabe and Ito, as in the figures of dmasim.
var series = []color.NRGBA{
	{R: 0xD5, G: 0x5E, A: 255}, {G: 0x72, B: 0xB2, A: 255}, {G: 0x9E, B: 0x73, A: 255},
	{R: 0xE6, G: 0x9F, A: 255}, {R: 0xCC, G: 0x79, B: 0xA7, A: 255}, {R: 0x56, G: 0xB4, B: 0xE9, A: 255},
}

var (
	black     = color.NRGBA{A: 255}
	white     = color.NRGBA{R: 255, G: 255, B: 255, A: 255}
	lightGray = color.NRGBA{R: 225, G: 225, B: 225, A: 255}
	midGray   = color.NRGBA{R: 140, G: 140, B: 140, A: 255}
)

// pale is a colour that black text can be read on.
func pale(c color.NRGBA) color.NRGBA {
	mix := func(v uint8) uint8 { return uint8((int(v) + 2*255) / 3) }
	return color.NRGBA{R: mix(c.R), G: mix(c.G), B: mix(c.B), A: 255}
}

func textStyle(size vg.Length) draw.TextStyle {
	return draw.TextStyle{
		Color: black, Font: font.From(font.Font{Typeface: "Liberation", Variant: "Sans"}, size),
		Handler: text.Plain{Fonts: font.DefaultCache}, XAlign: draw.XLeft, YAlign: draw.YCenter,
	}
}

func fill(c draw.Canvas, r vg.Rectangle, with color.Color) {
	c.SetColor(with)
	c.Fill(r.Path())
}

// newPlot is a plot with the texts and lines of all of them.
func newPlot(title, x, y string) *plot.Plot {
	p := plot.New()
	p.Title.Text, p.X.Label.Text, p.Y.Label.Text = title, x, y
	p.Title.TextStyle = textStyle(8)
	p.Title.TextStyle.XAlign = draw.XCenter
	p.Title.Padding = 4
	for _, axis := range []*plot.Axis{&p.X, &p.Y} {
		label, tick := axis.Label.TextStyle, axis.Tick.Label
		label.Font, tick.Font = textStyle(7).Font, textStyle(7).Font
		axis.Label.TextStyle, axis.Tick.Label = label, tick
		axis.LineStyle.Width, axis.Tick.LineStyle.Width = 0.5, 0.5
		axis.Padding = 2
	}
	p.Legend.TextStyle.Font = textStyle(7).Font
	p.Legend.Top, p.Legend.Left = true, true
	p.Legend.Padding = 2
	return p
}

// writePNG draws on white.
func writePNG(w io.Writer, height vg.Length, paint func(draw.Canvas)) error {
	c := vgimg.NewWith(vgimg.UseWH(width, height), vgimg.UseDPI(dpi))
	canvas := draw.New(c)
	fill(canvas, canvas.Rectangle, white)
	paint(draw.Crop(canvas, 4, -8, 4, -4))
	_, err := vgimg.PngCanvas{Canvas: c}.WriteTo(w)
	return err
}
