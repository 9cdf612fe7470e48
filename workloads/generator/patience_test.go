package generator_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"dmasim/allocator"
	"dmasim/workloads"
	"dmasim/workloads/generator"
)

// insist plays operations of a generator that asks again, checks what always holds, and
// returns them and what became of the buffers.
func insist(t testing.TB, g *generator.Generator, seed uint64, config workloads.RetryConfig, duration time.Duration, refuse func(op workloads.Op, live uint64) bool) ([]workloads.Op, []workloads.Ending) {
	t.Helper()
	source, err := workloads.NewRetrying(g.Source(seed, "w"), config)
	if err != nil {
		t.Fatal(err)
	}
	var endings []workloads.Ending
	source.Watch(func(e workloads.Ending) { endings = append(endings, e) })
	pools := g.Pools()
	live, waiting := map[uint64]workloads.Op{}, map[uint64]workloads.Op{}
	held := make([]uint64, len(pools))
	var total, first uint64
	var ops []workloads.Op
	var last *workloads.Outcome
	for n := 0; n < 1_500; n++ {
		settled := len(endings)
		op, more := source.Next(last)
		for _, e := range endings[settled:] {
			// A buffer that was dropped is free to be asked for anew.
			if e.Fate.Dropped() {
				delete(waiting, e.Buffer)
			}
		}
		if !more || op.At >= duration {
			break
		}
		last = &workloads.Outcome{Op: op}
		if len(ops) > 0 && op.At < ops[len(ops)-1].At {
			t.Fatalf("operation %d is at %v, the one before at %v", n, op.At, ops[len(ops)-1].At)
		}
		ops = append(ops, op)
		held0, alive := live[op.Buffer]
		if op.Kind == workloads.Free {
			if alive {
				held[held0.Client] -= held0.Size
				total -= held0.Size
				delete(live, op.Buffer)
			} else if len(endings) == settled || endings[len(endings)-1].Fate != workloads.Cancelled {
				t.Fatalf("operation %d frees buffer %d, which neither lives nor waits", n, op.Buffer)
			}
			continue
		}
		if alive {
			t.Fatalf("operation %d asks for buffer %d, which is live", n, op.Buffer)
		}
		w, again := waiting[op.Buffer]
		if again && (w.Size != op.Size || w.Client != op.Client) {
			t.Fatalf("operation %d asks for %+v again as %+v", n, w, op)
		}
		if !again {
			first++
		}
		if refuse(op, total) {
			last.Cause = allocator.Exhausted
			if !again {
				waiting[op.Buffer] = op
			}
			continue
		}
		delete(waiting, op.Buffer)
		live[op.Buffer] = op
		held[op.Client] += op.Size
		total += op.Size
		if held[op.Client] > pools[op.Client].Most {
			t.Fatalf("operation %d: pool %s holds %d bytes, more than %d", n, pools[op.Client].Name, held[op.Client], pools[op.Client].Most)
		}
	}
	return ops, endings
}

func TestPatientSourcesAreConsistent(t *testing.T) {
	for _, kind := range generator.Names() {
		t.Run(kind, func(t *testing.T) {
			rapid.Check(t, func(rt *rapid.T) {
				g, seed := some(rt, kind), rapid.Uint64().Draw(rt, "seed")
				config := workloads.RetryConfig{
					Name: "w", Retries: rapid.SampledFrom([]uint64{0, 1, 5, workloads.Unlimited}).Draw(rt, "retries"),
					Backoff: workloads.Backoff{
						Initial: time.Duration(rapid.IntRange(1, 2000).Draw(rt, "initial")) * time.Millisecond,
						Factor:  rapid.Float64Range(1, 2).Draw(rt, "factor"), Jitter: rapid.Float64Range(0, 1).Draw(rt, "jitter"),
					},
					Deadline: time.Duration(rapid.IntRange(0, 5).Draw(rt, "deadline")) * time.Second,
				}
				share := rapid.Uint64Range(1, 9).Draw(rt, "share")
				insist(t, g, seed, config, time.Hour, func(op workloads.Op, live uint64) bool { return live+op.Size > g.Most()/10*share })
			})
		})
	}
}

// TestWaitingSession: a session that waits for a buffer goes on when it gets it, and ends
// when it would have ended; one that waits until then drops the buffer.
func TestWaitingSession(t *testing.T) {
	g, err := generator.Parse("decode:ladder=1280x720,session_cv=0,pause_cv=0,session=10s,pause=5s")
	if err != nil {
		t.Fatal(err)
	}
	served := play(t, g, 1, time.Minute, nil)
	begin := served[0].At
	config := workloads.RetryConfig{Retries: workloads.Unlimited, Backoff: workloads.Backoff{Initial: time.Second}}
	for _, c := range []struct {
		name  string
		until time.Duration // when buffer 5 is served, from the beginning of its session
		live  int           // buffers that are freed at the end, of them that which waits
		fate  workloads.Fate
	}{
		{"served", 3 * time.Second, 0, workloads.ServedByRetry},
		{"at the end", time.Hour, 6, workloads.Cancelled},
	} {
		ops, endings := insist(t, g, 1, config, begin+12*time.Second, func(op workloads.Op, _ uint64) bool {
			return op.Buffer == 5 && op.At < begin+c.until
		})
		var late, freed int
		for _, op := range ops {
			if op.Kind == workloads.Free {
				freed++
				if end := begin + 10*time.Second; op.At != end {
					t.Errorf("%s: %+v, want it at %v", c.name, op, end)
				}
			} else if op.At > begin+c.until && op.Buffer > 5 {
				late++
			}
		}
		if c.live > 0 && freed != c.live || c.live == 0 && (freed < 7 || late == 0) {
			t.Errorf("%s: %d freed, %d allocated after the wait", c.name, freed, late)
		}
		if e := endings[5]; e.Fate != c.fate || e.Retries < 3 {
			t.Errorf("%s: %+v", c.name, e)
		}
	}
}

// TestSessionsWaitAlone: while one program waits, the others of the workload go on, and
// what they free serves it.
func TestSessionsWaitAlone(t *testing.T) {
	g, err := generator.Parse("gpu:apps=3,session=5s,pause=2s")
	if err != nil {
		t.Fatal(err)
	}
	config := workloads.RetryConfig{Retries: workloads.Unlimited, Backoff: workloads.Backoff{Initial: 50 * time.Millisecond}}
	ops, endings := insist(t, g, 1, config, 10*time.Minute, func(op workloads.Op, live uint64) bool { return live+op.Size > 100<<20 })
	waited := 0
	for _, e := range endings {
		if e.Fate != workloads.ServedByRetry {
			continue
		}
		waited++
		others := false
		for _, op := range ops {
			others = others || op.Kind == workloads.Free && op.At > e.Asked && op.At <= e.At
		}
		if !others {
			t.Errorf("%+v was served though nothing was freed", e)
		}
	}
	if waited == 0 {
		t.Errorf("nobody waited for another: %d endings", len(endings))
	}
}
