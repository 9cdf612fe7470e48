package devices

import (
	"math"
	"math/bits"

	"dmasim/allocator"
	"dmasim/mem"
)

// demand is the merged rule for blocks of one order, and the same in the simple
// fields of a request where these can express it.
type demand struct {
	rule *allocator.Rule
	// If simple, the rule is one window without phase, with one bound at most.
	simple, bounded bool
	reach           mem.Range
	align, boundary uint64
	slack           uint64 // if bounded: with how much of it the simple fields express the bound
}

func newDemand(rule *allocator.Rule) demand {
	d := demand{rule: rule}
	if len(rule.Windows) != 1 {
		return d
	}
	w := &rule.Windows[0]
	d.simple, d.reach = w.Phase == 0 && len(w.Arcs) == 0, w.Reach
	if w.Align > 1 {
		d.align = w.Align
	}
	switch len(w.Bounds) {
	case 0:
	case 1:
		b := &w.Bounds[0]
		d.simple = d.simple && b.Phase == 0 && b.Extra >= 0 // the field checks the whole block
		d.bounded, d.boundary, d.slack = true, b.Boundary, uint64(b.Extra)
	default:
		d.simple = false
	}
	return d
}

// nowhere is a request that no arena can satisfy.
var nowhere = allocator.Request{Size: math.MaxUint64, Lo: 1}

// Request returns the allocation request for a buffer of payload bytes, at
// least 1, from a heap whose unit is granule bytes; 0 means 1. Its Size is the
// payload and the padding, at least the devices' least size, rounded up to the
// granularity, to a power of two where one of them wants that, and then to the
// granule. What rounding adds need not be in reach; see
// [allocator.Request.Slack]. Dir is left to the caller. Where the size does not
// fit in 64 bits, the request is one that no arena can satisfy.
//
// The rule, where the request needs one, is shared by all requests of the plan:
// nothing is allocated.
func (p *Plan) Request(payload, granule uint64) (request allocator.Request) {
	p.Fill(&request, payload, granule)
	return request
}

// Indifferent reports whether nobody demands anything: any place will do.
func (p *Plan) Indifferent() bool { return len(p.devices) == 0 }

// Fill makes an empty request the one that Request returns.
func (p *Plan) Fill(request *allocator.Request, payload, granule uint64) {
	touched := p.sizing.touched(payload)
	size, fits := p.sizing.size(touched)
	if fits {
		size, fits = roundUp(size, granule)
	}
	if touched == math.MaxUint64 || !fits {
		*request = nowhere
		return
	}
	order := p.order(size)
	if order == orders {
		*request = nowhere
		return
	}
	d, slack := &p.demands[order], size-touched
	request.Size = size
	if !d.simple || d.bounded && d.slack != slack {
		request.Slack, request.Rule = slack, d.rule
		return
	}
	request.Lo, request.Align, request.Boundary = d.reach.Lo, d.align, d.boundary
	// The whole block may end behind the reach by the slack.
	if hi, over := bits.Add64(d.reach.Hi, slack, 0); over == 0 && hi != math.MaxUint64 {
		request.Hi = hi
	}
}

// Size returns what Request reserves for a payload in a heap whose unit is one
// byte, in bytes; 2^64-1 where that does not fit in 64 bits.
func (p *Plan) Size(payload uint64) uint64 {
	size, ok := p.sizing.size(p.sizing.touched(payload))
	if !ok {
		return math.MaxUint64
	}
	return size
}

// order returns the index of the demands on blocks of that size.
func (p *Plan) order(size uint64) int {
	if !p.natural {
		return 0
	}
	return bits.Len64(size - 1)
}
