package devices

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"dmasim/internal/suggest"
	"dmasim/mem"
)

// Image is how a picture lies in its buffer. A stride is the distance between
// two lines, in bytes; lines of chroma planes are those that subsampling leaves.
type Image struct {
	// Strides are multiples of so many bytes.
	StrideAlign mem.Size `yaml:"stride_align,omitempty" json:"stride_align,omitempty"`
	// Strides are multiples of so many pixels.
	StridePixels uint64 `yaml:"stride_pixels,omitempty" json:"stride_pixels,omitempty" jsonschema:"maximum=65536"`
	// Longest stride.
	StrideMax mem.Size `yaml:"stride_max,omitempty" json:"stride_max,omitempty"`
	// Whether a stride is the width of the picture, without padding.
	ExactStride bool `yaml:"exact_stride,omitempty" json:"exact_stride,omitempty"`
	// The lines of the first plane are a multiple of this.
	Lines uint64 `yaml:"lines_align,omitempty" json:"lines_align,omitempty" jsonschema:"maximum=65536"`
	// The lines of the other planes are a multiple of this.
	ChromaLines uint64 `yaml:"chroma_lines_align,omitempty" json:"chroma_lines_align,omitempty" jsonschema:"maximum=65536"`
	// Planes begin at a multiple of this, from the first one's begin.
	PlaneAlign mem.Size `yaml:"plane_align,omitempty" json:"plane_align,omitempty"`
	// Planes begin at most so far behind the first one's begin.
	PlaneOffsetMax mem.Size `yaml:"plane_offset_max,omitempty" json:"plane_offset_max,omitempty"`
	// The bytes of all planes are a multiple of so many strides of the first.
	SizeStrides uint64 `yaml:"size_strides,omitempty" json:"size_strides,omitempty" jsonschema:"maximum=65536"`
	// The device may touch so many strides behind the planes, where that is more than the padding.
	PaddingStrides uint64 `yaml:"padding_strides,omitempty" json:"padding_strides,omitempty" jsonschema:"maximum=65536"`
}

// Bounds on what an Image demands, so that sums stay far from 64 bits.
const (
	maxImageSize  mem.Size = 1 << 30
	maxImageCount          = 1 << 16
)

var imageShape = shape{
	key: "image",
	check: func(d *Device) *FieldError {
		if d.Image == nil {
			return nil
		}
		for _, size := range []mem.Size{d.Image.StrideAlign, d.Image.StrideMax, d.Image.PlaneAlign, d.Image.PlaneOffsetMax} {
			if size > maxImageSize {
				return fail("image", -1, "want at most %s, not %s", maxImageSize, size)
			}
		}
		for _, n := range []uint64{d.Image.StridePixels, d.Image.Lines, d.Image.ChromaLines, d.Image.SizeStrides, d.Image.PaddingStrides} {
			if n > maxImageCount {
				return fail("image", -1, "want at most %d, not %d", maxImageCount, n)
			}
		}
		return nil
	},
	tell: func(d *Device, t *teller) {
		for _, text := range d.Image.texts() {
			t.add("image", "", "%s", text)
		}
	},
	name: func(c *compiled) string { return "image (" + strings.Join(c.Image.texts(), ", ") + ")" },
}

func (i *Image) texts() []string {
	if i == nil {
		return nil
	}
	var texts []string
	add := func(has bool, format string, args ...any) {
		if has {
			texts = append(texts, fmt.Sprintf(format, args...))
		}
	}
	add(i.StrideAlign > 1, "strides are multiples of %s", i.StrideAlign)
	add(i.StridePixels > 1, "strides are multiples of %d pixels", i.StridePixels)
	add(i.StrideMax > 0, "a stride is at most %s", i.StrideMax)
	add(i.ExactStride, "a stride is the width, without padding")
	add(i.Lines > 1, "lines are a multiple of %d", i.Lines)
	add(i.ChromaLines > 1, "chroma lines are a multiple of %d", i.ChromaLines)
	add(i.PlaneAlign > 1, "planes begin at multiples of %s behind the first", i.PlaneAlign)
	add(i.PlaneOffsetMax > 0, "planes begin at most %s behind the first", i.PlaneOffsetMax)
	add(i.SizeStrides > 1, "sizes are multiples of %d strides", i.SizeStrides)
	add(i.PaddingStrides > 0, "may touch %d strides behind the planes", i.PaddingStrides)
	return texts
}

// Picture is what an image shows.
type Picture struct {
	Width, Height uint64 // pixels
	Format        string // one of Formats
}

// String returns the picture as ParsePicture reads it.
func (p Picture) String() string { return fmt.Sprintf("%dx%d:%s", p.Width, p.Height, p.Format) }

// plane is one plane of a format: bytes for each of its pixels, and how many
// pixels of the picture one of them stands for.
type plane struct{ bytes, across, down uint64 }

// formats are named as those of Linux are (include/uapi/drm/drm_fourcc.h).
var formats = []struct {
	name   string
	planes []plane
}{
	{"xrgb8888", []plane{{4, 1, 1}}},
	{"rgb888", []plane{{3, 1, 1}}},
	{"rgb565", []plane{{2, 1, 1}}},
	{"r8", []plane{{1, 1, 1}}},
	{"yuyv", []plane{{2, 1, 1}}},
	{"nv12", []plane{{1, 1, 1}, {2, 2, 2}}},
	{"nv16", []plane{{1, 1, 1}, {2, 2, 1}}},
	{"p010", []plane{{2, 1, 1}, {4, 2, 2}}},
	{"yuv420", []plane{{1, 1, 1}, {1, 2, 2}, {1, 2, 2}}},
	{"yuv422", []plane{{1, 1, 1}, {1, 2, 1}, {1, 2, 1}}},
	{"yuv444", []plane{{1, 1, 1}, {1, 1, 1}, {1, 1, 1}}},
}

// Formats returns the names of the formats that pictures have.
func Formats() []string {
	names := make([]string, len(formats))
	for i := range formats {
		names[i] = formats[i].name
	}
	return names
}

// longestSide of a picture, in pixels.
const longestSide = 1 << 20

// ParsePicture reads WIDTHxHEIGHT:FORMAT, such as 1920x1080:nv12.
func ParsePicture(text string) (Picture, error) {
	sides, format, _ := strings.Cut(text, ":")
	width, height, _ := strings.Cut(sides, "x")
	p := Picture{Format: format}
	for _, side := range []struct {
		text string
		to   *uint64
	}{{width, &p.Width}, {height, &p.Height}} {
		n, err := strconv.ParseUint(side.text, 10, 64)
		if err != nil || n == 0 || n > longestSide {
			return Picture{}, fmt.Errorf("picture %q: want WIDTHxHEIGHT:FORMAT, such as 1920x1080:nv12, each side at most %d", text, longestSide)
		}
		*side.to = n
	}
	if !slices.Contains(Formats(), format) {
		return Picture{}, fmt.Errorf("picture %q: unknown format %q, want one of %s%s", text, format, strings.Join(Formats(), ", "),
			suggest.DidYouMean(suggest.Nearest(format, Formats())))
	}
	return p, nil
}

// Plane is where a plane of a picture lies.
type Plane struct {
	Offset uint64 `json:"offset"` // bytes behind the first one's begin
	Stride uint64 `json:"stride"` // bytes from one line to the next
	Lines  uint64 `json:"lines"`
}

// Layout is a picture in a buffer.
type Layout struct {
	Planes  []Plane `json:"planes"`
	Bytes   uint64  `json:"bytes"`   // of all planes
	Padding uint64  `json:"padding"` // behind them
	// Payload is what to ask of a heap that pads buffers as the devices demand: the
	// planes, and of the padding what is this picture's own.
	Payload uint64 `json:"payload"`
	Size    uint64 `json:"size"` // of the buffer, with what rounding adds
}

// Layout returns the smallest layout of a picture that every device takes. The
// error is a *Conflict, which names the devices that take none together, or one
// device and TheBuffer.
func (p *Plan) Layout(picture Picture) (Layout, error) {
	layout, ok := layoutFor(p.devices, picture)
	if ok {
		return layout, nil
	}
	agree := func(list []planned) bool {
		_, ok := layoutFor(list, picture)
		return ok
	}
	for i := range p.devices {
		if !agree(p.devices[i : i+1]) {
			return Layout{}, newConflict(p.devices[i].Name, TheBuffer, imageShape.name(&p.devices[i].compiled), "picture ("+picture.String()+")", nil)
		}
	}
	a, b, given := culprits(p.devices, agree)
	return Layout{}, newConflict(a.Name, b.Name, imageShape.name(&a.compiled), imageShape.name(&b.compiled), given)
}

// imageRules are the merged ones: least common multiples, and the least of what
// is most.
type imageRules struct {
	strideAlign, stridePixels, lines, chromaLines, planeAlign, sizeStrides uint64 // at least 1
	strideMax, offsetMax                                                   uint64 // 0: none
	exact                                                                  bool
	paddingStrides                                                         uint64
}

// widestMultiple is what a common multiple may be, so that sums stay far from 64
// bits.
const widestMultiple = 1 << 36

func mergeImages(list []planned) (m imageRules, ok bool) {
	m = imageRules{strideAlign: 1, stridePixels: 1, lines: 1, chromaLines: 1, planeAlign: 1, sizeStrides: 1}
	ok = true
	for i := range list {
		image := list[i].Image
		if image == nil {
			continue
		}
		for _, a := range []struct {
			to    *uint64
			align uint64
		}{
			{&m.strideAlign, uint64(image.StrideAlign)}, {&m.stridePixels, image.StridePixels}, {&m.lines, image.Lines},
			{&m.chromaLines, image.ChromaLines}, {&m.planeAlign, uint64(image.PlaneAlign)}, {&m.sizeStrides, image.SizeStrides},
		} {
			both, fits := lcm(*a.to, max(a.align, 1))
			if !fits || both > widestMultiple {
				return m, false
			}
			*a.to = both
		}
		m.strideMax, m.offsetMax = minLimit(m.strideMax, uint64(image.StrideMax)), minLimit(m.offsetMax, uint64(image.PlaneOffsetMax))
		m.exact = m.exact || image.ExactStride
		m.paddingStrides = max(m.paddingStrides, image.PaddingStrides)
	}
	return m, m.lines <= maxImageCount && m.chromaLines <= maxImageCount && m.sizeStrides <= maxImageCount
}

func layoutFor(list []planned, picture Picture) (layout Layout, ok bool) {
	m, ok := mergeImages(list)
	if !ok {
		return layout, false
	}
	at := slices.IndexFunc(formats, func(f struct {
		name   string
		planes []plane
	}) bool {
		return f.name == picture.Format
	})
	if at < 0 {
		return layout, false
	}
	end := uint64(0)
	for i, p := range formats[at].planes {
		width := (picture.Width + p.across - 1) / p.across * p.bytes
		lines := (picture.Height + p.down - 1) / p.down
		align, fits := lcm(m.strideAlign, m.stridePixels*p.bytes)
		if !fits || align > widestMultiple {
			return layout, false
		}
		stride, _ := roundUp(width, align)
		if m.exact && stride != width || m.strideMax > 0 && stride > m.strideMax {
			return layout, false
		}
		if i == 0 {
			lines, _ = roundUp(lines, m.lines)
		} else {
			lines, _ = roundUp(lines, m.chromaLines)
		}
		offset, _ := roundUp(end, m.planeAlign)
		if m.offsetMax > 0 && offset > m.offsetMax {
			return layout, false
		}
		layout.Planes = append(layout.Planes, Plane{offset, stride, lines})
		end = offset + stride*lines
	}
	stride := layout.Planes[0].Stride
	if layout.Bytes, ok = roundUp(end, m.sizeStrides*stride); !ok {
		return layout, false
	}
	s, _ := sizingOf(list)
	layout.Payload = layout.Bytes + max(s.padding, m.paddingStrides*stride) - s.padding
	s.padding = max(s.padding, m.paddingStrides*stride)
	layout.Padding = s.padding
	layout.Size, ok = s.size(s.touched(layout.Bytes))
	return layout, ok
}
