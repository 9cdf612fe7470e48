package metrics_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"dmasim/devices"
	"dmasim/mem"
	"dmasim/sim"
	"dmasim/sim/metrics"
	"dmasim/workloads"
)

// list is a source that plays a list.
type list []workloads.Op

func (l *list) Next(*workloads.Outcome) (workloads.Op, bool) {
	if len(*l) == 0 {
		return workloads.Op{}, false
	}
	op := (*l)[0]
	*l = (*l)[1:]
	return op, true
}

func (*list) Err() error { return nil }

// system is a heap of 100 bytes whose first 40 a device reaches.
func system(t testing.TB, ops ...workloads.Op) sim.Config {
	t.Helper()
	window := devices.Device{Name: "window", Spans: []devices.Span{{Lo: 1000, Size: 40}}}
	inWindow, err := devices.Merge(window)
	if err != nil {
		t.Fatal(err)
	}
	anywhere, err := devices.Merge()
	if err != nil {
		t.Fatal(err)
	}
	source := list(ops)
	return sim.Config{
		CheckEvery: 1,
		Heaps: []sim.Heap{{
			Name: "main", Arena: mem.NewRangeSet(mem.Range{Lo: 1000, Hi: 1100}), Granule: 2,
			Allocator: "first-fit", Aware: true, UnusableSize: 20,
		}},
		Devices: []devices.Device{window},
		Clients: []sim.Client{{Name: "anywhere", Plan: anywhere}, {Name: "window", Devices: []int{0}, Plan: inWindow}},
		Inputs:  []sim.Input{{Name: "list", Source: &source, Clients: []int{0, 1}}},
	}
}

func collect(t testing.TB, cfg sim.Config) metrics.Run {
	t.Helper()
	s, err := sim.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	c := metrics.NewCollector(cfg, s)
	if err := s.Run(context.Background()); err != nil {
		t.Fatal(err)
	}
	return c.Run()
}

func op(at time.Duration, client int, size uint64, lifetime time.Duration) workloads.Op {
	return workloads.Op{At: at, Client: client, Size: size, Lifetime: lifetime}
}

// TestFiguresOfAWorkedRun follows three buffers by hand:
//
//	[0, 6)  19 bytes of "anywhere", 20 reserved at 1000
//	[2, 8)  30 bytes of "anywhere" at 1020
//	[4, 10) 10 bytes of "window": none of the 40 are free in one run
//	        of 10 below 1040 until 6, so the request at 4 fails: free are 50,
//	        none of it in reach
//	[7, 9)  10 bytes of "window" at 1000
func TestFiguresOfAWorkedRun(t *testing.T) {
	cfg := system(t, op(0, 0, 19, 6), op(2, 0, 30, 6), op(4, 1, 10, 6), op(7, 1, 10, 2))
	cfg.Duration = 10
	run := collect(t, cfg)
	s := run.Summary
	h := s.Heaps[0]
	for _, c := range []struct {
		what      string
		got, want any
	}{
		{"events", s.Events, uint64(7)},
		{"duration", s.Duration, time.Duration(10)},
		// (6·19 + 6·30 + 2·10) / 10 and the same with 20.
		{"mean requested", h.MeanRequested, 31.4},
		{"mean reserved", h.MeanReserved, 32.0},
		{"mean blocks", h.MeanBlocks, 1.4},
		{"peak reserved", h.PeakReserved, mem.Size(50)},
		{"peak requested", h.PeakRequested, mem.Size(49)},
		{"high water", h.HighWater, mem.Size(50)},
		{"capacity", h.Capacity, mem.Size(100)},
		{"internal", h.Internal, metrics.Internal{Granule: 0.6}},
		{"failures", s.Clients[1].Failures, uint64(1)},
		{"failed bytes", s.Clients[1].FailedBytes, mem.Size(10)},
		{"causes", fmt.Sprint(s.Clients[1].Causes), "map[window:1]"},
		{"requests", s.Clients[0].Requests, uint64(2)},
		{"no causes", fmt.Sprint(s.Clients[0].Causes), "map[]"},
		{"first", *s.First, metrics.Failure{
			At: 4, Op: 3, Client: "window", Heap: "main", Size: 10, Reserve: 10, Cause: run.Failures[0].Cause,
			Free: 50, InReach: 0, Largest: 0, Polluted: 40,
		}},
		{"reach", h.Reaches[0].Capacity, mem.Size(40)},
		// Reserved by those who could lie elsewhere: 20 in [0,2), 40 in [2,6), 20 in [6,8).
		{"polluted", h.Reaches[0].MeanPolluted, 24.0},
		// Free in the window: 20, 20, 0 (4 instants), 20, 10, 30, 40.
		{"free in reach", h.Reaches[0].MeanFree, 14.0},
	} {
		if c.got != c.want {
			t.Errorf("%s: got %v, want %v", c.what, c.got, c.want)
		}
	}
	if len(run.Samples) != 11 {
		t.Fatalf("%d samples, want one at each instant from 0 to 10", len(run.Samples))
	}
	// A sample shows what held until its instant, before what happens then.
	for at, want := range []uint64{0, 20, 20, 50, 50, 50, 50, 30, 40, 10, 0} {
		if got := run.Samples[at].Reserved; got != want {
			t.Errorf("at %d: %d bytes reserved, want %d", at, got, want)
		}
	}
	if got := run.Samples[5].Failures; got[run.Failures[0].Cause] != 1 {
		t.Errorf("failures at 5: %v", got)
	}
}

// TestSeriesAreBoundedAndKeepPeaks runs 200,000 events of unknown duration, of
// which one reserves ten times what the others do.
func TestSeriesAreBoundedAndKeepPeaks(t *testing.T) {
	var ops []workloads.Op
	for i := range time.Duration(100_000) {
		size := uint64(4)
		if i == 61_803 {
			size = 40
		}
		ops = append(ops, op(10*i, 0, size, 5))
	}
	cfg := system(t, ops...)
	cfg.CheckEvery = 0
	run := collect(t, cfg)
	if n := len(run.Samples); n < 256 || n > 1025 {
		t.Errorf("%d samples", n)
	}
	var peak uint64
	for i, s := range run.Samples {
		peak = max(peak, s.Peak)
		if i > 0 && s.At <= run.Samples[i-1].At {
			t.Fatalf("sample %d at %v is not after the one before", i, s.At)
		}
	}
	if peak != 40 {
		t.Errorf("the highest peak of the samples is %d, want 40", peak)
	}
	m := run.Maps[0]
	if len(m.Cells) != m.Rows*len(m.Times) || len(m.Times) != len(run.Samples) {
		t.Errorf("%d cells in %d rows at %d instants, %d samples", len(m.Cells), m.Rows, len(m.Times), len(run.Samples))
	}
}

// TestWhatHoldsForNoTimeIsNotSampled frees one buffer and allocates another at
// the same instant.
// countedList is a list that knows how long it is.
type countedList struct{ list }

func (l *countedList) Operations() uint64 { return uint64(len(l.list)) }

// TestSamplesOfKnownLength measures the same whether the length of the work is known
// or not.
func TestSamplesOfKnownLength(t *testing.T) {
	for _, c := range []struct {
		live int
		size uint64
	}{{20, 2}, {20, 30}, {5000, 2}} { // with 30 bytes, most requests are refused
		for _, n := range []int{10, 1023, 1024, 2047, 5000, 40_000} {
			ops := comingAndGoing(n, c.live, c.size)
			cfg := system(t, ops...)
			cfg.CheckEvery = 0
			if c.live > 20 {
				cfg.Heaps[0].Arena = mem.NewRangeSet(mem.Range{Lo: 1000, Hi: 100_000})
			}
			want := collect(t, cfg)
			cfg.Inputs[0].Source = &countedList{ops}
			got := collect(t, cfg)
			if !reflect.DeepEqual(got, want) {
				t.Errorf("%d operations of %d bytes: %d samples, want %d", n, c.size, len(got.Samples), len(want.Samples))
			}
			if most := 1024; len(want.Samples) > most || n > most && len(want.Samples) < most/4 {
				t.Errorf("%d operations: %d samples", n, len(want.Samples))
			}
		}
	}
}

// comingAndGoing is work on at most so many buffers at a time: they come as long as
// there are less than half as many, and come and go from there.
func comingAndGoing(n, most int, size uint64) []workloads.Op {
	draws := rand.New(rand.NewPCG(uint64(n), size))
	var ops []workloads.Op
	var live []uint64
	for i := range n {
		o := workloads.Op{At: time.Duration(i), Buffer: uint64(i), Size: size}
		if len(live) >= most || len(live) > most/2 && draws.IntN(2) == 0 {
			at := draws.IntN(len(live))
			o.Kind, o.Buffer, o.Size = workloads.Free, live[at], 0
			live[at] = live[len(live)-1]
			live = live[:len(live)-1]
		} else {
			live = append(live, o.Buffer)
		}
		ops = append(ops, o)
	}
	return ops
}

// TestSamplesOfManyBuffers samples fewer instants where less happens than there are
// buffers, but never less than a quarter.
func TestSamplesOfManyBuffers(t *testing.T) {
	const duration = 512 * 100
	for _, c := range []struct{ live, operations, least, most int }{
		{1000, 20_000, 512, 514},
		{5000, 20_000, 128, 200},
		{10_000, 1_000_000, 128, 200},
		{5000, 1_000_000, 256, 514},
	} {
		ops := comingAndGoing(c.operations, c.live, 2)
		for i := range ops {
			ops[i].At = time.Duration(i) * duration / time.Duration(len(ops))
		}
		cfg := system(t, ops...)
		cfg.CheckEvery, cfg.Duration = 0, duration
		cfg.Heaps[0].Arena = mem.NewRangeSet(mem.Range{Lo: 1000, Hi: 100_000})
		run := collect(t, cfg)
		if n := len(run.Samples); n < c.least || n > c.most {
			t.Errorf("%d buffers, %d operations: %d samples, want %d to %d", c.live, c.operations, n, c.least, c.most)
		}
		if last := run.Samples[len(run.Samples)-1]; last.At != duration {
			t.Errorf("the last sample is at %v, want %v", last.At, time.Duration(duration))
		}
	}
}

func TestWhatHoldsForNoTimeIsNotSampled(t *testing.T) {
	run := collect(t, system(t, op(0, 0, 50, 10), op(10, 0, 40, 10), op(20, 0, 30, 10)))
	var got []string
	for _, s := range run.Samples {
		got = append(got, fmt.Sprint(int(s.At), s.Reserved, s.Peak))
	}
	if want := "[0 50 50 10 40 50 20 30 40 30 0 30]"; fmt.Sprint(got) != want {
		t.Errorf("got %v, want %s", got, want)
	}
	if m := run.Maps[0]; len(m.Cells) != m.Rows*len(run.Samples) {
		t.Errorf("%d cells in %d rows at %d instants", len(m.Cells), m.Rows, len(run.Samples))
	}
}

// TestMapShowsWhoHoldsWhat reads the map of two buffers and the hole between.
func TestMapShowsWhoHoldsWhat(t *testing.T) {
	cfg := system(t, op(0, 1, 20, 100), op(0, 0, 20, 1), op(0, 0, 40, 100))
	cfg.Duration = 10
	m := collect(t, cfg).Maps[0]
	if m.Rows != 50 {
		t.Fatalf("%d rows, want one for each granule", m.Rows)
	}
	last := m.Cells[len(m.Cells)-m.Rows:]
	for row, cell := range last {
		want := int16(-1)
		switch {
		case row < 10:
			want = 1
		case row >= 20 && row < 40:
			want = 0
		}
		if cell.Client != want || (cell.Fill == 255) != (want >= 0) {
			t.Errorf("row %d: %+v, want client %d", row, cell, want)
		}
	}
}

func TestRunWithoutEvents(t *testing.T) {
	for _, duration := range []time.Duration{0, time.Second} {
		cfg := system(t)
		cfg.Duration = duration
		run := collect(t, cfg)
		if run.Summary.Events != 0 || run.Summary.First != nil || len(run.Samples) == 0 {
			t.Errorf("duration %v: %+v", duration, run.Summary)
		}
	}
}
