package swiotlb_test

import (
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"dmasim/allocator/kernel/swiotlb"
)

// slotMap is the pool as one bool per slot, with the rules of the search written
// down as they are described.
type slotMap struct {
	base    uint64
	used    []bool
	cursors []int // one per area
}

// find returns the first slot of a buffer for bytes, or -1.
func (s *slotMap) find(dev swiotlb.Device, orig, bytes, alignMask uint64) int {
	n := int((bytes + 2047) / 2048)
	minMask := dev.MinAlignMask
	if alignMask == 0 && minMask == 0 && bytes >= 4096 {
		alignMask = 4095
	}
	alignMask |= 2047
	minMask &^= alignMask
	stride := int(max(alignMask, minMask)/2048) + 1
	size := len(s.used) / len(s.cursors)
	for area := range s.cursors {
		slot := s.cursors[area]
		for advanced := 0; advanced < size; {
			first := area*size + slot
			addr := s.base&dev.BoundaryMask + uint64(first)*2048
			step := stride
			if addr&alignMask != 0 || orig != 0 && addr&minMask != orig&minMask {
				step = 1
			} else if s.fits(first, n) && addr/2048%(dev.BoundaryMask/2048+1)+uint64(n) <= dev.BoundaryMask/2048+1 {
				s.cursors[area] = slot + n
				if s.cursors[area] >= size {
					s.cursors[area] = 0
				}
				return first
			}
			advanced += step
			if slot += step; slot >= size {
				slot = 0
			}
		}
	}
	return -1
}

// fits reports whether n slots from first on are free and in one segment.
func (s *slotMap) fits(first, n int) bool {
	return first%128+n <= 128 && first+n <= len(s.used) && !slices.Contains(s.used[first:first+n], true)
}

func (s *slotMap) mark(first, n int, used bool) {
	for i := first; i < first+n; i++ {
		s.used[i] = used
	}
}

func TestSamePlacesAsTheSlotMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		areas := rapid.SampledFrom([]int{1, 2, 4}).Draw(t, "areas")
		const slots = 512
		base := 0x10000000 + rapid.Uint64Range(0, 9).Draw(t, "base")*swiotlb.SlotSize
		pool, err := swiotlb.New(base, slots*swiotlb.SlotSize, areas)
		if err != nil {
			t.Fatal(err)
		}
		naive := &slotMap{base: base, used: make([]bool, slots), cursors: make([]int, areas)}
		devices := []swiotlb.Device{
			{BoundaryMask: math.MaxUint32},
			{MinAlignMask: 0xfff, BoundaryMask: math.MaxUint32},
			{MinAlignMask: 0x1ff, BoundaryMask: 0xffff},
			{MinAlignMask: 0x3fff, BoundaryMask: 0x7fff},
		}
		var live []swiotlb.Mapping
		for range rapid.IntRange(1, 150).Draw(t, "steps") {
			if len(live) > 0 && rapid.IntRange(0, 4).Draw(t, "free") < 2 {
				i := rapid.IntRange(0, len(live)-1).Draw(t, "which")
				if err := pool.Unmap(live[i]); err != nil {
					t.Fatal(err)
				}
				naive.mark(live[i].First, live[i].Slots, false)
				live = slices.Delete(live, i, i+1)
				continue
			}
			dev := rapid.SampledFrom(devices).Draw(t, "device")
			size := rapid.OneOf(rapid.Uint64Range(1, 3*4096), rapid.Uint64Range(1, 300000)).Draw(t, "size")
			var got swiotlb.Mapping
			var ok bool
			var want int
			if rapid.IntRange(0, 3).Draw(t, "restricted") == 0 {
				align := uint64(4096)
				for align < size {
					align *= 2
				}
				got, ok = pool.AllocPages(dev, size)
				want = naive.find(dev, 0, size, align-1)
			} else {
				orig := rapid.Uint64Range(0, 1<<16).Draw(t, "orig")
				mask := rapid.SampledFrom([]uint64{0, 0x7ff, 0xfff, 0x3fff}).Draw(t, "mask")
				got, ok = pool.Map(dev, orig, size, mask)
				offset := orig & dev.MinAlignMask & (mask | 2047)
				want = naive.find(dev, orig, (size+offset+mask)&^mask, mask)
				if ok && got.Addr != base+uint64(got.First)*2048+offset {
					t.Fatalf("%+v is not %#x into its slots", got, offset)
				}
			}
			if ok != (want >= 0) || ok && got.First != want {
				t.Fatalf("%d bytes: %+v, %t; the slot map says slot %d", size, got, ok, want)
			}
			if ok {
				naive.mark(got.First, got.Slots, true)
				live = append(live, got)
			}
		}
	})
}
