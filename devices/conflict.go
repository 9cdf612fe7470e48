package devices

import (
	"fmt"
	"math"
	"math/bits"
	"slices"
	"strings"

	"dmasim/allocator"
	"dmasim/mem"
)

// Conflict reports that no buffer suits all devices, because a rule of one and
// a rule of another exclude each other. The second is TheBuffer if one device
// alone refuses what the buffer is to be.
type Conflict struct {
	Devices [2]string `json:"devices"`
	Rules   [2]string `json:"rules"` // in words, with figures
	Given   []string  `json:"given"` // devices without which the two would agree
}

// TheBuffer stands for a device in a Conflict about a buffer of some size or
// picture that is not to one device's taste.
const TheBuffer = "the buffer"

func (c *Conflict) Error() string {
	text := fmt.Sprintf("devices %s and %s cannot share a buffer: the first one's %s and the second one's %s exclude each other",
		c.Devices[0], c.Devices[1], c.Rules[0], c.Rules[1])
	if c.Devices[1] == TheBuffer {
		text = fmt.Sprintf("device %s cannot use the buffer: the device's %s and the buffer's %s exclude each other",
			c.Devices[0], c.Rules[0], c.Rules[1])
	}
	if len(c.Given) > 0 {
		text += ", given " + strings.Join(c.Given, ", ")
	}
	return text
}

// demandOn is what is to be agreed about: a buffer of some payload.
type demandOn struct{ payload uint64 }

// test is one way in which devices may exclude each other.
type test struct {
	agree func(list []planned, on demandOn) bool
	// rules are those of two that do not agree, given the others.
	rules func(a, b planned, given []planned, on demandOn) (string, string)
	alone func(d planned) string // the rule of one that does not agree with a buffer
}

// each makes the rules of a test of what every device is called.
func each(name func(*compiled) string) func(a, b planned, _ []planned, _ demandOn) (string, string) {
	return func(a, b planned, _ []planned, _ demandOn) (string, string) {
		return name(&a.compiled), name(&b.compiled)
	}
}

var tests = []test{
	{agree: sameMemory, rules: each((*compiled).memoryText)},
	{agree: haveSizing, rules: each(sizeShape.name)},
	{agree: fitSize, rules: each((*compiled).sizeText), alone: func(d planned) string { return d.sizeText() }},
	{agree: havePlace, rules: placeRules, alone: func(d planned) string { return d.allText() }},
	{agree: fitIOVA, rules: iovaRules, alone: func(d planned) string { return d.iovaText() }},
	{agree: fitSegments, rules: each(piecesShape.name), alone: func(d planned) string { return piecesShape.name(&d.compiled) }},
}

// Check reports whether a buffer of payload bytes, in one piece, suits all
// devices in some place, were memory everywhere. The error is a *Conflict.
func (p *Plan) Check(payload uint64) error {
	on := demandOn{max(payload, 1)}
	for _, t := range tests {
		if t.agree(p.devices, on) {
			continue
		}
		for i := range p.devices {
			if d := p.devices[i]; t.alone != nil && !t.agree(p.devices[i:i+1], on) {
				return newConflict(d.Name, TheBuffer, t.alone(d), "size ("+mem.Size(on.payload).String()+")", nil)
			}
		}
		a, b, given := culprits(p.devices, func(list []planned) bool { return t.agree(list, on) })
		ruleA, ruleB := t.rules(a, b, given, on)
		return newConflict(a.Name, b.Name, ruleA, ruleB, given)
	}
	return nil
}

// culprits returns two of the devices that do not agree, given as few others as
// a search in order finds. The devices do not agree all together; each does
// with itself.
func culprits(devices []planned, agree func([]planned) bool) (a, b planned, given []planned) {
	last := 1
	for agree(devices[:last+1]) {
		last++
	}
	b = devices[last]
	for _, a := range devices[:last] {
		if !agree([]planned{a, b}) {
			return a, b, nil
		}
	}
	first := 1
	for agree(append(slices.Clone(devices[:first+1]), b)) {
		first++
	}
	return devices[first], b, devices[:first]
}

func newConflict(a, b, ruleA, ruleB string, given []planned) *Conflict {
	c := &Conflict{Devices: [2]string{a, b}, Rules: [2]string{ruleA, ruleB}, Given: []string{}}
	for i := range given {
		c.Given = append(c.Given, given[i].Name)
	}
	return c
}

// sameMemory: what lies in one device's own memory lies in no other.
func sameMemory(list []planned, _ demandOn) bool {
	for i := range list {
		if list[i].memory() != list[0].memory() {
			return false
		}
	}
	return true
}

// memory names the memory that the device's addresses are of.
func (c *compiled) memory() string {
	if c.Space.isMemory() {
		return "system memory"
	}
	owner := c.Vendor
	if owner == "" {
		owner = c.Name
	}
	return string(c.Space) + " of " + owner
}

func (c *compiled) memoryText() string { return "addresses (" + c.memory() + ")" }

// haveSizing: granularities have a common multiple.
func haveSizing(list []planned, _ demandOn) bool {
	_, ok := sizingOf(list)
	return ok
}

func sizingOf(list []planned) (sizing, bool) {
	s, ok := sizing{granularity: 1}, true
	for i := range list {
		var fits bool
		s, fits = s.meet(list[i].sizing())
		ok = ok && fits
		if !fits {
			break
		}
	}
	return s, ok
}

// blockOf returns the touched bytes and the size of a buffer's block.
func blockOf(list []planned, on demandOn) (touched, size uint64, ok bool) {
	s, _ := sizingOf(list)
	touched = s.touched(on.payload)
	size, ok = s.size(touched)
	return touched, size, ok && touched < math.MaxUint64
}

// fitSize: the block is not longer than a device takes.
func fitSize(list []planned, on demandOn) bool {
	_, size, ok := blockOf(list, on)
	for i := range list {
		if most := uint64(list[i].SizeMax); most > 0 && (!ok || size > most) {
			return false
		}
	}
	return true
}

func (c *compiled) sizeText() string {
	var rules []string
	for _, r := range []struct {
		what  string
		value mem.Size
	}{{"padding", c.Padding}, {"at least", c.SizeMin}, {"multiples of", c.Granularity}, {"at most", c.SizeMax}} {
		if r.value > 0 {
			rules = append(rules, r.what+" "+r.value.String())
		}
	}
	if c.PowerOfTwo {
		rules = append(rules, "a power of two")
	}
	return "size (" + strings.Join(rules, ", ") + ")"
}

// havePlace: there is an address, were memory everywhere.
func havePlace(list []planned, on demandOn) bool {
	touched, size, ok := blockOf(list, on)
	return ok && placed(mergeWindows(list, bits.Len64(size-1)), on, list, touched)
}

// placed reports whether the windows, in terms of the payload, hold it.
func placed(windows []allocator.Window, on demandOn, list []planned, touched uint64) bool {
	s, _ := sizingOf(list)
	_, ok := touching(windows, s.padding).First(0, math.MaxUint64, touched, 0)
	return ok
}

// placeRules finds how many kinds of rules it takes, from the reach alone to all
// of them.
func placeRules(a, b planned, given []planned, on demandOn) (string, string) {
	list := append(slices.Clone(given), a, b)
	touched, size, _ := blockOf(list, on)
	order := bits.Len64(size - 1)
	others := mergeWindows(given, order)
	last := len(placeShapes)
	for kinds := 2; kinds <= 2*last; kinds++ {
		for kindA := max(1, kinds-last); kindA <= min(last, kinds-1); kindA++ {
			kindB := kinds - kindA
			windows := intersect(a.windows(order, kindA), b.windows(order, kindB))
			if !placed(intersect(others, windows), on, list, touched) {
				return placeShapes[kindA-1].name(&a.compiled), placeShapes[kindB-1].name(&b.compiled)
			}
		}
	}
	return a.allText(), b.allText()
}

// allText names every kind of rule that the device has about a place.
func (c *compiled) allText() string {
	text := reachShape.name(c)
	for _, l := range []struct {
		has  bool
		rule shape
	}{
		{c.Origin != nil, originShape}, {c.Align > 1, alignShape}, {c.Natural, naturalShape},
		{len(c.ZeroBits) > 0, zeroBitsShape}, {len(c.Boundary) > 0, boundaryShape},
	} {
		if l.has {
			text += ", " + l.rule.name(c)
		}
	}
	return text
}

// fitIOVA: every device behind an IOMMU has a range of addresses for the buffer.
func fitIOVA(list []planned, on demandOn) bool {
	touched, size, ok := blockOf(list, on)
	for i := range list {
		v := list[i].virtual
		if v == nil {
			continue
		}
		s, _ := sizingOf(list)
		// The whole of the padding is mapped, whoever touches it.
		wide := *v
		wide.padding = s.padding
		if _, fits := touching(wide.windows(bits.Len64(size-1), all), s.padding).First(0, math.MaxUint64, touched, 0); !ok || !fits {
			return false
		}
	}
	return true
}

func iovaRules(a, b planned, _ []planned, _ demandOn) (string, string) {
	if a.virtual == nil {
		return a.sizeText(), b.iovaText()
	}
	return a.iovaText(), b.sizeText()
}

func (c *compiled) iovaText() string { return "translated addresses, " + c.virtual.allText() }

// fitSegments: one piece can be cut as every device wants it.
func fitSegments(list []planned, on demandOn) bool {
	var shortest, longest, most uint64
	one := false
	for i := range list {
		c := &list[i]
		shortest, longest = max(shortest, uint64(c.SegmentMin)), minLimit(longest, uint64(c.SegmentMax))
		most = minLimit(most, uint64(c.MapMax))
		one = one || c.oneSegment()
		segments, ok := c.cuts(0, on.payload, true, true)
		if c.SegmentsMax > 0 && segments > c.SegmentsMax || !ok && on.payload > 1 {
			return false
		}
	}
	if longest > 0 && shortest > longest {
		return false
	}
	touched, _, _ := blockOf(list, on)
	return !one || most == 0 || touched <= most
}
