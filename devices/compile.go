package devices

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"dmasim/allocator"
	"dmasim/mem"
)

// Errors of Compile and Merge, wrapped with the device's name.
var (
	ErrSpace   = errors.New("its addresses are not those of memory")
	ErrNoReach = errors.New("the device can use no memory at all")
)

// Compile turns the device's rules into CPU-physical space: the bytes that it
// reaches, and the rule for a contiguous buffer whose touched bytes are payload
// and padding. A rule that holds on the bus becomes one for each translated
// window, with a phase. Natural alignment depends on the size of the buffer and
// is left out; a [Plan] applies it.
//
// The error is a *FieldError if the description is not valid, or wraps ErrSpace
// or ErrNoReach.
func (d *Device) Compile() (mem.RangeSet, *allocator.Rule, error) {
	if err := d.Validate(); err != nil {
		return nil, nil, fmt.Errorf("device %s: %w", d.Name, err)
	}
	if !d.Space.inMemory() {
		return nil, nil, fmt.Errorf("device %s: %w (%s)", d.Name, ErrSpace, d.Space)
	}
	c := compile(d)
	if !placeable(c.windows(0)) {
		return nil, nil, fmt.Errorf("device %s: %w", d.Name, ErrNoReach)
	}
	return c.reach(), touching(c.windows(0), c.padding), nil
}

// Reach returns the CPU-physical memory that the device reaches; none if the
// device does not compile.
func (d *Device) Reach() mem.RangeSet {
	reach, _, err := d.Compile()
	if err != nil {
		return nil
	}
	return reach
}

// compiled is a device whose rules are in CPU-physical space.
type compiled struct {
	*Device
	pieces  []piece
	padding uint64
}

// piece is reachable memory with one offset between bus and CPU addresses.
type piece struct {
	reach mem.Range
	via   Translation
}

// everywhere is the translation where there is none.
var everywhere = Translation{Size: math.MaxUint64}

// compile inverts the device's translations, each clipped on the bus by the
// width of its addresses and in their own space by its spans.
func compile(d *Device) compiled {
	onBus, inMemory := mem.RangeSet{mem.Everywhere}, mem.RangeSet{mem.Everywhere}
	if d.AddressBits > 0 && d.AddressBits < 64 {
		onBus = mem.RangeSet{{Lo: 0, Hi: 1 << d.AddressBits}}
	}
	switch {
	case len(d.Spans) == 0:
	case d.Space == Bus:
		onBus = onBus.Intersect(d.spans())
	default:
		inMemory = d.spans()
	}
	translations := d.Translate
	if len(translations) == 0 {
		translations = []Translation{everywhere}
	}
	c := compiled{Device: d, padding: uint64(d.Padding)}
	for _, t := range joined(translations) {
		var seen mem.RangeSet
		for _, r := range onBus.Intersect(mem.RangeSet{t.OnBus()}) {
			seen = append(seen, mem.Range{Lo: t.fromBus(r.Lo), Hi: t.fromBus(r.Hi)})
		}
		for _, r := range seen.Intersect(inMemory) {
			c.pieces = append(c.pieces, piece{r, t})
		}
	}
	return c
}

// joined returns the translations by rising CPU address, those that continue
// each other on both sides as one.
func joined(translations []Translation) []Translation {
	sorted := slices.SortedFunc(slices.Values(translations), func(a, b Translation) int {
		if a.CPU < b.CPU {
			return -1
		}
		return 1
	})
	whole := sorted[:1]
	for _, t := range sorted[1:] {
		last := &whole[len(whole)-1]
		if last.Memory().Hi == uint64(t.CPU) && last.OnBus().Hi == uint64(t.Bus) {
			last.Size += t.Size
			continue
		}
		whole = append(whole, t)
	}
	return whole
}

func (t Translation) fromBus(addr uint64) uint64 { return addr - uint64(t.Bus) + uint64(t.CPU) }
func (t Translation) toBus(addr uint64) uint64   { return addr - uint64(t.CPU) + uint64(t.Bus) }

// phase returns the CPU addresses, modulo m, whose bus addresses are multiples
// of m.
func (t Translation) phase(m uint64) uint64 {
	cpu, bus := uint64(t.CPU)%m, uint64(t.Bus)%m
	if cpu < bus {
		return m - (bus - cpu)
	}
	return cpu - bus
}

// reach returns the CPU-physical bytes of all pieces.
func (c *compiled) reach() mem.RangeSet {
	ranges := make([]mem.Range, len(c.pieces))
	for i, p := range c.pieces {
		ranges[i] = p.reach
	}
	return mem.NewRangeSet(ranges...)
}

// windows returns where the payload may lie, for blocks of more than 2^(order-1)
// and at most 2^order bytes; the order matters to natural alignment alone.
//
// In terms of the payload, rules of devices with different padding can be
// intersected: the padding that must be in reach shortens the windows, and
// lengthens what boundaries check. See touching for the way back.
func (c *compiled) windows(order int) []allocator.Window {
	var windows []allocator.Window
	for _, p := range c.pieces {
		if p.reach.Size() <= c.padding {
			continue
		}
		w := allocator.Window{Reach: mem.Range{Lo: p.reach.Lo, Hi: p.reach.Hi - c.padding}}
		if align := uint64(c.Align); align > 1 {
			w.Align, w.Phase = align, p.via.phase(align)
		}
		if b := c.Boundary; b != nil {
			w.Bounds = []allocator.Bound{{
				Boundary: uint64(b.Size), Phase: p.via.phase(uint64(b.Size)), Extra: int64(b.checked(c.Padding) + b.Guard),
			}}
		}
		if c.Natural {
			natural := uint64(1) << order
			aligned, part := w.Intersect(allocator.Window{Reach: w.Reach, Align: natural, Phase: p.via.phase(natural)})
			if part != allocator.Kept {
				continue
			}
			w = aligned
		}
		windows = append(windows, w)
	}
	return windows
}

// placeable reports whether one byte of payload has a legal place.
func placeable(windows []allocator.Window) bool {
	rule := allocator.Rule{Windows: windows}
	_, ok := rule.First(0, math.MaxUint64, 1, 0)
	return ok
}

// touching returns the rule for blocks that are touched padding bytes beyond
// the payload, from windows in terms of the payload.
func touching(windows []allocator.Window, padding uint64) *allocator.Rule {
	rule := &allocator.Rule{Windows: make([]allocator.Window, len(windows))}
	for i, w := range windows {
		w.Reach.Hi += min(padding, math.MaxUint64-w.Reach.Hi)
		w.Bounds = slices.Clone(w.Bounds)
		for j := range w.Bounds {
			w.Bounds[j].Extra -= int64(padding)
		}
		rule.Windows[i] = w
	}
	return rule
}
