package timeline

import (
	"cmp"
	"io"
	"maps"
	"slices"
	"time"

	"dmasim/allocator"
	"dmasim/internal/traceevent"
	"dmasim/sim"
	"dmasim/workloads"
)

// Writer is an observer that writes the events of one simulation.
type Writer struct {
	out     *traceevent.Writer
	cfg     sim.Config
	heaps   []heap
	live    map[place]buffer
	busy    []bool // by device: a transfer was begun
	running []bool // by client: a process that lives
	now     time.Duration
}

type heap struct{ requested, reserved uint64 }

// place tells live buffers apart, which never overlap.
type place struct {
	heap int
	addr uint64
}

type buffer struct {
	number uint64
	client int
}

// New returns an observer of a simulation of cfg that writes to w. Its errors
// come back at Close.
func New(w io.Writer, cfg sim.Config) *Writer {
	t := &Writer{
		out: traceevent.NewWriter(w), cfg: cfg, heaps: make([]heap, len(cfg.Heaps)), live: map[place]buffer{},
		busy: make([]bool, len(cfg.Devices)), running: make([]bool, len(cfg.Clients)),
	}
	for i := range cfg.Heaps {
		t.out.NameProcess(t.heapTrack(i).Process, "heap "+cfg.Heaps[i].Name)
		t.out.NameThread(t.heapTrack(i), "requests")
	}
	if len(cfg.Devices) > 0 {
		t.out.NameProcess(t.deviceTrack(0).Process, "devices")
	}
	for i := range cfg.Devices {
		t.out.NameThread(t.deviceTrack(i), cfg.Devices[i].Name)
	}
	t.out.NameProcess(t.clientTrack(0).Process, "clients")
	t.out.NameThread(t.clientTrack(-1), "incidents")
	for i := range cfg.Clients {
		t.out.NameThread(t.clientTrack(i), cfg.Clients[i].Name)
	}
	for i := range cfg.Inputs {
		if r, ok := cfg.Inputs[i].Source.(*workloads.Retrying); ok {
			r.Watch(func(e workloads.Ending) { t.drop(cfg.Inputs[i].Clients[e.Client], e) })
		}
	}
	return t
}

func (t *Writer) heapTrack(i int) traceevent.Track {
	return traceevent.Track{Process: i + 1, Thread: 1}
}

func (t *Writer) deviceTrack(i int) traceevent.Track {
	return traceevent.Track{Process: len(t.cfg.Heaps) + 1, Thread: i + 1}
}

func (t *Writer) clientTrack(i int) traceevent.Track {
	return traceevent.Track{Process: len(t.cfg.Heaps) + 2, Thread: i + 2}
}

// client is the name of a client; -1 is nobody.
func (t *Writer) client(i int) string {
	if i < 0 {
		return "nobody"
	}
	return t.cfg.Clients[i].Name
}

// Advance implements sim.Observer.
func (t *Writer) Advance(now time.Duration) { t.now = now }

// Due implements sim.Sampler: nothing happens between events.
func (t *Writer) Due() time.Duration { return 1<<63 - 1 }

const (
	bufferCategory = "buffer"
	refused        = "refused"
)

// Event implements sim.Observer.
func (t *Writer) Event(e *sim.Event) {
	t.now = e.At
	switch e.Kind {
	case sim.Alloc:
		t.alloc(e)
	case sim.Free:
		at := place{e.Heap, e.Buffer.Block.Addr}
		if b, ok := t.live[at]; ok {
			delete(t.live, at)
			t.out.End(t.heapTrack(e.Heap), e.At, b.number, bufferCategory, t.client(b.client))
			h := &t.heaps[e.Heap]
			h.requested -= e.Buffer.Payload
			h.reserved -= e.Buffer.Block.Size
			t.count(e.Heap)
		}
	case sim.Map:
		if e.Diagnosis.Cause != allocator.None {
			t.out.Mark(t.deviceTrack(e.Device), e.At, refused, "map: "+e.Diagnosis.Cause.String(),
				traceevent.Number("size", e.Size), traceevent.Text("client", t.client(e.Client)))
		}
	case sim.Start:
		t.leave(t.busy, e.Device, t.deviceTrack(e.Device))
		t.busy[e.Device] = true
		t.out.Enter(t.deviceTrack(e.Device), e.At, "transfer", t.client(e.Client), traceevent.Number("size", e.Size))
	case sim.End:
		t.leave(t.busy, e.Device, t.deviceTrack(e.Device))
	case sim.ProcessStart:
		t.leave(t.running, e.Client, t.clientTrack(e.Client))
		t.running[e.Client] = true
		t.out.Enter(t.clientTrack(e.Client), e.At, "process", "runs")
	case sim.ProcessEnd:
		t.leave(t.running, e.Client, t.clientTrack(e.Client))
	case sim.Kill:
		t.out.Mark(t.clientTrack(e.Client), e.At, "incident", "killed for want of memory",
			traceevent.Number("own bytes", e.Size), traceevent.Number("pinned bytes", e.Pinned))
	case sim.Incident:
		t.out.Mark(t.clientTrack(-1), e.At, "incident", e.Incident.Kind.String(),
			traceevent.Text("actor", cmp.Or(e.Incident.Actor, "-")), traceevent.Text("victim", cmp.Or(e.Incident.Victim, "-")),
			traceevent.Text("detail", cmp.Or(e.Incident.Detail, "-")))
	}
}

func (t *Writer) alloc(e *sim.Event) {
	if e.Heap < 0 {
		t.out.Mark(t.clientTrack(e.Client), e.At, refused, "request: "+e.Diagnosis.Cause.String(), traceevent.Number("size", e.Size))
		return
	}
	if e.Diagnosis.Cause != allocator.None {
		t.out.Mark(t.heapTrack(e.Heap), e.At, refused, "request: "+e.Diagnosis.Cause.String(),
			traceevent.Number("size", e.Size), traceevent.Text("client", t.client(e.Client)))
		return
	}
	t.live[place{e.Heap, e.Buffer.Block.Addr}] = buffer{e.Number, e.Client}
	t.out.Begin(t.heapTrack(e.Heap), e.At, e.Number, bufferCategory, t.client(e.Client),
		traceevent.Number("size", e.Size), traceevent.Number("reserved", e.Buffer.Block.Size), traceevent.Address("address", e.Buffer.Block.Addr))
	h := &t.heaps[e.Heap]
	h.requested += e.Buffer.Payload
	h.reserved += e.Buffer.Block.Size
	t.count(e.Heap)
}

// drop marks a buffer that a client wanted and gave up.
func (t *Writer) drop(client int, e workloads.Ending) {
	if !e.Fate.Dropped() || t.cfg.Duration > 0 && e.At >= t.cfg.Duration {
		return
	}
	t.out.Mark(t.clientTrack(client), e.At, refused, "dropped: "+e.Fate.String(),
		traceevent.Number("attempts", e.Attempts), traceevent.Number("waited ns", uint64(e.At-e.Asked)))
}

func (t *Writer) count(i int) {
	t.out.Count(t.heapTrack(i), t.now, "live bytes",
		traceevent.Number("requested", t.heaps[i].requested), traceevent.Number("reserved", t.heaps[i].reserved))
}

// leave ends the slice of a thread, if it has one.
func (t *Writer) leave(open []bool, i int, track traceevent.Track) {
	if open[i] {
		open[i] = false
		t.out.Leave(track, t.now)
	}
}

// Close ends the file, without closing what is written to.
func (t *Writer) Close() error {
	byNumber := func(a, b place) int { return cmp.Compare(t.live[a].number, t.live[b].number) }
	for _, at := range slices.SortedFunc(maps.Keys(t.live), byNumber) {
		t.out.End(t.heapTrack(at.heap), t.now, t.live[at].number, bufferCategory, t.client(t.live[at].client))
	}
	for i := range t.busy {
		t.leave(t.busy, i, t.deviceTrack(i))
	}
	for i := range t.running {
		t.leave(t.running, i, t.clientTrack(i))
	}
	return t.out.Close()
}
