package explain

import (
	"context"
	"errors"
	"fmt"
	"time"

	"dmasim/allocator"
	"dmasim/allocator/ledger"
	"dmasim/devices"
	"dmasim/sim"
	"dmasim/sim/heap"
)

// ErrNotReached says that a simulation ended before the moment in question, or
// had no failure there.
var ErrNotReached = errors.New("the simulation does not get there")

// Build makes the configuration of a simulation. It is called once for every run:
// a source can be read but once.
type Build func() (sim.Config, error)

// Failure runs a simulation up to the failed allocation or map that is the event
// of the number op, and explains it. The error wraps ErrNotReached if that event
// is something else, or there is none.
func Failure(ctx context.Context, build Build, op uint64) (*Explanation, error) {
	var e *Explanation
	var short shortage
	err := run(ctx, build, func(w *watcher) {
		w.onEvent = func(event *sim.Event) {
			if event.Number < op {
				return
			}
			if event.Number == op && event.Kind <= sim.Map && event.Diagnosis.Cause != allocator.None {
				e = w.explainEvent(event)
				short = w.short
			}
			w.sim.Stop()
		}
	})
	if err != nil {
		return nil, err
	}
	if e == nil {
		return nil, fmt.Errorf("event %d is no failed request: %w", op, ErrNotReached)
	}
	if short.op > 0 && short.at == e.At {
		err = e.tryFreeing(ctx, build, &short)
	}
	return e, err
}

// Question is a request that nobody made.
type Question struct {
	At      time.Duration
	Heap    int // index into sim.Config.Heaps
	Devices []devices.Device
	Payload uint64 // bytes
	Align   uint64 // of the request itself; 0: none
}

// WhatIf runs a simulation up to a time, all events at that time included, asks
// for a buffer, and explains what comes of it. The error wraps ErrNotReached if the
// simulation ends before. That of contradicting devices is a *devices.Conflict.
func WhatIf(ctx context.Context, build Build, q Question) (*Explanation, error) {
	plan, err := devices.Merge(q.Devices...)
	if err != nil {
		return nil, err
	}
	var e *Explanation
	err = run(ctx, build, func(w *watcher) {
		w.onAdvance = func(to time.Duration) {
			if to > q.At && e == nil {
				e = w.explainQuestion(&q, plan)
				w.sim.Stop()
			}
		}
		w.onEnd = func(end time.Duration) {
			if e == nil && end >= q.At {
				e = w.explainQuestion(&q, plan)
			}
		}
	})
	if err != nil {
		return nil, err
	}
	if e == nil {
		return nil, fmt.Errorf("it ends before %v: %w", q.At, ErrNotReached)
	}
	return e, nil
}

// watcher follows a simulation up to the moment in question.
type watcher struct {
	cfg  sim.Config
	sim  *sim.Simulation
	now  time.Duration
	live map[place]tracked
	// What held when memory ran out last, and the last event before that.
	short    shortage
	lastCalm uint64

	onEvent   func(*sim.Event)
	onAdvance func(time.Duration)
	onEnd     func(time.Duration)
}

// place names a live buffer: no two of a heap begin at one address.
type place struct {
	heap int
	addr uint64
}

// tracked is a live buffer and when it came.
type tracked struct {
	heap.Buffer
	from   int // heap
	client string
	since  time.Duration
	op     uint64
}

// run makes a simulation and runs it with a watcher.
func run(ctx context.Context, build Build, prepare func(*watcher)) error {
	cfg, err := build()
	if err != nil {
		return err
	}
	w := &watcher{cfg: cfg, live: map[place]tracked{}}
	if w.sim, err = sim.New(cfg, w); err != nil {
		return err
	}
	prepare(w)
	if err := w.sim.Run(ctx); err != nil {
		return err
	}
	if w.onEnd != nil {
		w.onEnd(w.now)
	}
	return nil
}

// Advance implements sim.Observer.
func (w *watcher) Advance(to time.Duration) {
	if w.onAdvance != nil {
		w.onAdvance(to)
	}
	w.now = to
}

// Event implements sim.Observer.
func (w *watcher) Event(e *sim.Event) {
	at := place{e.Heap, e.Buffer.Block.Addr}
	switch {
	case e.Kind == sim.Alloc && e.Diagnosis.Cause == allocator.None:
		w.live[at] = tracked{*e.Buffer, e.Heap, w.cfg.Clients[e.Client].Name, e.At, e.Number}
	case e.Kind == sim.Kill:
		w.noteShortage(e)
	}
	if w.onEvent != nil {
		w.onEvent(e)
	}
	if e.Kind == sim.Free {
		delete(w.live, at)
	}
	if e.Kind != sim.Incident && (w.short.op == 0 || w.short.at != e.At) {
		w.lastCalm = e.Number
	}
}

// explainEvent explains a request that has just failed.
func (w *watcher) explainEvent(event *sim.Event) *Explanation {
	client := &w.cfg.Clients[event.Client]
	e := w.begin(event.Heap)
	e.At, e.Op, e.Client = event.At, event.Number, client.Name
	e.Cause, e.Payload = event.Diagnosis.Cause, sizeOf(event.Size)
	e.Free, e.InReach, e.Largest = sizeOf(event.Diagnosis.Free), sizeOf(event.Diagnosis.FreeInReach), sizeOf(event.Diagnosis.Largest)
	plan := client.Plan
	e.Devices = w.deviceNames(client.Devices)
	if event.Kind == sim.Map {
		device := w.cfg.Devices[event.Device]
		e.Devices = []string{device.Name}
		if alone, err := devices.Merge(device); err == nil {
			plan = alone
		}
	}
	r := &heap.Request{Owner: event.Client, Plan: plan, Placement: client.Placement, Payload: event.Size, Align: event.Align, Limit: event.Limit}
	switch {
	case e.Cause == allocator.Permission:
		w.explainPermission(e)
	case e.Cause == allocator.Limit:
		w.explainLimit(e, r)
	case event.Kind == sim.Map:
		w.explainMap(e, r, event)
	case w.paged(event.Heap) != nil:
		w.explainPages(e, r)
	default:
		w.explainArena(e, r, event.Diagnosis)
	}
	return e
}

// explainQuestion asks what nobody asked.
func (w *watcher) explainQuestion(q *Question, plan *devices.Plan) *Explanation {
	e := w.begin(q.Heap)
	e.At, e.Payload = q.At, sizeOf(q.Payload)
	for _, d := range q.Devices {
		e.Devices = append(e.Devices, d.Name)
	}
	r := &heap.Request{Plan: plan, Payload: q.Payload, Align: q.Align}
	if w.paged(q.Heap) != nil {
		w.askPages(e, r)
		return e
	}
	w.askArena(e, r)
	return e
}

// askArena asks a heap of an arena, and explains a failure.
func (w *watcher) askArena(e *Explanation, r *heap.Request) {
	h := w.sim.Heaps()[w.heapNumber(e)]
	var made heap.Buffer
	d := h.Alloc(r, &made)
	e.Cause = d.Cause
	if d.Cause != allocator.None {
		w.explainArena(e, r, d)
		return
	}
	if h.Free(&made) == nil {
		e.Place = newRange(made.Block.Addr, made.Block.Size)
	}
	w.explainArena(e, r, &ledger.Diagnosis{})
}

// begin starts the explanation of a request to a heap.
func (w *watcher) begin(number int) *Explanation {
	h := &w.cfg.Heaps[number]
	e := &Explanation{
		Heap: h.Name, Kind: h.Kind.String(), Aware: h.Aware, Devices: []string{},
		Funnel: []Stage{}, Holders: []Holder{}, InTheWay: []Buffer{}, Changes: []Change{}, Notes: []string{},
	}
	if h.Kind == sim.Carveout {
		e.Allocator = h.Allocator
	}
	return e
}

// heapNumber returns the number of the heap that an explanation is about.
func (w *watcher) heapNumber(e *Explanation) int {
	for i := range w.cfg.Heaps {
		if w.cfg.Heaps[i].Name == e.Heap {
			return i
		}
	}
	return 0
}

// paged returns a heap that takes pages, or nil.
func (w *watcher) paged(number int) *heap.Pages {
	if pages := w.sim.Pages(); pages != nil {
		return pages[number]
	}
	return nil
}

func (w *watcher) deviceNames(numbers []int) []string {
	names := []string{}
	for _, n := range numbers {
		names = append(names, w.cfg.Devices[n].Name)
	}
	return names
}
