package devices

import (
	"fmt"
	"strings"

	"go.yaml.in/yaml/v4"

	"dmasim/allocator"
	"dmasim/internal/strictyaml"
	"dmasim/mem"
)

// Boundary forbids a buffer to cross a multiple of Size: it may begin at one,
// but hold none behind its first byte.
type Boundary struct {
	// Distance between the lines that must not be crossed, a power of two, the first being bus address 0.
	Size mem.Size `yaml:"size" json:"size"`
	// Bytes behind the checked ones that must not cross either.
	Guard mem.Size `yaml:"guard,omitempty" json:"guard,omitempty"`
	// What must not cross: touched (payload and padding, the default) or payload.
	Checks Checks `yaml:"checks,omitempty" json:"checks,omitempty"`
	// Whether a buffer may neither begin nor end at a line.
	Exclusive bool `yaml:"exclusive,omitempty" json:"exclusive,omitempty"`
}

// Boundaries all hold. In a file, one may stand without a list.
type Boundaries []Boundary

// DecodeYAML implements strictyaml.NodeDecoder.
func (b *Boundaries) DecodeYAML(d *strictyaml.Decoder, n *yaml.Node) {
	if n.Kind == yaml.SequenceNode {
		d.Decode(n, (*[]Boundary)(b))
		return
	}
	*b = make(Boundaries, 1)
	d.Decode(n, &(*b)[0])
}

// maxBoundaries bounds the work for a hostile file.
const maxBoundaries = 16

// maxOvershoot bounds padding and guard, so that their sums stay small.
const maxOvershoot mem.Size = 1 << 60

var boundaryShape = shape{
	key:   "boundary",
	check: (*Device).checkBoundary,
	tell: func(d *Device, t *teller) {
		for _, b := range d.Boundary {
			t.add("boundary", t.bus, "%s no multiple of %s", d.crossing(&b), b.Size)
			if b.Exclusive {
				t.add("boundary", t.bus, "a buffer neither begins nor ends at a multiple of %s", b.Size)
			}
		}
	},
	narrow: func(c *compiled, via Translation, _ int, w *allocator.Window) bool {
		for i := range c.Boundary {
			b := &c.Boundary[i]
			size, extra := uint64(b.Size), int64(b.checked(c.Padding)+b.Guard)
			phase := via.phase(0, size)
			w.Bounds = append(w.Bounds, allocator.Bound{Boundary: size, Phase: phase, Extra: extra})
			if b.Exclusive {
				off := allocator.Arc{Period: size, Phase: plusModulo(phase, 1, size), Room: size - 2}
				w.Arcs = append(w.Arcs, off)
				off.End, off.Extra = true, extra
				w.Arcs = append(w.Arcs, off)
			}
		}
		return true
	},
	name: func(c *compiled) string {
		var sizes []string
		for _, b := range c.Boundary {
			sizes = append(sizes, b.Size.String())
		}
		return fmt.Sprintf("boundary (%s%s)", strings.Join(sizes, ", "), c.offsets())
	},
}

func (d *Device) checkBoundary() *FieldError {
	if d.Padding > maxOvershoot {
		return fail("padding", -1, "want at most %s", maxOvershoot)
	}
	if len(d.Boundary) > maxBoundaries {
		return fail("boundary", -1, "want at most %d boundaries", maxBoundaries)
	}
	for i := range d.Boundary {
		b := &d.Boundary[i]
		index := i
		if len(d.Boundary) == 1 {
			index = -1
		}
		room := b.Size - 1 // beside one byte of payload
		if b.Exclusive {
			room -= min(room, 1)
		}
		switch {
		case b.Size == 0:
			return fail("boundary", index, "want a size")
		case b.Size&(b.Size-1) != 0:
			return fail("boundary", index, "want a power of two, not %s", b.Size)
		case b.Guard > maxOvershoot:
			return fail("boundary", index, "want a guard of at most %s", maxOvershoot)
		case b.Exclusive && b.Size < 4:
			return fail("boundary", index, "every place begins or ends at a multiple of %s", b.Size)
		case b.Guard > room || b.checked(d.Padding) > room-b.Guard:
			return fail("boundary", index, "with guard and padding, not even one byte of payload lies between two multiples of %s", b.Size)
		}
	}
	return nil
}

// checked returns how many bytes of padding the boundary looks at.
func (b *Boundary) checked(padding mem.Size) mem.Size {
	if b.Checks == ChecksPayload {
		return 0
	}
	return padding
}

// crossing says what must not cross the boundary, with the verb.
func (d *Device) crossing(b *Boundary) string {
	what := []string{"payload"}
	if b.checked(d.Padding) > 0 {
		what = append(what, "padding")
	}
	if b.Guard > 0 {
		what = append(what, b.Guard.String()+" behind")
	}
	last := len(what) - 1
	if last == 0 {
		return what[0] + " crosses"
	}
	return strings.Join(what[:last], ", ") + " and " + what[last] + " cross"
}
