package sim

import (
	"time"

	"dmasim/allocator"
	"dmasim/allocator/ledger"
	"dmasim/workloads"
)

// Change is an allocation that was served, or a free, of a buffer of a carveout.
type Change struct {
	At                time.Duration
	Payload, Reserved uint64 // bytes
	Kind              Kind   // Alloc or Free
}

// BulkObserver is a sampler that takes note of many allocations and frees at once.
// Where all observers are, and there is nothing but carveouts and work that looks at no
// outcomes, operations are executed many at a time, and shown without all that an
// [Event] tells. What was refused is an event as ever.
type BulkObserver interface {
	Sampler
	// Room returns how many changes it takes at once: the state of the heaps is then
	// that after the last of them. 0: it wants an event.
	Room() uint64
	// Changes is called in place of Event, with consecutive changes of the buffers
	// that a client has in its heap. It must not stop the simulation, nor keep the
	// list.
	Changes(client int, list []Change)
}

// startBulk finds out whether operations may be executed many at a time.
func (s *Simulation) startBulk() {
	if s.kernel != nil || s.memory != nil || s.cfg.CheckEvery > 0 {
		return
	}
	var all []BulkObserver
	for _, o := range s.observers {
		b, ok := o.(BulkObserver)
		if !ok {
			return
		}
		all = append(all, b)
	}
	s.bulk = &bulk{observers: all}
}

// bulk is what executing operations many at a time needs.
type bulk struct {
	observers []BulkObserver
	changes   [batchSize]Change
	touched   uint64 // what prepare has read, so that it is not optimized away
}

// room returns how many changes all observers take.
func (b *bulk) room() int {
	room := uint64(batchSize)
	for _, o := range b.observers {
		room = min(room, o.Room())
	}
	return int(room)
}

// show shows changes to the observers.
func (b *bulk) show(client int, changes []Change) {
	for _, o := range b.observers {
		o.Changes(client, changes)
	}
}

// executeMany executes the first of an input's operations up to a time, as long as
// they are plain: of one client without lifetimes, limits, transfers or mistakes, and
// of as many buffers as were live at once before. It returns how many those were; the
// next is executed alone.
func (s *Simulation) executeMany(in *input, ops []workloads.Op, until time.Duration) (done int, err error) {
	number := in.Clients[ops[0].Client]
	from := s.cfg.Clients[number].Heap
	if s.cfg.Heaps[from].limits() {
		return 0, nil
	}
	ops = s.prepare(in, ops[:min(len(ops), s.bulk.room())], until)
	changes := s.bulk.changes[:len(ops)]
	h, request, refused := s.heaps[from], &s.requests[number], (*ledger.Diagnosis)(nil)
	names, buffers, free := in.names.dense, s.buffers, s.freeSlots
	for i := range ops {
		op, change := &ops[i], &changes[i]
		name := &names[op.Buffer]
		change.At, change.Kind = op.At, Kind(op.Kind) // both kinds begin with Alloc and Free
		if op.Kind == workloads.Free {
			slot := *name - firstSlot
			if slot >= uint32(len(buffers)) || int(buffers[slot].Owner) != number {
				break
			}
			b := &buffers[slot]
			if err = h.Free(&b.Buffer); err != nil {
				break
			}
			*name, b.number = unknownName, 0
			free = append(free, slot)
			change.Payload, change.Reserved = b.Payload, b.Block.Size
		} else {
			if *name >= firstSlot || op.Size == 0 || op.Lifetime > 0 || in.Clients[op.Client] != number || len(free) == 0 {
				break
			}
			request.Payload, request.Align, request.Limit = op.Size, op.Align, op.Limit
			slot := free[len(free)-1]
			b := &buffers[slot]
			if d := h.Alloc(request, &b.Buffer); d.Cause != allocator.None {
				*name, refused = failedName, d
				break
			}
			free = free[:len(free)-1]
			*name, b.heap, b.number = slot+firstSlot, int32(from), s.event.Number+uint64(i)+1
			change.Payload, change.Reserved = op.Size, b.Block.Size
		}
		done++
	}
	s.freeSlots = free
	if done > 0 {
		s.now = ops[done-1].At
		s.event.Number += uint64(done)
		s.bulk.show(number, changes[:done])
	}
	if refused != nil {
		s.now = ops[done].At
		s.announceAlloc(int32(from), request, &noBuffer, refused)
		done++
	}
	return done, err
}

// prepare returns the first of some operations that can be executed in this order
// before a time, unobserved until then, and whose buffers have small names. It reads
// those that are freed: what is not in the cache comes for all of them at once, and not
// for each when its turn comes.
func (s *Simulation) prepare(in *input, ops []workloads.Op, until time.Duration) []workloads.Op {
	until = min(until, s.quiet)
	if len(s.due) > 0 {
		until = min(until, s.due[0].at)
	}
	now, names, buffers, sum := s.now, in.names.dense, s.buffers, s.bulk.touched
	for i := range ops {
		op := &ops[i]
		if op.At < now || op.At >= until || op.Buffer >= denseNames {
			ops = ops[:i]
			break
		}
		now = op.At
		if op.Buffer >= uint64(len(names)) {
			in.names.reserve(op.Buffer)
			names = in.names.dense
		}
		if slot := names[op.Buffer] - firstSlot; slot < uint32(len(buffers)) {
			sum ^= buffers[slot].number
		}
	}
	s.bulk.touched = sum
	return ops
}
