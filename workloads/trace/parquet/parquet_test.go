package parquet_test

import (
	"bytes"
	"encoding/binary"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/parquet-go/parquet-go"
	"pgregory.net/rapid"

	"dmasim/workloads"
	"dmasim/workloads/trace"
	_ "dmasim/workloads/trace/parquet"
)

func read(text []byte) ([]trace.Event, trace.Losses, error) {
	r, err := trace.NewReader(bytes.NewReader(text), "x", trace.Options{})
	if err != nil {
		return nil, trace.Losses{}, err
	}
	var events []trace.Event
	for e := (trace.Event{}); r.Next(&e); {
		events = append(events, e)
	}
	return events, r.Losses(), r.Err()
}

func write(t interface{ Fatal(...any) }, events []trace.Event, losses trace.Losses) []byte {
	var text bytes.Buffer
	w, err := trace.NewWriter(&text, "parquet")
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
	return text.Bytes()
}

// work is a trace that makes sense.
func work(n int) []trace.Event {
	var events []trace.Event
	for i := range n {
		e := trace.Event{At: time.Duration(i), Buffer: uint64(i), Size: uint64(i%7 + 1), Align: uint64(i % 3), Limit: uint64(i % 2), Heap: []string{"", "a", "b,\"c"}[i%3]}
		switch {
		case i%11 == 10:
			e.Failed = true
		case i%2 == 1:
			e.Addr, e.Placed = uint64(i-1), true
		}
		events = append(events, e)
		if i%5 == 4 {
			old := events[len(events)-3]
			events = append(events, trace.Event{At: e.At, Kind: workloads.Free, Buffer: old.Buffer, Size: old.Size, Heap: old.Heap})
			if old.Failed {
				events = events[:len(events)-1]
			}
		}
	}
	return events
}

func TestRoundTrip(t *testing.T) {
	losses := trace.Losses{LostEvents: 12, CounterJumps: 3}
	for _, n := range []int{0, 1, 1023, 1024, 5000, 300_000} {
		events := work(n)
		if n == 0 {
			events = nil
		}
		again, l, err := read(write(t, events, losses))
		l.NeverFreed = 0
		if !slices.Equal(events, again) || err != nil || l != losses {
			t.Fatalf("%d: %d events, %v, %+v", n, len(again), err, l)
		}
	}
}

// TestForeignTable reads a table as others write it: nullable, with more columns,
// with Snappy.
func TestForeignTable(t *testing.T) {
	type row struct {
		Size   *int64  `parquet:"size,optional"`
		Extra  float64 `parquet:"extra"`
		Event  *string `parquet:"event,optional,dict"`
		Buffer *int64  `parquet:"buffer,optional"`
		Time   *int64  `parquet:"time_ns,optional"`
	}
	one, two, name, end := int64(1), int64(4096), "alloc", "free"
	for _, codec := range []parquet.WriterOption{parquet.Compression(&parquet.Snappy), parquet.Compression(&parquet.Uncompressed), parquet.Compression(&parquet.Zstd)} {
		var text bytes.Buffer
		w := parquet.NewGenericWriter[row](&text, codec)
		if _, err := w.Write([]row{{&two, 1, &name, &one, &one}, {nil, 2, &end, &one, &two}}); err != nil {
			t.Fatal(err)
		}
		w.Close()
		events, _, err := read(text.Bytes())
		want := []trace.Event{{At: 1, Buffer: 1, Size: 4096}, {At: 4096, Kind: workloads.Free, Buffer: 1, Size: 4096}}
		if d := cmp.Diff(want, events); d != "" || err != nil {
			t.Errorf("%v\n%s", err, d)
		}
	}
}

func TestHostileFiles(t *testing.T) {
	good := write(t, work(3000), trace.Losses{})
	size := len(good)
	lie := func(n uint32) []byte {
		text := bytes.Clone(good)
		binary.LittleEndian.PutUint32(text[size-8:], n)
		return text
	}
	behind := func(footer []byte) []byte {
		text := append([]byte("PAR1"), footer...)
		text = binary.LittleEndian.AppendUint32(text, uint32(len(footer)))
		return append(text, "PAR1"...)
	}
	type wide struct {
		Time  int32  `parquet:"time_ns"`
		Event string `parquet:"event"`
	}
	type brotli struct {
		Time   int64  `parquet:"time_ns"`
		Event  string `parquet:"event"`
		Buffer int64  `parquet:"buffer"`
		Size   int64  `parquet:"size"`
	}
	var other, packed bytes.Buffer
	parquet.Write(&other, []wide{{1, "alloc"}})
	parquet.Write(&packed, []brotli{{1, "alloc", 1, 1}}, parquet.Compression(&parquet.Brotli))
	bomb := func() []byte { // one page of 40 MiB of the same
		var text bytes.Buffer
		rows := make([]brotli, 40<<10)
		for i := range rows {
			rows[i].Event = strings.Repeat("a", 1<<10)
		}
		parquet.Write(&text, rows, parquet.Compression(&parquet.Zstd), parquet.PageBufferSize(64<<20))
		return text.Bytes()
	}()
	for _, test := range []struct {
		name string
		text []byte
		want string
	}{
		{"cut off", good[:size/2], "it does not end in PAR1"},
		{"head alone", []byte("PAR1"), "it has 4 bytes"},
		{"long footer", lie(math.MaxUint32), "the footer has 4294967295 bytes"},
		{"short footer", lie(3), "footer: "},
		{"endless list", behind([]byte{0x29, 0xfc, 0xff, 0xff, 0xff, 0xff, 0x0f}), "a list of more elements than can be"},
		{"deep", behind(bytes.Repeat([]byte{0x1c}, 1<<19)), "nested more than 32 deep"},
		{"deep lists", behind(append([]byte{0x19}, bytes.Repeat([]byte{0x19}, 1<<19)...)), "nested more than 32 deep"},
		{"32 bits", other.Bytes(), "column time_ns is INT32, want 64-bit integers"},
		{"brotli", packed.Bytes(), "compressed with BROTLI"},
		{"bomb", bomb, "more than 33554432"},
		{"free of none", write(t, []trace.Event{{Kind: workloads.Free, Buffer: 7}}, trace.Losses{}), "x: row 1: free of buffer 7, which does not live"},
		{"backwards", write(t, []trace.Event{{At: 5, Size: 1}, {At: 4, Size: 1, Buffer: 1}}, trace.Losses{}), "x: row 2: the time 4 is before"},
	} {
		_, _, err := read(test.text)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %s", test.name, err, test.want)
		}
	}
}

// TestDamagedFiles changes bytes of a file: what is read then is an error or makes
// sense, and is never a panic.
func TestDamagedFiles(t *testing.T) {
	good := write(t, work(200), trace.Losses{LostEvents: 1})
	rapid.Check(t, func(t *rapid.T) {
		text := bytes.Clone(good)
		for range rapid.IntRange(1, 4).Draw(t, "changes") {
			text[rapid.IntRange(0, len(text)-1).Draw(t, "at")] = rapid.Byte().Draw(t, "byte")
		}
		check(t, text)
	})
}

func check(t interface{ Fatalf(string, ...any) }, text []byte) {
	events, _, _ := read(text)
	live := map[uint64]bool{}
	for i, e := range events {
		if e.Size == 0 || e.Kind == workloads.Free != live[e.Buffer] {
			t.Fatalf("event %d makes no sense: %+v", i, e)
		}
		live[e.Buffer] = e.Kind == workloads.Alloc && !e.Failed
	}
}

func FuzzRead(f *testing.F) {
	f.Add(write(f, work(20), trace.Losses{LostEvents: 1}))
	f.Add([]byte("PAR1\x1c\x1c\x00\x00\x03\x00\x00\x00PAR1"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if bytes.HasPrefix(text, []byte("PAR1")) {
			check(t, text)
		}
	})
}

func BenchmarkRead(b *testing.B) {
	text := write(b, work(200_000), trace.Losses{})
	n := 0
	for b.Loop() {
		events, _, err := read(text)
		if err != nil {
			b.Fatal(err)
		}
		n += len(events)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/event")
}
