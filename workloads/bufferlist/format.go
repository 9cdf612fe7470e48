package bufferlist

import (
	"errors"
	"fmt"
	"math/bits"
	"slices"
	"strconv"
	"strings"

	"dmasim/internal/suggest"
)

// maxSide bounds the width and the height of a picture, in pixels. With it, no
// size overflows.
const maxSide = 1 << 20

// format says how many bytes rows of pixels take.
type format struct {
	name string
	// rowBits is the length of a row of the first plane in bits per pixel.
	rowBits uint64
	// chroma is the height of the second plane as a share 1/chroma of the first;
	// 0: there is none. Its rows are as long as those of the first.
	chroma uint64
}

var formats = []format{
	{"NV12", 8, 2}, {"P010", 16, 2}, {"NV16", 8, 1}, {"YUYV", 16, 0}, {"RGB565", 16, 0}, {"RGB888", 24, 0},
	{"XRGB8888", 32, 0}, {"ARGB8888", 32, 0}, {"RAW8", 8, 0}, {"RAW10", 10, 0}, {"RAW12", 12, 0}, {"RAW16", 16, 0},
}

// layout says how strides and heights are rounded.
type layout struct{ stride, rows, chromaRows, size uint64 }

// venus is the linear layout of Qualcomm's decoder for a format.
func venus(f format) (layout, bool) {
	switch f.name {
	case "NV12":
		return layout{128, 32, 16, 4096}, true
	case "P010":
		return layout{256, 32, 16, 4096}, true
	}
	return layout{}, false
}

func up(n, unit uint64) uint64 { return (n + unit - 1) / unit * unit }

// size returns the bytes of a picture.
func (f format) size(width, height uint64, l layout) uint64 {
	stride := up((width*f.rowBits+7)/8, l.stride)
	rows := up(height, l.rows)
	if f.chroma > 0 {
		// Tightly, chroma has half the rows that luma is rounded to.
		chroma := (rows + f.chroma - 1) / f.chroma
		if l.chromaRows > 0 {
			chroma = up((height+f.chroma-1)/f.chroma, l.chromaRows)
		}
		rows += chroma
	}
	return up(stride*rows, l.size)
}

// pictureSize reads "1920x1080" and "NV12/64x16".
func pictureSize(sides, text string) (uint64, error) {
	width, height, err := ParseSides(sides)
	if err != nil {
		return 0, err
	}
	return PictureSize(width, height, text)
}

// ParseSides reads the sides of a picture in pixels, such as 1920x1080.
func ParseSides(text string) (width, height uint64, err error) {
	if width, height, err = pair(text); err != nil {
		return 0, 0, fmt.Errorf("picture %q: %w", text, err)
	}
	return width, height, nil
}

// PictureSize returns the bytes of a picture in a format that is written as in a
// list, such as NV12/64x16. Sides are in pixels, from 1 to 2^20.
func PictureSize(width, height uint64, text string) (uint64, error) {
	for _, n := range []uint64{width, height} {
		if n == 0 || n > maxSide {
			return 0, fmt.Errorf("a picture of %dx%d pixels: want sides from 1 to %d", width, height, maxSide)
		}
	}
	name, how, hasLayout := strings.Cut(text, "/")
	i := slices.IndexFunc(formats, func(f format) bool { return strings.EqualFold(f.name, name) })
	if i < 0 {
		var names []string
		for _, f := range formats {
			names = append(names, f.name)
		}
		near := suggest.DidYouMean(suggest.Nearest(name, names))
		if near == "" {
			near = ": there are " + strings.Join(names, ", ")
		}
		return 0, fmt.Errorf("unknown format %q%s", name, near)
	}
	l := layout{1, 1, 0, 1}
	if hasLayout {
		var err error
		if l, err = parseLayout(formats[i], how); err != nil {
			return 0, err
		}
	}
	return formats[i].size(width, height, l), nil
}

func parseLayout(f format, text string) (layout, error) {
	if strings.EqualFold(text, "venus") {
		l, ok := venus(f)
		if !ok {
			return l, fmt.Errorf("the layout venus is known of NV12 and P010, not of %s", f.name)
		}
		return l, nil
	}
	stride, rows, hasRows := strings.Cut(text, "x")
	l := layout{1, 1, 0, 1}
	var err error
	if l.stride, err = side(stride); err != nil {
		return l, fmt.Errorf("layout %q: want venus, or what strides are multiples of, like 64, or 64x16 with rows", text)
	}
	if hasRows {
		if l.rows, err = side(rows); err != nil {
			return l, fmt.Errorf("layout %q: rows: %w", text, err)
		}
	}
	return l, nil
}

func pair(text string) (a, b uint64, err error) {
	first, second, found := strings.Cut(text, "x")
	if !found {
		return 0, 0, errors.New("want WIDTHxHEIGHT")
	}
	if a, err = side(first); err != nil {
		return 0, 0, err
	}
	b, err = side(second)
	return a, b, err
}

func side(text string) (uint64, error) {
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil || n == 0 || bits.Len64(n-1) > 20 {
		return 0, fmt.Errorf("%q is not a number from 1 to %d", text, maxSide)
	}
	return n, nil
}
