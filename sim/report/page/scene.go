package page

import (
	"math/bits"
	"slices"
	"time"

	"dmasim/allocator"
	"dmasim/devices"
	"dmasim/mem"
	"dmasim/sim/explain"
	"dmasim/sim/history"
	"dmasim/sim/metrics"
	"dmasim/sim/physmem"
	"dmasim/sim/report"
)

// scene is a run as the page's script reads it. Numbers of which there are many
// are in its columns.
type scene struct {
	Name     string              `json:"name"`
	Note     string              `json:"note,omitempty"`
	Command  string              `json:"command,omitempty"`
	Duration time.Duration       `json:"duration"` // ns
	Unit     uint64              `json:"unit"`     // bytes, of addresses and sizes of pieces
	Heaps    []sceneHeap         `json:"heaps"`
	Clients  []sceneClient       `json:"clients"`
	Views    []sceneView         `json:"views"`
	Spaces   []sceneSpace        `json:"spaces"`
	Memory   uint64              `json:"memory,omitempty"` // bytes; 0: no page frames
	Causes   []string            `json:"causes"`
	Kinds    []string            `json:"kinds"` // of page frames
	Events   []sceneIncident     `json:"incidents"`
	Counts   map[string]uint64   `json:"incidentCounts,omitempty"`
	LeftOut  *sceneLoss          `json:"leftOut,omitempty"`
	Recorded bool                `json:"recorded"` // there are single buffers
	Explains map[int]explanation `json:"explanations"`
	Columns  []columnSpec        `json:"columns"`
}

type sceneHeap struct {
	Name      string `json:"name"`
	Kind      string `json:"kind"`
	Allocator string `json:"allocator,omitempty"`
	Aware     bool   `json:"aware"`
	Capacity  uint64 `json:"capacity"`
	Limit     uint64 `json:"limit,omitempty"`
}

type sceneClient struct {
	Name        string             `json:"name"`
	Devices     []string           `json:"devices"`
	Requests    uint64             `json:"requests"`
	Failures    uint64             `json:"failures"`
	Constraints []devices.PlanPart `json:"constraints"`
}

// sceneView is memory that can be looked at: an arena, a CMA area, or RAM.
type sceneView struct {
	Name    string        `json:"name"`
	Heaps   []int         `json:"heaps"` // whose buffers lie there
	Lo      uint64        `json:"lo"`    // in units
	Size    uint64        `json:"size"`  // in units
	Arena   [][2]uint64   `json:"arena"` // in units, from Lo
	Windows []sceneWindow `json:"windows"`
	Rows    int           `json:"rows,omitempty"`   // of the coarse map; 0: there is none
	Frames  int           `json:"frames,omitempty"` // rows of what page frames held; 0: there is nothing of that
}

type sceneWindow struct {
	Device string      `json:"device"`
	Ranges [][2]uint64 `json:"ranges"` // in units, from the view's Lo
}

type sceneSpace struct {
	Name     string `json:"name"`
	Kind     string `json:"kind"`
	Capacity uint64 `json:"capacity"`
}

type sceneIncident struct {
	At   time.Duration `json:"at"`
	Kind string        `json:"kind"`
	Text string        `json:"text"`
}

type sceneLoss struct {
	Buffers  uint64  `json:"buffers"`
	Heaviest float64 `json:"heaviest"` // byte-seconds
}

// explanation is one in words, and what can be pointed at on the map.
type explanation struct {
	Headline string `json:"headline"`
	Reason   string `json:"reason"`
	Died     int    `json:"died"` // the stage of the funnel that leaves too little; -1: none
	*explain.Explanation
	More int `json:"more"` // how many buffers in the way are not listed
}

// mostInTheWay is how many buffers of an explanation are in the page.
const mostInTheWay = 64

// newScene turns a run into what the script reads.
func newScene(r *Run, c *Columns) scene {
	run := r.Metrics
	s := scene{
		Name: r.Name, Note: r.Note, Command: r.Command, Duration: run.Summary.Duration, Unit: 1,
		Heaps: []sceneHeap{}, Clients: []sceneClient{}, Views: []sceneView{}, Spaces: []sceneSpace{}, Events: []sceneIncident{},
		Counts: run.Summary.Incidents, Explains: map[int]explanation{}, Recorded: r.History != nil,
	}
	for _, sample := range run.Samples {
		s.Duration = max(s.Duration, sample.At)
	}
	for _, cause := range allocator.Causes() {
		s.Causes = append(s.Causes, cause.String())
	}
	for kind := range physmem.Hole + 1 {
		s.Kinds = append(s.Kinds, kind.String())
	}
	for _, h := range run.Summary.Heaps {
		s.Heaps = append(s.Heaps, sceneHeap{h.Name, h.Kind, h.Allocator, h.Aware, uint64(h.Capacity), uint64(h.Limit)})
	}
	for i, totals := range run.Summary.Clients {
		client := sceneClient{Name: totals.Name, Devices: totals.Devices, Requests: totals.Requests, Failures: totals.Failures, Constraints: []devices.PlanPart{}}
		if i < len(r.Clients) && r.Clients[i].Constraints != nil {
			client.Constraints = r.Clients[i].Constraints
		}
		s.Clients = append(s.Clients, client)
	}
	for i := range run.Incidents {
		incident := &run.Incidents[i]
		s.Events = append(s.Events, sceneIncident{incident.At, incident.Kind.String(), report.Incident(incident)})
	}
	for i, e := range r.Explains {
		s.Explains[i] = newExplanation(e)
	}
	s.Unit = commonUnit(r)
	s.addViews(r, c)
	if r.History != nil {
		s.addHistory(r.History, c)
	}
	addSamples(run, c)
	addFailures(run, c)
	s.addMemory(run, c)
	s.addSpaces(run, c)
	s.Columns = c.specs
	return s
}

func newExplanation(e *explain.Explanation) explanation {
	short := *e
	short.InTheWay = e.InTheWay[:min(len(e.InTheWay), mostInTheWay)]
	return explanation{Headline: e.Headline(), Reason: e.Reason(), Died: e.Died(), Explanation: &short, More: len(e.InTheWay) - len(short.InTheWay)}
}

// commonUnit is the largest power of two that divides all addresses and sizes, at
// most a page.
func commonUnit(r *Run) uint64 {
	all := uint64(4096)
	add := func(m mem.Range) { all |= m.Lo | m.Hi }
	for _, m := range r.Metrics.Maps {
		add(m.Hull)
		for _, set := range append(slices.Clone(m.Reaches), m.Arena) {
			for _, piece := range set {
				add(piece)
			}
		}
	}
	if r.History != nil {
		for _, f := range r.History.Frames {
			add(f.Hull)
		}
		for i := range r.History.Buffers {
			b := &r.History.Buffers[i]
			add(b.Hull)
			for _, piece := range b.Pieces {
				add(piece)
			}
		}
	}
	return 1 << bits.TrailingZeros64(all)
}

// addViews adds what there is to look at: every arena and CMA area, then RAM.
func (s *scene) addViews(r *Run, c *Columns) {
	var ram *sceneView
	var frames []history.Frames
	if r.History != nil {
		frames = r.History.Frames
	}
	paged := []int{}
	for i := range s.Heaps {
		if s.Heaps[i].Kind != "carveout" {
			paged = append(paged, i)
		}
	}
	if len(frames) > 0 {
		ram = s.newView("RAM", paged, frames[0].Hull)
		ram.Arena = s.ranges(mem.RangeSet{frames[0].Hull}, frames[0].Hull.Lo)
		ram.addFrames(&frames[0], c)
	}
	coarse := r.History == nil || r.History.LeftOut.Buffers > 0
	for i := range r.Metrics.Maps {
		m := &r.Metrics.Maps[i]
		h := &r.Metrics.Summary.Heaps[m.Heap]
		if m.Hull.Empty() {
			continue
		}
		if h.Kind == "system" || h.Kind == "pooled" {
			if ram == nil {
				ram = s.newView("RAM", paged, m.Hull)
			}
			ram.Arena = s.ranges(m.Arena, m.Hull.Lo)
			if coarse && ram.Rows == 0 {
				ram.addCells(m, c)
			}
			continue
		}
		v := s.newView(h.Name, []int{m.Heap}, m.Hull)
		v.Arena = s.ranges(m.Arena, m.Hull.Lo)
		for k, reach := range m.Reaches {
			v.Windows = append(v.Windows, sceneWindow{h.Reaches[k].Device, s.ranges(reach, m.Hull.Lo)})
		}
		if k := slices.IndexFunc(frames, func(f history.Frames) bool { return f.Hull == m.Hull }); k > 0 {
			v.addFrames(&frames[k], c)
		}
		if coarse {
			v.addCells(m, c)
		}
		s.Views = append(s.Views, *v)
	}
	if ram != nil {
		s.Views = append(s.Views, *ram)
	}
}

// addFrames adds what page frames held.
func (v *sceneView) addFrames(f *history.Frames, c *Columns) {
	v.Frames = f.Rows
	AddRising(c, "frames.at."+v.Name, len(f.Times), func(i int) time.Duration { return f.Times[i] })
	Add(c, "frames.kind."+v.Name, len(f.Kinds), func(i int) physmem.Kind { return f.Kinds[i] })
}

func (s *scene) newView(name string, heaps []int, hull mem.Range) *sceneView {
	return &sceneView{Name: name, Heaps: heaps, Lo: hull.Lo / s.Unit, Size: hull.Size() / s.Unit, Arena: [][2]uint64{}, Windows: []sceneWindow{}}
}

// ranges returns a set in units from an address on, as first units and lengths.
func (s *scene) ranges(set mem.RangeSet, from uint64) [][2]uint64 {
	list := make([][2]uint64, len(set))
	for i, piece := range set {
		list[i] = [2]uint64{(piece.Lo - from) / s.Unit, piece.Size() / s.Unit}
	}
	return list
}

// addCells adds the coarse map of the samples.
func (v *sceneView) addCells(m *metrics.Map, c *Columns) {
	v.Rows = m.Rows
	AddRising(c, "cells.at."+v.Name, len(m.Times), func(i int) time.Duration { return m.Times[i] })
	Add(c, "cells.client."+v.Name, len(m.Cells), func(i int) int { return int(m.Cells[i].Client) + 1 }) // 0: nobody
	Add(c, "cells.fill."+v.Name, len(m.Cells), func(i int) uint8 { return m.Cells[i].Fill })
}

func (s *scene) addHistory(h *history.Record, c *Columns) {
	if h.LeftOut.Buffers > 0 {
		s.LeftOut = &sceneLoss{h.LeftOut.Buffers, h.LeftOut.Heaviest}
	}
	b := h.Buffers
	n := len(b)
	AddRising(c, "buffer.number", n, func(i int) uint64 { return b[i].Number })
	AddRising(c, "buffer.start", n, func(i int) time.Duration { return b[i].Start })
	Add(c, "buffer.life", n, func(i int) time.Duration { return b[i].End - b[i].Start })
	Add(c, "buffer.freed", n, func(i int) uint64 { // events after the allocation; 0: never
		return max(b[i].Freed, b[i].Number) - b[i].Number
	})
	Add(c, "buffer.heap", n, func(i int) int { return b[i].Heap })
	Add(c, "buffer.client", n, func(i int) int { return b[i].Client })
	Add(c, "buffer.payload", n, func(i int) uint64 { return b[i].Payload })
	Add(c, "buffer.reserved", n, func(i int) uint64 { return b[i].Reserved })
	Add(c, "buffer.align", n, func(i int) uint64 { return b[i].Align })
	Add(c, "buffer.pieces", n, func(i int) int { return max(len(b[i].Pieces), 1) })
	var pieces []mem.Range
	for i := range b {
		if b[i].Pieces == nil {
			pieces = append(pieces, b[i].Hull)
		}
		pieces = append(pieces, b[i].Pieces...)
	}
	Add(c, "piece.lo", len(pieces), func(i int) uint64 { return pieces[i].Lo / s.Unit })
	Add(c, "piece.size", len(pieces), func(i int) uint64 { return pieces[i].Size() / s.Unit })
}

func addSamples(run *metrics.Run, c *Columns) {
	samples := run.Samples
	n := len(samples)
	AddRising(c, "sample.at", n, func(i int) time.Duration { return samples[i].At })
	Add(c, "sample.heap", n, func(i int) int { return samples[i].Heap })
	Add(c, "sample.reserved", n, func(i int) uint64 { return samples[i].Reserved })
	Add(c, "sample.peak", n, func(i int) uint64 { return samples[i].Peak })
	Add(c, "sample.free", n, func(i int) uint64 { return samples[i].Free })
	Add(c, "sample.largest", n, func(i int) uint64 { return samples[i].Largest })
	Add(c, "sample.holes", n, func(i int) int { return samples[i].Holes })
	Add(c, "sample.blocks", n, func(i int) int { return samples[i].Blocks })
	Add(c, "sample.failures", n, func(i int) (sum uint64) {
		for _, count := range samples[i].Failures {
			sum += count
		}
		return sum
	})
}

func addFailures(run *metrics.Run, c *Columns) {
	f := run.Failures
	n := len(f)
	client := func(i int) int {
		return slices.IndexFunc(run.Summary.Clients, func(t metrics.ClientTotals) bool { return t.Name == f[i].Client }) + 1
	}
	heap := func(i int) int {
		return slices.IndexFunc(run.Summary.Heaps, func(t metrics.HeapTotals) bool { return t.Name == f[i].Heap }) + 1
	}
	cause := func(i int) int { return slices.Index(allocator.Causes(), f[i].Cause) + 1 }
	AddRising(c, "failure.at", n, func(i int) time.Duration { return f[i].At })
	AddRising(c, "failure.op", n, func(i int) uint64 { return f[i].Op })
	Add(c, "failure.client", n, client) // 0: nobody known
	Add(c, "failure.heap", n, heap)
	Add(c, "failure.cause", n, cause)
	for _, column := range []struct {
		name string
		of   func(*metrics.Failure) mem.Size
	}{
		{"size", func(f *metrics.Failure) mem.Size { return f.Size }},
		{"reserve", func(f *metrics.Failure) mem.Size { return f.Reserve }},
		{"free", func(f *metrics.Failure) mem.Size { return f.Free }},
		{"reach", func(f *metrics.Failure) mem.Size { return f.InReach }},
		{"largest", func(f *metrics.Failure) mem.Size { return f.Largest }},
		{"polluted", func(f *metrics.Failure) mem.Size { return f.Polluted }},
		{"waiting", func(f *metrics.Failure) mem.Size { return f.Waiting }},
	} {
		Add(c, "failure."+column.name, n, func(i int) mem.Size { return column.of(&f[i]) })
	}
}

func (s *scene) addMemory(run *metrics.Run, c *Columns) {
	if run.Summary.Memory == nil {
		return
	}
	s.Memory = uint64(run.Summary.Memory.Capacity)
	m := run.Memory
	AddRising(c, "memory.at", len(m), func(i int) time.Duration { return m[i].At })
	for _, column := range []struct {
		name string
		of   func(*metrics.MemorySample) uint64
	}{
		{"kernel", func(m *metrics.MemorySample) uint64 { return m.Kernel }},
		{"dmabuf", func(m *metrics.MemorySample) uint64 { return m.DMABuf }},
		{"anonymous", func(m *metrics.MemorySample) uint64 { return m.Anonymous }},
		{"cache", func(m *metrics.MemorySample) uint64 { return m.PageCache }},
		{"kept", func(m *metrics.MemorySample) uint64 { return m.Cached }},
		{"free", func(m *metrics.MemorySample) uint64 { return m.Free }},
		{"swapped", func(m *metrics.MemorySample) uint64 { return m.Swapped }},
	} {
		Add(c, "memory."+column.name, len(m), func(i int) uint64 { return column.of(&m[i]) })
	}
}

func (s *scene) addSpaces(run *metrics.Run, c *Columns) {
	for _, t := range run.Summary.Spaces {
		s.Spaces = append(s.Spaces, sceneSpace{t.Name, string(t.Kind), uint64(t.Capacity)})
	}
	samples := run.Spaces
	n := len(samples)
	AddRising(c, "space.at", n, func(i int) time.Duration { return samples[i].At })
	Add(c, "space.space", n, func(i int) int { return samples[i].Space })
	Add(c, "space.used", n, func(i int) uint64 { return samples[i].Used })
	Add(c, "space.peak", n, func(i int) uint64 { return samples[i].Peak })
	Add(c, "space.waiting", n, func(i int) uint64 { return samples[i].Waiting })
	Add(c, "space.cached", n, func(i int) uint64 { return samples[i].Cached })
	Add(c, "space.largest", n, func(i int) uint64 { return samples[i].Largest })
}
