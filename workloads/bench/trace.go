package bench

import (
	"errors"
	"fmt"
	"math"
	"math/bits"

	"dmasim/mem"
	"dmasim/workloads"
	"dmasim/workloads/trace"
)

// Why a trace cannot be replayed. What is wrong with a file is told by package
// trace.
var (
	ErrEmpty    = errors.New("the trace has no operations")
	ErrTooLarge = errors.New("size, alignment or limit of 2^32 units or more")
)

// Trace is a trace in memory, 16 bytes for each operation.
type Trace struct {
	// Unit divides all sizes, alignments and limits, in bytes; it is the granule
	// of the strategies. A binary trace names it, of others it is the greatest
	// common divisor.
	Unit     uint64
	PeakLive uint64 // bytes
	// MeanLive is what the header of a binary trace says, in bytes, and else 0.
	MeanLive uint64
	Limited  bool // some requests have a limit

	ops   []op
	slots uint32 // every op.slot is less
}

// op is an operation. All but slot are counted in units.
type op struct {
	slot, size, align, limit uint32
}

// freed marks the slot of an operation that frees.
const freed = 1 << 31

// Len returns the number of operations.
func (t *Trace) Len() int { return len(t.ops) }

// Arena returns the size of an arena that the trace keeps busy: that of
// trace.PlacementHeader. Without a mean it is the peak of the live bytes, below
// which every strategy must fail.
func (t *Trace) Arena() mem.Size {
	if t.MeanLive == 0 {
		return mem.Size(t.PeakLive)
	}
	header := trace.PlacementHeader{MeanLive: t.MeanLive}
	return mem.Size(header.Arena())
}

// Read reads a trace to its end. A request that failed when it was recorded is
// asked for and given back at once. The error is that of the reader, or wraps
// ErrEmpty or ErrTooLarge.
func Read(r *trace.Reader) (*Trace, error) {
	header := r.Header()
	t := &Trace{Unit: header.Unit, MeanLive: header.MeanLive}
	err := t.fill(r)
	if r.Err() != nil {
		return nil, r.Err()
	}
	if err == nil && t.MeanLive > t.PeakLive {
		err = &trace.PlacementError{Err: fmt.Errorf("%w: mean of %d live bytes above the peak of %d",
			trace.ErrPlacementHeader, t.MeanLive, t.PeakLive)}
	}
	return t, err
}

// fill takes over all events. Slots are numbered anew, the lowest numbers first,
// since the trace may use any.
func (t *Trace) fill(r *trace.Reader) error {
	slots := map[uint64]uint32{}
	var spare []uint32
	var live uint64
	var e trace.Event
	for r.Next(&e) {
		if e.Kind == workloads.Free {
			slot := slots[e.Buffer]
			delete(slots, e.Buffer)
			spare = append(spare, slot)
			live -= e.Size
			t.ops = append(t.ops, op{slot: slot | freed})
			continue
		}
		slot := t.slots
		if last := len(spare) - 1; last >= 0 {
			slot, spare = spare[last], spare[:last]
		} else {
			t.slots++
		}
		if err := t.add(slot, &e); err != nil {
			return fmt.Errorf("operation %d: %w", len(t.ops)+1, err)
		}
		if e.Size > math.MaxUint64-live {
			return fmt.Errorf("operation %d: %w: 2^64 live bytes or more", len(t.ops), ErrTooLarge)
		}
		t.Limited = t.Limited || e.Limit != 0
		if e.Failed {
			spare = append(spare, slot)
			t.ops = append(t.ops, op{slot: slot | freed})
			continue
		}
		slots[e.Buffer] = slot
		live += e.Size
		t.PeakLive = max(t.PeakLive, live)
	}
	if len(t.ops) == 0 {
		return ErrEmpty
	}
	return nil
}

// add appends an allocation, in smaller units from there on if it needs them.
func (t *Trace) add(slot uint32, e *trace.Event) error {
	align := e.Align
	if align == 1 {
		align = 0
	}
	unit := gcd(gcd(gcd(t.Unit, e.Size), align), e.Limit)
	if unit != t.Unit {
		if err := t.refine(unit); err != nil {
			return err
		}
	}
	if max(e.Size, align, e.Limit)/unit > math.MaxUint32 {
		return fmt.Errorf("%w of %s", ErrTooLarge, mem.Size(unit))
	}
	t.ops = append(t.ops, op{slot, uint32(e.Size / unit), uint32(align / unit), uint32(e.Limit / unit)})
	return nil
}

// refine changes the unit to one that divides it.
func (t *Trace) refine(unit uint64) error {
	times := t.Unit / unit
	t.Unit = unit
	for i := range t.ops {
		for _, count := range []*uint32{&t.ops[i].size, &t.ops[i].align, &t.ops[i].limit} {
			hi, lo := bits.Mul64(uint64(*count), times)
			if hi != 0 || lo > math.MaxUint32 {
				return fmt.Errorf("%w of %s", ErrTooLarge, mem.Size(unit))
			}
			*count = uint32(lo)
		}
	}
	return nil
}

// gcd returns the greatest common divisor; that of 0 and b is b.
func gcd(a, b uint64) uint64 {
	for a != 0 {
		a, b = b%a, a
	}
	return b
}
