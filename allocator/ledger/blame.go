package ledger

import (
	"slices"

	"dmasim/allocator"
	"dmasim/mem"
)

// Blame is the smallest set of live blocks without which a request would have a
// legal place.
type Blame struct {
	Blocks []Entry // by rising address; none if there is a place already
	At     uint64  // the lowest legal start once they are gone
}

// Bytes returns the bytes of the blocks.
func (b *Blame) Bytes() uint64 {
	var sum uint64
	for _, e := range b.Blocks {
		sum += e.Hi - e.Lo
	}
	return sum
}

// Blame finds the fewest live blocks whose removal gives req a legal place, of as
// many those with the fewest bytes, and of these the lowest. Only blocks of owners
// for whom removable returns true may go; nil: of all. It returns false if no set
// of them is enough.
//
// What makes room for one block lies side by side, so for each first block that
// goes the last one is found, which never moves down as the first moves up. The
// cost is proportional to the live blocks.
func (l *Ledger) Blame(req allocator.Request, removable func(owner int) bool) (Blame, bool) {
	var best Blame
	found := false
	order := l.Live()
	for i := range windows(&req) {
		in := inWindow(&req, i)
		places := l.places(&req, i)
		for _, r := range l.arena {
			segment := r.Intersect(places)
			from, _ := slices.BinarySearchFunc(order, segment.Lo, func(e Entry, lo uint64) int {
				if e.Hi <= lo {
					return -1
				}
				return 1
			})
			l.blameIn(&in, segment, order[from:], removable, func(blocks []Entry, at uint64) {
				if found && !fewer(blocks, best.Blocks) {
					return
				}
				found = true
				best = Blame{Blocks: slices.Clone(blocks), At: at}
			})
		}
	}
	return best, found
}

// fewer compares sets by number, then by bytes.
func fewer(a []Entry, b []Entry) bool {
	if len(a) != len(b) {
		return len(a) < len(b)
	}
	var x, y uint64
	for i := range a {
		x, y = x+a[i].Hi-a[i].Lo, y+b[i].Hi-b[i].Lo
	}
	return x < y
}

// blameIn calls better with the sets that are to be removed from a part of the
// arena, for every block that may be the first of a set. The blocks are those from
// the start of the part on.
func (l *Ledger) blameIn(req *allocator.Request, segment mem.Range, blocks []Entry, removable func(owner int) bool, better func([]Entry, uint64)) {
	for !segment.Empty() {
		n := 0 // blocks up to one that stays, or to the end
		for n < len(blocks) && blocks[n].Lo < segment.Hi && (removable == nil || removable(int(blocks[n].Owner))) {
			n++
		}
		part := segment
		next := segment.Hi
		if n < len(blocks) && blocks[n].Lo < segment.Hi {
			part.Hi, next = blocks[n].Lo, blocks[n].Hi
		}
		slide(req, part, blocks[:n], better)
		segment.Lo = max(segment.Lo, next)
		blocks = blocks[min(n+1, len(blocks)):]
	}
}

// slide looks at every smallest set of neighbours in a part of the arena where
// all may go.
func slide(req *allocator.Request, part mem.Range, blocks []Entry, better func([]Entry, uint64)) {
	last := 0 // the set is [first, last)
	for first := 0; first <= len(blocks); first++ {
		run := part
		if first > 0 {
			run.Lo = max(part.Lo, blocks[first-1].Hi)
		}
		last = max(last, first)
		for ; ; last++ {
			run.Hi = part.Hi
			if last < len(blocks) {
				run.Hi = min(part.Hi, blocks[last].Lo)
			}
			if run.Lo < run.Hi {
				if at, ok := req.Place(run.Lo, run.Hi, false); ok {
					better(blocks[first:last], at)
					break
				}
			}
			if last == len(blocks) {
				return // whoever begins later has less room
			}
		}
	}
}

// inWindow returns the request in one of its windows.
func inWindow(req *allocator.Request, window int) allocator.Request {
	in := *req
	if req.Rule != nil {
		in.Rule = &allocator.Rule{Windows: req.Rule.Windows[window : window+1]}
	}
	return in
}
