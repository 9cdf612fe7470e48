package trace_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"dmasim/internal/traceevent/eventtest"
	"dmasim/mem"
	"dmasim/workloads"
	"dmasim/workloads/trace"
)

// readEvents reads a trace to its end.
func readEvents(text string, o trace.Options) ([]trace.Event, trace.Losses, error) {
	r, err := trace.NewReader(strings.NewReader(text), "x", o)
	if err != nil {
		return nil, trace.Losses{}, err
	}
	var events []trace.Event
	for e := (trace.Event{}); r.Next(&e); {
		events = append(events, e)
	}
	return events, r.Losses(), r.Err()
}

const (
	alloc = workloads.Alloc
	free  = workloads.Free
)

// Lines of the releases of Linux: without a name and with hexadecimal frames up to
// 5.12, with 0x from 5.14, with errorno from 6.12, request_count later.
const (
	line5_10   = "  v4l2-ctl-812   [001] ....   103.009034: cma_alloc: pfn=8c100 page=000000005b2f0e11 count=16 align=4\n"
	line5_13   = "  v4l2-ctl-812   [001] ....   103.009034: cma_alloc_finish: name=reserved pfn=8c100 page=000000005b2f0e11 count=16 align=4\n"
	line6_12   = "  v4l2-ctl-812   [001] .....   103.009034: cma_alloc_finish: name=reserved pfn=0x8c100 page=000000005b2f0e11 count=16 align=4 errorno=0\n"
	lineBoot   = "            init-812     [001] .....   103.009034: cma_alloc_finish: name=reserved pfn=0x8c100 page=(____ptrval____) count=16 align=4 errorno=0\n" // pointers can't be hashed yet
	lineNewer  = "  v4l2-ctl-812   [001] .....   103.009034: cma_alloc_finish: name=reserved pfn=0x8c100 page=000000005b2f0e11 request_count=16 available_count=9 total_count=4096 align=4 errorno=0\n"
	lineReport = "        v4l2-ctl-812   [001]   103.009034: cma_alloc_finish:     name=reserved pfn=0x8c100 page=0x5b2f0e11 count=16 align=4\n"
	lineTgid   = "  v4l2-ctl-812     (    812) [001] .....   103.009034: cma_alloc_finish: name=reserved pfn=0x8c100 page=000000005b2f0e11 count=16 align=4\n"
	lineNanos  = "  v4l2-ctl-812   [001] .....   103.009034000: cma_alloc_finish: name=reserved pfn=0x8c100 page=000000005b2f0e11 count=16 align=4\r\n"
	lineTask   = "  a [0] b-1 (2)-812   [001] .....   103.009034: cma_alloc_finish: name=reserved pfn=0x8c100 page=000000005b2f0e11 count=16 align=4\n"
)

func TestFtraceOfEveryRelease(t *testing.T) {
	for _, text := range []string{line5_10, line5_13, line6_12, lineBoot, lineNewer, lineReport, lineTgid, lineNanos, lineTask} {
		for _, page := range []uint64{4 << 10, 16 << 10, 64 << 10} {
			events, losses, err := readEvents(text, trace.Options{Page: mem.Size(page)})
			heap := "reserved"
			if text == line5_10 {
				heap = "cma"
			}
			want := []trace.Event{{
				At: 103009034 * time.Microsecond, Size: 16 * page, Align: 16 * page, Addr: 0x8c100 * page, Placed: true, Heap: heap,
			}}
			if d := cmp.Diff(want, events); d != "" || err != nil || losses != (trace.Losses{NeverFreed: 1}) {
				t.Errorf("%s%v, %+v\n%s", text, err, losses, d)
			}
		}
	}
}

func TestFtraceEvents(t *testing.T) {
	at := func(n int) string { return fmt.Sprintf(" t-1 [000] ..... %d.000000: ", n) }
	for _, test := range []struct {
		name, text string
		want       []trace.Event
		losses     trace.Losses
	}{
		{
			"pages by decimal frames, as before Linux 5.14",
			at(1) + "mm_page_alloc: page=ffffea0004b4d2c0 pfn=4928331 order=1 migratetype=1 gfp_flags=GFP_KERNEL\n" + at(2) + "mm_page_free: page=ffffea0004b4d2c0 pfn=4928331 order=1\n",
			[]trace.Event{
				{At: time.Second, Size: 8192, Align: 8192, Addr: 4928331 * 4096, Placed: true, Heap: "pages"},
				{At: 2 * time.Second, Kind: free, Size: 8192, Heap: "pages"},
			},
			trace.Losses{},
		}, {
			"a page that could not be had",
			at(1) + "mm_page_alloc: page=0000000000000000 pfn=0x0 order=9 migratetype=1 gfp_flags=GFP_KERNEL\n",
			[]trace.Event{{At: time.Second, Failed: true, Size: 2 << 20, Align: 2 << 20, Heap: "pages"}},
			trace.Losses{},
		}, {
			"a request of CMA that failed",
			at(1) + "cma_alloc_start: name=a count=5 align=0\n" + at(2) + "cma_alloc_finish: name=a pfn=0xffffffffffffffff page=(null) count=5 align=0 errorno=-12\n",
			[]trace.Event{{At: 2 * time.Second, Failed: true, Size: 5 * 4096, Align: 4096, Heap: "a"}},
			trace.Losses{},
		}, {
			"one that failed while pointers could not be hashed",
			at(2) + "cma_alloc_finish: name=a pfn=0xffffffffffffffff page=(____ptrval____) count=5 align=0 errorno=-12\n",
			[]trace.Event{{At: 2 * time.Second, Failed: true, Size: 5 * 4096, Align: 4096, Heap: "a"}},
			trace.Losses{},
		}, {
			"requests that never finish, one of them known by the next of its thread",
			at(1) + "cma_alloc_start: name=a count=5 align=0\n" + at(2) + "cma_alloc_start: name=a count=5 align=0\n",
			nil,
			trace.Losses{Unfinished: 2},
		}, {
			"Android's heaps; a total that jumps; an inode that comes again",
			at(1) + "dma_heap_stat: inode=7 len=4096B total_allocated=8192B\n" +
				at(2) + "dma_heap_stat: inode=8 len=8192 B total_allocated=16384B\n" +
				at(3) + "dma_heap_stat: inode=7 len=-4096B total_allocated=20480B\n" +
				at(4) + "dma_heap_stat: inode=8 len=4096B total_allocated=24576B\n" +
				at(5) + "dma_heap_stat: inode=9 len=-4096B total_allocated=20480B\n",
			[]trace.Event{
				{At: time.Second, Size: 4096, Heap: "dma-bufs"},
				{At: 2 * time.Second, Buffer: 1, Size: 8192, Heap: "dma-bufs"},
				{At: 3 * time.Second, Kind: free, Buffer: 0, Size: 4096, Heap: "dma-bufs"},
				{At: 4 * time.Second, Kind: free, Buffer: 1, Size: 8192, Heap: "dma-bufs"},
				{At: 4 * time.Second, Buffer: 2, Size: 4096, Heap: "dma-bufs"},
			},
			trace.Losses{CounterJumps: 1, MissedFrees: 1, UnmatchedFrees: 1, NeverFreed: 1},
		}, {
			"a buffer that is freed in pieces is free with the last; one of too many pages is",
			at(1) + "mm_page_alloc: page=1 pfn=0x10 order=1\n" + at(2) + "mm_page_free: page=1 pfn=0x10 order=0\n" + at(3) + "mm_page_free: page=1 pfn=0x11 order=2\n" + at(4) + "mm_page_free: page=1 pfn=0x12 order=0\n",
			[]trace.Event{
				{At: time.Second, Size: 8192, Align: 8192, Addr: 0x10000, Placed: true, Heap: "pages"},
				{At: 3 * time.Second, Kind: free, Size: 8192, Heap: "pages"},
			},
			trace.Losses{InPieces: 1, OtherSizes: 1, UnmatchedFrees: 1},
		}, {
			"clocks of processors that differ",
			at(2) + "mm_page_alloc: page=1 pfn=0x10 order=0\n" + at(1) + "mm_page_free: page=1 pfn=0x10 order=0\n",
			[]trace.Event{
				{At: 2 * time.Second, Size: 4096, Align: 4096, Addr: 0x10000, Placed: true, Heap: "pages"},
				{At: 2 * time.Second, Kind: free, Size: 4096, Heap: "pages"},
			},
			trace.Losses{TimesBack: 1},
		}, {
			"a request of no pages, a line of a stack, events of other kinds",
			"# tracer: nop\n" + at(1) + "cma_alloc_finish: name=a pfn=0x10 page=1 count=0 align=0\n => __alloc_pages\n" + at(2) + "sched_switch: prev_comm=x\n",
			nil,
			trace.Losses{UnknownSizes: 1, Unread: 1},
		}, {
			"events that were lost, by lines and by totals, in which those are",
			"# tracer: nop\n# entries-in-buffer/entries-written: 7/19   #P:1\nCPU:0 [LOST 5 EVENTS]\nCPU:1 [4 EVENTS DROPPED]\nCPU:1 [EVENTS DROPPED]\n",
			nil,
			trace.Losses{LostEvents: 12, Unnumbered: 1},
		}, {
			"what dmasim kernel record says",
			"# tracer: nop\n# dmasim: Linux 6.12, pages of 16KiB\n" + at(1) + "mm_page_alloc: page=1 pfn=0x10 order=0\n# dmasim: lost 3 events\n# dmasim: ended at 1MiB\n",
			[]trace.Event{{At: time.Second, Size: 16 << 10, Align: 16 << 10, Addr: 0x10 * 16 << 10, Placed: true, Heap: "pages"}},
			trace.Losses{LostEvents: 3, Truncated: 1, NeverFreed: 1},
		}, {
			"a last line without an end",
			"# tracer: nop\n" + at(1) + "mm_page_alloc: page=1 pfn=0x10 order=1",
			nil,
			trace.Losses{Truncated: 1},
		},
	} {
		events, losses, err := readEvents(test.text, trace.Options{})
		if d := cmp.Diff(test.want, events); d != "" || err != nil {
			t.Errorf("%s: %v\n%s", test.name, err, d)
		}
		if losses != test.losses {
			t.Errorf("%s: %+v, want %+v", test.name, losses, test.losses)
		}
	}
}

func TestReaderErrors(t *testing.T) {
	const header = "time_ns,event,buffer,size,heap\n"
	line := func(time, text string) string { return " t-1 [000] ..... " + time + ": " + text + "\n" }
	for text, want := range map[string]string{
		"":                      "x: not a trace that is known: it is empty",
		"Call me Ishmael.\n":    "x: not a trace that is known, none of minimalloc, placement, csv, parquet, ftrace, bufinfo, sysfs",
		"\x17\x08Dtracing6":     "x: not a trace that is known: it is a binary file of trace-cmd; take the text of trace-cmd report",
		"\x1f\x8b\x08":          "x: unexpected EOF",
		"\x1f\x8bnot gzip at a": "x: gzip: invalid header",

		line("12", "cma_release: name=a pfn=0x1 page=1 count=1"):                             "x:1:18: the time is no number of seconds with a fraction: choose a trace_clock like mono",
		line("99999999999.0", "cma_release: name=a pfn=0x1 page=1 count=1"):                  "x:1:18: the time does not fit in 64 bits of nanoseconds",
		line("1.0", "cma_release: name=a pfn=0x1 page=1 count="):                             `x:1:64: count "" is no number`,
		line("1.0", "cma_release: name=a pfn=0x1 page=1"):                                    "x:1:36: cma_release has no count",
		line("1.0", "cma_release: name=a pfn=0x1 page=1 count=18446744073709551615"):         "x:1:36: 18446744073709551615 pages are more than can be",
		line("1.0", "cma_alloc_finish: name=a pfn=0x1 page=1 count=1 align=64"):              "x:1:41: order 64 is more than can be",
		line("1.0", "cma_alloc_finish: name=a pfn=0x1 count=1 align=0"):                      "x:1:41: cma_alloc_finish has no page",
		line("1.0", "dma_heap_stat: inode=1 len=4k total_allocated=1B"):                      `x:1:50: len "4k" is no number of bytes`,
		line("1.0", "dma_heap_stat: inode=1 len=-9223372036854775808B total_allocated=1B"):   `x:1:50: len "-9223372036854775808B" is no number of bytes`,
		line("1.0", "cma_release: name="+strings.Repeat("n", 300)+" pfn=0x1 page=1 count=1"): "x:1:41: the name of the heap is longer than 256 bytes",
		"# tracer: nop\n" + strings.Repeat("x", 1<<17):                                       "x:2: the line is longer than 65536 bytes",

		header + "0,alloc,1,5,a":                      "x:2: unexpected EOF: the last line has no end",
		header + "0,alloc,1,5\n":                      "x:2: want 5 fields",
		header + "0,alloc,1,5,a,b\n":                  "x:2: want 5 fields",
		header + "x,alloc,1,5,a\n":                    `x:2:1: time_ns "x" is no number`,
		header + "0,allok,1,5,a\n":                    `x:2:3: event "allok", want alloc, free or failed`,
		header + "0,alloc,,5,a\n":                     `x:2:9: buffer "" is no number`,
		header + "0,alloc,1,0,a\n":                    "x:2:3: allocation of no bytes",
		header + "0,alloc,1,-4,a\n":                   `x:2:11: size "-4" is no number`,
		header + "0,free,1,,\n":                       "x:2:3: free of buffer 1, which does not live",
		header + "9,alloc,1,5,a\n8,free,1,,\n":        "x:3:1: the time 8 is before that of an earlier event, 9",
		header + "0,alloc,1,5,\"a\n":                  "x:2:13: the quotes are not closed, or do not enclose the whole field",
		header + "0,alloc,1,99999999999999999999,a\n": `x:2:11: size "99999999999999999999" is no number`,
		header + "0,alloc,1,5,a\n0,alloc,1,5,a\n":     "x:3:3: allocation of buffer 1, which lives",
		"time_ns,event\n":                             "x:1: no column buffer",
		"time_ns,event,buffer,size,sise\n":            `x:1:27: unknown column "sise", want some of time_ns,event,buffer,size,align,limit,address,heap`,
		"time_ns,event,time_ns\n":                     "x:1:15: two columns time_ns",

		"Dma-buf Objects:\n4096\t2\t7\t1\ta\t3\tn\nTotal 2 objects, 4096 bytes\nDma-buf Objects:\n": "x:1: the picture that begins here: bufinfo:3: torn or not dma_buf/bufinfo: 1 objects of 4096 bytes are listed, the sum is 2 of 4096",
		"5\nDma-buf Objects:\n6\n":                    "x:1: the picture that begins here: bufinfo: torn or not dma_buf/bufinfo: no sum at the end",
		"5\n/sys/kernel/dmabuf/buffers/x/size:1\n":    `x:2:28: "x" is no inode`,
		"5\n/sys/kernel/dmabuf/buffers/1/size:y\n":    `x:2:35: size "y" is no number of bytes`,
		"/sys/kernel/dmabuf/buffers/1/size:1\n":       "x:1:1: a picture without a time before it: want a line with the seconds, as date +%s.%N prints them",
		"5\n/sys/kernel/dmabuf/buffers/1/size:1\nx\n": `x:3:1: "x" is no file below /sys/kernel/dmabuf/buffers with its text`,
	} {
		_, _, err := readEvents(text, trace.Options{})
		if err == nil || err.Error() != want {
			t.Errorf("%.90q:\n got %v\nwant %s", text, err, want)
		}
	}
}

func TestReaderOptions(t *testing.T) {
	for want, o := range map[string]trace.Options{
		"page size 8KiB, want 4KiB, 16KiB or 64KiB":                                                              {Page: 8 * mem.KiB},
		"the time step is -1ns, want more than 0":                                                                {Tick: -1},
		`unknown order "x", want one of ["file" "start-size"]`:                                                   {Order: "x"},
		"x: the format placement tells of no heaps to choose from":                                               {Heaps: []string{"a"}},
		`unknown format "y" of a trace, want one of minimalloc, placement, csv, parquet, ftrace, bufinfo, sysfs`: {Format: "y"},
	} {
		if _, _, err := readEvents("a 0 1 1\n", o); err == nil || err.Error() != want {
			t.Errorf("%+v: %v, want %s", o, err, want)
		}
	}
}

// TestReaderTakesChosenHeaps also checks that what is missing is counted for
// these alone.
func TestReaderTakesChosenHeaps(t *testing.T) {
	text := line6_12 + strings.ReplaceAll(line6_12, "reserved", "other") +
		" t-1 [000] ..... 200.000000: cma_release: name=other pfn=0x9 page=1 count=1\n"
	events, losses, err := readEvents(text, trace.Options{Heaps: []string{"reserved"}})
	if err != nil || len(events) != 1 || events[0].Heap != "reserved" || losses != (trace.Losses{NeverFreed: 1}) {
		t.Errorf("%+v, %+v, %v", events, losses, err)
	}
}

func TestSnapshots(t *testing.T) {
	picture := func(rows ...string) string {
		total := 0
		text := "\nDma-buf Objects:\nsize    \tflags   \tmode    \tcount   \texp_name\tino     \tname\n"
		for _, row := range rows {
			var size int
			fmt.Sscanf(row, "%d", &size)
			total += size
			text += row + "\n\tAttached Devices:\nTotal 0 devices attached\n\n"
		}
		return text + fmt.Sprintf("\nTotal %d objects, %d bytes\n", len(rows), total)
	}
	row := func(size, inode int, exporter string) string {
		return fmt.Sprintf("%08d\t00000002\t00080007\t00000001\t%s\t%08d\t<none>", size, exporter, inode)
	}
	const system = "system"
	want := []trace.Event{
		{Size: 4096, Heap: system},
		{Buffer: 1, Size: 8192, Heap: system},
		{At: time.Second, Kind: free, Buffer: 0, Size: 4096, Heap: system},
		{At: time.Second, Kind: free, Buffer: 1, Size: 8192, Heap: system}, // its inode is another buffer's now
		{At: time.Second, Buffer: 2, Size: 4096, Heap: system},
		{At: 2 * time.Second, Kind: free, Buffer: 2, Size: 4096, Heap: system},
	}
	first, second := picture(row(8192, 12, system), row(4096, 3, system)), picture(row(4096, 12, system))
	events, losses, err := readEvents(first+second+picture(), trace.Options{Tick: time.Second})
	if d := cmp.Diff(want, events); d != "" || err != nil || losses.Any() {
		t.Errorf("%v, %+v\n%s", err, losses, d)
	}

	// With times, and torn at the end.
	events, losses, err = readEvents("100\n"+first+"101.0\n"+second+"102.000000000\n"+picture()+"103\n"+first[:90], trace.Options{})
	for i := range want {
		want[i].At += 100 * time.Second
	}
	if d := cmp.Diff(want, events); d != "" || err != nil || losses != (trace.Losses{Truncated: 1}) {
		t.Errorf("%v, %+v\n%s", err, losses, d)
	}

	const folder = "/sys/kernel/dmabuf/buffers/"
	events, losses, err = readEvents("100\n"+folder+"3/size:4096\n"+folder+"3/exporter_name:system\n"+folder+"12/exporter_name:system\n"+folder+"12/size:8192\n"+
		folder+"13/exporter_name:system\n101\n"+folder+"12/exporter_name:system\n"+folder+"12/size:4096\n102\n", trace.Options{})
	if d := cmp.Diff(want, events); d != "" || err != nil || losses != (trace.Losses{UnknownSizes: 1}) {
		t.Errorf("%v, %+v\n%s", err, losses, d)
	}
}

// TestSource checks that the clock begins with the first event, and that requests
// which failed are given back, however many operations are asked for at once.
func TestSource(t *testing.T) {
	for most := range 6 {
		r, err := trace.NewReader(strings.NewReader("time_ns,event,buffer,size,align,limit\n5,alloc,1,4096,64,8192\n6,failed,2,10,,\n7,free,1,,,\n"), "x", trace.Options{})
		if err != nil {
			t.Fatal(err)
		}
		var source workloads.BatchSource = trace.NewSource(r)
		var ops []workloads.Op
		if most == 0 {
			for op, ok := source.Next(nil); ok; op, ok = source.Next(nil) {
				ops = append(ops, op)
			}
		}
		for n := most; n == most && n > 0; {
			batch := make([]workloads.Op, most)
			n = source.Fill(batch)
			ops = append(ops, batch[:n]...)
		}
		want := []workloads.Op{
			{Buffer: 1, Size: 4096, Align: 64, Limit: 8192},
			{At: 1, Buffer: 2, Size: 10},
			{At: 1, Kind: free, Buffer: 2},
			{At: 2, Kind: free, Buffer: 1},
		}
		if d := cmp.Diff(want, ops); d != "" || source.Err() != nil {
			t.Errorf("%d at once: %v\n%s", most, source.Err(), d)
		}
	}
}

// repeated is a text without an end.
type repeated struct{ text string }

func (e repeated) Read(p []byte) (int, error) {
	n := 0
	for n < len(p) {
		n += copy(p[n:], e.text)
	}
	return n, nil
}

// TestZipBomb checks that a small file which unzips to a line without an end is
// given up early.
func TestZipBomb(t *testing.T) {
	var bomb bytes.Buffer
	z := gzip.NewWriter(&bomb)
	io.WriteString(z, "# tracer: nop\n")
	io.CopyN(z, repeated{"0000000"}, 64<<20)
	z.Close()
	_, _, err := readEvents(bomb.String(), trace.Options{})
	var place *trace.Error
	if !errors.As(err, &place) || place.Line != 2 {
		t.Errorf("%v", err)
	}
}

// randomEvents draws events that make sense.
func randomEvents(t *rapid.T) []trace.Event {
	type buffer struct {
		name, size uint64
		heap       string
	}
	var live []buffer
	var events []trace.Event
	at := time.Duration(rapid.Int64Range(0, 1<<40).Draw(t, "start"))
	for i := range rapid.IntRange(1, 40).Draw(t, "events") {
		at += time.Duration(rapid.Int64Range(0, 3).Draw(t, "step"))
		if n := len(live); n > 0 && rapid.Bool().Draw(t, "free") {
			k := rapid.IntRange(0, n-1).Draw(t, "which")
			events = append(events, trace.Event{At: at, Kind: free, Buffer: live[k].name, Size: live[k].size, Heap: live[k].heap})
			live[k] = live[n-1]
			live = live[:n-1]
			continue
		}
		e := trace.Event{
			At: at, Buffer: uint64(i), Size: rapid.Uint64Range(1, 1<<40).Draw(t, "size"),
			Align: rapid.SampledFrom([]uint64{0, 1, 4096}).Draw(t, "align"), Limit: rapid.SampledFrom([]uint64{0, 1 << 50}).Draw(t, "limit"),
			Heap: rapid.SampledFrom([]string{"", "system", `a,"b"`}).Draw(t, "heap"), Failed: rapid.IntRange(0, 4).Draw(t, "fate") == 0,
		}
		if e.Placed = !e.Failed && rapid.Bool().Draw(t, "placed"); e.Placed {
			e.Addr = rapid.Uint64().Draw(t, "address")
		}
		if !e.Failed {
			live = append(live, buffer{e.Buffer, e.Size, e.Heap})
		}
		events = append(events, e)
	}
	return events
}

// TestCSVRoundTrip checks that our format keeps all of a trace.
func TestCSVRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		events := randomEvents(t)
		losses := trace.Losses{LostEvents: rapid.Uint64().Draw(t, "lost"), UnmatchedFrees: 3}
		text := write(t, "csv", events, losses)
		again, read, err := readEvents(text, trace.Options{})
		read.NeverFreed = 0
		if d := cmp.Diff(events, again); d != "" || err != nil || read != losses {
			t.Fatalf("%v, %+v\n%s\n%s", err, read, text, d)
		}
	})
}

// TestMiniMallocRoundTrip checks that lifetimes are kept, in the order of their
// beginnings; what the format can't express is drawn away.
func TestMiniMallocRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		events := randomEvents(t)
		type life struct {
			lower, upper int64
			size, align  uint64
		}
		var want []life
		where := map[uint64]int{}
		last := events[len(events)-1].At
		for _, e := range events {
			switch {
			case e.Failed:
			case e.Kind == free:
				b := &want[where[e.Buffer]]
				b.upper = max(int64(e.At), b.lower+1)
			default:
				where[e.Buffer] = len(want)
				want = append(want, life{int64(e.At), int64(last) + 1, e.Size, max(e.Align, 1)})
			}
		}
		text := write(t, "minimalloc", events, trace.Losses{})
		if len(want) == 0 {
			return
		}
		problem, err := trace.ReadMiniMalloc(strings.NewReader(text), "x")
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		var got []life
		for _, b := range problem.Buffers {
			got = append(got, life{b.Lower, b.Upper, b.Size, b.Align})
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("%v, want %v", got, want)
		}
	})
}

func write(t interface{ Fatal(...any) }, format string, events []trace.Event, losses trace.Losses) string {
	var text strings.Builder
	w, err := trace.NewWriter(&text, format)
	if err != nil {
		t.Fatal(err)
	}
	for i := range events {
		if err := w.Write(&events[i]); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(losses); err != nil {
		t.Fatal(err)
	}
	return text.String()
}

// FuzzReader reads hostile text as every format, and as what it seems to be, and
// holds the events to what [trace.Event] promises and the CSV to a round trip.
func FuzzReader(f *testing.F) {
	for _, text := range []string{
		line5_10 + line6_12 + lineNewer, lineTgid + "CPU:1 [LOST 2 EVENTS]\n",
		" t-1 [000] ..... 1.000000: dma_heap_stat: inode=7 len=-4096B total_allocated=8192B\n",
		" t-1 [000] ..... 1.000000: mm_page_alloc: page=1 pfn=0x10 order=40\n",
		"time_ns,event,buffer,size,align,limit,address,heap\n0,alloc,1,5,4,9,0x3,\"a\"\"b\"\n2,free,1,,,,,\n3,failed,1,1,,,,\n",
		"id,lower,upper,size\na,0,3,4\n", "a 0 4096 4096\nf 0\n",
		"5\nDma-buf Objects:\n4096\t2\t7\t1\ta\t3\tn\nTotal 1 objects, 4096 bytes\n9\n\nDma-buf Objects:\nTotal 0 objects, 0 bytes\n",
		"5\n/sys/kernel/dmabuf/buffers/1/size:7\n6\n", "\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff",
	} {
		f.Add(text, -1)
		for i := range trace.Formats() {
			f.Add(text, i)
		}
	}
	f.Fuzz(func(t *testing.T, text string, format int) {
		var o trace.Options
		if formats := trace.Formats(); format >= 0 && format < len(formats) {
			o.Format = formats[format]
		}
		events, _, err := readEvents(text, o)
		live := map[uint64]trace.Event{}
		var now time.Duration
		for i, e := range events {
			old, lives := live[e.Buffer]
			switch {
			case e.At < now:
				t.Fatalf("event %d: time %v after %v", i, e.At, now)
			case e.Size == 0 || e.Size > math.MaxInt64 && o.Format != trace.Placements && format >= 0 && o.Format != "":
				t.Fatalf("event %d: size %d", i, e.Size)
			case e.Kind == free && (!lives || old.Size != e.Size || old.Heap != e.Heap):
				t.Fatalf("event %d: free %+v of %+v", i, e, old)
			case e.Kind == alloc && lives:
				t.Fatalf("event %d: buffer %d lives", i, e.Buffer)
			}
			now = e.At
			if e.Kind == free {
				delete(live, e.Buffer)
			} else if !e.Failed {
				live[e.Buffer] = e
			}
		}
		if err != nil {
			return
		}
		for _, e := range events {
			if e.Size > math.MaxInt64 || strings.ContainsAny(e.Heap, "\r\n") {
				return // only placement traces have such sizes
			}
		}
		if err := eventtest.Check(strings.NewReader(write(t, "chrome", events, trace.Losses{LostEvents: 1}))); err != nil {
			t.Fatal(err)
		}
		write(t, "minimalloc", events, trace.Losses{})
		again, _, err := readEvents(write(t, "csv", events, trace.Losses{}), trace.Options{})
		if d := cmp.Diff(events, again); d != "" || err != nil {
			t.Fatalf("%v\n%s", err, d)
		}
	})
}
