package swiotlb

import (
	"errors"
	"fmt"
	"math"
	"math/bits"
	"slices"

	"dmasim/mem"
)

const (
	// SlotSize is the unit of allocation, in bytes.
	SlotSize = 1 << slotShift
	// SegmentSlots is the number of slots that a buffer may not leave.
	SegmentSlots = 128

	slotShift = 11
	pageSize  = 4096
)

// ErrNotMapped is returned by [Pool.Unmap] for a buffer that is not live.
var ErrNotMapped = errors.New("no such bounce buffer")

// Device is what the driver core knows of a device's DMA.
type Device struct {
	// MinAlignMask has a bit set for each address bit that a bounce buffer must
	// share with the original buffer.
	MinAlignMask uint64
	// BoundaryMask is one less than the power of two that no buffer may cross.
	BoundaryMask uint64
}

// Mapping is a live bounce buffer.
type Mapping struct {
	Addr  uint64 // what the device is told
	First int    // the first slot
	Slots int
}

// Pool is one set of slots (struct io_tlb_pool).
type Pool struct {
	base  uint64
	areas []area
	// run holds, for each free slot, the number of free slots from it to the
	// end of its free run or segment, whichever is nearer; 0 for a used slot.
	run []uint8
	// slots holds the length of the buffer that begins at a slot, or 0.
	slots []uint8
}

type area struct {
	cursor int // the slot, counted from the start of the area, where the search begins
	used   int
}

// New returns a pool of size bytes at base, a multiple of the slot size, divided
// into areas. Bytes that do not fill a slot in every area are not used.
func New(base, size uint64, areas int) (*Pool, error) {
	n := size >> slotShift
	if base%SlotSize != 0 || size > math.MaxUint64-base || n > math.MaxInt32 {
		return nil, fmt.Errorf("pool of %d bytes at %#x: want a multiple of %d as the base, and less than 4 TiB", size, base, SlotSize)
	}
	if areas < 1 || uint64(areas) > n {
		return nil, fmt.Errorf("pool of %d slots in %d areas: want at least one slot in each", n, areas)
	}
	n -= n % uint64(areas)
	p := &Pool{base: base, areas: make([]area, areas), run: make([]uint8, n), slots: make([]uint8, n)}
	for i := range p.run {
		p.run[i] = uint8(min(SegmentSlots-i%SegmentSlots, len(p.run)-i))
	}
	return p, nil
}

// request is a search for slots.
type request struct {
	orig         uint64 // 0: not a mapping of a buffer
	bytes        uint64
	allocAlign   uint64 // mask
	minAlign     uint64 // mask
	boundaryMask uint64
}

// Map bounces the size bytes at orig for a device (swiotlb_tbl_map_single). With
// allocAlignMask, one less than a power of two, the buffer begins and ends at a
// multiple of that power. False means that the buffer cannot be mapped: a
// mapping error to the driver.
func (p *Pool) Map(dev Device, orig, size, allocAlignMask uint64) (Mapping, bool) {
	if !dev.valid() || allocAlignMask&(allocAlignMask+1) != 0 {
		return Mapping{}, false
	}
	offset := orig & dev.MinAlignMask & (allocAlignMask | (SlotSize - 1))
	bytes := size + offset + allocAlignMask
	if size == 0 || bytes < size || bytes < allocAlignMask {
		return Mapping{}, false
	}
	m, ok := p.find(request{
		orig:         orig,
		bytes:        bytes &^ allocAlignMask,
		allocAlign:   allocAlignMask,
		minAlign:     dev.MinAlignMask,
		boundaryMask: dev.BoundaryMask,
	})
	m.Addr += offset
	return m, ok
}

// AllocPages takes pages for a device that can reach nothing but the pool
// (swiotlb_alloc): size bytes, aligned to that number of pages rounded up to a
// power of two. False means that there are none.
func (p *Pool) AllocPages(dev Device, size uint64) (Mapping, bool) {
	if !dev.valid() || size == 0 || size > uint64(len(p.run))*SlotSize {
		return Mapping{}, false
	}
	m, ok := p.find(request{
		bytes:        size,
		allocAlign:   max(uint64(1)<<bits.Len64(size-1), pageSize) - 1,
		minAlign:     dev.MinAlignMask,
		boundaryMask: dev.BoundaryMask,
	})
	if ok && m.Addr%pageSize != 0 {
		_ = p.Unmap(m)
		return Mapping{}, false
	}
	return m, ok
}

func (d Device) valid() bool { return d.BoundaryMask&(d.BoundaryMask+1) == 0 }

// find searches the areas in order (swiotlb_find_slots).
func (p *Pool) find(r request) (Mapping, bool) {
	n := r.bytes >> slotShift
	if r.bytes%SlotSize != 0 {
		n++
	}
	if n > SegmentSlots {
		return Mapping{}, false
	}
	if r.allocAlign == 0 && r.minAlign == 0 && r.bytes >= pageSize {
		r.allocAlign = pageSize - 1
	}
	r.allocAlign |= SlotSize - 1
	r.minAlign &^= r.allocAlign
	for i := range p.areas {
		if first, ok := p.search(i, int(n), r); ok {
			p.take(first, int(n))
			return Mapping{Addr: p.base + uint64(first)<<slotShift, First: first, Slots: int(n)}, true
		}
	}
	return Mapping{}, false
}

// search looks for n slots in one area and leaves its cursor behind what it
// finds (swiotlb_search_pool_area).
func (p *Pool) search(index, n int, r request) (first int, ok bool) {
	a := &p.areas[index]
	size := p.areaSlots()
	if n > size-a.used {
		return 0, false
	}
	start := r.boundaryMask & p.base
	boundarySlots := r.boundaryMask>>slotShift + 1
	stride := max(r.allocAlign, r.minAlign)>>slotShift + 1
	slot := a.cursor
	for checked := uint64(0); checked < uint64(size); {
		first = index*size + slot
		addr := start + uint64(first)<<slotShift
		step := uint64(1)
		if addr&r.allocAlign == 0 && (r.orig == 0 || addr&r.minAlign == r.orig&r.minAlign) {
			inBoundary := (start+SlotSize-1)>>slotShift + uint64(first)
			if inBoundary&(boundarySlots-1)+uint64(n) <= boundarySlots && int(p.run[first]) >= n {
				a.cursor = wrap(uint64(slot)+uint64(n), size)
				return first, true
			}
			step = stride
		}
		slot = wrap(uint64(slot)+step, size)
		checked += step
	}
	return 0, false
}

func (p *Pool) areaSlots() int { return len(p.run) / len(p.areas) }

// wrap returns slot, or 0 if it lies beyond the area.
func wrap(slot uint64, size int) int {
	if slot >= uint64(size) {
		return 0
	}
	return int(slot)
}

// take marks n slots from first on as used.
func (p *Pool) take(first, n int) {
	p.areas[first/p.areaSlots()].used += n
	p.slots[first] = uint8(n)
	clear(p.run[first : first+n])
	p.extend(first, 0)
}

// extend renumbers the free slots of the segment that lead up to slot, behind
// which run free ones follow.
func (p *Pool) extend(slot int, run uint8) {
	for i := slot - 1; i >= 0 && i%SegmentSlots != SegmentSlots-1 && p.run[i] != 0; i-- {
		run++
		p.run[i] = run
	}
}

// Unmap gives back a buffer as Map or AllocPages returned it
// (swiotlb_release_slots). The error wraps ErrNotMapped, and nothing changed, if
// it is not live.
func (p *Pool) Unmap(m Mapping) error {
	if m.First < 0 || m.First >= len(p.slots) || m.Slots < 1 || int(p.slots[m.First]) != m.Slots {
		return fmt.Errorf("unmap %s: %w", mem.Addr(m.Addr), ErrNotMapped)
	}
	end := m.First + m.Slots
	run := uint8(0)
	if end < len(p.run) && end%SegmentSlots != 0 {
		run = p.run[end]
	}
	for i := end - 1; i >= m.First; i-- {
		run++
		p.run[i] = run
	}
	p.extend(m.First, run)
	p.slots[m.First] = 0
	p.areas[m.First/p.areaSlots()].used -= m.Slots
	return nil
}

// Used returns the number of slots in use (io_tlb_used in debugfs).
func (p *Pool) Used() int {
	n := 0
	for _, a := range p.areas {
		n += a.used
	}
	return n
}

// Slots returns the number of slots (io_tlb_nslabs in debugfs).
func (p *Pool) Slots() int { return len(p.run) }

// Longest returns the number of slots of the longest free run within a segment.
func (p *Pool) Longest() int { return int(slices.Max(p.run)) }
