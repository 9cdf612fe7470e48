package metrics_test

import (
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"dmasim/sim/metrics"
	"dmasim/sim/scenario"
)

// pagesOnFailure is a heap of pages, and another, that are asked for a page at random times,
// for a second on average.
const pagesOnFailure = `
name: pages
duration: §duration
memory: [{base: 0x0, size: 1MiB}]
heaps:
  - {name: main, allocator: first-fit, arena: [{base: 0x0, size: §main}]}
  - {name: other, allocator: first-fit, arena: [{base: 512KiB, size: §other}]}
workloads:
  - name: calls
    heap: main
    on_failure: §on_failure
    churn: {every: {exponential: {mean: §every}}, size: {fixed: 4KiB}, lifetime: {exponential: {mean: 1s}}}
`

func onFailure(t testing.TB, text string, seed uint64, check bool) metrics.Run {
	t.Helper()
	sc, err := scenario.Parse("s.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return simulate(t, &sc.Variants[0], seed, check)
}

// erlangB is the share of calls that find n lines busy, if a would be busy on average.
func erlangB(n int, a float64) float64 {
	b := 1.0
	for i := 1; i <= n; i++ {
		b = a * b / (float64(i) + a*b)
	}
	return b
}

// TestFallbackIsOverflow: a heap of two pages with a fallback of three is one of five:
// Erlang's formula B says what the first refuses, and what both do.
func TestFallbackIsOverflow(t *testing.T) {
	text := strings.NewReplacer("§duration", "6h", "§every", "333333us", "§main", "8KiB", "§other", "12KiB", "§on_failure", "{fallback: [other]}").Replace(pagesOnFailure)
	w := onFailure(t, text, 1, false).Summary.OnFailure[0]
	refused, dropped := 1-float64(w.ServedAtOnce)/float64(w.Wanted), float64(w.Dropped)/float64(w.Wanted)
	if want := erlangB(2, 3); math.Abs(refused-want) > 0.01 {
		t.Errorf("the first heap refuses %v, want %v", refused, want)
	}
	if want := erlangB(5, 3); math.Abs(dropped-want) > 0.01 {
		t.Errorf("both refuse %v, want %v", dropped, want)
	}
}

// TestRetriesAreAQueue: who asks again all the time waits in a queue of four servers, of
// which Erlang's formula C tells the mean wait; to which the back-off adds half of itself.
func TestRetriesAreAQueue(t *testing.T) {
	text := strings.NewReplacer("§duration", "24h", "§every", "500ms", "§main", "16KiB", "§other", "4KiB", "§on_failure",
		"{retries: unlimited, backoff: {initial: 10ms}}").Replace(pagesOnFailure)
	w := onFailure(t, text, 1, false).Summary.OnFailure[0]
	b := erlangB(4, 2)
	c := b / (1 - 2.0/4*(1-b)) // share that waits
	if waits := 1 - float64(w.ServedAtOnce)/float64(w.Wanted); math.Abs(waits-c) > 0.01 {
		t.Errorf("%v wait, want %v", waits, c)
	}
	want := c/(4-2) + c*0.005
	if mean := w.MeanWait / 1e9; math.Abs(mean-want) > 0.05*want {
		t.Errorf("the mean wait is %v s, want %v s", mean, want)
	}
	if w.Dropped > 0 || w.Waiting > 30 {
		t.Errorf("%d dropped, %d waiting", w.Dropped, w.Waiting)
	}
}

// TestOnFailureAddsUp: whatever a workload does about refusals, every buffer that it
// wanted has one fate, every attempt is a request, no wait is longer than the deadline,
// and the same seed gives the same.
func TestOnFailureAddsUp(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		deadline := time.Duration(rapid.IntRange(1, 300).Draw(rt, "deadline")) * time.Millisecond
		backoff := fmt.Sprintf("{initial: %dus, factor: %.2f, jitter: %.2f}", rapid.IntRange(1000, 50_000).Draw(rt, "initial"),
			rapid.Float64Range(1, 3).Draw(rt, "factor"), rapid.Float64Range(0, 1).Draw(rt, "jitter"))
		does := rapid.SampledFrom([]string{
			"{}", "{retries: 2}", "{fallback: [spare]}",
			fmt.Sprintf("{fallback: [last, spare], retries: 3, backoff: %s, deadline: %s}", backoff, deadline),
			fmt.Sprintf("{retries: unlimited, backoff: %s, deadline: %s}", backoff, deadline),
		})
		text := fmt.Sprintf(`
name: adding-up
duration: 1s
memory: [{base: 0x0, size: 256MiB}]
heaps:
  - {name: main, allocator: tlsf, arena: [{base: 0x0, size: %dMiB}]}
  - {name: spare, allocator: best-fit, arena: [{base: 64MiB, size: 8MiB}]}
  - {name: last, allocator: first-fit, arena: [{base: 128MiB, size: 4MiB}]}
devices: [{name: gpu, align: 64KiB}]
workloads:
  - name: churn
    heap: main
    on_failure: %s
    churn:
      every: {exponential: {mean: 10ms}}
      lifetime: {exponential: {mean: 300ms}}
      clients: [{name: one, devices: [gpu], size: {uniform: {min: 4KiB, max: 1MiB}}}, {name: two, size: {fixed: 64KiB}}]
  - name: programs
    heap: main
    on_failure: %s
    generate: {gpu: {session: 500ms, pause: 100ms, textures: 8}}
`, rapid.IntRange(4, 30).Draw(rt, "main"), does.Draw(rt, "churn"), does.Draw(rt, "programs"))
		seed := rapid.Uint64().Draw(rt, "seed")
		run := onFailure(t, text, seed, true)
		requests := map[string]uint64{} // by the client that wants
		served := map[string]uint64{}
		for _, c := range run.Summary.Clients {
			name := strings.TrimSuffix(strings.TrimSuffix(c.Name, "-in-spare"), "-in-last")
			requests[name] += c.Requests
			served[name] += c.Requests - c.Failures
		}
		for _, w := range run.Summary.OnFailure {
			if w.Wanted != w.Served+w.Dropped+w.Waiting || w.Served != w.ServedAtOnce+w.ServedByRetry+w.ServedByFallback ||
				w.Dropped != w.DroppedRetries+w.DroppedDeadline+w.DroppedFreed {
				rt.Fatalf("does not add up: %+v", w)
			}
			if w.Attempts != requests[w.Client] || w.Served != served[w.Client] {
				rt.Fatalf("%d requests, %d served: %+v", requests[w.Client], served[w.Client], w)
			}
			if w.MostWait > deadline || w.MedianWait > w.P90Wait || w.P90Wait > w.P99Wait || w.P99Wait > w.MostWait || w.MeanWait > float64(w.MostWait) {
				rt.Fatalf("waits with a deadline of %v: %+v", deadline, w)
			}
		}
		if again := onFailure(t, text, seed, false); !reflect.DeepEqual(again.Summary, run.Summary) {
			rt.Fatalf("the same seed gives another result:\n%+v\n%+v", run.Summary.OnFailure, again.Summary.OnFailure)
		}
	})
}
