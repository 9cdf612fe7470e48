package trace_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"dmasim/workloads/trace"
)

// collector keeps what is written to it.
type collector struct{ events []trace.Event }

func (c *collector) Write(e *trace.Event) error { c.events = append(c.events, *e); return nil }
func (c *collector) Close(trace.Losses) error   { return nil }
func (c *collector) Omitted() []string          { return nil }

func scaled(t interface{ Fatal(...any) }, events []trace.Event, o trace.ScaleOptions) []trace.Event {
	var c collector
	w, err := trace.Scale(&c, o)
	if err != nil {
		t.Fatal(err)
	}
	for i := range events {
		if err := w.Write(&events[i]); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(trace.Losses{}); err != nil {
		t.Fatal(err)
	}
	return c.events
}

func TestScale(t *testing.T) {
	events := []trace.Event{
		{At: 100, Buffer: 7, Size: 10, Align: 8, Limit: 100, Addr: 3, Placed: true, Heap: "a"},
		{At: 150, Kind: free, Buffer: 7, Size: 10, Heap: "a"},
		{At: 200, Failed: true, Buffer: 7, Size: 1, Heap: "b"},
	}
	got := scaled(t, events, trace.ScaleOptions{Time: 0.5, Size: 1.25})
	want := []trace.Event{
		{At: 100, Buffer: 0, Size: 13, Align: 8, Limit: 125, Heap: "a"},
		{At: 125, Kind: free, Buffer: 0, Size: 13, Heap: "a"},
		{At: 150, Failed: true, Buffer: 1, Size: 2, Heap: "b"},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	for _, o := range []trace.ScaleOptions{{Time: -1}, {Size: -1}, {Copies: 1 << 20}, {Copies: -1}, {Jitter: -1}} {
		if _, err := trace.Scale(&collector{}, o); err == nil {
			t.Errorf("%+v is taken", o)
		}
	}
}

// TestScaleCopies holds copies to the original: the first is as it was, the others
// late by up to the jitter, each with the same lifetime, all events in order.
func TestScaleCopies(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		events := drawEvents(t)
		n := rapid.IntRange(1, 4).Draw(t, "copies")
		jitter := time.Duration(rapid.IntRange(0, 50).Draw(t, "jitter"))
		o := trace.ScaleOptions{Copies: n, Jitter: jitter, Seed: rapid.Uint64().Draw(t, "seed")}
		got := scaled(t, events, o)
		if len(got) != n*len(events) {
			t.Fatalf("%d events become %d", len(events), len(got))
		}
		if !slices.Equal(got, scaled(t, events, o)) {
			t.Fatal("the same seed gives other events")
		}
		checkSense(t, got)
		// Lifetimes, as multisets.
		want := lifetimes(events)
		for range n - 1 {
			want = append(want, lifetimes(events)...)
		}
		slices.Sort(want)
		all := lifetimes(got)
		slices.Sort(all)
		if !slices.Equal(want, all) {
			t.Fatalf("lifetimes %v, want %v", all, want)
		}
		for i, e := range got {
			if e.At < events[0].At || e.At > events[len(events)-1].At+jitter {
				t.Fatalf("event %d at %v", i, e.At)
			}
		}
	})
}

// drawEvents draws a trace that makes sense.
func drawEvents(t *rapid.T) []trace.Event {
	var events []trace.Event
	live := []trace.Event{}
	now := time.Duration(rapid.IntRange(0, 9).Draw(t, "start"))
	for i := range rapid.IntRange(1, 30).Draw(t, "events") {
		now += time.Duration(rapid.IntRange(0, 20).Draw(t, "gap"))
		if len(live) > 0 && rapid.Bool().Draw(t, "free") {
			j := rapid.IntRange(0, len(live)-1).Draw(t, "which")
			b := live[j]
			live = slices.Delete(live, j, j+1)
			events = append(events, trace.Event{At: now, Kind: free, Buffer: b.Buffer, Size: b.Size, Heap: b.Heap})
			continue
		}
		e := trace.Event{At: now, Buffer: uint64(i), Size: uint64(i%5 + 1), Heap: "h"}
		if e.Failed = i%7 == 6; !e.Failed {
			live = append(live, e)
		}
		events = append(events, e)
	}
	return events
}

func checkSense(t *rapid.T, events []trace.Event) {
	live := map[uint64]trace.Event{}
	var now time.Duration
	for i, e := range events {
		old, lives := live[e.Buffer]
		if e.At < now || lives != (e.Kind == free) || lives && (old.Size != e.Size || old.Heap != e.Heap) {
			t.Fatalf("event %d makes no sense: %+v at %v", i, e, now)
		}
		now = e.At
		if delete(live, e.Buffer); e.Kind == alloc && !e.Failed {
			live[e.Buffer] = e
		}
	}
}

func lifetimes(events []trace.Event) []time.Duration {
	begun := map[uint64]time.Duration{}
	var list []time.Duration
	for _, e := range events {
		if e.Kind == alloc {
			begun[e.Buffer] = e.At
		} else {
			list = append(list, e.At-begun[e.Buffer])
		}
	}
	return list
}

func TestMerge(t *testing.T) {
	open := func(text string) *trace.Reader {
		r, err := trace.NewReader(strings.NewReader(text), "x", trace.Options{})
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	const a = "time_ns,event,buffer,size,heap\n5,alloc,1,10,h\n9,free,1,,\n9,failed,2,3,\n# dmasim: lost 2 events\n"
	const b = "time_ns,event,buffer,size\n100,alloc,1,20\n104,free,1,\n# dmasim: lost 3 events\n"
	var c collector
	err := trace.Merge(&c, []trace.Part{{Reader: open(a), Name: "a"}, {Reader: open(b), Name: "b", Rebase: true, Offset: 5}})
	want := []trace.Event{
		{At: 5, Buffer: 0, Size: 10, Heap: "a/h"}, {At: 5, Buffer: 1, Size: 20, Heap: "b"},
		{At: 9, Kind: free, Buffer: 0, Size: 10, Heap: "a/h"}, {At: 9, Failed: true, Buffer: 2, Size: 3, Heap: "a"},
		{At: 9, Kind: free, Buffer: 1, Size: 20, Heap: "b"},
	}
	if d := cmp.Diff(want, c.events); d != "" || err != nil {
		t.Errorf("%v\n%s", err, d)
	}
	if err := trace.Merge(&c, []trace.Part{{Reader: open(a), Name: "a", Offset: -6}}); err == nil || err.Error() != "a: the offset -6ns puts an event 1ns before time 0" {
		t.Error(err)
	}
}
