package workloads_test

import (
	"testing"
	"time"

	"dmasim/allocator"
	"dmasim/workloads"
)

func saturated(t *testing.T, count uint64) *workloads.Saturated {
	t.Helper()
	s, err := workloads.NewSaturated(workloads.ChurnConfig{
		Name: "queue", Seed: 1, Count: count,
		Size:     workloads.Distribution{Kind: "uniform", Parameters: parameters{"min": 1, "max": 100}},
		Lifetime: exponential(time.Second),
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestSaturated serves as much as memory without fragmentation holds: at any time the
// next buffer in the queue is one that does not fit, and the order is that of the draws.
func TestSaturated(t *testing.T) {
	const capacity, count = 1000, 500
	s := saturated(t, count)
	type live struct {
		end  time.Duration
		size uint64
	}
	var held []live
	var used, served uint64
	var now time.Duration
	var last *workloads.Outcome
	for {
		op, ok := s.Next(last)
		if !ok {
			break
		}
		if op.At < now || op.Buffer != served {
			t.Fatalf("%+v after %s, %d served", op, now, served)
		}
		if waited := op.At > now; waited {
			if last == nil || last.Cause == allocator.None {
				t.Fatalf("%+v waits for nothing", op)
			}
			freed := false
			for i := len(held) - 1; i >= 0; i-- {
				if held[i].end <= op.At {
					used -= held[i].size
					freed = freed || held[i].end == op.At
					held = append(held[:i], held[i+1:]...)
				}
			}
			if !freed {
				t.Fatalf("%+v is asked for when nothing is freed", op)
			}
		}
		now = op.At
		last = &workloads.Outcome{Op: op, Cause: allocator.Exhausted}
		if used+op.Size <= capacity {
			last.Cause = allocator.None
			used += op.Size
			served++
			held = append(held, live{op.At + op.Lifetime, op.Size})
		}
	}
	if s.Err() != nil || served != count {
		t.Errorf("%d served: %v", served, s.Err())
	}
}

// TestSaturatedGivesUp ends where memory holds nothing of the work.
func TestSaturatedGivesUp(t *testing.T) {
	s := saturated(t, 0)
	var last *workloads.Outcome
	for n := range uint64(2000) {
		op, ok := s.Next(last)
		if !ok {
			if s.Err() == nil || n < 1000 {
				t.Errorf("ends after %d: %v", n, s.Err())
			}
			return
		}
		if op.Buffer != n || op.At != 0 {
			t.Fatalf("%+v, want buffer %d", op, n)
		}
		last = &workloads.Outcome{Op: op, Cause: allocator.Exhausted}
	}
	t.Error("goes on for ever")
}

// TestSaturatedDraws has the sizes and lifetimes of a churn with the same key.
func TestSaturatedDraws(t *testing.T) {
	config := twoClients()
	arrivals := churn(t, config)
	s, err := workloads.NewSaturated(config)
	if err != nil {
		t.Fatal(err)
	}
	var last *workloads.Outcome
	for _, want := range arrivals {
		op, ok := s.Next(last)
		want.At = op.At
		if !ok || op != want {
			t.Fatalf("%+v, want %+v", op, want)
		}
		last = &workloads.Outcome{Op: op}
	}
	if _, err := workloads.NewSaturated(workloads.ChurnConfig{Name: "none"}); err == nil {
		t.Error("a saturated churn without sizes")
	}
}
