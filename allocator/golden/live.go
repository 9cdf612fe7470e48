package golden

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/google/btree"

	"dmasim/mem"
)

// isErrorWord reports whether a result says that nothing was placed.
func isErrorWord(result string) bool {
	if result == "NULL" || result == "MAPERR" {
		return true
	}
	return len(result) > 1 && result[0] == 'E' && strings.Trim(result, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == ""
}

// extents returns the places that an answer to the row names, in its order;
// none for an error word. The i-th extent of a Bulk is that of the ID i higher.
func (r Row) extents(result string) ([]mem.Range, error) {
	if isErrorWord(result) || (r.Op == Bulk && result == "") {
		return nil, nil
	}
	var list []mem.Range
	for piece := range strings.SplitSeq(result, ";") {
		start, length, sized := strings.Cut(piece, "+")
		lo, err := canonicalHex(start)
		if err != nil {
			return nil, fmt.Errorf("result %q: %w", result, err)
		}
		size := r.Size.Or(0)
		if sized {
			if size, err = canonicalHex(length); err != nil {
				return nil, fmt.Errorf("result %q: %w", result, err)
			}
		}
		if size > math.MaxUint64-lo {
			return nil, fmt.Errorf("result %q: ends above 2^64", result)
		}
		list = append(list, mem.Range{Lo: lo, Hi: lo + size})
	}
	if r.Op == Bulk {
		if count, err := r.Flags.Uint("count", 0); err != nil || uint64(len(list)) > count {
			return nil, fmt.Errorf("result of %d blocks for %s", len(list), r)
		}
	}
	return list, nil
}

// canonicalHex reads a hexadecimal number as the recordings write it.
func canonicalHex(text string) (uint64, error) {
	digits, ok := strings.CutPrefix(text, "0x")
	n, err := strconv.ParseUint(digits, 16, 64)
	if !ok || err != nil || strconv.FormatUint(n, 16) != digits {
		return 0, fmt.Errorf("%q is neither an error word nor a plain hexadecimal number of 64 bits", text)
	}
	return n, nil
}

// liveSet is what the recording says is allocated.
type liveSet struct {
	byAddr *btree.BTreeG[holding]
	byID   map[uint64][]mem.Range
}

type holding struct {
	at mem.Range
	id uint64
}

func newLiveSet() *liveSet {
	return &liveSet{
		byAddr: btree.NewG(16, func(a, b holding) bool { return a.at.Lo < b.at.Lo }),
		byID:   map[uint64][]mem.Range{},
	}
}

// apply enters what the row recorded. The error says that the recording
// contradicts itself.
func (s *liveSet) apply(row Row) error {
	switch row.Op {
	case Alloc, Bulk:
		extents, err := row.extents(row.Result)
		if err != nil {
			return err
		}
		for i, at := range extents {
			id := row.ID
			if row.Op == Bulk {
				id += uint64(i)
			}
			if err := s.add(holding{at, id}); err != nil {
				return err
			}
		}
	case Reserve:
		return s.reserve(row)
	case Free:
		extents, ok := s.byID[row.ID]
		if !ok {
			return fmt.Errorf("free of id %d, which was not placed", row.ID)
		}
		for _, at := range extents {
			if h, ok := s.byAddr.Get(holding{at: at}); ok && h.id == row.ID {
				s.byAddr.Delete(h)
			}
		}
		delete(s.byID, row.ID)
	}
	return nil
}

// reserve enters a reservation. An IOVA domain answers a reservation that
// overlaps others by growing or naming one of them, so that the pieces of
// several IDs may be the same place; only what nobody holds yet is entered.
func (s *liveSet) reserve(row Row) error {
	extents, err := row.extents(row.Result)
	if err != nil || len(extents) == 0 {
		return err
	}
	s.byID[row.ID] = extents
	for _, at := range extents {
		if _, taken := s.overlapping(at); !taken && !at.Empty() {
			s.byAddr.ReplaceOrInsert(holding{at, row.ID})
		}
	}
	return nil
}

func (s *liveSet) add(h holding) error {
	if other, ok := s.overlapping(h.at); ok {
		return fmt.Errorf("result %s of id %d overlaps %s of id %d", h.at, h.id, other.at, other.id)
	}
	s.byID[h.id] = append(s.byID[h.id], h.at)
	if !h.at.Empty() {
		s.byAddr.ReplaceOrInsert(h)
	}
	return nil
}

// overlapping returns a live piece that shares an address with at.
func (s *liveSet) overlapping(at mem.Range) (found holding, ok bool) {
	if at.Empty() {
		return holding{}, false
	}
	s.byAddr.DescendLessOrEqual(holding{at: mem.Range{Lo: at.Hi - 1}}, func(h holding) bool {
		found, ok = h, h.at.Overlaps(at)
		return false
	})
	return found, ok
}

// gap returns the free range around addr within arena; empty if addr is
// allocated or outside.
func (s *liveSet) gap(arena mem.RangeSet, addr uint64) mem.Range {
	free := mem.Range{}
	for _, r := range arena {
		if r.Lo <= addr && addr < r.Hi {
			free = r
		}
	}
	s.byAddr.DescendLessOrEqual(holding{at: mem.Range{Lo: addr}}, func(h holding) bool {
		free.Lo = max(free.Lo, h.at.Hi)
		return false
	})
	s.byAddr.AscendGreaterOrEqual(holding{at: mem.Range{Lo: addr}}, func(h holding) bool {
		free.Hi = min(free.Hi, h.at.Lo)
		return false
	})
	if addr < free.Lo || addr >= free.Hi {
		return mem.Range{}
	}
	return free
}
