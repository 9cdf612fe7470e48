package devices

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"dmasim/allocator"
	"dmasim/mem"
)

// Group binds the buffers of a device that are in use together.
type Group struct {
	// They lie in one segment: no multiple of this on the bus is between the first and the last of their bytes. A power of two.
	Segment mem.Size `yaml:"segment,omitempty" json:"segment,omitempty"`
	// From the first to the last of their bytes, or from their base where base_align is given, they span at most this.
	Span mem.Size `yaml:"span,omitempty" json:"span,omitempty"`
	// They lie at or above a common base, which is chosen for them: a multiple of this on the bus, and not 0. A power of two.
	BaseAlign mem.Size `yaml:"base_align,omitempty" json:"base_align,omitempty"`
	// Whether none of them begins at the base itself.
	BaseExclusive bool `yaml:"base_exclusive,omitempty" json:"base_exclusive,omitempty"`
}

var groupShape = shape{
	key: "group",
	check: func(d *Device) *FieldError {
		g := d.Group
		if g == nil {
			return nil
		}
		switch {
		case g.Segment&(max(g.Segment, 1)-1) != 0:
			return fail("group", -1, "want a segment that is a power of two, not %s", g.Segment)
		case g.BaseAlign&(max(g.BaseAlign, 1)-1) != 0:
			return fail("group", -1, "want a base_align that is a power of two, not %s", g.BaseAlign)
		case g.BaseExclusive && g.BaseAlign == 0:
			return fail("group", -1, "there is no base to lie above: want base_align")
		}
		return nil
	},
	tell: func(d *Device, t *teller) {
		for _, text := range d.Group.texts() {
			t.add("group", t.bus, "%s", text)
		}
	},
	name: func(c *compiled) string { return "group (" + strings.Join(c.Group.texts(), ", ") + c.offsets() + ")" },
}

func (g *Group) texts() []string {
	if g == nil {
		return nil
	}
	var texts []string
	if g.Segment > 0 {
		texts = append(texts, fmt.Sprintf("its buffers lie together between two multiples of %s", g.Segment))
	}
	if g.Span > 0 {
		texts = append(texts, fmt.Sprintf("its buffers lie together within %s", g.Span))
	}
	if g.BaseAlign > 0 {
		above := "at or above"
		if g.BaseExclusive {
			above = "above"
		}
		texts = append(texts, fmt.Sprintf("its buffers lie %s a base, which is a multiple of %s and not 0", above, g.BaseAlign))
	}
	return texts
}

// Limits on the work of Together.
const (
	// MaxTogether is how many buffers Together places.
	MaxTogether = 12
	maxTrials   = 1 << 16
)

// ErrTogether is the error of Together for more than it can do.
var ErrTogether = errors.New("too much to place together")

// Together places buffers of the given payloads in free memory, in a heap whose
// unit is granule bytes, so that all rules of every device hold, those about the
// whole group as well. It returns their addresses. It finds a solution wherever
// there is one, which placing one buffer after the other does not: for every
// lowest address that the group may have, it knows for every subset of the
// buffers how far down they can end, and so for the whole set.
//
// All buffers lie in one window of a device with a group, if its bus has several.
// What binds translated addresses is checked as if all of them were free.
// The error is a *Conflict with TheBuffer where there is no solution, and wraps
// ErrTogether where there are more than MaxTogether buffers, or where a search of
// some ten thousand bases has found nothing.
func (p *Plan) Together(payloads []uint64, granule uint64, free mem.RangeSet) ([]uint64, error) {
	if len(payloads) > MaxTogether {
		return nil, fmt.Errorf("%w: %d buffers, want at most %d", ErrTogether, len(payloads), MaxTogether)
	}
	t := together{free: []mem.Range(free)}
	for _, payload := range payloads {
		t.requests = append(t.requests, p.Request(payload, granule))
		t.touched = append(t.touched, p.sizing.touched(payload))
	}
	frames := []frame{{reach: mem.Everywhere}}
	for i := range p.devices {
		if c := &p.devices[i].compiled; c.Group != nil {
			frames = framesOf(frames, c)
		}
	}
	if err := p.togetherTranslated(payloads); err != nil {
		return nil, err
	}
	for _, f := range frames {
		starts, err := t.place(f)
		if err != nil || starts != nil {
			return starts, err
		}
	}
	return nil, p.togetherConflict(payloads)
}

// togetherTranslated reports whether a group whose rules bind translated addresses
// has some.
func (p *Plan) togetherTranslated(payloads []uint64) error {
	for i := range p.devices {
		v := p.devices[i].virtual
		if v == nil || v.Group == nil {
			continue
		}
		plan, err := Merge(*v.Device)
		if err != nil {
			return err
		}
		if _, err := plan.Together(payloads, p.devices[i].page, mem.RangeSet{mem.Everywhere}); err != nil {
			return err
		}
	}
	return nil
}

func (p *Plan) togetherConflict(payloads []uint64) *Conflict {
	sizes := make([]string, len(payloads))
	for i, n := range payloads {
		sizes[i] = mem.Size(n).String()
	}
	what := "place in the free memory (" + strings.Join(sizes, ", ") + ")"
	for i := range p.devices {
		if d := &p.devices[i]; d.Group != nil {
			return newConflict(d.Name, TheBuffer, groupShape.name(&d.compiled), what, nil)
		}
	}
	names, rules := []string{}, []string{}
	for i := range p.devices {
		names, rules = append(names, p.devices[i].Name), append(rules, p.devices[i].allText())
	}
	return newConflict(strings.Join(names, ", "), TheBuffer, strings.Join(rules, "; "), what, nil)
}

// frame is a piece of a bus with what holds there for a group as a whole.
type frame struct {
	reach  mem.Range
	limits []extent
}

// extent is the rule of one device's group, which holds on its bus.
type extent struct {
	*Group
	via Translation
}

// framesOf intersects the frames with the windows of a device's group.
func framesOf(frames []frame, c *compiled) []frame {
	var both []frame
	for _, f := range frames {
		for _, p := range c.pieces {
			shared := f.reach.Intersect(p.reach)
			if shared.Empty() {
				continue
			}
			if align := uint64(c.Group.BaseAlign); align > 0 {
				// The lowest base on the bus is not 0.
				on := p.via.OnBus()
				lowest := max(on.Lo, align)
				if c.Group.BaseExclusive {
					lowest = max(on.Lo, align+1)
				}
				if lowest >= on.Hi {
					continue
				}
				shared.Lo = max(shared.Lo, p.via.fromBus(lowest))
			}
			if !shared.Empty() {
				both = append(both, frame{shared, append(slices.Clone(f.limits), extent{c.Group, p.via})})
			}
		}
	}
	return both
}

// lastEnd returns where a group must end whose first byte is at start, both on the
// bus. It never falls while start rises.
func (g *Group) lastEnd(start uint64) uint64 {
	end := uint64(math.MaxUint64)
	if size := uint64(g.Segment); size > 0 {
		end = min(end, plus(start-start%size, size))
	}
	if g.Span > 0 {
		end = min(end, plus(g.baseOf(start), uint64(g.Span)))
	}
	return end
}

// baseOf returns the highest base for a group whose first byte is at start.
func (g *Group) baseOf(start uint64) uint64 {
	align := uint64(g.BaseAlign)
	if align == 0 {
		return start
	}
	if g.BaseExclusive {
		start -= min(start, 1)
	}
	return start - start%align
}

// firstStart returns the lowest start for which lastEnd is at least end, which is
// more than 0.
func (g *Group) firstStart(end uint64) uint64 {
	start := uint64(0)
	if size := uint64(g.Segment); size > 0 {
		start = end - 1 - (end-1)%size
	}
	if g.Span > 0 {
		base := end - min(end, uint64(g.Span))
		if align := uint64(g.BaseAlign); align > 0 {
			if in := base % align; in > 0 {
				base = plus(base, align-in)
			}
			if g.BaseExclusive {
				base = plus(base, 1)
			}
		}
		start = max(start, base)
	}
	return start
}

// plus is a+b, at most 2^64-1.
func plus(a, b uint64) uint64 { return a + min(b, math.MaxUint64-a) }

// together is a search for places.
type together struct {
	requests []allocator.Request
	touched  []uint64 // bytes of each that its devices touch
	free     []mem.Range
	ends     []uint64 // by subset of the requests: how low their blocks can end
	last     []int    // by subset: the one with the highest address
	starts   []uint64 // by subset: where it begins
}

// place returns where the requests go in the frame; nil if nowhere.
//
// A group that begins at or above some address cannot end below what pack
// returns. If that is too far for a group that begins there, then the group
// begins where that end is not too far, or above.
func (t *together) place(f frame) ([]uint64, error) {
	from := f.reach.Lo
	for range maxTrials {
		end, ok := t.pack(from, f.reach.Hi)
		if !ok {
			return nil, nil
		}
		next := from
		for i := range f.limits {
			e := &f.limits[i]
			if bus := e.via.toBus(end); e.lastEnd(e.via.toBus(from)) < bus {
				next = max(next, e.via.fromBus(e.firstStart(bus)))
			}
		}
		if next == from {
			return t.found(), nil
		}
		from = next
	}
	return nil, fmt.Errorf("%w: no place in %d trials", ErrTogether, maxTrials)
}

// pack finds how low the touched bytes of all requests can end if none begins
// below from. In the order of their addresses, each goes to the lowest place
// behind the one before it; so what matters of a subset is where its blocks end.
func (t *together) pack(from, hi uint64) (end uint64, ok bool) {
	n := len(t.requests)
	if t.ends == nil {
		t.ends, t.last, t.starts = make([]uint64, 1<<n), make([]int, 1<<n), make([]uint64, 1<<n)
	}
	const never = math.MaxUint64
	whole := 1<<n - 1
	t.ends[0], end = from, never
	if n == 0 {
		return from, true
	}
	for set := 1; set <= whole; set++ {
		t.ends[set] = never
		for i := range n {
			before := set &^ (1 << i)
			if before == set || t.ends[before] == never {
				continue
			}
			start, ok := t.first(&t.requests[i], t.ends[before])
			if !ok || start >= hi || hi-start < t.touched[i] {
				continue
			}
			block, touched := start+t.requests[i].Size, start+t.touched[i]
			if set != whole && block <= t.ends[set] || set == whole && touched <= end {
				t.ends[set], t.last[set], t.starts[set] = block, i, start
				if set == whole {
					end = touched
				}
			}
		}
	}
	return end, end != never
}

// first returns the lowest place of a request at or above from.
func (t *together) first(r *allocator.Request, from uint64) (uint64, bool) {
	for _, free := range t.free {
		if free.Hi <= from {
			continue
		}
		if start, ok := r.Place(max(free.Lo, from), free.Hi, false); ok {
			return start, true
		}
	}
	return 0, false
}

// found returns the places that pack found last, in the order of the requests.
func (t *together) found() []uint64 {
	starts := make([]uint64, len(t.requests))
	for set := 1<<len(t.requests) - 1; set != 0; set &^= 1 << t.last[set] {
		starts[t.last[set]] = t.starts[set]
	}
	return starts
}
