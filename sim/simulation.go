package sim

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"dmasim/allocator"
	"dmasim/mem"
	"dmasim/sim/heap"
	"dmasim/workloads"
)

// Errors of a simulation, wrapped with the operation they are about.
var (
	ErrNameInUse   = errors.New("a buffer of that name is live")
	ErrUnknownName = errors.New("no buffer of that name was allocated")
	ErrOrder       = errors.New("operation is earlier than the one before")
	ErrSize        = errors.New("size is zero")
	ErrInvariant   = errors.New("invariant broken")
)

// Simulation is one run of a system. It is used once, by one goroutine.
type Simulation struct {
	cfg       Config
	heaps     []*heap.Heap
	inputs    []*input
	buffers   []live
	freeSlots []uint32
	due       departures
	observers []Observer
	now       time.Duration
	event     Event
}

// live is a buffer in a slot.
type live struct {
	heap.Buffer
	heap  int32
	input int32
	name  uint64
	timed bool // ends by itself; the source has no name for it
}

// input is a source with the operation it offers next.
type input struct {
	Input
	index   int32
	names   names
	next    workloads.Op
	more    bool
	outcome workloads.Outcome
}

// New makes a simulation with every heap empty. Every index in cfg must be
// valid.
func New(cfg Config, observers ...Observer) (*Simulation, error) {
	s := &Simulation{cfg: cfg, observers: observers}
	for i, h := range cfg.Heaps {
		made, err := heap.New(heap.Config{
			Name: h.Name, Arena: h.Arena, Granule: h.Granule, Allocator: h.Allocator,
			Placement: h.Placement, Aware: h.Aware, Windows: cfg.windows(i), Owners: len(cfg.Clients), Check: cfg.Check,
		})
		if err != nil {
			return nil, err
		}
		s.heaps = append(s.heaps, made)
	}
	for _, in := range cfg.Inputs {
		s.inputs = append(s.inputs, &input{Input: in, index: int32(len(s.inputs))})
	}
	return s, nil
}

// windows returns what the clients of a heap can reach, if the heap may know.
func (c *Config) windows(heap int) []mem.RangeSet {
	if !c.Heaps[heap].Aware {
		return nil
	}
	var windows []mem.RangeSet
	for _, client := range c.Clients {
		if client.Heap == heap {
			windows = append(windows, client.Plan.Reach)
		}
	}
	return windows
}

// Heaps returns the heaps in the order of the configuration, for observers to
// read. They must not allocate or free.
func (s *Simulation) Heaps() []*heap.Heap { return s.heaps }

// Observe adds an observer. Call it before Run.
func (s *Simulation) Observe(o Observer) { s.observers = append(s.observers, o) }

// Run executes the work to its end. The error is the context's, a source's, or
// wraps one of the errors of this package; the state up to the offending
// operation has been observed.
func (s *Simulation) Run(ctx context.Context) error {
	for _, in := range s.inputs {
		if err := in.pull(nil); err != nil {
			return err
		}
	}
	for steps := 0; ; steps++ {
		if steps%4096 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		done, err := s.step()
		if err != nil {
			return err
		}
		if done {
			break
		}
	}
	if s.cfg.Duration > 0 {
		s.advance(s.cfg.Duration)
	}
	return nil
}

// step executes the earliest operation. At one instant, buffers whose lifetime
// ends go first, then frees of sources, then allocations.
func (s *Simulation) step() (done bool, err error) {
	in := s.earliest()
	end := time.Duration(math.MaxInt64)
	if s.cfg.Duration > 0 {
		end = s.cfg.Duration
	}
	if len(s.due) > 0 && (in == nil || s.due[0].at <= in.next.At) {
		if s.due[0].at >= end {
			return true, nil
		}
		d := s.due.pop()
		s.advance(d.at)
		return false, s.free(d.slot)
	}
	if in == nil || in.next.At >= end {
		return true, nil
	}
	s.advance(in.next.At)
	cause, err := s.do(in)
	if err == nil {
		in.outcome = workloads.Outcome{Op: in.next, Cause: cause}
		err = in.pull(&in.outcome)
	}
	return false, err
}

// earliest returns the input whose operation comes next, nil if all have ended.
func (s *Simulation) earliest() *input {
	var first *input
	for _, in := range s.inputs {
		if !in.more {
			continue
		}
		if first == nil || in.next.At < first.next.At ||
			(in.next.At == first.next.At && in.next.Kind == workloads.Free && first.next.Kind != workloads.Free) {
			first = in
		}
	}
	return first
}

// pull asks the source for its next operation.
func (in *input) pull(last *workloads.Outcome) error {
	before := in.next.At
	in.next, in.more = in.Source.Next(last)
	if !in.more {
		if err := in.Source.Err(); err != nil {
			return fmt.Errorf("workload %s: %w", in.Name, err)
		}
		return nil
	}
	if in.next.At < before || in.next.At < 0 {
		return in.misuse(ErrOrder)
	}
	return nil
}

// misuse wraps err with the operation that the input offers.
func (in *input) misuse(err error) error {
	what := "allocation of"
	if in.next.Kind == workloads.Free {
		what = "free of"
	}
	return fmt.Errorf("workload %s: %s buffer %d at %v: %w", in.Name, what, in.next.Buffer, in.next.At, err)
}

func (s *Simulation) advance(to time.Duration) {
	if to <= s.now {
		return
	}
	for _, o := range s.observers {
		o.Advance(to)
	}
	s.now = to
}

// do executes the operation that in offers.
func (s *Simulation) do(in *input) (allocator.Cause, error) {
	op := &in.next
	if op.Kind == workloads.Alloc {
		return s.alloc(in, op)
	}
	switch entry := in.names.get(op.Buffer); entry {
	case unknownName:
		return allocator.None, in.misuse(ErrUnknownName)
	case failedName:
		in.names.set(op.Buffer, unknownName)
		return allocator.None, nil
	default:
		return allocator.None, s.free(entry - firstSlot)
	}
}

func (s *Simulation) alloc(in *input, op *workloads.Op) (allocator.Cause, error) {
	named := op.Lifetime <= 0
	if op.Size == 0 {
		return allocator.None, in.misuse(ErrSize)
	}
	if named && in.names.get(op.Buffer) >= firstSlot {
		return allocator.None, in.misuse(ErrNameInUse)
	}
	number := in.Clients[op.Client]
	client := &s.cfg.Clients[number]
	h := s.heaps[client.Heap]
	buffer, diagnosis := h.Alloc(number, client.Plan, client.Placement, op.Size, op.Align)
	s.event = Event{
		Number: s.event.Number + 1, At: s.now, Kind: workloads.Alloc, Client: number, Heap: client.Heap,
		Size: op.Size, Buffer: buffer, Diagnosis: diagnosis,
	}
	if diagnosis.Cause == allocator.None {
		slot := s.place(live{Buffer: buffer, heap: int32(client.Heap), input: in.index, name: op.Buffer, timed: !named})
		if named {
			in.names.set(op.Buffer, slot+firstSlot)
		} else {
			s.due.push(departure{at: s.now + min(op.Lifetime, math.MaxInt64-s.now), number: s.event.Number, slot: slot})
		}
	} else if named {
		in.names.set(op.Buffer, failedName)
	}
	return diagnosis.Cause, s.emit()
}

// place puts a buffer into a free slot.
func (s *Simulation) place(b live) uint32 {
	if n := len(s.freeSlots); n > 0 {
		slot := s.freeSlots[n-1]
		s.freeSlots = s.freeSlots[:n-1]
		s.buffers[slot] = b
		return slot
	}
	s.buffers = append(s.buffers, b)
	return uint32(len(s.buffers) - 1)
}

func (s *Simulation) free(slot uint32) error {
	b := &s.buffers[slot]
	if err := s.heaps[b.heap].Free(b.Buffer); err != nil {
		return err
	}
	if !b.timed {
		s.inputs[b.input].names.set(b.name, unknownName)
	}
	s.event = Event{
		Number: s.event.Number + 1, At: s.now, Kind: workloads.Free, Client: b.Owner, Heap: int(b.heap),
		Size: b.Payload, Buffer: b.Buffer,
	}
	s.freeSlots = append(s.freeSlots, slot)
	return s.emit()
}

// emit shows the event to the observers and, where asked for, checks the heap
// it was about.
func (s *Simulation) emit() error {
	for _, o := range s.observers {
		o.Event(&s.event)
	}
	if s.cfg.Check {
		if err := s.heaps[s.event.Heap].Check(); err != nil {
			return fmt.Errorf("event %d at %v: %w: %w", s.event.Number, s.now, ErrInvariant, err)
		}
	}
	return nil
}
