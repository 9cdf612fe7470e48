package generator

import (
	"strings"
	"testing"
)

// The figures were worked out from the tables of the standards.
func TestDPBFrames(t *testing.T) {
	for _, c := range []struct {
		codec, level  string
		width, height uint64
		want          uint64
	}{
		{"h264", "3.1", 1280, 720, 5}, // 18000 / (80·45)
		{"h264", "4", 1280, 720, 9},
		{"h264", "4.1", 1920, 1080, 4}, // 32768 / (120·68) = 4.01
		{"h264", "4.2", 1920, 1080, 4},
		{"h264", "5", 1920, 1080, 13},
		{"h264", "5.1", 1920, 1080, 16}, // 22, but never more than 16
		{"h264", "5.1", 2560, 1440, 12},
		{"h264", "5.1", 3840, 2160, 5},
		{"h264", "6", 3840, 2160, 16},
		{"h264", "6", 7680, 4320, 5},
		{"hevc", "4.1", 1920, 1080, 6},
		{"hevc", "5.1", 1920, 1080, 16}, // at most a quarter of 8912896 pixels
		{"hevc", "5.1", 2560, 1440, 12}, // at most a half
		{"hevc", "5.1", 3072, 2160, 8},  // 6635520, at most three quarters
		{"hevc", "5.1", 3840, 2160, 6},
		{"hevc", "6", 7680, 4320, 6},
		{"av1", "4", 1920, 1080, 8},
		{"vp9", "5.1", 3840, 2160, 8},
	} {
		got, err := dpbFrames(c.codec, c.level, sides{c.width, c.height})
		if err != nil || got != c.want {
			t.Errorf("%s of level %s, %dx%d: %d, %v; want %d", c.codec, c.level, c.width, c.height, got, err, c.want)
		}
	}
	for _, c := range []struct{ codec, level, size, want string }{
		{"h264", "3.1", "1920x1080", "at most 3600 macroblocks"},
		{"hevc", "4.1", "3840x2160", "at most 2228224 pixels"},
		{"av1", "3.1", "1280x1080", "at most 1065024 pixels"},
		{"vp9", "1b", "16x16", "no level 1b"},
	} {
		g := decode{}
		var parameters table
		g.bind(&parameters)
		for name, text := range map[string]string{"codec": c.codec, "level": c.level, "ladder": c.size} {
			p, _ := parameters.find(name)
			if err := p.set(text); err != nil {
				t.Fatal(err)
			}
		}
		if err := g.check(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: %v", c, err)
		}
	}
}

func TestPoolsByHand(t *testing.T) {
	for _, c := range []struct {
		text, pool string
		want       uint64
	}{
		// Level 4.1 keeps 4 pictures, one is decoded, 3 wait for the display, 2 are the
		// player's: 10 of 1920 bytes by 1088 rows and half as many.
		{"decode", "pictures", 10 * 1920 * (1088 + 544)},
		{"decode:motion=64", "motion", 10 * 120 * 68 * 64},
		{"decode:codec=hevc,level=5.1,ladder=3840x2160,format=P010/venus", "pictures", 12 * 25067520},
		{"decode:codec=av1,level=5,ladder=3840x2160,film_grain=1,instances=2", "pictures", 2 * 15 * 3840 * 3240},
		// 4032 pixels of 10 bits are 5040 bytes, 5056 in units of 64.
		{"camera", "raw", 4 * 5056 * 3024},
		{"camera", "video", 6 * 3133440},
		{"camera:mode=hdr", "burst", 3 * 5056 * 3024},
		{"display", "scanout", 3 * 7680 * 1080},
		{"display:modes=1366x768 1920x1080,format=XRGB8888/256,buffers=2", "scanout", 2 * (5632*768 + 7680*1080)},
		{"display", "overlay", 3 * 1280 * 1080},
		{"gpu:apps=1", "images", 3 * 7680 * 1088},
		{"gpu:apps=1,tiling=64k,samples=4", "targets", 3 * 4 * 7680 * 1152},
		{"gpu:apps=1,surface=1366x768,tiling=linear", "images", 3 * 5632 * 768},
		{"audio:streams=1", "ring", 16384}, // the least that a card is usually given
		{"audio:streams=1,period=441,sample=4,channels=6,periods=2", "ring", 24576},
		{"nic", "rings", 4 * 4096},
		{"nic", "rx", 4 * 256 * 2048},
		{"nvme:queues=1", "queues", 4096 + 4096 + 65536 + 16384},
		{"nvme:workers=1,in_flight=2", "prp", 2 * 256},
		{"usb", "isochronous", 5 * 98304},
		{"usb:scratchpads=0", "controller", 5 * 4096},
		{"npu", "weights", 4_200_000},
		{"npu", "tensors", 1204224},
		{"npu:element=2", "io", 2 * (2*150528 + 2048)}, // 2000 bytes of results, in units of 64
	} {
		g, err := Parse(c.text)
		if err != nil {
			t.Fatal(err)
		}
		var got uint64
		for _, p := range g.Pools() {
			if p.Name == c.pool {
				got = p.Most
			}
		}
		if got != c.want {
			t.Errorf("%s: pool %s holds %d bytes, want %d", c.text, c.pool, got, c.want)
		}
	}
}

func TestMipmapped(t *testing.T) {
	for _, c := range []struct {
		tiling                 string
		width, height, element uint64
		want                   uint64
	}{
		{"64k", 1024, 1024, 4, 4<<20 + 1<<20 + 256<<10 + 64<<10 + 64<<10},
		{"64k", 256, 256, 16, 1<<20 + 256<<10 + 64<<10 + 64<<10}, // 1024x1024 in blocks
		{"64k", 16, 16, 4, 64 << 10},
		{"y-4k", 64, 64, 4, 16<<10 + 4<<10 + 4<<10},
		{"x-4k", 128, 8, 4, 4<<10 + 4<<10},
		{"linear", 64, 2, 4, 2*256 + 256 + 5*256}, // 64x2, 32x1, and 16, 8, 4, 2, 1
	} {
		if got := tilingNamed(c.tiling).mipmapped(c.width, c.height, c.element); got != c.want {
			t.Errorf("%s, %dx%d of %d bytes: %d, want %d", c.tiling, c.width, c.height, c.element, got, c.want)
		}
	}
	for element, want := range map[uint64][2]uint64{1: {256, 256}, 2: {512, 128}, 4: {512, 128}, 8: {1024, 64}, 16: {1024, 64}} {
		if row, rows := tilingNamed("64k").tile(element); row != want[0] || rows != want[1] {
			t.Errorf("a tile of 64 KiB has %d bytes by %d rows of elements of %d bytes, want %v", row, rows, element, want)
		}
	}
}

func TestPRPList(t *testing.T) {
	for size, want := range map[uint64]uint64{512: 0, 8192: 0, 8193: 256, 128 << 10: 256, 132 << 10: 256, 136 << 10: 4096, 1 << 20: 4096, 4 << 20: 8192} {
		if got := prpList(size); got != want {
			t.Errorf("%d bytes: %d, want %d", size, got, want)
		}
	}
}

// The loads follow from the sides in the papers' tables.
func TestNetworks(t *testing.T) {
	for name, want := range map[string]struct {
		operations int
		load       uint64
	}{
		"mobilenet-v1": {30, 112*112*32 + 112*112*64},
		"resnet-50":    {73, 3 * 56 * 56 * 256},                     // a block's input, its last convolution, their sum
		"u-net":        {31, 392*392*64 + 568*568*64 + 392*392*128}, // the last concatenation
	} {
		n := networkNamed(name)
		if n.name != name || len(n.tensors) != want.operations || n.load() != want.load {
			t.Errorf("%s has %d operations and %d elements, want %+v", n.name, len(n.tensors), n.load(), want)
		}
		for i, tensor := range n.tensors {
			if tensor.elements == 0 || tensor.last < i || tensor.last == i && i != len(n.tensors)-1 {
				t.Errorf("%s: tensor %d is %+v", name, i, tensor)
			}
		}
	}
}
