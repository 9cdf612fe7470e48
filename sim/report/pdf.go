package report

import (
	"image"
	"io"
	"time"

	"codeberg.org/go-pdf/fpdf"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgpdf"
)

// A PDF says when it was made, and lists its parts in the order of a map, unless it
// is told otherwise before it is begun.
func init() {
	fpdf.SetDefaultCreationDate(time.Unix(0, 0).UTC())
	fpdf.SetDefaultModificationDate(time.Unix(0, 0).UTC())
	fpdf.SetDefaultCatalogSort(true)
}

// WritePDF writes the figure with its font in it, dated 1970. A letter that is not
// in Windows' code page 1252 is a point.
func (f *Figure) WritePDF(w io.Writer) error {
	c := pdfCanvas{
		Canvas: vgpdf.New(f.width, f.height),
		encode: fpdf.New("", "", "", "").UnicodeTranslatorFromDescriptor("cp1252"),
	}
	f.draw(draw.New(c))
	_, err := c.WriteTo(w)
	return err
}

// pdfCanvas mends what vgpdf does: it writes text as it comes, though its fonts have
// a code page, and pictures upside down.
type pdfCanvas struct {
	*vgpdf.Canvas
	encode func(string) string
}

// FillString implements vg.Canvas.
func (c pdfCanvas) FillString(f font.Face, at vg.Point, text string) {
	c.Canvas.FillString(f, at, c.encode(text))
}

// DrawImage implements vg.Canvas.
func (c pdfCanvas) DrawImage(rect vg.Rectangle, picture image.Image) {
	bounds := picture.Bounds()
	turned := image.NewNRGBA(image.Rect(0, 0, bounds.Dx(), bounds.Dy()))
	for y := range bounds.Dy() {
		for x := range bounds.Dx() {
			turned.Set(x, bounds.Dy()-1-y, picture.At(bounds.Min.X+x, bounds.Min.Y+y))
		}
	}
	c.Canvas.DrawImage(rect, turned)
}
