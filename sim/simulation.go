package sim

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"dmasim/allocator"
	"dmasim/allocator/ledger"
	"dmasim/mem"
	"dmasim/sim/dmabuf"
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
	requests  []heap.Request // by client
	buffers   []live
	freeSlots []uint32
	due       agenda
	scheduled uint64
	observers []Observer
	samplers  []Sampler     // the observers, if each is one
	quiet     time.Duration // until when none of them has to know the time
	now       time.Duration
	event     Event
	diagnosis ledger.Diagnosis // of what failed last
	report    IncidentReport   // of the last incident
	broken    error            // the first invariant that an event broke
	placed    uint64           // address of the last block that an input's operation allocated
	halted    bool             // an observer has seen enough
	bulk      *bulk            // nil: operations are executed one after the other

	// Without processes and transfers kernel is nil, and without page frames memory
	// is.
	sharing
	processTable
	dma
	frames
	via *translation // nil where devices address memory as it lies
}

// live is a buffer in a slot.
type live struct {
	heap.Buffer
	number uint64 // of the event that allocated it; 0: the slot is free
	heap   int32
	_      [3]uint32 // a line of the cache for each
}

// use is what processes and devices have of the buffer in a slot.
type use struct {
	dmabuf    dmabuf.Buffer
	shared    bool   // a dmabuf.Buffer stands for it, whose last reference frees it
	share     uint32 // of a client with transfers: what its drivers have
	transfers int32  // that are not over
	reading   int32  // of them, that have begun
	writing   int32
}

// input is a source with the operations that come next.
type input struct {
	Input
	names   names
	batches workloads.BatchSource // nil: the source looks at outcomes
	batch   []workloads.Op        // room for what is asked of the source at once
	ahead   []workloads.Op        // what comes next; none: the source has ended
	last    workloads.Outcome     // of the operation before that
}

// batchSize is how many operations are asked at once of a source that looks at no
// outcomes.
const batchSize = 64

// New makes a simulation with every heap empty. Every index in cfg must be
// valid.
func New(cfg Config, observers ...Observer) (*Simulation, error) {
	s := &Simulation{cfg: cfg, observers: observers}
	for i, h := range cfg.Heaps {
		if h.Kind != Carveout {
			s.heaps = append(s.heaps, nil)
			continue
		}
		made, err := heap.New(heap.Config{
			Name: h.Name, Arena: h.Arena, Granule: h.Granule, Guard: h.Guard, Allocator: h.Allocator,
			Placement: h.Placement, Aware: h.Aware, Windows: cfg.windows(i), Owners: len(cfg.Clients), Check: cfg.CheckEvery > 0,
		})
		if err != nil {
			return nil, err
		}
		s.heaps = append(s.heaps, made)
	}
	for i, client := range cfg.Clients {
		r := heap.Request{Owner: i, Plan: client.Plan, Placement: client.Placement}
		if client.Heap >= 0 && s.heaps[client.Heap] != nil {
			s.heaps[client.Heap].Prepare(&r)
		}
		s.requests = append(s.requests, r)
	}
	for _, in := range cfg.Inputs {
		made := &input{Input: in, batch: make([]workloads.Op, 1)}
		if batches, ok := in.Source.(workloads.BatchSource); ok {
			made.batches, made.batch = batches, make([]workloads.Op, batchSize)
		}
		s.inputs = append(s.inputs, made)
	}
	if err := s.startMachine(); err != nil {
		return nil, err
	}
	if err := s.startSystem(); err != nil {
		return nil, err
	}
	for i := range s.requests {
		s.requests[i].MapsLater = s.mapsLater(i)
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

// Stop ends the simulation, which is of no use then: Run returns after the
// operation at hand, and nothing more is observed. Observers call it.
func (s *Simulation) Stop() { s.halted = true }

// Run executes the work to its end, or until an observer stops it. The error is
// the context's, a source's, or wraps one of the errors of this package; the
// state up to the offending operation has been observed.
func (s *Simulation) Run(ctx context.Context) error {
	for _, o := range s.observers {
		if sampler, ok := o.(Sampler); ok {
			s.samplers = append(s.samplers, sampler)
		}
	}
	s.askSamplers()
	s.startBulk()
	for _, in := range s.inputs {
		if err := in.pull(nil); err != nil {
			return err
		}
	}
	for steps := 0; ; steps++ {
		if steps%checkContext == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		done, err := s.step()
		if s.halted {
			return nil
		}
		if err != nil {
			return err
		}
		if done {
			break
		}
	}
	if s.cfg.Duration > s.now {
		s.advance(s.cfg.Duration)
	}
	if s.halted {
		return nil
	}
	if s.cfg.CheckEvery > 0 {
		s.verify()
	}
	return errors.Join(s.broken, s.findLeaks())
}

// checkContext is the number of steps after which the context is looked at.
const checkContext = 4096 / batchSize

// step does what comes next: what is due, or operations of one input, to the end of
// its batch or until something else comes first. At one instant, buffers whose
// lifetime ends go first, then frees of sources, then allocations.
func (s *Simulation) step() (done bool, err error) {
	in, until := s.earliest()
	end := time.Duration(math.MaxInt64)
	if s.cfg.Duration > 0 {
		end = s.cfg.Duration
	}
	if s.stopped {
		return true, nil
	}
	if len(s.due) > 0 && (in == nil || s.due[0].at <= in.ahead[0].At) {
		if s.due[0].at >= end {
			return true, nil
		}
		d := s.due.pop()
		if d.at > s.now {
			s.advance(d.at)
		}
		if s.halted {
			return true, nil
		}
		return false, s.happen(d)
	}
	if in == nil || in.ahead[0].At >= end {
		return true, nil
	}
	until = min(until, end)
	var cause allocator.Cause
	ops := in.ahead
	for i := 0; i < len(ops); i++ {
		if s.bulk != nil && in.batches != nil {
			n, err := s.executeMany(in, ops[i:], until)
			if err != nil {
				return false, err
			}
			if i += n; i == len(ops) {
				break
			}
		}
		op := &ops[i]
		if i > 0 && (op.At >= until || s.interrupted(op.At)) {
			in.ahead = ops[i:]
			return false, nil
		}
		if op.At > s.now {
			s.advance(op.At)
		} else if op.At < s.now {
			return false, in.misuse(op, ErrOrder)
		}
		if s.halted {
			return true, nil
		}
		if op.Kind == workloads.Alloc {
			cause, err = s.alloc(in, op)
		} else {
			cause, err = allocator.None, s.drop(in, op)
		}
		if err != nil {
			return false, err
		}
	}
	in.last.Op, in.last.Cause, in.last.Addr = ops[len(ops)-1], cause, s.placed
	if err := in.pull(&in.last); err != nil {
		return false, err
	}
	return false, nil
}

// interrupted reports whether an operation of that time has to wait, because the one
// before it stopped the simulation or something else is due.
func (s *Simulation) interrupted(at time.Duration) bool {
	return len(s.due) > 0 && s.due[0].at <= at || s.stopped || s.halted
}

// earliest returns the input whose operation comes next, nil if all have ended, and
// when that of another comes.
func (s *Simulation) earliest() (first *input, until time.Duration) {
	until = math.MaxInt64
	for _, in := range s.inputs {
		if len(in.ahead) == 0 {
			continue
		}
		if first == nil {
			first = in
			continue
		}
		next, best := &in.ahead[0], &first.ahead[0]
		if next.At < best.At || (next.At == best.At && next.Kind == workloads.Free && best.Kind != workloads.Free) {
			first = in
		}
		until = min(until, max(next.At, best.At))
	}
	return first, until
}

// pull asks the source for its next operations.
func (in *input) pull(last *workloads.Outcome) error {
	n := 0
	if in.batches != nil {
		n = in.batches.Fill(in.batch)
	} else if op, ok := in.Source.Next(last); ok {
		in.batch[0] = op
		n = 1
	}
	in.ahead = in.batch[:n]
	if n == 0 {
		if err := in.Source.Err(); err != nil {
			return fmt.Errorf("workload %s: %w", in.Name, err)
		}
	}
	return nil
}

// misuse wraps err with the operation of the input that it is about.
func (in *input) misuse(op *workloads.Op, err error) error {
	what := "allocation of"
	if op.Kind == workloads.Free {
		what = "free of"
	}
	return fmt.Errorf("workload %s: %s buffer %d at %v: %w", in.Name, what, op.Buffer, op.At, err)
}

// advance makes it later.
func (s *Simulation) advance(to time.Duration) {
	if to >= s.quiet || s.kernel != nil {
		s.pass(to)
	}
	s.now = to
}

// pass tells those that want to know that time passes.
func (s *Simulation) pass(to time.Duration) {
	if to >= s.quiet {
		for _, o := range s.observers {
			o.Advance(to)
		}
		s.askSamplers()
	}
	if s.kernel != nil {
		s.kernel.Now = to
	}
}

// askSamplers notes how long time can pass unobserved.
func (s *Simulation) askSamplers() {
	if len(s.samplers) < len(s.observers) {
		return
	}
	s.quiet = math.MaxInt64
	for _, sampler := range s.samplers {
		s.quiet = min(s.quiet, sampler.Due())
	}
}

// Now returns the time.
func (s *Simulation) Now() time.Duration { return s.now }

// drop executes a free of an input.
func (s *Simulation) drop(in *input, op *workloads.Op) error {
	switch entry := in.names.take(op.Buffer); entry {
	case unknownName:
		return in.misuse(op, ErrUnknownName)
	case failedName:
		return nil
	default:
		return s.depart(entry - firstSlot)
	}
}

// happen does what was scheduled.
func (s *Simulation) happen(d due) error {
	var err error
	switch d.what {
	case departure:
		err = s.depart(d.index)
	case wakeProcess:
		err = s.wake(d.index, d.turn)
	case transferEnd:
		err = s.finish(d.index)
	case transferStart:
		s.startNext(int32(d.index))
	case pinOver:
		s.unpin(d.index)
	case heapWork:
		s.working[d.index] = false
		err = s.pages[d.index].Work(s.now)
		s.putOff(int32(d.index))
	case iommuFlush, iommuTrim:
		s.iommuWork(d.what, d.index)
	}
	return errors.Join(err, s.broken)
}

// schedule arranges for something to happen.
func (s *Simulation) schedule(at time.Duration, w what, index, turn uint32) {
	s.scheduled++
	s.due.push(due{at: at, sequence: s.scheduled, what: w, index: index, turn: turn})
}

func (s *Simulation) alloc(in *input, op *workloads.Op) (allocator.Cause, error) {
	named := op.Lifetime <= 0
	if op.Size == 0 {
		return allocator.None, in.misuse(op, ErrSize)
	}
	if named && in.names.get(op.Buffer) >= firstSlot {
		return allocator.None, in.misuse(op, ErrNameInUse)
	}
	number := in.Clients[op.Client]
	client := &s.cfg.Clients[number]
	from := int32(client.Heap)
	request := s.request(number, op.Size)
	request.Align, request.Limit = op.Align, op.Limit
	slot, diagnosis := s.place(from, request)
	if cause := diagnosis.Cause; cause != allocator.None {
		if named {
			in.names.set(op.Buffer, failedName)
		}
		s.announceAlloc(from, request, &noBuffer, diagnosis)
		return cause, s.broken
	}
	s.keep(slot)
	s.placed = s.buffers[slot].Block.Addr
	if named {
		in.names.set(op.Buffer, slot+firstSlot)
	} else {
		s.schedule(s.now+min(op.Lifetime, math.MaxInt64-s.now), departure, slot, 0)
	}
	s.announceAlloc(from, request, &s.buffers[slot].Buffer, diagnosis)
	if len(s.orphans) > 0 {
		s.overrun(slot)
	}
	if len(client.Transfers) > 0 || request.MapsLater {
		s.openShare(slot, number)
	}
	return allocator.None, s.broken
}

// depart ends a source's use of a buffer. Transfers may keep it.
func (s *Simulation) depart(slot uint32) error {
	if s.kernel == nil || !s.uses[slot].shared {
		return s.free(slot)
	}
	s.closeShare(slot)
	return s.reap()
}

// request is for a buffer of a client, good until the client's next.
func (s *Simulation) request(client int, payload uint64) *heap.Request {
	r := &s.requests[client]
	r.Payload, r.Align, r.Limit = payload, 0, 0
	return r
}

// place asks a heap for a buffer, which it puts into a slot; its number is that of the
// next event. Heaps that take pages know a size alone.
func (s *Simulation) place(from int32, r *heap.Request) (slot uint32, d *ledger.Diagnosis) {
	if s.limited(r.Owner, from, r.Payload) {
		return 0, s.failed(from, r.Payload, allocator.Limit)
	}
	if h := s.paged(from); h != nil {
		return s.placeShared(h, from, r)
	}
	slot = take(&s.buffers, &s.freeSlots)
	b := &s.buffers[slot]
	d = s.heaps[from].Alloc(r, &b.Buffer)
	if d.Cause != allocator.None {
		s.freeSlots = append(s.freeSlots, slot)
		return 0, d
	}
	b.heap, b.number = from, s.event.Number+1
	return slot, d
}

// keep takes note of the new buffer in a slot.
func (s *Simulation) keep(slot uint32) {
	if s.kernel != nil {
		s.keepUse(slot)
	}
}

// keepUse prepares what processes and devices may have of a new buffer.
func (s *Simulation) keepUse(slot uint32) {
	if int(slot) >= len(s.uses) {
		s.uses = append(s.uses, use{})
	}
	s.uses[slot] = use{}
	if b := &s.buffers[slot]; s.places != nil && s.paged(b.heap) == nil { // page frames know who is there
		s.places.add(mem.Range{Lo: b.Block.Addr, Hi: b.Block.Addr + b.Block.Size}, slot)
	}
}

// announceAlloc emits what became of a request.
func (s *Simulation) announceAlloc(from int32, r *heap.Request, b *heap.Buffer, d *ledger.Diagnosis) {
	e := s.next(Alloc, r.Owner, int(from))
	e.Size, e.Align, e.Limit, e.Buffer, e.Diagnosis = r.Payload, r.Align, r.Limit, b, d
	s.emit()
}

// free gives a buffer back whose last user is gone.
func (s *Simulation) free(slot uint32) error {
	b := &s.buffers[slot]
	if s.kernel != nil && s.uses[slot].transfers > 0 {
		s.orphaned(slot)
	}
	if err := s.giveBack(slot); err != nil {
		return err
	}
	e := s.next(Free, int(b.Owner), int(b.heap))
	e.Size, e.Buffer = b.Payload, &b.Buffer // still there: nothing took the slot since
	s.emit()
	return s.broken
}

// giveBack returns a buffer to its heap.
func (s *Simulation) giveBack(slot uint32) error {
	b := &s.buffers[slot]
	s.freeSlots = append(s.freeSlots, slot)
	b.number = 0
	if h := s.paged(b.heap); h != nil {
		err := h.Free(b.Buffer, s.now)
		s.putOff(b.heap)
		return err
	}
	if s.places != nil {
		s.places.remove(mem.Range{Lo: b.Block.Addr, Hi: b.Block.Addr + b.Block.Size})
	}
	return s.heaps[b.heap].Free(&b.Buffer)
}

// emit shows the event to the observers and, where asked for, checks the system.
func (s *Simulation) emit() {
	if s.halted {
		return
	}
	for i := 0; i < len(s.observers); i++ {
		s.observers[i].Event(&s.event)
	}
	if s.cfg.CheckEvery > 0 && s.event.Number%s.cfg.CheckEvery == 0 {
		s.verify()
	}
}

// verify notes the first invariant that is broken.
func (s *Simulation) verify() {
	if s.broken != nil {
		return
	}
	if err := s.check(); err != nil {
		s.broken = fmt.Errorf("event %d at %v: %w: %w", s.event.Number, s.now, ErrInvariant, err)
	}
}

func (s *Simulation) check() error {
	for i, h := range s.heaps {
		if changed := s.cfg.CheckEvery > 1 || s.event.Heap == i && s.event.Kind <= Free; !changed || h == nil {
			continue
		}
		if err := h.Check(); err != nil {
			return err
		}
	}
	if s.memory != nil {
		if err := s.checkFrames(); err != nil {
			return err
		}
	}
	if s.kernel != nil {
		if err := s.checkTransfers(); err != nil {
			return err
		}
		if err := s.checkTranslation(); err != nil {
			return err
		}
		return s.kernel.Check()
	}
	return nil
}
