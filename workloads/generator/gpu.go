package generator

import (
	"math/bits"
	"time"

	"dmasim/mem"
)

// gpu is programs that draw: each has a window's chain of images, render targets,
// textures, and command buffers. Between scenes it drops some of its textures and
// loads others.
type gpu struct {
	apps     uint64
	surface  []sides
	images   uint64
	targets  uint64
	samples  uint64
	tiling   string
	textures uint64

	least, greatest uint64 // sides
	compressed      float64
	turnover        float64
	commands        uint64
	commandBytes    uint64

	scene, busy, idle span
}

// The pools of a GPU, in the order of gpuKind.
const (
	imagePool = iota
	targetPool
	texturePool
	commandPool
)

var gpuKind = kind{
	name: "gpu", summary: "images, render targets and textures, padded to tiles, by program and scene",
	pools: []Pool{
		{Name: "images", Meaning: "what a program shows, in turn: its swapchain"},
		{Name: "targets", Meaning: "render targets and depth, with their samples"},
		{Name: "textures", Meaning: "textures with their mipmaps"},
		{Name: "commands", Meaning: "command buffers"},
	},
	make: func() model { return &gpu{} },
}

// tiling says how the elements of an image lie in memory: in tiles of some bytes by
// some rows.
type tiling struct {
	name string
	// tile returns the bytes of a row of a tile, and its rows, by the bytes of an
	// element.
	tile func(element uint64) (row, rows uint64)
	tail bool // levels smaller than a tile share one
}

var tilings = []tiling{
	{"y-4k", func(uint64) (uint64, uint64) { return 128, 32 }, true},
	{"x-4k", func(uint64) (uint64, uint64) { return 512, 8 }, true},
	// Tiles of 64 KiB are as square as a power of two allows, wider if not.
	{"64k", func(element uint64) (uint64, uint64) {
		elements := 64 * 1024 / element
		wide := uint64(1) << ((bits.Len64(elements)) / 2)
		return wide * element, elements / wide
	}, true},
	{"linear", func(uint64) (uint64, uint64) { return 256, 1 }, false},
}

func tilingNamed(name string) tiling {
	for _, t := range tilings {
		if t.name == name {
			return t
		}
	}
	return tilings[0]
}

// image returns the bytes of a plane of elements.
func (t tiling) image(width, height, element uint64) uint64 {
	row, rows := t.tile(element)
	return up(width*element, row) * up(height, rows)
}

// mipmapped returns the bytes of an image with all its levels, each half as wide and
// high as the one before. Those that are smaller than a tile share one.
func (t tiling) mipmapped(width, height, element uint64) uint64 {
	row, rows := t.tile(element)
	total := uint64(0)
	for {
		if t.tail && (width*element < row || height < rows) {
			return total + row*rows
		}
		total += t.image(width, height, element)
		if width == 1 && height == 1 {
			return total
		}
		width, height = max(width/2, 1), max(height/2, 1)
	}
}

const (
	pixelBytes = 4  // RGBA8, and depth with stencil
	blockBytes = 16 // of BC7 and of ASTC, for 4x4 texels (Khronos Data Format Specification 1.3)
	blockSide  = 4
)

func (g *gpu) bind(t *table) {
	var names []string
	for _, l := range tilings {
		names = append(names, l.name)
	}
	t.integer(&g.apps, 3, 1, 64, about{"apps", "programs", "programs that run at the same time at most", ""})
	t.sides(&g.surface, []sides{{1920, 1080}}, about{"surface", "px", "sides of a program's window; of several, each draws one", ""})
	t.integer(&g.images, 3, 1, 8, about{"images", "buffers", "images of a window", "swapchains have 2 to 3"})
	t.integer(&g.targets, 2, 0, 16, about{"targets", "buffers", "render targets of the window's sides beside one for depth; 0: no depth either", "assumed"})
	t.integer(&g.samples, 1, 1, 16, about{"samples", "samples", "samples of each pixel of a target: 4 with multisampling", ""})
	t.word(&g.tiling, names[0], names, about{"tiling", "",
		"tiles that sides are padded to: 128 bytes by 32 rows, 512 by 8, 64 KiB, or rows of 256 bytes",
		"4 KiB: Intel's Y and X tiles; 64 KiB: AMD's swizzle and Direct3D 12, in which levels below a tile share one; 256 bytes: amdgpu, Direct3D 12"})
	t.integer(&g.textures, 60, 0, 2000, about{"textures", "buffers", "textures of a program", "assumed"})
	t.integer(&g.least, 64, 4, longestSide, about{"texture_min", "px", "shortest side of a texture: sides are powers of two, each as likely", "assumed"})
	t.integer(&g.greatest, 2048, 4, longestSide, about{"texture_max", "px", "longest side of a texture", "assumed"})
	t.number(&g.compressed, 0.8, 0, 1, about{"compressed", "", "share of the textures in BC7 or ASTC 4x4 (1 byte for a texel); the others have 4 bytes", "block sizes: Khronos Data Format Specification 1.3; the share is assumed"})
	t.number(&g.turnover, 0.3, 0, 1, about{"turnover", "", "share of the textures that a change of scene replaces", "assumed"})
	t.integer(&g.commands, 8, 0, 256, about{"commands", "buffers", "command buffers of a program", "assumed"})
	t.size(&g.commandBytes, 256*mem.KiB, 4*mem.KiB, 64*mem.MiB, about{"command_size", "", "size of a command buffer", "assumed"})
	t.span(&g.scene, 20*time.Second, time.Millisecond, 1, about{"scene", "", "time from one change of scene to the next", ""})
	t.span(&g.busy, 2*time.Minute, shortestSession, 1, about{"session", "", "time for which a program runs", ""})
	t.span(&g.idle, time.Minute, 0, 1, about{"pause", "", "time from its end to the start of another; 0: none", ""})
}

func (g *gpu) check() error {
	switch {
	case bits.OnesCount64(g.least) != 1:
		return wrong("texture_min", "want a power of two, not %d", g.least)
	case bits.OnesCount64(g.greatest) != 1:
		return wrong("texture_max", "want a power of two, not %d", g.greatest)
	case g.least > g.greatest:
		return wrong("texture_max", "is less than texture_min, %d", g.least)
	}
	return nil
}

func (g *gpu) imageSize(s sides) uint64 {
	return tilingNamed(g.tiling).image(s.width, s.height, pixelBytes)
}

func (g *gpu) textureSize(s sides, compressed bool) uint64 {
	if compressed {
		return tilingNamed(g.tiling).mipmapped(up(s.width, blockSide)/blockSide, up(s.height, blockSide)/blockSide, blockBytes)
	}
	return tilingNamed(g.tiling).mipmapped(s.width, s.height, pixelBytes)
}

func (g *gpu) targetCount() uint64 {
	if g.targets == 0 {
		return 0
	}
	return g.targets + 1
}

func (g *gpu) most() []uint64 {
	var window uint64
	for _, s := range g.surface {
		window = max(window, g.imageSize(s))
	}
	square := sides{g.greatest, g.greatest}
	texture := max(g.textureSize(square, true), g.textureSize(square, false))
	switch g.compressed {
	case 0:
		texture = g.textureSize(square, false)
	case 1:
		texture = g.textureSize(square, true)
	}
	return []uint64{
		g.apps * g.images * window, g.apps * g.targetCount() * g.samples * window,
		g.apps * g.textures * texture, g.apps * g.commands * g.commandBytes,
	}
}

func (g *gpu) actors() []actor {
	return []actor{{name: "program", instances: int(g.apps), busy: g.busy, idle: g.idle, begin: g.begin, round: g.round}}
}

func (g *gpu) begin(s *session) {
	window := g.imageSize(pick(s, "surface", g.surface))
	s.allocate(imagePool, g.images, window, apart)
	s.allocate(targetPool, g.targetCount(), g.samples*window, apart)
	s.allocate(commandPool, g.commands, g.commandBytes, apart/10)
	for i := range g.textures {
		s.items = append(s.items, g.texture(s, i))
	}
}

// texture allocates the texture of a number, without which a program goes on.
func (g *gpu) texture(s *session, number uint64) int {
	r := s.random("texture", number)
	steps := bits.Len64(g.greatest) - bits.Len64(g.least) + 1
	is := sides{g.least << r.IntN(steps), g.least << r.IntN(steps)}
	compressed := r.Float64() < g.compressed
	s.optional()
	defer s.required()
	return s.allocate(texturePool, 1, g.textureSize(is, compressed), apart)
}

// round is a change of scene: what is dropped is freed before the rest is loaded.
func (g *gpu) round(s *session, number uint64) bool {
	if g.textures == 0 || g.turnover == 0 {
		return false
	}
	s.wait(s.span("scene", number, g.scene))
	r := s.random("scene-change", number)
	var dropped []int
	for i := range s.items {
		if r.Float64() < g.turnover {
			s.free(s.items[i])
			dropped = append(dropped, i)
		}
	}
	for _, i := range dropped {
		s.items[i] = g.texture(s, (number+1)*g.textures+uint64(i))
	}
	return true
}
