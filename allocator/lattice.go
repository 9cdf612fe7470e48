package allocator

import "math/bits"

// lattice is the set of addresses that are phase modulo step. Phase is less
// than step; a step of 0 means that phase is the only member, which is what
// remains of two congruences whose period does not fit in 64 bits.
type lattice struct{ step, phase uint64 }

// multiplesOf returns the addresses that are phase modulo align, where an
// align of 0 means 1.
func multiplesOf(align, phase uint64) lattice {
	align = max(align, 1)
	return lattice{align, phase % align}
}

// meet returns the members of both lattices, by the Chinese remainder theorem,
// or false if there are none below 2^64. Neither may have a step of 0.
func (l lattice) meet(o lattice) (lattice, bool) {
	if o.step == 1 {
		return l, true
	}
	if l.step == 1 {
		return o, true
	}
	g, inverse := gcdInverse(l.step, o.step)
	ahead := o.phase >= l.phase
	apart := o.phase - l.phase
	if !ahead {
		apart = l.phase - o.phase
	}
	if apart%g != 0 {
		return lattice{}, false
	}
	// l.phase + k·l.step is in o for the k below, modulo o.step/g.
	m := o.step / g
	k := mulMod(apart/g%m, inverse, m)
	if !ahead && k != 0 {
		k = m - k
	}
	over, phase := bits.Mul64(k, l.step)
	phase, carry := bits.Add64(phase, l.phase, 0)
	if over+carry != 0 {
		return lattice{}, false
	}
	over, step := bits.Mul64(m, l.step)
	if over != 0 {
		step = 0
	}
	return lattice{step, phase}, true
}

// misses reports whether v is no member.
func (l lattice) misses(v uint64) bool { return v%l.step != l.phase }

// up returns the lowest member at or above v.
func (l lattice) up(v uint64) (uint64, bool) {
	if l.step == 0 {
		return l.phase, l.phase >= v
	}
	gap := subMod(l.phase, v%l.step, l.step)
	return v + gap, v+gap >= v
}

// down returns the highest member at or below v.
func (l lattice) down(v uint64) (uint64, bool) {
	if l.step == 0 {
		return l.phase, l.phase <= v
	}
	gap := subMod(v%l.step, l.phase, l.step)
	return v - gap, v >= gap
}

// within returns the lowest member from s on, at most last, that is at most
// room behind a multiple of boundary. s is a member and room < boundary.
func (l lattice) within(s, last, boundary, room uint64) (uint64, bool) {
	return l.withinArc(s, last, arc{boundary: boundary, room: room})
}

// withinDown returns the highest member from s down, at least lo, that is at
// most room behind a multiple of boundary. s is a member and room < boundary.
func (l lattice) withinDown(s, lo, boundary, room uint64) (uint64, bool) {
	return l.withinArcDown(s, lo, arc{boundary: boundary, room: room})
}

// arc is the set of addresses that are at most room behind one of the lines
// phase + k·boundary. Both phase and room are less than boundary.
type arc struct{ boundary, phase, room uint64 }

// behind returns how far v is behind the line before it.
func (a arc) behind(v uint64) uint64 { return subMod(v%a.boundary, a.phase, a.boundary) }

// withinArc returns the lowest member of l and a in [s, last]; s is in l.
func (l lattice) withinArc(s, last uint64, a arc) (uint64, bool) {
	at := a.behind(s)
	if at <= a.room {
		return s, s <= last
	}
	k, ok := firstHit(l.step%a.boundary, a.boundary, a.boundary-at, a.boundary-at+a.room)
	if !ok {
		return 0, false
	}
	over, way := bits.Mul64(k, l.step)
	return s + way, over == 0 && s <= last && way <= last-s
}

// withinArcDown returns the highest member of l and a in [lo, s]; s is in l.
func (l lattice) withinArcDown(s, lo uint64, a arc) (uint64, bool) {
	at := a.behind(s)
	if at <= a.room {
		return s, s >= lo
	}
	k, ok := firstHit(l.step%a.boundary, a.boundary, at-a.room, at)
	if !ok {
		return 0, false
	}
	over, way := bits.Mul64(k, l.step)
	return s - way, over == 0 && s >= lo && way <= s-lo
}

// firstHit returns the smallest k with lo <= a·k mod m <= hi, where a < m and
// lo <= hi < m. It recurses as Euclid's algorithm does: where no multiple of a
// lies in [lo, hi], the number of times that a·k has wrapped around m solves the
// same problem modulo a.
func firstHit(a, m, lo, hi uint64) (uint64, bool) {
	if lo == 0 {
		return 0, true
	}
	if a == 0 {
		return 0, false
	}
	k := (lo-1)/a + 1
	if over, at := bits.Mul64(k, a); over == 0 && at <= hi {
		return k, true
	}
	wraps, ok := firstHit(m%a, a, a-hi%a, a-lo%a)
	if !ok {
		return 0, false
	}
	// k = ceil((m·wraps + lo) / a), which is less than m.
	over, at := bits.Mul64(m, wraps)
	at, carry := bits.Add64(at, lo-1, 0)
	k, _ = bits.Div64(over+carry, at, a)
	return k + 1, true
}

// gcdInverse returns the greatest common divisor g of a and b, and the inverse
// of a/g modulo b/g.
func gcdInverse(a, b uint64) (g, inverse uint64) {
	// Extended Euclid: r0 = a·s0 modulo b throughout.
	r0, r1 := a%b, b
	s0, s1 := uint64(1)%b, uint64(0)
	for r1 != 0 {
		q := r0 / r1
		r0, r1 = r1, r0-q*r1
		s0, s1 = s1, subMod(s0, mulMod(q%b, s1, b), b)
	}
	return r0, s0 % (b / r0)
}

// subMod returns a-b modulo m, for a and b below m.
func subMod(a, b, m uint64) uint64 {
	if a < b {
		return m - (b - a)
	}
	return a - b
}

// mulMod returns a·b modulo m, for a and b below m.
func mulMod(a, b, m uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	return bits.Rem64(hi, lo, m)
}

// lcm returns the least common multiple of a and b, or false if it does not
// fit in 64 bits. Neither is 0.
func lcm(a, b uint64) (uint64, bool) {
	gcd, rest := a, b
	for rest != 0 {
		gcd, rest = rest, gcd%rest
	}
	over, product := bits.Mul64(a/gcd, b)
	return product, over == 0
}
