package dmamap_test

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"dmasim/mem"
	"dmasim/sim/dmamap"
)

const poolBase = 0x8000_0000

func newBounce(t rapid.TB, size mem.Size) *dmamap.Bounce {
	b, err := dmamap.NewBounce(mem.Range{Lo: poolBase, Hi: poolBase + uint64(size)})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestSlots: how many slots a piece takes, and that a piece of more than 256 KiB
// gets none, however many are free.
func TestSlots(t *testing.T) {
	for _, test := range []struct {
		size  mem.Size
		slots uint64 // 0: it cannot be bounced
	}{
		{1, 1}, {2 * mem.KiB, 1}, {2*mem.KiB + 1, 2}, {4 * mem.KiB, 2}, {64 * mem.KiB, 32}, {252 * mem.KiB, 126},
		{256*mem.KiB - 1, 128}, {256 * mem.KiB, 128}, {256*mem.KiB + 1, 0}, {mem.MiB, 0},
	} {
		b := newBounce(t, 64*mem.MiB)
		s, ok := b.Map(7, mem.Range{Lo: 0x1_0000_0000, Hi: 0x1_0000_0000 + uint64(test.size)}, 0)
		if ok != (test.slots > 0) || b.Used() != test.slots*dmamap.SlotSize {
			t.Errorf("%s: mapped %v with %d bytes of slots, want %d slots", test.size, ok, b.Used(), test.slots)
			continue
		}
		if !ok {
			continue
		}
		if copied := s.Copy(); copied.Size() != uint64(test.size) || copied.Lo < poolBase {
			t.Errorf("%s: the copy is at %s", test.size, copied)
		}
		if all := b.All(&s); all.Size() != test.slots*dmamap.SlotSize {
			t.Errorf("%s: slots are %s", test.size, all)
		}
	}
}

// TestFull: a pool with room for two of the longest has none for a third, and says
// what is free.
func TestFull(t *testing.T) {
	b := newBounce(t, 512*mem.KiB+64*mem.KiB)
	original := mem.Range{Lo: 0x1_0000_0000, Hi: 0x1_0000_0000 + dmamap.MaxBounce}
	for range 2 {
		if _, ok := b.Map(1, original, 0); !ok {
			t.Fatal("no room")
		}
	}
	if _, ok := b.Map(1, original, 0); ok {
		t.Error("a third one fits")
	}
	want := dmamap.Usage{Capacity: 576 << 10, Used: 512 << 10, Free: 64 << 10, Largest: 64 << 10, Mappings: 2}
	if got := b.Usage(); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// TestBounceAccounting compares a pool with a plain list of who has which slots.
func TestBounceAccounting(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const slots = 3*128 + 50
		b := newBounce(t, slots*dmamap.SlotSize)
		var live []*dmamap.Slots
		owner := [slots]uint32{}
		for step := range uint32(rapid.IntRange(1, 80).Draw(t, "steps")) {
			if len(live) > 0 && rapid.IntRange(0, 2).Draw(t, "unmap") == 0 {
				i := rapid.IntRange(0, len(live)-1).Draw(t, "which")
				s := live[i]
				if err := b.Unmap(s); err != nil {
					t.Fatal(err)
				}
				if b.Unmap(s) == nil {
					t.Fatal("unmapped twice")
				}
				for j := range owner {
					if owner[j] == s.User {
						owner[j] = 0
					}
				}
				live = slices.Delete(live, i, i+1)
			} else {
				lo := uint64(rapid.IntRange(0, 1<<20).Draw(t, "address")) * 512
				original := mem.Range{Lo: lo, Hi: lo + rapid.Uint64Range(1, 300<<10).Draw(t, "size")}
				before := b.Used()
				s, ok := b.Map(step+1, original, 0)
				switch all := b.All(&s); {
				case !ok && b.Used() != before:
					t.Fatal("a failed map took slots")
				case !ok:
				case all.Lo/(128*dmamap.SlotSize) != (all.Hi-1)/(128*dmamap.SlotSize):
					t.Fatalf("%s leaves its segment", all)
				case s.Copy().Lo < all.Lo || s.Copy().Hi > all.Hi:
					t.Fatalf("the copy %s is not in its slots %s", s.Copy(), all)
				default:
					live = append(live, &s)
					for j := (all.Lo - poolBase) / dmamap.SlotSize; j < (all.Hi-poolBase)/dmamap.SlotSize; j++ {
						if owner[j] != 0 {
							t.Fatalf("slot %d is taken", j)
						}
						owner[j] = step + 1
					}
				}
			}
			if err := b.Check(slices.Values(live)); err != nil {
				t.Fatal(err)
			}
			used := slots - len(slices.DeleteFunc(slices.Clone(owner[:]), func(u uint32) bool { return u == 0 })) // free ones
			if got := b.Usage(); got.Free != uint64(used)*dmamap.SlotSize || got.Used+got.Free != got.Capacity || got.Mappings != len(live) {
				t.Fatalf("usage %+v with %d slots free", got, used)
			}
			from := poolBase + rapid.Uint64Range(0, slots*dmamap.SlotSize).Draw(t, "from")
			r := mem.Range{Lo: from, Hi: from + rapid.Uint64Range(0, 1<<20).Draw(t, "length")}
			for user, part := range b.Users(r) {
				for at := part.Lo; at < part.Hi; at += dmamap.SlotSize {
					if owner[(at-poolBase)/dmamap.SlotSize] != user {
						t.Fatalf("%#x is said to be of %d", at, user)
					}
				}
				if part.Lo < r.Lo || part.Hi > r.Hi {
					t.Fatalf("%s is not in %s", part, r)
				}
			}
		}
		if len(live) == 0 && b.Used() != 0 {
			t.Fatal("slots are in use without a mapping")
		}
	})
}
