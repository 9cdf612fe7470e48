package devices

import (
	"fmt"
	"slices"

	"dmasim/allocator"
)

// shape is one kind of rule: its keys in a device file, their words, and what
// they mean for one place. Rules about several pieces, sizes or pictures leave
// narrow nil; see the file of each.
type shape struct {
	key string // of its first rule
	// check reports a mistake in the description.
	check func(*Device) *FieldError
	// tell puts the rules in words.
	tell func(*Device, *teller)
	// narrow removes from a window what the rule forbids to a payload; see
	// compiled.windows. It returns false if nothing is left.
	narrow func(c *compiled, via Translation, order int, w *allocator.Window) bool
	// name is the rule in a conflict, with figures.
	name func(*compiled) string
}

// shapes are all kinds, in the order in which they are told.
var shapes = []shape{
	reachShape, originShape, alignShape, naturalShape, zeroBitsShape, boundaryShape,
	sizeShape, piecesShape, mmuShape, imageShape, groupShape, wordsShape,
}

// placeShapes are those that say where one place may be, reach being the first.
var placeShapes = slices.DeleteFunc(slices.Clone(shapes), func(s shape) bool {
	return s.key != reachShape.key && s.narrow == nil
})

// Line is a rule of a device in words.
type Line struct {
	Rule     string `json:"rule"`            // the key in the device file
	Space    Space  `json:"space,omitempty"` // of its addresses; "" for a rule about sizes
	Text     string `json:"text"`
	Assumed  bool   `json:"assumed"`  // not shown by the sources
	Enforced bool   `json:"enforced"` // by Merge, by the judges of a Plan, or by its layouts and groups
}

// teller gathers lines.
type teller struct {
	device     *Device
	spans, bus Space // of reach, and of everything else
	lines      []Line
}

func (t *teller) add(rule string, space Space, format string, args ...any) {
	t.lines = append(t.lines, Line{
		Rule: rule, Space: space, Text: fmt.Sprintf(format, args...),
		Assumed: slices.Contains(t.device.Assumed, rule), Enforced: true,
	})
}

// told is add for what is known and not enforced.
func (t *teller) told(rule, text string) {
	t.add(rule, "", "%s", text)
	t.lines[len(t.lines)-1].Enforced = false
}

// Lines describes the device's rules, in the order of the keys.
func (d *Device) Lines() []Line {
	t := teller{device: d, spans: d.Space, bus: d.Space}
	switch d.Space {
	case "", CPU:
		t.spans, t.bus = CPU, Bus
	}
	if d.IOMMU == AlwaysIOMMU && t.bus == Bus {
		t.bus = IOVA
		if t.spans == Bus {
			t.spans = IOVA
		}
	}
	for _, s := range shapes {
		s.tell(d, &t)
	}
	return t.lines
}

// wordsShape is what is kept and shown only.
var wordsShape = shape{
	key: "coherence",
	check: func(d *Device) *FieldError {
		for i, key := range d.Assumed {
			if !slices.Contains(Keys(), key) {
				return fail("assumed", i, "%q is no key of a device", key)
			}
		}
		for i, text := range d.Unmodelled {
			if text == "" {
				return fail("unmodelled", i, "want words")
			}
		}
		return nil
	},
	tell: func(d *Device, t *teller) {
		if d.Coherence != "" {
			t.add("coherence", "", "caches: %s", d.Coherence)
			t.lines[len(t.lines)-1].Enforced = false
		}
		if d.Beyond != "" {
			t.add("beyond", "", "buffers out of reach: %s", d.Beyond)
		}
		for _, text := range d.Unmodelled {
			t.told("unmodelled", text)
		}
	},
}
