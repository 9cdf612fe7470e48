package dmamap

import (
	"fmt"
	"iter"

	"dmasim/allocator/kernel/swiotlb"
	"dmasim/mem"
)

// SlotSize is the unit of bounce buffers, and MaxBounce the longest one, in bytes.
const (
	SlotSize  = swiotlb.SlotSize
	MaxBounce = swiotlb.SlotSize * swiotlb.SegmentSlots
)

// Bounce is a pool of bounce buffers, with who has which slots.
type Bounce struct {
	pool     *swiotlb.Pool
	place    mem.Range
	users    []uint32 // by slot: the user and 1; 0: nobody
	mappings int
}

// Slots is a bounce buffer.
type Slots struct {
	User     uint32
	Original mem.Range // CPU-physical addresses of what it is a copy of
	mapping  swiotlb.Mapping
}

// Copy returns where the copy is: CPU-physical addresses of the original's length.
func (s *Slots) Copy() mem.Range {
	return mem.Range{Lo: s.mapping.Addr, Hi: s.mapping.Addr + s.Original.Size()}
}

// All returns all slots of the bounce buffer.
func (b *Bounce) All(s *Slots) mem.Range {
	lo := b.place.Lo + uint64(s.mapping.First)*SlotSize
	return mem.Range{Lo: lo, Hi: lo + uint64(s.mapping.Slots)*SlotSize}
}

// NewBounce returns a pool at a place that begins at a multiple of the size of a
// slot and holds at least one.
func NewBounce(place mem.Range) (*Bounce, error) {
	pool, err := swiotlb.New(place.Lo, place.Size(), 1)
	if err != nil {
		return nil, err
	}
	place.Hi = place.Lo + uint64(pool.Slots())*SlotSize
	return &Bounce{pool: pool, place: place, users: make([]uint32, pool.Slots())}, nil
}

// Place returns the memory of the pool.
func (b *Bounce) Place() mem.Range { return b.place }

// Map finds slots for a copy of original (swiotlb_tbl_map_single). None of a
// buffer crosses a multiple of boundary, a power of two; 0: no such rule. False
// means that there is no room, or that original is longer than MaxBounce. The user
// is a number by which the caller knows whose the slots are, below 2^32-1.
func (b *Bounce) Map(user uint32, original mem.Range, boundary uint64) (Slots, bool) {
	device := swiotlb.Device{BoundaryMask: boundary - 1} // all bits where there is none
	m, ok := b.pool.Map(device, original.Lo, original.Size(), 0)
	if !ok {
		return Slots{}, false
	}
	for i := m.First; i < m.First+m.Slots; i++ {
		b.users[i] = user + 1
	}
	b.mappings++
	return Slots{User: user, Original: original, mapping: m}, true
}

// Unmap gives slots back. The error wraps swiotlb.ErrNotMapped.
func (b *Bounce) Unmap(s *Slots) error {
	if err := b.pool.Unmap(s.mapping); err != nil {
		return err
	}
	clear(b.users[s.mapping.First : s.mapping.First+s.mapping.Slots])
	b.mappings--
	return nil
}

// Users yields whose slots lie in r, with their part of r, by rising address.
func (b *Bounce) Users(r mem.Range) iter.Seq2[uint32, mem.Range] {
	return func(yield func(uint32, mem.Range) bool) {
		r := r.Intersect(b.place)
		for lo := r.Lo; lo < r.Hi; {
			user := b.users[(lo-b.place.Lo)/SlotSize]
			hi := lo
			for hi < r.Hi && b.users[(hi-b.place.Lo)/SlotSize] == user {
				hi = min(r.Hi, hi-hi%SlotSize+SlotSize)
			}
			if user > 0 && !yield(user-1, mem.Range{Lo: lo, Hi: hi}) {
				return
			}
			lo = hi
		}
	}
}

// Used returns the bytes of the slots in use.
func (b *Bounce) Used() uint64 { return uint64(b.pool.Used()) * SlotSize }

// Usage says how full the pool is. It takes time in proportion to its slots.
func (b *Bounce) Usage() Usage {
	used := b.Used()
	return Usage{
		Capacity: b.place.Size(), Used: used, Free: b.place.Size() - used,
		Largest: uint64(b.pool.Longest()) * SlotSize, Mappings: b.mappings,
	}
}

// Check holds the pool to the bounce buffers that the caller has: every slot in use
// belongs to one of them, and to no two.
func (b *Bounce) Check(live iter.Seq[*Slots]) error {
	slots, n := 0, 0
	for s := range live {
		for i := s.mapping.First; i < s.mapping.First+s.mapping.Slots; i++ {
			if user := b.users[i]; user != s.User+1 {
				return fmt.Errorf("slot %d of the bounce buffers at %s is that of %d and of %d", i, mem.Addr(b.place.Lo), user-1, s.User)
			}
		}
		slots += s.mapping.Slots
		n++
	}
	// A slot that two buffers of one user had would be counted twice.
	if used := b.pool.Used(); used != slots || n != b.mappings {
		return fmt.Errorf("%d bounce buffers hold %d slots at %s, the pool says %d and %d", n, slots, mem.Addr(b.place.Lo), b.mappings, used)
	}
	return nil
}
