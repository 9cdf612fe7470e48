package allocator_test

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"dmasim/allocator"
	"dmasim/mem"
)

// sequence is what linear, stack and ring do, written down as it is described:
// all blocks since the strategy was last empty, in order, the freed ones too.
type sequence struct {
	policy string
	arena  mem.RangeSet
	blocks []placed
}

type placed struct {
	allocator.Block
	high, freed bool
}

// free returns the ranges in which a request is placed, in order.
func (s *sequence) free(high bool) []mem.Range {
	hull := s.arena.Hull()
	kept := slices.Clone(s.blocks)
	switch s.policy {
	case "linear":
		if !slices.ContainsFunc(kept, func(p placed) bool { return !p.freed }) {
			return []mem.Range{hull}
		}
		last := kept[len(kept)-1]
		return []mem.Range{{Lo: last.Addr + last.Size, Hi: hull.Hi}}
	case "stack":
		between := hull
		for _, p := range kept {
			if p.freed {
				continue
			}
			if p.high {
				between.Hi = min(between.Hi, p.Addr)
			} else {
				between.Lo = max(between.Lo, p.Addr+p.Size)
			}
		}
		return []mem.Range{between}
	}
	for len(kept) > 0 && kept[0].freed {
		kept = kept[1:]
	}
	if len(kept) == 0 {
		return []mem.Range{hull}
	}
	tail, head := kept[0].Addr, kept[len(kept)-1].Addr+kept[len(kept)-1].Size
	if head <= tail {
		return []mem.Range{{Lo: head, Hi: tail}}
	}
	return []mem.Range{{Lo: head, Hi: hull.Hi}, {Lo: hull.Lo, Hi: tail}}
}

// alloc returns where a request goes, found by trying every start.
func (s *sequence) alloc(r allocator.Request) (uint64, bool) {
	high := s.policy == "stack" && r.Dir == allocator.High
	for _, free := range s.free(high) {
		var starts []uint64
		for at := free.Lo; at+r.Size <= free.Hi; at++ {
			if s.arena.Contains(mem.Range{Lo: at, Hi: at + r.Size}) && legalAt(r, at) {
				starts = append(starts, at)
			}
		}
		switch {
		case len(starts) == 0:
		case high:
			return starts[len(starts)-1], true
		default:
			return starts[0], true
		}
	}
	return 0, false
}

// TestSequentialStrategies compares every placement of linear, stack and ring
// with their description.
func TestSequentialStrategies(t *testing.T) {
	for _, policy := range []string{"linear", "stack", "ring"} {
		t.Run(policy, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				arena := mem.NewRangeSet(mem.Range{Lo: 32, Hi: 100}, mem.Range{Lo: 104, Hi: 160})
				s, err := allocator.New(policy, allocator.Config{Arena: arena})
				if err != nil {
					t.Fatal(err)
				}
				model := &sequence{policy: policy, arena: arena}
				for range 120 {
					var live []int
					for i, p := range model.blocks {
						if !p.freed {
							live = append(live, i)
						}
					}
					if len(live) > 0 && rapid.IntRange(0, 1).Draw(t, "free") == 0 {
						i := live[0]
						switch rapid.IntRange(0, 2).Draw(t, "which") {
						case 1:
							i = live[len(live)-1]
						case 2:
							i = rapid.SampledFrom(live).Draw(t, "block")
						}
						if err := s.Free(model.blocks[i].Block); err != nil {
							t.Fatal(err)
						}
						model.blocks[i].freed = true
						continue
					}
					r := allocator.Request{Size: rapid.Uint64Range(1, 24).Draw(t, "size")}
					switch rapid.IntRange(0, 5).Draw(t, "constraint") {
					case 0:
						r.Align = rapid.Uint64Range(1, 16).Draw(t, "align")
					case 1:
						r.Hi = rapid.Uint64Range(33, 160).Draw(t, "hi")
					case 2:
						r.Boundary = 32
					}
					if policy == "stack" && rapid.Bool().Draw(t, "high") {
						r.Dir = allocator.High
					}
					want, found := model.alloc(r)
					b, ok := s.Alloc(r)
					if ok != found || ok && b.Addr != want {
						t.Fatalf("%+v at %d (%t), want %d (%t) after %v", r, b.Addr, ok, want, found, model.blocks)
					}
					if ok {
						model.blocks = append(model.blocks, placed{b, r.Dir == allocator.High, false})
					}
				}
			})
		})
	}
}

// TestSequentialDoubleFree frees blocks whose memory, and whose place in the
// sequence, others have got.
func TestSequentialDoubleFree(t *testing.T) {
	for _, policy := range []string{"linear", "stack", "ring"} {
		s, err := allocator.New(policy, allocator.Config{Arena: mem.NewRangeSet(mem.Range{Lo: 0, Hi: 64})})
		if err != nil {
			t.Fatal(err)
		}
		old, _ := s.Alloc(allocator.Request{Size: 8})
		if err := s.Free(old); err != nil {
			t.Fatal(err)
		}
		again, _ := s.Alloc(allocator.Request{Size: 8})
		want := fmt.Sprintf("free 0x0+8B: %v", allocator.ErrDoubleFree)
		if err := s.Free(old); again.Addr != old.Addr || err == nil || err.Error() != want {
			t.Errorf("%s: second free of a block whose place is taken: %v, want %s", policy, err, want)
		}
	}
}

// fifo is a queue of buffers: the oldest of n live ones is freed for each that is
// allocated, sizes of 1 to 64 pages.
func fifo(b *testing.B, name string, n int) {
	const page = 4096
	s, err := allocator.New(name, allocator.Config{Arena: mem.NewRangeSet(mem.Range{Lo: 0, Hi: uint64(n) * 40 * page}), Granule: page})
	if err != nil {
		b.Fatal(err)
	}
	live, size := make([]allocator.Block, n), uint64(0)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		slot := &live[i/2%n]
		if i%2 == 0 {
			if slot.Size != 0 {
				if err := s.Free(*slot); err != nil {
					b.Fatal(err)
				}
			}
			continue
		}
		size = (size*5 + 3) % 64
		block, ok := s.Alloc(allocator.Request{Size: (size + 1) * page})
		if !ok {
			b.Fatalf("operation %d: refused", i)
		}
		*slot = block
	}
}

// BenchmarkFIFO frees blocks in the order of their allocation, the best case of
// ring. One operation is an allocation or a free; 10,000 blocks are live.
func BenchmarkFIFO(b *testing.B) {
	for _, name := range []string{"ring", "segregated-fit", "tlsf", "first-fit"} {
		b.Run(name, func(b *testing.B) { fifo(b, name, 10_000) })
	}
}
