package devices

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"dmasim/allocator"
	"dmasim/internal/suggest"
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
// is left out; a [Plan] applies it. What binds the addresses that an IOMMU
// translates is left to CompileIOVA.
//
// The error is a *FieldError if the description is not valid, or wraps ErrSpace
// or ErrNoReach.
func (d *Device) Compile() (mem.RangeSet, *allocator.Rule, error) {
	c, err := d.compile()
	if err == nil && !d.Space.isMemory() && c.Space == d.Space {
		err = fmt.Errorf("device %s: %w (%s)", d.Name, ErrSpace, d.Space)
	}
	if err != nil {
		return nil, nil, err
	}
	return c.reach(), touching(c.windows(0, all), c.padding), nil
}

// CompileIOVA turns the device's rules on the addresses that an IOMMU, or the
// device's own page tables, translate into a rule for a range of them. It is nil
// if none are, or if nothing binds them. The error is that of Compile.
func (d *Device) CompileIOVA() (*allocator.Rule, error) {
	c, err := d.compile()
	if err != nil || c.virtual == nil {
		return nil, err
	}
	return touching(c.virtual.windows(0, all), c.padding), nil
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

// compile is Compile, for addresses of any kind.
func (d *Device) compile() (compiled, error) {
	if err := d.Validate(); err != nil {
		return compiled{}, fmt.Errorf("device %s: %w", d.Name, err)
	}
	c, err := compile(d)
	if err != nil {
		return compiled{}, fmt.Errorf("device %s: %w", d.Name, err)
	}
	if !placeable(c.windows(0, all)) || c.virtual != nil && !placeable(c.virtual.windows(0, all)) {
		return compiled{}, fmt.Errorf("device %s: %w", d.Name, ErrNoReach)
	}
	return c, nil
}

// compiled is a device whose rules are in CPU-physical space.
type compiled struct {
	*Device         // resolved, with what binds memory
	pieces  []piece // by rising address
	padding uint64
	page    uint64    // pieces of memory begin and end at its multiples
	virtual *compiled // what binds translated addresses, or nil
	origin  *Device   // as it was described
}

// piece is reachable memory with one offset between bus and CPU addresses.
type piece struct {
	reach mem.Range
	via   Translation
}

// everywhere is the translation where there is none.
var everywhere = Translation{Size: math.MaxUint64}

// compile resolves the device, splits it at its IOMMU, and puts it behind the
// buses and IOMMUs that it names.
func compile(d *Device) (compiled, error) {
	resolved := d.Resolved()
	passes := mem.RangeSet{mem.Everywhere}
	for i, name := range d.Behind {
		reach, err := resolved.putBehind(name)
		if err != nil {
			return compiled{}, fail("behind", i, "%v", err)
		}
		passes = passes.Intersect(reach)
	}
	memory, virtual := resolved.sides()
	c := invert(memory)
	c.origin = d
	if len(d.Behind) > 0 {
		var pieces []piece
		for _, p := range c.pieces {
			for _, r := range passes.Intersect(mem.RangeSet{p.reach}) {
				pieces = append(pieces, piece{r, p.via})
			}
		}
		c.pieces = pieces
	}
	c.page = 1
	if virtual != nil {
		v := invert(virtual)
		v.origin, v.page = d, 1
		c.virtual, c.page = &v, resolved.page()
	}
	return c, nil
}

// putBehind takes over what an entry of the catalogue does to addresses, and
// returns the memory that it lets through.
func (d *Device) putBehind(name string) (mem.RangeSet, error) {
	entry, ok := Lookup(name)
	if !ok {
		return nil, fmt.Errorf("unknown catalogue entry %q%s", name, suggest.DidYouMean(suggest.Nearest(name, Names())))
	}
	if entry.Scope != BindsBus && entry.Scope != BindsIOMMU || !entry.Space.isMemory() {
		return nil, fmt.Errorf("%s is neither a bus nor an IOMMU", name)
	}
	if entry.Scope == BindsIOMMU {
		d.IOMMU = AlwaysIOMMU
		if d.MMU == nil {
			d.MMU = entry.MMU
		}
	} else {
		d.AddressBits = narrower(d.AddressBits, entry.AddressBits)
		if len(entry.Translate) > 0 {
			if len(d.Translate) > 0 {
				return nil, fmt.Errorf("%s translates, and so does the device or what it is behind", name)
			}
			d.Translate = entry.Translate
		}
	}
	return entry.Reach(), nil
}

// invert brings the device's reach into CPU-physical space: its translations,
// each clipped on the bus by the width of its addresses and in their own space
// by its spans.
func invert(d *Device) compiled {
	onBus, inMemory := mem.RangeSet{mem.Everywhere}, mem.RangeSet{mem.Everywhere}
	if d.AddressBits > 0 && d.AddressBits < 64 {
		onBus = mem.RangeSet{{Lo: 0, Hi: 1 << d.AddressBits}}
	}
	switch {
	case len(d.Spans) == 0:
	case d.Space == Bus:
		onBus = onBus.Intersect(rangesOf(d.Spans))
	default:
		inMemory = rangesOf(d.Spans)
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

// reach returns the CPU-physical bytes of all pieces.
func (c *compiled) reach() mem.RangeSet {
	ranges := make([]mem.Range, len(c.pieces))
	for i, p := range c.pieces {
		ranges[i] = p.reach
	}
	return mem.NewRangeSet(ranges...)
}

// all is more shapes than there are.
const all = math.MaxInt

// windows returns where the payload may lie by the first shapes of placeShapes,
// for blocks of more than 2^(order-1) and at most 2^order bytes; the order
// matters to natural alignment alone.
//
// In terms of the payload, rules of devices with different padding can be
// intersected: the padding that must be in reach shortens the windows, and
// lengthens what boundaries check. See touching for the way back.
func (c *compiled) windows(order, shapes int) []allocator.Window {
	var windows []allocator.Window
	for _, p := range c.pieces {
		if p.reach.Size() <= c.padding {
			continue
		}
		w := allocator.Window{Reach: mem.Range{Lo: p.reach.Lo, Hi: p.reach.Hi - c.padding}}
		left := true
		for i, s := range placeShapes {
			if i < shapes && left && s.narrow != nil {
				left = s.narrow(c, p.via, order, &w)
			}
		}
		if left {
			windows = append(windows, w)
		}
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
		w.Bounds, w.Arcs = slices.Clone(w.Bounds), slices.Clone(w.Arcs)
		for j := range w.Bounds {
			w.Bounds[j].Extra -= int64(padding)
		}
		for j := range w.Arcs {
			if w.Arcs[j].End {
				w.Arcs[j].Extra -= int64(padding)
			}
		}
		rule.Windows[i] = w
	}
	return rule
}

// offsets says where bus addresses differ from CPU addresses.
func (c *compiled) offsets() string {
	for _, p := range c.pieces {
		if p.via.CPU != p.via.Bus {
			return fmt.Sprintf(" on the bus, where memory %s is %s", p.via.CPU, p.via.Bus)
		}
	}
	return ""
}
