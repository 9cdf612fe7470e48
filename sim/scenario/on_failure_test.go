package scenario_test

import (
	"context"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"dmasim/allocator"
	"dmasim/sim"
	"dmasim/sim/scenario"
	"dmasim/workloads"
)

// persistent is a scenario whose workload says on_failure: §.
const persistent = `name: persistent
duration: 10s
memory: [{base: 0, size: 64MiB}]
heaps:
  - {name: main, allocator: first-fit, arena: [{base: 0, size: 8MiB}]}
  - {name: spare, allocator: first-fit, arena: [{base: 8MiB, size: 8MiB}]}
  - {name: last, allocator: first-fit, arena: [{base: 16MiB, size: 8MiB}]}
devices: [{name: gpu}]
workloads:
  - name: work
    heap: main
    on_failure: §
    churn:
      every: {fixed: 10ms}
      lifetime: {fixed: 1s}
      clients:
        - {name: draw, devices: [gpu], size: {fixed: 1MiB}, placement: high}
        - {name: mail, size: {fixed: 2MiB}, weight: 2}
`

func TestOnFailure(t *testing.T) {
	text := strings.Replace(persistent, "§", "{fallback: [last, spare], retries: unlimited, deadline: 50ms, backoff: {initial: 20ms, factor: 1.5, most: 25ms}}", 1)
	v := parse(t, text).Variants[0]
	o := v.Spec.Workloads[0].OnFailure
	want := &scenario.OnFailure{
		Fallback: []string{"last", "spare"}, Retries: workloads.Unlimited, Deadline: 50 * time.Millisecond,
		Backoff: &scenario.Backoff{Initial: 20 * time.Millisecond, Factor: 1.5, Most: 25 * time.Millisecond},
	}
	if !reflect.DeepEqual(o, want) {
		t.Errorf("got %+v, want %+v", o, want)
	}
	if !v.Persists() || v.Random() != true {
		t.Errorf("persists %v, random %v", v.Persists(), v.Random())
	}
	cfg, err := v.Build(1)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, c := range cfg.Clients {
		names = append(names, c.Name+" "+cfg.Heaps[c.Heap].Name+" "+c.Placement.String()+" "+strings.Repeat("gpu", len(c.Devices)))
	}
	if got, want := strings.Join(names, ", "), "draw main high gpu, mail main natural , draw-in-last last high gpu, mail-in-last last natural , draw-in-spare spare high gpu, mail-in-spare spare natural "; got != want {
		t.Errorf("clients %s\nwant    %s", got, want)
	}
	// All heaps are full after a while: who is refused goes on at once with the next.
	seen := map[string]bool{}
	var before sim.Event
	s, err := sim.New(cfg, watch(func(e *sim.Event) {
		if e.Kind != sim.Alloc {
			return
		}
		name := cfg.Clients[e.Client].Name
		if strings.HasSuffix(name, "-in-last") && (before.At != e.At || before.Client+2 != e.Client || before.Size != e.Size) {
			t.Fatalf("%s at %v, after %+v", name, e.At, before)
		}
		seen[name] = true
		before = sim.Event{At: e.At, Client: e.Client, Size: e.Size}
	}))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Run(context.Background()); err != nil {
		t.Fatal(err)
	}
	if len(seen) != len(cfg.Clients) {
		t.Errorf("only %v asked", seen)
	}
}

// watch is an observer of events.
type watch func(*sim.Event)

func (watch) Advance(time.Duration) {}
func (w watch) Event(e *sim.Event)  { w(e) }

// TestOnFailureDefaults: nothing but counting, and a trace with jitter is random.
func TestOnFailureDefaults(t *testing.T) {
	v := parse(t, strings.Replace(persistent, "§", "{}", 1)).Variants[0]
	if o := v.Spec.Workloads[0].OnFailure; !reflect.DeepEqual(o, &scenario.OnFailure{}) {
		t.Errorf("%+v", o)
	}
	if cfg, err := v.Build(1); err != nil || len(cfg.Clients) != 2 {
		t.Errorf("%d clients, %v", len(cfg.Clients), err)
	}
}

func TestOnFailureMistakes(t *testing.T) {
	for _, c := range []struct{ onFailure, want string }{
		{"{retrys: 1}", `12:18: unknown key "retrys" (did you mean "retries"?)`},
		{"[]", `12:17: want a mapping of keys to values, not a list`},
		{"{retries: -1}", `12:27: "-1" is no number of retries; write one up to 4294967295, or unlimited`},
		{"{retries: endless}", `12:27: "endless" is no number of retries; write one up to 4294967295, or unlimited`},
		{"{retries: 3, backoff: {factor: 2}}", `12:39: missing key "initial"`},
		{"{retries: 3, backoff: {initial: 0s}}", `12:49: initial must be more than 0`},
		{"{retries: 3, backoff: {initial: 1s, factor: 0.5}}", `12:61: a factor is at least 1`},
		{"{retries: 3, backoff: {initial: 1s, most: 1ms}}", `12:59: most is 1ms, less than initial, which is 1s`},
		{"{retries: 3, backoff: {initial: 1s, jitter: 50}}", `12:61: jitter is a share, from 0 to 1`},
		{"{backoff: {initial: 1s}}", `12:27: a back-off needs retries: give a number, or unlimited`},
		{"{deadline: 1s}", `12:28: without retries nothing waits: give a number, or unlimited`},
		{"{retries: 1, deadline: 0s}", `12:40: deadline must be more than 0`},
		{"{retries: unlimited}", `12:27: retries without end need a back-off`},
		{"{fallback: [spore]}", `12:29: unknown heap "spore" (did you mean "spare"?)`},
		{"{fallback: [spare, spare]}", `12:36: heap "spare" is there twice`},
		{"{fallback: [main]}", `12:29: heap "main" is the workload's own`},
	} {
		_, err := scenario.Parse("s.yaml", []byte(strings.Replace(persistent, "§", c.onFailure, 1)))
		if err == nil || err.Error() != "s.yaml:"+c.want {
			t.Errorf("%s:\ngot  %v\nwant s.yaml:%s", c.onFailure, err, c.want)
		}
	}
	for _, c := range []struct{ old, new, want string }{
		{"every: {fixed: 10ms}", "saturated: true", `12:17: saturated work asks again whenever one of its buffers is freed`},
		{"duration: 10s\n", "", `11:46: has no end: give a deadline, or the scenario a duration`},
		{"name: draw,", "name: mail-in-spare,", `12:29: client name "mail-in-spare" is taken`},
		{persistent[strings.Index(persistent, "    churn:"):], "    adversary: {kind: next-fit-killer, largest: 64KiB, rounds: 3}\n", `12:17: an adversary ends at the first request that is refused`},
	} {
		text := strings.Replace(persistent, c.old, c.new, 1)
		text = strings.Replace(text, "lifetime: {fixed: 1s}\n", "lifetime: {fixed: 1s}\n      count: 9\n", 1)
		text = strings.Replace(text, "§", "{fallback: [spare], retries: unlimited, backoff: {initial: 1s}}", 1)
		_, err := scenario.Parse("s.yaml", []byte(text))
		if err == nil || err.Error() != "s.yaml:"+c.want {
			t.Errorf("%s:\ngot  %v\nwant s.yaml:%s", c.new, err, c.want)
		}
	}
	// Processes have steps for it.
	_, err := scenario.Parse("s.yaml", []byte(strings.Replace(persistent, "§", "{}", 1)+"processes: [{name: p, on_failure: {}}]\n"))
	if err == nil || !strings.Contains(err.Error(), `unknown key "on_failure"`) {
		t.Errorf("a process: %v", err)
	}
}

// TestOnFailureOfPools: a heap that some pools of a generator have already is asked for
// the others alone.
func TestOnFailureOfPools(t *testing.T) {
	text := strings.Replace(persistent[:strings.Index(persistent, "    churn:")], "§", "{fallback: [spare]}", 1) +
		"    generate: {camera: {mode: preview}, pools: [{name: preview, heap: spare}]}\n"
	cfg, err := parse(t, text).Variants[0].Build(1)
	if err != nil {
		t.Fatal(err)
	}
	var instead []string
	for _, c := range cfg.Clients {
		if strings.HasSuffix(c.Name, "-in-spare") {
			instead = append(instead, c.Name)
		}
	}
	if got := strings.Join(instead, " "); got != "work-raw-in-spare" {
		t.Errorf("instead: %s", got)
	}
}

// TestOnFailureOfTraces: batches or not, a recorded free drops a buffer that waits, and
// frees of dropped buffers do nothing.
func TestOnFailureOfTraces(t *testing.T) {
	dir := t.TempDir()
	const recording = "time_ns,event,buffer,size\n0,alloc,1,6291456\n1000,alloc,2,6291456\n5000,alloc,3,6291456\n20000,free,3,\n30000,free,1,\n90000,free,2,\n"
	if err := os.WriteFile(filepath.Join(dir, "trace.csv"), []byte(recording), 0o666); err != nil {
		t.Fatal(err)
	}
	text := strings.Replace(persistent[:strings.Index(persistent, "    churn:")], "§", "{retries: 9, backoff: {initial: 10us}}", 1) + "    trace: {file: trace.csv}\n"
	sc, err := scenario.Parse(filepath.Join(dir, "s.yaml"), []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := sc.Variants[0].Build(1)
	if err != nil {
		t.Fatal(err)
	}
	var endings []workloads.Ending
	cfg.Inputs[0].Source.(*workloads.Retrying).Watch(func(e workloads.Ending) { endings = append(endings, e) })
	frees := 0
	s, err := sim.New(cfg, watch(func(e *sim.Event) {
		if e.Kind == sim.Free {
			frees++
		} else if e.Diagnosis.Cause != allocator.None && e.Diagnosis.Cause != allocator.Exhausted {
			t.Errorf("%v", e.Diagnosis.Cause)
		}
	}))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Run(context.Background()); err != nil {
		t.Fatal(err)
	}
	us := time.Microsecond
	want := []workloads.Ending{
		{Buffer: 1, Asked: 0, At: 0, Attempts: 1, Fate: workloads.ServedAtOnce},
		{Buffer: 3, Asked: 5 * us, At: 20 * us, Attempts: 2, Retries: 1, Fate: workloads.Cancelled},
		{Buffer: 2, Asked: 1 * us, At: 31 * us, Attempts: 4, Retries: 3, Fate: workloads.ServedByRetry},
	}
	if !reflect.DeepEqual(endings, want) || frees != 2 {
		t.Errorf("%d frees, endings %+v\nwant %+v", frees, endings, want)
	}
}
