package trace_test

import (
	"fmt"
	"io"
	"strings"
	"testing"

	"dmasim/workloads"
	"dmasim/workloads/trace"
)

// churn is work on 10,000 live buffers.
func churn(events int) []trace.Event {
	const live = 10_000
	list := make([]trace.Event, 0, events)
	for i := range events {
		e := trace.Event{At: 1000 * 1000 * 1000, Buffer: uint64(i % live), Size: 4096 * uint64(i%97+1), Align: 4096, Heap: "reserved"}
		if i/live%2 == 1 {
			e = trace.Event{At: e.At, Kind: workloads.Free, Buffer: e.Buffer, Size: list[i-live].Size, Heap: e.Heap}
		}
		list = append(list, e)
	}
	return list
}

// BenchmarkReader measures events of each format, with 10,000 live buffers.
func BenchmarkReader(b *testing.B) {
	events := churn(200_000)
	texts := map[trace.Format]*strings.Builder{trace.CSV: {}, trace.Ftrace: {}, trace.Placements: {}}
	w, _ := trace.NewWriter(texts[trace.CSV], "csv")
	for _, e := range events {
		w.Write(&e)
		pfn := e.Buffer << 12
		if e.Kind == workloads.Free {
			fmt.Fprintf(texts[trace.Placements], "f %d\n", e.Buffer)
			fmt.Fprintf(texts[trace.Ftrace], "        v4l2-ctl-812     [001] .....   140.000077: cma_release: name=reserved pfn=%#x page=000000005b2f0e11 count=%d\n", pfn, e.Size/4096)
			continue
		}
		fmt.Fprintf(texts[trace.Placements], "a %d %d %d\n", e.Buffer, e.Size, e.Align)
		fmt.Fprintf(texts[trace.Ftrace], "        v4l2-ctl-812     [001] .....   140.000077: cma_alloc_finish: name=reserved pfn=%#x page=000000005b2f0e11 count=%d align=0 errorno=0\n", pfn, e.Size/4096)
	}
	w.Close(trace.Losses{})
	for _, format := range []trace.Format{trace.CSV, trace.Placements, trace.Ftrace} {
		b.Run(string(format), func(b *testing.B) {
			text := texts[format].String()
			b.ReportAllocs()
			read := 0
			for b.Loop() {
				r, err := trace.NewReader(strings.NewReader(text), "x", trace.Options{Format: format})
				if err != nil {
					b.Fatal(err)
				}
				n := 0
				for e := (trace.Event{}); r.Next(&e); n++ {
				}
				if r.Err() != nil || n != len(events) {
					b.Fatalf("%d events, %v", n, r.Err())
				}
				read += n
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(read), "ns/event")
		})
	}
}

// BenchmarkWriter measures events written to nowhere.
func BenchmarkWriter(b *testing.B) {
	events := churn(200_000)
	for _, format := range trace.Outputs() {
		b.Run(format, func(b *testing.B) {
			written := 0
			for b.Loop() {
				w, _ := trace.NewWriter(io.Discard, format)
				for i := range events {
					if err := w.Write(&events[i]); err != nil {
						b.Fatal(err)
					}
				}
				written += len(events)
				w.Close(trace.Losses{})
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(written), "ns/event")
		})
	}
}
