package report

import (
	"image/color"
	"math"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"dmasim/allocator"
)

// Widths of a column and of a page of text.
const (
	columnWidth = 3.4 * vg.Inch
	pageWidth   = 6.8 * vg.Inch
)

const (
	titleSize = vg.Length(8)
	textSize  = vg.Length(7)
)

// The colours of Okabe and Ito, which people with any of the usual colour
// vision deficiencies can tell apart ("Color Universal Design", 2008).
var (
	black      = color.NRGBA{A: 255}
	orange     = color.NRGBA{R: 0xE6, G: 0x9F, A: 255}
	skyBlue    = color.NRGBA{R: 0x56, G: 0xB4, B: 0xE9, A: 255}
	green      = color.NRGBA{G: 0x9E, B: 0x73, A: 255}
	yellow     = color.NRGBA{R: 0xF0, G: 0xE4, B: 0x42, A: 255}
	blue       = color.NRGBA{G: 0x72, B: 0xB2, A: 255}
	vermillion = color.NRGBA{R: 0xD5, G: 0x5E, A: 255}
	purple     = color.NRGBA{R: 0xCC, G: 0x79, B: 0xA7, A: 255}

	white     = color.NRGBA{R: 255, G: 255, B: 255, A: 255}
	darkGray  = gray(90)
	midGray   = gray(150)
	lightGray = gray(220)
)

func gray(level uint8) color.NRGBA { return color.NRGBA{R: level, G: level, B: level, A: 255} }

// series are the colours of clients and devices, in their order.
var series = []color.NRGBA{vermillion, blue, green, orange, purple, skyBlue, yellow}

var dashes = [][]vg.Length{{5, 1.2}, {1.5, 1.2}, {7, 1.2, 1.5, 1.2}, {10, 2}, nil}

// seriesLine is the line of the i-th of several series: no two of the first 35
// share both colour and dashes.
func seriesLine(i int) draw.LineStyle {
	return draw.LineStyle{Color: series[i%len(series)], Width: 0.9, Dashes: dashes[i%len(dashes)]}
}

// mark is how failures of one cause are drawn.
type mark struct {
	color color.NRGBA
	shape draw.GlyphDrawer
}

// marks has the frequent causes in the clearest colours; the others share a hue
// and differ in shape and lightness.
var marks = map[allocator.Cause]mark{
	allocator.Permission:  {gray(110), draw.CrossGlyph{}},
	allocator.Limit:       {gray(170), draw.BoxGlyph{}},
	allocator.Exhausted:   {black, draw.BoxGlyph{}},
	allocator.WindowFull:  {vermillion, draw.PyramidGlyph{}},
	allocator.Fragmented:  {blue, draw.CircleGlyph{}},
	allocator.Alignment:   {skyBlue, draw.TriangleGlyph{}},
	allocator.Boundary:    {green, draw.CrossGlyph{}},
	allocator.RuleBroken:  {purple, draw.PlusGlyph{}},
	allocator.Segments:    {mix(purple, white, 0.5), draw.SquareGlyph{}},
	allocator.Busy:        {mix(orange, white, 0.5), draw.RingGlyph{}},
	allocator.Pinned:      {mix(orange, black, 0.4), draw.CircleGlyph{}},
	allocator.Policy:      {orange, draw.BoxGlyph{}},
	allocator.Unreachable: {yellow, draw.PyramidGlyph{}},
	allocator.IOVA:        {mix(green, white, 0.5), draw.CircleGlyph{}},
	allocator.Bounce:      {mix(green, black, 0.5), draw.TriangleGlyph{}},
}

var gridLine = draw.LineStyle{Color: lightGray, Width: 0.4}

// mix returns a colour between a and b: a where share is 0.
func mix(a, b color.NRGBA, share float64) color.NRGBA {
	part := func(x, y uint8) uint8 { return uint8(math.Round(float64(x) + (float64(y)-float64(x))*share)) }
	return color.NRGBA{R: part(a.R, b.R), G: part(a.G, b.G), B: part(a.B, b.B), A: 255}
}

func textStyle(size vg.Length) text.Style {
	return text.Style{
		Color:   black,
		Font:    font.From(font.Font{Typeface: "Liberation", Variant: "Sans"}, size),
		Handler: plot.DefaultTextHandler,
	}
}

// newPlot returns an empty plot in the style of the figures.
func newPlot() *plot.Plot {
	p := plot.New()
	p.BackgroundColor = nil
	for _, axis := range []*plot.Axis{&p.X, &p.Y} {
		axis.LineStyle.Width = 0.5
		axis.Padding = 0
		axis.Label.Padding = 2
		axis.Label.TextStyle = restyle(axis.Label.TextStyle)
		axis.Tick.Label = restyle(axis.Tick.Label)
		axis.Tick.Length = 2.5
		axis.Tick.LineStyle.Width = 0.5
	}
	return p
}

// restyle keeps the alignment of s.
func restyle(s text.Style) text.Style {
	small := textStyle(textSize)
	small.XAlign, small.YAlign = s.XAlign, s.YAlign
	return small
}

// shorten cuts s to width, ending it in an ellipsis.
func shorten(s string, style text.Style, width vg.Length) string {
	if style.Width(s) <= width {
		return s
	}
	runes := []rune(s)
	for n := len(runes) - 1; n > 0; n-- {
		if short := string(runes[:n]) + "…"; style.Width(short) <= width {
			return short
		}
	}
	return "…"
}
