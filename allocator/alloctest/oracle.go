package alloctest

import (
	"errors"
	"fmt"
	"slices"

	"dmasim/allocator"
	"dmasim/mem"
)

// tb is what *testing.T and *rapid.T have in common here.
type tb interface {
	Helper()
	Fatalf(format string, args ...any)
}

// watched is a strategy, the oracle that watches it, and its twin.
type watched struct {
	*suite
	strategy, twin allocator.Strategy
	arena          mem.RangeSet // cut to the granule
	granule        uint64
	live           []pair            // by address
	freed          []allocator.Block // handed out once, and different from every live block
	refs           bool              // some block had a Ref
}

// pair is a block of the strategy and its counterpart of the twin.
type pair struct{ block, twin allocator.Block }

func (s *suite) watch(t tb, cfg allocator.Config) *watched {
	t.Helper()
	return &watched{
		suite: s, strategy: s.new(t, cfg), twin: s.new(t, cfg),
		arena: cfg.Usable(), granule: max(cfg.Granule, 1),
	}
}

func (s *suite) new(t tb, cfg allocator.Config) allocator.Strategy {
	t.Helper()
	strategy, err := s.make(cfg)
	if err != nil {
		t.Fatalf("cannot make a strategy for arena %s, granule %d: %v", cfg.Arena, cfg.Granule, err)
	}
	return strategy
}

// alloc asks the strategy for a block and checks the answer.
func (w *watched) alloc(t tb, req allocator.Request) (allocator.Block, bool) {
	t.Helper()
	block, ok := w.strategy.Alloc(req)
	if !ok {
		if start, exists := w.somewhere(req); exists && w.exact {
			t.Fatalf("%s is refused, but there is a place at %s\nlive: %s\nan exact strategy serves every request for which there is a legal place",
				describe(req), mem.Addr(start), w)
		}
		w.checkCause(t, req)
		return block, false
	}
	w.checkBlock(t, req, block)
	w.refs = w.refs || block.Ref != 0

	twin, ok := w.twin.Alloc(req)
	if !ok || twin.Addr != block.Addr || twin.Size != block.Size {
		t.Fatalf("%s is placed at %s, but by a twin that saw the same operations without the refused ones at %s (%t)\nlive: %s\na refused operation changes nothing, and the same operations give the same addresses",
			describe(req), show(block), show(twin), ok, w)
	}
	at, _ := w.find(block.Addr)
	w.live = slices.Insert(w.live, at, pair{block, twin})
	w.freed = slices.DeleteFunc(w.freed, func(b allocator.Block) bool { return b == block })
	return block, true
}

// find returns the index of the first live block at or above addr.
func (w *watched) find(addr uint64) (int, bool) {
	return slices.BinarySearchFunc(w.live, addr, func(p pair, addr uint64) int {
		switch {
		case p.block.Addr < addr:
			return -1
		case p.block.Addr > addr:
			return 1
		}
		return 0
	})
}

// checkBlock holds a block against what every block must be.
func (w *watched) checkBlock(t tb, req allocator.Request, block allocator.Block) {
	t.Helper()
	end := block.Addr + block.Size
	switch {
	case req.Size == 0:
		t.Fatalf("a request for 0 bytes got %s\na request is for at least 1 byte", show(block))
	case block.Size < req.Size:
		t.Fatalf("%s got %s\na block is at least as large as was asked for", describe(req), show(block))
	case block.Addr%w.granule != 0 || block.Size%w.granule != 0:
		t.Fatalf("%s got %s\na block starts and ends at a multiple of the granule, %d", describe(req), show(block), w.granule)
	case end < block.Addr || !w.arena.Contains(mem.Range{Lo: block.Addr, Hi: end}):
		t.Fatalf("%s got %s\na block lies in one range of the arena, %s", describe(req), show(block), w.arena)
	}
	if i, ok := w.overlapping(block.Addr, block.Size); ok {
		t.Fatalf("%s got %s, which overlaps live %s\nlive blocks do not overlap", describe(req), show(block), show(w.live[i].block))
	}
	if broken := w.illegal(req, block.Addr); broken != "" {
		t.Fatalf("%s got %s\nthe strategy honours %s, but %s", describe(req), show(block), w.honours, broken)
	}
}

// overlapping returns the index of a live block that shares a byte with size
// bytes at addr.
func (w *watched) overlapping(addr, size uint64) (int, bool) {
	for i, p := range w.live {
		if p.block.Addr < addr+size && addr < p.block.Addr+p.block.Size {
			return i, true
		}
	}
	return 0, false
}

func (w *watched) isLive(block allocator.Block) bool {
	return slices.ContainsFunc(w.live, func(p pair) bool { return p.block == block })
}

// free gives back the live block of that index.
func (w *watched) free(t tb, i int) {
	t.Helper()
	p := w.live[i]
	if err := w.strategy.Free(p.block); err != nil {
		t.Fatalf("free of live %s: %v\na live block can be freed", show(p.block), err)
	}
	if err := w.twin.Free(p.twin); err != nil {
		t.Fatalf("free of live %s of the twin: %v\na live block can be freed", show(p.twin), err)
	}
	w.live = slices.Delete(w.live, i, i+1)
	w.freed = append(w.freed, p.block)
}

// misfree frees a block that is not live. A nil want allows either reason.
func (w *watched) misfree(t tb, block allocator.Block, want error) {
	t.Helper()
	err := w.strategy.Free(block)
	var failure *allocator.FreeError
	switch {
	case err == nil:
		t.Fatalf("free of %s, which is not live, succeeds\nlive: %s\nonly a live block, as it was handed out, can be freed", show(block), w)
	case !errors.As(err, &failure):
		t.Fatalf("free of %s, which is not live: %T %v\nthe error is an *allocator.FreeError", show(block), err, err)
	case failure.Block != block:
		t.Fatalf("free of %s, which is not live: the error is about %s\nthe error names the block", show(block), show(failure.Block))
	case want != nil && !errors.Is(err, want),
		want == nil && !errors.Is(err, allocator.ErrDoubleFree) && !errors.Is(err, allocator.ErrForeign):
		t.Fatalf("free of %s, which is not live: %v\nthe error wraps ErrDoubleFree for a block that was just freed, ErrForeign for one that never was", show(block), err)
	}
}

// maxStarts is the number of starts beyond which the oracle does not look for
// places.
const maxStarts = 1 << 12

// somewhere returns a place for the request, found by trying all.
func (w *watched) somewhere(req allocator.Request) (uint64, bool) {
	unit := w.unit(req.Size, w.granule)
	if req.Size == 0 || unit == 0 || w.arena.Size()/unit > maxStarts {
		return 0, false
	}
	length := (req.Size-1)/unit*unit + unit
	if length < req.Size {
		return 0, false
	}
	for _, r := range w.arena {
		start := r.Lo
		if over := start % unit; over != 0 {
			start += unit - over
		}
		for start >= r.Lo && start < r.Hi && r.Hi-start >= length {
			if _, taken := w.overlapping(start, length); !taken && w.illegal(req, start) == "" {
				return start, true
			}
			start += unit
		}
	}
	return 0, false
}

// illegal says what is wrong with a start, or nothing, by the definitions in
// [allocator.Request] and [allocator.Rule], as far as the strategy honours them.
func (w *watched) illegal(req allocator.Request, start uint64) string {
	end := start + req.Size
	if w.honours&allocator.HonoursAlign != 0 && req.Align != 0 && start%req.Align != 0 {
		return fmt.Sprintf("%s is no multiple of the alignment", mem.Addr(start))
	}
	if w.honours&allocator.HonoursWindow != 0 && (start < req.Lo || (req.Hi != 0 && end > req.Hi)) {
		return fmt.Sprintf("[%s,%s) is not in the window", mem.Addr(start), mem.Addr(end))
	}
	if w.honours&allocator.HonoursBoundary != 0 && req.Boundary != 0 && start/req.Boundary != (end-1)/req.Boundary {
		return fmt.Sprintf("[%s,%s) crosses a boundary", mem.Addr(start), mem.Addr(end))
	}
	if w.honours&allocator.HonoursRule != 0 && req.Rule != nil {
		return breaks(req.Rule, start, req.Size-req.Slack)
	}
	return ""
}

// breaks says how touched bytes at start break a rule, or nothing.
func breaks(rule *allocator.Rule, start, touched uint64) string {
	for _, window := range rule.Windows {
		if !window.Reach.Contains(mem.Range{Lo: start, Hi: start + touched}) {
			continue
		}
		if window.Align > 1 && start%window.Align != window.Phase%window.Align {
			return fmt.Sprintf("%s is not on the rule's alignment", mem.Addr(start))
		}
		for _, bound := range window.Bounds {
			length := int64(touched) + bound.Extra
			if bound.Boundary == 0 || length <= 1 {
				continue
			}
			behind := (start%bound.Boundary + bound.Boundary - bound.Phase%bound.Boundary) % bound.Boundary
			if behind+uint64(length) > bound.Boundary {
				return fmt.Sprintf("%d bytes at %s cross a boundary of the rule", length, mem.Addr(start))
			}
		}
		return ""
	}
	return fmt.Sprintf("%d bytes at %s are in no window of the rule", touched, mem.Addr(start))
}

// String lists the live blocks.
func (w *watched) String() string {
	text := ""
	for i, p := range w.live {
		if i == 50 {
			return fmt.Sprintf("%s and %d more", text, len(w.live)-i)
		}
		text += " " + mem.Range{Lo: p.block.Addr, Hi: p.block.Addr + p.block.Size}.String()
	}
	if text == "" {
		return "nothing"
	}
	return text[1:]
}

func show(b allocator.Block) string {
	return fmt.Sprintf("block %s+%#x (ref %#x)", mem.Addr(b.Addr), b.Size, b.Ref)
}

func describe(req allocator.Request) string {
	text := fmt.Sprintf("request for %#x bytes, align %#x, window [%#x,%#x), boundary %#x, slack %#x, direction %s",
		req.Size, req.Align, req.Lo, req.Hi, req.Boundary, req.Slack, req.Dir)
	if req.Rule != nil {
		text += fmt.Sprintf(", rule %+v", *req.Rule)
	}
	return text
}
