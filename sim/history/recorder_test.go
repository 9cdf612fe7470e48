package history_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"dmasim/allocator"
	"dmasim/mem"
	"dmasim/sim"
	"dmasim/sim/history"
	"dmasim/sim/physmem"
	"dmasim/sim/scenario"
)

// build makes the simulation of a scenario's first variant.
func build(t *testing.T, name, text string) sim.Config {
	t.Helper()
	var sc *scenario.Scenario
	var err error
	if text != "" {
		sc, err = scenario.Parse(name, []byte(text))
	} else {
		sc, err = scenario.Open(name)
	}
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := sc.Variants[0].Build(sc.Variants[0].Spec.Seed)
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// naive keeps everything there is to know of the buffers of arenas.
type naive struct{ all []history.Buffer }

func (*naive) Advance(time.Duration) {}

func (n *naive) Event(e *sim.Event) {
	at := mem.Range{Lo: e.Buffer.Block.Addr, Hi: e.Buffer.Block.Addr + e.Buffer.Block.Size}
	switch {
	case e.Kind == sim.Alloc && e.Diagnosis.Cause == allocator.None:
		n.all = append(n.all, history.Buffer{
			Number: e.Number, Heap: e.Heap, Client: e.Client, Start: e.At,
			Payload: e.Size, Reserved: e.Buffer.Block.Size, Hull: at,
		})
	case e.Kind == sim.Free:
		i := slices.IndexFunc(n.all, func(b history.Buffer) bool { return b.Freed == 0 && b.Heap == e.Heap && b.Hull == at })
		n.all[i].Freed, n.all[i].End = e.Number, e.At
	}
}

func record(t *testing.T, cfg sim.Config, limits history.Limits) (history.Record, []history.Buffer) {
	t.Helper()
	seen := &naive{}
	s, err := sim.New(cfg, seen)
	if err != nil {
		t.Fatal(err)
	}
	recorder := history.NewRecorder(cfg, s, limits)
	if err := s.Run(context.Background()); err != nil {
		t.Fatal(err)
	}
	for i := range seen.all {
		if seen.all[i].Freed == 0 {
			seen.all[i].End = s.Now()
		}
	}
	return recorder.Record(), seen.all
}

func same(a, b history.Buffer) bool {
	pieces := slices.Equal(a.Pieces, b.Pieces)
	a.Pieces, b.Pieces = nil, nil
	return pieces && a.Number == b.Number && a.Heap == b.Heap && a.Client == b.Client && a.Start == b.Start && a.End == b.End &&
		a.Freed == b.Freed && a.Payload == b.Payload && a.Reserved == b.Reserved && a.Hull == b.Hull
}

func TestEveryBufferIsRecorded(t *testing.T) {
	got, want := record(t, build(t, "cedar-256mib", ""), history.Limits{Pieces: 1 << 20})
	if !slices.EqualFunc(got.Buffers, want, same) {
		t.Fatalf("%d buffers, want these %d", len(got.Buffers), len(want))
	}
	if got.LeftOut.Buffers != 0 || len(got.Frames) > 0 {
		t.Errorf("left out %d, frames %v", got.LeftOut.Buffers, got.Frames)
	}
}

// What is left out is never heavier than what is kept, and all is accounted for.
func TestTheLightestAreLeftOut(t *testing.T) {
	cfg := `
name: churning
duration: 1s
memory: [{base: 0x10000000, size: 16MiB}]
heaps: [{name: main, allocator: first-fit}]
workloads:
  - name: work
    heap: main
    churn: {every: {exponential: {mean: 1ms}}, size: {log_uniform: {min: 4KiB, max: 128KiB}}, lifetime: {exponential: {mean: 100ms}}}
`
	rapid.Check(t, func(r *rapid.T) {
		limit := rapid.IntRange(1, 1300).Draw(r, "limit")
		got, all := record(t, build(t, "test.yaml", cfg), history.Limits{Pieces: limit})
		if len(got.Buffers) > limit || uint64(len(all)) != uint64(len(got.Buffers))+got.LeftOut.Buffers {
			r.Fatalf("%d kept, %d left out of %d; the limit is %d", len(got.Buffers), got.LeftOut.Buffers, len(all), limit)
		}
		if len(all) >= limit && len(got.Buffers) < limit {
			r.Fatalf("%d kept of %d; the limit is %d", len(got.Buffers), len(all), limit)
		}
		weight := func(b history.Buffer) float64 { return float64(b.Reserved) * (b.End - b.Start).Seconds() }
		byNumber := map[uint64]history.Buffer{}
		for _, b := range all {
			byNumber[b.Number] = b
		}
		for _, b := range got.Buffers {
			if weight(b) < got.LeftOut.Heaviest {
				r.Fatalf("buffer %d weighs %v, one of %v is left out", b.Number, weight(b), got.LeftOut.Heaviest)
			}
			if !same(byNumber[b.Number], b) {
				r.Fatalf("buffer %d is not one of the run: %+v", b.Number, b)
			}
		}
	})
}

func TestFramesOfUnknownDuration(t *testing.T) {
	got, _ := record(t, build(t, "cma-borrowed", ""), history.Limits{Pieces: 100})
	if len(got.Frames) != 0 {
		t.Errorf("%d tables of page frames", len(got.Frames))
	}
}

func TestPagesHaveTheirPieces(t *testing.T) {
	cfg := build(t, "pin-all-ram", "")
	got, _ := record(t, cfg, history.Limits{Pieces: 1 << 20, Duration: cfg.Duration})
	several := 0
	for _, b := range got.Buffers {
		pieces := b.Pieces
		if len(pieces) == 0 {
			pieces = []mem.Range{b.Hull}
		} else {
			several++
		}
		var bytes uint64
		for i, piece := range pieces {
			bytes += piece.Size()
			if i > 0 && pieces[i-1].Hi >= piece.Lo {
				t.Fatalf("buffer %d: pieces %v", b.Number, pieces)
			}
		}
		if bytes != b.Reserved || b.Hull.Lo != pieces[0].Lo || b.Hull.Hi != pieces[len(pieces)-1].Hi {
			t.Fatalf("buffer %d: %d bytes in %v, want %d in %v", b.Number, bytes, pieces, b.Reserved, b.Hull)
		}
	}
	if several == 0 {
		t.Error("no buffer has several pieces")
	}
	f := got.Frames[0]
	if len(f.Kinds) != len(f.Times)*f.Rows || f.Times[0] != 0 || f.Times[len(f.Times)-1] != got.End || !slices.IsSorted(f.Times) {
		t.Fatalf("frames: %+v", f)
	}
	for _, kind := range []physmem.Kind{physmem.Free, physmem.Anonymous, physmem.PageCache, physmem.DMABuf} {
		if !slices.Contains(f.Kinds, kind) {
			t.Errorf("nowhere is %v", kind)
		}
	}
}
