package allocator

import (
	"cmp"
	"math"
	"slices"

	"dmasim/mem"
)

// Rule is what a device, or several that share a buffer, demands of one
// contiguous place, compiled into the address space of the strategy. A start
// is legal if it is legal in one of the windows; a rule without windows allows
// nothing, a nil rule everything.
//
// The bytes that a device touches are the block without the request's Slack.
type Rule struct {
	Windows []Window // by rising ends of Reach, both Lo and Hi; they may overlap
}

// Window is one piece of a device's reach, with the pattern of legal starts
// inside it. Patterns differ between windows because each may be translated by
// another offset.
type Window struct {
	Reach        mem.Range // must hold the touched bytes
	Align, Phase uint64    // the start is Phase modulo Align; Align 0 or 1: no constraint
	Bounds       []Bound   // all of them hold
	Arcs         []Arc     // all of them hold
}

// Bound forbids crossing the lines Phase + k·Boundary, k being any integer: no
// line may lie behind the first and at or before the last of the bytes that
// must not cross. These are the touched bytes plus Extra, which is positive for
// a guard behind them and negative where only the payload counts. A Boundary
// of 0 forbids nothing.
type Bound struct {
	Boundary, Phase uint64
	Extra           int64
}

// Arc confines the start of a block, or its end, to a part of a periodic
// pattern: modulo Period, it lies at most Room behind Phase. That a bit of the
// address must be 0 is an arc of half a period; that a block must not begin on
// a line is one of a whole period without the line. The end is the address
// behind the touched bytes and Extra, whose meaning is that of [Bound]. A
// Period of 0 forbids nothing.
type Arc struct {
	Period, Phase, Room uint64
	End                 bool
	Extra               int64 // of an end
}

// Part is the part of a rule that a placement breaks.
type Part uint8

// The parts of a rule, in the order in which Check looks at them.
const (
	Kept       Part = iota // none: the placement obeys the rule
	OutOfReach             // no window holds the touched bytes
	Misaligned
	Crossing
	OffArc
)

// String returns "kept", "reach", "alignment", "boundary" or "address".
func (p Part) String() string {
	switch p {
	case OutOfReach:
		return "reach"
	case Misaligned:
		return "alignment"
	case Crossing:
		return "boundary"
	case OffArc:
		return "address"
	}
	return "kept"
}

// Breach says where a placement breaks a rule.
type Breach struct {
	Part   Part
	Window int // index of the window that holds the start; -1: none does
	Bound  int // index of the first bound that is crossed, or of the first arc that is left; -1: none is
}

// Check tells whether a block at start obeys the rule, and if not, which part
// of it breaks first. Slack is the number of bytes at the end of the block that
// no device touches, less than size. A nil rule is always kept.
func (r *Rule) Check(start, size, slack uint64) Breach {
	if r == nil {
		return Breach{Kept, -1, -1}
	}
	breach := Breach{OutOfReach, -1, -1}
	for i := range r.Windows {
		w := &r.Windows[i]
		if start < w.Reach.Lo || start >= w.Reach.Hi {
			continue
		}
		part, bound := w.check(start, size-slack)
		if part == Kept || part >= breach.Part {
			breach = Breach{part, i, bound}
		}
		if part == Kept {
			break
		}
	}
	return breach
}

// check is Check in one window, in which start lies.
func (w *Window) check(start, touched uint64) (part Part, bound int) {
	if w.Reach.Hi-start < touched {
		return OutOfReach, -1
	}
	if multiplesOf(w.Align, w.Phase).misses(start) {
		return Misaligned, -1
	}
	for i, b := range w.Bounds {
		if a, free, ok := b.arc(touched); !ok || !free && a.behind(start) > a.room {
			return Crossing, i
		}
	}
	for i, limit := range w.Arcs {
		if a, free := limit.arc(touched); !free && a.behind(start) > a.room {
			return OffArc, i
		}
	}
	return Kept, -1
}

// Intersect returns the window in which those starts are legal that are legal
// in w and in o. Where there can be none, it says why: the windows are apart
// (OutOfReach), or no address is aligned to both (Misaligned).
func (w Window) Intersect(o Window) (Window, Part) {
	both := Window{Reach: w.Reach.Intersect(o.Reach)}
	if both.Reach.Empty() {
		return Window{}, OutOfReach
	}
	starts, ok := multiplesOf(w.Align, w.Phase).meet(multiplesOf(o.Align, o.Phase))
	if !ok {
		return Window{}, Misaligned
	}
	both.Align, both.Phase = starts.step, starts.phase
	if starts.step == 0 {
		// A single address; the next that is so aligned is 2^64-1 or beyond.
		both.Align = math.MaxUint64
	}
	both.Bounds = strictest(slices.Concat(w.Bounds, o.Bounds))
	both.Arcs = distinct(slices.Concat(w.Arcs, o.Arcs))
	return both, Kept
}

// distinct returns the arcs once each, in an order that does not depend on
// theirs.
func distinct(arcs []Arc) []Arc {
	arcs = slices.DeleteFunc(arcs, func(a Arc) bool { return a.Period == 0 })
	for i := range arcs {
		arcs[i].Phase %= arcs[i].Period
	}
	slices.SortFunc(arcs, func(a, b Arc) int {
		return cmp.Or(cmp.Compare(a.Period, b.Period), cmp.Compare(a.Phase, b.Phase), cmp.Compare(a.Room, b.Room),
			cmp.Compare(a.Extra, b.Extra), boolToInt(a.End)-boolToInt(b.End))
	})
	return slices.Compact(arcs)
}

func boolToInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// strictest returns the bounds without those that others imply, in an order
// that does not depend on theirs.
func strictest(bounds []Bound) []Bound {
	for i := range bounds {
		bounds[i].Phase %= max(bounds[i].Boundary, 1)
	}
	slices.SortFunc(bounds, func(a, b Bound) int {
		return cmp.Or(cmp.Compare(a.Boundary, b.Boundary), cmp.Compare(a.Phase, b.Phase), cmp.Compare(a.Extra, b.Extra))
	})
	bounds = slices.Compact(bounds)
	var kept []Bound
	for i, b := range bounds {
		implied := b.Boundary == 0
		for j, o := range bounds {
			implied = implied || j != i && o.implies(b)
		}
		if !implied {
			kept = append(kept, b)
		}
	}
	return kept
}

// implies reports whether what keeps b keeps o: b has all lines of o and checks
// no fewer bytes.
func (b Bound) implies(o Bound) bool {
	return b.Boundary != 0 && o.Boundary%b.Boundary == 0 && o.Phase%b.Boundary == b.Phase && b.Extra >= o.Extra
}

// First returns the lowest legal start of size bytes in the free range
// [lo, hi), where no device touches the last slack bytes.
func (r *Rule) First(lo, hi, size, slack uint64) (uint64, bool) {
	request := Request{Size: size, Slack: slack, Rule: r}
	return request.Place(lo, hi, false)
}

// Last returns the highest such start.
func (r *Rule) Last(lo, hi, size, slack uint64) (uint64, bool) {
	request := Request{Size: size, Slack: slack, Rule: r}
	return request.Place(lo, hi, true)
}

// arc returns where blocks with that many touched bytes may start. Free means
// anywhere; not ok means nowhere, because they are longer than the boundary.
func (b Bound) arc(touched uint64) (a arc, free, ok bool) {
	return newArc(b.Boundary, b.Phase, extended(touched, b.Extra))
}

// extended returns touched and extra bytes, at least 0 and less than 2^64.
func extended(touched uint64, extra int64) uint64 {
	length := touched + uint64(extra)
	switch {
	case extra < 0 && length >= touched:
		return 0
	case extra > 0 && length < touched:
		return math.MaxUint64
	}
	return length
}

// arc returns where blocks with that many touched bytes may start. Free means
// anywhere.
func (a Arc) arc(touched uint64) (_ arc, free bool) {
	if a.Period == 0 || a.Room >= a.Period-1 {
		return arc{}, true
	}
	phase := a.Phase % a.Period
	if a.End {
		phase = subMod(phase, extended(touched, a.Extra)%a.Period, a.Period)
	}
	return arc{a.Period, phase, a.Room}, false
}

// newArc returns where blocks of length bytes start that cross no line of the
// boundary.
func newArc(boundary, phase, length uint64) (a arc, free, ok bool) {
	if boundary == 0 || length <= 1 {
		return arc{}, true, true
	}
	if length > boundary {
		return arc{}, false, false
	}
	return arc{boundary, phase % boundary, boundary - length}, false, true
}
