package trace_test

import (
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"dmasim/workloads"
	"dmasim/workloads/trace"
)

// churn is work on 10,000 live buffers, of which each free takes any.
func churn(events int) []trace.Event {
	const live = 10_000
	draws := rand.New(rand.NewPCG(1, 2))
	list := make([]trace.Event, 0, events)
	sizes := make([]uint64, live) // 0: free
	for len(list) < events {
		slot := draws.IntN(live)
		if len(list) < live {
			slot = len(list)
		}
		e := trace.Event{At: time.Duration(len(list)) * time.Microsecond, Buffer: uint64(slot), Size: sizes[slot], Heap: "reserved"}
		if sizes[slot] > 0 {
			e.Kind, sizes[slot] = workloads.Free, 0
		} else {
			e.Size, e.Align = 4096*(1+draws.Uint64N(97)), 4096
			sizes[slot] = e.Size
		}
		list = append(list, e)
	}
	return list
}

// BenchmarkReader measures events of each format, with 10,000 live buffers.
func BenchmarkReader(b *testing.B) {
	events := churn(200_000)
	texts := map[trace.Format]*strings.Builder{trace.CSV: {}, trace.MiniMalloc: {}, trace.Ftrace: {}, trace.Placements: {}}
	w, _ := trace.NewWriter(texts[trace.CSV], "csv")
	lifetimes, _ := trace.NewWriter(texts[trace.MiniMalloc], "minimalloc")
	for _, e := range events {
		w.Write(&e)
		lifetimes.Write(&e)
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
	lifetimes.Close(trace.Losses{})
	for _, format := range []trace.Format{trace.CSV, trace.MiniMalloc, trace.Placements, trace.Ftrace} {
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
				if r.Err() != nil || n < len(events) { // MiniMalloc's buffers are all freed
					b.Fatalf("%d events, %v", n, r.Err())
				}
				read += n
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(read), "ns/event")
		})
	}
}

// BenchmarkWriter measures events written to nowhere, in the formats of this package.
func BenchmarkWriter(b *testing.B) {
	events := churn(200_000)
	for _, format := range trace.Outputs() {
		b.Run(format, func(b *testing.B) {
			written := 0
			for b.Loop() {
				w, err := trace.NewWriter(io.Discard, format)
				if err != nil {
					b.Skip(err)
				}
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
