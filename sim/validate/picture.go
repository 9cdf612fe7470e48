package validate

import (
	"image"
	"image/color"
	"image/png"
	"io"
	"math"
	"strings"
)

// Text draws bitmaps as rows of characters, model above kernel: "#" for units that
// are all taken, "." for free ones, "+" for both, and "^" below where the two
// differ. A row has at most width characters.
func Text(model, kernel Bitmap, width int) string {
	units := max(len(model), len(kernel)) * 32
	if units == 0 {
		return ""
	}
	const rows = 4
	each := max(1, (units+rows*width-1)/(rows*width))
	var text strings.Builder
	for first := 0; first < units; first += each * width {
		var m, k, differ strings.Builder
		for at := first; at < min(units, first+each*width); at += each {
			end := min(units, at+each)
			m.WriteByte(model.shade(at, end))
			k.WriteByte(kernel.shade(at, end))
			mark := byte(' ')
			for i := at; i < end; i++ {
				if model.at(i) != kernel.at(i) {
					mark = '^'
				}
			}
			differ.WriteByte(mark)
		}
		text.WriteString("model   " + m.String() + "\nkernel  " + k.String() + "\n")
		if marks := strings.TrimRight(differ.String(), " "); marks != "" {
			text.WriteString("        " + marks + "\n")
		}
	}
	return text.String()
}

// at is set, but for units beyond the end.
func (b Bitmap) at(unit int) bool { return unit < len(b)*32 && b.set(unit) }

func (b Bitmap) shade(from, to int) byte {
	taken := 0
	for i := from; i < to; i++ {
		if b.at(i) {
			taken++
		}
	}
	switch taken {
	case 0:
		return '.'
	case to - from:
		return '#'
	}
	return '+'
}

// Colours of a map, apart for those who see red and green alike.
var (
	freeColour   = color.RGBA{0xf2, 0xf2, 0xee, 0xff}
	takenColour  = color.RGBA{0x33, 0x5c, 0x8d, 0xff}
	differColour = color.RGBA{0xe0, 0x7b, 0x00, 0xff}
	lineColour   = color.RGBA{0x22, 0x22, 0x22, 0xff}
)

// WritePNG draws both bitmaps side by side, model left, kernel right: a square for
// each unit, rows from the top, units that differ in orange.
func WritePNG(w io.Writer, model, kernel Bitmap) error {
	units := max(len(model), len(kernel)) * 32
	columns := max(1, int(math.Ceil(math.Sqrt(float64(units)))))
	rows := (units + columns - 1) / columns
	const gap = 8
	square := max(1, min(12, 480/columns))
	width, height := columns*square, max(1, rows*square)
	img := image.NewRGBA(image.Rect(0, 0, 2*width+gap, height))
	for x := width; x < width+gap; x++ {
		for y := range height {
			img.SetRGBA(x, y, lineColour)
		}
	}
	for i := range units {
		for side, b := range []Bitmap{model, kernel} {
			c := freeColour
			switch {
			case model.at(i) != kernel.at(i):
				c = differColour
				if !b.at(i) {
					c = color.RGBA{0xff, 0xd9, 0xa8, 0xff}
				}
			case b.at(i):
				c = takenColour
			}
			left, top := side*(width+gap)+i%columns*square, i/columns*square
			for x := left; x < left+square; x++ {
				for y := top; y < top+square; y++ {
					img.SetRGBA(x, y, c)
				}
			}
		}
	}
	return png.Encode(w, img)
}
