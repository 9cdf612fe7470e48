package explain_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"dmasim/allocator"
	"dmasim/devices"
	"dmasim/mem"
	"dmasim/sim"
	"dmasim/sim/explain"
	"dmasim/sim/scenario"
)

// fataler is what tests of both kinds have.
type fataler interface {
	Helper()
	Fatal(...any)
	Fatalf(string, ...any)
}

// builder makes the simulation of a scenario's variant; the first if it is "".
func builder(t fataler, sc *scenario.Scenario, variant string) explain.Build {
	t.Helper()
	v := &sc.Variants[0]
	if variant != "" {
		v = sc.Variant(variant)
	}
	return func() (sim.Config, error) { return v.Build(v.Spec.Seed) }
}

func parse(t fataler, text string) explain.Build {
	t.Helper()
	sc, err := scenario.Parse("test.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return builder(t, sc, "")
}

func embedded(t fataler, name, variant string) explain.Build {
	t.Helper()
	sc, err := scenario.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	return builder(t, sc, variant)
}

// failed collects the numbers of failed requests, and their causes.
type failed struct {
	ops    []uint64
	causes []allocator.Cause
}

func (f *failed) Advance(time.Duration) {}

func (f *failed) Event(e *sim.Event) {
	if e.Kind <= sim.Map && e.Diagnosis.Cause != allocator.None {
		f.ops, f.causes = append(f.ops, e.Number), append(f.causes, e.Diagnosis.Cause)
	}
}

func failures(t fataler, build explain.Build) *failed {
	t.Helper()
	cfg, err := build()
	if err != nil {
		t.Fatal(err)
	}
	seen := &failed{}
	s, err := sim.New(cfg, seen)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Run(context.Background()); err != nil {
		t.Fatal(err)
	}
	return seen
}

// first explains the first failure with a cause.
func first(t fataler, build explain.Build, cause allocator.Cause) *explain.Explanation {
	t.Helper()
	seen := failures(t, build)
	i := slices.Index(seen.causes, cause)
	if i < 0 {
		t.Fatalf("nothing failed for %v: %v", cause, seen.causes)
	}
	e, err := explain.Failure(context.Background(), build, seen.ops[i])
	if err != nil {
		t.Fatal(err)
	}
	if e.Cause != cause {
		t.Fatalf("cause %v, want %v", e.Cause, cause)
	}
	return e
}

func change(e *explain.Explanation, kind string) *explain.Change {
	i := slices.IndexFunc(e.Changes, func(c explain.Change) bool { return c.Kind == kind })
	if i < 0 {
		return nil
	}
	return &e.Changes[i]
}

// died are the stages of the funnel in which requests to arenas die, by cause.
var died = map[allocator.Cause]int{
	allocator.Exhausted: 0, allocator.WindowFull: 1, allocator.Fragmented: 2, allocator.Alignment: 3, allocator.Boundary: 4,
}

// system is a heap whose devices make it hard, with the parameters of seed, base,
// heap, reach, align, padding, boundary and size.
const system = `
name: random
seed: %d
duration: 1s
page: 4KiB
memory:
  - {base: 0x%x, size: %dKiB}
heaps:
  - {name: main, allocator: first-fit, aware: true}
devices:
  - {name: dsp, reach: [{lo: 0x100000, size: %dKiB}], align: %dKiB, padding: %dB, boundary: {size: %dKiB}}
workloads:
  - name: a
    heap: main
    devices: [dsp]
    churn: {every: {fixed: 10ms}, lifetime: {exponential: {mean: 100ms}}, size: {uniform: {min: 4KiB, max: %dKiB}}}
  - name: b
    heap: main
    churn: {every: {fixed: 10ms}, lifetime: {exponential: {mean: 200ms}}, size: {log_uniform: {min: 4KiB, max: 256KiB}}}
`

// served explains failures of a system: the funnel dies where the cause says, and
// every change, tried on the heap itself, is served by a strategy that looks
// everywhere. It returns the kinds of changes.
func served(t interface {
	fataler
	Errorf(string, ...any)
}, build explain.Build, op uint64, cause allocator.Cause) (kinds []string) {
	e, err := explain.Failure(context.Background(), build, op)
	if err != nil {
		t.Fatal(err)
	}
	if e.Cause != cause || e.Op != op || e.Died() != died[e.Cause] {
		t.Fatalf("event %d failed for %v; explained as %v, which dies in stage %d of %+v", op, cause, e.Cause, e.Died(), e.Funnel)
	}
	for j := 1; j < 5; j++ {
		if e.Funnel[j].Bytes > e.Funnel[j-1].Bytes {
			t.Errorf("the funnel widens: %+v", e.Funnel)
		}
	}
	if free := change(e, explain.FreeBuffers); free == nil && len(e.Notes) == 0 || free != nil && len(free.Buffers) != len(e.InTheWay) {
		t.Errorf("in the way %v, changes %+v", e.InTheWay, e.Changes)
	}
	for _, c := range e.Changes {
		kinds = append(kinds, c.Kind)
		if !c.Verified || c.Served != nil && !*c.Served || c.Place == nil {
			t.Errorf("%v: %+v", e.Cause, c)
		}
	}
	return kinds
}

func TestChangesAreServed(t *testing.T) {
	seen := map[allocator.Cause]int{}
	kinds := map[string]int{}
	for _, kib := range []int{2400, 1300} { // of the heap
		build := parse(t, fmt.Sprintf(system, 2, 0x100000, kib, 1600, 64, 256, 512, 400))
		all := failures(t, build)
		for i, op := range all.ops {
			if seen[all.causes[i]]++; seen[all.causes[i]] > 8 {
				continue
			}
			for _, kind := range served(t, build, op, all.causes[i]) {
				kinds[kind]++
			}
		}
	}
	for cause := range died {
		if seen[cause] == 0 {
			t.Errorf("nothing failed for %v", cause)
		}
	}
	for _, kind := range []string{explain.FreeBuffers, explain.FreeStrangers, explain.WiderWindow, explain.LargerHeap, explain.SmallerAlign, explain.NoBoundary, explain.SmallerBuffer} {
		if kinds[kind] == 0 {
			t.Errorf("no change of kind %s", kind)
		}
	}
}

func TestChangesOfRandomSystemsAreServed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		build := parse(t, fmt.Sprintf(system, rapid.Uint64Range(1, 1000).Draw(t, "seed"),
			rapid.SampledFrom([]uint64{0, 0x100000, 0x180000}).Draw(t, "base"), 4*rapid.IntRange(300, 900).Draw(t, "heap"),
			4*rapid.IntRange(128, 700).Draw(t, "reach"), rapid.SampledFrom([]int{4, 12, 64, 256}).Draw(t, "align"),
			rapid.SampledFrom([]int{0, 256, 5000}).Draw(t, "padding"), rapid.SampledFrom([]int{512, 1024, 4096}).Draw(t, "boundary"),
			4*rapid.IntRange(20, 160).Draw(t, "size")))
		all := failures(t, build)
		for i := 0; i < len(all.ops); i += 1 + len(all.ops)/3 {
			served(t, build, all.ops[i], all.causes[i])
		}
	})
}

// TestCedar explains the failure of the README.
func TestCedar(t *testing.T) {
	build := embedded(t, "cedar-256mib", "others-low")
	e := first(t, build, allocator.Fragmented)
	if e.Client != "decode" || !slices.Equal(e.Devices, []string{"cedar"}) || e.Largest != 952*mem.KiB {
		t.Errorf("%+v", e)
	}
	for _, h := range e.Holders {
		if h.Needed != (h.Name == "decode") {
			t.Errorf("%+v", h)
		}
	}
	if way := e.InTheWay; len(way) != 1 || way[0].Owner != "camera" || way[0].Needed || way[0].Op == 0 || way[0].Since.Round(time.Millisecond) != 8352*time.Millisecond {
		t.Errorf("in the way: %+v", way)
	}
	again, err := explain.Failure(context.Background(), build, e.Op)
	if err != nil {
		t.Fatal(err)
	}
	if one, two := toJSON(t, e), toJSON(t, again); one != two {
		t.Errorf("explained twice:\n%s\n%s", one, two)
	}
	if _, err := explain.Failure(context.Background(), build, e.Op+1); !errors.Is(err, explain.ErrNotReached) {
		t.Errorf("event %d is no failure: %v", e.Op+1, err)
	}
	if _, err := explain.Failure(context.Background(), build, 1<<40); !errors.Is(err, explain.ErrNotReached) {
		t.Errorf("there is no such event: %v", err)
	}
}

func toJSON(t *testing.T, e *explain.Explanation) string {
	t.Helper()
	text, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

const unaware = `
name: unaware
duration: 10s
page: 4KiB
memory: [{base: 0x0, size: 8MiB}]
heaps: [{name: main, allocator: last-fit}]
devices: [{name: dsp, address_bits: 22}]
workloads:
  - {name: dsp, heap: main, devices: [dsp], churn: {every: {fixed: 1s}, lifetime: {fixed: 100s}, size: {fixed: 1MiB}}}
`

// TestUnawareHeap says where a heap that is not told of devices put a buffer, and
// that a place that they reach was free.
func TestUnawareHeap(t *testing.T) {
	e := first(t, parse(t, unaware), allocator.Unreachable)
	if e.Place == nil || e.Place.Lo != 7<<20 || !strings.Contains(e.Verdict, "dsp cannot reach") {
		t.Errorf("placed at %v: %s", e.Place, e.Verdict)
	}
	if c := change(e, explain.TellHeap); c == nil || !c.Verified || c.Place.Lo != 0 {
		t.Errorf("%+v", e.Changes)
	}
}

// TestWhatIf asks what nobody asked, of devices that nobody has.
func TestWhatIf(t *testing.T) {
	build := embedded(t, "cedar-256mib", "others-low")
	cedar, _ := devices.Lookup("sunxi-cedar-a20")
	ask := func(at time.Duration, payload uint64, list ...devices.Device) (*explain.Explanation, error) {
		return explain.WhatIf(context.Background(), build, explain.Question{At: at, Payload: payload, Devices: list})
	}
	for _, test := range []struct {
		at      time.Duration
		payload uint64
		device  bool
		cause   allocator.Cause
	}{
		{0, 3 << 20, true, allocator.None},
		{10 * time.Second, 3 << 20, true, allocator.None},
		{30 * time.Second, 3 << 20, true, allocator.Fragmented},
		{30 * time.Second, 200 << 20, true, allocator.WindowFull},
		{30 * time.Second, 3 << 20, false, allocator.None},
		{30 * time.Second, 2 << 30, false, allocator.Exhausted},
		{time.Hour, 2 << 30, false, allocator.Exhausted},
	} {
		var list []devices.Device
		if test.device {
			list = append(list, cedar)
		}
		e, err := ask(test.at, test.payload, list...)
		if err != nil {
			t.Fatal(err)
		}
		if e.Cause != test.cause || (e.Place != nil) != (test.cause == allocator.None) || len(e.Funnel) == 0 {
			t.Errorf("%+v: cause %v, place %v", test, e.Cause, e.Place)
		}
	}
	if _, err := ask(2*time.Hour, 1<<20); !errors.Is(err, explain.ErrNotReached) {
		t.Errorf("asked after the end: %v", err)
	}
}

// TestCMA: the fewest that stand in the way of a run of pages are buffers or held
// pages, and without them the area serves it.
func TestCMA(t *testing.T) {
	build := embedded(t, "cma-borrowed", "")
	e := first(t, build, allocator.Fragmented)
	c := change(e, explain.FreeBuffers)
	if c == nil || !c.Verified || c.Served == nil || !*c.Served || len(e.InTheWay) != 1 || e.InTheWay[0].Owner != "first-session" {
		t.Errorf("%+v", c)
	}
	e, err := explain.WhatIf(context.Background(), build, explain.Question{At: 7 * time.Second, Payload: 60 << 20, Heap: heapNumber(t, build, "reserved")})
	if err != nil {
		t.Fatal(err)
	}
	c = change(e, explain.FreeBuffers)
	if e.Cause != allocator.Exhausted || c == nil || len(c.Buffers) != 5 || c.Served == nil || !*c.Served {
		t.Errorf("%v %+v", e.Cause, c)
	}
	if !slices.ContainsFunc(c.Buffers, func(b explain.Buffer) bool { return b.What == "pages" && b.Owner == "busy pages of backup" }) {
		t.Errorf("held pages are not to blame: %+v", c.Buffers)
	}
}

func heapNumber(t *testing.T, build explain.Build, name string) int {
	t.Helper()
	cfg, err := build()
	if err != nil {
		t.Fatal(err)
	}
	return slices.IndexFunc(cfg.Heaps, func(h sim.Heap) bool { return h.Name == name })
}

// TestOutOfMemory: all RAM is pinned, and one buffer less would have been enough.
func TestOutOfMemory(t *testing.T) {
	e := first(t, embedded(t, "pin-all-ram", "linux-6-12"), allocator.Exhausted)
	if e.Holders[0].Name != "hog" || e.Holders[0].Bytes < 900*mem.MiB {
		t.Errorf("%+v", e.Holders)
	}
	if c := change(e, explain.FreeBuffers); c == nil || !c.Verified || len(c.Buffers) != 1 || e.Died() != 2 {
		t.Errorf("%+v\n%+v", e.Changes, e.Funnel)
	}
}

func TestLimits(t *testing.T) {
	for variant, want := range map[string]mem.Size{"process-limit": 128 * mem.MiB, "heap-limit": 256 * mem.MiB} {
		e := first(t, embedded(t, "same-with-limit", variant), allocator.Limit)
		c := change(e, explain.FreeBuffers)
		if e.Funnel[0].Bytes != want || e.Died() != 1 || c == nil || len(c.Buffers) != 1 {
			t.Errorf("%s: %+v, %+v", variant, e.Funnel, e.Changes)
		}
	}
	// Descriptors are no limit of the heap.
	if e := first(t, embedded(t, "same-with-limit", "descriptors"), allocator.Limit); len(e.Changes) != 0 || len(e.Notes) == 0 {
		t.Errorf("%+v", e)
	}
}

// TestTranslation: addresses of an IOMMU and bounce buffers run out beside plenty of
// memory.
func TestTranslation(t *testing.T) {
	e := first(t, embedded(t, "iova-exhausted", "lazy"), allocator.IOVA)
	if e.Died() != 1 || e.Funnel[0].Bytes != 8*mem.MiB || e.Funnel[1].Bytes != mem.MiB || !strings.Contains(e.Notes[0], "24MiB of addresses were unmapped and waited for a flush") {
		t.Errorf("%+v %v", e.Funnel, e.Notes)
	}
	e = first(t, embedded(t, "bounce-exhausted", "fresh"), allocator.Bounce)
	if e.Died() != 1 || e.Funnel[0].Bytes != 64*mem.MiB || e.Funnel[1].Bytes != 256*mem.KiB {
		t.Errorf("%+v", e.Funnel)
	}
}

const atMap = `
name: mapfail
duration: 10s
page: 4KiB
memory:
  - {base: 0x0, size: 640KiB}
  - {base: 0x100000, size: 127MiB}
  - {base: 0x40000000, size: 4MiB}
machine:
  kernel: 6.12
  kernel_memory: 8MiB
  cma:
    - {name: reserved, base: 0x2000000, size: 16MiB}
heaps:
  - {name: system, kind: system, mode: "0600"}
  - {name: reserved, kind: cma}
  - {name: carve, arena: [{base: 0x40000000, size: 4MiB}], allocator: last-fit}
devices:
  - {name: dsp, address_bits: 24}
  - {name: vpu, reach: [{lo: 0x40000000, size: 1MiB}]}
  - {name: single, contiguous: true}
processes:
  - name: player
    program:
      - {alloc: {heap: carve, size: 512KiB, as: a}}
      - {attach: {of: a, device: vpu, as: at}}
      - {map: at, may_fail: true}
      - {alloc: {heap: system, size: 3000KiB, as: b}}
      - {attach: {of: b, device: single, as: bt}}
      - {map: bt, may_fail: true}
      - {alloc: {heap: reserved, size: 1MiB, as: c}}
      - {attach: {of: c, device: dsp, as: ct}}
      - {map: ct, may_fail: true}
  - name: guest
    user: 1000
    program:
      - {open: {heap: system, as: h}, may_fail: true}
`

// TestAtMap explains buffers that heaps gave and devices could not map, and a heap
// that may not be opened.
func TestAtMap(t *testing.T) {
	build := parse(t, atMap)
	seen := failures(t, build)
	var all []*explain.Explanation
	for _, op := range seen.ops {
		e, err := explain.Failure(context.Background(), build, op)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, e)
	}
	if len(all) != 4 {
		t.Fatalf("%d requests failed", len(all))
	}
	carve, system, area, closed := all[0], all[1], all[2], all[3]
	if c := change(carve, explain.TellHeap); c == nil || c.Place.Lo != 0x40000000 || !strings.Contains(carve.Verdict, "vpu cannot reach") {
		t.Errorf("carveout: %+v", carve)
	}
	if system.Cause != allocator.Segments || len(system.Notes) == 0 || !strings.Contains(system.Notes[0], "at most one segment") {
		t.Errorf("system heap: %+v", system)
	}
	if area.Cause != allocator.Unreachable || area.Died() != 1 || area.Funnel[1].Bytes != 0 || !strings.Contains(area.Verdict, "dsp cannot reach") {
		t.Errorf("CMA heap: %+v", area)
	}
	if closed.Cause != allocator.Permission || change(closed, explain.Permit) == nil || closed.Headline() != "0s: guest wanted to open heap system" {
		t.Errorf("closed heap: %+v", closed)
	}
}

func ExampleFailure() {
	sc, err := scenario.Parse("unaware.yaml", []byte(unaware))
	if err != nil {
		fmt.Println(err)
		return
	}
	v := &sc.Variants[0]
	e, err := explain.Failure(context.Background(), func() (sim.Config, error) { return v.Build(v.Spec.Seed) }, 1)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(e.Headline())
	fmt.Println(e.Reason())
	fmt.Println(e.Verdict)
	fmt.Println(e.Changes[0].Text)
	// Output:
	// 1s: dsp asked heap main for 1MiB, for dsp
	// the heap placed the buffer where its devices cannot use it
	// dsp cannot reach [0x700000,0x800000): its reach is [0x0,0x400000)
	// a heap that is told what the devices reach (aware: true): at 0x0 a place was free and legal
}
