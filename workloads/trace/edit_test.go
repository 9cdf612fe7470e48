package trace_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"dmasim/workloads/trace"
)

const uncut = `time_ns,event,buffer,size,address,heap
100,alloc,7,1,0x9,b
101,alloc,5,2,,a
102,failed,6,3,,a
103,free,7,,,
105,alloc,8,4,,a
107,free,5,,,
109,free,8,,,
`

func edit(t interface{ Fatal(...any) }, text string, over func(trace.Writer) trace.Writer) []trace.Event {
	var out strings.Builder
	r, err := trace.NewReader(strings.NewReader(text), "x", trace.Options{})
	if err != nil {
		t.Fatal(err)
	}
	w, err := trace.NewWriter(&out, "csv")
	if err != nil {
		t.Fatal(err)
	}
	w = over(w)
	for e := (trace.Event{}); r.Next(&e); {
		if err := w.Write(&e); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(r.Losses()); err != nil {
		t.Fatal(err)
	}
	events, _, err := readEvents(out.String(), trace.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return events
}

func TestCut(t *testing.T) {
	for _, test := range []struct {
		from, until time.Duration
		want        []trace.Event
	}{
		{2, 7, []trace.Event{
			{At: 102, Buffer: 7, Size: 1, Addr: 9, Placed: true, Heap: "b"},
			{At: 102, Buffer: 5, Size: 2, Heap: "a"},
			{At: 102, Buffer: 6, Size: 3, Heap: "a", Failed: true},
			{At: 103, Kind: free, Buffer: 7, Size: 1, Heap: "b"},
			{At: 105, Buffer: 8, Size: 4, Heap: "a"},
		}},
		{4, 5, []trace.Event{{At: 104, Buffer: 5, Size: 2, Heap: "a"}}},
		{50, 60, nil},
	} {
		got := edit(t, uncut, func(w trace.Writer) trace.Writer { return trace.Cut(w, test.from, test.until) })
		if d := cmp.Diff(test.want, got); d != "" {
			t.Errorf("[%d, %d):\n%s", test.from, test.until, d)
		}
	}
}

// TestCutKeepsWhatLives checks that at every time of the part as many bytes live as
// in the whole.
func TestCutKeepsWhatLives(t *testing.T) {
	load := func(events []trace.Event, at time.Duration) (live uint64) {
		for _, e := range events {
			switch {
			case e.At > at || e.Failed:
			case e.Kind == free:
				live -= e.Size
			default:
				live += e.Size
			}
		}
		return live
	}
	rapid.Check(t, func(t *rapid.T) {
		events := randomEvents(t)
		first, last := events[0].At, events[len(events)-1].At
		from := time.Duration(rapid.Int64Range(0, int64(last-first)).Draw(t, "from"))
		until := time.Duration(rapid.Int64Range(int64(from)+1, int64(last-first)+2).Draw(t, "until"))
		part := edit(t, write(t, "csv", events, trace.Losses{}), func(w trace.Writer) trace.Writer { return trace.Cut(w, from, until) })
		for at := first + from; at < first+until; at++ {
			if got, want := load(part, at), load(events, at); got != want {
				t.Fatalf("[%v, %v): %d bytes live at %v, want %d", from, until, got, at-first, want)
			}
		}
	})
}

func TestAnonymise(t *testing.T) {
	got := edit(t, uncut, trace.Anonymise)
	want := []trace.Event{
		{Size: 1, Heap: "heap-1"},
		{At: 1, Buffer: 1, Size: 2, Heap: "heap-2"},
		{At: 2, Buffer: 2, Size: 3, Heap: "heap-2", Failed: true},
		{At: 3, Kind: free, Buffer: 0, Size: 1, Heap: "heap-1"},
		{At: 5, Buffer: 3, Size: 4, Heap: "heap-2"},
		{At: 7, Kind: free, Buffer: 1, Size: 2, Heap: "heap-2"},
		{At: 9, Kind: free, Buffer: 3, Size: 4, Heap: "heap-2"},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func ExampleCut() {
	r, err := trace.NewReader(strings.NewReader(uncut), "trace.csv", trace.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	var out strings.Builder
	w, err := trace.NewWriter(&out, "csv")
	if err != nil {
		fmt.Println(err)
		return
	}
	w = trace.Cut(trace.Anonymise(w), 4, 8)
	for e := (trace.Event{}); r.Next(&e); {
		if err := w.Write(&e); err != nil {
			fmt.Println(err)
			return
		}
	}
	if err := w.Close(r.Losses()); err != nil {
		fmt.Println(err)
	}
	fmt.Print(out.String())
	// Output:
	// time_ns,event,buffer,size,align,limit,address,heap
	// 0,alloc,0,2,,,,heap-1
	// 1,alloc,1,4,,,,heap-1
	// 3,free,0,2,,,,heap-1
}
