package devices_test

import (
	"errors"
	"testing"

	"dmasim/devices"
	"dmasim/mem"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func picture(tb testing.TB, text string) devices.Picture {
	tb.Helper()
	p, err := devices.ParsePicture(text)
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

func imaged(name string, image devices.Image) devices.Device {
	return devices.Device{Name: name, Image: &image}
}

func TestLayout(t *testing.T) {
	venus := imaged("venus", devices.Image{StrideAlign: 128, Lines: 32, ChromaLines: 16})
	venus.Granularity = 4096
	tests := []struct {
		name    string
		devices []devices.Device
		picture string
		want    devices.Layout
	}{
		{
			"nobody asks for anything", nil, "1920x1080:nv12",
			devices.Layout{Planes: []devices.Plane{{0, 1920, 1080}, {1920 * 1080, 1920, 540}}, Bytes: 3110400, Payload: 3110400, Size: 3110400},
		}, {
			"Venus: 3133440 bytes instead of 3110400", []devices.Device{venus}, "1920x1080:nv12",
			devices.Layout{Planes: []devices.Plane{{0, 1920, 1088}, {1920 * 1088, 1920, 544}}, Bytes: 3133440, Payload: 3133440, Size: 3133440},
		}, {
			"padding of strides, where that is more", []devices.Device{
				{Name: "a", Padding: 16 * kib, Granularity: 4 * kib, Image: &devices.Image{PaddingStrides: 48}},
			}, "1920x1080:r8",
			devices.Layout{Planes: []devices.Plane{{0, 1920, 1080}}, Bytes: 2073600, Padding: 92160, Payload: 2073600 + 92160 - 16*kib, Size: 2166784},
		}, {
			"padding of bytes, where that is more", []devices.Device{
				{Name: "a", Padding: 16 * kib, Granularity: 4 * kib, Image: &devices.Image{PaddingStrides: 48}},
			}, "320x240:r8",
			devices.Layout{Planes: []devices.Plane{{0, 320, 240}}, Bytes: 76800, Padding: 16384, Payload: 76800, Size: 94208},
		}, {
			"sizes that are no power of two: NV4x", []devices.Device{imaged("nv40", devices.Image{SizeStrides: 64})}, "1000x700:xrgb8888",
			devices.Layout{Planes: []devices.Plane{{0, 4000, 700}}, Bytes: 2816000, Payload: 2816000, Size: 2816000},
		}, {
			"pixels and bytes of a stride", []devices.Device{imaged("a", devices.Image{StridePixels: 32}), imaged("b", devices.Image{StrideAlign: 80})}, "33x1:rgb888",
			devices.Layout{Planes: []devices.Plane{{0, 480, 1}}, Bytes: 480, Payload: 480, Size: 480},
		}, {
			"planes of odd sides", []devices.Device{imaged("a", devices.Image{PlaneAlign: 64, ChromaLines: 4})}, "5x5:yuv420",
			devices.Layout{Planes: []devices.Plane{{0, 5, 5}, {64, 3, 4}, {128, 3, 4}}, Bytes: 140, Payload: 140, Size: 140},
		},
	}
	for _, test := range tests {
		got, err := merge(t, test.devices...).Layout(picture(t, test.picture))
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, diff)
		}
	}
}

func TestLayoutConflicts(t *testing.T) {
	mxsfb := imaged("mxsfb", devices.Image{ExactStride: true})
	gpu := imaged("gpu", devices.Image{StrideAlign: 64})
	ipu := imaged("ipu", devices.Image{PlaneAlign: 8, PlaneOffsetMax: 0xfffff8, StrideMax: 16 * kib})
	tests := []struct {
		devices []devices.Device
		picture string
		want    string // "": there is a layout
	}{
		{[]devices.Device{mxsfb, gpu}, "1920x1080:xrgb8888", ""},
		{
			[]devices.Device{mxsfb, gpu}, "1366x768:xrgb8888",
			"devices mxsfb and gpu cannot share a buffer: the first one's image (a stride is the width, without padding) and the second one's image (strides are multiples of 64B) exclude each other",
		},
		{[]devices.Device{ipu, gpu}, "4096x2304:nv12", ""},
		{
			[]devices.Device{gpu, ipu}, "8192x2304:nv12",
			"device ipu cannot use the buffer: the device's image (a stride is at most 16KiB, planes begin at multiples of 8B behind the first, planes begin at most 16777208B behind the first) and the buffer's picture (8192x2304:nv12) exclude each other",
		},
		{
			[]devices.Device{ipu}, "5000x100:xrgb8888",
			"device ipu cannot use the buffer: the device's image (a stride is at most 16KiB, planes begin at multiples of 8B behind the first, planes begin at most 16777208B behind the first) and the buffer's picture (5000x100:xrgb8888) exclude each other",
		},
		{
			[]devices.Device{imaged("a", devices.Image{StrideAlign: 1<<30 - 35}), imaged("b", devices.Image{StrideAlign: 1 << 30})}, "1x1:r8",
			"devices a and b cannot share a buffer: the first one's image (strides are multiples of 1073741789B) and the second one's image (strides are multiples of 1GiB) exclude each other",
		},
	}
	for _, test := range tests {
		_, err := merge(t, test.devices...).Layout(picture(t, test.picture))
		var conflict *devices.Conflict
		switch {
		case test.want == "" && err != nil:
			t.Errorf("%s: %v", test.picture, err)
		case test.want != "" && (!errors.As(err, &conflict) || err.Error() != test.want):
			t.Errorf("%s:\ngot  %v\nwant %s", test.picture, err, test.want)
		}
	}
}

// TestLayoutIsSmallest compares with a search through all strides.
func TestLayoutIsSmallest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		draw := func(name string) devices.Image {
			number := func(label string, hi int) uint64 { return uint64(rapid.IntRange(0, hi).Draw(t, name+label)) }
			return devices.Image{
				StrideAlign: mem.Size(number("align", 12)), StridePixels: number("pixels", 5), ExactStride: number("exact", 4) == 0,
				StrideMax: mem.Size(number("max", 1) * (20 + number("longest", 300))), Lines: number("lines", 6),
			}
		}
		a, b := draw("a "), draw("b ")
		p := devices.Picture{Width: rapid.Uint64Range(1, 40).Draw(t, "width"), Height: rapid.Uint64Range(1, 20).Draw(t, "height"), Format: "rgb888"}
		plan, err := devices.Merge(imaged("a", a), imaged("b", b))
		if err != nil {
			t.Fatal(err)
		}
		takes := func(i devices.Image, stride, lines uint64) bool {
			return stride%max(uint64(i.StrideAlign), 1) == 0 && stride%(3*max(i.StridePixels, 1)) == 0 && lines%max(i.Lines, 1) == 0 &&
				(!i.ExactStride || stride == p.Width*3) && (i.StrideMax == 0 || stride <= uint64(i.StrideMax))
		}
		var want *devices.Plane
		for lines := p.Height; lines < 100 && want == nil; lines++ {
			for stride := p.Width * 3; stride < 4000; stride++ {
				if takes(a, stride, lines) && takes(b, stride, lines) {
					want = &devices.Plane{Stride: stride, Lines: lines}
					break
				}
			}
		}
		layout, err := plan.Layout(p)
		if (err == nil) != (want != nil) || want != nil && layout.Planes[0] != *want {
			t.Fatalf("%v, %v, want %v", layout, err, want)
		}
	})
}

func TestParsePicture(t *testing.T) {
	if p := picture(t, "1366x768:rgb565"); p != (devices.Picture{Width: 1366, Height: 768, Format: "rgb565"}) || p.String() != "1366x768:rgb565" {
		t.Errorf("%+v", p)
	}
	for _, text := range []string{"", "1x1", "0x1:nv12", "1x:nv12", "-1x1:nv12", "1x9999999:nv12", "1x1:nv13", "1x1:nv12:nv12"} {
		if p, err := devices.ParsePicture(text); err == nil {
			t.Errorf("%q: %+v", text, p)
		}
	}
}
