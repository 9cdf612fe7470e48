package ledger_test

import (
	"testing"

	"pgregory.net/rapid"

	"dmasim/allocator"
	"dmasim/allocator/ledger"
	"dmasim/mem"
)

// oracle evaluates the definitions of Diagnose start by start and byte by byte.
func (m *model) oracle(req allocator.Request) ledger.Diagnosis {
	windows := []allocator.Window{{Reach: mem.Range{Lo: 0, Hi: space}}}
	slack := uint64(0)
	if req.Rule != nil {
		windows, slack = req.Rule.Windows, req.Slack
	}
	free := m.free()
	d := ledger.Diagnosis{Size: req.Size}
	for at := range free {
		if free[at] {
			d.Free++
		}
	}
	inReach := [space]bool{}
	aligned, legal := false, false
	for _, w := range windows {
		inPlace := func(at uint64) bool {
			return at >= req.Lo && (req.Hi == 0 || at < req.Hi) && at >= w.Reach.Lo && at < w.Reach.Hi+slack
		}
		run := uint64(0) // free places up to the byte at hand
		for at := range uint64(space) {
			if !free[at] || !inPlace(at) {
				run = 0
				continue
			}
			inReach[at] = true
			run++
			d.Largest = max(d.Largest, run)
			if run < req.Size {
				continue
			}
			s := at + 1 - req.Size
			if !multiple(s, req.Align, 0) || !multiple(s, w.Align, w.Phase) {
				continue
			}
			aligned = true
			if !crossesNothing(s, req, w) {
				continue
			}
			if !legal || s < d.At {
				d.At = s
			}
			legal = true
		}
	}
	for at := range inReach {
		if inReach[at] {
			d.FreeInReach++
		}
	}
	switch {
	case d.Free < req.Size:
		d.Cause = allocator.Exhausted
	case d.FreeInReach < req.Size:
		d.Cause = allocator.WindowFull
	case d.Largest < req.Size:
		d.Cause = allocator.Fragmented
	case !aligned:
		d.Cause = allocator.Alignment
	case !legal:
		d.Cause = allocator.Boundary
	default:
		d.Cause = allocator.Policy
	}
	return d
}

func multiple(at, align, phase uint64) bool { return align <= 1 || at%align == phase%align }

// crossesNothing tells whether no line lies behind s and before the end of the
// bytes that must not cross it.
func crossesNothing(s uint64, req allocator.Request, w allocator.Window) bool {
	for at := s + 1; at < s+req.Size; at++ {
		if req.Boundary != 0 && at%req.Boundary == 0 {
			return false
		}
	}
	for _, b := range w.Bounds {
		length := int64(req.Size-req.Slack) + b.Extra
		for at := s + 1; int64(at) < int64(s)+length; at++ {
			if b.Boundary != 0 && multiple(at, b.Boundary, b.Phase) {
				return false
			}
		}
	}
	return true
}

// requests draws requests that fail in all ways in an arena of space bytes.
var requests = rapid.Custom(func(t *rapid.T) allocator.Request {
	small := rapid.Uint64Range(0, 24)
	req := allocator.Request{
		Size:  rapid.OneOf(rapid.Uint64Range(1, 16), rapid.Uint64Range(1, space+10)).Draw(t, "size"),
		Align: rapid.OneOf(rapid.Just(uint64(0)), small, rapid.Uint64Range(50, 300)).Draw(t, "align"),
	}
	if rapid.Bool().Draw(t, "windowed") {
		req.Lo = rapid.Uint64Range(0, space).Draw(t, "lo")
		req.Hi = rapid.Uint64Range(0, space+20).Draw(t, "hi")
	}
	if rapid.Bool().Draw(t, "bounded") {
		req.Boundary = rapid.Uint64Range(1, 40).Draw(t, "boundary")
	}
	if rapid.Bool().Draw(t, "ruled") {
		req.Slack = rapid.Uint64Range(0, min(req.Size-1, 10)).Draw(t, "slack")
		req.Rule = &allocator.Rule{}
		edge := uint64(0)
		for range rapid.IntRange(0, 3).Draw(t, "windows") {
			lo := edge + rapid.Uint64Range(0, 20).Draw(t, "gap")
			edge = lo + rapid.Uint64Range(1, 80).Draw(t, "length")
			w := allocator.Window{Reach: mem.Range{Lo: lo, Hi: edge}}
			if rapid.Bool().Draw(t, "aligned") {
				w.Align, w.Phase = small.Draw(t, "window align"), small.Draw(t, "phase")
			}
			for range rapid.IntRange(0, 2).Draw(t, "bounds") {
				w.Bounds = append(w.Bounds, allocator.Bound{
					Boundary: rapid.Uint64Range(0, 60).Draw(t, "line"), Phase: small.Draw(t, "line phase"),
					Extra: rapid.Int64Range(-6, 6).Draw(t, "extra"),
				})
			}
			req.Rule.Windows = append(req.Rule.Windows, w)
		}
	}
	return req
})

// TestDiagnoseAgainstBytes compares cause and figures with the oracle's.
func TestDiagnoseAgainstBytes(t *testing.T) {
	seen := map[allocator.Cause]int{}
	rapid.Check(t, func(t *rapid.T) {
		m := &model{arena: sets.Draw(t, "arena"), live: map[ledger.Handle]placed{}}
		l := ledger.New(m.arena, 1)
		m.fill(t, l, 1, rapid.IntRange(0, 25).Draw(t, "steps"))
		for range 20 {
			req := requests.Draw(t, "request")
			want := m.oracle(req)
			if got := l.Diagnose(req); got != want {
				t.Fatalf("%+v\n got %+v\nwant %+v", req, got, want)
			}
			seen[want.Cause]++
		}
	})
	for _, cause := range []allocator.Cause{
		allocator.Exhausted, allocator.WindowFull, allocator.Fragmented,
		allocator.Alignment, allocator.Boundary, allocator.Policy,
	} {
		if seen[cause] == 0 {
			t.Errorf("cause %v never came up", cause)
		}
	}
}

func TestDiagnose(t *testing.T) {
	const kib = 1 << 10
	// Free: [16K,48K), [80K,96K) and [128K,256K).
	arena := mem.RangeSet{{Lo: 16 * kib, Hi: 96 * kib}, {Lo: 128 * kib, Hi: 256 * kib}}
	block := allocator.Block{Addr: 48 * kib, Size: 32 * kib}
	rule := func(windows ...allocator.Window) *allocator.Rule { return &allocator.Rule{Windows: windows} }
	low := mem.Range{Lo: 0, Hi: 92 * kib}
	for name, test := range map[string]struct {
		req              allocator.Request
		cause            allocator.Cause
		inReach, longest uint64
		at               uint64
	}{
		"more than is free":         {allocator.Request{Size: 177 * kib}, allocator.Exhausted, 176 * kib, 128 * kib, 0},
		"window too small":          {allocator.Request{Size: 64 * kib, Hi: 92 * kib}, allocator.WindowFull, 44 * kib, 32 * kib, 0},
		"window of a rule":          {allocator.Request{Size: 64 * kib, Rule: rule(allocator.Window{Reach: low})}, allocator.WindowFull, 44 * kib, 32 * kib, 0},
		"rule without windows":      {allocator.Request{Size: 1, Rule: rule()}, allocator.WindowFull, 0, 0, 0},
		"in pieces":                 {allocator.Request{Size: 33 * kib, Hi: 92 * kib}, allocator.Fragmented, 44 * kib, 32 * kib, 0},
		"window below the arena":    {allocator.Request{Size: 1, Hi: 16 * kib}, allocator.WindowFull, 0, 0, 0},
		"windows touch in the run":  {allocator.Request{Size: 24 * kib, Rule: rule(allocator.Window{Reach: mem.Range{Lo: 0, Hi: 32 * kib}}, allocator.Window{Reach: mem.Range{Lo: 32 * kib, Hi: 48 * kib}})}, allocator.Fragmented, 32 * kib, 16 * kib, 0},
		"no aligned start":          {allocator.Request{Size: 32 * kib, Align: 32 * kib, Hi: 92 * kib}, allocator.Alignment, 44 * kib, 32 * kib, 0},
		"no start in phase":         {allocator.Request{Size: 32 * kib, Rule: rule(allocator.Window{Reach: low, Align: 16 * kib, Phase: 1})}, allocator.Alignment, 44 * kib, 32 * kib, 0},
		"each start crosses":        {allocator.Request{Size: 24 * kib, Boundary: 32 * kib, Hi: 92 * kib}, allocator.Boundary, 44 * kib, 32 * kib, 0},
		"each start crosses a line": {allocator.Request{Size: 24 * kib, Rule: rule(allocator.Window{Reach: low, Bounds: []allocator.Bound{{Boundary: 32 * kib}}})}, allocator.Boundary, 44 * kib, 32 * kib, 0},
		"a place was there":         {allocator.Request{Size: 32 * kib}, allocator.Policy, 176 * kib, 128 * kib, 16 * kib},
		"an aligned place":          {allocator.Request{Size: 32 * kib, Align: 64 * kib}, allocator.Policy, 176 * kib, 128 * kib, 128 * kib},
		"the end out of reach":      {allocator.Request{Size: 16 * kib, Slack: 4 * kib, Lo: 64 * kib, Rule: rule(allocator.Window{Reach: low})}, allocator.Policy, 16 * kib, 16 * kib, 80 * kib},
	} {
		t.Run(name, func(t *testing.T) {
			l := ledger.New(arena, 1)
			l.Alloc(block, block.Size, 0)
			want := ledger.Diagnosis{
				Cause: test.cause, Size: test.req.Size, Free: 176 * kib,
				FreeInReach: test.inReach, Largest: test.longest, At: test.at,
			}
			if got := l.Diagnose(test.req); got != want {
				t.Errorf("got %+v\nwant %+v", got, want)
			}
		})
	}
}
