package devices

import (
	"fmt"
	"math"
	"math/bits"

	"dmasim/allocator"
	"dmasim/mem"
)

// Verdict says whether devices can use one contiguous buffer where it lies. Its
// String is meant for people and takes time that Judge does not.
type Verdict struct {
	Addr, Payload uint64         // the buffer: CPU-physical address and bytes
	Part          allocator.Part // the part of the device's rule that is broken; Kept: none

	device *planned // the first to which the buffer is of no use; nil if all can use it
	breach allocator.Breach
	order  int
}

// Usable reports whether every device can use the buffer.
func (v Verdict) Usable() bool { return v.device == nil }

// Device returns the name of the first device to which the buffer is of no use,
// or "".
func (v Verdict) Device() string {
	if v.device == nil {
		return ""
	}
	return v.device.Name
}

// Judge tells whether the plan's devices can use a buffer of payload bytes at
// the CPU-physical address addr. Each device is judged by its own rules: its
// reach must hold the payload and its own padding, not what rounding adds.
// Segments, coherence and IOMMUs are not looked at; of a buffer of several pieces
// JudgePieces knows more. Nothing is allocated.
func (p *Plan) Judge(addr, payload uint64) Verdict {
	v := Verdict{Addr: addr, Payload: payload}
	order := p.order(p.Request(payload, 0).Size)
	for i := range p.devices {
		d := &p.devices[i]
		touched, over := bits.Add64(max(payload, 1), d.padding, 0)
		if over != 0 {
			touched = math.MaxUint64
		}
		own := min(order, len(d.rules)-1)
		if breach := d.rules[own].Check(addr, touched, 0); breach.Part != allocator.Kept {
			v.Part, v.device, v.breach, v.order = breach.Part, d, breach, own
			break
		}
	}
	return v
}

// String says which rule is broken, with figures, or "usable".
func (v Verdict) String() string {
	if v.Usable() {
		return "usable"
	}
	d := v.device
	if v.Part == allocator.OutOfReach {
		return v.reachText()
	}
	w := d.rules[v.order].Windows[v.breach.Window]
	via := d.piece(v.Addr).via
	where := addressName(via)
	if v.Part == allocator.Misaligned {
		return fmt.Sprintf("%s wants buffers at a multiple of %s%s; %s %s is none", d.Name, mem.Size(w.Align), d.from(), where, mem.Addr(via.toBus(v.Addr)))
	}
	if v.Part == allocator.OffArc {
		return v.arcText(w.Arcs[v.breach.Bound], via)
	}
	b := w.Bounds[v.breach.Bound]
	line := via.toBus(v.Addr)
	line += b.Boundary - line%b.Boundary
	return fmt.Sprintf("%s must not cross multiples of %s; %s from %s %s cross %s", d.Name, mem.Size(b.Boundary),
		mem.Size(d.reaching(v.Payload, b.Extra)), where, mem.Addr(via.toBus(v.Addr)), mem.Addr(line))
}

// from says what alignment counts from, if not from 0.
func (c *compiled) from() string {
	if c.Origin == nil {
		return ""
	}
	return " from " + c.Origin.Base.String()
}

// arcText says how the buffer begins or ends where it may not.
func (v Verdict) arcText(a allocator.Arc, via Translation) string {
	d, where, at := v.device, addressName(via), via.toBus(v.Addr)
	switch {
	case a.End:
		return fmt.Sprintf("%s wants no buffer to end at a multiple of %s; %s %s is one", d.Name, mem.Size(a.Period),
			where, mem.Addr(at+d.reaching(v.Payload, a.Extra)))
	case a.Room == a.Period/2-1:
		return fmt.Sprintf("%s wants bit %d of an address to be 0; that of %s %s is 1", d.Name, bits.Len64(a.Period)-2, where, mem.Addr(at))
	}
	return fmt.Sprintf("%s wants no buffer to begin at a multiple of %s; %s %s is one", d.Name, mem.Size(a.Period), where, mem.Addr(at))
}

// piece returns the reachable memory that holds addr.
func (c *compiled) piece(addr uint64) piece {
	for _, p := range c.pieces {
		if p.reach.Lo <= addr && addr < p.reach.Hi {
			return p
		}
	}
	return piece{via: everywhere}
}

// reaching returns the touched bytes of a payload and extra ones.
func (c *compiled) reaching(payload uint64, extra int64) uint64 {
	return payload + c.padding + uint64(extra)
}

// addressName returns what addresses behind the translation are called.
func addressName(via Translation) string {
	if via.CPU == via.Bus {
		return "address"
	}
	return "bus address"
}

func (v Verdict) reachText() string {
	d := v.device
	touched := mem.Range{Lo: v.Addr, Hi: math.MaxUint64}
	if size, over := bits.Add64(max(v.Payload, 1), d.padding, 0); over == 0 && size <= math.MaxUint64-v.Addr {
		touched.Hi = v.Addr + size
	}
	reach := d.reach()
	switch inside := reach.Intersect(mem.RangeSet{touched}).Size(); inside {
	case 0:
		return fmt.Sprintf("%s cannot reach %s: its reach is %s", d.Name, touched, reach)
	case touched.Size():
		return fmt.Sprintf("%s sees %s in more than one piece on its bus", d.Name, touched)
	default:
		return fmt.Sprintf("%s touches %s, of which %s lie outside of its reach, %s", d.Name, touched, mem.Size(touched.Size()-inside), reach)
	}
}
