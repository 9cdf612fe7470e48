package workloads_test

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"dmasim/allocator"
	"dmasim/workloads"
)

const ms = time.Millisecond

// listed is a source of given operations.
type listed struct {
	ops []workloads.Op
	err error // at their end
}

func (l *listed) Next(*workloads.Outcome) (workloads.Op, bool) {
	if len(l.ops) == 0 {
		return workloads.Op{}, false
	}
	op := l.ops[0]
	l.ops = l.ops[1:]
	return op, true
}

func (l *listed) Err() error { return l.err }

// drive takes all operations of a source, whose allocations serve decides on.
func drive(source workloads.Source, serve func(workloads.Op) allocator.Cause) []workloads.Op {
	var ops []workloads.Op
	var last *workloads.Outcome
	for {
		op, more := source.Next(last)
		if !more {
			return ops
		}
		ops = append(ops, op)
		last = &workloads.Outcome{Op: op}
		if op.Kind == workloads.Alloc {
			last.Cause = serve(op)
		}
	}
}

func retrying(t testing.TB, source workloads.Source, config workloads.RetryConfig) (*workloads.Retrying, *[]workloads.Ending) {
	t.Helper()
	r, err := workloads.NewRetrying(source, config)
	if err != nil {
		t.Fatal(err)
	}
	var endings []workloads.Ending
	r.Watch(func(e workloads.Ending) { endings = append(endings, e) })
	return r, &endings
}

func TestRetrying(t *testing.T) {
	alloc := func(at time.Duration, name uint64) workloads.Op {
		return workloads.Op{At: at, Buffer: name, Size: 1, Limit: 9, Align: 4}
	}
	free := func(at time.Duration, name uint64) workloads.Op {
		return workloads.Op{At: at, Kind: workloads.Free, Buffer: name}
	}
	exponential := workloads.Backoff{Initial: 2 * ms, Factor: 2, Most: 7 * ms}
	fixed := workloads.Backoff{Initial: 5 * ms}
	for _, c := range []struct {
		name    string
		config  workloads.RetryConfig
		ops     []workloads.Op
		serves  func(workloads.Op) bool
		want    []string // operations: time in ms, a client or f for a free, and the name
		endings []string // asked, ended, attempts, retries, fate
		waiting int
	}{
		{
			name: "refused without retries", ops: []workloads.Op{alloc(ms, 7), free(9*ms, 7)},
			want: []string{"1 0 7", "9 f 7"}, endings: []string{"1 1 1 0 out of retries"},
		}, {
			name: "a ceiling", config: workloads.RetryConfig{Retries: 4, Backoff: exponential}, ops: []workloads.Op{alloc(0, 7)},
			want: []string{"0 0 7", "2 0 7", "6 0 7", "13 0 7", "20 0 7"}, endings: []string{"0 20 5 4 out of retries"},
		}, {
			name: "at once", config: workloads.RetryConfig{Retries: 2}, ops: []workloads.Op{alloc(0, 7), alloc(0, 8)},
			want:    []string{"0 0 7", "0 0 7", "0 0 7", "0 0 8", "0 0 8", "0 0 8"},
			endings: []string{"0 0 3 2 out of retries", "0 0 3 2 out of retries"},
		}, {
			name: "served by a retry", config: workloads.RetryConfig{Retries: workloads.Unlimited, Backoff: fixed},
			ops: []workloads.Op{alloc(0, 7), alloc(4*ms, 8), free(12*ms, 7)}, serves: func(op workloads.Op) bool { return op.At >= 10*ms },
			want:    []string{"0 0 7", "4 0 8", "5 0 7", "9 0 8", "10 0 7", "12 f 7", "14 0 8"},
			endings: []string{"0 10 3 2 by a retry", "4 14 3 2 by a retry"},
		}, {
			name: "fallbacks in order, then a retry", config: workloads.RetryConfig{Fallbacks: [][]int{{2, 1}}, Retries: 1, Backoff: fixed},
			ops: []workloads.Op{alloc(0, 7), alloc(ms, 8)}, serves: func(op workloads.Op) bool { return op.Buffer == 8 && op.Client == 1 },
			want:    []string{"0 0 7", "0 2 7", "0 1 7", "1 0 8", "1 2 8", "1 1 8", "5 0 7", "5 2 7", "5 1 7"},
			endings: []string{"1 1 3 0 by a fallback", "0 5 6 1 out of retries"},
		}, {
			name: "the deadline", config: workloads.RetryConfig{Retries: workloads.Unlimited, Backoff: fixed, Deadline: 12 * ms},
			ops: []workloads.Op{alloc(0, 7), alloc(11*ms, 8), alloc(20*ms, 9)}, serves: func(op workloads.Op) bool { return op.Buffer != 7 },
			want: []string{"0 0 7", "5 0 7", "10 0 7", "11 0 8", "20 0 9"}, endings: []string{"11 11 1 0 at once", "0 12 3 2 too late", "20 20 1 0 at once"},
		}, {
			name: "a retry at the deadline", config: workloads.RetryConfig{Retries: 9, Backoff: fixed, Deadline: 10 * ms},
			ops:  []workloads.Op{alloc(0, 7)},
			want: []string{"0 0 7", "5 0 7", "10 0 7"}, endings: []string{"0 10 3 2 too late"},
		}, {
			name: "freed while it waits", config: workloads.RetryConfig{Retries: 9, Backoff: fixed},
			ops:  []workloads.Op{alloc(0, 7), free(5*ms, 7), alloc(5*ms, 7), alloc(6*ms, 7), free(8*ms, 7)},
			want: []string{"0 0 7", "5 f 7", "5 0 7", "6 0 7", "8 f 7"}, endings: []string{"0 5 1 0 freed", "5 6 1 0 freed", "6 8 1 0 freed"},
		}, {
			name: "names of buffers with lifetimes mean nothing", config: workloads.RetryConfig{Retries: 1, Backoff: fixed},
			ops:  []workloads.Op{{Buffer: 7, Size: 1, Lifetime: 1}, {At: ms, Buffer: 7, Size: 1, Lifetime: 1}},
			want: []string{"0 0 7", "1 0 7", "5 0 7", "6 0 7"}, endings: []string{"0 5 2 1 out of retries", "1 6 2 1 out of retries"},
		}, {
			name: "the oldest first", config: workloads.RetryConfig{Retries: 1, Backoff: fixed},
			ops:     []workloads.Op{alloc(0, 9), alloc(0, 8), free(5*ms, 1), alloc(5*ms, 7)},
			want:    []string{"0 0 9", "0 0 8", "5 f 1", "5 0 9", "5 0 8", "5 0 7", "10 0 7"},
			endings: []string{"0 5 2 1 out of retries", "0 5 2 1 out of retries", "5 10 2 1 out of retries"},
		}, {
			name: "beyond all time", config: workloads.RetryConfig{Retries: 9, Backoff: workloads.Backoff{Initial: time.Hour, Factor: 1e9}},
			ops: []workloads.Op{alloc(0, 7)}, want: []string{"0 0 7", "3600000 0 7"}, waiting: 1,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, endings := retrying(t, &listed{ops: c.ops}, c.config)
			var got, ended []string
			for _, op := range drive(r, func(op workloads.Op) allocator.Cause {
				if c.serves != nil && c.serves(op) {
					return allocator.None
				}
				return allocator.Exhausted
			}) {
				who := fmt.Sprint(op.Client)
				if op.Kind == workloads.Free {
					who = "f"
				} else if op.Lifetime == 0 && (op.Align != 4 || (op.Limit == 9) == (op.Client > 0)) {
					t.Errorf("%+v", op)
				}
				got = append(got, fmt.Sprint(int64(op.At/ms), " ", who, " ", op.Buffer))
			}
			for _, e := range *endings {
				ended = append(ended, fmt.Sprint(int64(e.Asked/ms), int64(e.At/ms), e.Attempts, e.Retries, " ", e.Fate))
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("operations %q\nwant       %q", got, c.want)
			}
			if !slices.Equal(ended, c.endings) {
				t.Errorf("endings %q\nwant    %q", ended, c.endings)
			}
			waiting := 0
			r.Waiting(func(e workloads.Ending) {
				waiting++
				if e.Fate != workloads.StillWaiting {
					t.Errorf("%+v waits", e)
				}
			})
			if waiting != c.waiting {
				t.Errorf("%d wait, want %d", waiting, c.waiting)
			}
		})
	}
}

// naive is the work of Retrying by its description, with a list in place of a heap.
type naive struct {
	ops     []workloads.Op // what is left of the source's
	config  workloads.RetryConfig
	serve   func(workloads.Op) allocator.Cause
	waits   []*waits
	asked   int
	did     []workloads.Op
	endings []workloads.Ending
}

type waits struct {
	op                workloads.Op
	number            int
	due               time.Duration
	backoff           float64
	attempts, retries uint64
}

func (n *naive) run() {
	for {
		var first *waits
		for _, w := range n.waits {
			if first == nil || w.due < first.due || w.due == first.due && w.number < first.number {
				first = w
			}
		}
		// Frees, then those that wait, then new ones.
		if first != nil && (len(n.ops) == 0 || first.due < n.ops[0].At || first.due == n.ops[0].At && n.ops[0].Kind != workloads.Free) {
			n.waits = slices.DeleteFunc(n.waits, func(w *waits) bool { return w == first })
			if n.config.Deadline > 0 && first.due > first.op.At+n.config.Deadline {
				panic("late")
			}
			first.retries++
			n.round(first, first.due)
			continue
		}
		if len(n.ops) == 0 {
			return
		}
		op := n.ops[0]
		n.ops = n.ops[1:]
		for i, w := range n.waits {
			if w.op.Lifetime == 0 && w.op.Buffer == op.Buffer && (op.Kind == workloads.Free || op.Lifetime == 0) {
				n.waits = slices.Delete(n.waits, i, i+1)
				n.end(w, op.At, workloads.Cancelled)
				break
			}
		}
		if op.Kind == workloads.Free {
			n.did = append(n.did, op)
			continue
		}
		n.round(&waits{op: op, number: n.asked, backoff: float64(n.config.Backoff.Initial)}, op.At)
		n.asked++
	}
}

// round asks all heaps.
func (n *naive) round(w *waits, at time.Duration) {
	for i, client := range append([]int{w.op.Client}, n.config.Fallbacks[w.op.Client]...) {
		op := w.op
		op.At, op.Client = at, client
		if i > 0 {
			op.Limit = 0
		}
		n.did = append(n.did, op)
		w.attempts++
		if n.serve(op) == allocator.None {
			fate := workloads.ServedAtOnce
			if i > 0 {
				fate = workloads.ServedByFallback
			} else if w.retries > 0 {
				fate = workloads.ServedByRetry
			}
			n.end(w, at, fate)
			return
		}
	}
	if w.retries == n.config.Retries {
		n.end(w, at, workloads.OutOfRetries)
		return
	}
	wait := w.backoff
	if most := float64(n.config.Backoff.Most); most > 0 {
		wait = min(wait, most)
	}
	w.backoff *= n.config.Backoff.Factor
	w.due = at + time.Duration(wait)
	n.waits = append(n.waits, w)
}

func (n *naive) end(w *waits, at time.Duration, fate workloads.Fate) {
	n.endings = append(n.endings, workloads.Ending{Buffer: w.op.Buffer, Client: w.op.Client, Asked: w.op.At, At: at, Attempts: w.attempts, Retries: w.retries, Fate: fate})
}

// drawnWork is allocations with lifetimes and without, frees of whatever was allocated,
// and names that are used again.
func drawnWork(t *rapid.T, clients int) []workloads.Op {
	var ops []workloads.Op
	at := time.Duration(0)
	var named []uint64
	for range rapid.IntRange(1, 60).Draw(t, "operations") {
		at += time.Duration(rapid.IntRange(0, 3).Draw(t, "apart"))
		if len(named) > 0 && rapid.Bool().Draw(t, "free") {
			i := rapid.IntRange(0, len(named)-1).Draw(t, "which")
			ops = append(ops, workloads.Op{At: at, Kind: workloads.Free, Buffer: named[i]})
			named = slices.Delete(named, i, i+1)
			continue
		}
		op := workloads.Op{At: at, Buffer: rapid.Uint64Range(0, 20).Draw(t, "name"), Client: rapid.IntRange(0, clients-1).Draw(t, "client"), Size: 1, Limit: 5}
		if rapid.Bool().Draw(t, "timed") {
			op.Lifetime = 1
		} else if !slices.Contains(named, op.Buffer) {
			named = append(named, op.Buffer)
		}
		ops = append(ops, op)
	}
	return ops
}

// TestRetryingProperties: operations and endings are those of the description, times are
// in order, and every request ends once.
func TestRetryingProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		config := workloads.RetryConfig{
			Fallbacks: [][]int{{2, 3}, {4}}, Retries: rapid.Uint64Range(0, 4).Draw(t, "retries"),
			Backoff: workloads.Backoff{
				Initial: time.Duration(rapid.IntRange(0, 3).Draw(t, "initial")),
				Factor:  float64(rapid.IntRange(1, 3).Draw(t, "factor")),
			},
		}
		if rapid.Bool().Draw(t, "ceiling") {
			config.Backoff.Most = config.Backoff.Initial + time.Duration(rapid.IntRange(0, 6).Draw(t, "most"))
		}
		ops := drawnWork(t, 2)
		seed, load := rapid.Uint64().Draw(t, "seed"), rapid.Uint64Range(0, 10).Draw(t, "load")
		serve := func(op workloads.Op) allocator.Cause {
			key := rand.NewPCG(seed^uint64(op.At)<<20^op.Buffer<<8, uint64(op.Client))
			if key.Uint64()%10 < load {
				return allocator.Exhausted
			}
			return allocator.None
		}
		oracle := &naive{ops: ops, config: config, serve: serve}
		oracle.run()
		r, err := workloads.NewRetrying(&listed{ops: ops}, config)
		if err != nil {
			t.Fatal(err)
		}
		var endings []workloads.Ending
		r.Watch(func(e workloads.Ending) { endings = append(endings, e) })
		did := drive(r, serve)
		if !slices.Equal(did, oracle.did) {
			t.Fatalf("operations\n%v, want\n%v", did, oracle.did)
		}
		if !slices.Equal(endings, oracle.endings) {
			t.Fatalf("endings\n%v, want\n%v", endings, oracle.endings)
		}
		if !slices.IsSortedFunc(did, func(a, b workloads.Op) int { return cmp.Compare(a.At, b.At) }) {
			t.Fatalf("out of order: %v", did)
		}
		requests := 0
		for _, op := range ops {
			if op.Kind == workloads.Alloc {
				requests++
			}
		}
		r.Waiting(func(e workloads.Ending) { t.Fatalf("%+v still waits", e) })
		if len(endings) != requests {
			t.Fatalf("%d endings of %d requests", len(endings), requests)
		}
	})
}

// TestRetryingDeadlines: a buffer is served by its deadline or dropped then, whatever the
// jitter; each wait lies where it may.
func TestRetryingDeadlines(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := workloads.Backoff{
			Initial: time.Duration(rapid.IntRange(1, 1000).Draw(t, "initial")), Factor: rapid.Float64Range(1, 3).Draw(t, "factor"),
			Jitter: rapid.Float64Range(0, 1).Draw(t, "jitter"),
		}
		b.Most = b.Initial * time.Duration(rapid.IntRange(1, 5).Draw(t, "most"))
		deadline := time.Duration(rapid.IntRange(1, 5000).Draw(t, "deadline"))
		config := workloads.RetryConfig{Name: "w", Seed: rapid.Uint64().Draw(t, "seed"), Retries: workloads.Unlimited, Backoff: b, Deadline: deadline}
		ops := drawnWork(t, 1)
		for i := range ops {
			ops[i].Buffer, ops[i].Kind, ops[i].Lifetime = uint64(i), workloads.Alloc, 1
		}
		r, err := workloads.NewRetrying(&listed{ops: ops}, config)
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		r.Watch(func(e workloads.Ending) {
			n++
			if e.Fate != workloads.DeadlinePassed || e.At != e.Asked+deadline {
				t.Fatalf("%+v, the deadline is %v", e, deadline)
			}
		})
		before := map[uint64]workloads.Op{}
		waited := map[uint64]float64{}
		for _, op := range drive(r, func(workloads.Op) allocator.Cause { return allocator.Fragmented }) {
			if last, retry := before[op.Buffer]; retry {
				most := min(waited[op.Buffer], float64(b.Most))
				waited[op.Buffer] *= b.Factor
				if wait := op.At - last.At; wait < 1 || float64(wait) > most+1 || float64(wait) < most*(1-b.Jitter)-1 {
					t.Fatalf("waited %v, of %v with jitter %v", wait, most, b.Jitter)
				}
			} else {
				waited[op.Buffer] = float64(b.Initial)
			}
			before[op.Buffer] = op
		}
		if n != len(ops) {
			t.Fatalf("%d endings of %d", n, len(ops))
		}
	})
}

// TestJitterIsKeyed: the jitter of a buffer is its own, whatever becomes of others.
func TestJitterIsKeyed(t *testing.T) {
	config := workloads.RetryConfig{Name: "w", Seed: 1, Retries: 3, Backoff: workloads.Backoff{Initial: time.Second, Factor: 2, Jitter: 1}}
	ops := []workloads.Op{{Buffer: 0, Size: 1, Lifetime: 1}, {Buffer: 1, Size: 1, Lifetime: 1}}
	times := func(config workloads.RetryConfig, served uint64) (list []time.Duration) {
		r, _ := retrying(t, &listed{ops: ops}, config)
		for _, op := range drive(r, func(op workloads.Op) allocator.Cause {
			if op.Buffer == served {
				return allocator.None
			}
			return allocator.Exhausted
		}) {
			if op.Buffer == 1 {
				list = append(list, op.At)
			}
		}
		return list
	}
	alone, beside := times(config, 0), times(config, 9)
	if !slices.Equal(alone, beside) || len(alone) != 4 {
		t.Errorf("%v beside a buffer that is served, %v beside one that is not", alone, beside)
	}
	config.Seed = 2
	if other := times(config, 0); slices.Equal(alone, other) {
		t.Errorf("seed 2 gives %v as well", other)
	}
}

func TestRetryingMisuse(t *testing.T) {
	adversary, err := workloads.NewAdversary(workloads.AdversaryConfig{Kind: workloads.NextFitKiller, Unit: 1, Largest: 4, Rounds: 1, Every: 1})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		source workloads.Source
		config workloads.RetryConfig
		want   string
	}{
		{adversary, workloads.RetryConfig{}, "a *workloads.Adversary reacts to outcomes at once, it cannot wait"},
		{&listed{}, workloads.RetryConfig{Retries: workloads.Unlimited}, "retries without end need a back-off above 0"},
		{&listed{}, workloads.RetryConfig{Deadline: -1}, "a deadline must not be negative"},
		{&listed{}, workloads.RetryConfig{Backoff: workloads.Backoff{Initial: -1}}, "a back-off must not be negative"},
		{&listed{}, workloads.RetryConfig{Backoff: workloads.Backoff{Initial: 2, Most: 1}}, "the back-off is at most 1ns, and begins with 2ns"},
		{&listed{}, workloads.RetryConfig{Backoff: workloads.Backoff{Factor: 0.5}}, "the factor of the back-off is 0.5, want 1 or more"},
		{&listed{}, workloads.RetryConfig{Backoff: workloads.Backoff{Jitter: 2}}, "the jitter of the back-off is 2, want 0 to 1"},
	} {
		if _, err := workloads.NewRetrying(c.source, c.config); err == nil || err.Error() != c.want {
			t.Errorf("%+v: %v, want %s", c.config, err, c.want)
		}
	}
}

// TestRetryingTornSource: where the source fails nothing more is tried.
func TestRetryingTornSource(t *testing.T) {
	torn := &listed{ops: []workloads.Op{{Size: 1, Lifetime: 1}}, err: fmt.Errorf("torn")}
	r, _ := retrying(t, torn, workloads.RetryConfig{Retries: 5, Backoff: workloads.Backoff{Initial: 1}})
	if ops := drive(r, func(workloads.Op) allocator.Cause { return allocator.Exhausted }); len(ops) != 1 || r.Err() == nil {
		t.Errorf("%v, %v", ops, r.Err())
	}
}

// TestRetryingMemory: what is remembered is bounded by what waits, and nothing is
// allocated once there is room for it.
func TestRetryingMemory(t *testing.T) {
	var n uint64
	endless := sourceFunc(func() workloads.Op {
		n++
		return workloads.Op{At: time.Duration(n) * ms, Buffer: n, Size: 1}
	})
	r, _ := retrying(t, endless, workloads.RetryConfig{Retries: 3, Backoff: workloads.Backoff{Initial: 3 * ms, Jitter: 0.5}})
	last := &workloads.Outcome{}
	step := func() {
		op, _ := r.Next(last)
		last.Op, last.Cause = op, allocator.Exhausted
	}
	for range 10_000 {
		step()
	}
	waiting := 0
	r.Waiting(func(workloads.Ending) { waiting++ })
	if waiting > 12 {
		t.Errorf("%d wait", waiting)
	}
	if allocs := testing.AllocsPerRun(10_000, step); allocs > 0 {
		t.Errorf("%v allocations for each attempt", allocs)
	}
}

type sourceFunc func() workloads.Op

func (f sourceFunc) Next(*workloads.Outcome) (workloads.Op, bool) { return f(), true }
func (f sourceFunc) Err() error                                   { return nil }

// BenchmarkRetrying is an attempt: of work that is served, and of work of which nothing
// ever is, so that 1,000 buffers wait.
func BenchmarkRetrying(b *testing.B) {
	for _, cause := range []allocator.Cause{allocator.None, allocator.Exhausted} {
		b.Run(cause.String(), func(b *testing.B) {
			var n uint64
			source := sourceFunc(func() workloads.Op {
				n++
				return workloads.Op{At: time.Duration(n) * ms, Buffer: n, Size: 1, Lifetime: time.Second}
			})
			r, err := workloads.NewRetrying(source, workloads.RetryConfig{
				Retries: 1000, Backoff: workloads.Backoff{Initial: 1000 * ms, Jitter: 0.5}, Deadline: time.Second + 1,
			})
			if err != nil {
				b.Fatal(err)
			}
			last := &workloads.Outcome{Cause: cause}
			b.ReportAllocs()
			for b.Loop() {
				last.Op, _ = r.Next(last)
			}
		})
	}
}
