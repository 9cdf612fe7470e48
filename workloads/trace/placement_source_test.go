package trace_test

import (
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"dmasim/workloads"
	"dmasim/workloads/trace"
)

func placementSource(t *testing.T, text string, tick time.Duration) *trace.PlacementSource {
	t.Helper()
	r, err := trace.NewPlacementReader(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return trace.NewPlacementSource(r, tick)
}

func ops(s workloads.Source) []workloads.Op {
	var list []workloads.Op
	for op, ok := s.Next(nil); ok; op, ok = s.Next(nil) {
		list = append(list, op)
	}
	return list
}

func TestPlacementSource(t *testing.T) {
	s := placementSource(t, "a 3 8192 4096 65536\nf 3\na 3 100 0\n", time.Millisecond)
	want := []workloads.Op{
		{At: 0, Kind: workloads.Alloc, Buffer: 3, Size: 8192, Align: 4096, Limit: 65536},
		{At: time.Millisecond, Kind: workloads.Free, Buffer: 3},
		{At: 2 * time.Millisecond, Kind: workloads.Alloc, Buffer: 3, Size: 100},
	}
	if d := cmp.Diff(want, ops(s)); d != "" || s.Err() != nil {
		t.Error(d, s.Err())
	}
}

// TestPlacementSourceFills holds batches of every size to the operations one by one,
// also where the trace is wrong.
func TestPlacementSourceFills(t *testing.T) {
	for _, text := range []string{
		"a 3 8192 4096 65536\nf 3\na 3 100 0\na 0 1 0\nf 3\n",
		"a 3 8192 4096 65536\nf 3\na 3 100 0\nf 0\n",
		"a 3 8192 4096 65536\na 0 1 0\nf",
	} {
		single := placementSource(t, text, time.Millisecond)
		want := ops(single)
		for size := 1; size <= len(want)+1; size++ {
			s := placementSource(t, text, time.Millisecond)
			var got []workloads.Op
			batch := make([]workloads.Op, size)
			for {
				for i := range batch {
					batch[i] = workloads.Op{Client: 1, Lifetime: 1} // of another time
				}
				n := s.Fill(batch)
				got = append(got, batch[:n]...)
				if n < size {
					break
				}
			}
			if d := cmp.Diff(want, got); d != "" || fmt.Sprint(s.Err()) != fmt.Sprint(single.Err()) {
				t.Errorf("batches of %d: %v, want %v\n%s", size, s.Err(), single.Err(), d)
			}
		}
	}
}

func TestPlacementSourceFails(t *testing.T) {
	for _, test := range []struct {
		name, text string
		tick       time.Duration
		want       error
	}{
		{"torn", "a 0 1 0\nf 0", 1, io.ErrUnexpectedEOF},
		{"contradiction", "a 0 1 0\na 0 1 0\n", 1, trace.ErrPlacementState},
		{"too long", "a 0 1 0\nf 0\na 0 1 0\n", math.MaxInt64/2 + 1, trace.ErrTooLong},
	} {
		s := placementSource(t, test.text, test.tick)
		if got := ops(s); len(got) != 1 || !errors.Is(s.Err(), test.want) {
			t.Errorf("%s: %d operations, then %v, want 1 and %v", test.name, len(got), s.Err(), test.want)
		}
	}
}

// TestPlacementSourceRetried: what comes in batches is also asked again, and is the same
// work where nothing is refused.
func TestPlacementSourceRetried(t *testing.T) {
	const text = "a 3 8192 4096 65536\nf 3\na 3 100 0\na 4 100 0\nf 4\n"
	want := ops(placementSource(t, text, time.Millisecond))
	r, err := workloads.NewRetrying(placementSource(t, text, time.Millisecond), workloads.RetryConfig{Retries: 1, Backoff: workloads.Backoff{Initial: 1}})
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, ops(r)); d != "" {
		t.Error(d)
	}
	if _, batches := workloads.Source(r).(workloads.BatchSource); batches {
		t.Error("whose outcomes matter comes in batches")
	}
}
