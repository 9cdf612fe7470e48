package report

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"

	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
	"gonum.org/v1/plot/vg/vgsvg"

	"dmasim/sim/result"
)

// Format is what a figure is written as; its text ends the file's name.
type Format string

// The formats: dots at 300 to an inch, and two that scale, with their font in them.
const (
	PNG Format = "png"
	SVG Format = "svg"
	PDF Format = "pdf"
)

// Formats returns all formats.
func Formats() []Format { return []Format{PNG, SVG, PDF} }

// ParseFormats reads formats with commas between, such as png,svg.
func ParseFormats(text string) ([]Format, error) {
	var list []Format
	for word := range strings.SplitSeq(text, ",") {
		f := Format(strings.TrimSpace(word))
		if !slices.Contains(Formats(), f) {
			return nil, fmt.Errorf("%q is not a format of pictures: want some of png, svg and pdf, like png,pdf", word)
		}
		if !slices.Contains(list, f) {
			list = append(list, f)
		}
	}
	return list, nil
}

// Write writes the figure. The same figure gives the same bytes.
func (f *Figure) Write(w io.Writer, format Format) error {
	switch format {
	case PNG:
		return f.WritePNG(w)
	case SVG:
		return f.WriteSVG(w)
	case PDF:
		return f.WritePDF(w)
	}
	return fmt.Errorf("draw %s: no format %q", f.Name, format)
}

// WritePNG writes the figure at 300 dots per inch.
func (f *Figure) WritePNG(w io.Writer) error {
	c := vgimg.NewWith(vgimg.UseWH(f.width, f.height), vgimg.UseDPI(dpi))
	f.draw(draw.New(c))
	_, err := vgimg.PngCanvas{Canvas: c}.WriteTo(w)
	return err
}

// WriteSVG writes the figure with its font in it.
func (f *Figure) WriteSVG(w io.Writer) error {
	c := vgsvg.NewWith(vgsvg.UseWH(f.width, f.height), vgsvg.EmbedFonts(true))
	f.draw(draw.New(c))
	var buffer bytes.Buffer
	if _, err := c.WriteTo(&buffer); err != nil {
		return err
	}
	_, err := svgFixes.WriteString(w, buffer.String())
	return err
}

// svgFixes changes what vgsvg writes: its pictures are PNG, whatever it calls
// them, and librsvg draws none of another type; and where a program ignores a
// font within a file, Arial and Helvetica have letters of the same width.
var svgFixes = strings.NewReplacer(
	"data:image/jpg;base64,", "data:image/png;base64,",
	`"font-family:Liberation Sans;`, `"font-family:Liberation Sans,Arial,Helvetica,sans-serif;`,
)

// Files are the figure in some formats, and what it shows as CSV, all below
// figures/.
func (f *Figure) Files(formats []Format) []result.File {
	stem := "figures/" + f.Name
	var files []result.File
	for _, format := range formats {
		files = append(files, result.File{Name: stem + "." + string(format), Write: func(w io.Writer) error { return f.Write(w, format) }})
	}
	return append(files, result.File{Name: stem + ".csv", Write: f.Data.WriteCSV})
}

// FigureFiles are those of several figures.
func FigureFiles(figures []Figure, formats []Format) []result.File {
	var files []result.File
	for i := range figures {
		files = append(files, figures[i].Files(formats)...)
	}
	return files
}
