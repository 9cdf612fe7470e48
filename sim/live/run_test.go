package live_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"dmasim/allocator"
	"dmasim/mem"
	"dmasim/sim"
	"dmasim/sim/live"
	"dmasim/workloads"
)

// script is a source with fixed operations, which keeps what it is told.
type script struct {
	ops    []workloads.Op
	causes []allocator.Cause
	panics bool
}

func (s *script) Next(last *workloads.Outcome) (workloads.Op, bool) {
	if last != nil {
		s.causes = append(s.causes, last.Cause)
	}
	if len(s.ops) == 0 {
		if s.panics {
			panic("a source that is broken")
		}
		return workloads.Op{}, false
	}
	op := s.ops[0]
	s.ops = s.ops[1:]
	return op, true
}

func (s *script) Err() error { return nil }

// fake is a heap that counts what is open, and refuses from a number on.
type fake struct {
	open, made, refuseFrom int
	err                    error
}

type fakeBuffer struct {
	heap *fake
	size uint64
}

func (f *fake) Alloc(bytes uint64) (live.Buffer, allocator.Cause, error) {
	if f.err != nil {
		return nil, allocator.None, f.err
	}
	if f.made++; f.refuseFrom > 0 && f.made >= f.refuseFrom {
		return nil, allocator.Exhausted, nil
	}
	f.open++
	return &fakeBuffer{f, (bytes + 4095) &^ 4095}, allocator.None, nil
}

func (b *fakeBuffer) Size() uint64 { return b.size }
func (b *fakeBuffer) Close() error { b.heap.open--; return nil }

func config(h live.Heap, source workloads.Source) live.Config {
	return live.Config{
		Config: sim.Config{
			Heaps:   []sim.Heap{{Name: "system", Kind: sim.SystemHeap}},
			Clients: []sim.Client{{Name: "camera"}},
			Inputs:  []sim.Input{{Name: "script", Source: source, Clients: []int{0}}},
		},
		Heap: []live.Heap{h}, Budget: 16 * mem.KiB, Page: 4 * mem.KiB,
	}
}

func alloc(at time.Duration, name, size uint64, lifetime time.Duration) workloads.Op {
	return workloads.Op{At: at, Kind: workloads.Alloc, Buffer: name, Size: size, Lifetime: lifetime}
}

func TestRun(t *testing.T) {
	h := &fake{refuseFrom: 5}
	s := &script{ops: []workloads.Op{
		alloc(0, 1, 5000, 0),                     // two pages
		alloc(1, 0, 4096, 5),                     // freed at 6
		alloc(2, 2, 8192, 0),                     // beyond the budget
		{At: 3, Kind: workloads.Free, Buffer: 2}, // was refused: nothing to do
		alloc(4, 3, 1<<63, 0),
		{At: 5, Kind: workloads.Free, Buffer: 1},
		alloc(6, 1, 16384, 0), // fits: the other one is freed first
		{At: 7, Kind: workloads.Free, Buffer: 1},
		alloc(8, 1, 1, 0),
		alloc(9, 4, 1, 0), // the kernel refuses
	}}
	got, err := live.Run(context.Background(), config(h, s))
	want := live.Summary{
		Requests: 7, Served: 4, OverBudget: 2, Refused: []live.Refusal{{Cause: "exhausted", Requests: 1}},
		Peak: 16 * mem.KiB, PeakCount: 2, Released: 4,
		First: &live.Failure{At: 2, Client: "camera", Size: 8192, Cause: "limit"},
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(live.Summary{})); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
	const none, limit, exhausted = allocator.None, allocator.Limit, allocator.Exhausted
	if diff := cmp.Diff([]allocator.Cause{none, none, limit, none, limit, none, none, none, none, exhausted}, s.causes); diff != "" {
		t.Error(diff)
	}
	if h.open != 0 {
		t.Errorf("%d buffers are left open", h.open)
	}
}

// TestRunReleases ends a run in every way.
func TestRunReleases(t *testing.T) {
	ops := func() []workloads.Op { return []workloads.Op{alloc(0, 1, 1, 0), alloc(1, 2, 1, 0)} }
	for _, test := range []struct {
		name  string
		more  workloads.Op
		want  error
		panic bool
	}{
		{name: "free of nothing", more: workloads.Op{At: 2, Kind: workloads.Free, Buffer: 9}, want: sim.ErrUnknownName},
		{name: "name in use", more: alloc(2, 1, 1, 0), want: sim.ErrNameInUse},
		{name: "no size", more: alloc(2, 3, 0, 0), want: sim.ErrSize},
		{name: "out of order", more: alloc(0, 3, 1, 0), want: sim.ErrOrder},
		{name: "panic", more: alloc(2, 3, 1, 0), panic: true},
	} {
		h := &fake{}
		func() {
			defer func() {
				if r := recover(); (r != nil) != test.panic {
					t.Errorf("%s: %v", test.name, r)
				}
			}()
			_, err := live.Run(context.Background(), config(h, &script{ops: append(ops(), test.more), panics: test.panic}))
			if !errors.Is(err, test.want) {
				t.Errorf("%s: %v, want %v", test.name, err, test.want)
			}
		}()
		if h.open != 0 || h.made < 2 {
			t.Errorf("%s: %d of %d buffers are left open", test.name, h.open, h.made)
		}
	}
	broken := &fake{err: errors.New("the kernel has no such operation")}
	if _, err := live.Run(context.Background(), config(broken, &script{ops: ops()})); !errors.Is(err, broken.err) {
		t.Errorf("heap that fails: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := live.Run(ctx, config(&fake{}, &script{ops: ops()})); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}
